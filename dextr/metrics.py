"""How well a mask agrees with the truth: overlap, outlines, and the score of one object.

Masks of different shapes are a ValueError.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dextr.common.errors import UserError
from dextr.geometry import Box
from dextr.samples import Instance

TOLERANCE = 0.008


def iou(pred: NDArray, gt: NDArray, void: NDArray | None = None) -> float:
    """Return intersection over union of two masks (H, W), void pixels left out; 1 if both empty.

    >>> iou(np.array([[1, 1, 0]]), np.array([[0, 1, 1]]))
    0.3333333333333333
    """
    void = np.zeros(np.shape(pred), bool) if void is None else void
    _check_shapes(pred, gt, void)
    valid = np.asarray(void) == 0
    pred, gt = (np.asarray(pred) != 0) & valid, (np.asarray(gt) != 0) & valid
    return _share(_count(pred & gt), _count(pred | gt))


def _check_shapes(*masks: NDArray) -> None:
    shapes = [np.shape(mask) for mask in masks]
    if len(set(shapes)) > 1:
        raise UserError(f"expected masks of one shape, got {', '.join(map(str, shapes))}")


def _count(mask: NDArray) -> int:
    return int(np.count_nonzero(mask))


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 1.0


def boundary_f(pred: NDArray, gt: NDArray, tolerance: float = TOLERANCE) -> float:
    """Return the boundary F measure of two masks (H, W), as DAVIS has it (Perazzi et al. 2016).

    Precision is the share of the prediction's boundary within reach of the truth's, recall the
    other way round, F their harmonic mean; 1 if neither mask has a boundary.

    Args:
        pred: The mask to judge. Void pixels should be background in both masks.
        gt: The truth.
        tolerance: The reach as a share of the image's diagonal, rounded up to whole pixels.

    >>> square = np.pad(np.ones((4, 4), bool), 3)
    >>> boundary_f(square, square), boundary_f(square, np.zeros_like(square))
    (1.0, 0.0)
    """
    _check_shapes(pred, gt)
    ours, theirs = boundary(pred), boundary(gt)
    n_ours, n_theirs = _count(ours), _count(theirs)
    if not n_ours or not n_theirs:
        return float(n_ours == n_theirs)
    reach = math.ceil(tolerance * math.hypot(*np.shape(gt)))
    box = Box.of_mask(ours | theirs).slices()
    ours, theirs = ours[box], theirs[box]
    precision = _count(ours & _near(theirs, reach)) / n_ours
    recall = _count(theirs & _near(ours, reach)) / n_theirs
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


@dataclass(frozen=True)
class ObjectScore:
    """How well one object was cut out. Everything is plain numbers, so processes can share it.

    Attributes:
        row: The object's row in its data set.
        name: Its identity.
        category: Index into the data set's category names; -1 where it has none.
        area: Pixels of the object.
        box_pixels: Pixels of the object's tight box that are not void.
        thresholds: Where the probabilities were cut; the first is the one that counts.
        intersection: Pixels of both masks, for each threshold; void left out, as in the rest.
        union: Pixels of either mask, for each threshold.
        wrong: Wrong pixels inside the object's tight box, for each threshold.
        boundary_f: Boundary F measure at the first threshold; None if it was not asked for.
    """

    row: int
    name: str
    category: int
    area: int
    box_pixels: int
    thresholds: tuple[float, ...]
    intersection: tuple[int, ...]
    union: tuple[int, ...]
    wrong: tuple[int, ...]
    boundary_f: float | None = None

    @property
    def iou(self) -> float:
        """Intersection over union at the first threshold; 1 if both masks are empty."""
        return self.iou_at(0)

    @property
    def box_error(self) -> float:
        """Share of wrong pixels among the box's pixels, at the first threshold (GrabCut error)."""
        return self.wrong[0] / self.box_pixels if self.box_pixels else 0.0

    def iou_at(self, k: int) -> float:
        """Return intersection over union at threshold number `k`."""
        return _share(self.intersection[k], self.union[k])


def score_object(
    instance: Instance,
    prob: NDArray,
    thresholds: Sequence[float],
    row: int = 0,
    tolerance: float | None = TOLERANCE,
) -> ObjectScore:
    """Judge a probability map (H, W) of an object at several thresholds in one pass.

    A pixel is the object's where its probability exceeds the threshold.

    Args:
        instance: The object and its truth.
        prob: Probabilities in the image.
        thresholds: At least one; boundaries are compared at the first.
        row: The object's row in its data set.
        tolerance: Of `boundary_f`; None leaves it out.
    """
    if prob.shape != instance.hw:
        raise UserError(
            f"{instance.name}: expected a mask of the image's size {instance.hw}, got {prob.shape}"
        )
    valid = ~instance.void
    truth = instance.mask & valid
    box = Box.of_mask(instance.mask).slices()
    masks = [(prob > threshold) & valid for threshold in thresholds]
    return ObjectScore(
        row=row,
        name=instance.name,
        category=instance.category,
        area=_count(instance.mask),
        box_pixels=_count(valid[box]),
        thresholds=tuple(float(t) for t in thresholds),
        intersection=tuple(_count(mask & truth) for mask in masks),
        union=tuple(_count(mask | truth) for mask in masks),
        wrong=tuple(_count((mask ^ truth)[box]) for mask in masks),
        boundary_f=None if tolerance is None else boundary_f(masks[0], truth, tolerance),
    )
