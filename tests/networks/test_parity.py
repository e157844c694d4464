"""The network against the original's, in float64, with weights made from their names."""

import copy
import zlib

import numpy as np
import pytest
import torch
from support.golden import load

from dextr.losses import class_balanced_bce
from dextr.training.config import OptimConfig
from dextr.training.optim import build_optimizer
from networks import build_network, load_strict

GOLDEN = load("network")
STEPPED = [key.removeprefix("after_") for key in GOLDEN if key.startswith("after_")]


def made_value(name, shape):
    """Return an entry's value: what the reference vectors were computed with."""
    r = np.random.default_rng([20180607, zlib.crc32(name.encode())])
    if name.endswith("num_batches_tracked"):
        return torch.zeros((), dtype=torch.int64)
    if name.endswith("running_var"):
        value = 0.5 + r.random(shape)
    elif name.endswith("running_mean"):
        value = 0.1 * r.standard_normal(shape)
    elif len(shape) == 4:
        value = r.standard_normal(shape) * np.sqrt(1 / np.prod(shape[1:]))
    elif name.endswith("weight"):
        value = 0.8 + 0.4 * r.random(shape)
    else:
        value = 0.1 * r.standard_normal(shape)
    return torch.from_numpy(np.asarray(value, dtype=np.float64))


def made_network(head, known):
    """Return a network with the made values; `known` holds those made before."""
    net = build_network("resnet101", head).double()
    shapes = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    load_strict(net, known | {k: made_value(k, shapes[k]) for k in shapes.keys() - known.keys()})
    return net


@pytest.fixture(scope="module")
def psp():
    return made_network("psp", {})


@pytest.fixture(scope="module")
def atrous(psp):
    state = psp.state_dict().items()
    return made_network("atrous", {k: v for k, v in state if not k.startswith("layer5.")})


def assert_relative(found, expected, tolerance):
    np.testing.assert_allclose(np.asarray(found), expected, rtol=tolerance, atol=0)


def test_names_and_shapes(psp):
    ours = [f"{name}:{tuple(value.shape)}" for name, value in psp.state_dict().items()]
    assert ours == GOLDEN["state_keys"].tolist()


def test_trainable_names(psp):
    ours = [name for name, value in psp.named_parameters() if value.requires_grad]
    assert ours == GOLDEN["trainable"].tolist()


@pytest.mark.parametrize("head", ["psp", "atrous"])
def test_logits(request, head):
    net = request.getfixturevalue(head).eval()
    inputs = torch.from_numpy(GOLDEN[f"{head}_input"]).double()
    grid = []
    hook = net.layer5.register_forward_hook(lambda module, args, output: grid.append(output))
    with torch.inference_mode():
        logits = net(inputs)
    hook.remove()
    assert_relative(grid[0], GOLDEN[f"{head}_logits_eighth"], 1e-9)
    assert_relative(logits, GOLDEN[f"{head}_logits"], 1e-6)


def test_two_training_steps(psp):
    net = copy.deepcopy(psp).train()
    optimizer = build_optimizer(net, OptimConfig(lr=float(GOLDEN["step_lr"])))
    inputs = torch.from_numpy(GOLDEN["step_input"]).double()
    target = torch.from_numpy(GOLDEN["step_target"]).double()
    for expected in GOLDEN["step_losses"]:
        loss = class_balanced_bce(net(inputs), target)
        assert loss.item() == pytest.approx(expected, rel=1e-8)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    state = net.state_dict()
    assert len(STEPPED) == 11
    for name in STEPPED:
        value = state[name].flatten()
        assert_relative(value[:64], GOLDEN[f"after_{name}"], 1e-6)
        total = torch.stack([value.sum(), value.abs().sum()])
        assert_relative(total, GOLDEN[f"aftersum_{name}"], 1e-6)


def test_a_published_file_loads(psp):
    """Such files carry the prefix of DataParallel and lack the counters of batches."""
    state = {
        f"module.{name}": value
        for name, value in psp.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    net = build_network("resnet101", "psp").double()
    load_strict(net, state)
    for name, value in net.state_dict().items():
        assert torch.equal(value, psp.state_dict()[name]), name
    del state["module.layer3.7.bn2.weight"]
    state["module.fc.weight"] = torch.zeros(3)
    with pytest.raises(ValueError, match=r"missing \(layer3\.7\.bn2\.weight\).*fc\.weight"):
        load_strict(net, state)
