"""A network and batches small enough for exact comparisons."""

import torch
from torch.amp.grad_scaler import GradScaler

from dextr.batch import Batch
from dextr.training.checkpoint import TrainState
from dextr.training.config import OptimConfig
from dextr.training.optim import MovingAverage, build_optimizer
from networks import build_network


def tiny_network(seed=0):
    """A two-stage resnet18 in float64 whose logits differ from pixel to pixel."""
    torch.manual_seed(seed)
    network = build_network("resnet18", head_width=4, stages=2).double()
    for parameter in network.parameters():
        if parameter.dim() == 4:
            torch.nn.init.normal_(parameter, std=(2 / parameter[0].numel()) ** 0.5)
    return network


def tiny_state(config, seed=0):
    network = tiny_network(seed)
    average = MovingAverage(network, config.ema) if config.ema else None
    scaler = GradScaler("cpu", enabled=False)
    return TrainState(network, build_optimizer(network, config), scaler, average)


def tiny_batch(count, seed=1, size=16):
    generator = torch.Generator().manual_seed(seed)
    shape = (count, 1, size, size)
    return Batch(
        255 * torch.rand(count, 4, size, size, generator=generator, dtype=torch.float64),
        torch.rand(shape, generator=generator) < 0.3,
        torch.rand(shape, generator=generator) < 0.1,
        [f"object {seed}.{k}" for k in range(count)],
    )


def part_of(batch, rows):
    return Batch(
        batch.inputs[rows], batch.targets[rows], batch.voids[rows], [batch.names[k] for k in rows]
    )


def plain_config(**values):
    return OptimConfig(**{"lr": 1e-4, "head_lr_factor": 1.0, **values})
