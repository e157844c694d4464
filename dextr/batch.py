"""What one training step gets: several objects stacked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TypeVar

import torch
from torch import Tensor

from dextr.common.errors import UserError

T = TypeVar("T")


@dataclass
class Batch:
    """Objects as tensors.

    Attributes:
        inputs: (N, 4, S, S) float32: R, G, B and heat map, each about 0..255.
        targets: (N, 1, S, S) bool, true on the object.
        voids: (N, 1, S, S) bool, true on undecided pixels.
        names: The objects' identities.
        rows: The objects' rows in the training set; empty where nobody needs them.
    """

    inputs: Tensor
    targets: Tensor
    voids: Tensor
    names: list[str]
    rows: list[int] = field(default_factory=list)

    @classmethod
    def empty(cls, size: int) -> Batch:
        """Return a batch of no objects: the share of a process for which none is left."""
        none = torch.zeros(0, 1, size, size, dtype=torch.bool)
        return cls(torch.zeros(0, 4, size, size, dtype=torch.float32), none, none, [])

    def __len__(self) -> int:
        return len(self.names)

    def to(self, device: torch.device | str, channels_last: bool = False) -> Batch:
        """Return the batch on a device; from pinned memory the copy runs beside other work."""
        layout = torch.channels_last if channels_last else torch.contiguous_format
        inputs = self.inputs.to(device, non_blocking=True, memory_format=layout)
        targets, voids = (t.to(device, non_blocking=True) for t in (self.targets, self.voids))
        return replace(self, inputs=inputs, targets=targets, voids=voids)

    def pin_memory(self) -> Batch:
        """Return the batch in page-locked memory (DataLoader calls this)."""
        inputs, targets, voids = (t.pin_memory() for t in (self.inputs, self.targets, self.voids))
        return replace(self, inputs=inputs, targets=targets, voids=voids)


def on_device(
    batches: Iterable[Batch], device: torch.device, channels_last: bool = False
) -> Iterator[Batch]:
    """Yield batches on a device; a GPU copies each while it still works on those before."""
    if device.type != "cuda":
        yield from (batch.to(device, channels_last) for batch in batches)
        return
    copying = torch.cuda.Stream(device)
    for batch in batches:
        with torch.cuda.stream(copying):
            moved = batch.to(device, channels_last)
        working = torch.cuda.current_stream(device)
        working.wait_stream(copying)
        for tensor in (moved.inputs, moved.targets, moved.voids):
            tensor.record_stream(working)
        yield moved


def in_groups(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Return lists of `size` items, 1 or more (else a ValueError); the last one may be shorter.

    >>> list(in_groups("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    if size < 1:
        raise UserError(f"expected groups of 1 or more, got {size}")
    iterator = iter(items)
    return iter(lambda: list(islice(iterator, size)), [])
