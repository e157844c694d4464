"""The window in which an annotator clicks: a matplotlib figure around an `AnnotationProject`."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from time import perf_counter
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.backend_bases import KeyEvent, key_press_handler
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dextr.annotation.objects import AnnotatedObject
from dextr.predictor import Predictor
from dextr.samples import Prediction
from dextr.window.click_session import ClickSession, Point
from dextr.window.mouse import PointMouse
from dextr.window.project import AnnotationProject
from dextr.window.view import WindowView

THRESHOLD_STEP = 0.05
POLL_MS = 20
# matplotlib's own keys that do no harm here: zoom, pan, home, full screen, close.
PASSED_ON = ("o", "p", "r", "f", "ctrl+w", "cmd+w")


class Reply(NamedTuple):
    """What came of asking with a number: after some seconds a prediction, or a problem in words."""

    revision: int
    prediction: Prediction | None
    seconds: float
    problem: str


class PredictionWorker:
    """Runs one prediction at a time, in its own thread, so that the window goes on answering."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="prediction")
        self._running: Future[Reply] | None = None
        self.close = self._executor.shutdown

    @property
    def busy(self) -> bool:
        """Whether there is a prediction whose answer was not taken yet."""
        return self._running is not None

    def start(self, image: NDArray[np.uint8], points: list[Point], revision: int) -> None:
        """Start a prediction for points in an image (H, W, 3), RGB; only when not `busy`."""
        if self.busy:
            raise RuntimeError("the last answer was not taken yet")
        self._running = self._executor.submit(self._predict, image, list(points), revision)

    def take(self, wait: bool = False) -> Reply | None:
        """Return the answer, once; None while there is none. `wait` stays until it is there."""
        if self._running is None or not (wait or self._running.done()):
            return None
        running, self._running = self._running, None
        return running.result()

    def _predict(self, image: NDArray[np.uint8], points: list[Point], revision: int) -> Reply:
        prediction, problem = None, ""
        start = perf_counter()
        try:
            prediction = self.predictor.predict(image, points)
        except ValueError as error:
            problem = str(error)
        except Exception as error:  # out of memory, say: the window must live on
            problem = f"failed: {error!r}"
        return Reply(revision, prediction, perf_counter() - start, problem)


