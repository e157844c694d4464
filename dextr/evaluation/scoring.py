"""The one evaluation loop: objects in, their scores out, in order (paper section 4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import TypeVar

from numpy.typing import NDArray
from tqdm import tqdm

from dextr.common.processes import World
from dextr.evaluation.mask_sources import MaskSource, NetworkMasks, Objects, ScoredMask
from dextr.evaluation.protocol import EvaluationSettings
from dextr.metrics import ObjectScore
from dextr.predictor import Predictor

T = TypeVar("T")


def score(
    source: MaskSource,
    rows: Sequence[int],
    world: World,
    take: Callable[[ScoredMask], T],
    further: Mapping[int, NDArray] | None = None,
    progress: bool = True,
) -> tuple[list[ObjectScore], list[T]]:
    """Score objects, shared between processes; the same numbers for any number of them.

    Args:
        source: Where the masks come from.
        rows: Which objects.
        world: The processes.
        take: What is wanted of each mask besides its score; called once per object, in the process
            and thread where the mask is. Its results travel between processes.
        further: By row, (K, 2), xy, in the image: what is clicked after the extreme points.
        progress: Show a bar with the mean IoU, where there is a terminal.

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
    predictor: Predictor,
    instances: Objects,
    settings: EvaluationSettings,
    rows: Iterable[int] | None = None,
    progress: bool = True,
    workers: int = 0,
    take: Callable[[ScoredMask], object] = lambda mask: None,
) -> list[ObjectScore]:
    """Return the scores of objects, in this process and in order; the same every time.

    Args:
        predictor: The network, its crop and its batch size.
        instances: The data set.
        settings: Points, protocol, thresholds.
        rows: Which objects, None for all.
        progress: Show a bar, where there is a terminal.
        workers: Threads that read and score while the network runs.
        take: Called with each mask, by one of several threads where there are workers.
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
