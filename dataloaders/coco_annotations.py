"""COCO's annotation file, packed: every object's mask as run lengths in one array of bytes."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from dataloaders.index_cache import Arrays
from dextr.common.rle import encode_segmentation


def pack_annotations(path: Path) -> Arrays:
    """Read an annotation file; crowd regions and objects without a pixel are left out.

    Returns:
        `files`, `image_ids`, `image_hw` (M, 2) by image; `category_names`, `category_ids` by
        category; `rows` (N, 4) of (image, annotation id, category, area), ascending; `counts`, the
        objects' compressed run lengths one after another; `starts` (N + 1,), where each begins.

    Raises:
        ValueError: The file is not of this kind; the message names it and the annotation.
    """
    content = _load(path)
    try:
        images = {int(record["id"]): k for k, record in enumerate(content["images"])}
        files = [str(record["file_name"]) for record in content["images"]]
        image_hw = [(int(r["height"]), int(r["width"])) for r in content["images"]]
        categories = sorted((int(r["id"]), str(r["name"])) for r in content["categories"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: an image or category lacks or spoils {error}") from None
    if len(images) < len(files):
        raise ValueError(f"{path}: two images have the same id")
    numbers = {number: k for k, (number, _) in enumerate(categories)}
    found: list[tuple[int, int, int, int, bytes]] = []
    for record in tqdm(content["annotations"], f"index {path.name}", unit="object", disable=None):
        try:
            if record.get("iscrowd", 0):
                continue
            image, category = images[record["image_id"]], numbers[record["category_id"]]
            area, counts = encode_segmentation(record.get("segmentation"), image_hw[image])
            if area:
                found.append((image, int(record["id"]), category, area, counts))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            number = record.get("id") if isinstance(record, dict) else record
            reason = f"no {error}" if isinstance(error, KeyError) else error
            raise ValueError(f"{path}: annotation {number}: {reason}") from None
    found.sort()
    rows = np.array([row[:4] for row in found], np.int64).reshape(-1, 4)
    if (np.diff(rows[:, :2], axis=0) == 0).all(axis=1).any():
        raise ValueError(f"{path}: two annotations of an image have the same id")
    lengths = [len(row[4]) for row in found]
    return {
        "files": np.array(files, np.str_),
        "image_ids": np.array(list(images), np.int64),
        "image_hw": np.array(image_hw, np.int32).reshape(-1, 2),
        "category_names": np.array([name for _, name in categories], np.str_),
        "category_ids": np.array([number for number, _ in categories], np.int64),
        "rows": rows,
        "counts": np.frombuffer(b"".join(row[4] for row in found), np.uint8),
        "starts": np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]),
    }


def names_of_images(files: Sequence[str], image_ids: NDArray[np.int64]) -> list[str]:
    """Return names fit for file names: the files' without extension, or the ids if those clash."""
    names = [os.path.splitext(file)[0].replace("/", "_") for file in files]
    return names if len(set(names)) == len(names) else [str(number) for number in image_ids]


def _load(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ValueError(f"{path}: no such annotation file") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not readable as JSON ({error})") from None
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise ValueError(f"{path}: not COCO instances: expected a list under {key!r}")
    return content
