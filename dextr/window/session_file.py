"""The file in which annotating is kept, so that it goes on after a crash."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from dextr.common.files import replacing
from dextr.window.session_record import ImageRecord, from_json, to_json

VERSION = 1


class SessionFile:
    """What was done on all photos of a folder: JSON, a line per photo.

    The file is written whole and then takes the old one's place. It has

    - `dextr_session`: 1, the version of the format; `folder`: where the photos are; `current`:
      the photo that was open last;
    - `images`: for each photo `file_name` (below the folder), `height`, `width`, `objects`
      (`label`, `threshold`, `points` [[x, y], ...], `segmentation` as COCO's compressed run
      lengths) and, if there is one, the unfinished object as `draft` (the same without mask).

    Args:
        path: The file; None keeps everything in memory.
        folder: Where the photos are.

    Attributes:
        records: What was done, by photo.
        current: Name of the photo that was open last.
    """

    def __init__(self, path: Path | None, folder: str = "") -> None:
        self.path = path
        self.folder = folder
        self.current = ""
        self.records: dict[str, ImageRecord] = {}
        self._lines: dict[str, str] = {}
        self._seen = _stamp(path)

    @property
    def count(self) -> int:
        """How many objects are finished."""
        return sum(len(record.objects) for record in self.records.values())

    @classmethod
    def read(cls, path: Path) -> SessionFile:
        """Return a session that was written before.

        Raises:
            ValueError: The file is damaged or none; it is left as it is.
        """
        session = cls(path)
        try:
            content = json.loads(path.read_bytes())
            if content["dextr_session"] != VERSION:
                raise ValueError(
                    f"expected version {VERSION} of the format, got {content['dextr_session']!r}"
                )
            session.folder = _text(content["folder"])
            session.current = _text(content["current"])
            for entry in content["images"]:
                name = _text(entry["file_name"])
                if name in session.records:
                    raise ValueError(f"{name} is there twice")
                session.keep(name, from_json(entry))
        except (ValueError, TypeError, LookupError, OverflowError, RecursionError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else error
            raise ValueError(
                f"{path}: not a readable session ({reason}). It is left as it is: repair it, or "
                "move it away to begin anew"
            ) from None
        return session

    @property
    def labels(self) -> list[str]:
        """The labels that are used, each once."""
        records = self.records.values()
        finished = [annotated.label for record in records for annotated in record.objects]
        unfinished = [record.draft.label for record in records if record.draft]
        return list(dict.fromkeys(finished + unfinished))

    def keep(self, name: str, record: ImageRecord) -> None:
        """Take over what was done on a photo; `write` puts it on the disk."""
        self.records[name] = record
        self._lines[name] = json.dumps(to_json(name, record))

    def write(self) -> None:
        """Write the file, if anything was kept in it.

        Raises:
            OSError: It could not be written.
            ValueError: Another program has written it meanwhile.
        """
        if self.path is None or not self.records:
            return
        if _stamp(self.path) != self._seen:
            raise ValueError(f"{self.path} was changed by another window or program")
        head = {"dextr_session": VERSION, "folder": self.folder, "current": self.current}
        lines = ",\n".join(self._lines.values())
        with replacing(self.path) as temporary:
            temporary.write_text(f'{json.dumps(head)[:-1]}, "images": [\n{lines}\n]}}\n')
        self._seen = _stamp(self.path)


def _stamp(path: Path | None) -> tuple[int, ...]:
    """Return what tells whether a file was written; nothing if there is none."""
    if path is None or not path.exists():
        return ()
    status = os.stat(path)
    return status.st_ino, status.st_size, status.st_mtime_ns


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected text, got {value!r}")
    return value
