"""Pictures: masks over an image. No window."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from dextr.common.errors import UserError
from dextr.common.files import replacing
from dextr.common.image_files import mark
from dextr.common.label_png import palette
from dextr.geometry import Box

Color = tuple[int, int, int]
WHITE = (255, 255, 255)


def object_color(number: int) -> Color:
    """Return the colour, RGB, of object 1, 2, ...: the palette's, brighter to show on a photo."""
    color = palette()[(number - 1) % 255 + 1]
    red, green, blue = np.rint(255 * np.sqrt(color / 255)).astype(int).tolist()
    return red, green, blue


def overlay(
    image: NDArray[np.uint8],
    masks: Sequence[NDArray],
    points: Sequence[ArrayLike] | None = None,
    alpha: float = 0.45,
    first: int = 1,
    outline: bool = True,
) -> NDArray[np.uint8]:
    """Return a copy of an image with objects filled, outlined, and their points drawn.

    Args:
        image: (H, W, 3), RGB.
        masks: One (H, W) mask per object; later ones lie on top.
        points: One array (N, 2), xy, per object, drawn in the object's colour. There may be more
            of them than masks: an object that has clicks and no mask yet.
        alpha: Weight of the fill, 0 (outline only) to 1.
        first: Number of the first object; it chooses the colours.
        outline: Whether outlines are drawn.

    Raises:
        ValueError: A mask has another size than the image, or points are not (N, 2).

    >>> overlay(np.zeros((2, 2, 3), np.uint8), [], []).shape
    (2, 2, 3)
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise UserError(f"expected an image (H, W, 3) uint8, got {image.shape} {image.dtype}")
    picture = np.array(image, order="C")
    thickness = max(1, round(max(image.shape) / 350))
    line = thickness if outline else 0
    for number, mask in enumerate(masks, first):
        _draw_mask(picture, np.asarray(mask) != 0, object_color(number), alpha, line)
    for number, clicks in enumerate(points if points is not None else (), first):
        _draw_points(picture, clicks, object_color(number), thickness)
    return picture


def _draw_mask(
    picture: NDArray[np.uint8], mask: NDArray[np.bool_], color: Color, alpha: float, thickness: int
) -> None:
    if mask.shape != picture.shape[:2]:
        raise UserError(
            f"expected a mask of the image's size {picture.shape[:2]}, got shape {mask.shape}"
        )
    if not mask.any():
        return
    # Only the object's surroundings are touched: on a large photo that is what takes the time.
    part = Box.of_mask(mask).relaxed(thickness + 2).inside(mask.shape).slices()
    inside, area = mask[part], np.ascontiguousarray(picture[part])
    blend = np.rint(np.arange(256)[:, None] * (1 - alpha) + np.array(color) * alpha)
    area[inside] = blend.astype(np.uint8)[area[inside], [0, 1, 2]]
    if thickness:
        filled = inside.astype(np.uint8)
        outlines, _ = cv2.findContours(filled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        # A dark line under the light one: the outline shows on any background.
        cv2.drawContours(area, outlines, -1, [c // 4 for c in color], thickness + 2)
        cv2.drawContours(area, outlines, -1, [127 + c // 2 for c in color], thickness)
    picture[part] = area


def _draw_points(
    picture: NDArray[np.uint8], points: ArrayLike, color: Color, thickness: int
) -> None:
    array = np.asarray(points, dtype=np.float64)
    array = array if array.size else np.empty((0, 2))
    if array.ndim != 2 or array.shape[1] != 2:
        raise UserError(
            f"expected points (N, 2) for each object, got shape {array.shape}: give a list with "
            "one array per mask"
        )
    radius = 2 * thickness + 1
    for x, y in np.rint(array).astype(int).tolist():
        cv2.circle(picture, (x, y), radius + max(1, thickness // 2), WHITE, -1, cv2.LINE_AA)
        cv2.circle(picture, (x, y), radius, color, -1, cv2.LINE_AA)


def save_picture(path: str | PathLike[str], picture: NDArray[np.uint8]) -> None:
    """Write a picture (H, W, 3) or (H, W), uint8, in the format of the file's ending."""
    with replacing(path) as temporary:
        Image.fromarray(picture).save(temporary, pnginfo=mark())
