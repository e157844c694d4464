"""Training objects as PyTorch reads them, the same for any number of workers and processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Dataset, default_collate

from dataloaders.crops.augment import Affine, paste_beside
from dataloaders.crops.transforms import TrainTransform
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
        rng = np.random.default_rng([self.seed, *key])
        instance = self.source[key[1]]
        if rng.random() < self.transform.config.paste:
            other = self.source[int(rng.integers(len(self.source)))]
            pasted = paste_beside(instance, other, rng)
            instance = pasted if pasted.mask.any() else instance
        for _ in range(TRIES):
            if example := self.transform(instance, rng):
                return example
        if example := self.transform.apply(instance, Affine(), rng):
            return example
        raise UserError(f"{instance.name}: the object is too small for a training crop")

    def __getitems__(self, keys: Sequence[Key]) -> Batch:
        """Return a batch of examples, also of none; DataLoader asks for each batch like this."""
        if not keys:
            return Batch.empty(self.transform.config.size)
        examples = [self[key] for key in keys]
        # PyTorch's function stacks into the memory that a worker shares with the main process.
        return Batch(
            default_collate([e.inputs for e in examples]),
            default_collate([e.target[None] for e in examples]),
            default_collate([e.void[None] for e in examples]),
            [e.name for e in examples],
            [row for _, row, _ in keys],
        )


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
