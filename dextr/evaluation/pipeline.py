"""Objects through a network, while threads beside it prepare the next and finish the last ones.

What takes time there (decoding, warping, distances) leaves Python's lock to the others. Processes
would have to send photos and masks to each other, which costs twice the time of the work itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dextr.batch import in_groups
from dextr.common.errors import UserError
from dextr.predictor import Predictor

In = TypeVar("In")
Kept = TypeVar("Kept")
Out = TypeVar("Out")


def run_through(
    predictor: Predictor,
    rows: Sequence[int],
    prepare: Callable[[int], tuple[Kept, NDArray[np.float32]]],
    finish: Callable[[Kept, NDArray[np.float32]], Out],
    workers: int,
) -> Iterator[Out]:
    """Return the result for each row, in order; the same for any number of workers.

    Of an object, `prepare` gives what `finish` needs and the network's input (4, S, S); `finish`
    makes the result of that and the logits (S, S). So many `workers` are threads before the
    network, and as many after it; 0: one thing after the other. Batches are neighbours in `rows`.
    """
    prepared = map_ahead(prepare, rows, workers, predictor.batch_size + workers)

    def started() -> Iterator[tuple[tuple[Kept, ...], Callable[[], NDArray[np.float32]]]]:
        for batch in in_groups(prepared, predictor.batch_size):
            kept, inputs = zip(*batch, strict=True)
            # A GPU gets its next batch before the last one's logits are waited for.
            yield kept, predictor.start(np.stack(inputs))

    def finished(batch: tuple[tuple[Kept, ...], Callable[[], NDArray[np.float32]]]) -> list[Out]:
        kept, logits = batch
        return list(map(finish, kept, logits()))

    batches = map_ahead(finished, started(), workers, workers)
    return (result for batch in batches for result in batch)


def map_ahead(
    function: Callable[[In], Out], items: Iterable[In], workers: int, ahead: int
) -> Iterator[Out]:
    """Return function(item) in order, computed by threads at most `ahead` items in advance.

    Without workers it is a plain map; fewer than none are a ValueError.
    """
    if workers < 0:
        raise UserError(f"expected 0 workers or more, got {workers}")
    return _map_ahead(function, items, workers, ahead) if workers else map(function, items)


def _map_ahead(
    function: Callable[[In], Out], items: Iterable[In], workers: int, ahead: int
) -> Iterator[Out]:
    waiting: deque[Future[Out]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
