"""Into the network and back: an object's crop becomes its input, logits become probabilities."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from dextr.geometry import CropWindow
from dextr.heatmap import render_heatmap


def encode(image: NDArray, window: CropWindow, points_in_crop: NDArray) -> NDArray[np.float32]:
    """Return the network's input for one object.

    Args:
        image: (H, W, 3), RGB, values 0..255.
        window: The object's window in that image.
        points_in_crop: (N, 2), xy, in pixels of the crop.

    Returns:
        (4, S, S): R, G, B and the heat map stretched to 0..255.
    """
    return stack_channels(window.cut(image, cv2.INTER_CUBIC), points_in_crop)


def stack_channels(crop: NDArray, points_in_crop: NDArray) -> NDArray[np.float32]:
    """Return a resized crop (S, S, 3) and the heat map of its points as (4, S, S)."""
    inputs = np.empty((4, *crop.shape[:2]), np.float32)
    inputs[:3] = crop.transpose(2, 0, 1)
    heatmap = render_heatmap(points_in_crop, crop.shape[:2])
    low, high = heatmap.min(), heatmap.max()
    np.multiply(heatmap - low, 255 / max(high - low, 1e-30), out=inputs[3])
    return inputs


def decode(logits: NDArray, window: CropWindow, clip: bool = True) -> NDArray[np.float32]:
    """Return the probability map (H, W) in the image for logits (S, S) on the crop.

    Args:
        logits: (S, S), or with leading axes of length 1.
        window: The window the input was cut with.
        clip: Leave zero what lies outside the object's tight box, as published.
    """
    crop = np.asarray(logits, dtype=np.float32).reshape(window.size, window.size)
    prob = 1 / (1 + np.exp(-np.clip(crop, -80, 80)))
    pasted = window.paste(prob, clip)
    return np.clip(pasted, 0, 1, out=pasted)
