"""Further clicks where the mask is most wrong, by a simulated annotator (paper section 4.6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dextr.common.processes import World
from dextr.evaluation.mask_sources import NO_POINTS, MaskSource, ScoredMask, Take
from dextr.evaluation.scoring import score
from dextr.metrics import ObjectScore
from dextr.points import EXTREMES, next_click
from dextr.samples import HARD_BELOW

T = TypeVar("T")
TARGETS = (0.85, 0.9)


def refine(
    source: MaskSource, rows: Sequence[int], world: World, clicks: int, take: Take[T]
) -> tuple[list[list[ObjectScore]], list[T]]:
    """Score objects after 4, 5, .. `clicks` points, each placed by looking at the mask so far.

    The network runs over all objects once per number of points, as without further clicks, so
    that the scores agree to the last bit for any number of processes and threads. An object with
    no error left gets no more clicks.

    Returns:
        For each number of points, all scores in the order of the rows; and what `take` gave of
        each mask after the four extreme points; see `score`.
    """
    scores, looked = score(source, rows, world, lambda mask: (_click_after(mask), take(mask)))
    rounds, following = [scores], [click for click, _ in looked]
    further = dict.fromkeys(rows, NO_POINTS)
    for _ in range(EXTREMES, clicks):
        for row, click in zip(rows, following, strict=True):
            further[row] = np.vstack([further[row], click])
        scores, following = score(source, rows, world, _click_after, further)
        rounds.append(scores)
    return rounds, [taken for _, taken in looked]


def _click_after(scored: ScoredMask) -> NDArray[np.float64]:
    """Return the next click, (1, 2), xy; (0, 2) if there is nothing to mend."""
    instance = scored.instance
    click = next_click(scored.mask, instance.mask, instance.void, scored.points)
    return NO_POINTS if click is None else click[None]


@dataclass(frozen=True)
class Curve:
    """Mean IoU, 0..1, for each number of points, and what the first further one adds to it."""

    count: int
    mean_iou: tuple[float, ...]
    first_gain: float | None


@dataclass(frozen=True)
class Reach:
    """Mean number of points to reach an IoU; so many `never` do and count with the most tried."""

    mean_points: float
    never: int


@dataclass(frozen=True)
class Refinement:
    """What each number of `points` tried (4, 5, ..) brings.

    `weak` are the objects below 0.8 IoU after the extreme points, `rest` the others; `reach` is by
    IoU, `ious` by object, in the scores' order, and number of points.
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
        weak=_curve([values for values in ious if values[0] < HARD_BELOW]),
        rest=_curve([values for values in ious if values[0] >= HARD_BELOW]),
        reach={target: _reach(ious, points, target) for target in TARGETS},
        ious=tuple(ious),
    )


def _curve(ious: Sequence[tuple[float, ...]]) -> Curve:
    means = tuple(fmean(column) for column in zip(*ious, strict=True))
    return Curve(len(ious), means, means[1] - means[0] if means else None)


def _reach(ious: Sequence[tuple[float, ...]], points: tuple[int, ...], target: float) -> Reach:
    pairs = [zip(points, values, strict=True) for values in ious]
    needed = [next((n for n, iou in own if iou >= target), None) for own in pairs]
    return Reach(fmean(n or points[-1] for n in needed), needed.count(None))
