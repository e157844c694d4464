"""In training, a further point where the network is wrong (paper section 4.6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from dextr.batch import Batch
from dextr.common.processes import World
from dextr.heatmap import render_heatmap
from dextr.points import next_click
from dextr.samples import THRESHOLD
from dextr.training.config import OptimConfig
from dextr.training.step import precision


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


def add_corrections(network: nn.Module, batch: Batch, threshold: float) -> Batch:
    """Return the batch with the point in each heat map that an annotator would add next.

    The point is the outline's pixel nearest to the largest error of the mask that the network
    makes of the batch as it is. An object without an error stays as it is.

    Args:
        network: Is run in evaluation mode, and left in the mode it was in.
        batch: The objects.
        threshold: Probability above which a pixel belongs to the mask.
    """
    masks = _masks(network, batch.inputs, threshold)
    truths, voids = (x[:, 0].cpu().numpy() for x in (batch.targets, batch.voids))
    inputs = batch.inputs.clone()
    for k, (mask, truth, void) in enumerate(zip(masks, truths, voids, strict=True)):
        click = next_click(mask, truth, void, np.empty((0, 2)))
        if click is not None:
            spot = torch.from_numpy(255 * render_heatmap(click[None], truth.shape)).to(inputs)
            inputs[k, 3] = torch.maximum(inputs[k, 3], spot)
    return replace(batch, inputs=inputs)


def _masks(network: nn.Module, inputs: Tensor, threshold: float) -> np.ndarray:
    training = network.training
    network.eval()
    with torch.no_grad():
        logits = network(inputs)
    network.train(training)
    return (logits[:, 0].float().sigmoid() > threshold).cpu().numpy()
