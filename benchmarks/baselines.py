"""The input pipeline in the original's steps, written anew: whole arrays, one after the other.

The results are the same, up to the second interpolation in training. Their times were held against
the original's own, in one process (docs/performance.md).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from dataloaders.crops.augment import Affine
from dataloaders.crops.transforms import Place, TrainTransform
from dextr.geometry import RELAX, SIZE
from dextr.heatmap import FWHM
from dextr.points import sample_extreme_points
from dextr.samples import Example, Instance


def heat_map(points: NDArray, hw: tuple[int, int]) -> NDArray[np.float64]:
    """Return the maximum of one float64 Gaussian per point (N, 2), xy, in 0..1.

    Each is made of a row and a column of coordinates, which are broadcast: no full grids.
    """
    x, y = np.arange(hw[1], dtype=np.float64), np.arange(hw[0], dtype=np.float64)[:, None]
    heat = np.zeros(hw)
    slope = -4 * np.log(2) / FWHM**2
    for px, py in points:
        near = slope * (x - px) ** 2 + slope * (y - py) ** 2
        np.maximum(heat, np.exp(near, out=near), out=heat)
    return heat


def evaluation_input(
    instance: Instance, rng: np.random.Generator, relax: int = RELAX, size: int = SIZE
) -> NDArray[np.float32]:
    """Return the network's input (4, S, S): pad, crop, resize, points, heat map, stack."""
    box = _relaxed_box(instance.mask, relax)
    image = _crop(instance.image.astype(np.float32), box)
    mask = _crop(instance.mask.astype(np.float32), box)
    image = cv2.resize(image, (size, size), interpolation=cv2.INTER_CUBIC)
    mask = cv2.resize(mask, (size, size), interpolation=cv2.INTER_NEAREST)
    return _stack(image, sample_extreme_points(mask, 0, rng))


class StraightforwardTransform(TrainTransform):
    """The training transform on whole images: flip, then warp, then crop and resize, in float."""

    def apply(
        self, instance: Instance, affine: Affine, rng: np.random.Generator,
        place: Place | None = None,
    ) -> Example | None:  # fmt: skip
        """Return the example for a given flip, rotation and scale, always in new memory."""
        size = self.config.size
        matrix = Affine(False, affine.degrees, affine.scale).matrix(instance.hw)[:2]
        moved = []
        for field in (instance.image, instance.mask, instance.void):
            array = field.astype(np.float32)
            if affine.flip:
                array = cv2.flip(array, 1)
            way = cv2.INTER_CUBIC if array.ndim == 3 else cv2.INTER_NEAREST
            moved.append(cv2.warpAffine(array, matrix, instance.hw[::-1], flags=way))
        if not moved[1].any():
            return None
        box = _relaxed_box(moved[1], self.config.relax)
        crops = []
        for array in moved[:2]:
            way = cv2.INTER_CUBIC if array.ndim == 3 else cv2.INTER_NEAREST
            crops.append(cv2.resize(_crop(array, box), (size, size), interpolation=way))
        image, mask = crops
        if not mask.any():
            return None
        points = sample_extreme_points(mask, self.config.pert, rng)
        nothing = np.zeros(mask.shape, bool)  # it crops no void pixels: its training takes none
        example = Example(_stack(image, points), mask > 0, nothing, instance.name)
        if place:
            for name in ("inputs", "target", "void"):
                np.copyto(getattr(place, name), getattr(example, name))
        return example


def _relaxed_box(mask: NDArray, relax: int) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(mask)
    return (
        int(columns.min()) - relax, int(rows.min()) - relax,
        int(columns.max()) + relax + 1, int(rows.max()) + relax + 1,
    )  # fmt: skip


def _crop(array: NDArray, box: tuple[int, int, int, int]) -> NDArray:
    """Return what lies in the box (x0, y0, x1, y1; half-open), zero outside the array."""
    x0, y0, x1, y1 = box
    height, width = array.shape[:2]
    content = np.zeros((y1 - y0, x1 - x0, *array.shape[2:]), array.dtype)
    left, top, right, bottom = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
    content[top - y0 : bottom - y0, left - x0 : right - x0] = array[top:bottom, left:right]
    return content


def _stack(image: NDArray, points: NDArray) -> NDArray[np.float32]:
    heat = heat_map(points, (image.shape[0], image.shape[1])).astype(np.float32)
    heat = 255 * (heat - heat.min()) / (heat.max() - heat.min())
    return np.concatenate([image, heat[:, :, None]], axis=2).transpose(2, 0, 1)
