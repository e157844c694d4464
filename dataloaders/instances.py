"""The base of every data set: an index of objects, and how one of them is read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dextr.common.errors import UserError
from dextr.common.label_png import labels_of
from dextr.samples import Instance


@dataclass(frozen=True)
class ObjectIndex:
    """Which objects there are: one row each, columns as arrays, so that workers share the memory.

    Attributes:
        image_ids: (M,) names of the images, each once.
        image: (N,) each object's position in `image_ids`; ascending.
        object_id: (N,) its number in the image (label maps) or its annotation's id.
        category: (N,) index into the data set's category names; -1 where it has none.
        area: (N,) pixels of its mask.
        label: (N,) its value in label maps made of the data set, see `labels_of`; it stays with
            the object where others are left out.
    """

    image_ids: NDArray[np.str_]
    image: NDArray[np.int32]
    object_id: NDArray[np.int64]
    category: NDArray[np.int32]
    area: NDArray[np.int64]
    label: NDArray[np.int64]

    @classmethod
    def of_rows(
        cls, image_ids: Sequence[str], rows: Sequence[tuple[int, int, int, int]] | NDArray
    ) -> ObjectIndex:
        """Build from (image, object_id, category, area) rows, in any order."""
        table = np.asarray(rows, dtype=np.int64).reshape(-1, 4)
        image, object_id, category, area = table[np.lexsort(table.T[::-1])].T.copy()
        names = np.asarray(image_ids, dtype=np.str_)
        label = labels_of(object_id, image)
        return cls(names, image.astype(np.int32), object_id, category.astype(np.int32), area, label)

    def __len__(self) -> int:
        return len(self.image)

    def take(self, rows: NDArray) -> ObjectIndex:
        """Return the index of these rows only; images keep their numbers."""
        columns = (self.image, self.object_id, self.category, self.area, self.label)
        return ObjectIndex(self.image_ids, *(column[rows] for column in columns))


class Instances(ABC):
    """A sequence of annotated objects.

    A subclass sets `name`, `category_names` and `index`, and says how an image and one object's
    masks are read. Opening and reading raise a ValueError that names the file at fault.

    Attributes:
        name: Short name for logs, such as `pascal-val`.
        category_names: Names by category index; empty where objects have no category.
        image_space: Data sets of one space mean the same image by the same name; empty: a space
            of its own.
        index: The objects.
    """

    name: str
    category_names: tuple[str, ...] = ()
    image_space: str = ""
    index: ObjectIndex

    @abstractmethod
    def read_image(self, image: int) -> NDArray[np.uint8]:
        """Return image number `image` as (H, W, 3) uint8 RGB."""

    @abstractmethod
    def read_mask(self, row: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return the object's mask and its void pixels, each (H, W) bool."""

    def files_of(self, image: int) -> list[Path]:
        """Return the files that are image number `image`'s own: its photo and its masks, if any."""
        return []

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, row: int) -> Instance:
        if not -len(self) <= row < len(self):
            raise IndexError(f"object {row} of {len(self)} in {self.name}")
        row %= len(self)
        mask, void = self.read_mask(row)
        image = self.read_image(int(self.index.image[row]))
        object_id, category = int(self.index.object_id[row]), int(self.index.category[row])
        return Instance(image, mask, void, self.image_id(row), object_id, category)

    def __iter__(self) -> Iterator[Instance]:
        return map(self.__getitem__, range(len(self)))

    def image_id(self, row: int) -> str:
        """Return the name of the image that object `row` is in."""
        return str(self.index.image_ids[self.index.image[row]])

    def object_name(self, row: int) -> str:
        """Return the object's identity as `Instance.name` has it, without reading anything."""
        return f"{self.image_id(row)}#{int(self.index.object_id[row])}"


