"""What the command lines share: errors, exit codes, options, numbers, tables."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

Main = Callable[[Sequence[str] | None], int]
UNTRAINED = "these weights are UNTRAINED: the masks mean nothing"


def run(main: Main, argv: Sequence[str] | None = None) -> int:
    """Call a command's main; a user's mistake becomes one line on stderr and exit code 2.

    `DEXTR_DEBUG=1` shows the traceback instead.
    """
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
    except (ValueError, OSError) as error:
        if os.environ.get("DEXTR_DEBUG"):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2


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


def share(text: str) -> float:
    """Return a number in 0..1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number in 0..1, got {text!r}")
    return value


# Options about the network that several commands have, with what argparse is told of them.
NETWORK_OPTIONS: dict[str, dict[str, Any]] = {
    "--weights": {
        "metavar": "NAME|FILE",
        "help": "as `python -m dextr weights` lists them, or a file (default: the network that "
        "comes with the project)",
    },
    "--device": {"help": "cpu, cuda or cuda:N (default: a GPU if there is one)"},
    "--threshold": {
        "type": float,
        "help": "probability above which a pixel is the object's, 0..1 (default: the weights')",
    },
    "--batch-size": {"metavar": "N", "type": positive, "default": 4, "help": "objects at once (4)"},
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
