"""The photos to annotate, each read when it is needed, and the labels to choose from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dextr.common.images import ImageLike, as_rgb, image_files


@dataclass(frozen=True)
class Photos:
    """Photos by name.

    Attributes:
        sources: Each name with its photo, mostly a file.
        folder: What the names start from; empty if they are no files.

    >>> Photos({"grey": np.zeros((60, 80), np.uint8)}).read("grey").shape
    (60, 80, 3)
    """

    sources: dict[str, ImageLike]
    folder: str = ""

    @classmethod
    def find(cls, paths: Sequence[str | os.PathLike[str]]) -> Photos:
        """Return the photos of files and of what lies in folders, not in folders of those.

        They are named from the folder that all of them have in common.

        Raises:
            ValueError: A path is not there, or a folder holds no image.
        """
        files: list[Path] = []
        # abspath, not resolve: a link stands for the photo where the user sees it.
        for path in map(Path, map(os.path.abspath, paths)):
            if not path.exists():
                raise ValueError(f"{path}: no such image file or folder")
            files += image_files(path) if path.is_dir() else [path]
        folder = os.path.commonpath([file.parent for file in files])
        return cls({file.relative_to(folder).as_posix(): file for file in files}, folder)

    @property
    def names(self) -> list[str]:
        """The names in order."""
        return list(self.sources)

    def read(self, name: str) -> NDArray[np.uint8]:
        """Return a photo as (H, W, 3), RGB; ValueError if it cannot be read."""
        return as_rgb(self.sources[name])


def read_labels(text: str) -> list[str]:
    """Return the labels in a text file, one per line, or in a text such as `person,dog`.

    None is a ValueError.

    >>> read_labels("person, traffic light,person")
    ['person', 'traffic light']
    """
    path, parts = Path(text), text.split(",")
    if path.suffix.lower() == ".txt" or path.is_file():
        try:
            parts = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{path}: not a readable file of labels ({error})") from None
    labels = list(dict.fromkeys(part.strip() for part in parts if part.strip()))
    if not labels:
        raise ValueError(f"{text!r}: no labels in it; expected person,dog or a file, one per line")
    return labels
