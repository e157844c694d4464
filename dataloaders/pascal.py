"""PASCAL VOC 2012: objects of SegmentationObject, their classes from SegmentationClass."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dataloaders.files import find_base, find_photos, read_split
from dataloaders.label_maps import VOID, LabelMapInstances, size_of
from dextr.common.errors import UserError
from dextr.common.label_png import VOC_CATEGORIES, VOID_LABEL, read_label_map

PLACES = (".", "VOC2012", "VOCdevkit/VOC2012")
LISTS = "ImageSets/Segmentation"
NEEDED = (LISTS, "JPEGImages", "SegmentationObject", "SegmentationClass")


class PascalInstances(LabelMapInstances):
    """The objects of PASCAL VOC 2012; a category's index is its class less 1.

    Args:
        root: The folder that holds VOCdevkit, VOCdevkit itself, or VOC2012.
        split: `train`, `val`, `trainval`, or any other list in ImageSets/Segmentation.
    """

    category_names = VOC_CATEGORIES
    image_space = "voc"

    def __init__(self, root: str | PathLike[str], split: str = "val") -> None:
        hint = "Get it with: python -m dextr download voc2012"
        base = find_base(root, PLACES, NEEDED, "PASCAL VOC 2012", hint)
        names = read_split(base / LISTS, split)
        photos = find_photos(base, [f"JPEGImages/{name}" for name in names])
        masks = [f"SegmentationObject/{name}.png" for name in names]
        files = dict(zip(names, zip(photos, masks, strict=True), strict=True))
        super().__init__(f"pascal-{split}", base, split, files)

    def annotation_paths(self, image: int) -> list[Path]:
        label_path = self.label_path(image)
        return [label_path, self.base / "SegmentationClass" / label_path.name]

    def read_labels(self, image: int) -> NDArray[np.int32]:
        labels = read_label_map(self.label_path(image))
        return np.where(labels == VOID_LABEL, VOID, labels.astype(np.int32))

    def find_objects(self, image: int) -> tuple[tuple[int, int], NDArray[np.int64]]:
        label_path, class_path = self.annotation_paths(image)
        labels, classes = read_label_map(label_path), read_label_map(class_path)
        if labels.shape != classes.shape:
            raise UserError(
                f"{label_path} is {labels.shape[1]} x {labels.shape[0]} pixels, "
                f"but {class_path} is {classes.shape[1]} x {classes.shape[0]}"
            )
        if labels.dtype != np.uint8 or classes.dtype != np.uint8:
            raise UserError(f"{label_path}: expected 8-bit masks")
        joint = np.left_shift(labels, 8, dtype=np.uint16) | classes
        counts = np.bincount(joint.ravel(), minlength=256 * 256).reshape(256, 256)
        areas = counts.sum(axis=1)
        found = np.flatnonzero(areas[1:VOID_LABEL]) + 1
        by_class = counts[found, 1:VOID_LABEL]
        category = np.where(by_class.any(axis=1), by_class.argmax(axis=1), -1)
        if category.max(initial=-1) >= len(VOC_CATEGORIES):
            expected = f"expected classes 1..{len(VOC_CATEGORIES)}"
            raise UserError(f"{class_path}: {expected}, got {category.max() + 1}")
        return size_of(labels), np.column_stack([found, category, areas[found]])
