"""Running exported networks (`python -m dextr export`): ONNX files in ONNX Runtime.

An ONNX file is a graph without code: nothing in it is executed but tensor arithmetic.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dextr.common.errors import UserError
from dextr.weights.state_files import METADATA_KEY, Description, parse_metadata

ONNX = ".onnx"
INPUT, OUTPUT = "input", "logits"
NOT_OURS = "not a DEXTR network: it was not written by `python -m dextr export`"


@dataclass(frozen=True)
class ExportedNetwork:
    """An exported network, called like the one it was made of.

    Attributes:
        run: Takes (N, 4, S, S), gives (N, 1, S, S).
        about: What it was made of; the only S it takes is its size.
        batch: The only N it takes; None is any. Other batches are split, and filled up with zeros.
        trained: Whether the weights it was made of were.
        digest: SHA-256 of the file.
    """

    run: Callable[[Tensor], Tensor]
    about: Description
    batch: int | None = None
    trained: bool = True
    digest: str = ""

    def __call__(self, x: Tensor) -> Tensor:
        """Return logits (N, 1, S, S) for input (N, 4, S, S), any N.

        Raises:
            ValueError: Input of another shape.
        """
        size = self.about.size
        if x.shape[1:] != (4, size, size):
            raise UserError(
                f"the exported network takes (N, 4, {size}, {size}), got {tuple(x.shape)}: "
                "export it again for another size"
            )
        batch = self.batch or len(x)
        filled = (F.pad(part, (*(0,) * 7, batch - len(part))) for part in x.split(batch))
        return torch.cat([self.run(part) for part in filled])[: len(x)]


def refuse_old_export(path: str | PathLike[str]) -> None:
    """Raise a ValueError that names ONNX if it is a file of the kind earlier versions had."""
    if Path(path).suffix == ".torchscript":
        raise UserError(
            f"{path}: TorchScript files are no longer read or written: use ONNX (`python -m dextr "
            f"export --output NAME{ONNX}`)"
        )


def read_exported(path: str | PathLike[str]) -> ExportedNetwork:
    """Read an exported file, ready to run on the CPU.

    Raises:
        ValueError: The file is missing, damaged or none of ours; or ONNX Runtime is not installed.
            The message names the file.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such exported file")
    content = path.read_bytes()
    try:
        session = _open_session(content)
        takes, gives = session.get_inputs(), session.get_outputs()
        metadata = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
        if [value.name for value in (*takes, *gives)] != [INPUT, OUTPUT] or not metadata:
            raise UserError(NOT_OURS)
        fields = parse_metadata(metadata)
        about, weights = Description.from_dict(fields), fields.get("weights")
        if not isinstance(weights, dict) or "trained" not in weights:
            raise UserError("its description does not say whether its weights are trained")
        batch, _, height, _ = takes[0].shape
        if height != about.size:
            raise UserError(f"it takes crops of {height}, but says {about.size}")
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None

    def run(x: Tensor) -> Tensor:
        (logits,) = session.run([OUTPUT], {INPUT: x.cpu().numpy()})
        return torch.from_numpy(logits)

    fixed = batch if isinstance(batch, int) else None
    digest = hashlib.sha256(content).hexdigest()
    return ExportedNetwork(run, about, fixed, weights["trained"], digest)


def import_package(name: str) -> Any:
    """Return `onnx`, which writes ONNX files, or `onnxruntime`, which runs them.

    Raises:
        ValueError: It is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UserError(f"ONNX files need {name}: pip install {name} (or 'dextr[onnx]')") from None


def _open_session(content: bytes) -> Any:
    """Open it from memory, so that it cannot have further files read."""
    runtime = import_package("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4
    try:
        return runtime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"], enable_fallback=False
        )
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"damaged, or no ONNX file ({reason})") from None
