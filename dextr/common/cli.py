"""What the command lines share: errors, exit codes, options, numbers, tables."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TypeVar

from dextr.common.errors import UserError
from dextr.common.files import check_target
from dextr.common.options import PROBABILITY, whole

T = TypeVar("T")

Main = Callable[[Sequence[str] | None], int]
BUG = (
    "this is an error of dextr's, not of yours: please report the lines above and your command to "
    "those you have it from (an issue in its repository)"
)
UNTRAINED = "these weights are UNTRAINED: the masks mean nothing"


def run(main: Main, argv: Sequence[str] | None = None) -> int:
    """Call a command's main; a user's mistake becomes one line on stderr and exit code 2.

    `DEXTR_DEBUG=1` shows the traceback instead. An error of ours always shows it: exit code 70.
    """
    _show_any_name()
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: print(
                f"warning: {message}", file=sys.stderr
            )
            return main(argv)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (UserError, OSError, MemoryError) as error:
        if os.environ.get("DEXTR_DEBUG"):
            raise
        print(f"error: {str(error) or 'not enough memory'}", file=sys.stderr)
        return 2
    except Exception as error:
        if type(error).__name__ == "OutOfMemoryError":  # PyTorch's, which is not imported in here
            print(f"error: {str(error).splitlines()[0]}", file=sys.stderr)
            return 2
        traceback.print_exc()
        print(BUG, file=sys.stderr)
        return 70


def _show_any_name() -> None:
    """Let a console that cannot show a file's name show it with escapes, instead of an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


positive = whole(1)
natural = whole(0)


def text(value: str) -> str:
    """Return an option's text, which must not be empty: that is mostly a variable's slip."""
    if not value:
        raise argparse.ArgumentTypeError("expected a text that is not empty")
    return value


def path(value: str) -> Path:
    """Return a path that an option names."""
    return Path(text(value))


def parsed(parse: Callable[[str], T]) -> Callable[[str], T]:
    """Return an argparse type that says what `parse` says of a wrong text by a ValueError."""

    def checked(value: str) -> T:
        try:
            return parse(text(value))
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return checked


# Where an option's result goes, held against what is there before the work is done.
output_file = parsed(check_target)
output_folder = parsed(partial(check_target, folder=True))


# Options about the network that several commands have, with what argparse is told of them.
NETWORK_OPTIONS: dict[str, dict[str, Any]] = {
    "--weights": {
        "metavar": "NAME|FILE",
        "type": text,
        "help": "as `python -m dextr weights` lists them, or a file (default: the network that "
        "comes with the project)",
    },
    "--device": {"type": text, "help": "cpu, cuda or cuda:N (default: a GPU if there is one)"},
    "--threshold": {
        "type": PROBABILITY,
        "help": "probability above which a pixel is the object's, 0..1 (default: the weights')",
    },
    "--batch-size": {
        "metavar": "N",
        "type": whole(1, 65_536),
        "default": 4,
        "help": "objects at once (4)",
    },
}


def add_network_options(parser: argparse._ActionsContainer, *flags: str) -> None:
    """Add some of `NETWORK_OPTIONS` to a parser or a group of options."""
    for flag in flags:
        parser.add_argument(flag, **NETWORK_OPTIONS[flag])


def columns(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Return rows as aligned text: the first columns to the left, the others to the right.

    >>> print(columns([("name", "IoU"), ("cat", "90.1"), ("sofa", "7.5")]))
    name   IoU
    cat   90.1
    sofa   7.5
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    line = "  ".join(f"{{:{'<' if k < left else '>'}{width}}}" for k, width in enumerate(widths))
    return "\n".join(line.format(*row).rstrip() for row in rows)


def restart_with_sleeping_threads() -> None:
    """Start the program anew if OpenMP's threads would spin while they wait for each other.

    On a busy machine that costs several times the work. Only what is said before PyTorch is loaded
    counts, and `python -m dextr` loads it first of all.
    """
    said = {"OMP_WAIT_POLICY", "OMP_NUM_THREADS", "GOMP_SPINCOUNT"} & set(os.environ)
    if sys.platform == "linux" and not said:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
