"""Running exported networks (`python -m dextr export`): ONNX and TorchScript files.

Nothing in such a file is executed but tensor arithmetic. ONNX is a graph without code. TorchScript
is code: it is read before it is loaded, and refused if it calls anything a network of ours does
not need. (`torch.export.load` unpickles whatever a file asks for, so `.pt2` is not offered.)
"""

from __future__ import annotations

import ast
import hashlib
import io
import json
import pickletools
import warnings
import zipfile
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from os import PathLike
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dextr.weights.onnx_session import INPUT, OUTPUT, open_session, run_session
from dextr.weights.state_files import Description

ONNX = ".onnx"
TORCHSCRIPT = ".torchscript"
SUFFIXES = (ONNX, TORCHSCRIPT)
METADATA_KEY = "dextr"
# All that the code of a traced network calls, whichever version of PyTorch wrote it down.
OPERATORS = frozenset(
    {
        "annotate",
        "int",
        "ops.prim.NumToTensor",
        "torch._convolution",
        "torch.add",
        "torch.add_",
        "torch.batch_norm",
        "torch.cat",
        "torch.conv2d",
        "torch.div",
        "torch.flip",
        "torch.matmul",
        "torch.max_pool2d",
        "torch.relu",
        "torch.relu_",
        "torch.size",
        "torch.slice",
        "torch.stack",
        "torch.sum",
        "torch.to",
        "torch.upsample_bilinear2d",
    }
)
LARGEST_CODE = 2**22
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


@dataclass(frozen=True)
class _Opened:
    """What a runtime found in a file: how it runs, the description, and the input it takes."""

    run: Callable[[Tensor], Tensor]
    metadata: str | None
    size: int | None = None
    batch: int | None = None


def read_exported(path: str | PathLike[str]) -> ExportedFile:
    """Read an exported file, ready to run on the CPU.

    Raises:
        ValueError: The file is missing, damaged, none of ours, or holds code that is refused; or
            what runs it is not installed. The message names the file.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such exported file")
    content = path.read_bytes()
    try:
        opened = (_open_onnx if path.suffix == ONNX else _open_torchscript)(content)
        about = _parse(opened.metadata)
        description = Description.from_dict(about)
        if opened.size not in (None, description.size):
            raise ValueError(f"it takes crops of {opened.size}, but says {description.size}")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    digest = hashlib.sha256(content).hexdigest()
    network = ExportedNetwork(opened.run, description.size, opened.batch, digest)
    return ExportedFile(network, description, about["weights"])


def _open_onnx(content: bytes) -> _Opened:
    session = open_session(content)
    takes, gives = session.get_inputs(), session.get_outputs()
    if [value.name for value in (*takes, *gives)] != [INPUT, OUTPUT]:
        raise ValueError(NOT_OURS)
    metadata = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    batch, _, height, _ = takes[0].shape
    fixed = batch if isinstance(batch, int) else None
    return _Opened(run_session(session), metadata, height, fixed)


def _open_torchscript(content: bytes) -> _Opened:
    check_torchscript(content)
    extra: dict[str, Any] = {METADATA_KEY: ""}

    @cache
    def module_on(device: torch.device) -> Callable[[Tensor], Tensor]:
        with warnings.catch_warnings():
            # That TorchScript is not PyTorch's newest way is known.
            warnings.simplefilter("ignore")
            return torch.jit.load(io.BytesIO(content), device, extra)

    try:
        module: Any = module_on(torch.device("cpu"))
        for value in module.code_with_constants[1].const_mapping.values():
            # PyTorch reads a value without a place in memory, and crashes when it is used.
            value.untyped_storage().data_ptr()
    except RuntimeError as error:
        raise ValueError(f"damaged, or no TorchScript file ({_first_line(error)})") from None
    metadata = extra[METADATA_KEY]
    text = metadata.decode("utf-8", "replace") if isinstance(metadata, bytes) else metadata

    def run(x: Tensor) -> Tensor:
        try:
            return module_on(x.device)(x)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise ValueError(f"the exported network does not run ({reason})") from None

    return _Opened(run, text)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def check_torchscript(content: bytes) -> None:
    """Refuse a TorchScript file that calls more than the operators of a network.

    Args:
        content: The file.

    Raises:
        ValueError: It does, or is no such file.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            code = [entry for entry in entries if entry.filename.endswith(".py")]
            pickles = [entry for entry in entries if entry.filename.endswith("pkl")]
            if sum(entry.file_size for entry in (*code, *pickles)) > LARGEST_CODE:
                raise ValueError("refused: more code than a network here needs")
            trees = [ast.parse(archive.read(entry)) for entry in code]
            for entry in pickles:
                _check_pickle(archive.read(entry))
        nodes = [node for tree in trees for node in ast.walk(tree)]
        calls = {ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)}
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, SyntaxError):
        raise ValueError("damaged, or no TorchScript file") from None
    except (RecursionError, MemoryError):
        raise ValueError("refused: its code is nested deeper than a network's") from None
    loops = {"a loop" for node in nodes if isinstance(node, ast.For | ast.While)}
    if strange := sorted((calls - OPERATORS) | loops):
        raise ValueError(f"refused: it has {', '.join(strange[:3])}, which no network here needs")


def _check_pickle(content: bytes) -> None:
    """Refuse what is no whole pickle, on which PyTorch may crash; nothing in it is run."""
    try:
        deque(pickletools.genops(content), maxlen=0)
    except (ValueError, EOFError):
        raise ValueError("damaged, or no TorchScript file") from None


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
