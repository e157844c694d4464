"""Depthwise 5x5 convolutions whose weight gradient is as fast as their forward pass on a CPU.

oneDNN computes the weight gradient of a depthwise 5x5 kernel 5 to 30 times as slowly as that of a
3x3 one, and it takes half of an EfficientNet's training time. A 5x5 gradient is four 3x3 ones, of
the input moved by 0 and 2 positions along each axis.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

KERNEL = 5


def depthwise(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """Return the depthwise convolution of an input (N, C, H, W) that is padded already.

    Args:
        x: The input.
        weight: (C, 1, 5, 5).
        stride: Along both axes.
    """
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        x, weight = x.to(dtype), weight.to(dtype)
    return _Depthwise.apply(x, weight, stride)


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        return F.conv2d(x, weight, None, stride, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        x, weight = ctx.saved_tensors
        grad_x, _ = _gradients(grad, x, weight, ctx.stride, (True, False))
        grad_weight = torch.empty_like(weight)
        height, width = x.shape[2] - 2, x.shape[3] - 2
        for top in (0, 2):
            for left in (0, 2):
                part = x[:, :, top : top + height, left : left + width]
                part = part.contiguous(memory_format=torch.channels_last)
                window = (slice(None), slice(None), slice(top, top + 3), slice(left, left + 3))
                kernel = weight[window].contiguous()
                grad_weight[window] = _gradients(grad, part, kernel, ctx.stride, (False, True))[1]
        return grad_x, grad_weight, None


def _gradients(
    grad: Tensor, x: Tensor, weight: Tensor, stride: int, wanted: tuple[bool, bool]
) -> tuple[Tensor, Tensor]:
    grad_x, grad_weight, _ = torch.ops.aten.convolution_backward(
        grad, x, weight, None, [stride] * 2, [0, 0], [1, 1], False, [0, 0], len(weight),
        [*wanted, False],
    )  # fmt: skip
    return grad_x, grad_weight
