import numpy as np
import pytest
import torch
from support.tiny import tiny_batch

from dextr.common.processes import World
from dextr.metrics import iou
from dextr.training.hard_objects import HardExamples, crop_ious

ALONE = World(0, 1, torch.device("cpu"))


class TwoProcesses(World):
    """Process 0 of two; the other one has seen object 3 at 0.5."""

    def gather(self, value):
        return [value, ([3], torch.tensor([0.5]))]


def test_nothing_seen_nothing_hard():
    hard = HardExamples(3)
    hard.refresh(ALONE)
    assert hard.rows == []


def test_the_last_time_counts_and_takes_effect_at_refresh():
    hard = HardExamples(5)
    hard.add([4, 1], torch.tensor([0.79, 0.8]))
    hard.add([2], torch.tensor([0.1]))
    assert hard.rows == []
    hard.refresh(ALONE)
    assert hard.rows == [2, 4]
    hard.add([2, 0], torch.tensor([0.9, 0.0]))
    hard.refresh(ALONE)
    assert hard.rows == [0, 4]


def test_processes_know_of_each_other():
    hard = HardExamples(4)
    hard.add([1], torch.tensor([0.2]))
    hard.refresh(TwoProcesses(0, 2, torch.device("cpu")))
    assert hard.rows == [1, 3]


def test_what_was_collected_comes_back():
    hard = HardExamples(3)
    hard.add([1], torch.tensor([0.2]))
    hard.refresh(ALONE)
    hard.add([0], torch.tensor([0.3]))
    hard.collect(ALONE)
    again = HardExamples(3)
    again.restore(hard.to_dict())
    assert again.rows == [1]
    again.refresh(ALONE)
    assert again.rows == [0, 1]
    with pytest.raises(ValueError, match="about 3 training objects, there are 4"):
        HardExamples(4).restore(hard.to_dict())


@pytest.mark.parametrize("threshold", [0.3, 0.8])
def test_ious_are_those_of_the_metrics(threshold):
    batch = tiny_batch(4, seed=2)
    logits = torch.randn(batch.targets.shape, generator=torch.Generator().manual_seed(0))
    expected = [
        iou(p[0].sigmoid().numpy() > threshold, t[0].numpy() > 0, v[0].numpy() > 0)
        for p, t, v in zip(logits, batch.targets, batch.voids, strict=True)
    ]
    np.testing.assert_allclose(crop_ious(logits, batch, threshold), expected, rtol=1e-6)


def test_nothing_found_of_nothing_is_right():
    batch = tiny_batch(2)
    batch.targets.zero_()
    assert crop_ious(torch.full((2, 1, 16, 16), -9.0), batch, 0.5).tolist() == [1, 1]
