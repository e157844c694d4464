"""The training benchmark's arithmetic, and all its paths on a tiny network."""

import json

import pytest
import torch
from torch import nn

from benchmarks import training
from benchmarks.training import MEASURES, training_flops
from networks import DextrNet, NetworkConfig

TINY = NetworkConfig("resnet18", head_width=4, stages=1)


def counted_by_hand(network, inputs):
    """Count two operations for each multiplication of every convolution, by its output."""
    total = {}

    def count(module, _, output):
        each = 2 * output.numel() * module.weight[0].numel()
        # Backward: once for the weights, once for the input unless it is the image.
        total[module] = each * (2 if module is network.conv1 else 3)

    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(count)
    network(inputs)
    return sum(total.values())


def test_operations_of_a_training_step():
    expected = counted_by_hand(DextrNet(TINY).train(), torch.rand(2, 4, 32, 32)) / 2
    assert training_flops(TINY, 32) == expected


def test_every_path_runs(tmp_path, capsys, monkeypatch):
    # What torch.compile makes is its own affair, and takes a compiler.
    monkeypatch.setattr(torch, "compile", lambda network, **options: network)
    file, kernels = tmp_path / "training.json", tmp_path / "kernels.txt"
    arguments = ["--small", "--device", "cpu", "--steps", "2", "--batches", "2", "3"]
    arguments += ["--json", str(file), "--profile", str(kernels)]
    assert training.main(arguments) == 0
    shown = capsys.readouterr().out
    result = json.loads(file.read_text())
    assert [row["loop"] for row in result["network"][:5]] == [*MEASURES]
    assert [row["batch"] for row in result["network"][:7]] == [5] * 5 + [2, 3]
    for row in result["network"]:
        assert row["rate"] > 0
        assert f"| {row['loop']} | {row['batch']} | {row['rate']:.1f} |" in shown
    for row in result["network"]:
        flops = row["rate"] * 1e9 * result["gflop_per_object"]
        assert row["share"] == pytest.approx(flops / result["peak"])
    assert "convolution" in kernels.read_text()
