"""Random objects, and a data set made of a list."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from dataloaders.instances import Instances, ObjectIndex
from dextr.samples import Instance, Prediction


def random_mask(
    rng: np.random.Generator, hw: tuple[int, int] = (300, 400), size: int | None = None
) -> NDArray[np.bool_]:
    """Draw an object of about `size` pixels (random: 1 to 250): an ellipse, a polygon or a line."""
    height, width = hw
    size = int(rng.integers(1, 251)) if size is None else size
    x, y = int(rng.integers(width)), int(rng.integers(height))
    mask = np.zeros(hw, np.uint8)
    kind = rng.integers(10)
    if kind == 0:
        mask[max(y - size // 2, 0) : y + size // 2 + 1, x] = 1
    elif kind == 1:
        mask[y, max(x - size // 2, 0) : x + size // 2 + 1] = 1
    elif kind < 6:
        axes = size // 2, int(size * rng.uniform(0.15, 0.5))
        cv2.ellipse(mask, (x, y), axes, rng.uniform(0, 180), 0, 360, 1, -1)
    else:
        corners = np.array([x, y]) + rng.integers(-(size // 2), size // 2 + 1, (6, 2))
        cv2.fillPoly(mask, [corners.astype(np.int32)], 1)
    mask[y, x] = 1
    return mask != 0


def random_instance(
    rng: np.random.Generator, hw: tuple[int, int] = (60, 80), number: int = 1, size: int = 30
) -> Instance:
    """Draw an object with a random image and a void band of random width below it."""
    mask = random_mask(rng, hw, size)
    reach = 2 * int(rng.integers(3)) + 1
    void = cv2.dilate(mask.astype(np.uint8), np.ones((reach, 1), np.uint8)).astype(bool) & ~mask
    image = rng.integers(0, 256, (*hw, 3)).astype(np.uint8)
    return Instance(image, mask, void, f"image{number // 2}", number, number % 3)


class ListInstances(Instances):
    """Instances held in memory; two neighbours share an image name, as `random_instance` has it.

    Args:
        instances: In the order of their images.
        category_names: Names by category index.
    """

    def __init__(
        self, instances: list[Instance], category_names: tuple[str, ...] = ("a", "b", "c")
    ) -> None:
        self.name = "list"
        self.category_names = category_names
        self.instances = instances
        names = list(dict.fromkeys(i.image_id for i in instances))
        rows = [
            (names.index(i.image_id), i.object_id, i.category, int(i.mask.sum())) for i in instances
        ]
        self.index = ObjectIndex.of_rows(names, rows)

    def read_image(self, image: int) -> NDArray[np.uint8]:
        return self.instances[int(np.searchsorted(self.index.image, image))].image

    def read_mask(self, row: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        return self.instances[row].mask, self.instances[row].void


class GivenPrediction(Prediction):
    """A prediction made of probabilities in the image, (H, W), instead of logits on the crop."""

    @property
    def prob(self) -> NDArray[np.float32]:
        return self.logits

    @property
    def mask(self) -> NDArray[np.bool_]:
        return self.logits > self.threshold
