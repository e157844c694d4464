"""EfficientNet-Lite backbones (Tan and Le 2019, without squeeze-and-excitation, with ReLU6)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from networks.depthwise import KERNEL, depthwise

NORM_EPS = 1e-3


class Stage(NamedTuple):
    """Inverted residual blocks of one width, before scaling.

    Attributes:
        blocks: Number of blocks.
        kernel: Side of the depthwise convolution.
        stride: Stride of the first block.
        expansion: Channels inside a block per channel of its input.
        width: Channels of the output.
    """

    blocks: int
    kernel: int
    stride: int
    expansion: int
    width: int


BASELINE = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
# The baseline's stages that make up each of layer1 .. layer4, with strides 4, 8, 16, 32.
LAYERS = ((0, 1), (2,), (3, 4), (5, 6))


# Parts of a block: names of `efficientnet-lite-pytorch`, and ours.
PARTS = {
    "_expand_conv": "expand.0",
    "_bn0": "expand.1",
    "_depthwise_conv": "depthwise.0",
    "_bn1": "depthwise.1",
    "_project_conv": "project.0",
    "_bn2": "project.1",
}


class Scaling(NamedTuple):
    """Factors of the baseline's widths and depths (table 8 of the paper, lite variants)."""

    width: float
    depth: float


SCALINGS = {
    "efficientnet_lite0": Scaling(1.0, 1.0),
    "efficientnet_lite1": Scaling(1.0, 1.1),
    "efficientnet_lite2": Scaling(1.1, 1.2),
}


def scaled_width(width: int, factor: float) -> int:
    """Return the multiple of 8 nearest to width * factor, but not less than 90 % of it.

    >>> scaled_width(80, 1.1)
    88
    """
    exact = width * factor
    rounded = max(8, int(exact + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * exact else rounded


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's padding: where it is uneven, one more right and below."""

    def forward(self, x: Tensor) -> Tensor:
        pads = []
        for side, kernel, stride in zip(
            (x.shape[3], x.shape[2]), self.kernel_size[::-1], self.stride[::-1], strict=True
        ):
            lacking = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            pads += [lacking // 2, lacking - lacking // 2]
        if self.training and self.kernel_size[0] == KERNEL and self.groups > 1 and not x.is_cuda:
            return depthwise(F.pad(x, pads), self.weight, self.stride[0])
        if pads[0] == pads[1] and pads[2] == pads[3]:
            padding = (pads[2], pads[0])
            return F.conv2d(
                x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups
            )
        return super().forward(F.pad(x, pads))


class Stem(SameConv2d):
    """First convolution of (N, C, H, W) with values 0..255; colours are centred, others scaled."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(torch.cat([x[:, :3] - 127, x[:, 3:]], dim=1) / 128)


class InvertedResidual(nn.Module):
    """1x1 expansion, depthwise convolution, 1x1 projection; a shortcut where shapes agree."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = c_in * expansion
        self.expand: nn.Module = nn.Identity()
        if expansion != 1:
            self.expand = nn.Sequential(
                nn.Conv2d(c_in, width, 1, bias=False),
                nn.BatchNorm2d(width, NORM_EPS),
                nn.ReLU6(inplace=True),
            )
        self.depthwise = nn.Sequential(
            SameConv2d(width, width, kernel, stride, groups=width, bias=False),
            nn.BatchNorm2d(width, NORM_EPS),
            nn.ReLU6(inplace=True),
        )
        self.project = nn.Sequential(
            nn.Conv2d(width, c_out, 1, bias=False), nn.BatchNorm2d(c_out, NORM_EPS)
        )
        self.shortcut = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.shortcut else y


def efficientnet_layers(
    backbone: str, in_channels: int, stages: int
) -> tuple[dict[str, nn.Module], tuple[int, ...]]:
    """Return stem and stages by name, and the channels of every stage; see `resnet_layers`.

    Args:
        backbone: A key of `SCALINGS`.
        in_channels: Channels of the input, the first three colours.
        stages: Number of stages built, 1 to 4 (strides 4 to 32).
    """
    scaling = SCALINGS[backbone]
    layers: dict[str, nn.Module] = {
        "conv1": Stem(in_channels, 32, 3, 2, bias=False),
        "bn1": nn.BatchNorm2d(32, NORM_EPS),
        "relu": nn.ReLU6(inplace=True),
        "maxpool": nn.Identity(),
    }
    c_in, channels = 32, []
    for k, members in enumerate(LAYERS[:stages]):
        blocks = []
        for number in members:
            stage = BASELINE[number]
            width = scaled_width(stage.width, scaling.width)
            # Lite variants scale neither stem nor the depth of the first and last stage.
            depth = scaling.depth if 0 < number < len(BASELINE) - 1 else 1.0
            for repeat in range(math.ceil(stage.blocks * depth)):
                stride = 1 if repeat else stage.stride
                blocks.append(InvertedResidual(c_in, width, stage.kernel, stride, stage.expansion))
                c_in = width
        layers[f"layer{k + 1}"] = nn.Sequential(*blocks)
        channels.append(c_in)
    return layers, tuple(channels)


def rename_published(state: Mapping[str, Tensor], own: Iterable[str]) -> dict[str, Tensor]:
    """Return a state in the names of `efficientnet-lite-pytorch` under our names.

    Args:
        state: The published state; names that are not understood stay as they are.
        own: The names of a network's entries.
    """
    blocks = [name.rsplit(".", 3)[0] for name in own if name.endswith("project.0.weight")]
    names = {"_conv_stem": "conv1", "_bn0": "bn1"}
    for k, block in enumerate(blocks):
        names |= {f"_blocks.{k}.{theirs}": f"{block}.{ours}" for theirs, ours in PARTS.items()}
    parts = {name: name.rpartition(".") for name in state}
    return {
        f"{names.get(part, part)}.{leaf}": state[name] for name, (part, _, leaf) in parts.items()
    }