class Subset(Instances):
    """Some rows of another data set, given as numbers or a boolean array; they stay ascending."""

    def __init__(self, parent: Instances, rows: NDArray, name: str | None = None) -> None:
        rows = np.asarray(rows)
        self.rows = np.flatnonzero(rows) if rows.dtype == bool else np.sort(rows)
        self.parent = parent
        self.name = name or parent.name
        self.category_names = parent.category_names
        self.image_space = parent.image_space
        self.index = parent.index.take(self.rows)

    def read_image(self, image: int) -> NDArray[np.uint8]:
        return self.parent.read_image(image)

    def read_mask(self, row: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        return self.parent.read_mask(int(self.rows[row]))

    def files_of(self, image: int) -> list[Path]:
        return self.parent.files_of(image)


class CombinedInstances(Instances):
    """The objects of several data sets, in their order.

    An image that several data sets of one image space hold (PASCAL and SBD) is taken from the
    first. Images named in `exclude` are left out. Categories are joined by name.
    """

    def __init__(self, sources: Sequence[Instances], exclude: Iterable[str] = ()) -> None:
        if not sources:
            raise UserError("expected at least one data set to combine, got none")
        self.sources = tuple(sources)
        self.name = "+".join(source.name for source in sources)
        self.category_names = tuple(dict.fromkeys(n for s in sources for n in s.category_names))
        spaces = {source.image_space for source in sources}
        self.image_space = spaces.pop() if len(spaces) == 1 else ""
        chosen = _choose_images(self.sources, set(exclude))
        self._image_from = np.array(list(chosen.values()), np.int64).reshape(-1, 2)
        self._row_from, self.index = self._join(list(chosen))

    def read_image(self, image: int) -> NDArray[np.uint8]:
        source, number = self._image_from[image]
        return self.sources[source].read_image(int(number))

    def read_mask(self, row: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        source, number = self._row_from[row]
        return self.sources[source].read_mask(int(number))

    def files_of(self, image: int) -> list[Path]:
        source, number = self._image_from[image]
        return self.sources[source].files_of(int(number))

    def _join(self, image_ids: list[str]) -> tuple[NDArray[np.int64], ObjectIndex]:
        """Return where each row comes from, and the joint index."""
        origins, tables = [], []
        for k, source in enumerate(self.sources):
            ours = np.flatnonzero(self._image_from[:, 0] == k)
            new_image = np.full(len(source.index.image_ids), -1)
            new_image[self._image_from[ours, 1]] = ours
            new_category = np.array([*map(self.category_names.index, source.category_names), -1])
            rows = np.flatnonzero(new_image[source.index.image] >= 0)
            part = source.index.take(rows)
            image, category = new_image[part.image], new_category[part.category]
            origins.append(np.column_stack([np.full_like(rows, k), rows]))
            tables.append(np.column_stack([image, part.object_id, category, part.area]))
        return np.concatenate(origins), ObjectIndex.of_rows(image_ids, np.concatenate(tables))


def _choose_images(sources: Sequence[Instances], exclude: set[str]) -> dict[str, tuple[int, int]]:
    """Return (source, image) of every image that stays, by a name of its own."""
    chosen: dict[str, tuple[int, int]] = {}
    seen: set[tuple[str, str]] = set()
    for k, source in enumerate(sources):
        space = source.image_space or f"source {k}"
        for image, name in enumerate(source.index.image_ids.tolist()):
            if name in exclude or (space, name) in seen:
                continue
            seen.add((space, name))
            while name in chosen:
                name = f"{k + 1}-{name}"
            chosen[name] = (k, image)
    return chosen


def category_indices(
    data_set: str, names: Sequence[str], wanted: Iterable[str]
) -> NDArray[np.int64]:
    """Return the wanted categories' positions, ascending; a ValueError says what there is."""
    unknown = sorted(set(wanted) - set(names))
    if unknown:
        there = ", ".join(names) or "none"
        raise UserError(f"unknown category {unknown[0]!r} in {data_set}; there are: {there}")
    return np.array([k for k, name in enumerate(names) if name in set(wanted)], np.int64)
