"""One object to cut out, as a file of points names it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dextr.common.files import inside

NO_LABEL = "object"


@dataclass(frozen=True)
class ObjectPoints:
    """One object to cut out.

    Attributes:
        number: Its row in the file, from 1, or its annotation's id.
        image: The image's file, relative to the folder of images.
        points: (N, 2), xy; not yet known to lie in the image.
        label: Name of its category.
        place: Where it stands, such as `points.csv:3`.
        image_hw: Height and width the image should have; None if the file does not say.
    """

    number: int
    image: str
    points: NDArray[np.float64]
    label: str
    place: str
    image_hw: tuple[int, int] | None = None


@dataclass(frozen=True)
class Problem:
    """An entry that cannot be used, though the others can.

    Attributes:
        place: Where it stands.
        reason: What is wrong.
    """

    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


@dataclass(frozen=True)
class PointsFile:
    """What a file of points holds.

    Attributes:
        objects: In the file's order.
        problems: The entries that cannot be used.
        categories: COCO's records of the categories; every label is one's name.
        image_ids: COCO's number of each image.
    """

    objects: list[ObjectPoints]
    problems: list[Problem]
    categories: list[dict[str, Any]]
    image_ids: dict[str, int]

    @classmethod
    def of_entries(cls, entries: Iterable[ObjectPoints | Problem]) -> PointsFile:
        """Collect entries; images and categories are numbered by name, from 1."""
        found = list(entries)
        objects = [entry for entry in found if isinstance(entry, ObjectPoints)]
        labels = sorted({entry.label for entry in objects})
        images = sorted({entry.image for entry in objects})
        return cls(
            objects,
            [entry for entry in found if isinstance(entry, Problem)],
            [{"id": k, "name": label, "supercategory": ""} for k, label in enumerate(labels, 1)],
            {image: k for k, image in enumerate(images, 1)},
        )


def points_of(values: Any) -> NDArray[np.float64]:
    """Return points as a file has them, pairs or a flat list, as (N, 2).

    Raises:
        ValueError: They are no such numbers.

    >>> points_of([1, 5, 9, 4, 4, 0, 5, 9]).tolist()
    [[1.0, 5.0], [9.0, 4.0], [4.0, 0.0], [5.0, 9.0]]
    """
    try:
        points = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ValueError("points must be numbers: [[x, y], [x, y], [x, y], [x, y]]") from None
    if points.ndim == 1 and points.size % 2 == 0:
        points = points.reshape(-1, 2)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 4:
        raise ValueError(f"expected at least 4 points as x, y pairs, got shape {points.shape}")
    return points


def image_of(name: Any) -> str:
    """Return an image's file name as a file has it.

    Raises:
        ValueError: It is none, or leads out of the folder of images.
    """
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"expected the name of an image file, got {name!r}")
    return inside(name.strip())


def label_of(label: Any) -> str:
    """Return a label as a file has it; none or empty is `object`.

    Raises:
        ValueError: It is no text.
    """
    if label is not None and not isinstance(label, str):
        raise ValueError(f"expected a label in words, got {label!r}")
    return (label or "").strip() or NO_LABEL
