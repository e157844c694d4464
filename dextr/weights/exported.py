"""Running exported networks (`python -m dextr export`): ONNX files in ONNX Runtime.

An ONNX file is a graph without code: nothing in it is executed but tensor arithmetic.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dextr.common.errors import UserError
from dextr.geometry import SIZES
from dextr.weights.content import Content
from dextr.weights.state_files import CHANNELS, METADATA_KEY, Description, parse_metadata

ONNX = ".onnx"
INPUT, OUTPUT = "input", "logits"
LARGEST_BATCH = 256
# ResNet-101 at 512 takes 1 GiB and 4 s of CPU time where most of it is address space of threads.
LIMITS: Mapping[str, Any] = {
    "memory": 4 << 30, "memory_each": 8 << 10, "seconds": 30, "seconds_each": 40 / 512**2,
    "batch": LARGEST_BATCH, "channels": CHANNELS, "size": SIZES.most,
}  # fmt: skip
MOST_SECONDS = 900
NOT_OURS = "not a DEXTR network: it was not written by `python -m dextr export`"


@dataclass(frozen=True)
class ExportedNetwork:
    """An exported network, called like the one it was made of.

    Attributes:
        run: Takes (N, C, S, S), gives (N, 1, S, S); C are the network's channels.
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
        channels = self.about.network.in_channels
        if x.shape[1:] not in {(4, size, size), (channels, size, size)}:
            raise UserError(
                f"the exported network takes (N, 4, {size}, {size}), got {tuple(x.shape)}: "
                "export it again for another size"
            )
        x = F.pad(x, (0, 0, 0, 0, 0, channels - x.shape[1]))
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


def read_exported(source: str | PathLike[str] | Content) -> ExportedNetwork:
    """Read an exported file, or what was read of one, ready to run on the CPU.

    Before that another process runs it once, under bounds of time and memory.

    Raises:
        ValueError: The file is missing, damaged or none of ours; it does not answer as a network
            of ours does, takes too long or too much; or ONNX Runtime is not installed. The
            message names the file.
    """
    content = source if isinstance(source, Content) else Content.read(source, "exported file")
    try:
        import_package("onnxruntime")
        about, trained, batch = _describe(_try_out(content.data))
        run = _Session(content)
    except ValueError as error:
        raise UserError(f"{content.path}: {error}") from None
    return ExportedNetwork(run, about, batch, trained, content.sha256)


class _Session:
    """A file's bytes, running in ONNX Runtime; copied or sent to a process, they run there too."""

    def __init__(self, content: Content) -> None:
        self.content = content
        self._session = _open_session(content.data)

    def __getstate__(self) -> Content:
        return self.content

    def __setstate__(self, content: Content) -> None:
        self.__init__(content)  # type: ignore[misc]

    def __call__(self, x: Tensor) -> Tensor:
        try:
            (logits,) = self._session.run([OUTPUT], {INPUT: x.cpu().numpy()})
        except Exception as error:
            raise UserError(f"{self.content.path}: it cannot be run ({_line(error)})") from None
        if logits.shape != (len(x), 1, *x.shape[2:]):
            raise UserError(f"{self.content.path}: it gave logits of shape {logits.shape}")
        return torch.from_numpy(logits)


def _describe(said: Mapping[str, Any]) -> tuple[Description, bool, int | None]:
    """Return what a file is, whether its weights are trained, and the only batch it takes.

    Raises:
        ValueError: It is none of ours, or answers otherwise.
    """
    names = [name for name, *_ in (*said["inputs"], *said["outputs"])]
    metadata = said["metadata"].get(METADATA_KEY)
    if names != [INPUT, OUTPUT] or not metadata:
        raise UserError(NOT_OURS)
    fields = parse_metadata(metadata)
    about, weights = Description.from_dict(fields), fields.get("weights")
    if not isinstance(weights, dict) or not isinstance(weights.get("trained"), bool):
        raise UserError("its description does not say whether its weights are trained")
    ((_, kind, shape),) = said["inputs"]
    channels = about.network.in_channels
    square = len(shape) == 4 and shape[1] == channels and shape[2] == shape[3]
    if kind != "tensor(float)" or not square or channels not in CHANNELS:
        expected = f"(N, {channels if channels in CHANNELS else 4}, S, S)"
        raise UserError(f"expected an input of float32 {expected}, got {kind} {_line(shape)}")
    if shape[2] != about.size:
        raise UserError(f"it takes crops of {_line(shape[2])}, but says {about.size}")
    batch = shape[0] if isinstance(shape[0], int) else None
    if batch is not None and not 1 <= batch <= LARGEST_BATCH:
        raise UserError(f"it takes batches of {batch}: expected 1 to {LARGEST_BATCH}")
    tried, got, dtype, finite = said["ran"]
    if (got, dtype) != ([tried, 1, about.size, about.size], "float32"):
        raise UserError(f"expected logits (N, 1, S, S) of float32, got {dtype} {_line(got)}")
    if not finite:
        raise UserError("its logits are not finite")
    return about, weights["trained"], batch


def _try_out(content: bytes) -> dict[str, Any]:
    """Return what `onnx_trial` says of a file.

    Raises:
        ValueError: The file could not be opened or run, or not within the bounds.
    """
    limits = {**LIMITS, "threads": torch.get_num_threads()}
    limits["memory"] += 8 * len(content)
    command = [sys.executable, str(Path(__file__).with_name("onnx_trial.py")), json.dumps(limits)]
    try:
        done = subprocess.run(command, input=content, capture_output=True, timeout=MOST_SECONDS)
        said = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        raise UserError("it takes more time or memory than any network of ours") from None
    if "error" in said:
        raise UserError(f"damaged, or no ONNX file that can be run ({said['error']})")
    return said


def _line(value: object) -> str:
    return " ".join(str(value).split())[:200]


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
        raise UserError(f"damaged, or no ONNX file ({_line(error)})") from None
