"""The points in a COCO file: `extreme_points` of its annotations, or found on their masks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from dextr.annotation.objects import ObjectPoints, PointsFile, Problem, image_of, points_of
from dextr.common.rle import check_coco, decode, encode_segmentation
from dextr.points import sample_extreme_points


def read_coco_points(path: Path, content: dict[str, Any], from_masks: bool) -> PointsFile:
    """Return the objects of a COCO file's content; ids of all that it holds are kept.

    With `from_masks` each annotation's extreme points are found on its mask (always the same
    ones), instead of taking `extreme_points`.

    Raises:
        ValueError: It is no COCO file; the message names the path.
    """
    check_coco(path, content)
    images = _by_id(path, content["images"], "file_name")
    categories = _by_id(path, content["categories"], "name")
    entries = _entries(path, content["annotations"], images, categories, from_masks)
    names = {PurePath(record["file_name"].strip()).as_posix(): k for k, record in images.items()}
    return PointsFile.of_entries(entries, list(categories.values()), names)


def _by_id(path: Path, records: list[Any], name: str) -> dict[int, dict[str, Any]]:
    """Return records by id; all must have an own one and an own name, or ids lead astray."""
    by_id: dict[int, dict[str, Any]] = {}
    names = set()
    for record in records:
        if not isinstance(record, dict) or not _is_id(record.get("id")):
            raise ValueError(f"{path}: an image or category without a whole number as its id")
        if not isinstance(record.get(name), str):
            raise ValueError(f"{path}: expected {name!r} in words at id {record['id']}")
        if record["id"] in by_id or record[name] in names:
            raise ValueError(f"{path}: id {record['id']} or {name} {record[name]!r} is there twice")
        by_id[record["id"]] = record
        names.add(record[name])
    return by_id


def _entries(
    path: Path,
    annotations: list[Any],
    images: dict[int, dict[str, Any]],
    categories: dict[int, dict[str, Any]],
    from_masks: bool,
) -> Iterator[ObjectPoints | Problem]:
    seen: set[int] = set()
    for k, record in enumerate(annotations, 1):
        place = f"{path}: annotation {k} of the list"
        try:
            if not isinstance(record, dict):
                raise ValueError(f"expected an annotation, got {type(record).__name__}")
            if record.get("iscrowd"):
                continue
            number = record.get("id")
            if not _is_id(number) or number in seen:
                raise ValueError(f"expected an id of its own, got {number!r}")
            seen.add(number)
            place = f"{path}: annotation {number}"
            image = _named(images, record.get("image_id"), "image")
            category = _named(categories, record.get("category_id"), "category")
            known = image.get("height") is not None and image.get("width") is not None
            hw = (int(image["height"]), int(image["width"])) if known else None
            points = _extremes(record, hw) if from_masks else _given(record)
            file = image_of(image["file_name"])
            yield ObjectPoints(number, file, points, category["name"], place, hw)
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else str(error)
            yield Problem(place, reason)


def _is_id(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def _named(records: dict[int, dict[str, Any]], number: Any, what: str) -> dict[str, Any]:
    if not _is_id(number) or number not in records:
        raise ValueError(f"there is no {what} {number!r} in the file")
    return records[number]


def _given(record: dict[str, Any]) -> NDArray[np.float64]:
    if record.get("extreme_points") is None:
        raise ValueError("no 'extreme_points'; --from-masks finds them on the annotation's mask")
    return points_of(record["extreme_points"])


def _extremes(record: dict[str, Any], hw: tuple[int, int] | None) -> NDArray[np.float64]:
    if hw is None:
        raise ValueError("the image's 'height' and 'width' are needed to draw its masks")
    area, counts = encode_segmentation(record.get("segmentation"), hw)
    if not area:
        raise ValueError("its mask has no pixel")
    return sample_extreme_points(decode(counts, hw), 0, np.random.default_rng(0))
