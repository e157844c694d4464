"""Whether two networks, or one network run in two ways, answer alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dextr.common.cli import columns
from dextr.common.example_photos import Scene
from dextr.metrics import iou
from dextr.predictor import Predictor
from dextr.weights.state_files import Description

LARGEST_DIFFERENCE = 1e-3
LEAST_IOU = 0.9


@dataclass(frozen=True)
class Answer:
    """What a network makes of a scene's objects.

    Attributes:
        inputs: (N, 4, S, S), what went in.
        logits: (N, S, S).
        masks: (H, W) each.
    """

    inputs: NDArray[np.float32]
    logits: NDArray[np.float32]
    masks: list[NDArray[np.bool_]]


@dataclass(frozen=True)
class Agreement:
    """How alike two answers to a scene are.

    Attributes:
        scene: Its name.
        batch: Objects in a batch of the second network.
        difference: The largest of any logit.
        pixels: Number of those whose masks differ, over all objects.
        iou: Mean over objects of the masks' IoU.
        exact: What is demanded: differences of rounding only, or masks that are close.
    """

    scene: str
    batch: int
    difference: float
    pixels: int
    iou: float
    exact: bool = True

    @property
    def good(self) -> bool:
        """Whether this is what is demanded."""
        if self.exact:
            return self.difference < LARGEST_DIFFERENCE and self.pixels == 0
        return self.iou >= LEAST_IOU


def answer(
    network: Callable[[Tensor], Tensor], about: Description, scene: Scene, batch: int = 1
) -> Answer:
    """Run all objects of a scene through a network, so many at a time.

    It takes (N, 4, S, S) and gives logits (N, 1, S, S); crop, margin and threshold are `about`'s.
    """
    inputs, outputs = [], []

    def listen(x: Tensor) -> Tensor:
        logits = network(x)
        inputs.append(x.numpy())
        outputs.append(logits[:, 0].numpy())
        return logits

    predictor = Predictor(
        listen, size=about.size, relax=about.relax, threshold=about.threshold, batch_size=batch
    )
    predictions = predictor.predict_many(scene.image, scene.objects)
    return Answer(np.concatenate(inputs), np.concatenate(outputs), [p.mask for p in predictions])


def compare(scene: Scene, expected: Answer, got: Answer, batch: int, exact: bool) -> Agreement:
    """Return how alike two answers are; see `Agreement`."""
    difference = float(np.abs(expected.logits - got.logits).max())
    pairs = list(zip(expected.masks, got.masks, strict=True))
    pixels = sum(int(np.count_nonzero(a != b)) for a, b in pairs)
    mean = float(np.mean([iou(b, a) for a, b in pairs]))
    return Agreement(scene.name, batch, difference, pixels, mean, exact)


def agreement_table(rows: Sequence[Agreement]) -> str:
    """Return the rows as text.

    >>> print(agreement_table([Agreement("coffee", 3, 2e-6, 0, 1.0)]))
    photo   batch  largest logit difference  differing pixels     IoU
    coffee      3                   2.0e-06                 0  100.00  ok
    """
    table = [("photo", "batch", "largest logit difference", "differing pixels", "IoU", "")]
    for row in rows:
        numbers = (f"{row.difference:.1e}", str(row.pixels), f"{100 * row.iou:.2f}")
        table.append((row.scene, str(row.batch), *numbers, "ok" if row.good else "FAILED"))
    return columns(table)
