"""Data sets with one label map per image: what PASCAL, SBD, DAVIS and a folder share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from dataloaders.files import LastRead, check_present, read_image_like
from dataloaders.index_cache import cached_arrays
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
        rows = cached_arrays(
            f"{type(self).__name__} {self.base} {split}",
            (path for image in range(len(files)) for path in self.annotation_paths(image)),
            lambda: {"rows": self._scan()},
        )["rows"]
        self.index = ObjectIndex.of_rows(list(files), self.choose_objects(rows))

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

    def find_objects(self, image: int) -> NDArray[np.int64]:
        """Return (object_id, category, area) rows of an image; void may be a row too."""
        labels, areas = count_labels(self.read_labels(image))
        return np.column_stack([labels, np.full_like(labels, -1), areas])

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

    def _scan(self) -> NDArray[np.int64]:
        images = tqdm(range(len(self.label_files)), f"index {self.name}", unit="mask", disable=None)
        tables = [np.insert(self.find_objects(image), 0, image, axis=1) for image in images]
        return np.concatenate([np.empty((0, 4), np.int64), *tables])


def count_labels(labels: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the labels other than 0 in a map (H, W), `VOID` included, and their areas.

    >>> [a.tolist() for a in count_labels(np.array([[0, 3, 3], [-1, 0, 3]]))]
    [[-1, 3], [1, 3]]
    """
    counts = np.bincount((labels - VOID).ravel())
    found = np.flatnonzero(counts)
    found = found[found != -VOID]
    return found + VOID, counts[found]
