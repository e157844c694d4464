"""Batch norm over the objects of several processes, on any device."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules._functions import SyncBatchNorm as NativeFunction

from networks.heads import HeadBatchNorm


class _SumOverProcesses(torch.autograd.Function):
    """A sum that every process uses: its gradient is the sum of all their gradients."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


class SyncedBatchNorm(HeadBatchNorm):
    """Batch norm over the values of all processes, exact for shares of any size, also none.

    On GPUs it is PyTorch's own function, which keeps the input in its own precision for the way
    back and knows no other devices. Where there is one value per channel in all, the running
    statistics are used, as in `HeadBatchNorm`: that may be so in maps of one position, which
    therefore never take PyTorch's. All processes decide alike, by the map's size.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        if x.is_cuda and x.shape[2] * x.shape[3] > 1:
            return self._native(x)
        assert self.running_mean is not None
        assert self.running_var is not None
        values = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        # One message, in numbers that hold any count exactly: also for compiled processes, which
        # may send two that do not depend on each other in either order.
        sums = values.sum(dim=(0, 2, 3)).double()
        own = sums.new_full((1,), x.numel() // x.shape[1])
        totals = _SumOverProcesses.apply(torch.cat([sums, own]))
        count = totals[-1].detach()
        mean = (totals[:-1] / count).to(values.dtype)
        centred = values - mean[:, None, None]
        var = _SumOverProcesses.apply(centred.square().sum(dim=(0, 2, 3))) / count
        # No `if`: it would wait for the GPU in every layer.
        several = count > 1
        self._move_statistics(mean.detach(), var.detach(), count, several)
        mean = torch.where(several, mean, self.running_mean)
        var = torch.where(several, var, self.running_var)
        scale = self.weight * (var + self.eps).rsqrt()
        normalized = (values - mean[:, None, None]) * scale[:, None, None]
        return (normalized + self.bias[:, None, None]).to(x.dtype)

    def _native(self, x: Tensor) -> Tensor:
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        group = dist.group.WORLD
        return NativeFunction.apply(
            x, self.weight, self.bias, self.running_mean, self.running_var,
            self.eps, self.momentum, group, dist.get_world_size(group),
        )  # fmt: skip

    def _move_statistics(self, mean: Tensor, var: Tensor, count: Tensor, several: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.momentum is not None
        momentum = self.momentum * several.to(self.running_mean.dtype)
        unbiased = var * count / (count - 1).clamp(min=1)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), momentum)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked += several


def synchronize_batch_norm(network: nn.Module) -> None:
    """Make every batch norm of the network take its statistics from all processes, in place."""
    for module in network.modules():
        if type(module) in (nn.BatchNorm2d, HeadBatchNorm):
            module.__class__ = SyncedBatchNorm
