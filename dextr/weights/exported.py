"""Running exported networks (`python -m dextr export`): ONNX files in ONNX Runtime.

An ONNX file is a graph without code: nothing in it is executed but tensor arithmetic. Both packages
are imported only when they are needed.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dextr.weights.state_files import METADATA_KEY, Description

ONNX = ".onnx"
TORCHSCRIPT = ".torchscript"
INPUT, OUTPUT = "input", "logits"
NOT_OURS = "not a DEXTR network: it was not written by `python -m dextr export`"


@dataclass(frozen=True)
class ExportedFile:
    """What an exported file holds.

    Attributes:
        network: Runs it.
        description: Of the network it was made of.
        weights: `name` and `sha256` of the weights it was made of, and whether they are `trained`.
    """

    network: ExportedNetwork
    description: Description
    weights: dict[str, Any]


class ExportedNetwork:
    """An exported network, called like the one it was made of.

    Args:
        run: Takes (N, 4, S, S), gives (N, 1, S, S).
        size: The only S it takes.
        batch: The only N it takes; None is any. Other batches are split, and filled up with zeros.
        digest: Sha256 of the file.
    """

    def __init__(
        self, run: Callable[[Tensor], Tensor], size: int, batch: int | None, digest: str = ""
    ) -> None:
        self.run = run
        self.size = size
        self.batch = batch
        self.digest = digest

    def __call__(self, x: Tensor) -> Tensor:
        """Return logits (N, 1, S, S) for input (N, 4, S, S), any N.

        Raises:
            ValueError: Input of another shape.
        """
        if x.shape[1:] != (4, self.size, self.size):
            raise ValueError(
                f"the exported network takes (N, 4, {self.size}, {self.size}), got "
                f"{tuple(x.shape)}: export it again for another size"
            )
        if self.batch is None:
            return self.run(x)
        parts = [
            self.run(F.pad(part, (0, 0, 0, 0, 0, 0, 0, self.batch - len(part))))
            for part in x.split(self.batch)
        ]
        return torch.cat(parts)[: len(x)]


def refuse_torchscript(path: str | PathLike[str]) -> None:
    """Say what took the place of a kind of file that earlier versions had.

    Raises:
        ValueError: It is such a file's name.
    """
    if Path(path).suffix == TORCHSCRIPT:
        raise ValueError(
            f"{path}: TorchScript files are no longer read or written: use ONNX (`python -m dextr "
            f"export --output NAME{ONNX}`)"
        )


def read_exported(path: str | PathLike[str]) -> ExportedFile:
    """Read an exported file, ready to run on the CPU.

    Raises:
        ValueError: The file is missing, damaged or none of ours; or ONNX Runtime is not installed.
            The message names the file.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such exported file")
    content = path.read_bytes()
    try:
        session = _open_session(content)
        takes, gives = session.get_inputs(), session.get_outputs()
        if [value.name for value in (*takes, *gives)] != [INPUT, OUTPUT]:
            raise ValueError(NOT_OURS)
        about = _parse(session.get_modelmeta().custom_metadata_map.get(METADATA_KEY))
        description = Description.from_dict(about)
        batch, _, height, _ = takes[0].shape
        if height != description.size:
            raise ValueError(f"it takes crops of {height}, but says {description.size}")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None

    def run(x: Tensor) -> Tensor:
        (logits,) = session.run([OUTPUT], {INPUT: x.cpu().numpy()})
        return torch.from_numpy(logits)

    fixed = batch if isinstance(batch, int) else None
    digest = hashlib.sha256(content).hexdigest()
    network = ExportedNetwork(run, description.size, fixed, digest)
    return ExportedFile(network, description, about["weights"])


def import_onnx() -> Any:
    """Return the module that writes ONNX files.

    Raises:
        ValueError: It is not installed.
    """
    return _import("onnx", "writing ONNX files needs two packages: pip install onnx onnxruntime")


def import_onnxruntime() -> Any:
    """Return the module that runs ONNX files.

    Raises:
        ValueError: It is not installed.
    """
    return _import("onnxruntime", "ONNX files need ONNX Runtime: pip install onnxruntime")


def _import(name: str, needs: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ValueError(f"{needs} (or 'dextr[onnx]')") from None


def _open_session(content: bytes) -> Any:
    """Open it from memory, so that it cannot have further files read."""
    runtime = import_onnxruntime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4
    try:
        return runtime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"], enable_fallback=False
        )
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"damaged, or no ONNX file ({reason})") from None


def _parse(metadata: str | None) -> dict[str, Any]:
    if not metadata:
        raise ValueError(NOT_OURS)
    try:
        about = json.loads(metadata)
        lacking = {"name", "sha256", "trained"} - about["weights"].keys()
    except (json.JSONDecodeError, RecursionError, KeyError, TypeError, AttributeError):
        raise ValueError("its description is not understood") from None
    if lacking:
        raise ValueError(f"its description lacks {', '.join(sorted(lacking))} of the weights")
    return about
