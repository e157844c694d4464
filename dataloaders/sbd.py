"""The Semantic Boundaries Dataset: more objects on PASCAL's images (Hariharan et al., 2011).

Its MAT-files are read here, each length checked: SciPy's reader crashes on damage. The format:
The MathWorks, "MAT-File Format", level 5 (also what MATLAB calls versions 6 and 7).
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dataloaders.files import find_base, find_photos, read_split
from dataloaders.label_maps import VOID, LabelMapInstances, count_labels, size_of
from dextr.common.errors import UserError
from dextr.common.files import open_regular
from dextr.common.label_png import LARGEST_LABEL, VOC_CATEGORIES, VOID_LABEL

PLACES = (".", "dataset", "benchmark_RELEASE/dataset")
HEADER_BYTES = 128
MOST_BYTES = 2**28  # of an inflated part
MATRIX, COMPRESSED = 14, 15
STORED = {1: "i1", 2: "u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<f4", 9: "<f8",
          12: "<i8", 13: "<u8"}  # fmt: skip
STRUCT, NUMERIC = 2, range(6, 16)

Element = tuple[int, bytes]


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
            raise UserError(f"{self.label_path(image)}: {reason}")
        return size_of(labels), np.column_stack([found, by_label[found] - 1, areas])


def read_truth(path: Path) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Read an `inst` file: labels (H, W) with `VOID`, and the class 1..20 of each object."""
    try:
        with open_regular(path) as file:
            truth = read_struct(file.read(), "GTinst")
        labels = whole_numbers(truth["Segmentation"], LARGEST_LABEL).astype(np.int32)
        classes = whole_numbers(truth["Categories"], LARGEST_LABEL).astype(np.int64).ravel()
    except KeyError as error:
        raise UserError(f"{path}: GTinst has no {error}") from None
    except (ValueError, OSError) as error:
        raise UserError(f"{path}: not a readable SBD annotation ({error})") from None
    if labels.ndim != 2 or labels.size == 0:
        raise UserError(f"{path}: GTinst.Segmentation is not a label map: {labels.shape}")
    least, most = (classes.min(), classes.max()) if classes.size else (1, 1)
    if not 1 <= least <= most <= len(VOC_CATEGORIES):
        raise UserError(f"{path}: expected classes 1..{len(VOC_CATEGORIES)}, got {least}..{most}")
    if len(classes) < VOID_LABEL:
        labels[labels == VOID_LABEL] = VOID
    return labels, classes


def whole_numbers(values: NDArray, most: int) -> NDArray:
    """Return the values; a ValueError unless all are whole numbers from 0 to `most`."""
    low, high = (values.min(), values.max()) if values.size else (0, 0)
    if not (low >= 0 and high <= most and (values == np.trunc(values)).all()):
        raise UserError(f"expected whole numbers 0..{most}, got {low:g}..{high:g}")
    return values


def read_struct(content: bytes, name: str) -> dict[str, NDArray]:
    """Return the numeric fields of a 1 x 1 struct; other fields are passed over.

    Raises:
        ValueError: It is not there, or the file is damaged or of another version.
    """
    if content[HEADER_BYTES - 2 : HEADER_BYTES] != b"IM":
        raise UserError("no MAT-file of version 5 to 7, little-endian")
    try:
        for kind, data in _elements(content[HEADER_BYTES:]):
            if kind == COMPRESSED:
                kind, data = next(_elements(_inflate(data)))
            found, parts = _fields(data) if kind == MATRIX else ("", {})
            if found == name:
                arrays = {key: _numbers(part) for key, part in parts.items()}
                return {key: array for key, array in arrays.items() if array is not None}
    except (struct.error, StopIteration, KeyError, zlib.error, UnicodeDecodeError) as error:
        # Some of these errors quote the whole file.
        raise UserError(f"damaged ({type(error).__name__})") from None
    raise UserError(f"no {name} in it")


def _elements(data: bytes) -> Iterator[Element]:
    """Yield the kind and bytes of each element; ValueError if one is cut off."""
    start = 0
    while start < len(data):
        kind, size = struct.unpack_from("<II", data, start)
        begin = start + 8
        if kind >> 16:  # small: the bytes lie in the tag
            kind, size, begin = kind & 0xFFFF, kind >> 16, start + 4
            if size > 4:
                raise UserError("damaged (a small element of more than 4 bytes)")
            start += 8
        else:
            start = begin + size + (0 if kind == COMPRESSED else -size % 8)
        if begin + size > len(data):
            raise UserError("cut off")
        yield kind, data[begin : begin + size]


def _inflate(data: bytes) -> bytes:
    inflater = zlib.decompressobj()
    content = inflater.decompress(data, MOST_BYTES)
    if not inflater.eof:
        raise UserError(f"a part is cut off, or of more than {MOST_BYTES} bytes")
    return content


def _head(elements: Iterator[Element]) -> tuple[int, list[int], str]:
    """Return a matrix' class, sizes and name."""
    (_, flags), (_, sizes), (_, name) = next(elements), next(elements), next(elements)
    return flags[0] if flags else 0, np.frombuffer(sizes, "<i4").tolist(), name.decode("ascii")


def _fields(data: bytes) -> tuple[str, dict[str, bytes]]:
    """Return a matrix' name and, of a 1 x 1 struct, its fields' matrices."""
    elements = _elements(data)
    kind, sizes, name = _head(elements)
    if kind != STRUCT or math.prod(sizes) != 1:
        return name, {}
    width = int(np.frombuffer(next(elements)[1], "<i4")[0])
    text = next(elements)[1]
    if width < 1 or len(text) % width:
        raise UserError("damaged (names of fields)")
    names = [text[k : k + width].split(b"\0")[0].decode() for k in range(0, len(text), width)]
    return name, {field: next(elements)[1] for field in names}


def _numbers(data: bytes) -> NDArray | None:
    """Return a numeric matrix; None if it is of another class."""
    if not data:
        return None
    elements = _elements(data)
    kind, sizes, _ = _head(elements)
    if kind not in NUMERIC:
        return None
    stored, values = next(elements)
    array = np.frombuffer(values, STORED[stored])
    if min(sizes) < 0 or math.prod(sizes) != array.size:
        raise UserError(f"damaged ({array.size} values for a matrix of {sizes[:4]})")
    return array.reshape(sizes, order="F")
