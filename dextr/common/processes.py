"""Several processes as one: started by torchrun, exact in loss, batch norm and evaluation."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from dextr.devices import pick_device
from networks.heads import HeadBatchNorm

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """This process among all. With one process every method returns at once.

    Attributes:
        rank: Number of this process.
        size: Number of processes.
        device: Where this process computes.
    """

    rank: int
    size: int
    device: torch.device

    @property
    def main(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes."""
        if self.size == 1:
            return tensor
        total = tensor.detach().clone().to(self.device)
        dist.all_reduce(total)
        return total

    def from_main(self, value: T) -> T:
        """Return process 0's value."""
        if self.size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0, device=self.device)
        return values[0]

    def gather(self, value: T) -> list[T]:
        """Return every process's value, by rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def wrap(self, network: nn.Module) -> nn.Module:
        """Return the network whose backward pass averages gradients over the processes.

        Its batch norms are made to take their statistics from all processes, in place.
        """
        if self.size == 1:
            return network
        synchronize_batch_norm(network)
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(network, device_ids=devices)


@contextmanager
def join(device: str | None = None) -> Iterator[World]:
    """Yield this process's place among those torchrun started; a single process needs no group.

    Args:
        device: As in `pick_device`; with several processes on CUDA, each takes its own GPU.

    Raises:
        ValueError: No such device.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(0, 1, pick_device(device))
        return
    chosen = pick_device(device)
    if chosen.type == "cuda":
        chosen = pick_device(f"cuda:{os.environ['LOCAL_RANK']}")
        torch.cuda.set_device(chosen)
    _begin_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield World(dist.get_rank(), size, chosen)
    finally:
        dist.destroy_process_group()


def _begin_group(backend: str) -> None:
    """Join the group of the processes that torchrun started together.

    Torchrun's store outlives a restart, so each attempt has its own part of it: else a process
    could find the address of one that was killed, and wait for it for ever.
    """
    store, rank, size = next(dist.rendezvous("env://"))
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    store = dist.PrefixStore(f"attempt {attempt}", store)
    dist.init_process_group(backend, store=store, rank=rank, world_size=size)


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
