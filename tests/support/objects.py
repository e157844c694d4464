"""What an object index should hold, counted pixel by pixel, and whether images agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dataloaders.instances import Instances

Row = tuple[int, int, int, int]


def rows_of(instances: Instances) -> list[Row]:
    """Return a data set's index as (image, object_id, category, area) rows."""
    index = instances.index
    columns = (index.image, index.object_id, index.category, index.area)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def slow_rows(
    label_maps: Sequence[NDArray[np.uint8]], class_maps: Sequence[NDArray[np.uint8]] | None = None
) -> list[Row]:
    """Return the same for label maps (0 ground, 255 void), one pixel at a time.

    With class maps an object's category is the class of most of its pixels, ground and void not
    counted, less 1; else -1.
    """
    rows = []
    for image, labels in enumerate(label_maps):
        classes = labels if class_maps is None else class_maps[image]
        pixels = list(zip(labels.ravel().tolist(), classes.ravel().tolist(), strict=True))
        for label in sorted({label for label, _ in pixels} - {0, 255}):
            own = Counter(kind for other, kind in pixels if other == label)
            known = Counter({kind: n for kind, n in own.items() if kind not in (0, 255)})
            category = known.most_common(1)[0][0] - 1 if known and class_maps else -1
            rows.append((image, label, category, own.total()))
    return rows


def close(image: NDArray[np.uint8], drawn: NDArray[np.uint8]) -> bool:
    """Return whether an image is what was drawn, up to what JPEG loses."""
    if image.shape != drawn.shape:
        return False
    return float(np.abs(image.astype(np.float64) - drawn).mean()) < 10
