"""Finding a published data set under the folder a person names, and reading its lists."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path


def find_base(
    root: str | PathLike[str], places: Sequence[str], needed: Sequence[str], what: str, hint: str
) -> Path:
    """Return the first of the places under `root` that holds everything needed.

    Args:
        root: The folder a person named.
        places: Folders under it, tried in this order; `.` is `root` itself.
        needed: Folders that the right place holds.
        what: The data set's name, for the message.
        hint: What to do where it is not there.

    Raises:
        ValueError: None of the places holds all; the message says what was expected.
    """
    root = Path(root)
    for place in places:
        if all((root / place / folder).is_dir() for folder in needed):
            return root / place
    reason = "no such folder" if not root.is_dir() else f"no {what} in it"
    layout = ", ".join(f"{(root / places[-1] / folder).as_posix()}/" for folder in needed)
    raise ValueError(f"{root}: {reason}; expected {layout}. {hint}")


def read_split(folder: Path, split: str) -> list[str]:
    """Return the lines of `folder/split.txt`, each once; `train+val` joins two lists.

    Raises:
        ValueError: There is no such list; the message names those that are there.
    """
    lines: dict[str, None] = {}
    for part in split.split("+"):
        path = folder / f"{part}.txt"
        if not path.is_file():
            there = ", ".join(sorted(p.stem for p in folder.glob("*.txt"))) or "none"
            raise ValueError(f"{path}: no such split; {folder} has: {there}")
        stripped = (line.strip() for line in path.read_text().splitlines())
        lines |= dict.fromkeys(line for line in stripped if line)
    return list(lines)
