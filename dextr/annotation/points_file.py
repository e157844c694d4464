"""Reading which points were clicked in which image: from CSV, JSON, or COCO."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any

from dextr.annotation.coco_points import read_coco_points
from dextr.annotation.objects import (
    ObjectPoints,
    PointsFile,
    Problem,
    image_of,
    label_of,
    points_of,
)

NEEDED = ("image", "x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4")
BETWEEN = re.compile(r"[\s,]*")


def read_points(path: str | PathLike[str], from_masks: bool = False) -> PointsFile:
    """Read a file of points; a name that ends in `.json` is JSON, any other CSV.

    - CSV: a line of headings, then a row per object: `image,x1,y1,x2,y2,x3,y3,x4,y4`, further
      points `x5,y5` and so on, and optionally `label`. Other columns are passed over; a comma,
      semicolon or tab separates.
    - JSON: a list of `{"image": ..., "points": [[x, y], ...], "label": ...}`.
    - COCO: `extreme_points` ([[x, y], ...] or flat) in each annotation; crowd regions are left
      out.

    Args:
        path: The file.
        from_masks: COCO's only: find the extreme points of each annotation's mask.

    Raises:
        ValueError: The file as a whole cannot be used; single bad entries become problems.
    """
    path = Path(path)
    text = _text(path)
    if path.suffix.lower() != ".json":
        entries = _csv_entries(path, text)
    else:
        content = _parsed(path, text)
        if isinstance(content, dict):
            return read_coco_points(path, content, from_masks)
        if not isinstance(content, list):
            raise ValueError(f"{path}: expected a list of objects, or COCO's annotations")
        entries = _json_entries(path, text, len(content))
    if from_masks:
        raise ValueError(f"{path}: masks to find points of are in a COCO file; this is none")
    return PointsFile.of_entries(entries)


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file of points") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not text in UTF-8 (byte {error.start})") from None


def _parsed(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not readable as JSON ({error})") from None


def _json_entries(path: Path, text: str, count: int) -> Iterator[ObjectPoints | Problem]:
    decoder = json.JSONDecoder()
    end, line, counted = text.index("[") + 1, 1, 0
    for number in range(1, count + 1):
        start = BETWEEN.match(text, end).end()  # type: ignore[union-attr]
        line, counted = line + text.count("\n", counted, start), start
        record, end = decoder.raw_decode(text, start)
        place = f"{path}:{line}"
        try:
            if not isinstance(record, dict) or not {"image", "points"} <= set(record):
                raise ValueError('expected {"image": ..., "points": [[x, y], ...]}')
            image, label = image_of(record["image"]), label_of(record.get("label"))
            yield ObjectPoints(number, image, points_of(record["points"]), label, place)
        except ValueError as error:
            yield Problem(place, str(error))


def _csv_entries(path: Path, text: str) -> Iterator[ObjectPoints | Problem]:
    first = text.lstrip().split("\n", 1)[0]
    separator = max(",;\t", key=first.count)
    rows = _csv_rows(text, separator)
    _, header = next(rows, (1, csv.Error()))
    names = [] if isinstance(header, csv.Error) else [name.strip().lower() for name in header]
    missing = [name for name in NEEDED if names.count(name) != 1]
    if missing:
        raise ValueError(
            f"{path}:1: expected the headings {','.join(NEEDED)} (and x5,y5 ..., label), each "
            f"once; see {missing[0]}"
        )
    for number, (line, cells) in enumerate(rows, 1):
        place = f"{path}:{line}"
        try:
            if isinstance(cells, csv.Error):
                raise ValueError(str(cells))
            if len(cells) != len(names):
                raise ValueError(
                    f"expected {len(names)} cells as in the headings, got {len(cells)}"
                )
            row = dict(zip(names, cells, strict=True))
            image, label = image_of(row["image"]), label_of(row.get("label"))
            yield ObjectPoints(number, image, points_of(_coordinates(row)), label, place)
        except ValueError as error:
            yield Problem(place, str(error))


def _csv_rows(text: str, separator: str) -> Iterator[tuple[int, list[str] | csv.Error]]:
    """Yield each row that is not blank with the line it starts on, or what is wrong with it."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            row: list[str] | csv.Error = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            row = error
        if isinstance(row, csv.Error) or any(cell.strip() for cell in row):
            yield line, row


def _coordinates(row: dict[str, str]) -> list[str]:
    """Return x1, y1, x2, ... of a row; points after the fourth may be blank."""
    flat: list[str] = []
    k = 1
    while f"x{k}" in row and f"y{k}" in row:
        pair = [row[f"x{k}"].strip(), row[f"y{k}"].strip()]
        if k <= 4 or any(pair):
            flat += pair
        k += 1
    return flat
