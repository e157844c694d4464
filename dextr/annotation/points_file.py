"""Reading which points were clicked in which image: from CSV, JSON, or COCO."""

from __future__ import annotations

import csv
import io
import json
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import count, takewhile
from os import PathLike
from pathlib import Path, PurePath
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from dextr.annotation.objects import (
    ObjectPoints,
    PointsFile,
    Problem,
    image_of,
    label_of,
    points_of,
)
from dextr.common.coco_json import check_coco, is_crowd, whole_number
from dextr.common.errors import UserError
from dextr.common.rle import decode, encode_segmentation
from dextr.points import sample_extreme_points

NEEDED = ("image", "x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4")
# The line on which an entry starts, and its `image`, `points`, `label`, or what is wrong with it.
Record = tuple[int, dict[str, Any] | ValueError]
# COCO's records of images or categories.
ById = dict[int, dict[str, Any]]
BETWEEN = re.compile(r"[\s,]*")


def read_points(
    path: str | PathLike[str], from_masks: bool = False, keep_crowd: bool = False
) -> PointsFile:
    """Read a file of points; a name that ends in `.json` is JSON, any other CSV.

    - CSV: a line of headings, then a row per object: `image,x1,y1,x2,y2,x3,y3,x4,y4`, further
      points `x5,y5` and so on, and optionally `label`. Other columns are passed over; a comma,
      semicolon or tab separates.
    - JSON: a list of `{"image": ..., "points": [[x, y], ...], "label": ...}`.
    - COCO: `extreme_points` ([[x, y], ...] or flat) in each annotation; crowd regions are left
      out, with a warning that counts them, unless `keep_crowd`.

    With `from_masks`, COCO's only, the extreme points of each annotation's mask are found.

    Raises:
        ValueError: The file as a whole cannot be used; single bad entries become problems.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
        content = json.loads(text) if path.suffix.lower() == ".json" else None
    except FileNotFoundError:
        raise UserError(f"{path}: no such file of points") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not text in UTF-8 (byte {error.start})") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not readable as JSON ({error})") from None
    if isinstance(content, dict):
        return _read_coco(path, content, from_masks, keep_crowd)
    if from_masks:
        raise UserError(f"{path}: masks to find points of are in a COCO file; this is none")
    if path.suffix.lower() != ".json":
        return PointsFile.of_entries(_entries(path, _csv_records(path, text)))
    if not isinstance(content, list):
        raise UserError(f"{path}: expected a list of objects, or COCO's annotations")
    return PointsFile.of_entries(_entries(path, _json_records(text, len(content))))


def _entries(path: Path, records: Iterable[Record]) -> Iterator[ObjectPoints | Problem]:
    for number, (line, record) in enumerate(records, 1):
        place = f"{path}:{line}"
        try:
            if isinstance(record, ValueError):
                raise record
            image, label = image_of(record["image"]), label_of(record.get("label"))
            yield ObjectPoints(number, image, points_of(record["points"]), label, place)
        except ValueError as error:
            yield Problem(place, str(error))


def _json_records(text: str, count: int) -> Iterator[Record]:
    decoder = json.JSONDecoder()
    end, line, counted = text.index("[") + 1, 1, 0
    for _ in range(count):
        start = BETWEEN.match(text, end).end()  # type: ignore[union-attr]
        line, counted = line + text.count("\n", counted, start), start
        record, end = decoder.raw_decode(text, start)
        if not isinstance(record, dict) or not {"image", "points"} <= set(record):
            record = UserError('expected {"image": ..., "points": [[x, y], ...]}')
        yield line, record


def _csv_records(path: Path, text: str) -> Iterator[Record]:
    first = text.lstrip().split("\n", 1)[0]
    rows = _csv_rows(text, max(",;\t", key=first.count))
    _, header = next(rows, (1, []))
    names = [] if isinstance(header, ValueError) else [name.strip().lower() for name in header]
    missing = [name for name in NEEDED if names.count(name) != 1]
    if missing:
        raise UserError(
            f"{path}:1: expected the headings {','.join(NEEDED)} (and x5,y5 ..., label), each "
            f"once; see {missing[0]}"
        )
    for line, cells in rows:
        if isinstance(cells, ValueError):
            yield line, cells
        elif len(cells) != len(names):
            reason = f"expected {len(names)} cells as in the headings, got {len(cells)}"
            yield line, UserError(reason)
        else:
            row = dict(zip(names, cells, strict=True))
            yield line, {**row, "points": _coordinates(row)}


def _csv_rows(text: str, separator: str) -> Iterator[tuple[int, list[str] | ValueError]]:
    """Yield each row that is not blank with the line it starts on, or what is wrong with it."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, UserError(str(error))
        else:
            if any(cell.strip() for cell in row):
                yield line, row


