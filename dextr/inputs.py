"""Into the network and back: an object's crop becomes its input, logits become probabilities."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from dextr.geometry import Box, CropWindow
from dextr.heatmap import render_heatmap


def encode(
    image: NDArray,
    window: CropWindow,
    points_in_crop: NDArray,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Return the network's input for one object, (4, S, S): R, G, B and heat map, 0..255.

    Args:
        image: (H, W, 3), RGB, values 0..255.
        window: The object's window in that image.
        points_in_crop: (N, 2), xy, in pixels of the crop.
        out: Where to write it; None is new memory, whose first use takes as long as all the rest.
    """
    inputs = np.empty((4, window.size, window.size), np.float32) if out is None else out
    for channel in range(3):
        inputs[channel] = window.cut(image[:, :, channel], cv2.INTER_CUBIC)
    fill_heat_channel(inputs, points_in_crop)
    return inputs


def fill_heat_channel(inputs: NDArray[np.float32], points_in_crop: NDArray) -> None:
    """Write the heat map of points (N, 2), stretched to 0..255, into inputs (4, S, S)."""
    heatmap = render_heatmap(points_in_crop, inputs.shape[1:])
    low, high = heatmap.min(), heatmap.max()
    np.subtract(heatmap, low, out=inputs[3])
    inputs[3] *= 255 / max(high - low, 1e-30)


def decode(logits: NDArray, window: CropWindow, clip: bool = True) -> NDArray[np.float32]:
    """Return the probability map (H, W) in the image for logits (S, S) on the crop.

    Leading axes of length 1 are dropped; `clip` as in `CropWindow.paste`.
    """
    part, content = decode_part(logits, window, clip)
    prob = np.zeros(window.image_hw, np.float32)
    prob[part.slices()] = content
    return prob


def decode_part(
    logits: NDArray, window: CropWindow, clip: bool = True
) -> tuple[Box, NDArray[np.float32]]:
    """Return the part of the image where `decode` is not zero, and its probabilities."""
    crop = np.asarray(logits, dtype=np.float32).reshape(window.size, window.size)
    prob = 1 / (1 + np.exp(-np.clip(crop, -80, 80)))
    part, content = window.paste_part(prob, clip)
    return part, np.clip(content, 0, 1)
