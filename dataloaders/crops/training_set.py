"""Training objects as PyTorch reads them, the same for any number of workers and processes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, UntypedStorage
from torch.utils.data import Dataset, get_worker_info

from dataloaders.crops.augment import Affine, paste_beside
from dataloaders.crops.transforms import Place, TrainTransform
from dataloaders.instances import Instances
from dextr.batch import Batch
from dextr.common.errors import UserError
from dextr.samples import Example

Key = tuple[int, int, int]
TRIES = 10


@dataclass
class TrainingSet(Dataset[Example]):
    """Random examples by (epoch, row, turn); turns are repetitions of a row within an epoch.

    Everything random about an example comes from the run's seed and these three, so it does not
    matter which worker makes it, or when.
    """

    source: Instances
    transform: TrainTransform
    seed: int

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, key: Key) -> Example:
        return self.example(key)

    def example(self, key: Key, place: Place | None = None) -> Example:
        """Return the example of a key, in a place or in new memory."""
        rng = np.random.default_rng([self.seed, *key])
        instance = self.source[key[1]]
        if rng.random() < self.transform.config.paste:
            other = self.source[int(rng.integers(len(self.source)))]
            pasted = paste_beside(instance, other, rng)
            instance = pasted if pasted.mask.any() else instance
        for _ in range(TRIES):
            if example := self.transform(instance, rng, place):
                return example
        if example := self.transform.apply(instance, Affine(), rng, place):
            return example
        raise UserError(f"{instance.name}: the object is too small for a training crop")

    def __getitems__(self, keys: Sequence[Key]) -> Batch:
        """Return a batch of examples, also of none; DataLoader asks for each batch like this."""
        if not keys:
            return Batch.empty(self.transform.config.size)
        size = self.transform.config.size
        inputs, targets, voids = (
            _new_memory((len(keys), channels, size, size), dtype)
            for channels, dtype in ((4, torch.float32), (1, torch.bool), (1, torch.bool))
        )
        # Written where the batch is, not stacked afterwards.
        arrays = (inputs.numpy(), targets.numpy()[:, 0], voids.numpy()[:, 0])
        examples = [self.example(key, Place(*own)) for key, *own in zip(keys, *arrays, strict=True)]
        names, rows = [e.name for e in examples], [row for _, row, _ in keys]
        return Batch(inputs, targets, voids, names, rows)


def _new_memory(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Return a tensor of any values; in a worker in memory that it shares with the main process."""
    if get_worker_info() is None:
        return torch.empty(shape, dtype=dtype)
    size = math.prod(shape) * dtype.itemsize
    shared = UntypedStorage._new_shared(size)
    return torch.empty(0, dtype=dtype).set_(shared).view(shape)


@dataclass(frozen=True)
class BatchPlan:
    """Which objects make up each batch of each epoch, and which part is this process's.

    Attributes:
        count: Number of training objects.
        batch_size: Objects per batch over all processes; the last batch may be smaller.
        seed: Seed of the run; an epoch's order comes from (seed, epoch).
        rank: Number of this process.
        world: Number of processes.
        repeats: How many times as often as the others hard objects come.
    """

    count: int
    batch_size: int
    seed: int
    rank: int = 0
    world: int = 1
    repeats: int = 1

    def __post_init__(self) -> None:
        if self.count < 1 or self.batch_size < 1:
            raise UserError(f"expected at least 1 object and 1 per batch, got {self}")

    def __len__(self) -> int:
        return -(-self.count // self.batch_size)

    def batches(self, epoch: int, start: int = 0, hard: Sequence[int] = ()) -> Iterator[list[Key]]:
        """Yield this process's keys of every global batch of an epoch from number `start` on.

        The epoch draws from all objects and `repeats - 1` more of each of the rows in `hard`, and
        stays as long as it is.
        """
        extra = np.tile(np.asarray(hard, dtype=np.intp), self.repeats - 1)
        rows = np.concatenate([np.arange(self.count), extra])
        turns = np.repeat(np.arange(self.repeats), [self.count] + [len(hard)] * (self.repeats - 1))
        order = np.random.default_rng([self.seed, epoch]).permutation(len(rows))[: self.count]
        for number in range(start, len(self)):
            drawn = order[number * self.batch_size : (number + 1) * self.batch_size]
            own = np.array_split(drawn, self.world)[self.rank]
            yield [(epoch, int(rows[k]), int(turns[k])) for k in own]
