"""In training, further points where the network is wrong (paper section 4.6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dextr.batch import Batch
from dextr.common.processes import World
from dextr.heatmap import render_heatmap
from dextr.points import next_click
from dextr.samples import THRESHOLD
from dextr.training.config import OptimConfig
from dextr.training.step import precision
from networks import DextrNet

# Above it the heat map, 0..255, has a click's own pixel and no other.
PEAK = 254


def correct(
    network: DextrNet, group: list[Batch], config: OptimConfig, world: World, seed: Sequence[int]
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
            clicks = count if len(batch) else 0
            twice = network.config.looks_twice
            corrected.append(add_corrections(network, batch, THRESHOLD, clicks, twice))
    return corrected


def add_corrections(
    network: nn.Module, batch: Batch, threshold: float, count: int = 1, looks_twice: bool = False
) -> Batch:
    """Return the batch with `count` points in each heat map as an annotator would add them.

    Each is the outline's pixel nearest to the largest error of the mask that the network, in
    evaluation mode, makes of the batch as it is then. An object without an error stays as it is.
    A network that `looks_twice` gets its first mask in a fifth channel, as when it is used.
    """
    for k in range(count):
        probs = _answer(network, batch.inputs)
        inputs = batch.inputs.clone()
        if k == 0 and looks_twice:
            inputs = torch.cat([inputs, 255 * probs[:, None].to(inputs)], dim=1)
        _click(inputs, batch, (probs > threshold).cpu().numpy())
        batch = replace(batch, inputs=inputs)
    return batch


def _answer(network: nn.Module, inputs: Tensor) -> Tensor:
    training = network.training
    network.eval()
    with torch.no_grad():
        probs = network(inputs)[:, 0].float().sigmoid()
    network.train(training)
    return probs


def _click(inputs: Tensor, batch: Batch, masks: NDArray[np.bool_]) -> None:
    """Add the next point of each object to its heat map in `inputs`, in place."""
    truths, voids = (x[:, 0].cpu().numpy() for x in (batch.targets, batch.voids))
    for k, (mask, truth, void) in enumerate(zip(masks, truths, voids, strict=True)):
        # What is clicked already is not clicked again, even if it did not help.
        clicked = np.argwhere(batch.inputs[k, 3].cpu().numpy() > PEAK)[:, ::-1]
        click = next_click(mask, truth, void, clicked)
        if click is not None:
            spot = torch.from_numpy(255 * render_heatmap(click[None], truth.shape)).to(inputs)
            inputs[k, 3] = torch.maximum(inputs[k, 3], spot)
