"""The window in which an annotator clicks: a matplotlib figure around a `ClickSession`."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.backend_bases import Event, KeyEvent, MouseButton, MouseEvent, key_press_handler
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dextr.annotations import AnnotationFiles
from dextr.click_session import ClickSession
from dextr.image_view import ImageView
from dextr.prediction_worker import PredictionWorker
from dextr.predictor import Predictor
from dextr.visualize import object_color, overlay

THRESHOLD_STEP = 0.05
POLL_MS = 20
WITHOUT_WINDOW = ("agg", "cairo", "pdf", "pgf", "ps", "svg", "template")
ADVICE = (
    "give --points and --output to work without a window, or run it where there is a display "
    "(DISPLAY) and Tk or Qt for Python (python3-tk, or pip install PySide6)"
)
# matplotlib's own keys that do no harm here: zoom, pan, home, full screen, close.
PASSED_ON = ("o", "p", "r", "f", "ctrl+w", "cmd+w")
KEYS = "n: next object    z: undo    - +: threshold    s: save    q: save and quit    h: help"
HELP = """\
left click    a point: the left-, right-, top- and bottom-most of
              the object, in any order; then, if need be, further
              points on its true outline
n or enter    accept the mask (it is saved) and start the next object
z             take back the last point; with no points, open the
              last object again
