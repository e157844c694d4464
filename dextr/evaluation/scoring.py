"""Running a network over a data set and scoring every object (paper section 4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from dextr.evaluation.pipeline import run_through
from dextr.evaluation.protocol import EvaluationSettings, Prompt, prompt_for, stretched
from dextr.inputs import decode, encode
from dextr.metrics import ObjectScore, score_object
from dextr.predictor import Predictor
from dextr.samples import Instance

T = TypeVar("T")


class Objects(Protocol):
    """What is scored: any sequence of instances."""

    def __len__(self) -> int: ...
    def __getitem__(self, row: int, /) -> Instance: ...


@dataclass(frozen=True)
class Outcome:
    """What came out for one object.

    Attributes:
        row: The object's row in its data set.
        instance: The object.
        prob: (H, W), what the thresholds cut: probabilities, or a mask made elsewhere.
        points: (N, 2), xy, in the image; none for a mask made elsewhere.
        score: How good it is.
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


def evaluate(
    predictor: Predictor,
    instances: Objects,
    settings: EvaluationSettings,
    rows: Iterable[int] | None = None,
    progress: bool = True,
    workers: int = 0,
    visit: Callable[[Outcome], None] | None = None,
) -> list[ObjectScore]:
    """Score a network on objects of a data set; the same scores every time.

    Args:
        predictor: The network, its crop and its batch size.
        instances: The data set.
        settings: Points, protocol, thresholds.
        rows: Which objects, None for all; `rows_of_process` shares them between processes.
        progress: Show a bar.
        workers: Processes that read, encode and score while the network runs.
        visit: Called with each outcome, in the order of the rows. Without it only the scores
            leave the workers, which is faster.

    Returns:
        One score per row, in their order.
    """
    chosen = list(range(len(instances)) if rows is None else rows)
    take: Callable[[Outcome], Outcome | ObjectScore] = score_of if visit is None else whole
    results = segment(predictor, instances, settings, chosen, workers, take=take)
    return collect(results, len(chosen), progress, visit)


def collect(
    results: Iterable[Outcome | ObjectScore],
    count: int,
    progress: bool = True,
    visit: Callable[[Outcome], None] | None = None,
) -> list[ObjectScore]:
    """Return the scores of a stream of results, under a bar that shows their mean IoU.

    Args:
        results: Outcomes, or scores alone where nobody visits.
        count: How many.
        progress: Show the bar.
        visit: Called with each outcome.
    """
    scores = []
    total = 0.0
    with tqdm(results, total=count, desc="evaluate", unit="obj", disable=not progress) as bar:
        for result in bar:
            score = score_of(result)
            scores.append(score)
            total += score.iou
            bar.set_postfix_str(f"mean IoU {100 * total / len(scores):.2f}", refresh=False)
            if visit is not None and isinstance(result, Outcome):
                visit(result)
    return scores


def whole(outcome: Outcome) -> Outcome:
    """Return the outcome: what `segment` gives unless told to give less."""
    return outcome


def score_of(result: Outcome | ObjectScore) -> ObjectScore:
    """Return the score of an outcome; a score is its own."""
    return result.score if isinstance(result, Outcome) else result


def segment(
    predictor: Predictor,
    instances: Objects,
    settings: EvaluationSettings,
    rows: Iterable[int],
    workers: int = 0,
    extra: Mapping[int, NDArray] | None = None,
    take: Callable[[Outcome], T] = whole,  # type: ignore[assignment]
) -> Iterator[T]:
    """Yield what the network makes of each object, in order; see `evaluate`.

    Args:
        predictor: The network, its crop and its batch size.
        instances: The data set.
        settings: Points, protocol, thresholds.
        rows: Which objects.
        workers: Processes that read, encode and score while the network runs.
        extra: By row, (K, 2), xy, in the image: what is clicked after the extreme points.
        take: What is wanted of each outcome: a module's function, called in the workers.
    """
    work = _Evaluation(instances, settings, predictor.relax, predictor.size, extra or {}, take)
    return run_through(work, list(rows), predictor, workers)


@dataclass(frozen=True)
class _Evaluation(Generic[T]):
    """What is done with each object beside the network."""

    instances: Objects
    settings: EvaluationSettings
    relax: int
    size: int
    extra: Mapping[int, NDArray]
    take: Callable[[Outcome], T]

    def prepare(self, row: int, /) -> tuple[Prompt, NDArray[np.float32]]:
        instance, extra = self.instances[row], self.extra.get(row, ())
        prompt = prompt_for(row, instance, self.settings, self.relax, self.size, extra)
        return prompt, encode(prompt.instance.image, prompt.window, prompt.points)

    def judge(self, prompt: Prompt, logits: NDArray[np.float32], /) -> T:
        prob: NDArray = decode(logits, prompt.window)
        if self.settings.protocol == "released":
            prob = stretched(prob)
        outcome = outcome_of(prompt.row, prompt.instance, prob, prompt.clicks, self.settings)
        return self.take(outcome)


def outcome_of(
    row: int,
    instance: Instance,
    prob: NDArray,
    points: NDArray[np.float64],
    settings: EvaluationSettings,
) -> Outcome:
    """Return an outcome with its score."""
    score = score_object(instance, prob, settings.thresholds, row, settings.boundary)
    return Outcome(row, instance, prob, points, score)


def rows_of_process(count: int, batch_size: int, rank: int = 0, world: int = 1) -> list[int]:
    """Return the rows that one of several processes scores.

    Whole batches are dealt out in turn: every object meets the same neighbours in the network as
    in a single process, so that the scores agree to the last bit.

    >>> rows_of_process(7, 2, rank=1, world=2)
    [2, 3, 6]
    """
    return [row for row in range(count) if row // batch_size % world == rank]


def scores_in_order(parts: Sequence[Sequence[ObjectScore]]) -> list[ObjectScore]:
    """Return the scores of several processes as one list, by row."""
    return sorted((score for part in parts for score in part), key=lambda score: score.row)
