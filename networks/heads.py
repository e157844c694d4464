"""Heads that turn backbone features into one logit per position."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def resize_bilinear(x: Tensor, hw: tuple[int, int]) -> Tensor:
    """Bilinear resize of (N, C, H, W) with corner pixels aligned, as the published weights need."""
    return F.interpolate(x, hw, mode="bilinear", align_corners=True)


class HeadBatchNorm(nn.BatchNorm2d):
    """Batch norm that uses its running statistics where a batch holds one value per channel.

    The 1x1 pooled map of a batch of one object has no variance to normalise by; plain batch
    norm raises there.
    """

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.shape[0] * x.shape[2] * x.shape[3] == 1:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
            )
        return super().forward(x)


class PspHead(nn.Module):
    """Pyramid scene parsing head (Zhao et al. 2017; paper section 3.2).

    Args:
        in_channels: Channels of the features.
        width: Channels of each pooled branch and of the bottleneck.
        bins: Grid sizes of the adaptive average pools.
    """

    def __init__(
        self, in_channels: int, width: int = 512, bins: tuple[int, ...] = (1, 2, 3, 6)
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.AdaptiveAvgPool2d(bin_),
                nn.Conv2d(in_channels, width, 1, bias=False),
                HeadBatchNorm(width),
                nn.ReLU(inplace=True),
            )
            for bin_ in bins
        )
        self.bottleneck = nn.Sequential(
            nn.Conv2d(in_channels + width * len(bins), width, 1, bias=False),
            HeadBatchNorm(width),
            nn.ReLU(inplace=True),
        )
        self.final = nn.Conv2d(width, 1, 1)

    def features(self, x: Tensor) -> Tensor:
        """Return the (N, width, h, w) map the last convolution reads."""
        hw = (x.shape[2], x.shape[3])
        # In mixed precision enlarging gives single precision, which joined would make all of it so.
        pooled = [resize_bilinear(stage(x), hw).to(x.dtype) for stage in self.stages]
        return self.bottleneck(torch.cat([*pooled, x], dim=1))

    def forward(self, x: Tensor) -> Tensor:
        return self.final(self.features(x))


class AtrousHead(nn.Module):
    """Sum of four dilated 3x3 convolutions (DeepLab-v2's ASPP, Chen et al. 2017)."""

    def __init__(self, in_channels: int, dilations: tuple[int, ...] = (6, 12, 18, 24)) -> None:
        super().__init__()
        self.conv2d_list = nn.ModuleList(
            nn.Conv2d(in_channels, 1, 3, padding=d, dilation=d) for d in dilations
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([conv(x) for conv in self.conv2d_list]).sum(dim=0)
