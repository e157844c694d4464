"""The Semantic Boundaries Dataset: more objects on PASCAL's images (Hariharan et al., 2011)."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dataloaders.files import find_base, find_photos, read_split
from dataloaders.label_maps import VOID, LabelMapInstances, count_labels, size_of
from dataloaders.mat_file import read_struct
from dextr.common.files import open_regular
from dextr.common.label_png import LARGEST_LABEL, VOC_CATEGORIES, VOID_LABEL

PLACES = (".", "dataset", "benchmark_RELEASE/dataset")


class SbdInstances(LabelMapInstances):
    """The objects of SBD; the categories and the images' names are PASCAL VOC's.

    Args:
        root: The folder that holds benchmark_RELEASE, that folder itself, or its `dataset`.
        split: `train`, `val`, another list there, or `trainval` for both.
    """

    category_names = VOC_CATEGORIES
    image_space = "voc"

    def __init__(self, root: str | PathLike[str], split: str = "trainval") -> None:
        hint = "Get it with: python -m dextr download sbd"
        base = find_base(root, PLACES, ("img", "inst"), "SBD", hint)
        both = split == "trainval" and not (base / "trainval.txt").is_file()
        names = read_split(base, "train+val" if both else split)
        photos = find_photos(base, [f"img/{name}" for name in names])
        masks = [f"inst/{name}.mat" for name in names]
        files = dict(zip(names, zip(photos, masks, strict=True), strict=True))
        super().__init__(f"sbd-{split}", base, split, files)

    def read_labels(self, image: int) -> NDArray[np.int32]:
        return read_truth(self.label_path(image))[0]

    def find_objects(self, image: int) -> tuple[tuple[int, int], NDArray[np.int64]]:
        labels, classes = read_truth(self.label_path(image))
        found, areas = count_labels(labels)
        by_label = np.concatenate([[0], classes, [0]])  # last: void, label -1
        if found.max(initial=0) > len(classes):
            reason = f"object {found.max()} has no category: GTinst.Categories holds {len(classes)}"
            raise ValueError(f"{self.label_path(image)}: {reason}")
        return size_of(labels), np.column_stack([found, by_label[found] - 1, areas])


def read_truth(path: Path) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Read an `inst` file: labels (H, W) with `VOID`, and the class 1..20 of each object."""
    try:
        with open_regular(path) as file:
            truth = read_struct(file.read(), "GTinst")
        labels = whole_numbers(truth["Segmentation"], LARGEST_LABEL).astype(np.int32)
        classes = whole_numbers(truth["Categories"], LARGEST_LABEL).astype(np.int64).ravel()
    except KeyError as error:
        raise ValueError(f"{path}: GTinst has no {error}") from None
    except (ValueError, OSError) as error:
        raise ValueError(f"{path}: not a readable SBD annotation ({error})") from None
    if labels.ndim != 2 or labels.size == 0:
        raise ValueError(f"{path}: GTinst.Segmentation is not a label map: {labels.shape}")
    if classes.size and not 1 <= classes.min() <= classes.max() <= len(VOC_CATEGORIES):
        raise ValueError(f"{path}: expected classes 1..{len(VOC_CATEGORIES)}, got {classes}")
    if len(classes) < VOID_LABEL:
        labels[labels == VOID_LABEL] = VOID
    return labels, classes


def whole_numbers(values: NDArray, most: int) -> NDArray:
    """Return the values; a ValueError unless all are whole numbers from 0 to `most`."""
    low, high = (values.min(), values.max()) if values.size else (0, 0)
    if not (low >= 0 and high <= most and (values == np.trunc(values)).all()):
        raise ValueError(f"expected whole numbers 0..{most}, got {low:g}..{high:g}")
    return values
