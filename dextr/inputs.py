"""Into the network and back: an object's crop becomes its input, logits become probabilities."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from dextr.geometry import Box, CropWindow
from dextr.heatmap import render_heatmap
from dextr.points import SIDES, marking_sides

# Logits beyond it are as good as certain, and exp() cannot overflow.
LOGIT_RANGE = 80
# How far from a piece of the mask a click still touches it, in pixels of the crop.
REACH = 2


def encode(
    image: NDArray,
    window: CropWindow,
    points_in_crop: NDArray,
    look_twice: bool = False,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Return the network's input for one object, (4, S, S): R, G, B and heat map, 0..255.

    Args:
        image: (H, W, 3), RGB, values 0..255.
        window: The object's window in that image.
        points_in_crop: (N, 2), xy, in pixels of the crop.
        look_twice: Keep what is not one of the four extreme points apart, in the heat map of a
            fifth channel: (5, S, S).
        out: Where to write it; None is new memory, whose first use takes as long as all the rest.
    """
    shape = (4 + look_twice, window.size, window.size)
    inputs = np.empty(shape, np.float32) if out is None else out
    inputs[4:] = 0
    for channel in range(3):
        inputs[channel] = window.cut(image[:, :, channel], cv2.INTER_CUBIC)
    if look_twice and len(points_in_crop) > len(SIDES):
        extremes = marking_sides(points_in_crop)
        fill_heat_channel(inputs, np.delete(points_in_crop, extremes, axis=0), 4)
        points_in_crop = points_in_crop[extremes]
    fill_heat_channel(inputs, points_in_crop)
    return inputs


def fill_heat_channel(
    inputs: NDArray[np.float32], points_in_crop: NDArray, channel: int = 3
) -> None:
    """Write the heat map of points (N, 2), stretched to 0..255, into a channel of (C, S, S)."""
    heatmap = render_heatmap(points_in_crop, inputs.shape[1:])
    low, high = heatmap.min(), heatmap.max()
    np.subtract(heatmap, low, out=inputs[channel])
    inputs[channel] *= 255 / max(high - low, 1e-30)


def drop_loose_pieces(
    logits: NDArray[np.float32], points_in_crop: NDArray, threshold: float, share: float
) -> NDArray[np.float32]:
    """Return logits (S, S) without the mask's small pieces that no click touches.

    A piece (of pixels that touch, corners included) goes if it is smaller than this `share` of the
    whole mask, is not the largest, and no click (N, 2), xy, lies within two pixels of it. Its
    logits become so low that it is in no mask. Not in the paper.
    """
    with np.errstate(divide="ignore"):
        mask = logits > np.log(threshold) - np.log1p(-threshold)
    _, labels, found, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    areas = found[1:, cv2.CC_STAT_AREA]
    if len(areas) < 2:
        return logits
    kept = (areas >= share * areas.sum()) | (np.arange(len(areas)) == areas.argmax())
    for x, y in np.floor(np.asarray(points_in_crop) + 0.5).astype(int):
        near = labels[max(y - REACH, 0) : y + REACH + 1, max(x - REACH, 0) : x + REACH + 1]
        kept[near[near > 0] - 1] = True
    return np.where(np.append(True, kept)[labels], logits, np.float32(-LOGIT_RANGE))


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
    prob = 1 / (1 + np.exp(-np.clip(crop, -LOGIT_RANGE, LOGIT_RANGE)))
    part, content = window.paste_part(prob, clip)
    return part, np.clip(content, 0, 1)
