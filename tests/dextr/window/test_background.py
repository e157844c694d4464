import threading

import numpy as np
import pytest
from support.made import GivenPrediction

from dextr.geometry import CropWindow
from dextr.window.click_window import PredictionWorker

IMAGE = np.zeros((60, 80, 3), np.uint8)
POINTS = [(10.0, 30.0), (70.0, 30.0), (40.0, 5.0), (40.0, 55.0)]


class GatedPredictor:
    """Answers when its gate is opened."""

    def __init__(self):
        self.gate = threading.Event()

    def predict(self, image, points):
        assert self.gate.wait(30)
        if len(points) < 4:
            raise ValueError("too few")
        if len(points) > 4:
            raise MemoryError("too many")
        window = CropWindow.around(np.array(points), image.shape[:2])
        return GivenPrediction(np.ones(image.shape[:2], np.float32), 0.5, np.array(points), window)


@pytest.fixture
def worker():
    worker = PredictionWorker(GatedPredictor())
    yield worker
    worker.predictor.gate.set()
    worker.close()


def test_idle(worker):
    assert not worker.busy
    assert worker.take() is None
    assert worker.take(wait=True) is None


def test_the_answer_comes_once_and_later(worker):
    worker.start(IMAGE, POINTS, 7)
    assert worker.busy
    assert worker.take() is None
    worker.predictor.gate.set()
    answer = worker.take(wait=True)
    assert (answer.revision, answer.problem) == (7, "")
    assert answer.prediction.points.tolist() == [list(p) for p in POINTS]
    assert answer.seconds > 0
    assert not worker.busy
    assert worker.take() is None


@pytest.mark.parametrize(
    ("points", "problem"),
    [(POINTS[:3], "too few"), (POINTS * 2, "failed: MemoryError('too many')")],
)
def test_errors_become_words_and_the_worker_goes_on(worker, points, problem):
    worker.predictor.gate.set()
    worker.start(IMAGE, points, 1)
    assert worker.take(wait=True).problem == problem
    worker.start(IMAGE, POINTS, 2)
    assert worker.take(wait=True).prediction is not None


def test_one_at_a_time(worker):
    worker.start(IMAGE, POINTS, 1)
    with pytest.raises(RuntimeError, match="not taken yet"):
        worker.start(IMAGE, POINTS, 2)


def test_later_changes_of_the_points_do_not_reach_it(worker):
    points = list(POINTS)
    worker.start(IMAGE, points, 1)
    points.append((1.0, 1.0))
    worker.predictor.gate.set()
    assert worker.take(wait=True).prediction is not None


def test_each_prediction_is_on_its_own_image(worker):
    worker.predictor.gate.set()
    for hw in ((60, 80), (70, 90)):
        worker.start(np.zeros((*hw, 3), np.uint8), POINTS, 1)
        assert worker.take(wait=True).prediction.prob.shape == hw
