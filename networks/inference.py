"""A copy of a network for prediction: the same logits to rounding, sooner and in less memory."""

from __future__ import annotations

import copy
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from networks.decoder import SkipDecoder
from networks.dextr_net import DextrNet
from networks.heads import PspHead, resize_bilinear

PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16}


def for_inference(network: DextrNet) -> DextrNet:
    """Return a copy that only predicts; the network itself stays as it is.

    Batch norms are folded into the convolutions before them, the PSP head's 1x1 convolution is
    applied to the pooled maps before they are enlarged, and channels are last in memory. The copy
    does not follow later changes of the network's values, and cannot be trained or saved as one.
    """
    return fold(copy.deepcopy(network))


def fold(network: DextrNet) -> DextrNet:
    """Do in place what `for_inference` does to a copy; returns the network."""
    network.eval().requires_grad_(False)
    _fold_batch_norms(network)
    if isinstance(network.layer5, PspHead):
        network.layer5 = FoldedPspHead(network.layer5)
    elif isinstance(network.layer5, SkipDecoder):
        network.layer5.psp = FoldedPspHead(network.layer5.psp)
    return network.to(memory_format=torch.channels_last)


class HalfPrecision(nn.Module):
    """A network whose convolutions compute in `bf16` or `fp16`.

    Raises:
        ValueError: Another precision.
    """

    def __init__(self, network: nn.Module, precision: str) -> None:
        super().__init__()
        if precision not in PRECISIONS:
            raise ValueError(f"expected one of {', '.join(PRECISIONS)}, got {precision!r}")
        self.network = network
        self.precision = PRECISIONS[precision]

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, self.precision):
            return self.network(x)


def _fold_batch_norms(module: nn.Module) -> None:
    """Fold each batch norm into the convolution that is listed before it."""
    # By name: nothing keeps a convolution that has been replaced.
    for name, following in pairwise([*dict(module.named_children()), ""]):
        child, norm = getattr(module, name), getattr(module, following, None)
        if isinstance(child, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            setattr(module, name, fuse_conv_bn_eval(child, norm))
            setattr(module, following, nn.Identity())
        else:
            _fold_batch_norms(child)


class FoldedPspHead(PspHead):
    """A PSP head that convolves its pooled maps while they are small.

    A 1x1 convolution mixes channels, bilinear interpolation mixes places: their order does not
    matter. So the bottleneck's convolution of the joined maps is a sum of one per map, and only
    that of the features themselves runs at their size.

    Args:
        head: A head whose batch norms have been folded. They share their values.
    """

    def __init__(self, head: PspHead) -> None:
        nn.Module.__init__(self)
        joined, *_ = head.bottleneck
        assert isinstance(joined, nn.Conv2d)
        width, branches = joined.out_channels, len(head.stages)
        own = joined.in_channels - width * branches
        *pooled, own_weight = joined.weight.split([width] * branches + [own], dim=1)
        self.stages = nn.ModuleList(
            nn.Sequential(stage, _conv1x1(weight))
            for stage, weight in zip(head.stages, pooled, strict=True)
        )
        self.bottleneck = nn.Sequential(_conv1x1(own_weight, joined.bias))
        if hasattr(head, "final"):
            self.final = head.final

    def features(self, x: Tensor) -> Tensor:
        hw = (x.shape[2], x.shape[3])
        mixed = self.bottleneck(x)
        for stage in self.stages:
            mixed += resize_bilinear(stage(x), hw)
        return mixed.relu_()


def _conv1x1(weight: Tensor, bias: Tensor | None = None) -> nn.Conv2d:
    conv = nn.Conv2d(weight.shape[1], weight.shape[0], 1, bias=bias is not None, device="meta")
    conv.weight = nn.Parameter(weight.clone(), requires_grad=False)
    if bias is not None:
        conv.bias = nn.Parameter(bias, requires_grad=False)
    return conv
