"""The training step of the paper: forward, loss, accumulation, precision, clipping, step."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from dextr.batch import Batch
from dextr.common.errors import UserError
from dextr.common.processes import World
from dextr.losses import class_balanced_bce, class_counts, soft_iou_loss
from dextr.samples import THRESHOLD
from dextr.training.checkpoint import TrainState
from dextr.training.config import OptimConfig
from dextr.training.hard_objects import crop_ious

# Steps between looks at the statistics of the averaged weights: a few percent of the time.
MEASURE_EVERY = 8
HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


def train_step(
    state: TrainState, model: nn.Module, group: Sequence[Batch], config: OptimConfig, world: World
) -> Tensor:
    """Do one optimiser step with the mean gradient of a group of batches; return their mean loss.

    `model` is the network as it is trained: compiled or distributed. Batches, on the device, and
    the loss are this process's shares; losses add up. The state's counters are the caller's.
    """
    state.optimizer.zero_grad(set_to_none=True)
    total = torch.zeros((), device=world.device)
    for k, batch in enumerate(group):  # implementation details: 5 objects; on COCO 20
        more_to_come = k + 1 < len(group) and isinstance(model, DistributedDataParallel)
        with model.no_sync() if more_to_come else nullcontext():  # type: ignore[operator]
            with precision(config, world):  # 3.2: image and heat map in, mask out
                logits = model(batch.inputs)
            loss = batch_loss(logits, batch, config, world) / len(group)  # 3.2: balanced
            # DistributedDataParallel averages the gradients of shares that add up.
            state.scaler.scale(loss * world.size).backward()
        total += loss.detach()
        if state.hard is not None:  # 4.6: what stays below 0.8 comes back
            state.hard.add(batch.rows, crop_ious(logits, batch, THRESHOLD))
    if config.clip_norm:  # not in the paper
        state.scaler.unscale_(state.optimizer)
        nn.utils.clip_grad_norm_(state.network.parameters(), config.clip_norm)
    state.scaler.step(state.optimizer)  # implementation details: SGD
    state.scaler.update()
    if state.average is not None:  # not in the paper
        state.average.update(state.step)
        if state.step % MEASURE_EVERY == 0:
            with precision(config, world):
                state.average.measure(group[0].inputs)
    return total


def precision(config: OptimConfig, world: World) -> torch.autocast:
    """Return the context in which networks run in the precision asked for."""
    half = HALF.get(config.amp)
    return torch.autocast(world.device.type, half, enabled=half is not None)


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
        logits.to(batch.inputs.dtype), batch.targets, void,
        reduction=config.loss_reduction, counts=counts, batch_size=batch_size,
    )  # fmt: skip
    loss = loss / objects
    if config.iou_loss and len(batch):  # not in the paper
        share = len(batch) / objects if world.size > 1 else 1
        soft = soft_iou_loss(logits.to(batch.inputs.dtype), batch.targets, void)
        loss = loss + config.iou_loss * share * soft
    return loss


class LossWatch:
    """Keeps the losses of the last steps on the device until somebody wants them.

    Reading a number from a GPU waits for all its work, so that is not done in every step.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._pending: list[tuple[Tensor, list[str]]] = []
        self._objects, self._since = 0, time.perf_counter()

    def add(self, loss: Tensor, group: Sequence[Batch]) -> None:
        """Take in this process's share of a step's loss."""
        names = [name for batch in group for name in batch.names]
        self._pending.append((loss, names))
        self._objects += len(names) * self._world.size

    def collect(self, step: int) -> list[float]:
        """Return the losses since the last call, up to this step, summed over the processes.

        Raises:
            ValueError: One is not finite; says which, and for which objects.
        """
        if not self._pending:
            return []
        losses = self._world.sum(torch.stack([loss for loss, _ in self._pending])).tolist()
        for k, (loss, (_, names)) in enumerate(zip(losses, self._pending, strict=True)):
            if not math.isfinite(loss):
                last = ", ".join(f"{v:g}" for v in losses[max(0, k - 4) : k + 1])
                objects = ", ".join(name for part in self._world.gather(names) for name in part)
                raise UserError(
                    f"the loss is {loss} at step {step - len(losses) + k + 1} (the last ones: "
                    f"{last}) for the objects {objects}; earlier checkpoints are untouched; try a "
                    "lower --lr, --clip-norm or --amp off"
                )
        self._pending.clear()
        return losses

    def speed(self) -> float:
        """Return the objects per second, over all processes, since the last call."""
        now = time.perf_counter()
        objects_per_second = self._objects / (now - self._since)
        self._objects, self._since = 0, now
        return objects_per_second
