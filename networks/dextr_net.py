"""The DEXTR network: a backbone and a head, logits enlarged to the input's size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from networks.decoder import SkipDecoder
from networks.efficientnet import SCALINGS, efficientnet_layers
from networks.heads import AtrousHead, PspHead, resize_bilinear
from networks.resnet import GRIDS, LAYOUTS, resnet_layers

BACKBONES = (*LAYOUTS, *SCALINGS)
HEADS = ("psp", "atrous")
STRIDE_ON = ("1x1", "3x3")
# Input channels of a look at the extreme points alone: RGB and heat map.
EXTREMES_ONLY = 4


@dataclass(frozen=True)
class NetworkConfig:
    """Everything that decides a network's layers. The defaults are the published network.

    Attributes:
        backbone: `resnet101`, `resnet50`, `resnet34`, `resnet18`, or `efficientnet_lite0` to 2.
        head: `psp` or `atrous`.
        in_channels: 4 for RGB and heat map; 5 for one more, the probabilities (0..255) that the
            network gave for the extreme points alone, where it looks again with further points.
        stride_on: Where a bottleneck strides: `1x1` (published weights) or `3x3` (torchvision's).
        head_width: Channels inside the PSP head.
        stages: Backbone stages built, 1 to 4.
        output_stride: Input pixels per position of the last stage: 8 or 16; of an EfficientNet
            with four stages 32.
        skips: Finer stages joined before the last convolution; 0 as in the paper.
        mirror: In evaluation, answer with the mean of the logits of a crop and of its mirror
            image: a little better, in twice the time. Not in the paper.
        taper: Each skip but the first makes the map a quarter of `head_width` narrower.
    """

    backbone: str = "resnet101"
    head: str = "psp"
    in_channels: int = 4
    stride_on: str = "1x1"
    head_width: int = 512
    stages: int = 4
    output_stride: int = 8
    skips: int = 0
    mirror: bool = False
    taper: bool = False

    def __post_init__(self) -> None:
        _require("backbone", self.backbone, BACKBONES)
        _require("head", self.head, HEADS)
        _require("stride_on", self.stride_on, STRIDE_ON)
        _require("stages", self.stages, (1, 2, 3, 4))
        strides = tuple(GRIDS) if self.backbone in LAYOUTS else (2 ** (self.stages + 1),)
        _require("output_stride", self.output_stride, strides)
        _require("skips", self.skips, tuple(range(self.stages)))
        _require("mirror", self.mirror, (False, True))
        if self.skips and self.head != "psp":
            raise ValueError(f"skips need the psp head, got head {self.head!r}")
        if self.in_channels < 1 or self.head_width < 1:
            raise ValueError(
                "in_channels and head_width must be at least 1, got "
                f"{self.in_channels} and {self.head_width}"
            )

    @property
    def looks_twice(self) -> bool:
        """Whether it takes its own first answer, where there are further points."""
        return self.in_channels == EXTREMES_ONLY + 1

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a plain dictionary (what checkpoints store)."""
        return asdict(self)


def _require(name: str, value: object, choices: tuple[object, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(str, choices))}; got {value!r}")


class DextrNet(nn.Module):
    """Backbone (`conv1` .. `layer4`) and head (`layer5`), under the published names.

    The affine parameters of the backbone's batch norms get no gradient, as published; the
    head's are trained.

    Shapes:
        input: (N, in_channels, H, W), values 0..255, no mean or deviation removed; a fifth channel
            may be left out where it is zero.
        output: (N, 1, H, W), logits.
    """

    conv1: nn.Conv2d
    bn1: nn.BatchNorm2d
    relu: nn.Module
    maxpool: nn.Module
    layer5: nn.Module

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.frozen_statistics = False
        if config.backbone in SCALINGS:
            layers, channels = efficientnet_layers(
                config.backbone, config.in_channels, config.stages
            )
        else:
            layers, channels = resnet_layers(
                config.backbone,
                config.in_channels,
                config.stride_on,
                config.stages,
                config.output_stride,
            )
        for name, layer in layers.items():
            self.add_module(name, layer)
        if config.head == "atrous":
            self.layer5 = AtrousHead(channels[-1])
        elif config.skips:
            self.layer5 = SkipDecoder(channels, config.head_width, config.skips, config.taper)
        else:
            self.layer5 = PspHead(channels[-1], config.head_width)
        for norm in self.backbone_norms():
            norm.requires_grad_(False)

    def stage_outputs(self, x: Tensor) -> list[Tensor]:
        """Return every stage's feature maps, the finest (stride 4) first."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        outputs = []
        for stage in range(1, self.config.stages + 1):
            x = self.get_submodule(f"layer{stage}")(x)
            outputs.append(x)
        return outputs

    def logits_on_grid(self, x: Tensor) -> Tensor:
        """Return the head's logits (N, 1, h, w) before they are enlarged."""
        outputs = self.stage_outputs(x)
        return self.layer5(outputs if self.config.skips else outputs[-1])

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] == EXTREMES_ONLY < self.config.in_channels:
            x = F.pad(x, (0, 0, 0, 0, 0, self.config.in_channels - EXTREMES_ONLY))
        if self.training or not self.config.mirror:
            return self._logits(x)
        both = self._logits(torch.cat([x, x.flip(3)]))
        return (both[: x.shape[0]] + both[x.shape[0] :].flip(3)) / 2

    def _logits(self, x: Tensor) -> Tensor:
        logits = self.logits_on_grid(x).to(x.dtype)
        return resize_bilinear(logits, (x.shape[2], x.shape[3]))

    def backbone_norms(self) -> Iterator[nn.BatchNorm2d]:
        """Yield the batch norms outside the head."""
        for name, module in self.named_modules():
            if isinstance(module, nn.BatchNorm2d) and not name.startswith("layer5."):
                yield module

    def head_parameters(self) -> list[nn.Parameter]:
        """Return the trainable parameters of the head."""
        return [p for p in self.layer5.parameters() if p.requires_grad]

    def backbone_parameters(self) -> list[nn.Parameter]:
        """Return the trainable parameters outside the head."""
        head = {id(p) for p in self.layer5.parameters()}
        return [p for p in self.parameters() if p.requires_grad and id(p) not in head]

    def freeze_statistics(self, frozen: bool = True) -> DextrNet:
        """Keep the backbone's running statistics fixed in training (batch norm `frozen`).

        Unfrozen is the original's way (`batch`): training normalises by the batch and moves them.
        """
        self.frozen_statistics = frozen
        return self.train(self.training)

    def train(self, mode: bool = True) -> DextrNet:
        super().train(mode)
        if mode and self.frozen_statistics:
            for norm in self.backbone_norms():
                norm.eval()
        return self


def build_network(
    backbone: str = "resnet101", head: str = "psp", in_channels: int = 4, **options: Any
) -> DextrNet:
    """Build a network with the original's random initial values.

    Args:
        backbone: One of `BACKBONES`.
        head: `psp` or `atrous`.
        in_channels: Channels of the input.
        **options: Further fields of `NetworkConfig`, such as `stride_on="3x3"`.

    Raises:
        ValueError: A name or number is not one of those offered.

    >>> net = build_network("resnet18", head_width=64)
    >>> sum(p.numel() for p in net.parameters()) > 11e6
    True
    """
    try:
        config = NetworkConfig(backbone, head, in_channels, **options)
    except TypeError as error:
        raise ValueError(f"unknown network option: {error}") from None
    return init_random(DextrNet(config))


def init_random(net: DextrNet) -> DextrNet:
    """Give every convolution N(0, 0.01^2) weights and every batch norm 1 and 0, as published."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=0.01)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
            module.reset_running_stats()
    return net
