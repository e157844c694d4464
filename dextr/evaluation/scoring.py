"""The one evaluation loop: objects in, their scores out, in order (paper section 4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TypeVar

from tqdm import tqdm

from dextr.common.processes import World
from dextr.evaluation.mask_sources import Further, MaskSource, NetworkMasks, Objects, Take
from dextr.evaluation.protocol import EvaluationSettings
from dextr.metrics import ObjectScore
from dextr.predictor import Predictor

T = TypeVar("T")


def score(
    source: MaskSource, rows: Sequence[int], world: World, take: Take[T],
    further: Further | None = None, progress: bool = True,
) -> tuple[list[ObjectScore], list[T]]:  # fmt: skip
    """Score objects, shared between processes; the same numbers for any number of them.

    `take` is called once per object, in the process and thread where the mask is; what it gives
    travels between processes. `further` is what is clicked after the extreme points: by row,
    (K, 2), xy, in the image. A bar with the mean IoU shows the `progress` where there is a
    terminal.

    Returns:
        The scores, and what `take` gave, both in the order of the rows and in every process.
    """
    size = source.batch_size
    shares = [rows_of_process(len(rows), size, rank, world.size) for rank in range(world.size)]
    own = [rows[place] for place in shares[world.rank]]
    results: list[tuple[ObjectScore, T]] = []
    total = 0.0
    hidden = None if world.main and progress else True
    with tqdm(total=len(own), desc="evaluate", unit="obj", disable=hidden) as bar:
        for result in source.masks(own, lambda mask: (mask.score, take(mask)), further or {}):
            results.append(result)
            total += result[0].iou
            bar.set_postfix_str(f"mean IoU {100 * total / len(results):.2f}", refresh=False)
            bar.update()
    by_place = dict(zip(chain(*shares), chain(*world.gather(results)), strict=True))
    ordered = [by_place[place] for place in range(len(rows))]
    return [score for score, _ in ordered], [taken for _, taken in ordered]


def evaluate(
    predictor: Predictor, instances: Objects, settings: EvaluationSettings,
    rows: Iterable[int] | None = None, progress: bool = True, workers: int = 0,
    take: Take[object] = lambda mask: None,
) -> list[ObjectScore]:  # fmt: skip
    """Return the scores of objects (None: all), in this process and in order; see `score`.

    So many `workers` are threads that read and score while the network runs; with any, `take` is
    called in them.
    """
    source = NetworkMasks(predictor, instances, settings, workers)
    chosen = list(range(len(instances)) if rows is None else rows)
    return score(source, chosen, World(0, 1, predictor.device), take, progress=progress)[0]


def rows_of_process(count: int, batch_size: int, rank: int = 0, world: int = 1) -> list[int]:
    """Return the rows that one of several processes scores.

    Whole batches are dealt out in turn: every object meets the same neighbours in the network as
    in a single process, so that the scores agree to the last bit.

    >>> rows_of_process(7, 2, rank=1, world=2)
    [2, 3, 6]
    """
    return [row for row in range(count) if row // batch_size % world == rank]


def evenly_spaced_rows(count: int, limit: int) -> list[int]:
    """Return `limit` of `count` rows, evenly spread; all where that is not fewer, or 0.

    >>> evenly_spaced_rows(10, 4)
    [0, 2, 5, 7]
    """
    if not 0 < limit < count:
        return list(range(count))
    return [k * count // limit for k in range(limit)]
