"""Ctrl-C, SIGTERM and a closed pipe as a request to stop where nothing is lost."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import Any, TextIO

from tqdm import tqdm


class Stopped(Exception):  # noqa: N818 - not an error
    """Training was asked to stop, and its state is saved."""


class StopRequest:
    """Remembers the first Ctrl-C or SIGTERM; a second one, or one at rest, interrupts at once.

    Args:
        speaks: Whether this process prints: the first of several.

    Attributes:
        made: Whether somebody asked.
        at_rest: Whether everything is saved, so that there is nothing to wait for.
        ending: Whether the program ends already; signals change nothing any more.
    """

    def __init__(self, speaks: bool = True) -> None:
        self._speaks = speaks
        self._out: TextIO = sys.stdout
        self.made = False
        self.at_rest = False
        self.ending = False
        self._process = os.getpid()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_IGN if self.ending else handler)

    def say(self, text: str) -> None:
        """Print a line; that nobody reads it any more (`| head`) is a request to stop, too."""
        if not self._speaks:
            return
        try:
            tqdm.write(text, file=self._out)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._out.fileno())
            self._out = sys.stderr
            self.made = True

    def _handle(self, number: int, frame: FrameType | None) -> None:
        # A worker has this handler, too, until it begins.
        if self.ending or os.getpid() != self._process:
            return
        if self.made or self.at_rest:
            self.ending = True
            raise KeyboardInterrupt
        self.made = True
