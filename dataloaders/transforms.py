"""From an annotated object to what the network trains on."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from dataloaders.augment import VOID_LABEL, Affine, compress_jpeg, jitter_colour, warp_labels
from dataloaders.warp import warp_crop
from dextr.geometry import RELAX, SIZE, CropWindow
from dextr.inputs import fill_heat_channel
from dextr.points import jitter_points, place_clicks, sample_extreme_points
from dextr.samples import Example, Instance


@dataclass(frozen=True)
class TransformConfig:
    """How training objects are varied. The defaults are the paper's; the last group is ours."""

    size: int = field(default=SIZE, metadata={"help": "side of the square crop in pixels"})
    relax: int = field(default=RELAX, metadata={"help": "margin around the box in image pixels"})
    pert: float = field(
        default=5, metadata={"help": "points are drawn up to this far from the extremes (crop px)"}
    )
    flip: float = field(default=0.5, metadata={"help": "probability of mirroring"})
    rotation: float = field(default=20, metadata={"help": "largest rotation in degrees"})
    scale: tuple[float, float] = field(
        default=(0.75, 1.25), metadata={"help": "smallest and largest scale"}
    )

    relax_range: tuple[int, int] | None = field(
        default=None, metadata={"help": "draw the margin from this range instead of --relax"}
    )
    click_jitter: float = field(
        default=0,
        metadata={"help": "half of the objects get clicks moved by up to this many image pixels"},
    )
    extra_points: int = field(
        default=0, metadata={"help": "half of the objects get up to this many outline points more"}
    )
    colour_jitter: float = field(
        default=0, metadata={"help": "relative change of brightness, contrast, saturation, balance"}
    )
    jpeg: float = field(default=0, metadata={"help": "probability of JPEG noise"})
    paste: float = field(
        default=0, metadata={"help": "probability of another object pasted beside"}
    )


class TrainTransform:
    """Flip, rotate, scale, crop, draw points: one object to one example.

    The image is warped once, straight into the crop; labels are warped by nearest neighbour
    into the turned frame, where the object's box is read off, and then cropped.
    """

    def __init__(self, config: TransformConfig) -> None:
        self.config = config

    def __call__(self, instance: Instance, rng: np.random.Generator) -> Example | None:
        """Return one random example; None if nothing of the object stayed in the frame."""
        config = self.config
        affine = Affine.draw(rng, config.flip, config.rotation, config.scale)
        return self.apply(instance, affine, rng)

    def apply(self, instance: Instance, affine: Affine, rng: np.random.Generator) -> Example | None:
        """Return the example for a given flip, rotation and scale."""
        config, matrix = self.config, affine.matrix(instance.hw)
        labels = warp_labels(instance, matrix)
        mask = labels == 1
        if not mask.any():
            return None
        window, clicks = self._window(mask, rng)
        cropped = window.cut(labels, cv2.INTER_NEAREST)
        target, void = cropped == 1, cropped == VOID_LABEL
        if not target.any():
            return None
        if clicks is None:
            points = sample_extreme_points(target, config.pert, rng)
        else:
            points = place_clicks(clicks, window)
        points = np.concatenate([points, self._extra_points(target, rng)])
        inputs = np.empty((4, config.size, config.size), np.float32)
        warp_crop(self._recolour(instance.image, rng), matrix, window, out=inputs[:3])
        fill_heat_channel(inputs, points)
        return Example(inputs, target, void, instance.name)

    def _window(
        self, mask: NDArray[np.bool_], rng: np.random.Generator
    ) -> tuple[CropWindow, NDArray | None]:
        config, hw = self.config, (mask.shape[0], mask.shape[1])
        relax = config.relax
        if config.relax_range:
            relax = int(rng.integers(config.relax_range[0], config.relax_range[1] + 1))
        if config.click_jitter and rng.random() < 0.5:
            extremes = sample_extreme_points(mask, 0, rng)
            noise = rng.uniform(0, config.click_jitter + 1)
            clicks = jitter_points(extremes, noise, hw, rng)
            return CropWindow.around(clicks, hw, relax, config.size), clicks
        return CropWindow.around(mask, hw, relax, config.size), None

    def _extra_points(
        self, target: NDArray[np.bool_], rng: np.random.Generator
    ) -> NDArray[np.float64]:
        most = self.config.extra_points
        if not most or rng.random() < 0.5:
            return np.empty((0, 2))
        outline = target & (cv2.erode(target.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0)
        rows, columns = np.nonzero(outline)
        drawn = rng.integers(len(rows), size=rng.integers(1, most + 1))
        return np.column_stack([columns[drawn], rows[drawn]]).astype(np.float64)

    def _recolour(self, image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        if self.config.colour_jitter:
            image = jitter_colour(image, self.config.colour_jitter, rng)
        if self.config.jpeg and rng.random() < self.config.jpeg:
            image = compress_jpeg(image, int(rng.integers(30, 96)))
        return image
