"""One optimiser step, and one look at the validation objects."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from dextr.batch import Batch
from dextr.common.processes import World
from dextr.evaluation.protocol import EvaluationSettings
from dextr.evaluation.scoring import Objects, Outcome, collect, rows_of_process, segment
from dextr.losses import class_balanced_bce, class_counts
from dextr.metrics import ObjectScore
from dextr.predictor import Predictor
from dextr.samples import THRESHOLD
from dextr.training.checkpoint import TrainState
from dextr.training.config import OptimConfig
from dextr.training.corrections import add_corrections
from dextr.training.hard_objects import crop_ious
from dextr.visualize import contact_sheet, overlay

HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}
PICTURES = 8
Tile = tuple[NDArray[np.uint8], str]


def train_step(
    state: TrainState, model: nn.Module, group: Sequence[Batch], config: OptimConfig, world: World
) -> Tensor:
    """Do one optimiser step with the mean gradient of a group of batches.

    Args:
        state: Network, optimiser and what goes with them; its counters are left to the caller.
        model: The network as it is trained: compiled or distributed.
        group: This process's share of each batch, on the device.
        config: Loss, precision and clipping.
        world: The processes.

    Returns:
        This process's share of the mean loss of the group's batches; the shares add up.
    """
    state.optimizer.zero_grad(set_to_none=True)
    total = torch.zeros((), device=world.device)
    for k, batch in enumerate(group):
        more_to_come = k + 1 < len(group) and isinstance(model, DistributedDataParallel)
        with model.no_sync() if more_to_come else nullcontext():  # type: ignore[operator]
            logits = forward(model, batch, config, world)
            loss = batch_loss(logits, batch, config, world) / len(group)
            # DistributedDataParallel averages the gradients of shares that add up.
            state.scaler.scale(loss * world.size).backward()
        total += loss.detach()
        if state.hard is not None:
            state.hard.add(batch.rows, crop_ious(logits, batch, THRESHOLD))
    if config.clip_norm:
        state.scaler.unscale_(state.optimizer)
        nn.utils.clip_grad_norm_(state.network.parameters(), config.clip_norm)
    state.scaler.step(state.optimizer)
    state.scaler.update()
    if state.average is not None:
        state.average.update(state.network, state.step)
    return total


def forward(model: nn.Module, batch: Batch, config: OptimConfig, world: World) -> Tensor:
    """Return the logits of a batch in the precision asked for."""
    with precision(config, world):
        return model(batch.inputs)


def precision(config: OptimConfig, world: World) -> torch.autocast:
    """Return the context in which networks run in the precision asked for."""
    half = HALF.get(config.amp)
    return torch.autocast(world.device.type, half, enabled=half is not None)


def correct(
    network: nn.Module, group: list[Batch], config: OptimConfig, world: World, seed: Sequence[int]
) -> list[Batch]:
    """Return a group of batches, some of which got correction points as `config` says.

    Args:
        network: The network without wrappers.
        group: This process's share of each batch, on the device.
        config: The share, and the precision.
        world: The processes.
        seed: Decides which batches; the same in all processes.
    """
    drawn = np.random.default_rng(seed).random(len(group)) < config.corrections
    with precision(config, world):
        return [
            add_corrections(network, batch, THRESHOLD) if chosen and len(batch) else batch
            for batch, chosen in zip(group, drawn, strict=True)
        ]


def batch_loss(logits: Tensor, batch: Batch, config: OptimConfig, world: World) -> Tensor:
    """Return this process's share of the loss of a batch that all processes share."""
    void = batch.voids if config.void == "ignore" else None
    counts = batch_size = None
    objects: Tensor | int = 1
    if world.size > 1:
        own = class_counts(batch.targets, void)
        sums = world.sum(torch.cat([own, own.new_full((1,), len(batch))]))
        # Dividing afterwards leaves the number of objects on the GPU.
        counts, batch_size, objects = sums[:2], 1, sums[2]
    loss = class_balanced_bce(
        logits.to(batch.inputs.dtype),
        batch.targets,
        void,
        reduction=config.loss_reduction,
        counts=counts,
        batch_size=batch_size,
    )
    return loss / objects


class LossWatch:
    """Keeps the losses of the last steps on the device until somebody wants them.

    Reading a number from a GPU waits for all its work, so that is not done in every step.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._pending: list[tuple[Tensor, list[str]]] = []

    def add(self, loss: Tensor, group: Sequence[Batch]) -> None:
        """Take in this process's share of a step's loss."""
        self._pending.append((loss, [name for batch in group for name in batch.names]))

    def collect(self, step: int) -> list[float]:
        """Return the losses since the last call, summed over the processes.

        Args:
            step: Steps done so far.

        Raises:
            ValueError: One is not finite; says which, and for which objects.
        """
        if not self._pending:
            return []
        losses = self._world.sum(torch.stack([loss for loss, _ in self._pending])).tolist()
        names = [names for _, names in self._pending]
        self._pending.clear()
        for k, loss in enumerate(losses):
            if not math.isfinite(loss):
                shown = losses[max(0, k - 4) : k + 1]
                objects = [name for part in self._world.gather(names[k]) for name in part]
                raise ValueError(
                    f"the loss is {loss} at step {step - len(losses) + k + 1} (the last ones: "
                    f"{', '.join(f'{v:g}' for v in shown)}) for the objects "
                    f"{', '.join(objects)}; earlier checkpoints are untouched; try a lower --lr, "
                    "--clip-norm or --amp off"
                )
        return losses


def validate(
    predictor: Predictor,
    instances: Objects,
    settings: EvaluationSettings,
    world: World,
    limit: int = 0,
    workers: int = 0,
) -> tuple[list[ObjectScore], NDArray[np.uint8] | None]:
    """Score a network, each process its share of the objects.

    Args:
        predictor: The network.
        instances: The validation objects.
        settings: How they are scored.
        world: The processes.
        limit: Score only this many, evenly spread; 0: all.
        workers: Processes that read and score while the network runs.

    Returns:
        The scores, the same in every process, and in the first a sheet of pictures.
    """
    rows = spread(len(instances), limit)
    places = rows_of_process(len(rows), predictor.batch_size, world.rank, world.size)
    own = [rows[k] for k in places]
    pictured = frozenset(own[:PICTURES] if world.main else ())
    take = partial(_score_and_picture, pictured=pictured)
    tiles: list[Tile] = []

    def scored() -> Iterator[ObjectScore]:
        for score, tile in segment(predictor, instances, settings, own, workers, take=take):
            if tile is not None:
                tiles.append(tile)
            yield score

    scores = collect(scored(), len(own), world.main)
    joined = sorted((s for part in world.gather(scores) for s in part), key=lambda s: s.row)
    return joined, contact_sheet(tiles) if tiles else None


def _score_and_picture(
    outcome: Outcome, pictured: frozenset[int]
) -> tuple[ObjectScore, Tile | None]:
    """Return an outcome's score and, for the rows to be pictured, a picture with a caption."""
    if outcome.row not in pictured:
        return outcome.score, None
    picture = overlay(outcome.instance.image, [outcome.mask], [outcome.points])
    caption = f"{outcome.instance.name} IoU {100 * outcome.score.iou:.1f}"
    return outcome.score, (picture, caption)


def spread(count: int, limit: int) -> list[int]:
    """Return `limit` of `count` rows, evenly spread; all where that is not fewer, or 0.

    >>> spread(10, 4)
    [0, 2, 5, 7]
    """
    if not 0 < limit < count:
        return list(range(count))
    return [k * count // limit for k in range(limit)]
