import multiprocessing
import subprocess

import numpy as np
import pytest
import torch

from dataloaders.crops.loader import BatchLoader, workers_watched
from dataloaders.crops.training_set import BatchPlan, TrainingSet
from dataloaders.crops.transforms import TrainTransform, TransformConfig
from dataloaders.shapes import ShapesInstances


def training_set(count=7):
    config = TransformConfig(size=32, paste=0.5, extra_points=2, colour_jitter=0.2)
    return TrainingSet(ShapesInstances(count), TrainTransform(config), seed=3)


def loader(workers=0, count=7, batch_size=3):
    plan = BatchPlan(count, batch_size, 3)
    return BatchLoader(training_set(count), plan, workers, pin_memory=False)


def test_no_examples_make_an_empty_batch():
    batch = training_set().__getitems__([])
    assert len(batch) == 0
    assert batch.inputs.shape == (0, 4, 32, 32)
    assert batch.targets.shape == batch.voids.shape == (0, 1, 32, 32)


def test_examples_are_stacked():
    keys = [(0, 1, 0), (2, 0, 1)]
    some = training_set()
    batch = some.__getitems__(keys)
    assert batch.rows == [1, 0]
    for k, example in enumerate(map(some.__getitem__, keys)):
        assert batch.names[k] == example.name
        assert np.array_equal(batch.inputs[k], example.inputs)
        assert np.array_equal(batch.targets[k, 0], example.target)
        assert np.array_equal(batch.voids[k, 0], example.void)


def test_an_epoch_holds_every_object_once_and_can_begin_in_the_middle():
    batches = list(loader().batches(1))
    assert [len(b) for b in batches] == [3, 3, 1]
    assert len({name for b in batches for name in b.names}) == 7
    rest = list(loader().batches(1, start=2))
    assert [b.names for b in rest] == [batches[2].names]
    assert torch.equal(rest[0].inputs, batches[2].inputs)


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_tell_their_rows(workers):
    some = loader(workers)
    for epoch in (0, 1):
        batches = list(some.batches(epoch, start=1))
        assert [len(b.rows) for b in batches] == [3, 1]
        for batch in batches:
            assert batch.names == [ShapesInstances(7)[row].name for row in batch.rows]


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(workers):
    several, alone = loader(workers), loader()
    for epoch in (0, 1):
        for one, two in zip(several.batches(epoch), alone.batches(epoch), strict=True):
            assert one.names == two.names
            assert torch.equal(one.inputs, two.inputs)
            assert torch.equal(one.targets, two.targets)


class Failing(TrainingSet):
    """A training set whose second batch cannot be made."""

    error: Exception = ValueError("photo.png: not a readable image")

    def example(self, key, place=None):
        if key[1] == 1:
            raise self.error
        return super().example(key, place)


def failing_loader(error, workers):
    some = training_set(2)
    failing = Failing(some.source, some.transform, some.seed)
    failing.error = error
    return BatchLoader(failing, BatchPlan(2, 1, 3), workers, pin_memory=False)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (ValueError("photo.png: not readable"), ValueError, "^photo.png: not readable$"),
        (OSError(5, "Input/output error", "photo.png"), OSError, "photo.png"),
        (
            RuntimeError("unable to allocate shared memory(shm) for file </torch_1_2_0>: No space"),
            ValueError,
            "^no memory for a batch: .*--shm-size.*--workers 0",
        ),
    ],
)
def test_an_error_in_a_worker_is_the_error_itself(workers, error, kind, words):
    with pytest.raises(kind, match=words) as raised:
        list(failing_loader(error, workers).batches(0))
    assert "\n" not in str(raised.value)


def test_a_mistake_of_ours_in_a_worker_keeps_its_traceback():
    with pytest.raises(TypeError, match="ours"), workers_watched():
        list(failing_loader(TypeError("ours"), 0).batches(0))
    with pytest.raises(RuntimeError, match="ours"), workers_watched():
        raise RuntimeError("ours")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("DataLoader worker (pid 7) is killed by signal: Killed. ", "signal: Killed.*--resume"),
        ("DataLoader worker (pid(s) 7) exited unexpectedly\nmore", "unexpectedly; the check"),
        ("DataLoader worker (pid 7) is killed by signal: Bus error. It is", "/dev/shm.*--shm-size"),
    ],
)
def test_a_killed_worker_is_one_line(said, words):
    with pytest.raises(ValueError, match=words) as raised, workers_watched():
        raise RuntimeError(said)
    assert "\n" not in str(raised.value)


def test_a_worker_outlives_what_its_group_gets_and_ends_when_its_parent_asks():
    before = set(multiprocessing.active_children())
    some = loader(workers=1)
    first = some.batches(0)
    next(first)
    (worker,) = set(multiprocessing.active_children()) - before
    for number in ("INT", "TERM"):
        subprocess.run(["kill", f"-{number}", str(worker.pid)], check=True)
    assert len(list(first)) == 2
    worker.terminate()
    worker.join()
    assert worker.exitcode == 0
