"""COCO's annotation files as tools write them: what a field means, decided once."""

from __future__ import annotations

import re
import reprlib
from pathlib import Path
from typing import Any

import numpy as np

from dextr.common.errors import UserError
from dextr.common.files import read_json

COORDINATE_LIMIT = 100_000  # pycocotools walks every pixel of an edge, whatever its length
SHORT_OUTLINE = 10**6  # pixels, with which no time and memory is lost
NUMBERS = {int, float}
DEEPEST = 4  # lists in lists
LONGEST_TEXT = 80


def read_coco(path: Path) -> dict[str, Any]:
    """Return what a COCO annotation file holds; a ValueError if it is none."""
    return check_coco(path, read_json(path, "annotation file"))


def check_coco(path: Path, content: Any) -> dict[str, Any]:
    """Return a file's content; a ValueError if it lacks one of COCO's three lists."""
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise UserError(f"{path}: not COCO's format: expected a list under {key!r}")
    return content


def is_crowd(value: Any) -> bool:
    """Return whether an annotation's `iscrowd` is set; none is not.

    Raises:
        ValueError: Anything else than 0, 1, true or false.
    """
    if value is None or (type(value) in (bool, int, float) and value in (0, 1)):
        return bool(value)
    raise UserError(f"expected 'iscrowd' 0 or 1, got {shortened(value)}")


def outlines_of(value: Any, hw: tuple[int, int]) -> list[list[float]]:
    """Return polygons, however they are nested, as flat lists x, y, ...; checked.

    Raises:
        ValueError: They are none, or too long to be drawn in an image of height and width `hw`.

    >>> outlines_of([[[1, 2], [3, 4], [5, 6]]], (9, 9))
    [[1, 2, 3, 4, 5, 6]]
    """
    outlines = _flat_lists(value, DEEPEST)
    if outlines == [value] and len(value) >= 6 and _could_be_runs(value, hw):
        raise UserError(
            "a list of numbers that may be a polygon or run lengths: write [[x, y, ...]], or "
            "'counts' with 'size'"
        )
    length = 0.0
    for outline in outlines:
        xy = np.array([x if abs(x) < COORDINATE_LIMIT else np.inf for x in outline], float)
        if xy.size % 2 or not np.isfinite(xy).all():
            raise UserError(
                "expected polygons as flat lists x, y, ... of finite numbers, each below "
                f"{COORDINATE_LIMIT}; got {len(outline)} numbers"
            )
        corners = xy.reshape(-1, 2)
        length += float(np.abs(corners - np.roll(corners, 1, axis=0)).max(axis=1, initial=0).sum())
    most = SHORT_OUTLINE + 2 * hw[0] * hw[1]
    if length > most:
        raise UserError(f"expected an outline of at most {most} pixels in length, got {length:g}")
    return outlines


def _flat_lists(value: Any, depth: int) -> list[list[float]]:
    kinds = set(map(type, value)) if isinstance(value, (list, tuple)) and depth else {type(None)}
    if kinds <= NUMBERS:
        return [value]
    if not kinds <= {list, tuple}:
        raise UserError(
            "expected a segmentation of polygons [[x, y, x, y, ...], ...], or of run lengths "
            f"with 'counts' and 'size', got {shortened(value)}"
        )
    if all(len(part) == 2 and set(map(type, part)) <= NUMBERS for part in value):
        return [[number for pair in value for number in pair]]
    return [outline for part in value for outline in _flat_lists(part, depth - 1)]


def _could_be_runs(values: list[float], hw: tuple[int, int]) -> bool:
    return sum(values) == hw[0] * hw[1] and all(n >= 0 and n == int(n) for n in values)


def whole_number(value: Any, what: str) -> int:
    """Return a whole number of 64 bits as JSON may have it: 7, 7.0 or "7".

    Raises:
        ValueError: It is none; `what` says what was expected.
    """
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,18}", value):
        value = int(value)
    if type(value) not in NUMBERS or not abs(value) < 2**63 or value != int(value):
        raise UserError(f"expected {what} as a whole number, got {shortened(value)}")
    return int(value)


def shortened(value: Any) -> str:
    """Return a value as text, for a message: of one line and not long."""
    text = " ".join(reprlib.repr(value).split())
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]} ..."
