"""Several data sets as one, less the images that are held out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from dataloaders.instances import Instances, ObjectIndex


class CombinedInstances(Instances):
    """The objects of several data sets, in their order.

    An image that several data sets of one image space hold (PASCAL and SBD) is taken from the
    first. Categories are joined by name.

    Args:
        sources: The data sets.
        exclude: Names of images to leave out, such as PASCAL's val split.

    Raises:
        ValueError: There are no data sets.
    """

    def __init__(self, sources: Sequence[Instances], exclude: Iterable[str] = ()) -> None:
        if not sources:
            raise ValueError("expected at least one data set to combine, got none")
        self.sources = tuple(sources)
        self.name = "+".join(source.name for source in sources)
        names = dict.fromkeys(name for source in sources for name in source.category_names)
        self.category_names = tuple(names)
        spaces = {source.image_space for source in sources}
        self.image_space = spaces.pop() if len(spaces) == 1 else ""
        chosen = _choose_images(self.sources, set(exclude))
        self._image_from = np.array([pair[:2] for pair in chosen], np.int64).reshape(-1, 2)
        self._row_from, self.index = self._join([pair[2] for pair in chosen])

    def read_image(self, image: int) -> NDArray[np.uint8]:
        source, number = self._image_from[image]
        return self.sources[source].read_image(int(number))

    def read_mask(self, row: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        source, number = self._row_from[row]
        return self.sources[source].read_mask(int(number))

    def _join(self, image_ids: list[str]) -> tuple[NDArray[np.int64], ObjectIndex]:
        """Return where each row comes from, and the joint index."""
        categories = {name: k for k, name in enumerate(self.category_names)}
        origins, tables = [], []
        for k, source in enumerate(self.sources):
            index = source.index
            new_image = np.full(len(index.image_ids), -1)
            ours = np.flatnonzero(self._image_from[:, 0] == k)
            new_image[self._image_from[ours, 1]] = ours
            new_category = np.array([*(categories[n] for n in source.category_names), -1])
            rows = np.flatnonzero(new_image[index.image] >= 0)
            part = index.take(rows)
            image, category = new_image[part.image], new_category[part.category]
            origins.append(np.column_stack([np.full_like(rows, k), rows]))
            tables.append(np.column_stack([image, part.object_id, category, part.area]))
        return np.concatenate(origins), ObjectIndex.of_rows(image_ids, np.concatenate(tables))


def _choose_images(sources: Sequence[Instances], exclude: set[str]) -> list[tuple[int, int, str]]:
    """Return (source, image, name) of every image that stays; names are unique."""
    chosen: list[tuple[int, int, str]] = []
    seen: set[tuple[str, str]] = set()
    names: set[str] = set()
    for k, source in enumerate(sources):
        space = source.image_space or f"source {k}"
        for image, name in enumerate(source.index.image_ids.tolist()):
            if name in exclude or (space, name) in seen:
                continue
            seen.add((space, name))
            unique = name if name not in names else f"{k + 1}-{name}"
            names.add(unique)
            chosen.append((k, image, unique))
    return chosen
