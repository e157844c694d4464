"""Where a session and its results are kept: in a folder, or beside one PNG."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

from dextr.annotation.pictures import AnnotationFiles
from dextr.common.files import new_folder, unique_names
from dextr.common.images import readable_suffixes
from dextr.window.photos import Photos
from dextr.window.session_file import SessionFile


@dataclass(frozen=True)
class SessionLayout:
    """The files of a session.

    Attributes:
        result: What a person is told to look at: a folder with everything, or one photo's PNG.
        beside: Whether it is that PNG; the other files lie beside it and are named after it.
    """

    result: Path
    beside: bool = False

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
            raise ValueError(f"{output}: give --output a folder, for several photos")
        others = (f"{output.stem}-{number}{output.suffix}" for number in count(2))
        files = map(output.with_name, chain([output.name], others))
        return next(
            layout for file in files if _usable(layout := SessionLayout(file, True), photos)
        )
    if output.suffix.lower() in readable_suffixes():
        raise ValueError(f"{output}: expected a folder or a file name that ends in .png")
    layout = SessionLayout(output)
    if not layout.session.exists():
        new_folder(output)
    elif (folder := SessionFile.read(layout.session).folder) != photos.folder:
        raise ValueError(
            f"{layout.session} is about the photos in {folder}, not in {photos.folder}: give "
            'another --output (or, if they were moved, change "folder" in that file)'
        )
    return layout


def _usable(layout: SessionLayout, photos: Photos) -> bool:
    """Whether a PNG's place is free, or its session is about this one photo."""
    if not layout.session.exists():
        return not AnnotationFiles.beside(layout.result).exist()
    session = SessionFile.read(layout.session)
    return (session.folder, [*session.images]) == (photos.folder, photos.names)
