"""Where a session and its results are kept: in a folder, or beside one PNG."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dextr.annotation.pictures import AnnotationFiles
from dextr.common.files import unique_names
from dextr.common.images import readable_suffixes
from dextr.window.photos import Photos
from dextr.window.session_file import SessionFile


@dataclass(frozen=True)
class SessionLayout:
    """The files of a session.

    Attributes:
        session: What is read at the next start.
        coco: All objects in COCO's format.
        result: What a person is told to look at: the folder, or the PNG.
        pictures: Gives each of some photos, by name, the files of its pictures.
    """

    session: Path
    coco: Path
    result: Path
    pictures: Callable[[Iterable[str]], dict[str, AnnotationFiles]]

    @classmethod
    def in_folder(cls, folder: Path) -> SessionLayout:
        """Return FOLDER/session.json, FOLDER/instances.json and folders of pictures."""
        pictures = partial(_pictures_in, folder)
        return cls(folder / "session.json", folder / "instances.json", folder, pictures)

    @classmethod
    def beside(cls, labels: Path) -> SessionLayout:
        """Return NAME_session.json, NAME_instances.json and pictures beside NAME.png.

        Raises:
            ValueError: The name ends otherwise.
        """
        files = AnnotationFiles.beside(labels)
        stem = labels.with_suffix("")
        return cls(
            stem.with_name(f"{stem.name}_session.json"),
            stem.with_name(f"{stem.name}_instances.json"),
            labels,
            lambda names: dict.fromkeys(names, files),
        )


def _pictures_in(folder: Path, names: Iterable[str]) -> dict[str, AnnotationFiles]:
    plain = unique_names(names)
    return {name: AnnotationFiles.in_folder(folder, plain[name]) for name in plain}


def choose_layout(photos: Photos, output: Path) -> SessionLayout:
    """Return where to keep what is done on these photos; nothing else is written over.

    Args:
        photos: The photos.
        output: A folder: new, empty or of a session. Or for one photo NAME.png; where it belongs
            to something else, NAME-2.png is taken, and so on.

    Raises:
        ValueError: The output cannot be used.
    """
    if output.suffix.lower() == ".png" and not output.is_dir():
        if len(photos.names) > 1:
            raise ValueError(f"{output}: give --output a folder, for several photos")
        return _beside(photos, output)
    if output.suffix.lower() in readable_suffixes():
        raise ValueError(f"{output}: expected a folder or a file name that ends in .png")
    layout = SessionLayout.in_folder(output)
    if output.exists() and not output.is_dir():
        raise ValueError(f"{output} is a file: --output is a folder or ends in .png")
    if layout.session.exists():
        folder = SessionFile.read(layout.session).folder
        if folder != photos.folder:
            raise ValueError(
                f"{layout.session} is about the photos in {folder}, not in {photos.folder}: give "
                'another --output (or, if they were moved, change "folder" in that file)'
            )
    elif output.is_dir() and any(output.iterdir()):
        raise ValueError(f"{output} holds other files: give --output a new or empty folder")
    return layout


def _beside(photos: Photos, output: Path) -> SessionLayout:
    number = 1
    while True:
        name = output.stem if number == 1 else f"{output.stem}-{number}"
        layout = SessionLayout.beside(output.with_name(f"{name}{output.suffix}"))
        if layout.session.exists():
            session = SessionFile.read(layout.session)
            if (session.folder, [*session.images]) == (photos.folder, photos.names):
                return layout
        elif not any(files.exist() for files in layout.pictures([""]).values()):
            return layout
        number += 1
