"""Annotating many photos, one at a time: which is open, what was done, where it is kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

from dextr.annotation.coco_writer import CocoWriter
from dextr.annotation.objects import NO_LABEL, AnnotatedImage, numbered, numbered_categories
from dextr.common.errors import UserError
from dextr.window.click_session import ClickSession
from dextr.window.layout import Photos, SessionLayout
from dextr.window.session_file import SessionFile


class AnnotationProject:
    """Photos, the session of the one that is open, and the files. No window in here.

    Attributes:
        photos: At least one.
        layout: Where the work is kept, and found again at the next start; None keeps it in memory.
        labels: The categories' names, and any others that the work so far has; at least one.
        position: Which photo is open.
        image: It, (H, W, 3) uint8, RGB.
        session: What is done to it.

    Raises:
        ValueError: No photo can be opened, or the session file is damaged.
    """

    def __init__(
        self,
        photos: Photos,
        threshold: float,
        layout: SessionLayout | None = None,
        labels: Sequence[str] = (),
    ) -> None:
        self.photos = photos
        self.layout = layout
        path = layout.session if layout else None
        self.file = SessionFile(path, photos.folder)
        if path and path.exists():
            self.file = SessionFile.read(path)
        names = photos.names
        every = dict.fromkeys([*names, *self.file.images])
        self._pictures = layout.pictures(every) if layout else {}
        self.labels = list(dict.fromkeys([*labels, *self.file.labels])) or [NO_LABEL]
        first = names.index(self.file.current) if self.file.current in names else 0
        order = [*range(first, len(names)), *range(first)]
        opened, problems = self._open_first(order, threshold, self.labels[0])
        if not opened:
            raise UserError(problems)
        going_on = f"Going on with {self.summary()}. " if self.file.images else ""
        self.session.note = (going_on + problems).strip()

    def _open_first(
        self, positions: Iterable[int], threshold: float, label: str
    ) -> tuple[bool, str]:
        """Open the first of these photos that can be, and say what is wrong with those before."""
        problems: list[str] = []
        for position in positions:
            problem = self._open(position, threshold, label)
            if not problem:
                return True, "; ".join(problems)
            problems.append(problem)
        return False, "; ".join(problems)

    def _open(self, position: int, threshold: float, label: str) -> str:
        """Open a photo; returns what is wrong with it, or nothing."""
        name = self.photos.names[position]
        try:
            image = self.photos.read(name)
        except ValueError as error:
            return str(error)
        height, width = hw = image.shape[0], image.shape[1]
        record = self.file.images.get(name, AnnotatedImage(name, hw))
        if record.hw != hw:
            before = f"{record.hw[1]} x {record.hw[0]} when it was annotated"
            return f"{name} is {width} x {height} pixels, but was {before}"
        self.session = ClickSession.of_record(record, threshold, label)
        self.position, self.image, self.file.current = position, image, name
        return ""

    @property
    def name(self) -> str:
        """The open photo's name."""
        return self.photos.names[self.position]

    @property
    def title(self) -> str:
        """The open photo in words."""
        height, width = self.session.hw
        count = len(self.photos.names)
        place = f"{self.position + 1}/{count}  " if count > 1 else ""
        return f"{place}{self.name}, {width} x {height} pixels"

    def step(self, direction: int) -> bool:
        """Open the next (1) or previous (-1) photo that can be read, and note what is wrong."""
        end, last = (len(self.photos.names), "last") if direction > 0 else (-1, "first")
        order = range(self.position + direction, end, direction)
        opened, problems = self._open_first(order, self.session.threshold, self.session.label)
        if not opened:
            problems = f"this is the {last} image" + (f" ({problems})" if problems else "")
        self.session.note = problems
        return opened

    def choose_label(self, number: int) -> None:
        """Give the current object label 1, 2, ..."""
        if number <= len(self.labels):
            self.session.label = self.labels[number - 1]
            self.session.note = f"label: {self.session.label}"
            return
        known = ", ".join(f"{k} {label}" for k, label in enumerate(self.labels, 1))
        hint = "name labels with --labels" if self.labels == [NO_LABEL] else known
        self.session.note = f"there is no label {number}: {hint}"

    def next_label(self, direction: int) -> None:
        """Give the current object the next (1) or the previous (-1) label."""
        position = self.labels.index(self.session.label) + direction
        self.choose_label(position % len(self.labels) + 1)

    def keep(self) -> None:
        """Write the session file, so that the next start goes on from here.

        Raises:
            OSError: It could not be written.
            ValueError: Another program writes it as well.
        """
        record = self.session.record(self.name)
        if record.objects or record.draft or self.name in self.file.images:
            self.file.keep(record)
        self.file.write()

    def save_newest(self) -> None:
        """Write the session, as `keep`, and the pictures of the object accepted last."""
        self.keep()
        if self.layout:
            self._pictures[self.name].save_newest(self.session.accepted)

    def save(self) -> None:
        """Write the session, as `keep`, all pictures of the open photo, and COCO's file."""
        self.keep()
        if not self.layout:
            return
        files = self._pictures[self.name]
        if self.session.accepted or files.exist():
            files.save(self.image, self.session.accepted)
        if self.file.count or self.layout.coco.exists():
            self._export(self.layout.coco)

    def _export(self, path: Path) -> None:
        """Write all finished objects, numbered over all photos."""
        numbers = count(1)
        images = [
            replace(image, objects=[replace(o, number=next(numbers)) for o in image.objects])
            for image in self.file.images.values()
            if image.objects
        ]
        image_ids = numbered(image.name for image in images)
        CocoWriter(path, numbered_categories(self.labels), image_ids).write(images)

    def summary(self) -> str:
        """Return what is finished, in one line."""
        images = sum(bool(record.objects) for record in self.file.images.values())
        objects = self.file.count
        return f"{objects} object{'s' * (objects != 1)} on {images} image{'s' * (images != 1)}"
