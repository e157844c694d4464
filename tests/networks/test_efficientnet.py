"""EfficientNet-Lite against vectors computed with efficientnet-lite-pytorch 0.1.0."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support import golden

from networks import build_network, load_imagenet
from networks.efficientnet import SCALINGS, SameConv2d, scaled_width


def lite(number, **options):
    options = {"head_width": 16, "output_stride": 32, "skips": 3} | options
    return build_network(f"efficientnet_lite{number}", **options)


def made_state(net):
    """Values in the published names, drawn by name so that any code can draw the same."""
    blocks = [k for k in net.state_dict() if k.endswith("project.0.weight")]
    names = {
        "expand.0": "_expand_conv", "expand.1": "_bn0", "depthwise.0": "_depthwise_conv",
        "depthwise.1": "_bn1", "project.0": "_project_conv", "project.1": "_bn2",
    }  # fmt: skip
    state = {}
    for name, value in net.state_dict().items():
        if name.startswith("layer5") or name.endswith("num_batches_tracked"):
            continue
        part, _, leaf = name.rpartition(".")
        if part in ("conv1", "bn1"):
            published = {"conv1": "_conv_stem", "bn1": "_bn0"}[part]
        else:
            block, kind, number = part.rsplit(".", 2)
            index = blocks.index(f"{block}.project.0.weight")
            published = f"_blocks.{index}.{names[f'{kind}.{number}']}"
        shape = (value.shape[0], 3, *value.shape[2:]) if part == "conv1" else tuple(value.shape)
        state[f"{published}.{leaf}"] = drawn(f"{published}.{leaf}", shape)
    return state


def drawn(name, shape):
    rng = np.random.default_rng(list(name.encode()))
    if len(shape) == 4:
        values = rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
    elif name.endswith(("var", "weight")):
        values = rng.uniform(0.8, 1.2, shape)
    else:
        values = rng.normal(0, 0.1, shape)
    return torch.from_numpy(values.astype(np.float32))


def made_input(side):
    rng = np.random.default_rng(side)
    return torch.from_numpy(rng.uniform(0, 255, (1, 3, side, side)).astype(np.float32))


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("side", [64, 75])
def test_last_stage_as_published(number, side):
    net = lite(number)
    load_imagenet(net, made_state(net))
    net.eval()
    with torch.no_grad():
        net.conv1.weight[:, 3:] = 0
        x = torch.cat([made_input(side), torch.full((1, 1, side, side), 99.0)], dim=1)
        found = net.stage_outputs(x)[-1].numpy()
    expected = golden.load("efficientnet")[f"lite{number}_{side}"]
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_the_heat_channel_starts_small_and_random():
    net = lite(0)
    state = made_state(net)
    load_imagenet(net, state)
    assert torch.equal(net.conv1.weight[:, :3], state["_conv_stem.weight"])
    assert 0.02 < net.conv1.weight[:, 3:].std().item() < 0.08


@pytest.mark.parametrize("number", [0, 1, 2])
def test_stages_have_strides_4_to_32(number):
    outputs = lite(number).eval().stage_outputs(torch.zeros(1, 4, 64, 96))
    assert [tuple(x.shape[2:]) for x in outputs] == [(16, 24), (8, 12), (4, 6), (2, 3)]


def test_unknown_output_stride_is_refused():
    with pytest.raises(ValueError, match="output_stride must be one of 32; got 8"):
        lite(0, output_stride=8)


@pytest.mark.parametrize(
    ("width", "factor", "expected"),
    [(16, 1.0, 16), (24, 1.1, 24), (40, 1.1, 48), (80, 1.1, 88), (112, 1.1, 120), (320, 1.1, 352)],
)
def test_widths(width, factor, expected):
    assert scaled_width(width, factor) == expected


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [8, 9])
def test_uneven_padding_goes_right_and_below(kernel, stride, side):
    conv = SameConv2d(3, 3, kernel, stride, groups=3, bias=False).double().eval()
    x = torch.randn(2, 3, side, side, dtype=torch.double)
    out = -(-side // stride)
    padded = torch.zeros(2, 3, side + 8, side + 8, dtype=torch.double)
    first = 4 - max((out - 1) * stride + kernel - side, 0) // 2
    padded[:, :, 4 : 4 + side, 4 : 4 + side] = x
    expected = torch.zeros(2, 3, out, out, dtype=torch.double)
    for row in range(out):
        for column in range(out):
            y0, x0 = first + row * stride, first + column * stride
            part = padded[:, :, y0 : y0 + kernel, x0 : x0 + kernel]
            expected[:, :, row, column] = (part * conv.weight[:, 0]).sum((2, 3))
    torch.testing.assert_close(conv(x), expected)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [7, 8])
def test_depthwise_gradients_are_those_of_the_plain_convolution(stride, side):
    conv = SameConv2d(4, 4, 5, stride, groups=4, bias=False).double()
    x = torch.randn(2, 4, side, side, dtype=torch.double, requires_grad=True)
    y = conv.train()(x)
    plain = conv.eval()(x)
    torch.testing.assert_close(y, plain)
    grad = torch.randn_like(y)
    for a, b in zip(
        torch.autograd.grad(y, [x, conv.weight], grad),
        torch.autograd.grad(plain, [x, conv.weight], grad),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


def test_depthwise_under_autocast_is_near():
    conv = SameConv2d(4, 4, 5, 1, groups=4, bias=False)
    x = torch.randn(2, 4, 9, 9)
    with torch.autocast("cpu", torch.bfloat16):
        y = conv.train()(x)
    assert y.dtype == torch.bfloat16
    expected = F.conv2d(x, conv.weight, padding=2, groups=4)
    torch.testing.assert_close(y.float(), expected, atol=0.05, rtol=0.05)


def test_every_scaling_can_be_built():
    assert set(SCALINGS) == {f"efficientnet_lite{k}" for k in (0, 1, 2)}
