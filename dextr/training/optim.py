"""Optimiser, learning rate over time, and the moving average of the weights."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor
from torch.optim import SGD, AdamW, Optimizer

from dextr.training.config import OptimConfig
from networks import DextrNet


def build_optimizer(network: DextrNet, config: OptimConfig) -> Optimizer:
    """Return the optimiser with three groups: backbone, its first convolution, head.

    On a GPU one kernel updates all weights (`fused`).
    """
    stem = network.conv1.weight
    backbone = [p for p in network.backbone_parameters() if p is not stem]
    head = network.head_parameters()
    parts = ((backbone, 1.0), ([stem], config.stem_lr_factor), (head, config.head_lr_factor))
    rates = [(params, config.lr * factor) for params, factor in parts]
    groups = [{"params": params, "lr": lr, "full_lr": lr} for params, lr in rates]
    fused = True if stem.is_cuda else None
    if config.optimizer == "adamw":
        return AdamW(groups, weight_decay=config.weight_decay, fused=fused)
    return SGD(groups, momentum=config.momentum, weight_decay=config.weight_decay, fused=fused)


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

    @torch.no_grad()
    def update(self, network: DextrNet, step: int) -> None:
        """Take in the weights after a step; the first steps count for more."""
        decay = min(self.decay, (1 + step) / (10 + step))
        own, new = ([p.data for p in part.parameters()] for part in (self.network, network))
        torch._foreach_lerp_(own, new, 1 - decay)

    @torch.no_grad()
    def measure(self, inputs: Tensor) -> None:
        """Take in the statistics of a batch (N, C, H, W), as far as training moves them."""
        self.network.train()
        self.network(inputs)
        self.network.eval()
