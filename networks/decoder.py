"""A light decoder with skips. Not in the paper: only the small bundled network uses it."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from networks.heads import HeadBatchNorm, PspHead, resize_bilinear


def _conv_bn_relu(c_in: int, c_out: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2, bias=False),
        HeadBatchNorm(c_out),
        nn.ReLU(inplace=True),
    )


class SkipDecoder(nn.Module):
    """PSP head whose features are refined with those of finer stages before the last convolution.

    Args:
        stage_channels: Channels of every backbone stage, the finest first.
        width: Channels of the PSP head and of the refined maps.
        skips: Number of finer stages joined: stages 1 to `skips`, from coarse to fine.
        taper: Make the map a quarter of `width` narrower with each but the first.
    """

    def __init__(
        self, stage_channels: tuple[int, ...], width: int, skips: int, taper: bool = False
    ) -> None:
        super().__init__()
        self.psp = PspHead(stage_channels[-1], width)
        del self.psp.final
        joined = list(reversed(stage_channels[:skips]))
        self.reduce = nn.ModuleList(_conv_bn_relu(c, width // 2, 1) for c in joined)
        widths = [width] + [width - k * (width // 4) * taper for k in range(skips)]
        self.fuse = nn.ModuleList(
            _conv_bn_relu(c_in + width // 2, c_out, 3) for c_in, c_out in pairwise(widths)
        )
        self.final = nn.Conv2d(widths[-1], 1, 1)

    def forward(self, stage_outputs: list[Tensor]) -> Tensor:
        x = self.psp.features(stage_outputs[-1])
        finer = reversed(stage_outputs[: len(self.reduce)])
        for skip, reduce, fuse in zip(finer, self.reduce, self.fuse, strict=True):
            skip = reduce(skip)
            x = fuse(torch.cat([resize_bilinear(x, (skip.shape[2], skip.shape[3])), skip], dim=1))
        return self.final(x)
