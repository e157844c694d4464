"""Batch norm over the objects of several processes, on any device."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

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

    PyTorch's own runs on GPUs only. Where there is one value per channel in all, the running
    statistics are used, as in `HeadBatchNorm`.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        assert self.running_mean is not None
        assert self.running_var is not None
        values = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        count = torch.full((), x.numel() // x.shape[1], dtype=torch.float64, device=x.device)
        dist.all_reduce(count)
        mean = _SumOverProcesses.apply(values.sum(dim=(0, 2, 3))) / count
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
