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
    on_cpu,
    random_states,
    restore_random_states,
    save_checkpoint,
)
from dextr.training.hard_objects import HardExamples
from dextr.training.optim import MOMENTS
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


def test_a_run_that_went_on_before_a_damaged_one_keeps_two_whole_ones(tmp_path):
    state = tiny_state(plain_config())
    for number in (1, 2, 3):
        state.step = number
        path = save_checkpoint(tmp_path, about(state))
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 4
    path.write_bytes(damaged)
    with pytest.warns(UserWarning, match=r"step-000000003\.pt: .*its checksum is another one"):
        found = newest_checkpoint(tmp_path)
    assert found is not None
    state.restore(found[1])
    for number in (0, 2):  # epochs are saved at a step once more, others after it
        state.step = 2 + number
        save_checkpoint(tmp_path, about(state))
        assert all(load_checkpoint(p) for p in checkpoints(tmp_path))
    assert [p.name for p in checkpoints(tmp_path)] == ["step-000000004.pt", "step-000000002.pt"]
    assert (tmp_path / "step-000000003.damaged").read_bytes() == bytes(damaged)


@pytest.mark.parametrize("kept", [0, 1, 4_000, 69_000])
def test_whatever_is_left_of_the_newest_the_one_before_is_taken(tmp_path, kept):
    state = tiny_state(plain_config())
    for number in (1, 2):
        state.step = number
        path = save_checkpoint(tmp_path, about(state))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.warns(UserWarning, match=r"step-000000002\.pt: cannot be read: "):
        found = newest_checkpoint(tmp_path)
    assert found is not None
    assert found[1]["step"] == 1


def test_checkpoints_of_earlier_versions_are_read(tmp_path):
    state = tiny_state(plain_config())
    content = about(state)
    del content["best_of"]
    torch.save({"format": 1, **content}, tmp_path / "step-000000000.pt")
    tiny_state(plain_config(), seed=3).restore(load_checkpoint(tmp_path / "step-000000000.pt"))
    assert load_network(tmp_path / "step-000000000.pt").about.size == 64


def test_a_damaged_checkpoint_is_no_weights_file_either(tmp_path):
    path = save_checkpoint(tmp_path, about(tiny_state(plain_config())))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"step-000000000\.pt: damaged: its checksum"):
        load_network(path)


@pytest.mark.parametrize("other", ["missing", None, "text"])
def test_fields_that_are_missing_or_of_another_type_are_one_line(tmp_path, other):
    config = plain_config(ema=0.5, optimizer="adamw")
    state = tiny_state(config)
    state.hard = HardExamples(4)
    step(state, config, 0)
    whole = {"format": 1, **about(state)}
    paths = [(name,) for name in whole]
    paths += [
        (a, b) for a, value in whole.items() if isinstance(value, dict) for b in list(value)[:1]
    ]
    restored = tiny_state(config)
    for path in paths:
        if path[0] in ("config", "size", "relax", "threshold", "network"):
            continue  # others read these
        content = dict(whole)
        if len(path) == 2:
            content[path[0]] = dict(whole[path[0]])
        part = content if len(path) == 1 else content[path[0]]
        if other == "missing":
            del part[path[-1]]
        else:
            part[path[-1]] = other
        torch.save(content, tmp_path / "step-1.pt")
        restored.hard = HardExamples(4)
        try:
            restored.restore(load_checkpoint(tmp_path / "step-1.pt"))
        except ValueError as error:
            assert "\n" not in str(error), path  # noqa: PT017


@pytest.mark.parametrize(
    ("path", "other"),
    [
        (("optimizer", "state", 0), "text"),
        (("optimizer", "state", 0, "exp_avg"), torch.zeros(1)),
        (("optimizer", "state", 0, "exp_avg"), None),
        (("optimizer", "param_groups", 0, "lr"), "text"),
        (("optimizer", "param_groups", 0, "params"), [5]),
        (("losses",), ["text"]),
        (("random", "torch"), torch.zeros(3)),
        (("hard", "ious"), torch.ones(5)),
        (("step",), -1),
        (("epoch",), 0.5),
    ],
)
def test_values_that_do_not_fit_are_refused(tmp_path, path, other):
    config = plain_config(ema=0.5, optimizer="adamw")
    states = [tiny_state(config) for _ in range(2)]
    for state in states:
        state.hard = HardExamples(4)
    step(states[0], config, 0)
    content = copy.deepcopy({"format": 1, **about(states[0])})
    part = content
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = other
    torch.save(content, tmp_path / "step-1.pt")
    with pytest.raises(ValueError, match=r"damaged|checkpoint|optimiser|group"):
        states[1].restore(load_checkpoint(tmp_path / "step-1.pt"))


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("layouts", [(True, False), (False, True)])
def test_restored_moments_lie_in_memory_as_the_weights_do(optimizer, layouts):
    config = plain_config(optimizer=optimizer)
    formats = [torch.channels_last if last else torch.contiguous_format for last in layouts]
    states = [tiny_state(config) for _ in range(2)]
    for state, layout in zip(states, formats, strict=True):
        state.network.to(memory_format=layout)
        for group in state.optimizer.param_groups:
            group["fused"] = True
    step(states[0], config, 0)
    states[1].restore(copy.deepcopy(states[0].to_dict()))
    for parameter, moments in states[1].optimizer.state.items():
        for name in MOMENTS[type(states[1].optimizer)]:
            assert moments[name].stride() == parameter.stride()
    losses = [[float(step(state, config, seed)) for seed in (1, 2)] for state in states]
    assert losses[0] == pytest.approx(losses[1], rel=1e-9)


def test_a_copy_holds_the_same_in_memory_of_its_own():
    assert on_cpu({}) == {}
    image = torch.arange(24.0).view(1, 2, 3, 4).contiguous(memory_format=torch.channels_last)
    content = {"a": image, "b": [torch.tensor(3), 5, "x"], "c": {"d": torch.ones(2), "e": None}}
    copied = on_cpu(content, "cpu")
    assert torch.equal(copied["a"], image)
    assert copied["b"][0].shape == ()
    assert (int(copied["b"][0]), *copied["b"][1:]) == (3, 5, "x")
    assert copied["c"]["e"] is None
    pointers = [t.untyped_storage().data_ptr() for t in (image, copied["a"], copied["c"]["d"])]
    assert len(set(pointers)) == 3
    assert copied["c"]["d"].untyped_storage().nbytes() == 8
    assert on_cpu(content)["a"] is image


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
