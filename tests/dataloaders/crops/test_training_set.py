"""Training data: the same for any number of workers and processes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataloaders.crops.training_set import BatchPlan, TrainingSet
from dataloaders.crops.transforms import Place, TrainTransform, TransformConfig
from dataloaders.shapes import ShapesInstances


@pytest.fixture(scope="module")
def training_set():
    config = TransformConfig(size=48, paste=0.5, extra_points=2, colour_jitter=0.2)
    return TrainingSet(ShapesInstances(7, seed=1), TrainTransform(config), seed=3)


def test_epochs_differ_and_repeat(training_set):
    assert not np.array_equal(training_set[0, 0, 0].inputs, training_set[1, 0, 0].inputs)
    assert np.array_equal(training_set[1, 0, 0].inputs, training_set[1, 0, 0].inputs)


def test_a_lost_object_is_drawn_again(training_set, monkeypatch):
    asked = []

    def lose_twice(instance, rng):
        asked.append(rng.random())
        return None if len(asked) < 3 else "found"

    monkeypatch.setattr(TrainTransform, "__call__", lambda self, i, rng, place: lose_twice(i, rng))
    assert training_set[0, 0, 0] == "found"
    assert len(set(asked)) == 3


def test_an_object_always_lost_comes_unchanged(training_set, monkeypatch):
    monkeypatch.setattr(TrainTransform, "__call__", lambda self, i, rng, place: None)
    assert training_set[0, 0, 0].target.any()


@given(
    st.integers(1, 40), st.integers(1, 9), st.integers(1, 4), st.integers(0, 3), st.integers(0, 50)
)
def test_every_object_comes_once_per_epoch(count, batch_size, world, epoch, start):
    plans = [BatchPlan(count, batch_size, 0, rank, world) for rank in range(world)]
    parts = [list(plan.batches(epoch)) for plan in plans]
    assert {len(part) for part in parts} == {len(plans[0])}
    keys = [key for part in parts for batch in part for key in batch]
    assert sorted(keys) == [(epoch, row, 0) for row in range(count)]
    single = list(BatchPlan(count, batch_size, 0).batches(epoch))
    joined = [[key for part in batch for key in part] for batch in zip(*parts, strict=True)]
    assert joined == single
    assert list(plans[0].batches(epoch, start)) == parts[0][start:]


@pytest.mark.parametrize(
    ("hard", "repeats"), [([], 3), ([4], 1), ([4], 4), ([0, 7, 8], 2), (list(range(9)), 3)]
)
def test_hard_objects_come_back_as_often_as_asked(hard, repeats):
    plan = BatchPlan(9, 4, 0, repeats=repeats)
    drawn = np.zeros(9)
    for epoch in range(400):
        keys = [key for batch in plan.batches(epoch, hard=hard) for key in batch]
        assert len(keys) == len(set(keys)) == 9
        assert all(turn == 0 or (row in hard and turn < repeats) for _, row, turn in keys)
        np.add.at(drawn, [row for _, row, _ in keys], 1)
    share = np.where(np.isin(range(9), hard), repeats, 1)
    np.testing.assert_allclose(drawn / 400, 9 * share / share.sum(), rtol=0.15)


def test_a_repetition_is_another_example(training_set):
    first, second = training_set[1, 2, 0], training_set[1, 2, 1]
    assert first.name == second.name
    assert not np.array_equal(first.inputs, second.inputs)


def test_epochs_are_shuffled_differently():
    plan = BatchPlan(50, 50, seed=0)
    orders = [[row for _, row, _ in next(plan.batches(epoch))] for epoch in range(2)]
    assert orders[0] != orders[1]
    assert orders[0] != sorted(orders[0])


@pytest.mark.parametrize(("count", "batch_size"), [(0, 1), (1, 0)])
def test_nothing_to_plan_is_an_error(count, batch_size):
    with pytest.raises(ValueError, match="at least 1"):
        BatchPlan(count, batch_size, 0)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_batch_is_its_examples_stacked(count):
    training_set = TrainingSet(ShapesInstances(4), TrainTransform(TransformConfig(size=32)), 5)
    keys = [(2, row, 0) for row in range(count)]
    batch = training_set.__getitems__(keys)
    examples = [training_set[key] for key in keys]
    assert (batch.names, batch.rows) == ([e.name for e in examples], list(range(count)))
    assert batch.inputs.shape == (count, 4, 32, 32)
    for k, example in enumerate(examples):
        assert np.array_equal(batch.inputs[k].numpy(), example.inputs)
        assert np.array_equal(batch.targets[k, 0].numpy(), example.target)
        assert np.array_equal(batch.voids[k, 0].numpy(), example.void)


def test_a_place_that_was_used_before_changes_nothing():
    transform, instance = TrainTransform(TransformConfig(size=32)), ShapesInstances(1)[0]
    place = Place.new(32)
    for values in (place.inputs, place.target, place.void):
        values.fill(77)
    for seed in range(5):
        rngs = [np.random.default_rng(seed) for _ in "ab"]
        fresh, again = transform(instance, rngs[0]), transform(instance, rngs[1], place)
        assert np.array_equal(fresh.inputs, again.inputs)
        assert np.array_equal(fresh.target, again.target)
        assert np.array_equal(fresh.void, again.void)
        assert again.inputs is place.inputs
