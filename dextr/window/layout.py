"""The photos to annotate, and the files that what is done on them is kept in."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dextr.annotation.objects import AnnotatedObject
from dextr.common.errors import UserError
from dextr.common.files import check_target, new_folder, read_text, unique_names
from dextr.common.image_files import (
    image_files,
    made_here,
    readable_suffixes,
    refuse_foreign,
)
from dextr.common.images import ImageLike, as_rgb
from dextr.common.label_png import MOST_OBJECTS, paint, write_label_map, write_mask
from dextr.visualize import overlay, save_picture
from dextr.window.session_file import SessionFile


@dataclass(frozen=True)
class Photos:
    """Photos by name.

    >>> Photos({"grey": np.zeros((60, 80), np.uint8)}).read("grey").shape
    (60, 80, 3)
    """

    sources: dict[str, ImageLike]  # each name's photo, mostly a file
    folder: str = ""  # what the names start from; empty if they are no files

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
                raise UserError(f"{path}: no such image file or folder")
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
        parts = read_text(path).splitlines()
    labels = list(dict.fromkeys(part.strip() for part in parts if part.strip()))
    if not labels:
        raise UserError(f"{text!r}: no labels in it; expected person,dog or a file, one per line")
    return labels


@dataclass(frozen=True)
class AnnotationFiles:
    """Where the objects of one image are kept as pictures."""

    labels: Path  # a palette PNG: k on the k-th object; where two overlap, the later one
    overlay: Path  # the image with all objects
    object_prefix: str  # of the masks' names; a number and `.png` follow
    shared: bool = False  # whether files of others may lie beside them

    @classmethod
    def beside(cls, labels: Path) -> AnnotationFiles:
        """Return NAME.png (else ValueError), NAME_overlay.png, NAME_object_001.png and so on."""
        if labels.suffix.lower() != ".png":
            raise UserError(f"{labels}: expected a file name that ends in .png")
        stem = labels.with_suffix("")
        return cls(labels, stem.with_name(f"{stem.name}_overlay.png"), f"{stem}_object_", True)

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
        masks = map(self.object_mask, range(1, MOST_OBJECTS + 1))
        return any(os.path.lexists(path) for path in chain([self.labels, self.overlay], masks))

    def check_free(self, count: int, photo: Path | None) -> None:
        """See that writing `count` objects writes over nothing but what this program made.

        Raises:
            ValueError: It would, or would over the photo itself, under whatever name.
        """
        masks = map(self.object_mask, range(1, count + 1))
        for path in (self.labels, self.overlay, *masks):
            if photo and path.exists() and path.samefile(photo):
                raise UserError(f"{path} is the photo itself: give another --output")
            refuse_foreign(path)

    def save(self, image: NDArray[np.uint8], objects: Sequence[AnnotatedObject]) -> None:
        """Write everything about an image (H, W, 3), RGB; masks of objects now gone are removed.

        Raises:
            ValueError: More objects than a palette PNG has labels for.
        """
        self._save_labels(objects, image.shape[:2])
        for number, annotated in enumerate(objects, 1):
            write_mask(self.object_mask(number), annotated.mask)
        masks, points = [o.mask for o in objects], [o.points for o in objects]
        save_picture(self.overlay, overlay(image, masks, points))
        for number in range(len(objects) + 1, MOST_OBJECTS + 1):
            gone = self.object_mask(number)
            if not self.shared or (gone.exists() and made_here(gone)):
                gone.unlink(missing_ok=True)

    def save_newest(self, objects: Sequence[AnnotatedObject]) -> None:
        """Write the last object and the labels of all: quick, for after each object."""
        self._save_labels(objects, objects[-1].mask.shape)
        write_mask(self.object_mask(len(objects)), objects[-1].mask)

    def _save_labels(self, objects: Sequence[AnnotatedObject], hw: tuple[int, int]) -> None:
        write_label_map(self.labels, paint((o.mask for o in objects), hw, "later"))


@dataclass(frozen=True)
class SessionLayout:
    """The files of a session."""

    result: Path  # what a person looks at: a folder with everything, or one photo's PNG
    beside: bool = False  # whether it is that PNG; other files lie beside it, named after it

    @property
    def session(self) -> Path:
        """What is read at the next start."""
        return self._file("session.json")

    @property
    def coco(self) -> Path:
        """All objects in COCO's format."""
        return self._file("instances.json")

    def _file(self, name: str) -> Path:
        path = self.result
        return path.with_name(f"{path.stem}_{name}") if self.beside else path / name

    def pictures(self, photos: Iterable[str]) -> dict[str, AnnotationFiles]:
        """Return the files of each photo's pictures, by the photo's name."""
        if self.beside:
            return dict.fromkeys(photos, AnnotationFiles.beside(self.result))
        plain = unique_names(photos)
        return {name: AnnotationFiles.in_folder(self.result, plain[name]) for name in plain}


def choose_layout(photos: Photos, output: Path) -> SessionLayout:
    """Return where to keep what is done on these photos; nothing else is written over.

    The output is a folder: new, empty or of a session. Or for one photo NAME.png; where it belongs
    to something else, NAME-2.png is taken, and so on.

    Raises:
        ValueError: The output cannot be used.
    """
    if output.suffix.lower() == ".png" and not output.is_dir():
        if len(photos.names) > 1:
            raise UserError(f"{output}: give --output a folder, for several photos")
        check_target(output)
        others = (f"{output.stem}-{number}{output.suffix}" for number in count(2))
        files = map(output.with_name, chain([output.name], others))
        return next(
            layout for file in files if _usable(layout := SessionLayout(file, True), photos)
        )
    if output.suffix.lower() in readable_suffixes():
        raise UserError(f"{output}: expected a folder or a file name that ends in .png")
    layout = SessionLayout(output)
    if not layout.session.exists():
        new_folder(output)
    elif (folder := SessionFile.read(layout.session).folder) != photos.folder:
        raise UserError(
            f"{layout.session} is about the photos in {folder}, not in {photos.folder}: give "
            'another --output (or, if they were moved, change "folder" in that file)'
        )
    return layout


def _usable(layout: SessionLayout, photos: Photos) -> bool:
    """Whether a PNG's place is free, or its session is about this one photo."""
    if not layout.session.exists():
        return not (AnnotationFiles.beside(layout.result).exist() or layout.coco.exists())
    session = SessionFile.read(layout.session)
    return (session.folder, [*session.images]) == (photos.folder, photos.names)
