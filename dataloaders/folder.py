"""A person's own data: a folder of images and a folder of masks."""

from __future__ import annotations

import warnings
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dataloaders.files import find_base
from dataloaders.label_maps import VOID, LabelMapInstances, count_labels, size_of
from dextr.common.errors import UserError
from dextr.common.image_files import image_files
from dextr.common.label_png import (
    LARGEST_LABEL,
    VOID_LABEL,
    cut_at_the_middle,
    is_soft,
    read_label_map,
)

LOSSY = (".jpg", ".jpeg", ".jfif")
SOFT_LEVELS = 10
SOFT = -2  # an object's number in the kept index: its mask has soft edges


class FolderInstances(LabelMapInstances):
    """Objects of `root/images` and `root/masks`, matched by file name without extension.

    Masks are palette, grey (8 or 16 bits) or 1-bit images: 0 background, other labels objects. 255
    is void; in a map with labels above 255 it is an object and 65535 is void. Where no mask of
    the folder holds void beside objects, masks of 0 and 255 are binary: 255 is object 1. A mask
    with soft edges is cut at the middle, with a warning.
    """

    def __init__(self, root: str | PathLike[str]) -> None:
        hint = "Put every image's mask under the image's name: images/a.jpg, masks/a.png"
        base = find_base(root, (".",), ("images", "masks"), "images and masks", hint).resolve()
        images, masks = _by_stem(base / "images"), _by_stem(base / "masks")
        _check_masks(base, images, masks)
        self.image_space = str(base)
        self.binary, self.soft = False, np.zeros(len(masks), bool)
        files = {k: (f"images/{images[k]}", f"masks/{masks[k]}") for k in sorted(masks)}
        super().__init__(f"folder-{base.name}", base, "", files)

    def read_labels(self, image: int) -> NDArray[np.int32]:
        read = read_label_map(self.label_path(image))
        if self.soft[image]:
            return cut_at_the_middle(read).astype(np.int32)
        return self._numbers(read)

    def find_objects(self, image: int) -> tuple[tuple[int, int], NDArray[np.int64]]:
        read = read_label_map(self.label_path(image))
        if is_soft(read):
            area = np.count_nonzero(cut_at_the_middle(read))
            return size_of(read), np.array([[SOFT, -1, area]], np.int64)
        found, areas = count_labels(self._numbers(read))
        return size_of(read), np.column_stack([found, np.full_like(found, -1), areas])

    def choose_objects(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        marked = rows[:, 1] == SOFT
        self.soft[rows[marked, 0]] = True
        if self.soft.any():
            warnings.warn(
                f"{self.label_path(int(self.soft.argmax()))} has soft edges (grey between 0 and "
                f"its largest value) and is cut at the middle ({self.soft.sum()} such masks)",
                stacklevel=2,
            )
        soft = rows[marked].copy()
        soft[:, 1] = 1
        return np.concatenate([self._choose_numbered(rows[~marked]), soft])

    def _numbers(self, read: NDArray[np.integer]) -> NDArray[np.int32]:
        """Return the labels of a map as it is read."""
        labels = read.astype(np.int32)
        void = VOID_LABEL if labels.max(initial=0) <= VOID_LABEL else LARGEST_LABEL
        labels[labels == void] = 1 if self.binary else VOID
        return labels

    def _choose_numbered(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows that are objects, of masks that are numbered or hold 0 and 255."""
        objects, object_area, void_area = self._areas(rows)
        grey = (objects >= SOFT_LEVELS) & (void_area > 2 * object_area)
        if grey.any():
            warnings.warn(
                f"{self.label_path(int(grey.argmax()))} looks like a soft grey mask (many levels "
                "beside a large area of 255), not a label map, and is left out "
                f"({grey.sum()} such masks); threshold it to 0 and 255 first",
                stacklevel=3,
            )
            rows = rows[~grey[rows[:, 0]]]
            objects, object_area, void_area = self._areas(rows)
        is_void = rows[:, 1] == VOID
        self.binary = not ((objects > 0) & (void_area > 0)).any()
        if self.binary:
            rows[is_void, 1] = 1
            return rows
        only_void = np.flatnonzero((objects == 0) & (void_area > 0))
        if only_void.size:
            warnings.warn(
                f"{self.label_path(int(only_void[0]))} holds only 0 and {VOID_LABEL}, which is "
                f"void in other masks of the folder, so no object was found in it (there are "
                f"{only_void.size} such masks); if it is an object, number it 1",
                stacklevel=2,
            )
        return super().choose_objects(rows)

    def _areas(self, rows: NDArray[np.int64]) -> tuple[NDArray, NDArray, NDArray]:
        """Return how many objects each mask has, their area, and that of its void."""
        is_void, count = rows[:, 1] == VOID, len(self.label_files)
        return (
            np.bincount(rows[~is_void, 0], minlength=count),
            np.bincount(rows[~is_void, 0], rows[~is_void, 3], count),
            np.bincount(rows[is_void, 0], rows[is_void, 3], count),
        )


def _by_stem(folder: Path) -> dict[str, str]:
    """Return the names of a folder's images by name without extension."""
    files: dict[str, str] = {}
    for file in image_files(folder):
        if file.stem in files:
            raise UserError(
                f"{folder}: {files[file.stem]} and {file.name} have the same name; keep one of them"
            )
        files[file.stem] = file.name
    return files


def _check_masks(base: Path, images: dict[str, str], masks: dict[str, str]) -> None:
    for name, file in masks.items():
        mask = base / "masks" / file
        if name not in images:
            raise UserError(f"{mask}: no image of that name, {base / 'images' / name}.*")
        if file.lower().endswith(LOSSY):
            raise UserError(f"{mask}: JPEG does not keep labels exact; save masks as PNG")
    without = [file for name, file in images.items() if name not in masks]
    if without:
        warnings.warn(
            f"{len(without)} of {len(images)} images have no mask and are left out, such as "
            f"{base / 'images' / without[0]}",
            stacklevel=3,
        )
