"""What a run writes down as it goes: its log and its curves."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class RunLog:
    """`log.jsonl`, one JSON object per line, and TensorBoard curves where tensorboardX is there.

    Args:
        folder: The run's folder; None logs nothing (every process but the first).
        length: Bytes of the log to keep: what a checkpoint found written. The rest belongs to
            steps that will be done again.
        step: The step the curves go on from.
    """

    def __init__(self, folder: Path | None, length: int = 0, step: int = 0) -> None:
        self._file = self._board = None
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / "log.jsonl").open("ab")
        self._file.truncate(min(length, self._file.tell()))
        self._file.seek(0, os.SEEK_END)
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            print("no TensorBoard curves: tensorboardX is not installed", file=sys.stderr)
        else:
            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step or None)

    def write(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Add a line; its numbers become points of the curves `kind/name`."""
        if self._file is None:
            return
        line = json.dumps({"kind": kind, "step": step, **values})
        self._file.write(line.encode() + b"\n")
        self._file.flush()
        for name, value in values.items():
            if self._board is not None and isinstance(value, int | float):
                self._board.add_scalar(f"{kind}/{name}", value, step)

    def picture(self, name: str, step: int, image: NDArray[np.uint8]) -> None:
        """Add an (H, W, 3) picture to TensorBoard."""
        if self._board is not None:
            self._board.add_image(name, image, step, dataformats="HWC")

    def length(self) -> int:
        """Return the bytes written so far, on disk for certain."""
        if self._file is None:
            return 0
        os.fsync(self._file.fileno())
        return self._file.tell()

    def close(self) -> None:
        """Close the files."""
        for file in (self._file, self._board):
            if file is not None:
                file.close()