- or [        lower the threshold: the mask grows
+ or ]        raise the threshold: the mask shrinks
s             save everything and a picture now
q             save and quit; closing the window does the same
o   p   r     zoom, pan, whole image; no points are placed meanwhile
h             this help"""


class ClickWindow:
    """Draws a session, feeds it clicks and keys, and writes its objects.

    It never waits for the network except in `finish`.

    Args:
        figure: An empty figure.
        predictor: Makes the masks.
        image: (H, W, 3) uint8, RGB.
        files: Where the objects are kept.
        title: What is shown above the image and in the window's title.
        warning: Shown there as well, in red; may be empty.
    """

    def __init__(
        self,
        figure: Figure,
        predictor: Predictor,
        image: NDArray[np.uint8],
        files: AnnotationFiles,
        title: str = "",
        warning: str = "",
    ) -> None:
        self.figure = figure
        self.image = image
        self.files = files
        self.session = ClickSession(image.shape[:2], predictor.threshold)
        self.worker = PredictionWorker(predictor, image)
        self._background = image
        self._draw_parts(title, warning)
        self._connect()
        self.refresh()

    def _draw_parts(self, title: str, warning: str) -> None:
        self.axes = self.figure.add_axes((0.02, 0.13, 0.96, 0.81))
        self._view = ImageView(self.axes, self.image)
        (self._dots,) = self.axes.plot([], [], "o", markersize=9, markeredgecolor="white")
        text = partial(self.figure.text, va="center", parse_math=False)
        text(0.02, 0.965, title, fontsize=11)
        text(0.98, 0.965, warning, fontsize=11, ha="right", color="crimson")
        self.status = text(0.02, 0.095, "", fontsize=11, weight="bold", wrap=True)
        self.note = text(0.02, 0.06, "", fontsize=10, wrap=True)
        text(0.02, 0.025, KEYS, fontsize=9, color="dimgray")
        if self.figure.canvas.manager is not None:
            parts = ("DEXTR", title, warning)
            self.figure.canvas.manager.set_window_title(" - ".join(filter(None, parts)))
        box = {"facecolor": "white", "alpha": 0.92, "boxstyle": "round,pad=1"}
        self.help = text(
            0.5, 0.53, HELP, family="monospace", ha="center", bbox=box, ma="left", visible=False
        )

    def _connect(self) -> None:
        canvas = self.figure.canvas
        if canvas.manager is not None and canvas.manager.key_press_handler_id is not None:
            canvas.mpl_disconnect(canvas.manager.key_press_handler_id)
        canvas.mpl_connect("button_press_event", self._on_click)
        canvas.mpl_connect("key_press_event", self._on_key)
        canvas.mpl_connect("close_event", self._on_close)
        self._timer = canvas.new_timer(interval=POLL_MS)
        self._timer.add_callback(self.poll)
        session = self.session
        self._actions = {
            "n": self.next_object,
            "enter": self.next_object,
            "z": self.undo,
            "ctrl+z": self.undo,
            "s": self.save,
            "h": lambda: self.help.set_visible(not self.help.get_visible()),
            "-": lambda: session.change_threshold(-THRESHOLD_STEP),
            "[": lambda: session.change_threshold(-THRESHOLD_STEP),
            "+": lambda: session.change_threshold(THRESHOLD_STEP),
            "=": lambda: session.change_threshold(THRESHOLD_STEP),
            "]": lambda: session.change_threshold(THRESHOLD_STEP),
        }

    def _on_click(self, event: Event) -> None:
        assert isinstance(event, MouseEvent)
        if event.button != MouseButton.LEFT or event.dblclick or event.inaxes is not self.axes:
            return
        # The toolbar's zoom and pan hold this lock.
        if event.xdata is None or event.ydata is None or self.figure.canvas.widgetlock.locked():
            return
        self.session.click(event.xdata, event.ydata)
        self.refresh()

    def _on_key(self, event: Event) -> None:
        assert isinstance(event, KeyEvent)
        if event.key == "q":
            plt.close(self.figure)
        elif event.key in self._actions:
            self._actions[event.key]()
            self.refresh()
        elif event.key in PASSED_ON:
            key_press_handler(event, self.figure.canvas, self.figure.canvas.toolbar)

    def _on_close(self, event: Event) -> None:
        self._timer.stop()

    def next_object(self) -> None:
        """Accept the current object and write it."""
        if self.session.accept():
            last = [self.session.accepted[-1].mask]
            self._background = overlay(self._background, last, first=self.session.number - 1)
            self._write(newest_only=True)

    def undo(self) -> None:
        """Take back a point, or open the last object again."""
        before = self.session.number
        self.session.undo()
        if self.session.number != before:
            masks = [o.mask for o in self.session.accepted]
            self._background = overlay(self.image, masks)

    def save(self) -> None:
        """Write all accepted objects and a picture."""
        if self.session.accepted:
            self._write(newest_only=False)
        else:
            self.session.note = "nothing to save yet: accept an object with n first"

    def _write(self, newest_only: bool) -> None:
        objects = self.session.accepted
        try:
            if newest_only:
                self.files.save_newest(objects)
            else:
                self.files.save(self.image, objects)
        except OSError as error:
            self.session.note = f"NOT SAVED: {error}"
        else:
            plural = "s" * (len(objects) > 1)
            self.session.note = f"saved {len(objects)} object{plural} in {self.files.labels}"

    def refresh(self) -> None:
        """Start a prediction if there is need, and draw the session."""
        session = self.session
        self._ask()
        if self.worker.busy:
            self._timer.start()
        masks = [] if session.mask is None else [session.mask]
        self._view.show(overlay(self._background, masks, first=session.number))
        self._dots.set_data([x for x, _ in session.points], [y for _, y in session.points])
        red, green, blue = object_color(session.number)
        self._dots.set_markerfacecolor((red / 255, green / 255, blue / 255))
        self.status.set_text(session.status)
        self.note.set_text(session.note)
        self.figure.canvas.draw_idle()

    def poll(self, wait: bool = False) -> None:
        """Take over the network's answer if it is there, or wait for it; the timer calls this."""
        if self._hear(wait):
            self._timer.stop()
            self.refresh()

    def _ask(self) -> None:
        if self.session.waiting and not self.worker.busy:
            self.worker.start(self.session.revision, self.session.points)

    def _hear(self, wait: bool) -> bool:
        answer = self.worker.take(wait)
        if answer is None:
            return False
        if answer.prediction is not None:
            self.session.receive(answer.revision, answer.prediction, answer.seconds)
        else:
            self.session.reject(answer.revision, answer.problem)
        return True

    def finish(self) -> list[Path]:
        """Write everything once the window is gone; a mask not accepted yet is kept as well.

        Returns:
            The files with the labels and the picture; none if there was nothing to write.

        Raises:
            OSError: They could not be written.
        """
        while self.worker.busy or self.session.waiting:
            self._ask()
            self._hear(wait=True)
        self.worker.close()
        self.session.accept()
        if not self.session.accepted and not self.files.exist():
            return []
        self.files.save(self.image, self.session.accepted)
        return [self.files.labels, self.files.overlay]


def new_figure() -> Figure:
    """Return the figure of a new window; it appears with `show`.

    Raises:
        ValueError: No window can be opened on this machine.
    """
    try:
        with plt.rc_context({"toolbar": "toolbar2"}):
            figure = plt.figure("DEXTR", figsize=(10, 8))
    except ImportError as error:
        raise ValueError(f"cannot open a window ({error}): {ADVICE}") from None
    if plt.get_backend().lower() in WITHOUT_WINDOW:
        plt.close(figure)
        raise ValueError(f"cannot open a window: {ADVICE}")
    return figure


def show(window: ClickWindow) -> list[Path]:
    """Show a window until it is closed, however that happens; returns what `finish` does."""
    try:
        plt.show(block=True)
    finally:
        written = window.finish()
    return written
