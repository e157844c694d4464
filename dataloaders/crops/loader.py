"""Training objects as batches, prepared by worker processes ahead of need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import cv2
from torch.utils.data import DataLoader, Dataset

from dataloaders.crops.training_set import BatchPlan, Key, TrainingSet
from dextr.batch import Batch
from dextr.common.errors import UserError
from dextr.common.processes import leave_signals_to_parent

NO_MEMORY = (
    "; workers hand batches over in /dev/shm, which has no room: make it larger (docker run "
    "--shm-size 8g, or --ipc=host), or prepare objects without workers (--workers 0)"
)


class BatchLoader:
    """This process's batches of any epoch; its workers live from epoch to epoch.

    Without workers, objects are prepared in between. Pinned memory is for a GPU.
    """

    def __init__(
        self, training_set: TrainingSet, plan: BatchPlan, workers: int, pin_memory: bool
    ) -> None:
        self._keys = _EpochKeys(plan)
        self._loader: Any = DataLoader(
            _Told(training_set),
            batch_sampler=self._keys,
            num_workers=workers,
            collate_fn=_already_a_batch,
            pin_memory=pin_memory,
            worker_init_fn=_begin_worker,
            persistent_workers=workers > 0,
            prefetch_factor=2 if workers else None,
        )

    def __len__(self) -> int:
        return len(self._keys.plan)

    def batches(self, epoch: int, start: int = 0, hard: Sequence[int] = ()) -> Iterator[Batch]:
        """Yield the batches of an epoch from number `start` on; see `BatchPlan.batches`.

        Raises:
            ValueError: An object cannot be read, or there is no memory for a batch.
        """
        self._keys.asked = (epoch, start, hard)
        for batch in self._loader:
            if isinstance(batch, Exception):
                raise batch
            yield batch


@contextmanager
def workers_watched() -> Iterator[None]:
    """Make the end of a worker process, which PyTorch reports anywhere in the block, one line.

    Raises:
        ValueError: A worker was killed.
    """
    try:
        yield
    except RuntimeError as error:
        reason = str(error).splitlines()[0] if str(error) else ""
        if not reason.startswith("DataLoader worker (pid"):
            raise
        # PyTorch suspects shared memory for any of these signals.
        full = "Bus error" in reason
        why = NO_MEMORY if full else "; the checkpoints so far are whole: go on with --resume"
        raise UserError(f"a process that prepares objects ended: {reason}{why}") from None


@dataclass
class _Told(Dataset[Batch]):
    """The training set, whose errors come to the main process as values: without a traceback."""

    training_set: TrainingSet

    def __getitems__(self, keys: Sequence[Key]) -> Batch | Exception:
        try:
            return self.training_set.__getitems__(keys)
        except (ValueError, OSError) as error:
            return error
        except RuntimeError as error:
            if "/torch_" not in str(error):  # a name in /dev/shm
                raise
            return UserError(f"no memory for a batch: {str(error).splitlines()[0]}{NO_MEMORY}")


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
