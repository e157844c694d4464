"""What was done on one photo, and how a session file has it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dextr.annotation.objects import NO_LABEL, label_of, points_of
from dextr.annotation.pictures import AnnotatedObject
from dextr.common.rle import encode_segmentation
from dextr.points import check_points

Point = tuple[float, float]


@dataclass(frozen=True)
class Draft:
    """An object that is not finished.

    Attributes:
        points: Its clicks so far, xy.
        threshold: The probability its pixels must exceed.
        label: Name of its category.
    """

    points: list[Point]
    threshold: float
    label: str = NO_LABEL


@dataclass(frozen=True)
class ImageRecord:
    """What was done on one photo.

    Attributes:
        hw: Its height and width.
        objects: The finished objects in their order.
        draft: The unfinished one.
    """

    hw: tuple[int, int]
    objects: list[AnnotatedObject] = field(default_factory=list)
    draft: Draft | None = None


def to_json(name: str, record: ImageRecord) -> dict[str, Any]:
    """Return the record of a photo of that name as a session file has it; see `SessionFile`."""
    entry: dict[str, Any] = {
        "file_name": name,
        "height": record.hw[0],
        "width": record.hw[1],
        "objects": [
            {
                "label": annotated.label,
                "threshold": annotated.threshold,
                "points": annotated.points.tolist(),
                "segmentation": annotated.rle,
            }
            for annotated in record.objects
        ],
    }
    if record.draft is not None:
        draft = record.draft
        entry["draft"] = {
            "label": draft.label,
            "threshold": draft.threshold,
            "points": draft.points,
        }
    return entry


def from_json(entry: dict[str, Any]) -> ImageRecord:
    """Return the record in a session file.

    Raises:
        ValueError: A value cannot be right; with a wrong structure also TypeError, LookupError,
            OverflowError.
    """
    hw = (_whole(entry["height"]), _whole(entry["width"]))
    draft = entry.get("draft")
    return ImageRecord(
        hw,
        [_object(annotated, hw) for annotated in entry["objects"]],
        None if draft is None else _draft(draft, hw),
    )


def _object(entry: dict[str, Any], hw: tuple[int, int]) -> AnnotatedObject:
    points = check_points(points_of(entry["points"]), hw)
    rle = entry["segmentation"]
    if not isinstance(rle, dict) or not isinstance(rle["counts"], str):
        raise ValueError("expected a mask as compressed run lengths")
    area, _ = encode_segmentation(rle, hw)
    if not area:
        raise ValueError("a mask without pixels")
    return AnnotatedObject(rle, points, _probability(entry["threshold"]), label_of(entry["label"]))


def _draft(entry: dict[str, Any], hw: tuple[int, int]) -> Draft:
    points = np.asarray(entry["points"], np.float64).reshape(-1, 2)
    limit = np.array([hw[1], hw[0]]) - 0.5
    if not ((points >= -0.5) & (points <= limit)).all():
        raise ValueError("points outside the image")
    clicks = [(x, y) for x, y in points.tolist()]
    return Draft(clicks, _probability(entry["threshold"]), label_of(entry["label"]))


def _whole(value: Any) -> int:
    if type(value) is not int or value < 1:
        raise ValueError(f"expected a height or width in pixels, got {value!r}")
    return value


def _probability(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value <= 1:
        raise ValueError(f"expected a threshold in 0..1, got {value!r}")
    return float(value)
