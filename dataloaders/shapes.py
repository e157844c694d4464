"""Synthetic objects, made on the fly: textured blobs on a textured background; no download."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from dataloaders.instances import Instances, ObjectIndex
from dextr.common.errors import UserError

OBJECTS_PER_IMAGE = 3


class ShapesInstances(Instances):
    """`count` textured objects, up to three in an image of size `hw`, the same for a seed."""

    category_names = ("shape",)

    def __init__(self, count: int = 200, seed: int = 0, hw: tuple[int, int] = (240, 320)) -> None:
        if count < 1:
            raise UserError(f"expected at least 1 object, got {count}")
        self.name, self.seed, self.hw = "shapes", seed, hw
        rows: list[tuple[int, int, int, int]] = []
        images = 0
        while len(rows) < count:
            areas = np.bincount(self._scene(images)[1].ravel()).tolist()
            rows += [(images, k, 0, area) for k, area in enumerate(areas) if k and area]
            images += 1
        self.index = ObjectIndex.of_rows([f"{i:06d}" for i in range(images)], rows[:count])

    def read_image(self, image: int) -> NDArray[np.uint8]:
        return self._scene(image)[0]

    def read_mask(self, row: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        labels = self._scene(int(self.index.image[row]))[1]
        return labels == self.index.object_id[row], np.zeros(self.hw, bool)

    def _scene(self, image: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        return draw_scene(self.seed, image, self.hw)


@lru_cache(maxsize=4)
def draw_scene(
    seed: int, number: int, hw: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return an image (H, W, 3) and its labels (H, W): 0 background, 1.. objects, later on top."""
    rng = np.random.default_rng([seed, number])
    image = _texture(rng, hw)
    labels = np.zeros(hw, np.uint8)
    for label in range(1, OBJECTS_PER_IMAGE + 1):
        shape = _blob(rng, hw)
        image = np.where(shape[:, :, None], _texture(rng, hw), image)
        labels[shape] = label
    noise = rng.normal(0, 4, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8), labels


def _texture(rng: np.random.Generator, hw: tuple[int, int]) -> NDArray[np.float32]:
    grid = rng.normal(0, 1, (int(rng.integers(2, 40)), int(rng.integers(2, 40)), 3))
    waves = cv2.resize(grid.astype(np.float32), (hw[1], hw[0]), interpolation=cv2.INTER_CUBIC)
    colour = rng.uniform(30, 225, 3).astype(np.float32)
    return colour + rng.uniform(5, 40) * waves


def _blob(rng: np.random.Generator, hw: tuple[int, int]) -> NDArray[np.bool_]:
    angles = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    radius = np.ones_like(angles)
    for wave in range(2, 7):
        radius += rng.normal(0, 0.35 / wave) * np.cos(wave * angles + rng.uniform(0, 2 * np.pi))
    size = rng.uniform(0.06, 0.35) * min(hw) * np.maximum(radius, 0.15)
    stretch, tilt = rng.uniform(0.5, 2), rng.uniform(0, np.pi)
    x, y = size * np.cos(angles) * np.sqrt(stretch), size * np.sin(angles) / np.sqrt(stretch)
    centre = rng.uniform(0.1, 0.9, 2) * (hw[1], hw[0])
    turn = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
    outline = np.column_stack([x, y]) @ turn.T + centre
    canvas = np.zeros(hw, np.uint8)
    cv2.fillPoly(canvas, [np.rint(outline).astype(np.int32)], 1)
    return canvas != 0
