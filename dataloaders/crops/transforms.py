"""From an annotated object to what the network trains on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dataloaders.crops.augment import Affine, compress_jpeg, jitter_colour, warp_labels
from dextr.common.label_png import VOID_LABEL
from dextr.common.options import PROBABILITY, Checked, option, real, whole
from dextr.geometry import MARGINS, RELAX, SHARES, SIZE, SIZES, Box, CropWindow, Margin, plain_relax
from dextr.inputs import fill_heat_channel
from dextr.points import jitter_points, outline, place_clicks, sample_extreme_points
from dextr.samples import Example, Instance

# With less memory in use at a time, the system is not asked for new pages again and again.
STRIP_ROWS = 256
CUBIC_REACH = 2


@dataclass(frozen=True)
class TransformConfig(Checked):
    """How training objects are varied. The defaults are the paper's; the last group is ours."""

    size: int = option(SIZE, "side of the square crop in pixels", SIZES)
    relax: int = option(RELAX, "margin around the box in image pixels", MARGINS)
    pert: float = option(
        5, "points are drawn up to this far from the extremes (crop px)", real(0, 100)
    )
    flip: float = option(0.5, "probability of mirroring", PROBABILITY)
    rotation: float = option(20, "largest rotation in degrees", real(0, 180))
    scale: tuple[float, float] = option((0.75, 1.25), "smallest and largest scale", real(0.01, 100))

    relax_share: float = option(
        0.0, "margin as a share of the box's longer side, where it is more", SHARES
    )
    relax_range: tuple[int, int] | None = option(
        None, "draw the margin from this range instead of --relax", MARGINS
    )
    relax_share_range: tuple[float, float] | None = option(
        None, "draw the share from this range instead of --relax-share", SHARES
    )
    click_jitter: float = option(
        0, "half of the objects get clicks moved by up to this many image pixels", real(0, 1000)
    )
    extra_points: int = option(
        0, "half of the objects get up to this many outline points more", whole(0, 1000)
    )
    colour_jitter: float = option(
        0, "relative change of brightness, contrast, saturation, balance", PROBABILITY
    )
    jpeg: float = option(0, "probability of JPEG noise", PROBABILITY)
    paste: float = option(0, "probability of another object pasted beside", PROBABILITY)

    @property
    def margin(self) -> int | dict[str, Any]:
        """The margin that the trained network is used with, as weights and checkpoints say it."""
        share = self.relax_share
        return plain_relax(Margin(self.relax, share) if share else self.relax)


@dataclass(frozen=True)
class Place:
    """Memory that an example is written into: arrays as in `Example`."""

    inputs: NDArray[np.float32]
    target: NDArray[np.bool_]
    void: NDArray[np.bool_]

    @classmethod
    def new(cls, size: int) -> Place:
        """Return new memory, whose first use takes longer than the example."""
        flat = (size, size)
        return cls(np.empty((4, *flat), np.float32), np.empty(flat, bool), np.empty(flat, bool))


