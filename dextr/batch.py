"""What one training step gets: several objects stacked."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Batch:
    """Objects as tensors.

    Attributes:
        inputs: (N, 4, S, S) float32: R, G, B and heat map, each about 0..255.
        targets: (N, 1, S, S) float32, 1 on the object.
        voids: (N, 1, S, S) float32, 1 on undecided pixels.
        names: The objects' identities.
    """

    inputs: Tensor
    targets: Tensor
    voids: Tensor
    names: list[str]

    @classmethod
    def empty(cls, size: int) -> Batch:
        """Return a batch of no objects: the share of a process for which none is left."""
        return cls(
            torch.zeros(0, 4, size, size),
            torch.zeros(0, 1, size, size),
            torch.zeros(0, 1, size, size),
            [],
        )

    def __len__(self) -> int:
        return len(self.names)

    def to(self, device: torch.device | str, channels_last: bool = False) -> Batch:
        """Return the batch on a device; from pinned memory the copy runs beside other work."""
        layout = torch.channels_last if channels_last else torch.contiguous_format
        return Batch(
            self.inputs.to(device, non_blocking=True, memory_format=layout),
            self.targets.to(device, non_blocking=True),
            self.voids.to(device, non_blocking=True),
            self.names,
        )

    def pin_memory(self) -> Batch:
        """Return the batch in page-locked memory (DataLoader calls this)."""
        return Batch(
            self.inputs.pin_memory(),
            self.targets.pin_memory(),
            self.voids.pin_memory(),
            self.names,
        )
