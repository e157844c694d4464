"""In training, further points where the network is wrong (paper section 4.6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from dextr.batch import Batch
from dextr.common.processes import World
from dextr.heatmap import render_heatmap
from dextr.points import next_click
from dextr.samples import THRESHOLD
from dextr.training.config import OptimConfig
from dextr.training.step import precision

# Above it the heat map, 0..255, has a click's own pixel and no other.
PEAK = 254


def correct(
    network: nn.Module, group: list[Batch], config: OptimConfig, world: World, seed: Sequence[int]
) -> list[Batch]:
    """Return a group of batches, some of which got correction points as `config` says.

    The `seed` decides which; it is the same in all processes. The network has no wrappers.
    """
    rng = np.random.default_rng(seed)
    chosen = rng.random(len(group)) < config.corrections
    counts = chosen * rng.integers(1, config.correction_clicks, len(group), endpoint=True)
    corrected = []
    with precision(config, world):
        for batch, count in zip(group, counts, strict=True):
            for _ in range(count if len(batch) else 0):
                batch = add_corrections(network, batch, THRESHOLD)
            corrected.append(batch)
    return corrected


def add_corrections(network: nn.Module, batch: Batch, threshold: float) -> Batch:
    """Return the batch with the point in each heat map that an annotator would add next.

    The point is the outline's pixel nearest to the largest error of the mask that the network, in
    evaluation mode, makes of the batch as it is. An object without an error stays as it is.
    """
    training = network.training
    network.eval()
    with torch.no_grad():
        logits = network(batch.inputs)
    network.train(training)
    masks = (logits[:, 0].float().sigmoid() > threshold).cpu().numpy()
    truths, voids = (x[:, 0].cpu().numpy() for x in (batch.targets, batch.voids))
    inputs = batch.inputs.clone()
    for k, (mask, truth, void) in enumerate(zip(masks, truths, voids, strict=True)):
        # What is clicked already is not clicked again, even if it did not help.
        clicked = np.argwhere(batch.inputs[k, 3].cpu().numpy() > PEAK)[:, ::-1]
        click = next_click(mask, truth, void, clicked)
        if click is not None:
            spot = torch.from_numpy(255 * render_heatmap(click[None], truth.shape)).to(inputs)
            inputs[k, 3] = torch.maximum(inputs[k, 3], spot)
    return replace(batch, inputs=inputs)
