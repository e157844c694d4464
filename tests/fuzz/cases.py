"""One odd input: made from a seed, tried, and what came of it."""

from __future__ import annotations

import random
import re
import shutil
import tempfile
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fuzz import (
    archives,
    checkpoints,
    data_sets,
    exported_files,
    point_files,
    prediction,
    sessions,
    weights_files,
)
from PIL import Image

Case = Callable[[random.Random, Path], None]
# Category: the cases, and how many of a hundred inputs are its.
CATEGORIES: dict[str, tuple[Case, int]] = {
    "predict": (prediction.predict, 30),
    "points file": (point_files.read, 15),
    "session file": (sessions.read, 10),
    "annotate": (point_files.annotate_all, 5),
    "weights file": (weights_files.load, 10),
    "exported file": (exported_files.load, 5),
    "archive": (archives.extract, 5),
    "data set": (data_sets.read, 15),
    "checkpoint": (checkpoints.read, 5),
}
RESULT, ERROR, FAILURE = "result", "error", "FAILURE"


@dataclass(frozen=True)
class Outcome:
    """What came of one input.

    Attributes:
        category: One of `CATEGORIES`.
        seed: Makes the same input again.
        kind: `RESULT`, `ERROR` or `FAILURE`.
        message: The error's message without what differs from input to input, or the traceback.
    """

    category: str
    seed: int
    kind: str
    message: str = ""


def try_case(category: str, seed: int) -> Outcome:
    """Make an input, hand it over, and judge the answer.

    A right result and a ValueError or OSError with a message of one line are fine; a wrong result,
    any other exception and any warning but a few are failures.
    """
    folder = Path(tempfile.mkdtemp(prefix="dextr-fuzz-"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for kind in (
                Image.DecompressionBombWarning,
                UserWarning,
                DeprecationWarning,
                ResourceWarning,
            ):
                warnings.simplefilter("ignore", kind)
            CATEGORIES[category][0](random.Random(f"{category} {seed}"), folder)
    except (ValueError, OSError) as error:
        message = str(error)
        if len(message.splitlines()) == 1 and len(message) < 2000:
            return Outcome(category, seed, ERROR, _kind_of(message, folder))
        return Outcome(category, seed, FAILURE, f"not one line: {message[:3000]!r}")
    except Exception:
        return Outcome(category, seed, FAILURE, traceback.format_exc())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Outcome(category, seed, RESULT)


def _kind_of(message: str, folder: Path) -> str:
    message = re.sub(rf"{re.escape(str(folder))}[^\s:]*:? ?(\d+: )?", "", message)
    message = re.sub(r"'[^']*'|\"[^\"]*\"|\[.*\]|\(.*\)|\{.*\}", "_", message)
    return re.sub(r"-?\d[\d.e+x]*|\bnan\b|\binf\b", "#", message)[:60]
