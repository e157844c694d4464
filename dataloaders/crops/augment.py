"""Random changes of a training object: parameters are drawn once, then applied to every field."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from dextr.common.errors import UserError
from dextr.common.label_png import VOID_LABEL
from dextr.common.options import PROBABILITY, whole
from dextr.geometry import Box
from dextr.samples import Instance

QUALITIES = whole(1, 100)


@dataclass(frozen=True)
class Affine:
    """Left and right mirrored, then turned (anti-clockwise) and enlarged about (w/2, h/2).

    The point is the published one.

    Raises:
        ValueError: The angle is not finite, or the scale not above 0.
    """

    flip: bool = False
    degrees: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.degrees) and 0 < self.scale < math.inf):
            raise UserError(f"expected a finite angle and a scale above 0, got {self}")

    @classmethod
    def draw(
        cls, rng: np.random.Generator, flip: float, rotation: float, scale: tuple[float, float]
    ) -> Affine:
        """Draw a flip with probability `flip`, degrees in -rotation..rotation, a scale."""
        return cls(rng.random() < flip, rng.uniform(-rotation, rotation), rng.uniform(*scale))

    def matrix(self, hw: tuple[int, int]) -> NDArray[np.float64]:
        """Return the (3, 3) map of homogeneous xy pixel indices from the image to its new frame."""
        height, width = hw
        turn = np.eye(3)
        turn[:2] = cv2.getRotationMatrix2D((width / 2, height / 2), self.degrees, self.scale)
        mirror = np.array([[-1.0, 0, width - 1], [0, 1, 0], [0, 0, 1]]) if self.flip else np.eye(3)
        return turn @ mirror


def warp_labels(instance: Instance, matrix: NDArray) -> NDArray[np.uint8]:
    """Return (H, W) labels in the new frame: 0 background, 1 the object, 255 void."""
    labels = instance.mask.astype(np.uint8)
    labels[instance.void] = VOID_LABEL
    size = (labels.shape[1], labels.shape[0])
    return cv2.warpAffine(labels, matrix[:2], size, flags=cv2.INTER_NEAREST)


def jitter_colour(
    image: NDArray[np.uint8], strength: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Return an image (H, W, 3) of other brightness, contrast, saturation and white balance.

    Each changes relatively by up to `strength`, such as 0.4; one outside 0..1 is a ValueError.
    """
    if strength not in PROBABILITY:
        raise UserError(f"expected a relative change, {PROBABILITY}, got {strength!r}")
    contrast, saturation = 1 + rng.uniform(-strength, strength, 2)
    brightness = 128 * rng.uniform(-strength, strength) * 0.5
    balance = contrast * (1 + rng.uniform(-strength, strength, 3) * 0.25)
    grey_weights = np.array([0.299, 0.587, 0.114])
    mix = saturation * np.eye(3) + (1 - saturation) * grey_weights
    shift = 128 * (1 - balance) + brightness
    return cv2.transform(image, np.column_stack([balance[:, None] * mix, shift]))


def compress_jpeg(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Return the image after JPEG compression at that quality, 1..100; else a ValueError."""
    if quality not in QUALITIES:
        raise UserError(f"expected a quality, {QUALITIES}, got {quality!r}")
    encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR))


def paste_beside(
    instance: Instance, other: Instance, rng: np.random.Generator, most_hidden: float = 0.3
) -> Instance:
    """Return the object with another one pasted beside, before or behind it.

    Two objects in one crop make the extreme points matter. The other object is resized to 0.5 to
    1.5 times the object's box and centred near that box's rim. Where it would cover more than the
    share `most_hidden` of the object, it is put behind.
    """
    box, source = Box.of_mask(instance.mask), Box.of_mask(other.mask)
    factor = rng.uniform(0.5, 1.5) * max(box.hw) / max(source.hw)
    height, width = (max(2, round(side * factor)) for side in source.hw)
    if max(height, width) > 4 * max(instance.hw):
        return instance
    angle = rng.uniform(0, 2 * np.pi)
    reach = rng.uniform(0.5, 1.1)
    x = round((box.x0 + box.x1) / 2 + reach * box.hw[1] * np.cos(angle) - width / 2)
    y = round((box.y0 + box.y1) / 2 + reach * box.hw[0] * np.sin(angle) - height / 2)
    if not (-width < x < instance.hw[1] and -height < y < instance.hw[0]):
        return instance
    target = Box(x, y, x + width, y + height)
    seen = target.inside(instance.hw)
    spot, cut = seen.slices(), seen.slices(target)
    colours = cv2.resize(other.image[source.slices()], (width, height))[cut]
    shape = other.mask[source.slices()].astype(np.uint8)
    shape = cv2.resize(shape, (width, height), interpolation=cv2.INTER_NEAREST)[cut] != 0

    hidden = np.count_nonzero(shape & instance.mask[spot])
    if hidden > most_hidden * np.count_nonzero(instance.mask) or rng.random() < 0.5:
        shape = shape & ~instance.mask[spot]
    image, mask, void = instance.image.copy(), instance.mask.copy(), instance.void.copy()
    image[spot][shape] = colours[shape]
    mask[spot][shape] = void[spot][shape] = False
    return replace(instance, image=image, mask=mask, void=void)
