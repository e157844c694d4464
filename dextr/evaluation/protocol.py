"""What decides a score besides network and data: the points, and how results are read."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from dextr.common.errors import UserError
from dextr.common.options import SEEDS, real
from dextr.geometry import CropWindow, Relax
from dextr.metrics import TOLERANCE
from dextr.points import jitter_points, place_clicks, sample_extreme_points
from dextr.samples import THRESHOLD, Instance, check_threshold

POINTS = ("crop", "image")
PROTOCOLS = ("paper", "released")
NOISE = real(0, 1000)


@dataclass(frozen=True)
class EvaluationSettings:
    """Everything besides network and data that decides a score.

    Attributes:
        points: `crop` finds the extreme points on the resized crop's mask, as released; `image`
            takes extreme pixels of the image's mask as an annotator's clicks (so does `crop`
            for the rare object that vanishes on a coarse crop).
        noise: With `image`, each click is moved by a whole number of pixels up to this, along x
            and y. The crop is then the clicks', not the object's.
        protocol: How probabilities are read: `paper` as they are, `released` stretched as the
            released code did; see `stretched`.
        thresholds: Probabilities above which a pixel is the object's; the first one counts.
        boundary: Tolerance of the boundary F measure; None leaves it out.
        seed: Of the points: which of several extreme pixels, and the noise.
    """

    points: str = "crop"
    noise: float = 0.0
    protocol: str = "paper"
    thresholds: tuple[float, ...] = (THRESHOLD,)
    boundary: float | None = TOLERANCE
    seed: int = 0

    def __post_init__(self) -> None:
        for name, choices in (("points", POINTS), ("protocol", PROTOCOLS)):
            if (value := getattr(self, name)) not in choices:
                raise UserError(f"{name} must be one of {', '.join(choices)}; got {value!r}")
        if self.noise not in NOISE or (self.noise and self.points != "image"):
            raise UserError(
                f"expected click noise in pixels, {NOISE}, and 0 unless points are found in the "
                f"image; got {self.noise} with points {self.points!r}"
            )
        if self.seed not in SEEDS or not self.thresholds:
            raise UserError(f"expected a seed, {SEEDS}, and at least one threshold")
        for threshold in self.thresholds:
            check_threshold(threshold)


@dataclass(frozen=True)
class SimulatedClicks:
    """An object and where an annotator clicks on it.

    Attributes:
        row: The object's row in its data set; `window` is its crop.
        in_crop: (N, 2), xy, in pixels of the crop: the extreme points, then any further ones.
        points: (N, 2), xy, the same in the image.
    """

    row: int
    instance: Instance
    window: CropWindow
    in_crop: NDArray[np.float64]
    points: NDArray[np.float64]


def simulate_clicks(
    row: int, instance: Instance, settings: EvaluationSettings,
    relax: Relax, size: int, further: ArrayLike = (),
) -> SimulatedClicks:  # fmt: skip
    """Simulate the clicks on an object, always the same for the same object and seed.

    The crop has a margin of `relax` pixels of the image and a side of `size`; `further`, (K, 2),
    xy, in the image, are clicked after the extreme points.

    Raises:
        ValueError: The object's mask is empty; the message names it.
    """
    if not instance.mask.any():
        raise UserError(f"{instance.name}: the object's mask is empty")
    added = np.asarray(further, dtype=np.float64).reshape(-1, 2)
    rng = np.random.default_rng([settings.seed, zlib.crc32(instance.name.encode())])
    if settings.points == "crop":
        window = CropWindow.around(instance.mask, instance.hw, relax, size)
        target = window.cut(instance.mask, cv2.INTER_NEAREST)
        if target.any():
            extremes = sample_extreme_points(target, 0, rng)
            placed = np.floor(window.to_crop(added) + 0.5).clip(0, size - 1)
            in_crop = np.concatenate([extremes, placed])
            points = np.concatenate([window.to_image(extremes), added])
            return SimulatedClicks(row, instance, window, in_crop, points)
    aims = np.concatenate([sample_extreme_points(instance.mask, 0, rng), added])
    points = jitter_points(aims, settings.noise, instance.hw, rng)
    window = CropWindow.around(points, instance.hw, relax, size)
    return SimulatedClicks(row, instance, window, place_clicks(points, window), points)


def stretched(prob: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return a probability map as the released evaluation read it back from its 8-bit file.

    Minimum..maximum are stretched to 0..255, rounded (halves up) and divided by 255. As the map
    is zero outside the object's box, a threshold t acts like t times the map's maximum. A
    constant map becomes zero.
    """
    low, high = float(prob.min()), float(prob.max())
    if high == low:
        return np.zeros(prob.shape)
    return np.floor((prob.astype(np.float64) - low) * (255 / (high - low)) + 0.5) / 255
