"""What the command lines share: errors on one line, exit codes, kinds of numbers."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

Main = Callable[[Sequence[str] | None], int]


def run(main: Main, argv: Sequence[str] | None = None) -> int:
    """Call a command's main; a user's mistake becomes one line on stderr and exit code 2.

    `DEXTR_DEBUG=1` shows the traceback instead.
    """
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _on_one_line
            return main(argv)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (ValueError, OSError) as error:
        if os.environ.get("DEXTR_DEBUG"):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2


def _on_one_line(message: Warning | str, *where: Any, **more: Any) -> None:
    print(f"warning: {message}", file=sys.stderr)


def natural(text: str) -> int:
    """Return a whole number of 0 or more."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number of 0 or more, got {text!r}")
    return int(text)


def positive(text: str) -> int:
    """Return a whole number of 1 or more."""
    if natural(text) == 0:
        raise argparse.ArgumentTypeError("expected a whole number of 1 or more, got '0'")
    return int(text)
