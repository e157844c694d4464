"""What an annotation file in COCO's format says, as arrays: read once, then kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from dataloaders.index_cache import Arrays
from dextr.common.coco_json import is_crowd, read_coco, shortened, whole_number
from dextr.common.errors import UserError
from dextr.common.rle import encode_segmentation

LONGEST_SIDE = 2**31 - 1
# Image, annotation id, category, area; whether it is a crowd region; compressed run lengths.
Found = tuple[int, int, int, int, bool, bytes]


def index_annotations(path: Path) -> Arrays:
    """Read an annotation file.

    Returns:
        `files`, `image_ids`, `image_hw` (M, 2) by image; `category_names`, `category_ids` by
        category; `rows` (N, 4) of (image, annotation id, category, area), ascending, with
        `crowd` (N,); `counts`, the objects' compressed run lengths one after another; `starts`
        (N + 1,), where each begins. Crowd regions and objects without a pixel are there, too.

    Raises:
        ValueError: The file is not of this kind; the message names it and the annotation.
    """
    content = read_coco(path)
    images = [_image(path, record) for record in content["images"]]
    categories = sorted(_category(path, record) for record in content["categories"])
    by_id = {number: (k, hw) for k, (number, _, hw) in enumerate(images)}
    if len(by_id) < len(images):
        raise UserError(f"{path}: two images have the same id")
    numbers = {number: k for k, (number, _) in enumerate(categories)}
    if len(numbers) < len(categories):
        raise UserError(f"{path}: two categories have the same id")
    records = tqdm(content["annotations"], f"index {path.name}", unit="object", disable=None)
    objects = sorted(_encode_object(path, record, by_id, numbers) for record in records)
    rows = np.array([found[:4] for found in objects], np.int64).reshape(-1, 4)
    if (np.diff(rows[:, :2], axis=0) == 0).all(axis=1).any():
        raise UserError(f"{path}: two annotations of an image have the same id")
    counts = [found[5] for found in objects]
    return {
        "files": np.array([file for _, file, _ in images], np.str_),
        "image_ids": np.array([number for number, _, _ in images], np.int64),
        "image_hw": np.array([hw for _, _, hw in images], np.int32).reshape(-1, 2),
        "category_names": np.array([name for _, name in categories], np.str_),
        "category_ids": np.array([number for number, _ in categories], np.int64),
        "rows": rows,
        "crowd": np.array([found[4] for found in objects], bool),
        "counts": np.frombuffer(b"".join(counts), np.uint8),
        "starts": np.concatenate([[0], np.cumsum(list(map(len, counts)), dtype=np.int64)]),
    }


def _image(path: Path, record: Any) -> tuple[int, str, tuple[int, int]]:
    """Return an image's id, file, and height and width."""
    try:
        number, file = whole_number(record["id"], "an id"), record["file_name"]
        hw = whole_number(record["height"], "a height"), whole_number(record["width"], "a width")
        if not isinstance(file, str) or not file.strip():
            raise UserError(f"expected 'file_name' in words, got {shortened(file)}")
        if not 0 <= min(hw) <= max(hw) <= LONGEST_SIDE:
            raise UserError(f"expected a size in pixels, got {hw[1]} x {hw[0]}")
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: image {_id_of(record)}: {_reason(error)}") from None
    return number, file, hw


def _category(path: Path, record: Any) -> tuple[int, str]:
    try:
        return whole_number(record["id"], "an id"), str(record["name"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: category {_id_of(record)}: {_reason(error)}") from None


def _encode_object(
    path: Path, record: Any, images: Mapping[int, Any], categories: Mapping[int, int]
) -> Found:
    try:
        crowd = is_crowd(record.get("iscrowd"))
        image, hw = _named(images, record["image_id"], "image")
        category = _named(categories, record["category_id"], "category")
        area, counts = encode_segmentation(record.get("segmentation"), hw)
        return image, whole_number(record["id"], "an id"), category, area, crowd, counts
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UserError(f"{path}: annotation {_id_of(record)}: {_reason(error)}") from None


def _named(records: Mapping[int, Any], value: Any, what: str) -> Any:
    number = whole_number(value, f"'{what}_id'")
    if number not in records:
        raise UserError(f"there is no {what} {number} in the file")
    return records[number]


def _id_of(record: Any) -> str:
    return shortened(record.get("id") if isinstance(record, dict) else record)


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{error} is missing"
    kinds = (TypeError, AttributeError)
    return "expected a record {...}" if isinstance(error, kinds) else str(error)
