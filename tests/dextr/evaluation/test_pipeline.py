"""Work beside a network: the same results in the same order for any number of processes."""

import multiprocessing
import os
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from dextr.evaluation.pipeline import run_through
from dextr.predictor import Predictor

SIZE = 4


@dataclass(frozen=True)
class Work:
    """The input holds the row's number everywhere; the result is what became of it.

    Attributes:
        fails: Row whose preparation goes wrong.
        how: Raises the error.
    """

    fails: int = -1
    how: object = None

    def prepare(self, row):
        if row == self.fails:
            self.how()
        return (row, os.getpid()), np.full((4, SIZE, SIZE), row, np.float32)

    def judge(self, kept, logits):
        row, process = kept
        assert logits.shape == (SIZE, SIZE)
        assert process == os.getpid()
        return row, float(logits.sum())


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
    results = list(run_through(Work(), rows, predictor(batch_size), workers))
    assert results == expected(rows, batch_size)
    assert not multiprocessing.active_children()


def refuse():
    raise ValueError("this file cannot be read")


class Unportable(Exception):
    def __init__(self):
        super().__init__("no way to send this")
        self.kept = lambda: None


def unportable():
    raise Unportable


def vanish():
    os._exit(7)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_errors_come_through_after_the_results_before_them(workers):
    results = run_through(Work(9, refuse), range(20), predictor(2), workers)
    done = []
    with pytest.raises(ValueError, match="this file cannot be read"):
        done.extend(results)
    assert done == expected(range(20), 2)[: len(done)]
    assert not multiprocessing.active_children()


def test_an_error_that_cannot_travel_is_told():
    with pytest.raises(ValueError, match="Unportable: no way to send this"):
        list(run_through(Work(3, unportable), range(4), predictor(2), 1))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_worker_that_is_gone_is_reported():
    with pytest.raises(ValueError, match=r"a worker process ended \(exit code 7\).*--workers"):
        list(run_through(Work(3, vanish), range(8), predictor(2), 2))
    assert not multiprocessing.active_children()


def test_who_stops_early_leaves_no_process():
    results = run_through(Work(), range(40), predictor(2), 2)
    assert next(results) == expected(range(40), 2)[0]
    assert len(multiprocessing.active_children()) == 2
    results.close()
    assert not multiprocessing.active_children()


class SlowToFinish(Predictor):
    """Like a GPU: work begins at once, and its end has to be waited for."""

    def __init__(self):
        super().__init__(predictor(2).network, size=SIZE, batch_size=2)
        self.device = torch.device("cuda")
        self.events = []

    def start(self, inputs):
        number = len([e for e in self.events if e[0] == "start"])
        self.events.append(("start", number))
        logits = self.network(torch.from_numpy(inputs.copy()))[:, 0].numpy()

        def wait():
            self.events.append(("wait", number))
            return logits

        return wait


@pytest.mark.parametrize("workers", [1, 2])
def test_a_gpu_has_its_next_batch_before_the_last_one_is_waited_for(workers):
    gpu = SlowToFinish()
    assert list(run_through(Work(), range(9), gpu, workers)) == expected(range(9), 2)
    order = [("start", 0)]
    for k in range(1, 5):
        order += [("start", k), ("wait", k - 1)]
    assert gpu.events == [*order, ("wait", 4)]
