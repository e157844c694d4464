"""The files of a data set: its folder and lists, and images of their masks' size."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from dextr.common.errors import UserError
from dextr.common.files import read_text
from dextr.common.image_files import open_image, orientation, readable_suffixes
from dextr.common.images import read_image

SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that exchange height and width

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
        lines += map(str.strip, read_text(path).splitlines())
    return list(dict.fromkeys(filter(None, lines)))


def check_present(base: Path, files: Sequence[str]) -> None:
    """Raise a ValueError that names the first missing file and counts the others."""
    missing = [file for file in files if not os.path.isfile(os.path.join(base, file))]
    if missing:
        more = f" (and {len(missing) - 1} more of {len(files)})" if len(missing) > 1 else ""
        raise UserError(f"{base / missing[0]}: no such image file{more}")


def find_photos(base: Path, stems: Iterable[str]) -> list[str]:
    """Return the photos' files: `STEM.jpg`, or where there is none another kind of image."""
    folders: dict[str, dict[str, str]] = {}

    def find(stem: str) -> str:
        usual = f"{stem}.jpg"
        if os.path.isfile(os.path.join(base, usual)):
            return usual
        folder, _, name = stem.rpartition("/")
        if folder not in folders:
            known, place = readable_suffixes(), base / folder
            there = sorted(place.iterdir(), reverse=True) if place.is_dir() else []
            folders[folder] = {f.stem: f.name for f in there if f.suffix.lower() in known}
        return f"{folder}/{folders[folder][name]}" if name in folders[folder] else usual

    return [find(stem) for stem in stems]


def read_headers(base: Path, files: Sequence[str]) -> NDArray[np.int32]:
    """Return the height, width (both turned upright) and EXIF orientation (M, 3) of photos.

    Raises:
        ValueError: One is no image; the message names it.
    """
    headers = np.zeros((len(files), 3), np.int32)
    for k, file in enumerate(files):
        with open_image(base / file) as image:
            turn = orientation(image)
            # Pillow turns TIFF files itself.
            sideways = turn in SIDEWAYS and image.format != "TIFF"
            headers[k] = (*(image.size if sideways else image.size[::-1]), turn)
    return headers


def check_headers(
    photos: Sequence[Path], headers: NDArray, mask_hw: NDArray, masks: Callable[[int], Path]
) -> None:
    """See that photos have the sizes of their masks (M, 2), and warn of turned ones, once.

    Raises:
        ValueError: One is of another size; the message names it and its mask's file.
    """
    wrong = np.flatnonzero((headers[:, :2] != mask_hw).any(axis=1))
    if wrong.size:
        k = int(wrong[0])
        more = f" (and {wrong.size - 1} more)" if wrong.size > 1 else ""
        (height, width, turn), (h, w) = headers[k].tolist(), mask_hw[k].tolist()
        raise UserError(_other_size(photos[k], (height, width), masks(k), (h, w), turn) + more)
    turned = np.flatnonzero(headers[:, 2] > 1)
    if turned.size:
        warnings.warn(
            f"{turned.size} of {len(photos)} photos are turned by their EXIF data, such as "
            f"{photos[int(turned[0])]}: their masks must be drawn on the turned photo",
            stacklevel=4,
        )


def _other_size(
    photo: Path, photo_hw: tuple[int, int], mask: Path, mask_hw: tuple[int, int], turn: int
) -> str:
    exif = ""
    if turn > 1:
        exif = (
            f"; the photo's EXIF data (orientation {turn}) turns it, so draw the mask on the "
            "turned photo, or take the orientation out of the file"
        )
    return (
        f"{photo} is {photo_hw[1]} x {photo_hw[0]} pixels, but its mask in {mask} is "
        f"{mask_hw[1]} x {mask_hw[0]}{exif}"
    )


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
    height, width = image.shape[:2]
    if (height, width) != hw:
        with open_image(path) as opened:
            turn = orientation(opened)
        raise UserError(_other_size(path, (height, width), mask_path, hw, turn))
    image.flags.writeable = False
    return image
