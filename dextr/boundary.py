"""How well two outlines agree."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from dextr.geometry import Box

TOLERANCE = 0.008


def boundary_f(pred: NDArray, gt: NDArray, tolerance: float = TOLERANCE) -> float:
    """Return the boundary F measure of two masks (H, W), as DAVIS has it (Perazzi et al. 2016).

    A pixel is on a boundary if its right, lower or lower right neighbour is on the other side.
    Precision is the share of the prediction's boundary within reach of the truth's, recall the
    other way round, F their harmonic mean; 1 if neither mask has a boundary.

    Args:
        pred: The mask to judge. Void pixels should be background in both masks.
        gt: The truth.
        tolerance: The reach as a share of the image's diagonal, rounded up to whole pixels.

    Raises:
        ValueError: The shapes differ.

    >>> square = np.pad(np.ones((4, 4), bool), 3)
    >>> boundary_f(square, square), boundary_f(square, np.zeros_like(square))
    (1.0, 0.0)
    """
    if np.shape(pred) != np.shape(gt):
        raise ValueError(f"expected masks of one shape, got {np.shape(pred)}, {np.shape(gt)}")
    ours, theirs = boundary(pred), boundary(gt)
    n_ours, n_theirs = int(ours.sum()), int(theirs.sum())
    if not n_ours or not n_theirs:
        return float(n_ours == n_theirs)
    reach = math.ceil(tolerance * math.hypot(*np.shape(gt)))
    box = Box.of_mask(ours | theirs).slices()
    ours, theirs = ours[box], theirs[box]
    precision = int(ours[_near(theirs, reach)].sum()) / n_ours
    recall = int(theirs[_near(ours, reach)].sum()) / n_theirs
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def boundary(mask: NDArray) -> NDArray[np.bool_]:
    """Return the pixels (H, W) whose right, lower or lower right neighbour is on the other side."""
    mask = np.asarray(mask) != 0
    edge = np.zeros(mask.shape, bool)
    edge[:, :-1] |= mask[:, :-1] ^ mask[:, 1:]
    edge[:-1] |= mask[:-1] ^ mask[1:]
    edge[:-1, :-1] |= mask[:-1, :-1] ^ mask[1:, 1:]
    return edge


def _near(edge: NDArray[np.bool_], reach: float) -> NDArray[np.bool_]:
    away = (~edge).astype(np.uint8)
    return cv2.distanceTransform(away, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) <= reach
