import copy
import random

import numpy as np
import pytest
import torch
from support.tiny import plain_config, tiny_batch, tiny_state

from dextr.common.processes import World
from dextr.training.checkpoint import (
    checkpoints,
    load_checkpoint,
    newest_checkpoint,
    random_states,
    restore_random_states,
    save_checkpoint,
)
from dextr.training.step import train_step
from dextr.weights.load import load_network

ALONE = World(0, 1, torch.device("cpu"))


def step(state, config, seed):
    state.network.train()
    loss = train_step(state, state.network, [tiny_batch(2, seed)], config, ALONE)
    state.step += 1
    return loss


def about(state):
    about = {"config": {}, "log_length": 0, "size": 64, "relax": 9, "threshold": 0.7}
    return {**state.to_dict(), **about}


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_restored_state_goes_on_to_the_last_bit(tmp_path, optimizer):
    config = plain_config(optimizer=optimizer, ema=0.9)
    state = tiny_state(config)
    for seed in range(3):
        step(state, config, seed)
    state.epoch, state.epoch_step, state.best, state.losses = 4, 2, 0.5, [1.5]
    path = save_checkpoint(tmp_path, about(state))

    other = tiny_state(config, seed=9)
    other.restore(load_checkpoint(path))
    assert (other.epoch, other.epoch_step, other.step) == (4, 2, 3)
    assert (other.best, other.losses) == (0.5, [1.5])
    for seed in (5, 6):
        assert step(state, config, seed) == step(other, config, seed)
    for one, two in ((state.network, other.network), (state.result, other.result)):
        for name, value in one.state_dict().items():
            assert torch.equal(value, two.state_dict()[name]), name


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize(("saved_by", "restored_by"), [(None, True), (True, None)])
def test_each_machine_has_its_own_kind_of_optimiser(optimizer, saved_by, restored_by):
    config = plain_config(optimizer=optimizer)
    states = tiny_state(config), tiny_state(config)
    for state, fused in zip(states, (saved_by, restored_by), strict=True):
        for group in state.optimizer.param_groups:
            group["fused"] = fused
    step(states[0], config, 0)
    states[1].restore(copy.deepcopy(states[0].to_dict()))
    assert {group["fused"] for group in states[1].optimizer.param_groups} == {restored_by}
    losses = [[float(step(state, config, seed)) for seed in (1, 2)] for state in states]
    assert losses[0] == pytest.approx(losses[1], rel=1e-9)


def test_random_states_come_back():
    def draw():
        return random.random(), np.random.random(), torch.rand(1).item()

    states = random_states()
    first = draw()
    assert draw() != first
    restore_random_states(states)
    assert draw() == first


def test_the_newest_two_and_those_to_keep_stay(tmp_path):
    state = tiny_state(plain_config())
    for number in range(1, 6):
        state.step = number
        save_checkpoint(tmp_path, about(state), keep=number == 2)
    (tmp_path / ".step-left-over.pt").write_text("half")
    state.step = 10
    save_checkpoint(tmp_path, about(state))
    names = [path.name for path in checkpoints(tmp_path)]
    assert names == ["step-000000010.pt", "step-000000005.pt", "snapshot-000000002.pt"]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(names)


def test_a_broken_newest_one_falls_back_to_the_one_before(tmp_path):
    assert newest_checkpoint(tmp_path) is None
    state = tiny_state(plain_config())
    for number in (1, 2):
        state.step = number
        path = save_checkpoint(tmp_path, about(state))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.warns(UserWarning, match=r"step-000000002\.pt: cannot be read.*the one before"):
        found = newest_checkpoint(tmp_path)
    assert found is not None
    assert found[1]["step"] == 1
    found[0].write_bytes(b"")
    with (
        pytest.warns(UserWarning, match="cannot be read"),
        pytest.raises(ValueError, match="none of the 2"),
    ):
        newest_checkpoint(tmp_path)


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    state = tiny_state(plain_config())
    save_checkpoint(tmp_path, about(state))
    state.step = 1
    with torch.no_grad():
        state.network.layer5.final.weight[0, 0] = float("nan")
    with pytest.raises(ValueError, match="weights are not finite"):
        save_checkpoint(tmp_path, about(state))
    assert [p.name for p in tmp_path.iterdir()] == ["step-000000000.pt"]


def test_code_in_a_checkpoint_is_not_executed(tmp_path):
    torch.save({"format": 1, "trap": print}, tmp_path / "step-1.pt")
    with pytest.raises(ValueError, match="cannot be read"):
        load_checkpoint(tmp_path / "step-1.pt")
    torch.save({"other": 1}, tmp_path / "step-2.pt")
    with pytest.raises(ValueError, match="not a training checkpoint"):
        load_checkpoint(tmp_path / "step-2.pt")


def test_a_checkpoint_serves_as_weights_with_the_average(tmp_path):
    config = plain_config(ema=0.5)
    state = tiny_state(config)
    step(state, config, 1)
    loaded = load_network(save_checkpoint(tmp_path, about(state)))
    assert (loaded.about.size, loaded.about.relax, loaded.about.threshold) == (64, 9, 0.7)
    expected = state.result.layer5.final.weight.float()
    assert torch.equal(loaded.network.layer5.final.weight.float(), expected)
    assert not torch.equal(expected, state.network.layer5.final.weight.float())
