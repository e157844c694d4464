"""Label maps, a number per pixel: read, painted from masks, written in PASCAL VOC's colours."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dextr.common.errors import UserError
from dextr.common.files import replacing
from dextr.common.image_files import mark, open_image

# Class k is the k-th; 0 is background.
VOC_CATEGORIES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)
MOST_OBJECTS = 254  # in a map of one byte per pixel
VOID_LABEL = 255  # undecided pixels, in such a map
LARGEST_LABEL = 65535  # undecided pixels, in a map with labels above 255
WHITE = 255
VOID_VALUES = (255, 65535)  # full white, with 8 and with 16 bits
MANY_LEVELS = 10
RIM_SHARE = 0.95
WITH_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
OTHER_COLOURS = ("CMYK", "YCbCr", "LAB", "HSV")


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
    colours; see `values_of`.

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


def values_of(image: Image.Image) -> NDArray:
    """Return a mask's values (H, W), or (H, W, C) where its channels differ in meaning.

    A palette's indices, but by its colours where these are grey with white first; the alpha
    channel of a mask that has one colour, or white wherever it is seen.

    Raises:
        ValueError: Labels lie where the picture is transparent.
    """
    if image.mode in OTHER_COLOURS:
        image = image.convert("RGB")
    values = np.asarray(image)
    if image.mode == "P":
        return _by_colours(values, np.array(image.getpalette(), np.uint8).reshape(-1, 3))
    if image.mode not in WITH_ALPHA:
        return values
    colours, alpha = values[:, :, :-1], values[:, :, -1]
    seen = alpha > 0
    if alpha.size and alpha.min() < alpha.max():
        if (colours == colours[0, 0]).all() or (colours[seen] == WHITE).all():
            return alpha
        if colours[~seen].any():
            raise UserError(
                "labels where the picture is transparent: which of the two is the mask? Save it "
                "without transparency"
            )
    return colours


def _by_colours(values: NDArray, palette: NDArray[np.uint8]) -> NDArray:
    """Return what a grey palette with white first shows, 1 for white if else there is black."""
    used = np.unique(values)
    if not len(palette) or (used.size and used[-1] >= len(palette)):
        return values
    grey = (palette[used] == palette[used, :1]).all()
    shown = {WHITE, *palette[used, 0].tolist()}
    if not grey or (palette[0] != WHITE).any() or not (palette == 0).all(axis=1).any():
        return values
    shades = palette[values, 0]
    return shades // WHITE if shown <= {0, WHITE} else shades


def is_soft(labels: NDArray) -> bool:
    """Return whether a map (H, W) is one object's mask with soft edges, not a map of numbers.

    Then what lies between 0 and the largest value are rims: nearly each pixel there has a lower and
    a higher one beside it; and the largest value has an inside. In a map of numbers objects have
    an inside, and undecided pixels (255) lie around them.
    """
    most = labels.max(initial=0)
    between = (labels > 0) & (labels < most)
    if not between.any() or labels.dtype not in (np.uint8, np.uint16):
        return False
    levels = np.unique(labels[between]).size
    if most not in VOID_VALUES and levels < 2:
        return False
    inside = cv2.erode((labels == most).astype(np.uint8), np.ones((3, 3), np.uint8))
    if not inside.any():
        return False
    around = np.ones((7, 7) if levels >= MANY_LEVELS else (3, 3), np.uint8)
    rims = (cv2.erode(labels, around) < labels) & (cv2.dilate(labels, around) > labels)
    return bool(np.count_nonzero(rims & between) >= RIM_SHARE * np.count_nonzero(between))


def cut_at_the_middle(labels: NDArray) -> NDArray[np.bool_]:
    """Return the object (H, W) of a soft mask: above half of its largest value."""
    return labels > labels.max(initial=0) / 2
