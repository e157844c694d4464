"""Work beside a network: the same results in the same order for any number of threads."""

import threading

import numpy as np
import pytest

from dextr.evaluation.pipeline import map_ahead, run_through
from dextr.predictor import Predictor

SIZE = 4


def prepare(row):
    """The input holds the row's number everywhere."""
    if row == 99:
        raise ValueError("this file cannot be read")
    return row, np.full((4, SIZE, SIZE), row, np.float32)


def finish(row, logits):
    assert logits.shape == (SIZE, SIZE)
    if row == 98:
        raise ValueError("this mask cannot be scored")
    return row, float(logits.sum())


def pool_threads():
    return sum("ThreadPool" in thread.name for thread in threading.enumerate())


def run(rows, predictor, workers):
    return run_through(predictor, list(rows), prepare, finish, workers)


def predictor(batch_size):
    """The network adds the size of its batch, so that other batches give other numbers."""
    return Predictor(
        lambda x: x.sum(dim=1, keepdim=True) + len(x), size=SIZE, batch_size=batch_size
    )


def expected(rows, batch_size):
    results = []
    for k, row in enumerate(rows):
        start = k // batch_size * batch_size
        members = len(rows[start : start + batch_size])
        results.append((row, float(SIZE * SIZE * (4 * row + members))))
    return results


@pytest.mark.parametrize("workers", [0, 1, 2, 3])
@pytest.mark.parametrize(("count", "batch_size"), [(0, 2), (1, 3), (7, 2), (12, 3), (30, 4)])
def test_results_in_order(workers, count, batch_size):
    rows = [5 * k % 31 for k in range(count)]
    results = list(run(rows, predictor(batch_size), workers))
    assert results == expected(rows, batch_size)
    assert pool_threads() == 0


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize(("broken", "said"), [(99, "file cannot be read"), (98, "be scored")])
def test_errors_come_through_after_the_results_before_them(workers, broken, said):
    rows = [*range(9), broken, *range(10, 20)]
    done = []
    with pytest.raises(ValueError, match=said):
        done.extend(run(rows, predictor(2), workers))
    assert done == expected(rows, 2)[: len(done)]
    assert pool_threads() == 0


def test_who_stops_early_leaves_no_thread():
    results = run(range(40), predictor(2), 2)
    assert next(results) == expected(range(40), 2)[0]
    assert pool_threads() > 0
    results.close()
    assert pool_threads() == 0


class SlowToFinish(Predictor):
    """Like a GPU: a batch's end has to be waited for; here it needs that the next has begun."""

    def __init__(self, batches):
        super().__init__(predictor(2).network, size=SIZE, batch_size=2)
        self.begun = [threading.Event() for _ in range(batches)]
        self.count = 0

    def start(self, inputs):
        self.begun[self.count].set()
        self.count += 1
        following = self.begun[self.count : self.count + 1]
        logits = super().start(inputs)

        def wait():
            assert all(event.wait(20) for event in following)
            return logits()

        return wait


@pytest.mark.parametrize("workers", [1, 2])
def test_a_gpu_has_its_next_batch_before_the_last_one_is_waited_for(workers):
    assert list(run(range(9), SlowToFinish(5), workers)) == expected(range(9), 2)


@pytest.mark.parametrize("workers", [0, 1, 4])
@pytest.mark.parametrize("count", [0, 1, 10])
def test_map_ahead_keeps_the_order(workers, count):
    assert list(map_ahead(lambda k: k * k, range(count), workers, 3)) == [
        k * k for k in range(count)
    ]


def test_map_ahead_takes_no_more_than_asked():
    taken = []

    def items():
        for k in range(100):
            taken.append(k)
            yield k

    results = map_ahead(str, items(), 2, 5)
    assert [next(results), next(results)] == ["0", "1"]
    assert len(taken) <= 8
    results.close()


@pytest.mark.parametrize("workers", [0, 2])
def test_errors_of_threads_come_through(workers):
    def broken(row):
        raise ValueError(f"object {row} cannot be read")

    with pytest.raises(ValueError, match="object 0 cannot be read"):
        list(map_ahead(broken, range(3), workers, 2))


def test_fewer_workers_than_none_are_refused_at_once():
    with pytest.raises(ValueError, match="expected 0 workers or more, got -1"):
        map_ahead(str, [], -1, 3)
    with pytest.raises(ValueError, match="got -1"):
        run_through(predictor(1), [], None, None, -1)
