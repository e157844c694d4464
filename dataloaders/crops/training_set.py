"""Training objects as PyTorch reads them, the same for any number of workers and processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Dataset, default_collate

from dataloaders.crops.augment import Affine, paste_beside
from dataloaders.crops.transforms import TrainTransform
from dataloaders.instances import Instances
from dextr.batch import Batch
from dextr.samples import Example, Instance

Key = tuple[int, int, int]
TRIES = 10


class TrainingSet(Dataset[Example]):
    """Random examples by (epoch, row, turn); turns are repetitions of a row within an epoch.

    Everything random about an example comes from the seed and these three, so it does not
    matter which worker makes it, or when.

    Args:
        source: The objects.
        transform: What happens to each.
        seed: Seed of the run.
    """

    def __init__(self, source: Instances, transform: TrainTransform, seed: int) -> None:
        self.source = source
        self.transform = transform
        self.seed = seed

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, key: Key) -> Example:
        row = key[1]
        rng = np.random.default_rng([self.seed, *key])
        instance = self.source[row]
        if rng.random() < self.transform.config.paste:
            instance = self._beside_another(instance, rng)
        for _ in range(TRIES):
            example = self.transform(instance, rng)
            if example is not None:
                return example
        example = self.transform.apply(instance, Affine(), rng)
        if example is None:
            raise ValueError(f"{instance.name}: the object is too small for a training crop")
        return example

    def _beside_another(self, instance: Instance, rng: np.random.Generator) -> Instance:
        other = self.source[int(rng.integers(len(self.source)))]
        pasted = paste_beside(instance, other, rng)
        return pasted if pasted.mask.any() else instance


class BatchPlan:
    """Which objects make up each batch of each epoch, and which part is this process's.

    Args:
        count: Number of training objects.
        batch_size: Objects per batch over all processes; the last batch may be smaller.
        seed: Seed of the run; an epoch's order comes from (seed, epoch).
        rank: Number of this process.
        world: Number of processes.
        repeats: How many times as often as the others hard objects come.
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        repeats: int = 1,
    ) -> None:
        if count < 1 or batch_size < 1:
            raise ValueError(
                f"expected at least 1 object and 1 per batch, got {count} and {batch_size}"
            )
        self.count, self.batch_size, self.seed = count, batch_size, seed
        self.rank, self.world = rank, world
        self.repeats = repeats

    def __len__(self) -> int:
        return -(-self.count // self.batch_size)

    def batches(self, epoch: int, start: int = 0, hard: Sequence[int] = ()) -> Iterator[list[Key]]:
        """Yield this process's keys of every global batch from number `start` on.

        Args:
            epoch: Number of the epoch.
            start: First batch.
            hard: Rows of hard objects. An epoch draws from all objects and `repeats - 1` more
                of each of these, and stays as long as it is.
        """
        extra = np.tile(np.asarray(hard, dtype=np.intp), self.repeats - 1)
        rows = np.concatenate([np.arange(self.count), extra])
        turns = np.repeat(np.arange(self.repeats), [self.count] + [len(hard)] * (self.repeats - 1))
        order = np.random.default_rng([self.seed, epoch]).permutation(len(rows))[: self.count]
        for number in range(start, len(self)):
            drawn = order[number * self.batch_size : (number + 1) * self.batch_size]
            own = np.array_split(drawn, self.world)[self.rank]
            yield [(epoch, int(rows[k]), int(turns[k])) for k in own]


def collate(examples: Sequence[Example], size: int) -> Batch:
    """Stack examples into a batch; of none, a batch of no crops of side `size`.

    PyTorch's function stacks into the memory that a worker shares with the main process.
    """
    if not examples:
        return Batch.empty(size)
    return Batch(
        default_collate([e.inputs for e in examples]),
        default_collate([e.target[None] for e in examples]),
        default_collate([e.void[None] for e in examples]),
        [e.name for e in examples],
    )
