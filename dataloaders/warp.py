"""One warp from an image straight into a crop."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from dextr.geometry import Box, CropWindow

# With less memory in use at a time, the system is not asked for new pages again and again.
STRIP_ROWS = 256
CUBIC_REACH = 2


def warp_crop(
    image: NDArray[np.uint8], matrix: NDArray, window: CropWindow, out: NDArray[np.float32]
) -> None:
    """Write the crop of an image that is moved by `matrix` into the window's frame.

    Args:
        image: (H, W, 3).
        matrix: (3, 3) from the image's pixel indices, xy, to the frame's.
        window: A window of the frame; what lies outside the frame is zero.
        out: (3, S, S), filled.
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
    x, y, _ = np.linalg.inv(matrix) @ corners.T
    left, right = np.floor(x.min()) - CUBIC_REACH, np.ceil(x.max()) + CUBIC_REACH + 1
    top, bottom = np.floor(y.min()) - CUBIC_REACH, np.ceil(y.max()) + CUBIC_REACH + 1
    x0, x1 = np.clip([left, right], 0, image.shape[1]).astype(int)
    y0, y1 = np.clip([top, bottom], 0, image.shape[0]).astype(int)
    height, width = box.hw
    if x0 == x1 or y0 == y1:
        return np.zeros((height, width, 3), np.float32)
    moved = matrix[:2].copy()
    moved[:, 2] += moved[:, :2] @ (x0, y0) - (box.x0, box.y0)
    part = image[y0:y1, x0:x1].astype(np.float32)
    return cv2.warpAffine(part, moved, (width, height), flags=cv2.INTER_CUBIC)
