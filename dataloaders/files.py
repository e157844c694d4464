"""The files of a data set: its folder and lists, and images of their masks' size."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from dextr.common.errors import UserError
from dextr.common.images import read_image

T = TypeVar("T")


def find_base(
    root: str | PathLike[str], places: Sequence[str], needed: Sequence[str], what: str, hint: str
) -> Path:
    """Return the first of the places under `root` (`.` is itself) that holds all folders needed.

    Raises:
        ValueError: None does; the message says what was expected of the data set named in `what`,
            and `hint`, what to do.
    """
    root = Path(root)
    for place in places:
        if all((root / place / folder).is_dir() for folder in needed):
            return root / place
    reason = "no such folder" if not root.is_dir() else f"no {what} in it"
    layout = ", ".join(f"{(root / places[-1] / folder).as_posix()}/" for folder in needed)
    raise UserError(f"{root}: {reason}; expected {layout}. {hint}")


def read_split(folder: Path, split: str) -> list[str]:
    """Return the lines of `folder/split.txt`, each once; `train+val` joins two lists.

    Raises:
        ValueError: There is no such list; the message names those that are there.
    """
    lines: list[str] = []
    for part in split.split("+"):
        path = folder / f"{part}.txt"
        if not path.is_file():
            there = ", ".join(sorted(p.stem for p in folder.glob("*.txt"))) or "none"
            raise UserError(f"{path}: no such split; {folder} has: {there}")
        lines += map(str.strip, path.read_text().splitlines())
    return list(dict.fromkeys(filter(None, lines)))


def check_present(base: Path, files: Sequence[str]) -> None:
    """Raise a ValueError that names the first missing file and counts the others."""
    missing = [file for file in files if not os.path.isfile(os.path.join(base, file))]
    if missing:
        more = f" (and {len(missing) - 1} more of {len(files)})" if len(missing) > 1 else ""
        raise UserError(f"{base / missing[0]}: no such image file{more}")


class LastRead(Generic[T]):
    """Keeps what was read last: an image's objects mostly come in a row. It is pickled empty."""

    def __init__(self) -> None:
        self._kept: tuple[int, T] | None = None

    def get(self, key: int, read: Callable[[int], T]) -> T:
        """Return `read(key)`, from memory where it is what was read last."""
        kept = self._kept
        if kept is None or kept[0] != key:
            self._kept = kept = (key, read(key))
        return kept[1]

    def __reduce__(self) -> tuple[type[LastRead], tuple[()]]:
        return LastRead, ()


def read_image_like(path: Path, hw: tuple[int, int], mask_path: Path) -> NDArray[np.uint8]:
    """Read an image (H, W, 3) that must have the size of its mask; it cannot be written to.

    Raises:
        ValueError: The image is unreadable or of another size; the message names both files.
    """
    image = read_image(path)
    if image.shape[:2] != hw:
        raise UserError(
            f"{path} is {image.shape[1]} x {image.shape[0]} pixels, but its mask in {mask_path} "
            f"is {hw[1]} x {hw[0]}"
        )
    image.flags.writeable = False
    return image
