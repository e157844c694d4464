import numpy as np
import pytest
import torch
from support.tiny import plain_config, tiny_batch, tiny_network

from dextr.batch import Batch
from dextr.common.processes import World
from dextr.heatmap import render_heatmap
from dextr.training.corrections import add_corrections, correct

ALONE = World(0, 1, torch.device("cpu"))


class LowerHalf(torch.nn.Module):
    """Says that the lower half of every crop is the object."""

    def forward(self, inputs):
        assert not self.training
        logits = torch.full_like(inputs[:, :1], -9)
        logits[:, :, inputs.shape[2] // 2 :] = 9
        return logits


def batch_of(*targets):
    targets = torch.tensor(np.stack(targets), dtype=torch.bool)[:, None]
    inputs = torch.rand(len(targets), 4, *targets.shape[2:])
    return Batch(inputs, targets, torch.zeros_like(targets), ["x"] * len(targets), [7, 8])


def test_the_point_lies_on_the_outline_at_the_largest_error():
    bar, half = np.zeros((32, 32)), np.zeros((32, 32))
    half[16:] = 1
    bar[16:, :16] = 1  # the mask is too wide by 16 x 16 pixels
    batch = batch_of(bar, half)
    network = LowerHalf().train()
    done = add_corrections(network, batch, 0.5)
    assert network.training
    assert torch.equal(done.inputs[1], batch.inputs[1])
    assert torch.equal(done.inputs[0, :3], batch.inputs[0, :3])
    spot = 255 * render_heatmap(np.array([[15, 23]]), (32, 32))
    np.testing.assert_array_equal(done.inputs[0, 3], np.maximum(batch.inputs[0, 3].numpy(), spot))
    assert (done.names, done.rows) == (batch.names, batch.rows)
    assert torch.equal(done.targets, batch.targets)


def test_errors_on_undecided_pixels_do_not_count():
    batch = tiny_batch(1)
    batch.voids.fill_(1)
    batch.targets.zero_()
    assert torch.equal(add_corrections(LowerHalf(), batch, 0.5).inputs, batch.inputs)


@pytest.mark.parametrize(("share", "changed"), [(0.0, 0), (1.0, 3), (0.5, None)])
def test_corrections_come_to_the_share_of_batches_asked_for(share, changed):
    config = plain_config(corrections=share)
    network = tiny_network()
    group = [tiny_batch(2, k) for k in range(3)]
    done = [correct(network, group, config, ALONE, [seed, 0]) for seed in range(8)]
    again = correct(network, group, config, ALONE, [3, 0])
    counts = [
        sum(not torch.equal(a.inputs, b.inputs) for a, b in zip(group, one, strict=True))
        for one in done
    ]
    assert all(torch.equal(a.inputs, b.inputs) for a, b in zip(done[3], again, strict=True))
    assert set(counts) == {changed} if changed is not None else 4 < sum(counts) < 20


def test_a_batch_gets_up_to_so_many_points():
    config = plain_config(corrections=1.0, correction_clicks=3)
    network, batch = tiny_network(), tiny_batch(1)
    batch.inputs[:, 3] = 0
    peaks = set()
    for seed in range(12):
        (done,) = correct(network, [batch], config, ALONE, [seed])
        peaks.add(int((done.inputs[0, 3] > 254).sum()))
    assert {1, 2} <= peaks <= {1, 2, 3}


def test_no_pixel_is_clicked_twice():
    bar = np.zeros((32, 32))
    bar[16:, :16] = 1
    batch = batch_of(bar)
    batch.inputs[:, 3] = 0
    for count in range(1, 4):
        batch = add_corrections(LowerHalf(), batch, 0.5)
        assert int((batch.inputs[0, 3] > 254).sum()) == count


def test_a_network_that_looks_twice_sees_its_first_mask():
    bar = np.zeros((32, 32))
    bar[16:, :16] = 1
    batch = batch_of(bar)
    batch.inputs[:, 3] = 0
    once = add_corrections(LowerHalf(), batch, 0.5, count=3)
    twice = add_corrections(LowerHalf(), batch, 0.5, count=3, looks_twice=True)
    assert torch.equal(twice.inputs[:, :4], once.inputs)
    first = torch.full((32, 32), -9.0)
    first[16:] = 9
    assert torch.equal(twice.inputs[0, 4], 255 * first.sigmoid())
    assert add_corrections(LowerHalf(), batch, 0.5, 0, True).inputs.shape[1] == 4
