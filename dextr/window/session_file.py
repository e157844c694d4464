"""The file in which annotating is kept, so that it goes on after a crash."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from dextr.annotation.objects import AnnotatedImage, AnnotatedObject, label_of, points_of
from dextr.common.errors import UserError
from dextr.common.files import locked, replacing
from dextr.common.rle import encode_segmentation
from dextr.points import check_points
from dextr.samples import check_threshold

VERSION = 1


class SessionFile:
    """What was done on all photos of a folder: JSON, a line per photo.

    The file is written whole and then takes the old one's place. It has

    - `dextr_session`: 1, the version of the format; `folder`: where the photos are; `current`:
      the photo that was open last;
    - `images`: for each photo `file_name` (below the folder), `height`, `width`, `objects`
      (`label`, `threshold`, `points` [[x, y], ...], `segmentation` as COCO's compressed run
      lengths) and, if there is one, the unfinished object as `draft` (the same without mask).

    Attributes:
        path: The file; None keeps everything in memory.
        images: What was done, by photo.
    """

    def __init__(self, path: Path | None, folder: str = "") -> None:
        self.path = path
        self.folder = folder
        self.current = ""
        self.images: dict[str, AnnotatedImage] = {}
        self._lines: dict[str, str] = {}
        self._seen = _stamp(path)

    @property
    def count(self) -> int:
        """How many objects are finished."""
        return sum(len(image.objects) for image in self.images.values())

    @classmethod
    def read(cls, path: Path) -> SessionFile:
        """Return a session that was written before; ValueError if it is damaged or none."""
        session = cls(path)
        try:
            content = json.loads(path.read_bytes())
            if (found := content["dextr_session"]) != VERSION:
                raise UserError(f"expected version {VERSION} of the format, got {found!r}")
            session.folder = _text(content["folder"])
            session.current = _text(content["current"])
            for entry in content["images"]:
                image = _image(entry)
                if image.name in session.images:
                    raise UserError(f"{image.name} is there twice")
                session.keep(image)
        except (ValueError, TypeError, LookupError, OverflowError, RecursionError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else error
            raise UserError(
                f"{path}: not a readable session ({reason}). It is left as it is: repair it, or "
                "move it away to begin anew"
            ) from None
        return session

    @property
    def labels(self) -> list[str]:
        """The labels that are used, each once, those of finished objects first."""
        images = self.images.values()
        objects = [done for image in images for done in image.objects]
        objects += [image.draft for image in images if image.draft]
        return list(dict.fromkeys(entry.label for entry in objects))

    def keep(self, image: AnnotatedImage) -> None:
        """Take over what was done on a photo; `write` puts it on the disk."""
        self.images[image.name] = image
        entry: dict[str, Any] = {
            "file_name": image.name,
            "height": image.hw[0],
            "width": image.hw[1],
            "objects": [{**_clicks(done), "segmentation": done.rle} for done in image.objects],
        }
        if image.draft is not None:
            entry["draft"] = _clicks(image.draft)
        self._lines[image.name] = json.dumps(entry)

    def write(self) -> None:
        """Write the file, if anything was kept in it.

        Raises:
            OSError: It could not be written.
            ValueError: Another program has written it meanwhile.
        """
        if self.path is None or not self.images:
            return
        head = {"dextr_session": VERSION, "folder": self.folder, "current": self.current}
        lines = ",\n".join(self._lines.values())
        with locked(self.path):
            if _stamp(self.path) != self._seen:
                raise UserError(f"{self.path} was changed by another window or program")
            with replacing(self.path) as temporary:
                temporary.write_text(f'{json.dumps(head)[:-1]}, "images": [\n{lines}\n]}}\n')
            self._seen = _stamp(self.path)


def _stamp(path: Path | None) -> tuple[int, ...]:
    """Return what tells whether a file was written; nothing if there is none."""
    if path is None or not path.exists():
        return ()
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _clicks(o: AnnotatedObject) -> dict[str, Any]:
    return {"label": o.label, "threshold": o.threshold, "points": o.points.tolist()}


def _image(entry: dict[str, Any]) -> AnnotatedImage:
    """Return what was done on a photo; whatever cannot be right is an error."""
    hw = (entry["height"], entry["width"])
    if not all(type(length) is int and length >= 1 for length in hw):
        raise UserError(f"expected a height or width in pixels, got {hw[0]!r} and {hw[1]!r}")
    objects = [_object(number, done, hw) for number, done in enumerate(entry["objects"], 1)]
    draft = entry.get("draft")
    if draft is not None:
        points = np.asarray(draft["points"], np.float64).reshape(-1, 2)
        if not ((points >= -0.5) & (points <= np.array([hw[1], hw[0]]) - 0.5)).all():
            raise UserError("points outside the image")
        draft = AnnotatedObject(
            len(objects) + 1, label_of(draft["label"]), points, check_threshold(draft["threshold"])
        )
    return AnnotatedImage(_text(entry["file_name"]), hw, objects, draft=draft)


def _object(number: int, entry: dict[str, Any], hw: tuple[int, int]) -> AnnotatedObject:
    points = check_points(points_of(entry["points"]), hw)
    rle = entry["segmentation"]
    if not isinstance(rle, dict) or not isinstance(rle["counts"], str):
        raise UserError("expected a mask as compressed run lengths")
    if not encode_segmentation(rle, hw)[0]:
        raise UserError("a mask without pixels")
    threshold = check_threshold(entry["threshold"])
    return AnnotatedObject(number, label_of(entry["label"]), points, threshold, rle)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise UserError(f"expected text, got {value!r}")
    return value
