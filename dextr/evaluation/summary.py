"""What the scores of many objects say together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from dextr.common.errors import UserError
from dextr.metrics import ObjectScore

RECALL_AT = tuple(k / 10 for k in range(1, 10))
SIZES = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, math.inf)}


@dataclass(frozen=True)
class Group:
    """Some objects and the mean of their IoUs."""

    count: int
    mean_iou: float


@dataclass(frozen=True)
class Summary:
    """The numbers of a data set, at the scores' first threshold unless said. All in 0..1.

    Attributes:
        mean_iou: Mean IoU over objects: the number that papers print.
        category_mean_iou: Mean over categories of each one's mean IoU.
        recall: By IoU (0.1, 0.2, .. 0.9): share of objects that reach it, averaged over
            categories. Objects without a category count as one category.
        mean_recall: Mean of `recall` over 0.1 .. 0.9 (the original's mAPr, averaged).
        box_error: Mean over objects of (wrong pixels) / (pixels), both counted inside the
            truth's tight box and without void (the GrabCut error).
        boundary_f: Mean boundary F measure over objects; None if it was not asked for.
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
    """Return the numbers of many objects, in any order; names by category index.

    Raises:
        ValueError: No scores, or thresholds that differ.
    """
    if not scores:
        raise UserError("no objects to summarize: expected at least one score")
    thresholds = scores[0].thresholds
    if any(s.thresholds != thresholds for s in scores):
        raise UserError("the scores were made at different thresholds")
    ious = {c: [s.iou for s in scores if s.category == c] for c in {s.category for s in scores}}
    sizes = {
        name: [s.iou for s in scores if least <= s.area < limit]
        for name, (least, limit) in SIZES.items()
    }
    recall = {t: fmean(fmean(v >= t for v in group) for group in ious.values()) for t in RECALL_AT}
    boundary = [s.boundary_f for s in scores if s.boundary_f is not None]
    return Summary(
        count=len(scores),
        threshold=thresholds[0],
        mean_iou=fmean(s.iou for s in scores),
        category_mean_iou=fmean(fmean(group) for group in ious.values()),
        recall=recall,
        mean_recall=fmean(recall.values()),
        box_error=fmean(s.box_error for s in scores),
        boundary_f=fmean(boundary) if boundary else None,
        by_category={
            category_names[c] if c < len(category_names) else str(c): _group(ious[c])
            for c in sorted(ious)
            if c >= 0
        },
        by_size={name: _group(group) for name, group in sizes.items() if group},
        by_threshold={t: fmean(s.iou_at(k) for s in scores) for k, t in enumerate(thresholds)},
    )


def _group(ious: Sequence[float]) -> Group:
    return Group(len(ious), fmean(ious))
