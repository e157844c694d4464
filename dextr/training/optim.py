"""Optimiser, learning rate over time, and the moving average of the weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, AdamW, Optimizer

from dextr.common.errors import UserError
from dextr.training.config import OptimConfig
from networks import DextrNet

# What an optimiser keeps of each weight, shaped like it.
MOMENTS = {SGD: {"momentum_buffer"}, AdamW: {"exp_avg", "exp_avg_sq"}}


def build_optimizer(network: DextrNet, config: OptimConfig) -> Optimizer:
    """Return the optimiser with three groups: backbone, its first convolution, head.

    On a GPU one kernel updates all weights (`fused`), but for SGD with half precision: its kernel
    takes the momentum from memory never written when the loss scaling skips the first step.
    """
    stem = network.conv1.weight
    backbone = [p for p in network.backbone_parameters() if p is not stem]
    head = network.head_parameters()
    parts = ((backbone, 1.0), ([stem], config.stem_lr_factor), (head, config.head_lr_factor))
    rates = [(params, config.lr * factor) for params, factor in parts]
    groups = [{"params": params, "lr": lr, "full_lr": lr} for params, lr in rates]
    skips = config.optimizer == "sgd" and config.amp == "fp16"
    fused = True if stem.is_cuda and not skips else None
    if config.optimizer == "adamw":
        return AdamW(groups, weight_decay=config.weight_decay, fused=fused)
    return SGD(groups, momentum=config.momentum, weight_decay=config.weight_decay, fused=fused)


def restore_optimizer(optimizer: Optimizer, saved: Mapping[str, Any]) -> None:
    """Take over a state of `Optimizer.state_dict`, also one saved by another kind of machine.

    Raises:
        ValueError: It is another network's or optimiser's.
    """
    groups = []
    for own, group in zip(optimizer.param_groups, saved["param_groups"], strict=True):
        for name, value in own.items():
            if isinstance(value, float) and not isinstance(group.get(name, value), float | int):
                raise UserError(f"the optimiser's {name} is {group[name]!r}")
        # Whether it is fused is up to this machine, not the one that saved.
        groups.append({**own, **group, "params": group["params"], "fused": own["fused"]})
    optimizer.load_state_dict({**saved, "param_groups": groups})
    for parameter, state in optimizer.state.items():
        if missing := MOMENTS[type(optimizer)] - set(state):
            raise UserError(f"the optimiser lacks {missing.pop()}")
        for name in MOMENTS[type(optimizer)]:
            # Without momentum, some versions of PyTorch keep None.
            if name != "momentum_buffer" or state[name] is not None:
                state[name] = laid_out_like(parameter, state[name])


def laid_out_like(parameter: Tensor, value: Tensor) -> Tensor:
    """Return the value with the parameter's strides, channels last or not.

    Fused kernels go through both as they lie in memory.
    """
    if value.shape != parameter.shape:
        raise UserError(
            "the optimiser is another network's: "
            f"{tuple(value.shape)} for a weight {tuple(parameter.shape)}"
        )
    return torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def learning_rate_factor(step: int, total: int, config: OptimConfig) -> float:
    """Return what the full learning rates are multiplied by after `step` of `total` steps.

    `cosine` falls to 0 as half a cosine, `poly` as (1 - progress)^0.9, after the warm-up.
    """
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    progress = min((step - config.warmup_steps) / max(total - config.warmup_steps, 1), 1.0)
    if config.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * progress))
    if config.schedule == "poly":
        return (1 - progress) ** 0.9
    return 1.0


def set_learning_rate(optimizer: Optimizer, factor: float) -> float:
    """Set every group to its full learning rate times `factor`; return the backbone's."""
    for group in optimizer.param_groups:
        group["lr"] = group["full_lr"] * factor
    return optimizer.param_groups[0]["lr"]


class MovingAverage:
    """An exponential moving average of a network's weights: `network`, with its own statistics.

    Averaged statistics would not fit the averaged weights: those are measured on batches.
    """

    def __init__(self, network: DextrNet, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay
        self._own: list[Tensor] = list(self.network.parameters())
        self._new: list[Tensor] = list(network.parameters())

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the network's weights after a step; the first steps count for more."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._own, self._new, 1 - decay)

    @torch.no_grad()
    def measure(self, inputs: Tensor) -> None:
        """Take in the statistics of a batch (N, C, H, W), as far as training moves them."""
        self.network.train()
        self.network(inputs)
        self.network.eval()
