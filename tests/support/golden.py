"""The reference vectors in tests/golden."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).parents[1] / "golden"

Case = dict[str, NDArray]


def load(name: str) -> Case:
    """Return the arrays of tests/golden/NAME.npz by key."""
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as file:
        return dict(file)


def cases(name: str) -> list[Case]:
    """Return a file's cases; its keys are CASE_FIELD."""
    found: dict[str, Case] = {}
    for key, array in load(name).items():
        case, field = key.split("_", 1)
        found.setdefault(case, {})[field] = array
    return list(found.values())