def _coordinates(row: dict[str, str]) -> list[str]:
    """Return x1, y1, x2, ... of a row; points after the fourth may be blank."""
    flat: list[str] = []
    for k in takewhile(lambda k: {f"x{k}", f"y{k}"} <= row.keys(), count(1)):
        pair = [row[f"x{k}"].strip(), row[f"y{k}"].strip()]
        if k <= 4 or any(pair):
            flat += pair
    return flat


def _read_coco(
    path: Path, content: dict[str, Any], from_masks: bool, keep_crowd: bool
) -> PointsFile:
    """Return the objects of a COCO file's content; ids of all that it holds are kept."""
    check_coco(path, content)
    images = _by_id(path, content["images"], "file_name")
    categories = _by_id(path, content["categories"], "name")
    annotations = content["annotations"]
    if not keep_crowd:
        annotations = [record for record in annotations if not _crowd(record)]
        if crowd := len(content["annotations"]) - len(annotations):
            warnings.warn(
                f"{path}: {crowd} of {len(content['annotations'])} annotations are crowd regions "
                "(iscrowd 1) and left out; some tools mark every brush mask so: --keep-crowd takes "
                "them as objects",
                stacklevel=3,
            )
    found = PointsFile.of_entries(_coco_entries(path, annotations, images, categories, from_masks))
    names = {PurePath(record["file_name"].strip()).as_posix(): k for k, record in images.items()}
    own: dict[str, dict[str, Any]] = {}
    for record in categories.values():
        own.setdefault(record["name"], record)
    if len(own) < len(categories):
        warnings.warn(f"{path}: categories of one name become the first of them", stacklevel=3)
    return replace(found, categories=[*own.values()], image_ids=names)


def _crowd(record: Any) -> bool:
    """Whether an annotation is a crowd region for sure; what is wrong with it is said later."""
    with suppress(ValueError, AttributeError):
        return is_crowd(record.get("iscrowd"))
    return False


def _by_id(path: Path, records: list[Any], name: str) -> ById:
    """Return records by id; all must have an own one, and images an own name."""
    by_id: ById = {}
    names = set()
    for record in records:
        if not isinstance(record, dict) or not _is_id(record.get("id")):
            raise UserError(f"{path}: an image or category without a whole number as its id")
        if not isinstance(record.get(name), str):
            raise UserError(f"{path}: expected {name!r} in words at id {record['id']}")
        if record["id"] in by_id or (record[name] in names and name == "file_name"):
            raise UserError(f"{path}: id {record['id']} or {name} {record[name]!r} is there twice")
        by_id[record["id"]] = record
        names.add(record[name])
    return by_id


def _coco_entries(
    path: Path, annotations: list[Any], images: ById, categories: ById, from_masks: bool
) -> Iterator[ObjectPoints | Problem]:
    seen: set[int] = set()
    for k, record in enumerate(annotations, 1):
        place = f"{path}: annotation {k} of the list"
        try:
            if not isinstance(record, dict):
                raise UserError(f"expected an annotation, got {type(record).__name__}")
            number = record.get("id")
            if not _is_id(number) or number in seen:
                raise UserError(f"expected an id of its own, got {number!r}")
            seen.add(number)
            place = f"{path}: annotation {number}"
            is_crowd(record.get("iscrowd"))
            image = _named(images, record.get("image_id"), "image")
            category = _named(categories, record.get("category_id"), "category")
            known = image.get("height") is not None and image.get("width") is not None
            hw = _size_of(image) if known else None
            if from_masks:
                points = _extremes(record, hw)
            elif (given := record.get("extreme_points")) is not None:
                points = points_of(given)
            else:
                raise UserError("no 'extreme_points'; --from-masks finds them on its mask")
            file = image_of(image["file_name"])
            yield ObjectPoints(number, file, points, category["name"], place, hw)
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else str(error)
            yield Problem(place, reason)


def _is_id(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def _named(records: ById, number: Any, what: str) -> dict[str, Any]:
    if not _is_id(number) or number not in records:
        raise UserError(f"there is no {what} {number!r} in the file")
    return records[number]


def _size_of(image: dict[str, Any]) -> tuple[int, int]:
    return whole_number(image["height"], "a height"), whole_number(image["width"], "a width")


def _extremes(record: dict[str, Any], hw: tuple[int, int] | None) -> NDArray[np.float64]:
    if hw is None:
        raise UserError("the image's 'height' and 'width' are needed to draw its masks")
    area, counts = encode_segmentation(record.get("segmentation"), hw)
    if not area:
        raise UserError("its mask has no pixel")
    return sample_extreme_points(decode(counts, hw), 0, np.random.default_rng(0))
