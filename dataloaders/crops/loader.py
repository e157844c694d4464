"""Training objects as batches, prepared by worker processes ahead of need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
from torch.utils.data import DataLoader

from dataloaders.crops.training_set import BatchPlan, Key, TrainingSet
from dextr.batch import Batch
from dextr.common.processes import leave_signals_to_parent


class BatchLoader:
    """This process's batches of any epoch; its workers live from epoch to epoch.

    Without workers, objects are prepared in between. Pinned memory is for a GPU.
    """

    def __init__(
        self, training_set: TrainingSet, plan: BatchPlan, workers: int, pin_memory: bool
    ) -> None:
        self._keys = _EpochKeys(plan)
        self._loader: Any = DataLoader(
            training_set,
            batch_sampler=self._keys,
            num_workers=workers,
            collate_fn=_already_a_batch,
            pin_memory=pin_memory,
            worker_init_fn=_begin_worker,
            persistent_workers=workers > 0,
            prefetch_factor=4 if workers else None,
        )

    def __len__(self) -> int:
        return len(self._keys.plan)

    def batches(self, epoch: int, start: int = 0, hard: Sequence[int] = ()) -> Iterator[Batch]:
        """Yield the batches of an epoch from number `start` on; see `BatchPlan.batches`."""
        self._keys.asked = (epoch, start, hard)
        yield from self._loader


@dataclass
class _EpochKeys:
    """What DataLoader walks through in every epoch: the batches asked for last."""

    plan: BatchPlan
    asked: tuple[int, int, Sequence[int]] = (0, 0, ())

    def __iter__(self) -> Iterator[list[Key]]:
        return self.plan.batches(*self.asked)


def _already_a_batch(batch: Any) -> Any:
    return batch


def _begin_worker(number: int) -> None:
    leave_signals_to_parent()
    cv2.setNumThreads(0)
