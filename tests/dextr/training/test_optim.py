import math

import pytest
import torch
from support.tiny import plain_config, tiny_network
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.amp.grad_scaler import GradScaler

from dextr.training.optim import (
    MovingAverage,
    build_optimizer,
    learning_rate_factor,
    set_learning_rate,
)
from networks import build_network


@pytest.mark.parametrize(
    ("schedule", "warmup", "step", "factor"),
    [
        ("constant", 0, 0, 1.0),
        ("constant", 0, 99, 1.0),
        ("constant", 4, 0, 0.25),
        ("constant", 4, 3, 1.0),
        ("cosine", 0, 0, 1.0),
        ("cosine", 0, 50, 0.5),
        ("cosine", 0, 25, (1 + math.sqrt(0.5)) / 2),
        ("cosine", 20, 60, 0.5),
        ("cosine", 20, 9, 0.5),
        ("cosine", 0, 100, 0.0),
        ("poly", 0, 0, 1.0),
        ("poly", 0, 75, 0.25**0.9),
        ("poly", 0, 100, 0.0),
        ("poly", 100, 100, 1.0),
    ],
)
def test_learning_rate_over_time(schedule, warmup, step, factor):
    config = plain_config(schedule=schedule, warmup_steps=warmup)
    assert learning_rate_factor(step, 100, config) == pytest.approx(factor, abs=1e-12)


def test_head_and_stem_have_their_own_learning_rates():
    network = tiny_network()
    config = plain_config(lr=1.0, head_lr_factor=10.0, stem_lr_factor=0.5)
    optimizer = build_optimizer(network, config)
    assert set_learning_rate(optimizer, 0.1) == pytest.approx(0.1)
    rates = {id(p): g["lr"] for g in optimizer.param_groups for p in g["params"]}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            expected = 1.0 if name.startswith("layer5") else 0.05 if name == "conv1.weight" else 0.1
            assert rates.pop(id(parameter)) == pytest.approx(expected), name
    assert not rates


def test_sgd_steps_as_written_down():
    network = tiny_network()
    config = plain_config(lr=0.1, momentum=0.9, weight_decay=0.01)
    optimizer = build_optimizer(network, config)
    weight = network.layer1[0].conv1.weight
    expected, velocity = weight.detach().clone(), torch.zeros_like(weight)
    for _ in range(3):
        weight.grad = torch.full_like(weight, 0.5)
        optimizer.step()
        velocity = 0.9 * velocity + 0.5 + 0.01 * expected
        expected = expected - 0.1 * velocity
    torch.testing.assert_close(weight.detach(), expected)


def test_moving_average_is_the_average_written_down():
    network = tiny_network()
    average = MovingAverage(network, 0.6)
    expected = network.layer5.final.weight.detach().clone()
    for step in range(8):
        with torch.no_grad():
            network.layer5.final.weight.normal_()
        average.update(step)
        decay = min(0.6, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * network.layer5.final.weight.detach()
    torch.testing.assert_close(average.network.layer5.final.weight, expected)
    assert not any(p.requires_grad for p in average.network.parameters())


def test_the_averages_statistics_are_those_its_own_weights_make():
    network = tiny_network()
    average = MovingAverage(network, 0.9)
    with torch.no_grad():
        network.conv1.weight.mul_(3)
    inputs = 255 * torch.rand(4, 4, 32, 32, dtype=torch.double)
    for _ in range(200):
        average.measure(inputs)
    found = average.network.conv1(inputs)
    torch.testing.assert_close(average.network.bn1.running_mean, found.mean((0, 2, 3)))
    torch.testing.assert_close(average.network.bn1.running_var, found.var((0, 2, 3)))
    assert not average.network.training


def test_frozen_statistics_stay():
    average = MovingAverage(tiny_network().freeze_statistics(), 0.9)
    before = average.network.bn1.running_mean.clone()
    average.measure(255 * torch.rand(2, 4, 32, 32, dtype=torch.double))
    assert torch.equal(average.network.bn1.running_mean, before)


@pytest.mark.parametrize(
    ("device", "optimizer", "amp", "fused"),
    [
        ("cpu", "sgd", "off", None),
        ("cuda", "sgd", "off", True),
        ("cuda", "sgd", "bf16", True),
        ("cuda", "sgd", "fp16", None),
        ("cuda", "adamw", "fp16", True),
    ],
)
def test_fused_where_it_is_right(device, optimizer, amp, fused):
    with FakeTensorMode(), torch.device(device):
        network = build_network("resnet18", head_width=4, stages=2)
        built = build_optimizer(network, plain_config(optimizer=optimizer, amp=amp))
    assert {group["fused"] for group in built.param_groups} == {fused}


def test_sgd_survives_steps_that_loss_scaling_skips():
    network = tiny_network().float()
    optimizer = build_optimizer(network, plain_config(amp="fp16", lr=0.1))
    scaler = GradScaler("cpu")
    weight = network.layer1[0].conv1.weight
    before = weight.detach().clone()
    for value in (float("inf"), 0.5):
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.grad = torch.full_like(parameter, value) * scaler.scale(torch.ones(()))
        scaler.step(optimizer)
        scaler.update()
    expected = before - 0.1 * (0.5 + 5e-4 * before)
    torch.testing.assert_close(weight.detach(), expected)
