"""One optimiser step, and one look at the validation objects."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from dextr.batch import Batch
from dextr.common.processes import World
from dextr.losses import class_balanced_bce, class_counts
from dextr.predictor import THRESHOLD
from dextr.training.checkpoint import TrainState
from dextr.training.config import OptimConfig
from dextr.training.corrections import add_corrections
from dextr.training.hard_objects import crop_ious

HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


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
