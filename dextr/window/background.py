"""Prediction in the background, so that a window goes on answering."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dextr.predictor import Predictor
from dextr.samples import Prediction

Point = tuple[float, float]


@dataclass(frozen=True)
class Reply:
    """What came of asking with a number: after some seconds a prediction, or a problem in words."""

    revision: int
    seconds: float
    prediction: Prediction | None
    problem: str


class PredictionWorker:
    """Runs one prediction at a time, in its own thread."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="prediction")
        self._running: Future[Reply] | None = None

    @property
    def busy(self) -> bool:
        """Whether there is a prediction whose answer was not taken yet."""
        return self._running is not None

    def start(self, image: NDArray[np.uint8], points: list[Point], revision: int) -> None:
        """Start a prediction for points in an image (H, W, 3), RGB; only when not `busy`."""
        if self._running is not None:
            raise RuntimeError("the last answer was not taken yet")
        self._running = self._executor.submit(self._predict, image, list(points), revision)

    def take(self, wait: bool = False) -> Reply | None:
        """Return the answer, once; None while there is none. `wait` stays until it is there."""
        if self._running is None or not (wait or self._running.done()):
            return None
        running, self._running = self._running, None
        return running.result()

    def close(self) -> None:
        """End the thread."""
        self._executor.shutdown()

    def _predict(self, image: NDArray[np.uint8], points: list[Point], revision: int) -> Reply:
        prediction, problem = None, ""
        start = time.perf_counter()
        try:
            prediction = self.predictor.predict(image, points)
        except ValueError as error:
            problem = str(error)
        except Exception as error:  # out of memory, say: the window must live on
            problem = f"failed: {error!r}"
        return Reply(revision, time.perf_counter() - start, prediction, problem)
