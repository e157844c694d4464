"""Label maps, a number per pixel: read, painted from masks, written in PASCAL VOC's colours."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dextr.common.errors import UserError
from dextr.common.files import replacing
from dextr.common.image_files import mark, open_image
from dextr.common.mask_kinds import values_of

# Class k is the k-th; 0 is background.
VOC_CATEGORIES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)
MOST_OBJECTS = 254  # in a map of one byte per pixel
VOID_LABEL = 255  # undecided pixels, in such a map
LARGEST_LABEL = 65535  # undecided pixels, in a map with labels above 255


def palette() -> NDArray[np.uint8]:
    """Return the colour map of PASCAL VOC, (256, 3), RGB.

    The bits of a colour's number are dealt to red, green and blue in turn, and fill each channel
    from its highest bit down (VOC development kit, VOCcolormap).

    >>> palette()[[0, 1, 2, 15, 255]].tolist()
    [[0, 0, 0], [128, 0, 0], [0, 128, 0], [192, 128, 128], [224, 224, 192]]
    """
    numbers = np.arange(256)
    colors = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        colors[:, bit % 3] |= ((numbers >> bit & 1) << (7 - bit // 3)).astype(np.uint8)
    return colors


def paint(
    masks: Iterable[NDArray],
    hw: tuple[int, int],
    front: Literal["later", "smaller"],
    numbers: Iterable[int] | None = None,
) -> NDArray[np.uint8]:
    """Return a label map (H, W) of masks that may overlap; 0 is background.

    Args:
        masks: Bool (H, W) each; used one after another, so they may be made on the way.
        hw: Height and width.
        front: Which of two masks is seen where they overlap: the later one, or the smaller one
            (of two as large, the later one).
        numbers: The masks' labels, each once; None counts from 1.

    Raises:
        ValueError: A label outside 1..254: more masks than a map of one byte can hold.

    >>> paint([np.array([[1, 0, 0]]) > 0, np.array([[1, 1, 0]]) > 0], (1, 3), "smaller").tolist()
    [[1, 2, 0]]
    """
    labels = np.zeros(hw, np.uint8)
    areas = np.zeros(MOST_OBJECTS + 1, np.int64)
    areas[0] = labels.size + 1
    numbers = range(1, VOID_LABEL + 1) if numbers is None else numbers
    for number, mask in zip(numbers, masks, strict=False):
        if not 1 <= number <= MOST_OBJECTS:
            raise UserError(f"a palette PNG holds {MOST_OBJECTS} objects, got number {number}")
        areas[number] = np.count_nonzero(mask) if front == "smaller" else 0
        below = labels[mask]
        labels[mask] = np.where(areas[number] <= areas[below], number, below)
    return labels


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


def read_label_map(path: str | PathLike[str]) -> NDArray[np.integer]:
    """Read the labels (H, W) of a mask file: palette indices, grey values, or 0 and 1 of 1 bit.

    Of a mask in an alpha channel that is read, and grey palettes with white first go by their
    colours; see `mask_kinds.values_of`.

    Raises:
        ValueError: The file is missing, no image, coloured, or its labels leave 0..65535.
    """
    with open_image(path) as image:
        labels = values_of(image)
    if labels.ndim == 3:
        colours, labels = labels, labels[:, :, 0]
        if (colours != labels[:, :, None]).any():
            raise UserError(
                f"{path}: expected a mask of one channel (palette or grey), got colours; save "
                "the objects' numbers, not their colours"
            )
    if labels.dtype == bool:
        return labels.astype(np.uint8)
    least, most = (labels.min(), labels.max()) if labels.size else (0, 0)
    if labels.dtype.kind not in "ui" or least < 0 or most > LARGEST_LABEL:
        raise UserError(
            f"{path}: expected whole labels from 0 to {LARGEST_LABEL}, got "
            f"{labels.dtype} {least:g}..{most:g}"
        )
    return labels


def write_label_map(path: str | PathLike[str], labels: NDArray) -> None:
    """Write labels (H, W) as VOC does: one byte per pixel, coloured by `palette`.

    They are 0 background, 1..254 objects or classes, 255 undecided.

    Raises:
        ValueError: Not whole numbers (H, W) in 0..255.
    """
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.dtype.kind not in "bui":
        got = f"{labels.shape} {labels.dtype}"
        raise UserError(f"expected labels (H, W) of whole numbers, got {got}")
    if labels.size and not 0 <= int(labels.min()) <= int(labels.max()) <= 255:
        raise UserError(
            f"a palette PNG holds the labels 0..255, got {labels.min()}..{labels.max()}: write "
            "fewer objects, or one mask per object"
        )
    picture = Image.fromarray(labels.astype(np.uint8))
    picture.putpalette(palette().tobytes())
    with replacing(path) as temporary:
        picture.save(temporary, format="PNG", pnginfo=mark())


def write_mask(path: str | PathLike[str], mask: NDArray) -> None:
    """Write one object's mask (H, W) as a PNG of 0 and 255."""
    with replacing(path) as temporary:
        picture = Image.fromarray((np.asarray(mask) != 0).astype(np.uint8) * 255)
        picture.save(temporary, format="PNG", pnginfo=mark())
