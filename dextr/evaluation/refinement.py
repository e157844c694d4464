"""Further clicks where the mask is most wrong, by a simulated annotator (paper section 4.6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import cv2
import numpy as np
from numpy.typing import NDArray

from dextr.common.processes import World
from dextr.evaluation.judges import Judge
from dextr.evaluation.scoring import Outcome
from dextr.metrics import ObjectScore

EXTREMES = 4
WEAK_BELOW = 0.8
TARGETS = (0.85, 0.9)


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
        truth: (H, W) bool, the object. Its outline are its pixels with one of another kind, or
            the image's end, among their eight neighbours.
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
    columns, rows = np.floor(np.asarray(clicks, np.float64) + 0.5).astype(int).reshape(-1, 2).T
    height, width = truth.shape
    free[rows.clip(0, height - 1), columns.clip(0, width - 1)] = False
    ys, xs = np.nonzero(free)
    if not len(xs):
        return None
    nearest = ((xs - x) ** 2 + (ys - y) ** 2).argmin()
    return np.array([xs[nearest], ys[nearest]], dtype=np.float64)


def outline(mask: NDArray) -> NDArray[np.bool_]:
    """Return the pixels (H, W) of a mask that touch its outside or the image's end."""
    inner = cv2.erode(np.pad(mask, 1).astype(np.uint8), np.ones((3, 3), np.uint8))[1:-1, 1:-1]
    return mask & (inner == 0)


def _depth(region: NDArray) -> NDArray[np.float32]:
    """Return each pixel's distance to the region's outside; the image's end is outside too."""
    padded = np.pad(region, 1).astype(np.uint8)
    return cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]


def refine(
    judge: Judge,
    rows: list[int],
    world: World,
    clicks: int,
    visit: Callable[[Outcome], None] = lambda outcome: None,
) -> list[list[ObjectScore]]:
    """Score objects after 4, 5, .. `clicks` points, each placed by looking at the mask so far.

    The network runs over all objects once per number of points, as without further clicks, so
    that the scores agree to the last bit for any number of processes and threads.

    Args:
        judge: A network's judge.
        rows: Which objects.
        world: The processes that share them.
        clicks: Points per object in all. An object with no error left gets no more.
        visit: Called with each outcome of this process after the four extreme points.

    Returns:
        For each number of points, all scores by row.
    """
    scores, extra = _round(judge, rows, world, {}, visit)
    rounds = [scores]
    for _ in range(EXTREMES, clicks):
        scores, extra = _round(judge, rows, world, extra)
        rounds.append(scores)
    return rounds


def _round(
    judge: Judge,
    rows: list[int],
    world: World,
    extra: Mapping[int, NDArray],
    visit: Callable[[Outcome], None] | None = None,
) -> tuple[list[ObjectScore], dict[int, NDArray]]:
    """Return the scores with these further clicks, and the further clicks of the next round."""
    following = dict(extra)

    def look(outcome: Outcome) -> None:
        if visit:
            visit(outcome)
        instance = outcome.instance
        click = next_click(outcome.mask, instance.mask, instance.void, outcome.points)
        if click is not None:
            earlier = extra.get(outcome.row, np.empty((0, 2)))
            following[outcome.row] = np.vstack([earlier, click])

    return judge.score(rows, world, look, extra), following


@dataclass(frozen=True)
class Curve:
    """Mean IoU of some objects for each number of points; empty where there are no objects.

    Attributes:
        count: Number of objects.
        mean_iou: For each of `Refinement.points`, in 0..1.
        first_gain: What the first point after the extreme ones adds to the mean; None without
            objects.
    """

    count: int
    mean_iou: tuple[float, ...]
    first_gain: float | None


@dataclass(frozen=True)
class Reach:
    """How many points it takes to reach an IoU.

    Attributes:
        mean_points: Mean over objects; one that never reaches it counts as the most points tried.
        never: Number of objects that never reach it.
    """

    mean_points: float
    never: int


@dataclass(frozen=True)
class Refinement:
    """What further points bring.

    Attributes:
        points: The numbers of points tried: 4, 5, ..
        every: All objects.
        weak: Objects below 0.8 IoU after the four extreme points.
        rest: The others.
        reach: By IoU.
        ious: IoU per object, in the scores' order, and number of points.
    """

    points: tuple[int, ...]
    every: Curve
    weak: Curve
    rest: Curve
    reach: dict[float, Reach]
    ious: tuple[tuple[float, ...], ...]


def summarize_refinement(rounds: Sequence[Sequence[ObjectScore]]) -> Refinement:
    """Return the numbers of `refine`'s scores: at least two rounds of at least one object."""
    ious = [tuple(score.iou for score in scores) for scores in zip(*rounds, strict=True)]
    points = tuple(range(EXTREMES, EXTREMES + len(rounds)))
    return Refinement(
        points=points,
        every=_curve(ious),
        weak=_curve([values for values in ious if values[0] < WEAK_BELOW]),
        rest=_curve([values for values in ious if values[0] >= WEAK_BELOW]),
        reach={target: _reach(ious, points, target) for target in TARGETS},
        ious=tuple(ious),
    )


def _curve(ious: Sequence[tuple[float, ...]]) -> Curve:
    means = tuple(fmean(column) for column in zip(*ious, strict=True))
    return Curve(len(ious), means, means[1] - means[0] if means else None)


def _reach(ious: Sequence[tuple[float, ...]], points: tuple[int, ...], target: float) -> Reach:
    needed = [
        next((n for n, iou in zip(points, values, strict=True) if iou >= target), None)
        for values in ious
    ]
    never = needed.count(None)
    return Reach(fmean(points[-1] if n is None else n for n in needed), never)
