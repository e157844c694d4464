"""How well a mask agrees with the truth: per object as counts, over many objects as a summary."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dextr.boundary import TOLERANCE, boundary_f
from dextr.geometry import Box
from dextr.samples import Instance

RECALL_AT = tuple(k / 10 for k in range(1, 10))
SIZE_LIMITS = {"small": 32**2, "medium": 96**2, "large": math.inf}


def iou(pred: NDArray, gt: NDArray, void: NDArray | None = None) -> float:
    """Return intersection over union of two masks (H, W), void pixels left out; 1 if both empty.

    Raises:
        ValueError: The shapes differ.

    >>> iou(np.array([[1, 1, 0]]), np.array([[0, 1, 1]]))
    0.3333333333333333
    """
    for other in (gt, void):
        if other is not None and np.shape(other) != np.shape(pred):
            raise ValueError(
                f"expected masks of one shape, got {np.shape(pred)}, {np.shape(other)}"
            )
    pred, gt = np.asarray(pred) != 0, np.asarray(gt) != 0
    if void is not None:
        valid = np.asarray(void) == 0
        pred, gt = pred & valid, gt & valid
    return _share(_count(pred & gt), _count(pred | gt))


def _count(mask: NDArray) -> int:
    return int(np.count_nonzero(mask))


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 1.0


@dataclass(frozen=True)
class ObjectScore:
    """How well one object was cut out. Everything is plain numbers, so processes can share it.

    Attributes:
        row: The object's row in its data set.
        name: The object's identity.
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
        tolerance: Of the boundary F measure (see `boundary_f`); None leaves it out.

    Raises:
        ValueError: The map has another size than the image.
    """
    if prob.shape != instance.hw:
        raise ValueError(
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


@dataclass(frozen=True)
class Group:
    """Some objects and the mean of their IoUs."""

    count: int
    mean_iou: float


@dataclass(frozen=True)
class Summary:
    """The numbers of a data set, at the scores' first threshold unless said. All in 0..1.

    Attributes:
        count: Number of objects.
        threshold: The threshold.
        mean_iou: Mean IoU over objects: the number that papers print.
        category_mean_iou: Mean over categories of each one's mean IoU.
        recall: By IoU (0.1, 0.2, .. 0.9): share of objects that reach it, averaged over
            categories. Objects without a category count as one category.
        mean_recall: Mean of `recall` over 0.1 .. 0.9 (the original's mAPr, averaged).
        box_error: Mean over objects of (wrong pixels) / (pixels), both counted inside the
            truth's tight box and without void (the GrabCut error).
        boundary_f: Mean boundary F measure over objects; None if it was not asked for.
        by_category: By category name; empty where there are none.
        by_size: `small` (area below 32^2 pixels), `medium` (below 96^2), `large`, as COCO has it;
            only sizes that occur.
        by_threshold: Mean IoU over objects at every threshold.
    """

    count: int
    threshold: float
    mean_iou: float
    category_mean_iou: float
    recall: dict[float, float]
    mean_recall: float
    box_error: float
    boundary_f: float | None
    by_category: dict[str, Group]
    by_size: dict[str, Group]
    by_threshold: dict[float, float]

    @property
    def best_threshold(self) -> float:
        """The threshold with the highest mean IoU; the lowest such."""
        return min(self.by_threshold, key=lambda t: (-self.by_threshold[t], t))


def summarize(scores: Sequence[ObjectScore], category_names: Sequence[str] = ()) -> Summary:
    """Return the numbers of many objects; their order does not matter.

    Args:
        scores: At least one, all with the same thresholds.
        category_names: Names by category index.

    Raises:
        ValueError: No scores, or thresholds that differ.
    """
    if not scores:
        raise ValueError("no objects to summarize: expected at least one score")
    thresholds = scores[0].thresholds
    if any(s.thresholds != thresholds for s in scores):
        raise ValueError("the scores were made at different thresholds")
    ious = {c: [s.iou for s in scores if s.category == c] for c in {s.category for s in scores}}
    recall = {t: _mean(_mean(v >= t for v in group) for group in ious.values()) for t in RECALL_AT}
    boundary = [s.boundary_f for s in scores if s.boundary_f is not None]
    return Summary(
        count=len(scores),
        threshold=thresholds[0],
        mean_iou=_mean(s.iou for s in scores),
        category_mean_iou=_mean(_mean(group) for group in ious.values()),
        recall=recall,
        mean_recall=_mean(recall.values()),
        box_error=_mean(s.box_error for s in scores),
        boundary_f=_mean(boundary) if boundary else None,
        by_category={
            category_names[c] if c < len(category_names) else str(c): _group(ious[c])
            for c in sorted(ious)
            if c >= 0
        },
        by_size=_by_size(scores),
        by_threshold={t: _mean(s.iou_at(k) for s in scores) for k, t in enumerate(thresholds)},
    )


def _by_size(scores: Sequence[ObjectScore]) -> dict[str, Group]:
    groups: dict[str, list[float]] = {name: [] for name in SIZE_LIMITS}
    for score in scores:
        size = next(name for name, limit in SIZE_LIMITS.items() if score.area < limit)
        groups[size].append(score.iou)
    return {name: _group(ious) for name, ious in groups.items() if ious}


def _group(ious: Sequence[float]) -> Group:
    return Group(len(ious), _mean(ious))


def _mean(values: Iterable[float]) -> float:
    numbers = list(values)
    return math.fsum(numbers) / len(numbers)
