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
from dextr.common.image_files import open_image, refuse_foreign
from dextr.common.label_png import (
    LARGEST_LABEL,
    MOST_OBJECTS,
    VOID_LABEL,
    is_soft,
    paint,
    read_label_map,
    write_label_map,
    write_mask,
)
from dextr.samples import Instance


class MaskFolder:
    """A folder with a PNG per object or per image.

    - `objects/IMAGE/OBJECT.png`: one object's mask, 0 and 255 (or 0 and 1, where all files are
      so). Other grey values are probabilities: value / 255 (16 bits: / 65535) is compared with
      the threshold.
    - `IMAGE.png`: all objects of an image as a palette PNG like VOC's, or a grey one of 8 or 16
      bits; see `label_png.labels_of`. A pixel holds one object only, so overlaps are lost. Object
      1 may be drawn as 0 and 255.
    """

    def __init__(self, root: str | PathLike[str]) -> None:
        self.root = Path(root)
        self._all_masks: bool | None = None

    def object_path(self, image_id: str, object_id: int) -> Path:
        """Return where one object's mask lies."""
        return self.root / "objects" / inside(image_id) / f"{object_id}.png"

    def map_path(self, image_id: str) -> Path:
        """Return where an image's label map lies."""
        return self.root / f"{inside(image_id)}.png"

    def write_object(self, instance: Instance, mask: NDArray) -> None:
        """Write one object's mask (H, W); a ValueError where a file of others would be lost."""
        path = self.object_path(instance.image_id, instance.object_id)
        for target in (path, self.map_path(instance.image_id)):
            refuse_foreign(target)
        write_mask(path, mask)

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
            values = self._checked(own, instance)
            most = values.max(initial=0)
            return values / (1 if most <= 1 and self._holds_masks(own) else _full(values))
        if shared.exists():
            values = self._checked(shared, instance)
            if label == 1 and (is_soft(values) or _is_binary(values)):
                return values / _full(values)
            return (values == label).astype(np.float32)
        raise UserError(
            f"no mask of {instance.name}: expected {own} (one object) or {shared} (label map, "
            f"value {label})"
        )

    def _checked(self, path: Path, instance: Instance) -> NDArray[np.integer]:
        """Return a file's values; one that is larger than the image is not decoded."""
        with open_image(path) as picture:
            width, height = picture.size
        if height * width > instance.hw[0] * instance.hw[1]:
            raise UserError(
                f"{path}: expected a mask of {instance.name} {instance.hw}, got {(height, width)}"
            )
        return read_label_map(path)

    def _holds_masks(self, path: Path) -> bool:
        """Whether 1 of 255 is an object here, no probability: of 1 bit, a palette, or all are so.

        All files are looked at once, and only as far as the first with a larger value.
        """
        with open_image(path) as picture:
            if picture.mode in ("1", "P"):
                return True
        if self._all_masks is None:
            files = sorted((self.root / "objects").rglob("*.png"))
            self._all_masks = all(read_label_map(file).max(initial=0) <= 1 for file in files)
        return self._all_masks


def _full(values: NDArray) -> int:
    return VOID_LABEL if values.dtype == np.uint8 else LARGEST_LABEL


def _is_binary(values: NDArray) -> bool:
    return bool(
        values.max(initial=0) == _full(values) and np.isin(values, (0, _full(values))).all()
    )
