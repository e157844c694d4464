"""COCO instances: one mask per annotation, overlapping freely, decoded when asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from dataloaders.files import LastRead, check_present, read_image_like
from dataloaders.index_cache import Arrays, cached_arrays
from dataloaders.instances import Instances, ObjectIndex, category_indices
from dextr.common.errors import UserError
from dextr.common.rle import decode, encode_segmentation, read_coco


class CocoInstances(Instances):
    """The objects of an annotation file in COCO's format; crowd regions are left out.

    `object_id` is the annotation's id; an image is named by its file without extension.

    Args:
        annotations: The JSON file.
        images: The folder its file names are relative to.
        categories: Names of those to keep; None keeps all.

    Attributes:
        coco_image_ids: (M,) the file's ids by image number.
        coco_category_ids: The file's ids by category index.
    """

    def __init__(
        self,
        annotations: str | PathLike[str],
        images: str | PathLike[str],
        categories: Sequence[str] | None = None,
    ) -> None:
        self.annotations, self.images = Path(annotations).resolve(), Path(images).resolve()
        part = self.annotations.stem.removeprefix("instances").lstrip("_")
        self.name = f"coco-{part}" if part else "coco"
        self.image_space = str(self.images)
        build = partial(index_annotations, self.annotations)
        packed = cached_arrays(f"coco {self.annotations}", [self.annotations], build)
        self.image_files, self.image_hw = packed["files"], packed["image_hw"]
        self.coco_image_ids = packed["image_ids"]
        names, rows, starts = packed["category_names"].tolist(), packed["rows"], packed["starts"]
        kept = category_indices(self.name, names, names if categories is None else categories)
        self.category_names = tuple(names[k] for k in kept)
        self.coco_category_ids = packed["category_ids"][kept]
        chosen = np.isin(rows[:, 2], kept)
        rows[:, 2] = np.searchsorted(kept, rows[:, 2])
        self._counts = packed["counts"]
        self._spans = np.column_stack([starts[:-1], starts[1:]])[chosen]
        ids = names_of_images(self.image_files.tolist(), self.coco_image_ids)
        self.index = ObjectIndex.of_rows(ids, rows[chosen])
        self._image: LastRead[NDArray[np.uint8]] = LastRead()
        check_present(self.images, self.image_files[np.unique(self.index.image)].tolist())

    def read_image(self, image: int) -> NDArray[np.uint8]:
        path, hw = self.images / self.image_files[image], self._hw(image)
        return self._image.get(image, lambda _: read_image_like(path, hw, self.annotations))

    def read_mask(self, row: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        hw = self._hw(int(self.index.image[row]))
        start, stop = self._spans[row]
        return decode(self._counts[start:stop].tobytes(), hw), np.zeros(hw, bool)

    def _hw(self, image: int) -> tuple[int, int]:
        height, width = self.image_hw[image].tolist()
        return height, width


def index_annotations(path: Path) -> Arrays:
    """Read an annotation file; crowd regions and objects without a pixel are left out.

    Returns:
        `files`, `image_ids`, `image_hw` (M, 2) by image; `category_names`, `category_ids` by
        category; `rows` (N, 4) of (image, annotation id, category, area), ascending; `counts`, the
        objects' compressed run lengths one after another; `starts` (N + 1,), where each begins.

    Raises:
        ValueError: The file is not of this kind; the message names it and the annotation.
    """
    content = read_coco(path)
    try:
        files = [str(record["file_name"]) for record in content["images"]]
        ids = [int(record["id"]) for record in content["images"]]
        sizes = [(int(r["height"]), int(r["width"])) for r in content["images"]]
        categories = sorted((int(r["id"]), str(r["name"])) for r in content["categories"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: an image or category lacks or spoils {error}") from None
    images = dict(zip(ids, enumerate(sizes), strict=True))
    if len(images) < len(files):
        raise UserError(f"{path}: two images have the same id")
    numbers = {number: k for k, (number, _) in enumerate(categories)}
    records = tqdm(content["annotations"], f"index {path.name}", unit="object", disable=None)
    encoded = (_encode_object(path, record, images, numbers) for record in records)
    objects = sorted(filter(None, encoded))
    rows = np.array([found[:4] for found in objects], np.int64).reshape(-1, 4)
    if (np.diff(rows[:, :2], axis=0) == 0).all(axis=1).any():
        raise UserError(f"{path}: two annotations of an image have the same id")
    counts = [found[4] for found in objects]
    return {
        "files": np.array(files, np.str_),
        "image_ids": np.array(ids, np.int64),
        "image_hw": np.array(sizes, np.int32).reshape(-1, 2),
        "category_names": np.array([name for _, name in categories], np.str_),
        "category_ids": np.array([number for number, _ in categories], np.int64),
        "rows": rows,
        "counts": np.frombuffer(b"".join(counts), np.uint8),
        "starts": np.concatenate([[0], np.cumsum(list(map(len, counts)), dtype=np.int64)]),
    }


def _encode_object(
    path: Path, record: Any, images: Mapping[int, Any], categories: Mapping[int, int]
) -> tuple[int, int, int, int, bytes] | None:
    """Return an annotation's image, id, category, area and run lengths; None if it is left out."""
    try:
        if record.get("iscrowd", 0):
            return None
        image, hw = images[record["image_id"]]
        category = categories[record["category_id"]]
        area, counts = encode_segmentation(record.get("segmentation"), hw)
        return (image, int(record["id"]), category, area, counts) if area else None
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        number = record.get("id") if isinstance(record, dict) else record
        reason = f"no {error}" if isinstance(error, KeyError) else error
        raise UserError(f"{path}: annotation {number}: {reason}") from None


def names_of_images(files: Sequence[str], image_ids: NDArray[np.int64]) -> list[str]:
    """Return names fit for file names: the files' without extension, or the ids if those clash."""
    names = [os.path.splitext(file)[0].replace("/", "_") for file in files]
    return names if len(set(names)) == len(names) else [str(number) for number in image_ids]
