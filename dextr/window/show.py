"""The click window on a screen, in a browser or in a notebook."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from dextr.common.errors import UserError
from dextr.common.images import ImageLike
from dextr.predictor import Predictor
from dextr.weights import load_predictor
from dextr.window.click_window import ClickWindow
from dextr.window.layout import Photos, choose_layout
from dextr.window.project import AnnotationProject
from dextr.window.web import Guard, serving

SIZE = (10, 8)  # inches, of 100 pixels
WITHOUT_WINDOW = ("agg", "cairo", "inline", "pdf", "pgf", "ps", "svg", "template")
ADVICE = (
    "give --web 8988 to use a browser, or --points and --output to work without a window, or run "
    "it where there is a display (DISPLAY) and Tk or Qt for Python (python3-tk, or pip install "
    "PySide6)"
)
NOTEBOOK_ADVICE = "run the line %matplotlib widget first (pip install ipympl)"
GOODBYE_SECONDS = 0.5


def new_figure(advice: str = ADVICE, backend: str | None = None) -> Figure:
    """Return the figure of a new window; it appears with `show`.

    `backend` is the one of Matplotlib's to use. A notebook's, such as a program started there
    inherits, does not count: without one, Matplotlib chooses.

    Raises:
        ValueError: No window can be opened on this machine; the message ends with the advice.
    """
    try:
        if backend and not backend.startswith("module://"):
            plt.switch_backend(backend)
        with plt.rc_context({"toolbar": "toolbar2"}):
            figure = plt.figure("DEXTR", figsize=SIZE)
    except (ImportError, ValueError, RuntimeError) as error:
        raise UserError(f"cannot open a window ({error}): {advice}") from None
    if plt.get_backend().lower().rpartition("backend_")[2] in WITHOUT_WINDOW:
        plt.close(figure)
        raise UserError(f"cannot open a window: {advice}")
    return figure


def show(window: ClickWindow) -> None:
    """Show a window until it is closed, however that happens, and `finish` it."""
    try:
        plt.show(block=True)
    finally:
        window.finish()


@contextmanager
def in_browser(port: int, address: str = "127.0.0.1") -> Iterator[None]:
    """Make figures pages of a web server while the block runs; `show` runs it until Ctrl-C.

    The address that is printed then holds a token: without it nothing is shown.

    Raises:
        ValueError: Tornado is missing, or the port or address cannot be had.
    """
    guard = Guard(port, address)
    if not guard.this_machine_only:
        warnings.warn(
            f"the page is open to the network at {address}, without encryption: who sees the "
            "token on its way sees the photos and can click. Safer: leave out --web-address and "
            f"use ssh -L {port}:localhost:{port}",
            stacklevel=3,
        )
    with plt.rc_context():
        plt.rc("webagg", open_in_browser=False)
        try:
            plt.switch_backend("webagg")
        except (ImportError, RuntimeError) as error:
            raise UserError(f"{error} pip install tornado (or dextr[web])") from None
        with serving(guard):
            yield


def end_server_on_quit(window: ClickWindow) -> None:
    """Make `q` end the web server, after a word of goodbye on the page."""
    from tornado.ioloop import IOLoop

    def leave() -> None:
        window.session.note = "Saved. The server has ended; this page can be closed."
        window.refresh()
        IOLoop.current().call_later(GOODBYE_SECONDS, IOLoop.current().stop)

    window.quit = leave


def annotate(
    images: ImageLike | Sequence[str | PathLike[str]],
    predictor: Predictor | None = None,
    labels: Sequence[str] = (),
    output: str | PathLike[str] | None = None,
) -> ClickWindow:
    """Open the click window below a notebook's cell, and return it while it goes on.

    Run `%matplotlib widget` first. `objects` and `masks` of what is returned are what was cut out
    of the open image so far.

    Args:
        images: An image, a file, a folder, or several files and folders.
        predictor: Makes the masks; None is the network that comes with the project.
        labels: Names of the categories.
        output: Where the work is kept, and found again the next time; see `choose_layout`. None
            keeps it in memory.

    Raises:
        ValueError: The backend has no window, no image can be opened, or the output is another's.

    >>> window = annotate("photo.jpg")  # doctest: +SKIP
    >>> window.masks  # doctest: +SKIP
    """
    if isinstance(images, (str, PathLike)):
        images = [images]
    photos = Photos.find(images) if isinstance(images, Sequence) else Photos({"image.png": images})
    predictor = predictor or load_predictor()
    layout = None if output is None else choose_layout(photos, Path(output))
    project = AnnotationProject(photos, predictor.threshold, layout, labels)
    return ClickWindow(new_figure(NOTEBOOK_ADVICE), predictor, project)
