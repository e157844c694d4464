"""Where the masks of an evaluation come from: a network, or a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from dextr.evaluation.mask_folder import MaskFolder
from dextr.evaluation.pipeline import map_ahead, run_through
from dextr.evaluation.protocol import (
    EvaluationSettings,
    SimulatedClicks,
    simulate_clicks,
    stretched,
)  # fmt: skip
from dextr.inputs import decode, encode
from dextr.metrics import ObjectScore, score_object
from dextr.predictor import Predictor
from dextr.samples import Instance

T = TypeVar("T")
NO_POINTS = np.zeros((0, 2))


class Objects(Protocol):
    """What is scored: any sequence of instances."""

    def __len__(self) -> int: ...
    def __getitem__(self, row: int, /) -> Instance: ...


@dataclass(frozen=True)
class ScoredMask:
    """What came out for the object in a row of the data set, and how good it is.

    Attributes:
        prob: (H, W), what the thresholds cut: probabilities, or a mask made elsewhere.
        points: (N, 2), xy, in the image; none for a mask made elsewhere.
    """

    row: int
    instance: Instance
    prob: NDArray
    points: NDArray[np.float64]
    score: ObjectScore

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(H, W), the object at the threshold that counts."""
        return self.prob > self.score.thresholds[0]


Take = Callable[[ScoredMask], T]
Further = Mapping[int, NDArray]


def scored(
    row: int, instance: Instance, prob: NDArray, points: NDArray, settings: EvaluationSettings
) -> ScoredMask:
    """Return a mask with its score."""
    score = score_object(instance, prob, settings.thresholds, row, settings.boundary)
    return ScoredMask(row, instance, prob, points, score)


class MaskSource(Protocol):
    """Gives the masks of objects."""

    @property
    def batch_size(self) -> int:
        """Neighbouring objects that processes leave together."""

    def masks(self, rows: Sequence[int], take: Take[T], further: Further) -> Iterator[T]:
        """Yield what `take`, called in threads, makes of each object's mask, in the rows' order.

        What is clicked after the extreme points is `further`: by row, (K, 2), xy, in the image.
        """


@dataclass(frozen=True)
class NetworkMasks:
    """The masks that a network makes of simulated clicks; `workers` as in `run_through`."""

    predictor: Predictor
    instances: Objects
    settings: EvaluationSettings
    workers: int = 0

    @property
    def batch_size(self) -> int:
        """Objects that go through the network at once."""
        return self.predictor.batch_size

    def masks(self, rows: Sequence[int], take: Take[T], further: Further) -> Iterator[T]:
        """Yield what `take` makes of each object's mask; see `MaskSource`."""
        settings, predictor = self.settings, self.predictor

        def encoded(row: int) -> tuple[SimulatedClicks, NDArray[np.float32]]:
            clicks = simulate_clicks(
                row, self.instances[row], settings, predictor.relax, predictor.size,
                further.get(row, NO_POINTS),
            )  # fmt: skip
            image, window = clicks.instance.image, clicks.window
            return clicks, encode(image, window, clicks.in_crop, predictor.look_twice)

        def finished(clicks: SimulatedClicks, logits: NDArray[np.float32]) -> T:
            cleaned = predictor.clean(logits, clicks.in_crop, settings.thresholds[0])
            read = decode(cleaned, clicks.window)
            prob = stretched(read) if settings.protocol == "released" else read
            return take(scored(clicks.row, clicks.instance, prob, clicks.points, settings))

        return run_through(predictor, rows, encoded, finished, self.workers)


@dataclass(frozen=True)
class FolderMasks:
    """Masks made elsewhere, with the values `labels` (N,) in label maps; further clicks do nothing.

    Of the settings, thresholds and boundary tolerance have a meaning here.
    """

    folder: MaskFolder
    instances: Objects
    labels: NDArray
    settings: EvaluationSettings
    workers: int = 0
    batch_size: ClassVar[int] = 1

    def masks(self, rows: Sequence[int], take: Take[T], further: Further) -> Iterator[T]:
        """Yield what `take` makes of each object's mask; see `MaskSource`."""

        def read(row: int) -> T:
            instance = self.instances[row]
            prob = self.folder.read(instance, int(self.labels[row]))
            return take(scored(row, instance, prob, NO_POINTS, self.settings))

        return map_ahead(read, rows, self.workers, 2 * self.workers)
