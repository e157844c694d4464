"""The Semantic Boundaries Dataset: more objects on PASCAL's images (Hariharan et al., 2011)."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dataloaders.files import find_base, read_split
from dataloaders.label_maps import VOID, LabelMapInstances, count_labels
from dextr.common.errors import UserError
from dextr.common.label_png import VOC_CATEGORIES, VOID_LABEL

HEADER_BYTES = 128
COMPRESSED = 15
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
        files = {k: (f"img/{k}.jpg", f"inst/{k}.mat") for k in names}
        super().__init__(f"sbd-{split}", base, split, files)

    def read_labels(self, image: int) -> NDArray[np.int32]:
        return read_truth(self.label_path(image))[0]

    def find_objects(self, image: int) -> NDArray[np.int64]:
        labels, classes = read_truth(self.label_path(image))
        found, areas = count_labels(labels)
        by_label = np.concatenate([[0], classes, [0]])  # last: void, label -1
        if found.max(initial=0) > len(classes):
            reason = f"object {found.max()} has no category: GTinst.Categories holds {len(classes)}"
            raise UserError(f"{self.label_path(image)}: {reason}")
        return np.column_stack([found, by_label[found] - 1, areas])


def read_truth(path: Path) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Read an `inst` file: labels (H, W) with `VOID`, and the class 1..20 of each object."""
    from scipy.io import loadmat

    try:
        content = path.read_bytes()
        check_compressed_parts(content)
        truth = loadmat(BytesIO(content), variable_names=["GTinst"])["GTinst"][0, 0]
        labels = np.asarray(truth["Segmentation"]).astype(np.int32)
        classes = np.asarray(truth["Categories"]).astype(np.int64).ravel()
    except Exception as error:  # scipy raises nearly anything on a damaged file
        raise UserError(f"{path}: not a readable SBD annotation ({error!r})") from None
    if labels.ndim != 2 or labels.size == 0 or labels.min() < 0:
        raise UserError(f"{path}: GTinst.Segmentation is not a label map: {labels.shape}")
    if classes.size and not 1 <= classes.min() <= classes.max() <= len(VOC_CATEGORIES):
        raise UserError(f"{path}: expected classes 1..{len(VOC_CATEGORIES)}, got {classes}")
    if len(classes) < VOID_LABEL:
        labels[labels == VOID_LABEL] = VOID
    return labels, classes


def check_compressed_parts(content: bytes) -> None:
    """Raise an error if a part of a MAT-file fails its checksum: scipy's reader would crash."""
    if content[HEADER_BYTES - 2 : HEADER_BYTES] != b"IM":
        raise UserError("no MAT-file of version 5 or 7, little-endian")
    start = HEADER_BYTES
    while start < len(content):
        kind, size = struct.unpack_from("<II", content, start)
        start, end = start + 8, start + 8 + size
        if kind == COMPRESSED:
            zlib.decompress(content[start:end])
        start = end
