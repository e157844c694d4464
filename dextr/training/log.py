"""What a run leaves to read: its folder, its environment, its log and its curves."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dextr.common.files import replacing

PACKAGES = ("torch", "torchvision", "numpy", "opencv-python", "safetensors", "pycocotools")


def run_folders(base: Path, name: str) -> list[Path]:
    """Return the folders `name-NUMBER` of earlier runs, the highest number first."""
    numbered = [
        (int(p.name[len(name) + 1 :]), p)
        for p in base.glob(f"{name}-*")
        if p.name[len(name) + 1 :].isdigit()
    ]
    return [p for _, p in sorted(numbered, reverse=True)]


def new_run_folder(base: Path, name: str) -> Path:
    """Make and return the folder with the next number; two runs never get the same one."""
    earlier = run_folders(base, name)
    number = 1 + (int(earlier[0].name.rsplit("-", 1)[1]) if earlier else 0)
    while True:
        folder = base / f"{name}-{number}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
            continue
        return folder


def environment() -> dict[str, Any]:
    """Return what is needed to repeat a run: command, commit, versions, hardware."""
    return {
        "command": shlex.join([Path(sys.executable).name, *sys.argv]),
        "started": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain")),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())],
        "cuda": torch.version.cuda,
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
    }


def _git(*arguments: str) -> str | None:
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON; the old file stays until the new one is whole."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n")


class RunLog:
    """`log.jsonl`, one JSON object per line, and TensorBoard curves where tensorboardX is there.

    Args:
        folder: The run's folder; None logs nothing (every process but the first).
        length: Bytes of the log to keep: what a checkpoint found written. The rest belongs to
            steps that will be done again.
        step: The step the curves go on from.
    """

    def __init__(self, folder: Path | None, length: int = 0, step: int = 0) -> None:
        self._file = None
        self._board = None
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "log.jsonl"
        path.touch()
        os.truncate(path, min(length, path.stat().st_size))
        self._file = path.open("ab")
        self._board = _open_board(folder / "tensorboard", step)

    def write(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Add a line; its numbers become points of the curves `kind/name`."""
        if self._file is None:
            return
        line = json.dumps({"kind": kind, "step": step, **values})
        self._file.write(line.encode() + b"\n")
        self._file.flush()
        if self._board is not None:
            for name, value in values.items():
                if isinstance(value, int | float):
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
        if self._file is not None:
            self._file.close()
        if self._board is not None:
            self._board.close()


def _open_board(folder: Path, step: int) -> Any:
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        print("no TensorBoard curves: tensorboardX is not installed", file=sys.stderr)
        return None
    return SummaryWriter(str(folder), purge_step=step or None)
