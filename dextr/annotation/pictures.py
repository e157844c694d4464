"""The pictures that the objects cut out of one image are kept in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dextr.annotation.objects import AnnotatedObject
from dextr.common.label_png import MOST_OBJECTS, paint, write_label_map, write_mask
from dextr.visualize import overlay, save_picture


@dataclass(frozen=True)
class AnnotationFiles:
    """Where the objects of one image are kept as pictures.

    Attributes:
        labels: A palette PNG: k on the k-th object; where two overlap, the later one.
        overlay: The image with all objects.
        object_prefix: What the names of the objects' masks start with; a number and `.png` follow.
    """

    labels: Path
    overlay: Path
    object_prefix: str

    @classmethod
    def beside(cls, labels: Path) -> AnnotationFiles:
        """Return NAME.png (else ValueError), NAME_overlay.png, NAME_object_001.png and so on."""
        if labels.suffix.lower() != ".png":
            raise ValueError(f"{labels}: expected a file name that ends in .png")
        stem = labels.with_suffix("")
        return cls(labels, stem.with_name(f"{stem.name}_overlay.png"), f"{stem}_object_")

    @classmethod
    def in_folder(cls, folder: Path, name: str) -> AnnotationFiles:
        """Return masks/NAME.png, overlays/NAME.png, objects/NAME/001.png and so on."""
        return cls(
            folder / "masks" / f"{name}.png",
            folder / "overlays" / f"{name}.png",
            str(folder / "objects" / name / "_")[:-1],
        )

    def object_mask(self, number: int) -> Path:
        """The mask, 0 and 255, of object 1, 2, ..."""
        return Path(f"{self.object_prefix}{number:03d}.png")

    def exist(self) -> bool:
        """Whether any of them is there."""
        return any(path.exists() for path in (self.labels, self.overlay, self.object_mask(1)))

    def save(self, image: NDArray[np.uint8], objects: Sequence[AnnotatedObject]) -> None:
        """Write everything about an image (H, W, 3), RGB; masks of objects now gone are removed.

        Raises:
            ValueError: More objects than a palette PNG has labels for.
        """
        labels = _labels(objects, image.shape[:2])
        for number, annotated in enumerate(objects, 1):
            write_mask(self.object_mask(number), annotated.mask)
        write_label_map(self.labels, labels)
        masks, points = [o.mask for o in objects], [o.points for o in objects]
        save_picture(self.overlay, overlay(image, masks, points))
        for number in range(len(objects) + 1, MOST_OBJECTS + 1):
            self.object_mask(number).unlink(missing_ok=True)

    def save_newest(self, objects: Sequence[AnnotatedObject]) -> None:
        """Write the last object and the labels of all: quick, for after each object."""
        labels = _labels(objects, objects[-1].mask.shape)
        write_mask(self.object_mask(len(objects)), objects[-1].mask)
        write_label_map(self.labels, labels)


def _labels(objects: Sequence[AnnotatedObject], hw: tuple[int, int]) -> NDArray[np.uint8]:
    return paint((annotated.mask for annotated in objects), hw, "later")
