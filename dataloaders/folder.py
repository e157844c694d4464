"""A person's own data: a folder of images and a folder of masks."""

from __future__ import annotations

import warnings
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dataloaders.files import find_base
from dataloaders.label_maps import VOID, LabelMapInstances
from dextr.common.errors import UserError
from dextr.common.images import image_files
from dextr.common.label_png import LARGEST_LABEL, VOID_LABEL, read_label_map

LOSSY = (".jpg", ".jpeg", ".jfif")
SOFT_LEVELS = 10


class FolderInstances(LabelMapInstances):
    """Objects of `root/images` and `root/masks`, matched by file name without extension.

    Masks are palette, grey (8 or 16 bits) or 1-bit images: 0 background, other labels objects. 255
    is void; in a map with labels above 255 it is an object and 65535 is void. Where no mask of
    the folder holds void beside objects, masks of 0 and 255 are binary: 255 is object 1.
    """

    def __init__(self, root: str | PathLike[str]) -> None:
        hint = "Put every image's mask under the image's name: images/a.jpg, masks/a.png"
        base = find_base(root, (".",), ("images", "masks"), "images and masks", hint).resolve()
        images, masks = _by_stem(base / "images"), _by_stem(base / "masks")
        _check_masks(base, images, masks)
        self.image_space = str(base)
        self.binary = False
        files = {k: (f"images/{images[k]}", f"masks/{masks[k]}") for k in sorted(masks)}
        super().__init__(f"folder-{base.name}", base, "", files)

    def read_labels(self, image: int) -> NDArray[np.int32]:
        labels = read_label_map(self.label_path(image)).astype(np.int32)
        void = VOID_LABEL if labels.max() <= VOID_LABEL else LARGEST_LABEL
        labels[labels == void] = 1 if self.binary else VOID
        return labels

    def choose_objects(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        count = len(self.label_files)
        is_void = rows[:, 1] == VOID
        objects = np.bincount(rows[~is_void, 0], minlength=count)
        object_area = np.bincount(rows[~is_void, 0], rows[~is_void, 3], count)
        void_area = np.bincount(rows[is_void, 0], rows[is_void, 3], count)
        soft = (objects >= SOFT_LEVELS) & (void_area > 2 * object_area)
        if soft.any():
            raise UserError(
                f"{self.label_path(int(soft.argmax()))}: looks like a soft grey mask (many levels "
                "beside a large area of 255), not a label map; threshold it to 0 and 255 first"
            )
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
