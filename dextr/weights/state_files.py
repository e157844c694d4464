"""Weights files: reading them without running what is in them, and writing our own.

Read are `.safetensors`, `.pth` / `.pt` (tensors only) and `.npz` (arrays only).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dextr.common.errors import UserError
from dextr.common.files import replacing
from dextr.geometry import Margin, Relax
from dextr.samples import check_threshold
from networks import NetworkConfig

FORMAT = 1
METADATA_KEY = "dextr"
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
    """

    network: NetworkConfig
    size: int
    relax: Relax
    threshold: float
    origin: dict[str, Any]

    def __post_init__(self) -> None:
        for name, value, least in (("size", self.size, 16), ("relax", self.relax, 0)):
            if not isinstance(value, Margin) and (type(value) is not int or value < least):
                raise UserError(f"{name} must be an integer from {least}, got {value!r}")
        check_threshold(self.threshold)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Description:
        """Build it from what a file holds; a ValueError says what is missing or out of range."""
        if (got := fields.get("format")) != FORMAT:
            newer = "is the file from a newer version?"
            raise UserError(f"expected format {FORMAT}, got {got!r}: {newer}")
        try:
            origin = dict(fields.get("origin", {}))
            if isinstance(config := origin.get("config"), dict):
                origin["config"] = {k: v for k, v in config.items() if k not in PRIVATE}
            size, relax, threshold = (fields[name] for name in ("size", "relax", "threshold"))
            network = NetworkConfig(**fields["network"])
            return cls(network, size, Margin.of(relax), threshold, origin)
        except KeyError as error:
            raise UserError(f"its description lacks {error}") from None
        except TypeError as error:
            raise UserError(f"its description is not understood ({error})") from None

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` takes."""
        return {"format": FORMAT, **asdict(self)}


@dataclass(frozen=True)
class StateFile:
    """A file's tensors by name, and what it says of them (None: nothing)."""

    state: dict[str, Tensor]
    description: Description | None = None


def read_state(path: str | PathLike[str]) -> StateFile:
    """Read a weights file; nothing in it is executed.

    Of a training checkpoint the averaged weights are taken where there are any.

    Raises:
        ValueError: The file is missing, damaged, of another kind, or holds more than tensors;
            the message names it.
    """
    path = Path(path)
    if path.suffix not in READERS:
        raise UserError(f"{path}: expected a weights file ({', '.join(READERS)})")
    if not path.is_file():
        raise UserError(f"{path}: no such weights file")
    try:
        found = READERS[path.suffix](path)
        for name, value in found.state.items():
            if not isinstance(name, str) or not isinstance(value, Tensor):
                got = f"{type(value).__name__} under {name!r}"
                raise UserError(f"expected tensors by name, got {got}")
            if value.is_floating_point() and not value.isfinite().all():
                raise UserError(f"{name} holds values that are not finite")
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None
    return found


def write_state(
    path: str | PathLike[str], state: Mapping[str, Tensor], description: Description
) -> None:
    """Write a `.safetensors` file; the description goes into its header."""
    metadata = {METADATA_KEY: json.dumps(description.to_dict())}
    tensors = {k: v.detach().cpu().contiguous() for k, v in state.items()}
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata)


def parse_metadata(text: str) -> dict[str, Any]:
    """Return the fields of a description that a file holds as text; a ValueError if it is none."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"its description is not understood ({error})") from None
    if not isinstance(fields, dict):
        raise UserError(f"its description is not understood (got {type(fields).__name__})")
    return fields


def _read_safetensors(path: Path) -> StateFile:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise UserError(f"damaged, or no safetensors file ({error})") from None
    if METADATA_KEY not in metadata:
        return StateFile(state)
    return StateFile(state, Description.from_dict(parse_metadata(metadata[METADATA_KEY])))


def _read_npz(path: Path) -> StateFile:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return StateFile({name: torch.from_numpy(arrays[name]) for name in arrays.files})
    except Exception as error:
        # Some of these messages quote the file.
        reason = str(error)[:200]
        raise UserError(f"damaged, or holds more than arrays of numbers ({reason})") from None


def _read_pickle(path: Path) -> StateFile:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:
        # PyTorch's own message tells people to load such files unsafely.
        foreign = re.search(r"GLOBAL (\S+)", str(error))
        what = f"it holds {foreign[1]} besides" if foreign else "damaged, or holds more than"
        raise UserError(f"refused: {what} tensors, which could run code") from None
    checkpoint = isinstance(content, Mapping) and "weights" in content
    state = (content.get("ema") or content["weights"]) if checkpoint else content
    if not isinstance(state, Mapping):
        raise UserError(f"expected a state dictionary, got {type(state).__name__}")
    if not checkpoint:
        return StateFile(dict(state))
    fields = {"origin": {"epoch": content.get("epoch"), "step": content.get("step")}, **content}
    return StateFile(dict(state), Description.from_dict(fields))


READERS = {
    ".safetensors": _read_safetensors,
    ".pth": _read_pickle,
    ".pt": _read_pickle,
    ".npz": _read_npz,
}
