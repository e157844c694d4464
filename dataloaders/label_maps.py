"""Data sets with one label map per image: what PASCAL, SBD, DAVIS and a folder share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from dataloaders.files import (
    LastRead,
    check_headers,
    check_present,
    read_headers,
    read_image_like,
)
from dataloaders.index_cache import Arrays, cached_arrays
from dataloaders.instances import Instances, ObjectIndex

VOID = -1  # undecided, in labels as they are read


class LabelMapInstances(Instances):
    """Objects that are numbers in label maps.

    A subclass reads the labels of an image: 0 background, 1.. the objects, `VOID` undecided.

    Args:
        name: Short name for logs.
        base: The data set's folder.
        split: What of it this is, for the cache.
        files: Each image's name with its file and its label map's, relative to the folder.
    """

    def __init__(
        self, name: str, base: Path, split: str, files: Mapping[str, tuple[str, str]]
    ) -> None:
        self.name = name
        self.base = base.resolve()
        table = np.array(list(files.values()), np.str_).reshape(-1, 2)
        self.image_files, self.label_files = table[:, 0], table[:, 1]
        self._image: LastRead[NDArray[np.uint8]] = LastRead()
        self._labels: LastRead[NDArray[np.int32]] = LastRead()
        check_present(self.base, self.image_files.tolist())
        count = range(len(files))
        photos = [self.image_path(image) for image in count]
        annotations = (path for image in count for path in self.annotation_paths(image))
        identity = f"{type(self).__name__} {self.base} {split}"
        found = cached_arrays(identity, chain(annotations, photos), self._scan)
        self.index = ObjectIndex.of_rows(list(files), self.choose_objects(found["rows"]))
        used = np.unique(self.index.image)
        check_headers(
            [photos[k] for k in used], found["headers"][used], found["hw"][used],
            lambda k: self.label_path(int(used[k])),
        )  # fmt: skip

    @abstractmethod
    def read_labels(self, image: int) -> NDArray[np.int32]:
        """Return the labels (H, W) of image number `image`."""

    def image_path(self, image: int) -> Path:
        return self.base / self.image_files[image]

    def label_path(self, image: int) -> Path:
        return self.base / self.label_files[image]

    def annotation_paths(self, image: int) -> list[Path]:
        """Return every file that the objects of image number `image` are found in."""
        return [self.label_path(image)]

    def find_objects(self, image: int) -> tuple[tuple[int, int], NDArray[np.int64]]:
        """Return height and width, and (object_id, category, area) rows; void may be a row too."""
        labels = self.read_labels(image)
        found, areas = count_labels(labels)
        return size_of(labels), np.column_stack([found, np.full_like(found, -1), areas])

    def choose_objects(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the (image, object_id, category, area) rows that are objects."""
        return rows[rows[:, 1] != VOID]

    def read_image(self, image: int) -> NDArray[np.uint8]:
        return self._image.get(image, self._decode_image)

    def read_mask(self, row: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        labels = self._labels.get(int(self.index.image[row]), self.read_labels)
        return labels == self.index.object_id[row], labels == VOID

    def files_of(self, image: int) -> list[Path]:
        return [self.image_path(image), *self.annotation_paths(image)]

    def _decode_image(self, image: int) -> NDArray[np.uint8]:
        height, width = self._labels.get(image, self.read_labels).shape
        return read_image_like(self.image_path(image), (height, width), self.label_path(image))

    def _scan(self) -> Arrays:
        """Return all images' `rows`, the sizes `hw` (M, 2) of their maps, the photos' `headers`."""
        images = tqdm(range(len(self.label_files)), f"index {self.name}", unit="mask", disable=None)
        tables, hw = [np.empty((0, 4), np.int64)], np.empty((len(self.label_files), 2), np.int32)
        for image in images:
            hw[image], rows = self.find_objects(image)
            tables.append(np.insert(rows, 0, image, axis=1))
        headers = read_headers(self.base, self.image_files.tolist())
        return {"rows": np.concatenate(tables), "hw": hw, "headers": headers}


def size_of(labels: NDArray) -> tuple[int, int]:
    """Return a label map's height and width."""
    return labels.shape[0], labels.shape[1]


def count_labels(labels: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the labels other than 0 in a map (H, W), `VOID` included, and their areas.

    >>> [a.tolist() for a in count_labels(np.array([[0, 3, 3], [-1, 0, 3]]))]
    [[-1, 3], [1, 3]]
    """
    counts = np.bincount((labels - VOID).ravel())
    found = np.flatnonzero(counts)
    found = found[found != -VOID]
    return found + VOID, counts[found]
