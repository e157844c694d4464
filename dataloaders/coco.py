"""COCO instances: one mask per annotation, overlapping freely, decoded when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dataloaders.coco_annotations import names_of_images, pack_annotations
from dataloaders.index_cache import cached_arrays
from dataloaders.instances import Instances, ObjectIndex
from dataloaders.label_maps import check_present
from dataloaders.reading import LastRead, read_image_like


class CocoInstances(Instances):
    """The objects of an annotation file in COCO's format; crowd regions are left out.

    `object_id` is the annotation's id; an image is named by its file without extension.

    Args:
        annotations: The JSON file.
        images: The folder its file names are relative to.
        categories: Names of those to keep; None keeps all.

    Attributes:
        coco_image_ids: (M,) the file's ids by image number.
        coco_category_ids: The file's ids by category index.

    Raises:
        ValueError: The file is not of this kind, an unknown category is named, or an image with
            objects is missing.
    """

    def __init__(
        self,
        annotations: str | PathLike[str],
        images: str | PathLike[str],
        categories: Sequence[str] | None = None,
    ) -> None:
        self.annotations, self.images = Path(annotations).resolve(), Path(images).resolve()
        part = self.annotations.stem.removeprefix("instances").lstrip("_")
        self.name = f"coco-{part}" if part else "coco"
        self.image_space = str(self.images)
        packed = cached_arrays(
            f"coco {self.annotations}",
            [self.annotations],
            lambda: pack_annotations(self.annotations),
        )
        self.image_files, self.image_hw = packed["files"], packed["image_hw"]
        self.coco_image_ids = packed["image_ids"]
        names = [str(name) for name in packed["category_names"]]
        kept = _kept_categories(names, categories)
        self.category_names = tuple(names[k] for k in kept)
        self.coco_category_ids = packed["category_ids"][kept]
        rows, starts = packed["rows"], packed["starts"]
        lookup = np.full(len(names) + 1, -1)
        lookup[kept] = np.arange(len(kept))
        rows[:, 2] = lookup[rows[:, 2]]
        chosen = rows[:, 2] >= 0
        self._counts = packed["counts"]
        self._spans = np.column_stack([starts[:-1], starts[1:]])[chosen]
        ids = names_of_images(self.image_files.tolist(), self.coco_image_ids)
        self.index = ObjectIndex.of_rows(ids, rows[chosen])
        self._image: LastRead[NDArray[np.uint8]] = LastRead()
        check_present(self.images, self.image_files[np.unique(self.index.image)].tolist())

    def read_image(self, image: int) -> NDArray[np.uint8]:
        return self._image.get(image, self._decode_image)

    def read_mask(self, row: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        from pycocotools import mask as coco_mask

        hw = self._hw(int(self.index.image[row]))
        start, stop = self._spans[row]
        mask = coco_mask.decode({"size": list(hw), "counts": self._counts[start:stop].tobytes()})
        return np.ascontiguousarray(mask, dtype=bool), np.zeros(hw, bool)

    def _decode_image(self, image: int) -> NDArray[np.uint8]:
        path = self.images / str(self.image_files[image])
        return read_image_like(path, self._hw(image), self.annotations)

    def _hw(self, image: int) -> tuple[int, int]:
        height, width = self.image_hw[image]
        return int(height), int(width)


def _kept_categories(names: list[str], wanted: Sequence[str] | None) -> NDArray[np.int64]:
    """Return the positions of the wanted names, ascending."""
    if wanted is None:
        return np.arange(len(names))
    unknown = sorted(set(wanted) - set(names))
    if unknown:
        raise ValueError(f"unknown category {unknown[0]!r}; there are: {', '.join(names)}")
    return np.array([k for k, name in enumerate(names) if name in set(wanted)], np.int64)
