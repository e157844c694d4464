"""Extreme points: check, simulate, and place on the crop. Pure functions."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from dextr.common.errors import UserError
from dextr.geometry import Box, CropWindow

SIDES = ("left", "right", "top", "bottom")
EXTREMES = len(SIDES)
MOST_POINTS = 1000  # of an object; memory grows with them


def check_points(points: ArrayLike, image_hw: tuple[int, int]) -> NDArray[np.float64]:
    """Return clicks as a checked (N, 2) array, xy, every point inside the image.

    Points on the rim of a border pixel are moved onto its centre: from -0.5 up to x = width or
    y = height, which is where tools that count from pixels' corners have the rim.

    Raises:
        ValueError: Fewer than 4 points or more than 1000, not xy pairs, not finite, outside the
            image, or all identical.
    """
    try:
        if np.iscomplexobj(points):
            raise TypeError
        array = np.asarray(points, dtype=np.float64)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise UserError("points must be numbers: give [(x, y), (x, y), (x, y), (x, y)]") from None
    if array.ndim != 2 or array.shape[1] != 2:
        raise UserError(f"expected points as (N, 2) x, y pairs, got shape {array.shape}")
    if len(array) < 4:
        raise UserError(
            f"expected at least 4 points ({', '.join(SIDES)}-most of the object), got {len(array)}"
        )
    if len(array) > MOST_POINTS:
        raise UserError(f"expected at most {MOST_POINTS} points of an object, got {len(array)}")
    endless = ~np.isfinite(array).all(axis=1)
    if endless.any():
        x, y = array[endless][0]
        raise UserError(f"points must be finite numbers, got ({x:g}, {y:g})")
    height, width = image_hw
    limit = np.array([width, height])
    outside = ((array < -0.5) | (array > limit)).any(axis=1)
    if outside.any():
        x, y = array[outside][0]
        raise UserError(
            f"point ({x:g}, {y:g}) lies outside the image of {width} x {height} pixels: "
            f"expected 0 <= x <= {width} and 0 <= y <= {height}"
        )
    if (array == array[0]).all():
        raise UserError(
            f"all {len(array)} points are ({array[0, 0]:g}, {array[0, 1]:g}): click four "
            "different extreme points of the object"
        )
    return np.clip(array, 0, limit - 1)


def sample_extreme_points(
    mask: NDArray, pert: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw one object pixel near each extreme of a mask (H, W): (4, 2), xy.

    For each side (left, right, top, bottom), one pixel is drawn evenly among the object's pixels
    at most `pert` pixels from that extreme (0: among those on the very edge).

    Raises:
        ValueError: The mask is empty or `pert` negative.
    """
    if pert < 0:
        raise UserError(f"expected pert >= 0, got {pert}")
    mask = np.asarray(mask) != 0
    box = Box.of_mask(mask)
    reach = int(pert) + 1
    bands = (
        replace(box, x1=min(box.x0 + reach, box.x1)),
        replace(box, x0=max(box.x1 - reach, box.x0)),
        replace(box, y1=min(box.y0 + reach, box.y1)),
        replace(box, y0=max(box.y1 - reach, box.y0)),
    )
    drawn = []
    for band in bands:
        rows, columns = np.nonzero(mask[band.slices()])
        k = rng.integers(len(rows))
        drawn.append([band.x0 + columns[k], band.y0 + rows[k]])
    return np.array(drawn, dtype=np.float64)


def jitter_points(
    points: NDArray, noise: float, image_hw: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Move each point by a whole number of pixels up to `noise` along x and y, inside the image."""
    reach = int(noise)
    moved = points + rng.integers(-reach, reach + 1, size=np.shape(points))
    return np.clip(moved.astype(np.float64), 0, (image_hw[1] - 1, image_hw[0] - 1))


def place_clicks(points: NDArray, window: CropWindow) -> NDArray[np.float64]:
    """Map clicks in the image to where training finds the same points on the resized mask.

    The resized mask repeats each pixel as a small block. Training's left-most point lies on the
    block's left edge, the right-most on its right edge, and so on, so the click that marks a side
    goes to its pixel's outer edge in that direction; in every other respect a click goes to its
    pixel's centre. Which click marks which side does not depend on their order.

    Takes at least 4 points (N, 2), xy, and the window around them; returns whole pixels of the
    crop, likewise.
    """
    pixels = np.floor(np.asarray(points, dtype=np.float64) + 0.5)
    offset = pixels - (window.box.x0, window.box.y0)
    first = np.ceil(offset * window.scale)
    last = np.ceil((offset + 1) * window.scale) - 1
    placed = np.floor((first + last) / 2)
    left, right, top, bottom = marking_sides(pixels)
    placed[left, 0], placed[right, 0] = first[left, 0], last[right, 0]
    placed[top, 1], placed[bottom, 1] = first[top, 1], last[bottom, 1]
    return np.clip(placed, 0, window.size - 1)


def marking_sides(pixels: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return which of (N, 2) points, xy, mark left, right, top and bottom.

    They are four different ones, in all as extreme as can be; N is at least 4.
    """
    # Sorted, because a tie between points must not be decided by their order.
    order = np.lexsort(pixels.T)
    x, y = pixels[order].T
    distance = np.stack([x - x.min(), x.max() - x, y - y.min(), y.max() - y])
    return order[linear_sum_assignment(distance)[1]]


def next_click(
    mask: NDArray, truth: NDArray, void: NDArray, clicks: NDArray
) -> NDArray[np.float64] | None:
    """Return the pixel of the object's outline nearest to the largest error of a mask.

    Errors are compared by the largest circle that fits into them, not by area: a thin band along
    the whole outline is many pixels but no mistake an annotator would mend first. Missing and
    superfluous pixels are separate errors even where they touch; void pixels are none. Among
    equals the first in reading order counts.

    Args:
        mask: (H, W), the mask so far.
        truth: (H, W) bool, the object; see `outline`.
        void: (H, W) bool, undecided pixels.
        clicks: (N, 2), xy: pixels that are not clicked again.

    Returns:
        (2,), xy; None if nothing is wrong, or all of the outline is clicked.
    """
    found = (np.asarray(mask) != 0) & ~void
    depth = _depth(truth & ~found) + _depth(found & ~truth)
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    if not depth[y, x]:
        return None
    free = outline(truth)
    pixels = np.floor(np.asarray(clicks, np.float64) + 0.5).astype(int).reshape(-1, 2)
    columns, rows = pixels.clip(0, np.array(truth.shape[::-1]) - 1).T
    free[rows, columns] = False
    ys, xs = np.nonzero(free)
    if not len(xs):
        return None
    nearest = ((xs - x) ** 2 + (ys - y) ** 2).argmin()
    return np.array([xs[nearest], ys[nearest]], dtype=np.float64)


def outline(mask: NDArray) -> NDArray[np.bool_]:
    """Return the pixels (H, W) of a mask with its outside or the image's end among 8 neighbours."""
    inner = cv2.erode(np.pad(mask, 1).astype(np.uint8), np.ones((3, 3), np.uint8))[1:-1, 1:-1]
    return mask & (inner == 0)


def _depth(region: NDArray) -> NDArray[np.float32]:
    """Return each pixel's distance to the region's outside; the image's end is outside too."""
    padded = np.pad(region, 1).astype(np.uint8)
    return cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
