"""Training examples: against the published order of operations, done slowly on whole images."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataloaders.crops.augment import Affine
from dataloaders.crops.transforms import STRIP_ROWS, TrainTransform, TransformConfig, warp_crop
from dataloaders.shapes import ShapesInstances
from dextr.geometry import Box, CropWindow
from dextr.inputs import encode
from dextr.points import sample_extreme_points
from dextr.samples import Instance

SMALL = TransformConfig(size=128, pert=2)


@pytest.fixture(scope="module")
def instance():
    return ShapesInstances(3, seed=5)[1]


def published_example(instance, affine, config, rng):
    """Warp whole images in float, then cut, as the method's description has it."""
    matrix = affine.matrix(instance.hw)[:2]
    size = instance.hw[::-1]
    image = cv2.warpAffine(instance.image.astype(np.float32), matrix, size, flags=cv2.INTER_CUBIC)
    mask = cv2.warpAffine(instance.mask.astype(np.uint8), matrix, size, flags=cv2.INTER_NEAREST)
    window = CropWindow.around(mask != 0, instance.hw, config.relax, config.size)
    target = window.cut(mask != 0, cv2.INTER_NEAREST)
    return encode(image, window, sample_extreme_points(target, config.pert, rng)), target


def test_without_change_the_example_is_the_evaluation_input(instance):
    example = TrainTransform(SMALL).apply(instance, Affine(), np.random.default_rng(3))
    expected, target = published_example(instance, Affine(), SMALL, np.random.default_rng(3))
    assert np.array_equal(example.target, target)
    assert np.array_equal(example.inputs[3], expected[3])
    inner = (slice(0, 3), slice(4, -4), slice(4, -4))
    assert np.abs(example.inputs[inner] - expected[inner]).mean() < 1.5


@pytest.mark.parametrize(
    "affine", [Affine(True, 0, 1), Affine(False, 15, 0.8), Affine(True, -20, 1.2)]
)
def test_one_warp_agrees_with_the_published_two(instance, affine):
    example = TrainTransform(SMALL).apply(instance, affine, np.random.default_rng(3))
    expected, target = published_example(instance, affine, SMALL, np.random.default_rng(3))
    assert np.array_equal(example.target, target)
    assert np.array_equal(example.inputs[3], expected[3])
    difference = np.abs(example.inputs[:3] - expected[:3])
    assert np.median(difference) < 4


def test_smooth_images_agree_closely():
    rows, columns = np.indices((120, 160))
    smooth = np.stack([rows, columns, (rows + columns) // 2], axis=2).astype(np.uint8)
    mask = (rows - 60) ** 2 + (columns - 80) ** 2 < 400
    instance = Instance(smooth, mask, np.zeros_like(mask), "smooth", 1)
    affine = Affine(True, 12, 1.1)
    config = TransformConfig(size=128, relax=20)
    example = TrainTransform(config).apply(instance, affine, np.random.default_rng(0))
    expected, _ = published_example(instance, affine, config, np.random.default_rng(0))
    assert np.abs(example.inputs - expected).max() < 1.0


def test_an_object_outside_the_frame_gives_nothing():
    mask = np.zeros((40, 60), bool)
    mask[0, 0] = True
    instance = Instance(np.zeros((40, 60, 3), np.uint8), mask, np.zeros_like(mask), "corner", 1)
    assert TrainTransform(SMALL).apply(instance, Affine(scale=2), np.random.default_rng(0)) is None


def test_void_is_carried_along(instance):
    instance.void[:] = ~instance.mask
    try:
        example = TrainTransform(SMALL).apply(instance, Affine(), np.random.default_rng(0))
    finally:
        instance.void[:] = False
    assert example.void.any()
    assert not (example.void & example.target).any()


@pytest.mark.parametrize("seed", range(6))
def test_extra_points_of_an_object_that_fills_its_crop_lie_on_the_crops_rim(seed):
    image, whole = np.zeros((40, 50, 3), np.uint8), np.ones((40, 50), bool)
    config = TransformConfig(size=32, relax=0, pert=0, extra_points=2)
    example = TrainTransform(config).apply(
        Instance(image, whole, ~whole, "a", 1), Affine(), np.random.default_rng(seed)
    )
    assert example.target.all()
    peaks = np.argwhere(example.inputs[3] == example.inputs[3].max())
    assert len(peaks) >= 3
    assert ((peaks == 0) | (peaks == 31)).any(axis=1).all()


def test_extra_points_lie_on_the_outline(instance):
    config = TransformConfig(size=128, pert=0, extra_points=4)
    hot = []
    for seed in range(20):
        example = TrainTransform(config).apply(instance, Affine(), np.random.default_rng(seed))
        inside = cv2.erode(example.target.astype(np.uint8), np.ones((3, 3), np.uint8)) != 0
        peaks = example.inputs[3] >= 254.9
        assert not (peaks & inside).any()
        assert (peaks & example.target).sum() == peaks.sum()
        hot.append(int(peaks.sum()))
    assert max(hot) > 4
    assert min(hot) <= 4


def test_jittered_clicks_move_the_window(instance):
    config = TransformConfig(size=128, click_jitter=8)
    plain = TrainTransform(SMALL).apply(instance, Affine(), np.random.default_rng(0))
    moved = [
        TrainTransform(config).apply(instance, Affine(), np.random.default_rng(s)).target
        for s in range(8)
    ]
    assert any(not np.array_equal(target, plain.target) for target in moved)


def test_the_margin_can_vary(instance):
    config = TransformConfig(size=128, relax_range=(5, 80))
    areas = {
        int(TrainTransform(config).apply(instance, Affine(), np.random.default_rng(s)).target.sum())
        for s in range(8)
    }
    assert len(areas) > 4


def test_recolouring_leaves_the_heat_map_and_the_target_alone(instance):
    config = TransformConfig(size=128, pert=0, colour_jitter=0.4, jpeg=1)
    plain = TransformConfig(size=128, pert=0)
    changed = TrainTransform(config).apply(instance, Affine(), np.random.default_rng(4))
    same = TrainTransform(plain).apply(instance, Affine(), np.random.default_rng(4))
    assert np.array_equal(changed.inputs[3], same.inputs[3])
    assert np.array_equal(changed.target, same.target)
    assert np.abs(changed.inputs[:3] - same.inputs[:3]).mean() > 1


# The warp in strips, against one warp of the whole image.


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
