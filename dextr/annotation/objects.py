"""The records of annotating: an object to cut out, the object cut out, an image of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dextr.common.errors import UserError
from dextr.common.files import inside
from dextr.common.rle import mask_to_rle, rle_to_mask

NO_LABEL = "object"


@dataclass(frozen=True)
class ObjectPoints:
    """One object to cut out.

    Attributes:
        number: Its row in a file, from 1, or its annotation's id.
        image: The image's name: its file, relative to the folder of images.
        points: (N, 2), xy; not yet known to lie in the image.
        label: Name of its category.
        place: Where it stands, for messages, such as `points.csv:3`.
        image_hw: Height and width the image should have; None if nobody said.
    """

    number: int
    image: str
    points: NDArray[np.float64]
    label: str = NO_LABEL
    place: str = ""
    image_hw: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", np.asarray(self.points, np.float64))


@dataclass(frozen=True)
class AnnotatedObject:
    """One object as it was cut out, or as far as it was clicked.

    Attributes:
        number: Its number among the objects it belongs with.
        label: Name of its category.
        points: (N, 2), xy: the clicks it was made from.
        threshold: The probability its pixels exceed.
        rle: Its mask as COCO's compressed run lengths; empty while it is not finished.
        place: Where its points stand, for messages.
    """

    number: int
    label: str
    points: NDArray[np.float64]
    threshold: float
    rle: dict[str, Any] = field(default_factory=dict, repr=False)
    place: str = ""

    @classmethod
    def of_mask(
        cls, mask: NDArray, points: NDArray, threshold: float, label: str = NO_LABEL
    ) -> AnnotatedObject:
        """Return the object with this mask (H, W), as number 1."""
        return cls(1, label, points, threshold, mask_to_rle(mask))

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """(H, W) bool, the whole object, also where others lie on top."""
        return rle_to_mask(self.rle)


@dataclass(frozen=True)
class Problem:
    """An entry that cannot be used, though the others can: where it stands and what is wrong."""

    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


@dataclass(frozen=True)
class AnnotatedImage:
    """What was cut out of one image.

    Attributes:
        name: Its file, relative to the folder of images.
        hw: Its height and width; (0, 0) if it could not be read.
        objects, problems: The finished objects in their order, and those that have no mask.
        draft: The object that somebody is still clicking.
    """

    name: str
    hw: tuple[int, int]
    objects: list[AnnotatedObject] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    draft: AnnotatedObject | None = None

    @property
    def readable(self) -> bool:
        """Whether the image could be read; if not, all its objects are problems."""
        return self.hw != (0, 0)


@dataclass(frozen=True)
class PointsFile:
    """What a file of points holds."""

    objects: list[ObjectPoints]  # the entries that can be used, in the file's order
    problems: list[Problem]  # the others
    categories: list[dict[str, Any]]  # COCO's records; every label is one's name
    image_ids: dict[str, int]  # COCO's number of each image

    @classmethod
    def of_entries(cls, entries: Iterable[ObjectPoints | Problem]) -> PointsFile:
        """Collect entries; categories and images are numbered in their names' order, from 1."""
        found = list(entries)
        objects = [entry for entry in found if isinstance(entry, ObjectPoints)]
        problems = [entry for entry in found if isinstance(entry, Problem)]
        categories = numbered_categories(sorted({entry.label for entry in objects}))
        return cls(objects, problems, categories, numbered(sorted({o.image for o in objects})))


def numbered(names: Iterable[str]) -> dict[str, int]:
    """Return each name with its number, from 1."""
    return {name: number for number, name in enumerate(names, 1)}


def numbered_categories(labels: Iterable[str]) -> list[dict[str, Any]]:
    """Return COCO's records of categories with these names, numbered from 1."""
    return [{"id": k, "name": n, "supercategory": ""} for n, k in numbered(labels).items()]


def by_image(objects: Iterable[ObjectPoints]) -> dict[str, list[ObjectPoints]]:
    """Return each image's objects; both in the order in which they come."""
    grouped: dict[str, list[ObjectPoints]] = {}
    for entry in objects:
        grouped.setdefault(entry.image, []).append(entry)
    return grouped


def points_of(values: Any) -> NDArray[np.float64]:
    """Return points as a file has them, pairs or a flat list, as (N, 2), or raise ValueError.

    >>> points_of([1, 5, 9, 4, 4, 0, 5, 9]).tolist()
    [[1.0, 5.0], [9.0, 4.0], [4.0, 0.0], [5.0, 9.0]]
    """
    try:
        points = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise UserError("points must be numbers: [[x, y], [x, y], [x, y], [x, y]]") from None
    if points.ndim == 1 and points.size % 2 == 0:
        points = points.reshape(-1, 2)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 4:
        raise UserError(f"expected at least 4 points as x, y pairs, got shape {points.shape}")
    return points


def image_of(name: Any) -> str:
    """Return an image's name in a file; ValueError if it is none or leads out of the folder."""
    if not isinstance(name, str) or not name.strip():
        raise UserError(f"expected the name of an image file, got {name!r}")
    inside(name.strip().replace("\\", "/"))
    return inside(name.strip())


def photo_path(folder: str | PathLike[str], name: str) -> Path:
    """Return an image's file; Windows programs write its folder with a backslash."""
    path = Path(folder, name)
    return path if "\\" not in name or path.exists() else Path(folder, name.replace("\\", "/"))


def label_of(label: Any) -> str:
    """Return a label in a file; none or empty is `object`, no text a ValueError."""
    if label is not None and not isinstance(label, str):
        raise UserError(f"expected a label in words, got {label!r}")
    return (label or "").strip() or NO_LABEL
