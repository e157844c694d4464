"""The warp in strips, against one warp of the whole image."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataloaders.augment import Affine
from dataloaders.warp import STRIP_ROWS, warp_crop
from dextr.geometry import Box, CropWindow


def crop_of(image, matrix, window):
    out = np.full((3, window.size, window.size), np.nan, np.float32)
    warp_crop(image, matrix, window, out)
    return out.transpose(1, 2, 0)


def whole_warp(image, matrix, window):
    """The crop by one warp of the whole image; what lies outside the frame is set to zero."""
    step = window.to_crop(np.array([[0, 0], [1, 1]]))
    scale = step[1] - step[0]
    to_crop = np.array([[scale[0], 0, step[0, 0]], [0, scale[1], step[0, 1]], [0, 0, 1]]) @ matrix
    side = (window.size, window.size)
    crop = cv2.warpAffine(image.astype(np.float32), to_crop[:2], side, flags=cv2.INTER_CUBIC)
    rows, columns = np.indices(side)
    pixels = window.to_image(np.column_stack([columns.ravel(), rows.ravel()]))
    low, high = -0.5 - 1e-9, np.array(window.image_hw[::-1]) - 0.5 + 1e-9
    inside = ((pixels >= low) & (pixels <= high)).all(axis=1).reshape(side)
    return crop * inside[:, :, None]


def smooth_image(hw=(90, 120)):
    rows, columns = np.indices(hw)
    return np.stack([2 * rows, 2 * columns, rows + columns], axis=2).astype(np.uint8)


@given(
    st.booleans(),
    st.floats(-20, 20),
    st.floats(0.75, 1.25),
    st.integers(0, 119),
    st.integers(0, 89),
    st.integers(1, 60),
    st.integers(0, 50),
    st.sampled_from([1, 5, 64, 2 * STRIP_ROWS + 30]),
)
def test_strips_agree_with_one_warp(flip, degrees, scale, x, y, side, relax, size):
    image = smooth_image()
    tight = Box(x, y, min(x + side, 120), min(y + side, 90))
    window = CropWindow(tight.relaxed(relax), tight, (90, 120), size)
    matrix = Affine(flip, degrees, scale).matrix((90, 120))
    difference = np.abs(crop_of(image, matrix, window) - whole_warp(image, matrix, window))
    # OpenCV rounds places to 1/32 pixel, and where an image ends the values jump.
    assert (difference > 1).mean() <= 0.02 or size < 10
    assert np.median(difference) < 1e-3


def test_outside_the_frame_is_zero():
    image = np.full((40, 60, 3), 255, np.uint8)
    tight = Box(0, 0, 10, 10)
    crop = crop_of(image, np.eye(3), CropWindow(tight.relaxed(10), tight, (40, 60), 60))
    assert (crop[:20] == 0).all()
    assert (crop[:, :20] == 0).all()
    assert np.abs(crop[24:, 24:] - 255).max() < 1e-3


@pytest.mark.parametrize("shift", [(1000, 0), (0, -1000)])
def test_an_image_moved_out_of_the_window_leaves_zeros(shift):
    matrix = np.eye(3)
    matrix[:2, 2] = shift
    window = CropWindow(Box(0, 0, 40, 30), Box(5, 5, 20, 20), (90, 120), 32)
    assert (crop_of(smooth_image(), matrix, window) == 0).all()
