"""Convolutions of a network for prediction as oneDNN runs them best: packed, with what follows.

PyTorch brings its weights into oneDNN's order at every call, and reads each map once more to add
the shortcut and once more to rectify it. Here the weights are brought into that order once, and
the convolution adds and rectifies while it writes. `torch.compile` does the same through the same
operators, but needs a compiler and a minute.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from networks.dextr_net import DextrNet
from networks.resnet import LAYOUTS, BasicBlock, Bottleneck


def pack(network: DextrNet) -> DextrNet:
    """Pack the convolutions of `for_inference`'s copy, in place; returns it.

    Where PyTorch lacks the operators (they are not among those it documents), it stays as it is.
    The packed network runs on the CPU in float32, and only there.
    """
    if network.config.backbone in LAYOUTS and can_pack():
        _pack_children(network)
        network.add_module("conv1", _packed(network.conv1, relu=True))
        network.add_module("relu", nn.Identity())
    return network


def _pack_children(module: nn.Module) -> None:
    # By name: nothing keeps a convolution that has been packed.
    for name in list(dict(module.named_children())):
        child = getattr(module, name)
        if isinstance(child, BasicBlock | Bottleneck):
            setattr(module, name, PackedBlock(child))
        elif isinstance(child, nn.Sequential) and (conv := _only_convolution(child)):
            setattr(module, name, _packed(conv, relu=isinstance(child[-1], nn.ReLU)))
        else:
            _pack_children(child)


def can_pack() -> bool:
    """Return whether this PyTorch has the operators, and they compute what they should."""
    if not torch.backends.mkldnn.is_available():
        return False
    try:
        return all(_computes_the_same(side) for side in (1, 3))
    except (AttributeError, RuntimeError, TypeError):
        return False


def _computes_the_same(side: int) -> bool:
    x, other = torch.linspace(0, 1, 400, dtype=torch.float32).view(2, 1, 8, 5, 5)
    conv = nn.Conv2d(8, 8, side, padding=side // 2, device="meta")
    weight = torch.linspace(-1, 1, 64 * side**2, dtype=torch.float32).view(8, 8, side, side)
    conv.weight = nn.Parameter(weight, requires_grad=False)
    conv.bias = nn.Parameter(torch.linspace(-1, 1, 8, dtype=torch.float32), requires_grad=False)
    expected = conv(x)
    plain, added = _packed(conv, relu=False)(x), _packed(conv, relu=True)(x, other.clone())
    pairs = ((plain, expected), (added, (expected + other).relu()))
    return all(torch.allclose(a, b, atol=1e-5) for a, b in pairs)


def _packed(conv: nn.Conv2d, relu: bool) -> PackedConv | PackedPointwise:
    pointwise = (conv.kernel_size, conv.stride, conv.groups) == ((1, 1), (1, 1), 1)
    return PackedPointwise(conv, relu) if pointwise else PackedConv(conv, relu)


class _Packed(nn.Module):
    """A layer whose `weight` is in oneDNN's order; copies and pickles hold it in PyTorch's."""

    weight: Tensor

    def _reorder(self, weight: Tensor) -> Tensor:
        raise NotImplementedError

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "weight": self.weight.to_dense()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.weight = self._reorder(self.weight)


class PackedConv(_Packed):
    """A convolution that can add a map and rectify the result.

    Args:
        conv: The convolution.
        relu: Rectify.
    """

    def __init__(self, conv: nn.Conv2d, relu: bool) -> None:
        super().__init__()
        self.grid = (conv.padding, conv.stride, conv.dilation, conv.groups)
        self.relu = "relu" if relu else "none"
        self.weight = self._reorder(conv.weight.detach())
        self.bias = None if conv.bias is None else conv.bias.detach()

    def _reorder(self, weight: Tensor) -> Tensor:
        return torch.ops.mkldnn._reorder_convolution_weight(weight, *self.grid)

    def forward(self, x: Tensor, add: Tensor | None = None) -> Tensor:
        """Return the map; if something is added, it is overwritten by the result."""
        if add is None:
            return torch.ops.mkldnn._convolution_pointwise(
                x, self.weight, self.bias, *self.grid, self.relu, [], ""
            )
        return torch.ops.mkldnn._convolution_pointwise_.binary(
            add, x, self.weight, self.bias, *self.grid, "add", 1.0, self.relu, [], ""
        )


class PackedPointwise(_Packed):
    """A 1x1 convolution as the matrix product it is, which can add a map and rectify the result.

    oneDNN chooses its 1x1 kernels badly at some sizes: products take two thirds of their time on
    ResNet-101's widest maps, and a tenth at the worst.

    Args:
        conv: A 1x1 convolution at every position.
        relu: Rectify.
    """

    def __init__(self, conv: nn.Conv2d, relu: bool) -> None:
        super().__init__()
        self.relu = "relu" if relu else "none"
        self.weight = self._reorder(conv.weight.detach().flatten(1).contiguous())
        self.bias = None if conv.bias is None else conv.bias.detach()

    def _reorder(self, weight: Tensor) -> Tensor:
        return torch.ops.mkldnn._reorder_linear_weight(weight)

    def forward(self, x: Tensor, add: Tensor | None = None) -> Tensor:
        """Return the map."""
        linear = torch.ops.mkldnn._linear_pointwise
        rows = x.permute(0, 2, 3, 1)
        if add is None:
            mapped = linear(rows, self.weight, self.bias, self.relu, [], "")
        else:
            added = add.permute(0, 2, 3, 1)
            mapped = linear.binary(rows, added, self.weight, self.bias, "add")
            if self.relu == "relu":
                mapped.relu_()
        return mapped.permute(0, 3, 1, 2)


class PackedBlock(nn.Module):
    """A residual block without batch norms; the shortcut is added by the last convolution."""

    def __init__(self, block: BasicBlock | Bottleneck) -> None:
        super().__init__()
        convs = [m for m in block.children() if isinstance(m, nn.Conv2d)]
        self.convs = nn.Sequential(*(_packed(conv, relu=True) for conv in convs[:-1]))
        self.last = _packed(convs[-1], relu=True)
        self.downsample = None
        if block.downsample is not None and (conv := _only_convolution(block.downsample)):
            self.downsample = _packed(conv, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.last(self.convs(x), shortcut)


def _only_convolution(module: nn.Sequential) -> nn.Conv2d | None:
    first, *rest = module
    simple = all(isinstance(m, nn.Identity | nn.ReLU) for m in rest)
    return first if simple and isinstance(first, nn.Conv2d) else None
