"""An image of any size in matplotlib axes, quickly."""

from __future__ import annotations

import cv2
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from dextr.visualize import overlay

SCREEN = 1600


class ImageView:
    """Shows the visible part of a picture (H, W, 3), RGB, reduced to what a screen can show.

    Left to itself matplotlib resamples the whole picture each time it draws, which takes half a
    second for a photo of 12 million pixels. The axes' coordinates become pixel indices.
    """

    def __init__(self, axes: Axes, picture: NDArray[np.uint8]) -> None:
        self.axes = axes
        self._artist = axes.imshow(picture[:1, :1])
        axes.autoscale(False)
        axes.set_axis_off()
        self.show_whole(picture)
        for change in ("xlim_changed", "ylim_changed"):
            axes.callbacks.connect(change, lambda _: self._update())

    def show(
        self, picture: NDArray[np.uint8], mask: NDArray[np.bool_] | None = None, number: int = 1
    ) -> None:
        """Show another picture of the same size, at the same place.

        A mask (H, W) is laid over it in the colour of object `number`.
        """
        self.picture, self._mask, self._number = picture, mask, number
        self._update()

    def show_whole(self, picture: NDArray[np.uint8]) -> None:
        """Show all of another picture of any size."""
        height, width = picture.shape[:2]
        self.picture, self._mask, self._number = picture, None, 1
        self.axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
        # Otherwise a click before the next drawing would land beside its pixel.
        self.axes.apply_aspect()
        self._update()

    def _update(self) -> None:
        height, width = self.picture.shape[:2]
        x0, x1 = _pixels(self.axes.get_xlim(), width)
        y0, y1 = _pixels(self.axes.get_ylim(), height)
        part = _reduced(self.picture[y0:y1, x0:x1])
        if self._mask is not None:
            mask = _reduced(self._mask[y0:y1, x0:x1].view(np.uint8))
            part = overlay(part, [mask], first=self._number, outline=False)
        self._artist.set_data(part)
        self._artist.set_extent((x0 - 0.5, x1 - 0.5, y1 - 0.5, y0 - 0.5))


def _reduced(part: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a part of a picture or mask with no more pixels than a screen shows."""
    height, width = part.shape[:2]
    scale = SCREEN / max(height, width)
    if scale >= 1:
        return part
    size = max(1, round(scale * width)), max(1, round(scale * height))
    return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)


def _pixels(limits: tuple[float, float], length: int) -> tuple[int, int]:
    """Return the half-open range of pixels that axis limits show, at least one pixel."""
    low, high = sorted(limits)
    first = int(np.clip(np.floor(low + 0.5), 0, length - 1))
    last = int(np.clip(np.ceil(high + 0.5), first + 1, length))
    return first, last
