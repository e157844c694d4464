"""The masks of finished images, kept until all are done: what makes annotating resumable."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dextr.annotation.objects import ObjectPoints, Problem
from dextr.common.files import replacing


@dataclass(frozen=True)
class ImageMasks:
    """The objects of one image that were cut out.

    Attributes:
        image: The image's file, relative to the folder of images.
        hw: Its height and width.
        objects: Each object with its mask as compressed run lengths.
        problems: The objects that could not be cut out.
    """

    image: str
    hw: tuple[int, int]
    objects: list[tuple[ObjectPoints, dict[str, Any]]]
    problems: list[Problem]


class PartStore:
    """A folder with one small file per finished image.

    A file counts only for the same network, image file and points; anything else is done again.

    Args:
        root: The folder.
        settings: Everything but image and points that the masks depend on.
    """

    def __init__(self, root: Path, settings: Sequence[Any]) -> None:
        self.root = root
        self.settings = list(settings)

    def read(self, file: Path, objects: Sequence[ObjectPoints]) -> ImageMasks | None:
        """Return the masks kept for an image and its objects; None if there are none."""
        try:
            part = json.loads(self._path(objects).read_bytes())
            if part["key"] == self._key(file, objects):
                return _joined(objects, part["size"], part["masks"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return None

    def write(
        self,
        file: Path,
        objects: Sequence[ObjectPoints],
        hw: tuple[int, int],
        masks: Sequence[dict[str, Any] | str],
    ) -> ImageMasks:
        """Keep each object's run lengths, or the reason why there are none, and return them."""
        part = {"key": self._key(file, objects), "size": list(hw), "masks": list(masks)}
        with replacing(self._path(objects)) as temporary:
            temporary.write_text(json.dumps(part))
        return _joined(objects, hw, masks)

    def _path(self, objects: Sequence[ObjectPoints]) -> Path:
        return self.root / f"{_digest(objects[0].image)[:24]}.json"

    def _key(self, file: Path, objects: Sequence[ObjectPoints]) -> str:
        stat = os.stat(file)
        clicks = [(entry.points.tolist(), entry.image_hw) for entry in objects]
        return _digest([self.settings, stat.st_size, stat.st_mtime_ns, clicks])


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _joined(
    objects: Sequence[ObjectPoints], hw: Sequence[int], masks: Sequence[dict[str, Any] | str]
) -> ImageMasks:
    both = list(zip(objects, masks, strict=True))
    return ImageMasks(
        objects[0].image,
        (int(hw[0]), int(hw[1])),
        [(entry, mask) for entry, mask in both if isinstance(mask, dict)],
        [Problem(entry.place, mask) for entry, mask in both if isinstance(mask, str)],
    )