class ClickWindow:
    """Feeds clicks and keys to a project, asks the network, and sees that the work is kept.

    It fills an empty figure, and never waits for the network except in `finish`. `quit` is what
    `q` does at last.
    """

    def __init__(
        self, figure: Figure, predictor: Predictor, project: AnnotationProject, warning: str = ""
    ) -> None:
        self.figure = figure
        self.project = project
        self.worker = PredictionWorker(predictor)
        self.view = WindowView(figure, project, warning)
        self.mouse = PointMouse(
            self.view.axes,
            points=lambda: self.session.points,
            click=lambda x, y: self._do(lambda: self.session.click(x, y)),
            drag=self.view.draw_moving,
            drop=lambda index, x, y: self._do(lambda: self.session.move(index, x, y)),
        )
        self.quit: Callable[[], None] = partial(plt.close, figure)
        self._asking = self.session
        self._kept = self._state()
        self._timer = figure.canvas.new_timer(interval=POLL_MS)
        self._timer.add_callback(self.poll)
        self._actions = self._keys()
        canvas = figure.canvas
        if canvas.manager is not None and canvas.manager.key_press_handler_id is not None:
            canvas.mpl_disconnect(canvas.manager.key_press_handler_id)
        # As in PointMouse: a method alone would be held weakly.
        canvas.mpl_connect("key_press_event", partial(self._on_key))
        canvas.mpl_connect("close_event", lambda event: self._timer.stop())
        self.refresh()

    @property
    def session(self) -> ClickSession:
        """What is done to the open image."""
        return self.project.session

    @property
    def objects(self) -> list[AnnotatedObject]:
        """The open image's objects, the current one last if it has a mask."""
        current = self.session.current
        return [*self.session.accepted, *([current] if current else [])]

    @property
    def masks(self) -> list[NDArray[np.bool_]]:
        """The masks (H, W) of `objects`."""
        return [annotated.mask for annotated in self.objects]

    def _keys(self) -> dict[str | None, Callable[[], object]]:
        actions: dict[str, Callable[[], object]] = {
            "n enter": self.next_object,
            "z ctrl+z": lambda: self.session.undo(),
            "c escape": lambda: self.session.clear(),
            "-": lambda: self.session.change_threshold(-THRESHOLD_STEP),
            "+ =": lambda: self.session.change_threshold(THRESHOLD_STEP),
            "[": lambda: self.step(-1),
            "]": lambda: self.step(1),
            "l": lambda: self.project.next_label(1),
            "L": lambda: self.project.next_label(-1),
            **{str(k): partial(self.project.choose_label, k) for k in range(1, 10)},
            "s": self.save,
            "h": self.view.toggle_help,
        }
        return {key: action for keys, action in actions.items() for key in keys.split()}

    def _on_key(self, event: KeyEvent) -> None:
        self.mouse.let_go()
        if event.key == "q":
            (self.quit if self._leave() else self.refresh)()
        elif event.key in self._actions:
            self._do(self._actions[event.key])
        elif event.key in PASSED_ON:
            key_press_handler(event, self.figure.canvas, self.figure.canvas.toolbar)

    def _do(self, action: Callable[[], object]) -> None:
        action()
        self.refresh()

    def next_object(self) -> None:
        """Accept the current object and write it."""
        if self.session.accept() and self._write(self.project.save_newest) and self.project.layout:
            count, where = len(self.session.accepted), self.project.layout.result
            self.session.note = f"saved {count} object{'s' * (count > 1)} in {where}"

    def save(self) -> None:
        """Write all accepted objects and all pictures."""
        if self._write(self.project.save):
            self.session.note = f"saved: {self.project.summary()}"

    def step(self, direction: int) -> None:
        """Go to the next (1) or previous (-1) image; a mask that is shown is accepted."""
        if self._leave() and self.project.step(direction):
            self._kept = self._state()
            self.view.open()

    def _leave(self) -> bool:
        if self.session.current is not None:
            self.session.accept()
        return self._write(self.project.save)

    def _write(self, write: Callable[[], None]) -> bool:
        try:
            write()
        except (OSError, ValueError) as error:
            self.session.note = f"NOT SAVED: {error}"
            self.view.show_saved(False)
            return False
        self._kept = self._state()
        self.view.show_saved(True)
        return True

    def _state(self) -> tuple[int, str]:
        """Return what changes whenever there is something to keep."""
        return self.session.revision, self.session.label

    def refresh(self) -> None:
        """Keep what changed, start a prediction if there is need, and draw."""
        if self._state() != self._kept:
            self._write(self.project.keep)
        self._ask()
        if self.worker.busy:
            self._timer.start()
        self.view.draw()

    def poll(self, wait: bool = False) -> None:
        """Take over the network's answer if it is there, or wait for it; the timer calls this."""
        if self._hear(wait):
            self._timer.stop()
            self.refresh()

    def _ask(self) -> None:
        if self.session.waiting and not self.worker.busy:
            self._asking = self.session
            self.worker.start(self.project.image, self.session.points, self.session.revision)

    def _hear(self, wait: bool) -> bool:
        answer = self.worker.take(wait)
        if answer is not None:
            # It is for the image that was open then.
            self._asking.receive(*answer)
        return answer is not None

    def finish(self) -> None:
        """Write everything once the window is gone; a mask not accepted yet is kept as well.

        Raises:
            OSError: It could not be written.
            ValueError: Another program writes the session as well.
        """
        while self.worker.busy or self.session.waiting:
            self._ask()
            self._hear(wait=True)
        self.worker.close()
        self.session.accept()
        self.project.save()
