"""Masks in a folder: what an evaluation saves, and masks made elsewhere to be scored."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dextr.common.errors import UserError
from dextr.common.files import inside
from dextr.common.label_png import MOST_OBJECTS, paint, read_label_map, write_label_map, write_mask
from dextr.samples import Instance


def labels_of(object_id: NDArray, image: NDArray) -> NDArray[np.int64]:
    """Return the value (N,) of each object in its image's label map.

    It is the object's number where no number of the data set exceeds 254, else (COCO's annotation
    ids) its position among its image's objects, from 1. The images (N,) ascend.

    >>> labels_of(np.array([7, 9000, 12]), np.array([0, 0, 1])).tolist()
    [1, 2, 1]
    """
    ids = np.asarray(object_id, dtype=np.int64)
    if ids.size == 0 or (ids.min() >= 1 and ids.max() <= MOST_OBJECTS):
        return ids
    return np.arange(len(ids)) - np.searchsorted(image, image) + 1


class MaskFolder:
    """A folder with a PNG per object or per image.

    - `objects/IMAGE/OBJECT.png`: one object's mask, 0 and 255 (or 0 and 1). Other grey values
      are probabilities: value / 255 (16 bits: / 65535) is compared with the threshold.
    - `IMAGE.png`: all objects of an image as a palette PNG like VOC's, or a grey one of 8 or 16
      bits; see `labels_of`. A pixel holds one object only, so overlaps are lost.
    """

    def __init__(self, root: str | PathLike[str]) -> None:
        self.root = Path(root)

    def object_path(self, image_id: str, object_id: int) -> Path:
        """Return where one object's mask lies."""
        return self.root / "objects" / inside(image_id) / f"{object_id}.png"

    def map_path(self, image_id: str) -> Path:
        """Return where an image's label map lies."""
        return self.root / f"{inside(image_id)}.png"

    def write_object(self, instance: Instance, mask: NDArray) -> None:
        """Write one object's mask (H, W)."""
        write_mask(self.object_path(instance.image_id, instance.object_id), mask)

    def write_map(self, image_id: str, object_ids: Iterable[int], labels: Iterable[int]) -> None:
        """Draw the objects saved of one image into its palette PNG, the smallest on top."""
        numbers = dict(zip(object_ids, labels, strict=True))
        if max(numbers.values()) > MOST_OBJECTS:
            warnings.warn(
                f"{image_id}: {len(numbers)} objects do not fit a palette PNG; their masks are "
                f"under {self.root / 'objects'} only",
                stacklevel=2,
            )
            return
        masks = [read_label_map(self.object_path(image_id, k)) != 0 for k in numbers]
        drawn = paint(masks, masks[0].shape, "smaller", numbers.values())
        write_label_map(self.map_path(image_id), drawn)

    def read(self, instance: Instance, label: int) -> NDArray:
        """Return an object's mask or probabilities (H, W), 0..1: its own file or its image's.

        Raises:
            ValueError: Neither is there, or the file is no such picture; the message names it.
        """
        own = self.object_path(instance.image_id, instance.object_id)
        shared = self.map_path(instance.image_id)
        if own.exists():
            values = read_label_map(own)
            full = 255 if values.dtype == np.uint8 else 65535
            return values / (full if values.max(initial=0) > 1 else 1)
        if shared.exists():
            return (read_label_map(shared) == label).astype(np.float32)
        raise UserError(
            f"no mask of {instance.name}: expected {own} (one object) or {shared} (label map, "
            f"value {label})"
        )
