"""The click window on a screen or in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from dextr.window.click_window import ClickWindow

LOOPBACK = "127.0.0.1"
SIZE = (10, 8)  # inches, of 100 pixels
WITHOUT_WINDOW = ("agg", "cairo", "inline", "pdf", "pgf", "ps", "svg", "template")
ADVICE = (
    "give --web 8988 to use a browser, or --points and --output to work without a window, or run "
    "it where there is a display (DISPLAY) and Tk or Qt for Python (python3-tk, or pip install "
    "PySide6)"
)
GOODBYE_SECONDS = 0.5


def new_figure(advice: str = ADVICE) -> Figure:
    """Return the figure of a new window; it appears with `show`.

    Args:
        advice: What to do if that is not possible.

    Raises:
        ValueError: No window can be opened on this machine.
    """
    try:
        with plt.rc_context({"toolbar": "toolbar2"}):
            figure = plt.figure("DEXTR", figsize=SIZE)
    except ImportError as error:
        raise ValueError(f"cannot open a window ({error}): {advice}") from None
    if plt.get_backend().lower().rpartition("backend_")[2] in WITHOUT_WINDOW:
        plt.close(figure)
        raise ValueError(f"cannot open a window: {advice}")
    return figure


def show(window: ClickWindow) -> None:
    """Show a window until it is closed, however that happens; everything is saved then.

    Raises:
        OSError: It could not be saved.
        ValueError: Another program writes the session as well.
    """
    try:
        plt.show(block=True)
    finally:
        window.finish()


@contextmanager
def in_browser(port: int, address: str = LOOPBACK) -> Iterator[None]:
    """Make figures pages of a web server while the block runs; `show` runs it until Ctrl-C.

    Args:
        port: Where it listens.
        address: On which address of this machine; it has no password.

    Raises:
        ValueError: Tornado is missing, or the port is taken.
    """
    with plt.rc_context():
        plt.rc("webagg", port=port, address=address, port_retries=1, open_in_browser=False)
        try:
            plt.switch_backend("webagg")
        except (ImportError, RuntimeError) as error:
            raise ValueError(f"{error} pip install tornado (or dextr[web])") from None
        try:
            yield
        except SystemExit:
            raise ValueError(f"port {port} of {address} is taken: give --web another") from None


def end_server_on_quit(window: ClickWindow) -> None:
    """Make `q` end the web server, after a word of goodbye on the page."""
    from tornado.ioloop import IOLoop

    def leave() -> None:
        window.session.note = "Saved. The server has ended; this page can be closed."
        window.refresh()
        loop = IOLoop.current()
        loop.call_later(GOODBYE_SECONDS, loop.stop)

    window.quit = leave
