"""The objects cut out of one image, and the files they are kept in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dextr.visualize import overlay, save_palette_png, save_picture

MAX_OBJECTS = 254


@dataclass(frozen=True)
class AnnotatedObject:
    """One object as it was cut out.

    Attributes:
        mask: (H, W) bool.
        points: (N, 2), xy: the clicks it was made from.
    """

    mask: NDArray[np.bool_]
    points: NDArray[np.float64]


def label_map(objects: Sequence[AnnotatedObject], hw: tuple[int, int]) -> NDArray[np.uint8]:
    """Return (H, W): 0 background, k on the k-th object; where two overlap, the later one.

    Raises:
        ValueError: More objects than a palette PNG has labels for.
    """
    if len(objects) > MAX_OBJECTS:
        raise ValueError(f"a palette PNG holds {MAX_OBJECTS} objects, got {len(objects)}")
    labels = np.zeros(hw, np.uint8)
    for number, annotated in enumerate(objects, 1):
        labels[annotated.mask] = number
    return labels


@dataclass(frozen=True)
class AnnotationFiles:
    """Where the objects of one image are kept: NAME.png and files beside it.

    Attributes:
        labels: NAME.png, a palette PNG with all objects. Beside it stand NAME_object_001.png and
            so on, each object's whole mask (0 and 255), and NAME_overlay.png, a picture.
    """

    labels: Path

    def __post_init__(self) -> None:
        if self.labels.suffix.lower() != ".png":
            raise ValueError(f"{self.labels}: expected a file name that ends in .png")

    @classmethod
    def unused(cls, labels: Path) -> AnnotationFiles:
        """Return files of that name, or NAME-2.png, NAME-3.png ... if there are such files."""
        files, number = cls(labels), 1
        while files.exist():
            number += 1
            files = cls(labels.with_name(f"{labels.stem}-{number}{labels.suffix}"))
        return files

    @property
    def overlay(self) -> Path:
        """The picture of the image with all objects."""
        return self.labels.with_name(f"{self.labels.stem}_overlay.png")

    def object_mask(self, number: int) -> Path:
        """The mask of object 1, 2, ..."""
        return self.labels.with_name(f"{self.labels.stem}_object_{number:03d}.png")

    def exist(self) -> bool:
        """Whether any of them is there."""
        return any(path.exists() for path in (self.labels, self.overlay, self.object_mask(1)))

    def save(self, image: NDArray[np.uint8], objects: Sequence[AnnotatedObject]) -> None:
        """Write everything; masks of objects that are no longer there are removed.

        Args:
            image: (H, W, 3), RGB.
            objects: In their order.

        Raises:
            ValueError: More objects than a palette PNG has labels for.
        """
        labels = label_map(objects, image.shape[:2])
        for number, annotated in enumerate(objects, 1):
            self._save_object(number, annotated)
        save_palette_png(self.labels, labels)
        masks, points = [o.mask for o in objects], [o.points for o in objects]
        save_picture(self.overlay, overlay(image, masks, points))
        for number in range(len(objects) + 1, MAX_OBJECTS + 1):
            self.object_mask(number).unlink(missing_ok=True)

    def save_newest(self, objects: Sequence[AnnotatedObject]) -> None:
        """Write the last object and the labels of all: quick, for after each object."""
        labels = label_map(objects, objects[-1].mask.shape)
        self._save_object(len(objects), objects[-1])
        save_palette_png(self.labels, labels)

    def _save_object(self, number: int, annotated: AnnotatedObject) -> None:
        save_picture(self.object_mask(number), annotated.mask.astype(np.uint8) * np.uint8(255))
