"""Which training objects the network still gets wrong, so that they can come back more often."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dextr.batch import Batch
from dextr.common.errors import UserError
from dextr.common.processes import World
from dextr.samples import HARD_BELOW


class HardExamples:
    """The IoU of each of `count` training objects when the network last trained on it.

    Attributes:
        rows: The objects below 0.8 IoU at the last `refresh`, ascending.
    """

    def __init__(self, count: int) -> None:
        self.rows: list[int] = []
        self._ious = torch.ones(count)
        self._pending: list[tuple[list[int], Tensor]] = []

    def add(self, rows: Sequence[int], ious: Tensor) -> None:
        """Take in the IoU (N,) of some objects; it stays on its device until it is needed."""
        self._pending.append((list(rows), ious))

    def collect(self, world: World) -> None:
        """Exchange with the other processes what came in since the last time."""
        rows = [row for part, _ in self._pending for row in part]
        ious = torch.cat([ious.float() for _, ious in self._pending]).cpu() if rows else Tensor()
        self._pending.clear()
        for their_rows, their_ious in world.gather((rows, ious)):
            self._ious[torch.tensor(their_rows, dtype=torch.long)] = their_ious

    def refresh(self, world: World) -> None:
        """Name the objects that are hard from now on."""
        self.collect(world)
        self.rows = torch.nonzero(self._ious < HARD_BELOW)[:, 0].tolist()

    def to_dict(self) -> dict[str, Tensor]:
        """Return everything that was collected."""
        return {"rows": torch.tensor(self.rows, dtype=torch.long), "ious": self._ious}

    def restore(self, saved: dict[str, Tensor]) -> None:
        """Take everything over from `to_dict`.

        Raises:
            ValueError: It is about another number of objects.
        """
        if len(saved["ious"]) != len(self._ious):
            raise UserError(
                f"the checkpoint is about {len(saved['ious'])} training objects, there are "
                f"{len(self._ious)} now"
            )
        self.rows, self._ious = saved["rows"].tolist(), saved["ious"].clone()


def crop_ious(logits: Tensor, batch: Batch, threshold: float) -> Tensor:
    """Return the IoU (N,) of each object's mask on its crop, without undecided pixels.

    The mask is where the probability of the logits (N, 1, S, S) exceeds the threshold.
    """
    found, truth, counted = logits.detach().sigmoid() > threshold, batch.targets, ~batch.voids
    common = (found & truth & counted).flatten(1).sum(1)
    either = ((found | truth) & counted).flatten(1).sum(1)
    return torch.where(either > 0, common / either.clamp(min=1), torch.ones_like(common / 1))
