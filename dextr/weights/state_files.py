"""Weights files: reading them without running what is in them, and writing our own.

Read are `.safetensors`, `.pth` / `.pt` / `.pth.tar` (tensors only) and `.npz` (arrays only).
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from dextr.common.errors import UserError
from dextr.common.files import replacing
from dextr.common.tensor_files import parse_tensors, require_sane_archive
from dextr.geometry import SIZES, Margin, Relax
from dextr.samples import check_share, check_threshold
from dextr.weights.content import Content
from dextr.weights.plain import plain_tensors, require_plain, shown
from networks import NetworkConfig

FORMAT = 1
METADATA_KEY = "dextr"
# Input channels of networks to predict with: RGB and heat map; and what a second look sees.
CHANNELS = (4, 5)
FIELDS = ("network", "size", "relax", "threshold", "origin")
# How others wrap a state in a checkpoint.
WRAPPERS = ("state_dict", "model_state_dict", "model")
# What files of earlier versions also say of a run's configuration: folders, names, the machine.
PRIVATE = frozenset({
    "voc_root", "voc_split", "sbd_root", "coco_root", "coco_annotations", "folder", "davis_root",
    "shapes", "val_fraction", "limit", "init", "seed", "device", "workers", "compile",
    "channels_last", "eval_every", "eval_limit", "snapshot_every", "save_minutes", "log_every",
    "name", "output_dir",
})  # fmt: skip


@dataclass(frozen=True)
class Description:
    """What a file says of its network.

    Attributes:
        network: Its layers.
        size: Side of the crop it was trained on.
        relax: Margin around the object's box in pixels of the image, or a rule.
        threshold: Probability above which a pixel is the object's.
        origin: Where the values come from, free form.
        pieces: Smallest share of a mask that a piece without a click on it may have; 0: any.
    """

    network: NetworkConfig
    size: int
    relax: Relax
    threshold: float
    origin: dict[str, Any]
    pieces: float = 0.0

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise UserError(f"size must be {SIZES}, got {self.size!r}")
        Margin.of(self.relax)
        check_threshold(self.threshold)
        check_share(self.pieces)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Description:
        """Build it from what a file holds; a ValueError says what is missing or out of range."""
        got = fields.get("format")
        if type(got) is not int or got != FORMAT:
            newer = "is the file from a newer version?"
            raise UserError(f"expected format {FORMAT}, got {shown(got)}: {newer}")
        try:
            require_plain({name: fields.get(name) for name in FIELDS})
            origin = dict(fields.get("origin", {}))
            if isinstance(config := origin.get("config"), dict):
                origin["config"] = {k: v for k, v in config.items() if k not in PRIVATE}
            size, relax, threshold = (fields[name] for name in ("size", "relax", "threshold"))
            network = NetworkConfig(**fields["network"])
            pieces = fields.get("pieces", 0.0)
            return cls(network, size, Margin.of(relax), threshold, origin, pieces)
        except KeyError as error:
            raise UserError(f"its description lacks {error}") from None
        except TypeError as error:
            raise UserError(f"its description is not understood ({error})") from None

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` takes."""
        return {"format": FORMAT, **asdict(self)}


@dataclass(frozen=True)
class StateFile:
    """A file's tensors by name, what it says of them (None: nothing), and the SHA-256 of it all."""

    state: dict[str, Tensor]
    description: Description | None = None
    sha256: str = ""


def read_state(source: str | PathLike[str] | Content) -> StateFile:
    """Read a weights file, or what was read of one; nothing in it is executed.

    Of a training checkpoint the averaged weights are taken where there are any.

    Raises:
        ValueError: The file is missing, damaged, of another kind, or holds more than tensors;
            the message names it.
    """
    path = source.path if isinstance(source, Content) else Path(source)
    endings = [ending for ending in READERS if path.name.endswith(ending)]
    if not endings:
        raise UserError(f"{path}: expected a weights file ({', '.join(READERS)})")
    content = source if isinstance(source, Content) else Content.read(path)
    try:
        state, description = READERS[endings[0]](content.data)
        return StateFile(plain_tensors(state), description, content.sha256)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None


def write_state(
    path: str | PathLike[str], state: Mapping[str, Tensor], description: Description
) -> None:
    """Write a `.safetensors` file; the description goes into its header."""
    metadata = {METADATA_KEY: json.dumps(description.to_dict())}
    tensors = {k: v.detach().cpu().contiguous() for k, v in state.items()}
    with replacing(path) as temporary:
        # Not its own `save_file`, whose error for a full disk is of another kind.
        temporary.write_bytes(save(tensors, metadata))


def parse_metadata(text: str) -> dict[str, Any]:
    """Return the fields of a description that a file holds as text; a ValueError if it is none."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"its description is not understood ({error})") from None
    if not isinstance(fields, dict):
        raise UserError(f"its description is not understood (got {type(fields).__name__})")
    return fields


Found = tuple[Mapping[Any, Any], Description | None]


def _read_safetensors(data: bytes) -> Found:
    try:
        state = load(data)
    except SafetensorError as error:
        raise UserError(f"damaged, or no safetensors file ({error})") from None
    except (KeyError, AttributeError, TypeError) as error:
        raise UserError(f"it holds numbers of a kind not known here ({error})") from None
    length = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + length]).get("__metadata__") or {}
    if METADATA_KEY not in metadata:
        return state, None
    return state, Description.from_dict(parse_metadata(metadata[METADATA_KEY]))


def _read_npz(data: bytes) -> Found:
    require_sane_archive(data)
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return {name: torch.from_numpy(arrays[name]) for name in arrays.files}, None
    except Exception as error:
        # Some of these messages quote the file.
        reason = " ".join(str(error)[:200].split())
        raise UserError(f"damaged, or holds more than arrays of numbers ({reason})") from None


def _read_pickle(data: bytes) -> Found:
    content = parse_tensors(data)
    if isinstance(content, Mapping) and "weights" in content:
        return _read_checkpoint(content)
    wrapped = [key for key in WRAPPERS if isinstance(content, Mapping) and key in content]
    state = content[wrapped[0]] if wrapped else content
    if not isinstance(state, Mapping):
        raise UserError(f"expected a state dictionary, got {type(state).__name__}")
    return state, None


def _read_checkpoint(content: Mapping[Any, Any]) -> Found:
    """Return the averaged weights of a training checkpoint of ours, or the weights."""
    average = content.get("ema")
    state = content["weights"] if average is None else average
    if not isinstance(state, Mapping):
        raise UserError(f"expected a state dictionary, got {type(state).__name__}")
    progress = {"epoch": content.get("epoch"), "step": content.get("step")}
    return state, Description.from_dict({"origin": progress, **content})


READERS = {
    ".safetensors": _read_safetensors,
    ".pth": _read_pickle,
    ".pt": _read_pickle,
    ".pth.tar": _read_pickle,
    ".npz": _read_npz,
}
