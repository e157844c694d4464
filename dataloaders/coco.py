"""COCO instances: one mask per annotation, overlapping freely, decoded when asked for."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from functools import partial
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dataloaders.coco_index import index_annotations
from dataloaders.files import (
    LastRead,
    check_headers,
    check_present,
    read_headers,
    read_image_like,
)
from dataloaders.index_cache import cached_arrays
from dataloaders.instances import Instances, ObjectIndex, category_indices
from dextr.common.rle import decode


class CocoInstances(Instances):
    """The objects of an annotation file in COCO's format.

    `object_id` is the annotation's id; an image is named by its file without extension. Crowd
    regions and objects without a pixel are left out, with a warning that counts them.

    Args:
        annotations: The JSON file.
        images: The folder its file names are relative to.
        categories: Names of those to keep; None keeps all.
        keep_crowd: Crowd regions are objects like others.

    Attributes:
        coco_image_ids: (M,) the file's ids by image number.
        coco_category_ids: The file's ids by category index.
    """

    def __init__(
        self,
        annotations: str | PathLike[str],
        images: str | PathLike[str],
        categories: Sequence[str] | None = None,
        keep_crowd: bool = False,
    ) -> None:
        self.annotations, self.images = Path(annotations).resolve(), Path(images).resolve()
        part = self.annotations.stem.removeprefix("instances").lstrip("_")
        self.name = f"coco-{part}" if part else "coco"
        self.image_space = str(self.images)
        build = partial(index_annotations, self.annotations)
        packed = cached_arrays(f"coco {self.annotations}", [self.annotations], build)
        self.image_files = np.array([self._file(f) for f in packed["files"].tolist()], np.str_)
        self.image_hw, self.coco_image_ids = packed["image_hw"], packed["image_ids"]
        names, rows, starts = packed["category_names"].tolist(), packed["rows"], packed["starts"]
        kept = category_indices(self.name, names, names if categories is None else categories)
        self.category_names = tuple(names[k] for k in kept)
        self.coco_category_ids = packed["category_ids"][kept]
        crowd = packed["crowd"] & (not keep_crowd)
        plain = (rows[:, 3] > 0) & ~crowd
        self._warn_of_left_out(rows[:, 3], crowd)
        ids = names_of_images(self.image_files.tolist(), self.coco_image_ids)
        everything = ObjectIndex.of_rows(ids, rows[plain])
        chosen = np.isin(everything.category, kept)
        self.index = everything.take(chosen)
        self.index.category[:] = np.searchsorted(kept, self.index.category)
        self._counts = packed["counts"]
        self._spans = np.column_stack([starts[:-1], starts[1:]])[plain][chosen]
        self._image: LastRead[NDArray[np.uint8]] = LastRead()
        self._check_photos(np.unique(self.index.image))

    def read_image(self, image: int) -> NDArray[np.uint8]:
        path, hw = self.images / self.image_files[image], self._hw(image)
        return self._image.get(image, lambda _: read_image_like(path, hw, self.annotations))

    def read_mask(self, row: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        hw = self._hw(int(self.index.image[row]))
        start, stop = self._spans[row]
        return decode(self._counts[start:stop].tobytes(), hw), np.zeros(hw, bool)

    def _file(self, name: str) -> str:
        """Return an image's file; Windows programs write its folder with a backslash."""
        there = "\\" not in name or (self.images / name).is_file()
        return name if there else name.replace("\\", "/")

    def _check_photos(self, used: NDArray[np.int64]) -> None:
        """See that the photos are there, and have the sizes that the file states."""
        files = self.image_files[used].tolist()
        check_present(self.images, files)
        photos = [self.images / file for file in files]
        headers = cached_arrays(
            f"photos {self.annotations} {self.images} {len(files)}", photos,
            lambda: {"headers": read_headers(self.images, files)},
        )["headers"]  # fmt: skip
        check_headers(photos, headers, self.image_hw[used], lambda _: self.annotations)

    def _warn_of_left_out(self, areas: NDArray[np.int64], crowd: NDArray[np.bool_]) -> None:
        empty = np.count_nonzero((areas == 0) & ~crowd)
        if crowd.any():
            warnings.warn(
                f"{self.annotations}: {np.count_nonzero(crowd)} of {len(crowd)} annotations are "
                "crowd regions (iscrowd 1) and left out; some tools mark every brush mask so: "
                "keep_crowd (--keep-crowd) takes them as objects",
                stacklevel=3,
            )
        if empty:
            warnings.warn(
                f"{self.annotations}: {empty} annotations have no pixel and are left out",
                stacklevel=3,
            )

    def files_of(self, image: int) -> list[Path]:
        return [self.images / self.image_files[image]]

    def _hw(self, image: int) -> tuple[int, int]:
        height, width = self.image_hw[image].tolist()
        return height, width


def names_of_images(files: Sequence[str], image_ids: NDArray[np.int64]) -> list[str]:
    """Return names fit for file names: the files' without extension, or the ids if those clash."""
    names = [os.path.splitext(file)[0].replace("/", "_") for file in files]
    return names if len(set(names)) == len(names) else [str(number) for number in image_ids]
