import copy

import pytest
import torch
from support.tiny import plain_config, tiny_batch, tiny_state

from dextr.batch import in_groups
from dextr.common.processes import World
from dextr.losses import class_balanced_bce
from dextr.training.step import LossWatch, train_step

ALONE = World(0, 1, torch.device("cpu"))


@pytest.mark.parametrize(
    ("count", "size", "groups"),
    [
        (0, 2, []),
        (1, 2, [[0]]),
        (4, 2, [[0, 1], [2, 3]]),
        (3, 1, [[0], [1], [2]]),
        (2, 5, [[0, 1]]),
    ],
)
def test_groups(count, size, groups):
    assert list(in_groups(range(count), size)) == groups


@pytest.mark.parametrize("void", ["background", "ignore"])
def test_a_step_takes_the_mean_gradient_of_its_batches(void):
    config = plain_config(lr=0.5, momentum=0.0, weight_decay=0.0, void=void)
    state = tiny_state(config)
    reference = copy.deepcopy(state.network).train()
    state.network.train()
    group = [tiny_batch(3, 1), tiny_batch(2, 2), tiny_batch(1, 3)]
    loss = train_step(state, state.network, group, config, ALONE)

    total = 0
    for batch in group:
        voids = batch.voids if void == "ignore" else None
        total = total + class_balanced_bce(reference(batch.inputs), batch.targets, voids) / 3
    total.backward()
    assert loss.item() == pytest.approx(total.item(), rel=1e-6)
    for (name, moved), start in zip(
        state.network.named_parameters(), reference.parameters(), strict=True
    ):
        if start.requires_grad:
            torch.testing.assert_close(
                moved.detach(), (start - 0.5 * start.grad).detach(), msg=name
            )
        else:
            assert torch.equal(moved, start)


def test_the_gradients_norm_is_limited():
    config = plain_config(lr=1.0, momentum=0.0, weight_decay=0.0, clip_norm=1e-3)
    state = tiny_state(config)
    before = copy.deepcopy(state.network)
    train_step(state, state.network.train(), [tiny_batch(2)], config, ALONE)
    moved = [
        (a - b).detach().square().sum()
        for a, b in zip(state.network.parameters(), before.parameters(), strict=True)
    ]
    assert torch.stack(moved).sum().sqrt().item() == pytest.approx(1e-3, rel=1e-3)


def test_bfloat16_on_the_cpu_comes_close():
    losses = []
    for amp in ("off", "bf16"):
        config = plain_config(amp=amp)
        state = tiny_state(config)
        state.network.float().train()
        batch = tiny_batch(2)
        batch.inputs = batch.inputs.float()
        losses.append(train_step(state, state.network, [batch], config, ALONE).item())
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.05)


def test_a_loss_that_is_not_finite_names_step_values_and_objects():
    watch = LossWatch(ALONE)
    assert watch.collect(0) == []
    watch.add(torch.tensor(2.5), [tiny_batch(1, 1)])
    assert watch.collect(1) == [2.5]
    watch.add(torch.tensor(3.5), [tiny_batch(1, 1)])
    watch.add(torch.tensor(float("nan")), [tiny_batch(2, 7)])
    watch.add(torch.tensor(1.0), [tiny_batch(1, 8)])
    with pytest.raises(
        ValueError, match=r"nan at step 3 .*3\.5, nan\).* object 7\.0, object 7\.1;"
    ):
        watch.collect(4)
