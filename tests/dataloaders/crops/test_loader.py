import numpy as np
import pytest
import torch

from dataloaders.crops.loader import BatchLoader
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
