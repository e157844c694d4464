"""Work done ahead of time by threads, results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

In = TypeVar("In")
Out = TypeVar("Out")


def map_ahead(
    function: Callable[[In], Out], items: Iterable[In], workers: int, ahead: int
) -> Iterator[Out]:
    """Yield function(item) in order, computed by threads at most `ahead` items in advance.

    Without workers it is a plain map.
    """
    if workers == 0:
        yield from map(function, items)
        return
    waiting: deque[Future[Out]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