@dataclass(frozen=True)
class TrainTransform:
    """Flip, rotate, scale, crop, draw points: one object to one example.

    The image is warped once, straight into the crop; labels are warped by nearest neighbour
    into the turned frame, where the object's box is read off, and then cropped.
    """

    config: TransformConfig

    def __call__(
        self, instance: Instance, rng: np.random.Generator, place: Place | None = None
    ) -> Example | None:
        """Return one random example; None if nothing of the object stayed in the frame."""
        k = self.config
        return self.apply(instance, Affine.draw(rng, k.flip, k.rotation, k.scale), rng, place)

    def apply(
        self, instance: Instance, affine: Affine, rng: np.random.Generator,
        place: Place | None = None,
    ) -> Example | None:  # fmt: skip
        """Return the example for a given flip, rotation and scale, in a place or in new memory."""
        config, matrix = self.config, affine.matrix(instance.hw)
        labels = warp_labels(instance, matrix)
        mask = labels == 1
        if not mask.any():
            return None
        window, clicks = self._window(mask, rng)
        cropped = window.cut(labels, cv2.INTER_NEAREST)
        if not (cropped == 1).any():
            return None
        place = place or Place.new(config.size)
        target = np.equal(cropped, 1, out=place.target)
        np.equal(cropped, VOID_LABEL, out=place.void)
        if clicks is None:
            points = sample_extreme_points(target, config.pert, rng)
        else:
            points = place_clicks(clicks, window)
        points = np.concatenate([points, self._extra_points(target, rng)])
        warp_crop(self._recolour(instance.image, rng), matrix, window, out=place.inputs[:3])
        fill_heat_channel(place.inputs, points)
        return Example(place.inputs, target, place.void, instance.name)

    def _window(
        self, mask: NDArray[np.bool_], rng: np.random.Generator
    ) -> tuple[CropWindow, NDArray | None]:
        config, pixels, share = self.config, self.config.relax, self.config.relax_share
        if config.relax_range:
            pixels = int(rng.integers(*config.relax_range, endpoint=True))
        if config.relax_share_range:
            share = float(rng.uniform(*config.relax_share_range))
        relax = Margin(pixels, share)
        if config.click_jitter and rng.random() < 0.5:
            extremes = sample_extreme_points(mask, 0, rng)
            hw = (mask.shape[0], mask.shape[1])
            clicks = jitter_points(extremes, rng.uniform(0, config.click_jitter + 1), hw, rng)
            return CropWindow.around_points(clicks, hw, relax, config.size), clicks
        return CropWindow.around_mask(mask, relax, config.size), None

    def _extra_points(
        self, target: NDArray[np.bool_], rng: np.random.Generator
    ) -> NDArray[np.float64]:
        most = self.config.extra_points
        if not most or rng.random() < 0.5:
            return np.empty((0, 2))
        rows, columns = np.nonzero(outline(target))
        drawn = rng.integers(len(rows), size=rng.integers(1, most + 1))
        return np.column_stack([columns[drawn], rows[drawn]]).astype(np.float64)

    def _recolour(self, image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        if self.config.colour_jitter:
            image = jitter_colour(image, self.config.colour_jitter, rng)
        if self.config.jpeg and rng.random() < self.config.jpeg:
            image = compress_jpeg(image, int(rng.integers(30, 96)))
        return image


def warp_crop(
    image: NDArray[np.uint8], matrix: NDArray, window: CropWindow, out: NDArray[np.float32]
) -> None:
    """Write the window's crop of a moved image (H, W, 3) into `out` (3, S, S).

    The matrix (3, 3) maps the image's pixel indices, xy, to the frame that the window is one of;
    what lies outside the frame is zero.
    """
    x_scale, y_scale = window.scale
    x_shift, y_shift = window.to_crop(np.zeros((1, 2)))[0]
    to_crop = np.array([[x_scale, 0, x_shift], [0, y_scale, y_shift], [0, 0, 1]]) @ matrix
    height, width = window.image_hw
    rim = window.to_crop(np.array([[-0.5, -0.5], [width - 0.5, height - 0.5]]))
    x0, y0 = np.ceil(rim[0]).astype(int).clip(0).tolist()
    x1, y1 = (np.floor(rim[1]).astype(int) + 1).clip(None, window.size).tolist()
    out.fill(0)
    for top in range(y0, y1, STRIP_ROWS):
        strip = Box(x0, top, x1, min(top + STRIP_ROWS, y1))
        rows, columns = strip.slices()
        out[:, rows, columns] = _warp_into(image, to_crop, strip).transpose(2, 0, 1)


def _warp_into(image: NDArray[np.uint8], matrix: NDArray, box: Box) -> NDArray[np.float32]:
    """Return what lies in a box of the moved image; only what it shows becomes float."""
    corners = np.array([[x, y, 1] for x in (box.x0, box.x1 - 1) for y in (box.y0, box.y1 - 1)])
    shown = (np.linalg.inv(matrix) @ corners.T)[:2]
    low = np.floor(shown.min(axis=1)) - CUBIC_REACH
    high = np.ceil(shown.max(axis=1)) + CUBIC_REACH + 1
    (x0, y0), (x1, y1) = np.clip([low, high], 0, image.shape[1::-1]).astype(int)
    height, width = box.hw
    if x0 == x1 or y0 == y1:
        return np.zeros((height, width, 3), np.float32)
    moved = matrix[:2].copy()
    moved[:, 2] += moved[:, :2] @ (x0, y0) - (box.x0, box.y0)
    part = image[y0:y1, x0:x1].astype(np.float32)
    return cv2.warpAffine(part, moved, (width, height), flags=cv2.INTER_CUBIC)
