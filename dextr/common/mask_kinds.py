"""What people save as a mask: in the alpha channel, as black and white, with soft edges."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dextr.common.errors import UserError

WHITE = 255
VOID_VALUES = (255, 65535)  # full white, with 8 and with 16 bits
MANY_LEVELS = 10
RIM_SHARE = 0.95
WITH_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
OTHER_COLOURS = ("CMYK", "YCbCr", "LAB", "HSV")


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
