"""Dilated ResNet backbone (He et al. 2016; paper section 3.2)."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

# Per output stride: the strides and the dilations of the four stages.
GRIDS = {
    8: ((1, 2, 1, 1), (1, 1, 2, 4)),
    16: ((1, 2, 2, 1), (1, 1, 1, 2)),
}


class Layout(NamedTuple):
    """Block type and number of blocks per stage of a published ResNet."""

    bottleneck: bool
    blocks: tuple[int, int, int, int]


LAYOUTS = {
    "resnet101": Layout(True, (3, 4, 23, 3)),
    "resnet50": Layout(True, (3, 4, 6, 3)),
    "resnet34": Layout(False, (3, 4, 6, 3)),
    "resnet18": Layout(False, (2, 2, 2, 2)),
}


class BlockPlan(NamedTuple):
    """What one residual block does to the sampling grid.

    The convolution that carries the stride still sees the grid before it, so it takes the
    dilation of the previous stage; every convolution after it takes the stage's own. This is
    the rule under which a dilated network computes what the strided one did, at more positions.
    """

    stride: int
    dilation_before: int
    dilation: int


def _conv3x3(c_in: int, c_out: int, stride: int, dilation: int) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, 3, stride, padding=dilation, dilation=dilation, bias=False)


def _downsample(c_in: int, c_out: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and c_in == c_out:
        return None
    return nn.Sequential(
        nn.Conv2d(c_in, c_out, 1, stride, bias=False),
        nn.BatchNorm2d(c_out),
    )


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut (ResNet-18 and -34)."""

    expansion = 1

    def __init__(self, c_in: int, width: int, plan: BlockPlan, stride_on: str) -> None:
        super().__init__()
        self.conv1 = _conv3x3(c_in, width, plan.stride, plan.dilation_before)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv3x3(width, width, 1, plan.dilation)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _downsample(c_in, width, plan.stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.bn2(self.conv2(x))
        x += shortcut
        return self.relu(x)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions with a shortcut (ResNet-50 and -101)."""

    expansion = 4

    def __init__(self, c_in: int, width: int, plan: BlockPlan, stride_on: str) -> None:
        super().__init__()
        if stride_on == "1x1":
            first, second, dilation = plan.stride, 1, plan.dilation
        else:
            first, second, dilation = 1, plan.stride, plan.dilation_before
        c_out = width * self.expansion
        self.conv1 = nn.Conv2d(c_in, width, 1, first, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv3x3(width, width, second, dilation)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, c_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(c_out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _downsample(c_in, c_out, plan.stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(x))
        x += shortcut
        return self.relu(x)


def resnet_layers(
    backbone: str, in_channels: int, stride_on: str, stages: int, output_stride: int
) -> tuple[dict[str, nn.Module], tuple[int, ...]]:
    """Return stem and stages under torchvision's names, and the channels of every stage.

    Args:
        backbone: A key of `LAYOUTS`.
        in_channels: Channels of the input image.
        stride_on: `"1x1"` puts a bottleneck's stride on its first convolution (Caffe, the
            published DEXTR weights), `"3x3"` on its second (torchvision's weights). Basic
            blocks have it on their first 3x3 either way.
        stages: Number of stages built, 1 to 4.
        output_stride: Input pixels per position of the last stage, 8 or 16.
    """
    strides, dilations = GRIDS[output_stride]
    layout = LAYOUTS[backbone]
    block = Bottleneck if layout.bottleneck else BasicBlock
    layers: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False),
        "bn1": nn.BatchNorm2d(64),
        "relu": nn.ReLU(inplace=True),
        "maxpool": nn.MaxPool2d(3, stride=2, padding=1),
    }
    c_in, dilation_before, channels = 64, 1, []
    for i in range(stages):
        first = BlockPlan(strides[i], dilation_before, dilations[i])
        rest = BlockPlan(1, dilations[i], dilations[i])
        blocks = []
        for plan in [first] + [rest] * (layout.blocks[i] - 1):
            blocks.append(block(c_in, 64 * 2**i, plan, stride_on))
            c_in = 64 * 2**i * block.expansion
        layers[f"layer{i + 1}"] = nn.Sequential(*blocks)
        dilation_before = dilations[i]
        channels.append(c_in)
    return layers, tuple(channels)
