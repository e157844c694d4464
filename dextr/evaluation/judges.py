"""Where the masks of an evaluation come from: a network, or a folder; with the record of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from os import PathLike
from typing import Any, Protocol

from numpy.typing import NDArray

from dextr.common.processes import World
from dextr.evaluation.mask_folder import MaskFolder
from dextr.evaluation.protocol import EvaluationSettings
from dextr.evaluation.scoring import (
    Objects,
    Outcome,
    collect,
    rows_of_process,
    score_of,
    scores_in_order,
    segment,
    whole,
)
from dextr.metrics import ObjectScore
from dextr.predictor import Predictor
from dextr.weights.load import LoadedNetwork


class OutcomesOf(Protocol):
    """Gives the outcomes of some rows, in their order.

    `extra` and `take` are as `dextr.evaluation.scoring.segment` has them; masks made elsewhere do
    not heed the further clicks.
    """

    def __call__(
        self,
        rows: list[int],
        extra: Mapping[int, NDArray] | None = None,
        take: Callable[[Outcome], Any] = whole,
    ) -> Iterator[Any]: ...


@dataclass(frozen=True)
class Judge:
    """A source of masks and their scores.

    Attributes:
        outcomes: Gives the outcomes of some rows, in their order.
        settings: All that decides the numbers, for the record.
        title: What is judged, in words.
        weights: Name and hash of the weights; None for masks made elsewhere.
        batch_size: Neighbouring objects that processes leave together.
    """

    outcomes: OutcomesOf
    settings: dict[str, Any]
    title: str
    weights: dict[str, Any] | None = None
    batch_size: int = 1

    def score(
        self,
        rows: list[int],
        world: World,
        visit: Callable[[Outcome], None] | None = None,
        extra: Mapping[int, NDArray] | None = None,
    ) -> list[ObjectScore]:
        """Score the rows, shared between processes, and return all scores by row.

        Args:
            rows: Which objects.
            world: The processes.
            visit: Called with each outcome of this process; None is faster.
            extra: Further clicks, by row; this process's rows suffice.
        """
        places = rows_of_process(len(rows), self.batch_size, world.rank, world.size)
        own = [rows[k] for k in places]
        results = self.outcomes(own, extra, whole if visit else score_of)
        scores = collect(results, len(own), world.main, visit)
        return scores_in_order(world.gather(scores))


def network_judge(
    loaded: LoadedNetwork,
    predictor: Predictor,
    instances: Objects,
    settings: EvaluationSettings,
    workers: int = 0,
) -> Judge:
    """Return a judge of a network's masks.

    Args:
        loaded: The network, for its name.
        predictor: What runs it.
        instances: The data set.
        settings: Points, protocol, thresholds.
        workers: Processes that read and score while the network runs.
    """
    noise = f" moved by up to {settings.noise:g} px" if settings.noise else ""

    def outcomes(
        rows: list[int],
        extra: Mapping[int, NDArray] | None = None,
        take: Callable[[Outcome], Any] = whole,
    ) -> Iterator[Any]:
        return segment(predictor, instances, settings, rows, workers, extra, take)

    return Judge(
        outcomes,
        {
            **asdict(settings),
            "size": predictor.size,
            "relax": predictor.relax,
            "batch_size": predictor.batch_size,
            "device": predictor.device.type,
        },
        f"weights {loaded.name}, crop {predictor.size}, points on the {settings.points}{noise}, "
        f"protocol {settings.protocol}, threshold {settings.thresholds[0]:g}",
        {"name": loaded.name, "sha256": loaded.file_hash(), "trained": loaded.trained},
        predictor.batch_size,
    )


def folder_judge(
    root: str | PathLike[str],
    instances: Objects,
    labels: NDArray,
    settings: EvaluationSettings,
    workers: int = 0,
) -> Judge:
    """Return a judge of masks made elsewhere; see `MaskFolder`.

    Args:
        root: The folder.
        instances: The data set.
        labels: (N,), the objects' values in label maps.
        settings: Thresholds and boundary tolerance; the rest has no meaning here.
        workers: Threads that read and score.
    """
    folder = MaskFolder(root)

    def outcomes(
        rows: list[int],
        extra: Mapping[int, NDArray] | None = None,
        take: Callable[[Outcome], Any] = whole,
    ) -> Iterator[Any]:
        return map(take, folder.outcomes(instances, labels, settings, rows, workers))

    return Judge(
        outcomes,
        {"thresholds": settings.thresholds, "boundary": settings.boundary},
        f"masks in {root}, threshold {settings.thresholds[0]:g}",
    )
