"""The copy for prediction against the network it was made from."""

import copy

import pytest
import torch
from torch import nn

from networks import build_network
from networks.inference import for_inference
from networks.packed import PackedConv, PackedPointwise, can_pack, pack

VARIANTS = [
    {"backbone": "resnet101"},
    {"backbone": "resnet50", "head": "atrous", "stride_on": "3x3"},
    {"backbone": "resnet50", "output_stride": 16, "skips": 1},
    {"backbone": "resnet34", "head": "atrous", "output_stride": 16},
    {"backbone": "resnet18", "skips": 2},
    {"backbone": "resnet18", "stages": 3, "output_stride": 16, "skips": 2},
    {"backbone": "resnet18", "stages": 1, "in_channels": 3},
]


def random_network(**options):
    """A network whose every value is random, with logits that differ from place to place."""
    torch.manual_seed(0)
    network = build_network(**({"head_width": 8} | options)).eval()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.3, 0.8)
            nn.init.normal_(module.bias, std=0.2)
            module.running_mean.normal_(std=0.2)
            module.running_var.uniform_(0.5, 1.5)
    network.conv1.weight.data /= 255
    return network


def packed(network):
    return pack(for_inference(network))


def random_input(count, channels, hw):
    return 255 * torch.rand(count, channels, *hw, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("options", VARIANTS, ids=lambda o: " ".join(map(str, o.values())))
def test_logits_are_those_of_the_network(options):
    network = random_network(**options)
    copies = for_inference(network), packed(network)
    for count, hw in ((1, (64, 64)), (2, (56, 80))):
        inputs = random_input(count, network.config.in_channels, hw)
        with torch.inference_mode():
            expected = network(inputs)
            assert expected.std() > 0.02
            for fast in copies:
                found = fast(inputs)
                # Nothing that is written in place is read again.
                assert torch.equal(fast(inputs), found)
                assert found.shape == expected.shape
                torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("head", ["psp", "atrous"])
def test_in_double_precision_nothing_but_the_order_of_sums_differs(head):
    network = random_network(backbone="resnet18", head=head).double()
    inputs = random_input(2, 4, (72, 40)).double()
    with torch.inference_mode():
        expected = network(inputs)
        torch.testing.assert_close(for_inference(network)(inputs), expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("make", [for_inference, packed])
def test_the_network_stays_as_it_was(make):
    network = random_network(backbone="resnet18", skips=1).train()
    before, random_state = copy.deepcopy(network), torch.get_rng_state()
    fast = make(network)
    assert torch.equal(torch.get_rng_state(), random_state)
    with torch.inference_mode():
        fast(random_input(1, 4, (32, 32)))
    assert network.training
    assert not fast.training
    assert str(network) == str(before)
    state = network.state_dict()
    for name, value in before.state_dict().items():
        assert torch.equal(state[name], value), name
        assert state[name].stride() == value.stride(), name
    ours = {p.data_ptr() for p in network.parameters()}
    assert not ours & {p.data_ptr() for p in fast.parameters()}
    trained = [p.requires_grad for p in before.parameters()]
    assert [p.requires_grad for p in network.parameters()] == trained


def test_no_batch_norm_is_left():
    fast = for_inference(random_network(backbone="resnet18", skips=2))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fast.modules())
    assert not any(p.requires_grad for p in fast.parameters())


def test_the_pooled_maps_are_convolved_while_they_are_small():
    fast = for_inference(random_network(backbone="resnet18", stages=1))
    seen = []
    for module in fast.layer5.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda m, i, o: seen.append((m.in_channels, *o.shape[2:])))
    with torch.inference_mode():
        fast(random_input(1, 4, (48, 64)))
    # The features first, then each branch's own and its part of the bottleneck, then the last.
    pooled = [(channels, bin_, bin_) for bin_ in (1, 2, 3, 6) for channels in (64, 8)]
    assert seen == [(64, 12, 16), *pooled, (8, 12, 16)]


def test_every_large_convolution_is_packed():
    if not can_pack():
        pytest.skip("this PyTorch lacks the operators")
    for options in VARIANTS[-3:]:
        network = packed(random_network(**options))
        left = [name for name, m in network.named_modules() if isinstance(m, nn.Conv2d)]
        assert all(name.startswith("layer5.") for name in left)
        assert not any("reduce" in name or "fuse" in name for name in left)
        assert sum(isinstance(m, PackedConv | PackedPointwise) for m in network.modules()) > 5


def test_a_convolution_of_single_positions_is_a_matrix_product():
    if not can_pack():
        pytest.skip("this PyTorch lacks the operators")
    network = packed(random_network(backbone="resnet50", stages=2, stride_on="3x3"))
    products = [name for name, m in network.named_modules() if isinstance(m, PackedPointwise)]
    blocks = [f"layer1.{k}" for k in range(3)] + [f"layer2.{k}" for k in range(4)]
    first_and_last = {f"{block}.{name}" for block in blocks for name in ("convs.0", "last")}
    # The shortcut into the second stage leaves out every other position.
    assert set(products) >= {*first_and_last, "layer1.0.downsample"}
    assert "layer2.0.downsample" not in products


@pytest.mark.parametrize("kind", [PackedConv, PackedPointwise])
@pytest.mark.parametrize("error", [AttributeError, RuntimeError, TypeError, None])
def test_without_the_operators_a_network_is_left_as_it_is(monkeypatch, error, kind):
    class Unfit(kind):
        def forward(self, x, add=None):
            if error:
                raise error
            return super().forward(x, add) + 1

    monkeypatch.setattr(f"networks.packed.{kind.__name__}", Unfit)
    network = for_inference(random_network(backbone="resnet18", stages=1))
    before = str(network)
    assert not can_pack()
    assert str(pack(network)) == before
