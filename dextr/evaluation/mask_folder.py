"""Masks in a folder: what an evaluation saves, and masks made elsewhere to be scored."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from os import PathLike
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from dextr.common.files import replacing
from dextr.samples import Instance
from dextr.visualize import save_palette_png

MOST_LABELS = 254


def labels_of(object_id: NDArray, image: NDArray) -> NDArray[np.int64]:
    """Return the value (N,) of each object in its image's label map.

    It is the object's number where no number of the data set exceeds 254, else (COCO's annotation
    ids) its position among its image's objects, from 1.

    Args:
        object_id: (N,), each object's number.
        image: (N,), each object's image; ascending.

    >>> labels_of(np.array([7, 9000, 12]), np.array([0, 0, 1])).tolist()
    [1, 2, 1]
    """
    ids = np.asarray(object_id, dtype=np.int64)
    if ids.size == 0 or (ids.min() >= 1 and ids.max() <= MOST_LABELS):
        return ids
    first = np.searchsorted(image, image)
    return np.arange(len(ids)) - first + 1


class MaskFolder:
    """A folder with a PNG per object or per image.

    - `objects/IMAGE/OBJECT.png`: one object's mask, 0 and 255 (or 0 and 1). Other grey values
      are probabilities: value / 255 (16 bits: / 65535) is compared with the threshold.
    - `IMAGE.png`: all objects of an image as a palette PNG like VOC's, or a grey one of 8 or 16
      bits; see `labels_of`. A pixel holds one object only, so overlaps are lost.

    Args:
        root: The folder.
    """

    def __init__(self, root: str | PathLike[str]) -> None:
        self.root = Path(root)

    def object_path(self, image_id: str, object_id: int) -> Path:
        """Return where one object's mask lies."""
        return self.root / "objects" / _checked(image_id) / f"{object_id}.png"

    def map_path(self, image_id: str) -> Path:
        """Return where an image's label map lies."""
        return self.root / f"{_checked(image_id)}.png"

    def write_object(self, instance: Instance, mask: NDArray) -> None:
        """Write one object's mask (H, W)."""
        with replacing(self.object_path(instance.image_id, instance.object_id)) as temporary:
            Image.fromarray(np.asarray(mask, dtype=bool)).save(temporary, format="PNG")

    def write_map(self, image_id: str, object_ids: Iterable[int], labels: Iterable[int]) -> None:
        """Draw the objects saved of one image into its palette PNG, the smallest on top."""
        numbers = dict(zip(object_ids, labels, strict=True))
        if max(numbers.values()) > MOST_LABELS:
            warnings.warn(
                f"{image_id}: {len(numbers)} objects do not fit a palette PNG; their masks are "
                f"under {self.root / 'objects'} only",
                stacklevel=2,
            )
            return
        masks = {k: _read(self.object_path(image_id, k)) != 0 for k in numbers}
        drawn = np.zeros(next(iter(masks.values())).shape, np.uint8)
        for k in sorted(masks, key=lambda k: -np.count_nonzero(masks[k])):
            drawn[masks[k]] = numbers[k]
        save_palette_png(self.map_path(image_id), drawn)

    def read(self, instance: Instance, label: int) -> NDArray:
        """Return an object's mask or probabilities (H, W), 0..1: its own file or its image's.

        Raises:
            ValueError: Neither is there, or the file is no such picture; the message names it.
        """
        own = self.object_path(instance.image_id, instance.object_id)
        shared = self.map_path(instance.image_id)
        if own.exists():
            values = _read(own)
            full = 255 if values.dtype == np.uint8 else 65535
            return values / (full if values.max(initial=0) > 1 else 1)
        if shared.exists():
            return (_read(shared) == label).astype(np.float32)
        raise ValueError(
            f"no mask of {instance.name}: expected {own} (one object) or {shared} (label map, "
            f"value {label})"
        )


def _checked(image_id: str) -> str:
    if PurePosixPath(image_id).is_absolute() or ".." in PurePosixPath(image_id).parts:
        raise ValueError(f"the image name {image_id!r} would lead out of the folder")
    return image_id


def _read(path: Path) -> NDArray:
    try:
        with Image.open(path) as picture:
            values = np.asarray(picture)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(f"{path}: not a readable picture ({error})") from None
    if values.ndim != 2:
        raise ValueError(f"{path}: expected one channel (palette or grey), got {values.shape}")
    return values.astype(np.uint8) if values.dtype == bool else values
