"""Boxes and crops, against reference vectors, slow references and themselves backwards."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.golden import cases
from support.made import random_mask

from dextr.geometry import Box, CropWindow, Margin, plain_relax

SEEDS = st.integers(0, 2**32 - 1)


def window_of(case):
    mask = case["mask"] != 0
    return CropWindow.around(mask, mask.shape, int(case["relax"]), int(case["size"]))


@pytest.mark.parametrize("case", cases("geometry"))
class TestReferenceVectors:
    def test_box(self, case):
        x0, y0, x1, y1 = case["bbox"].tolist()
        assert window_of(case).box == Box(x0, y0, x1 + 1, y1 + 1)

    def test_crop(self, case):
        crop = window_of(case).cut(case["image"].astype(np.float32), cv2.INTER_CUBIC)
        assert crop.dtype == np.float32
        np.testing.assert_allclose(crop, case["crop"], rtol=0, atol=1e-3)

    def test_crop_of_mask(self, case):
        crop = window_of(case).cut(case["mask"] != 0, cv2.INTER_NEAREST)
        assert crop.dtype == bool
        np.testing.assert_array_equal(crop, case["crop_mask"] != 0)

    def test_paste(self, case):
        window = window_of(case)
        pasted = window.paste(case["prob"])
        np.testing.assert_allclose(pasted, case["pasted"], rtol=0, atol=1e-5)
        pasted = window.paste(case["prob"], clip=False)
        np.testing.assert_allclose(pasted, case["pasted_unclipped"], rtol=0, atol=1e-5)


@given(SEEDS)
def test_box_of_mask_is_what_a_loop_over_pixels_finds(seed):
    mask = random_mask(np.random.default_rng(seed), (9, 12), 6)
    pixels = [(x, y) for y in range(9) for x in range(12) if mask[y, x]]
    xs, ys = zip(*pixels, strict=True)
    assert Box.of_mask(mask) == Box(min(xs), min(ys), max(xs) + 1, max(ys) + 1)


@pytest.mark.parametrize(
    ("points", "box"),
    [
        ([[3, 4]], Box(3, 4, 4, 5)),
        ([[3.4, 4.5], [2.5, 4.49]], Box(3, 4, 4, 6)),
        ([[-0.5, 0], [7, 2]], Box(0, 0, 8, 3)),
    ],
)
def test_box_of_points(points, box):
    assert Box.of_points(np.array(points)) == box


def test_empty_mask_has_no_box():
    with pytest.raises(ValueError, match="empty"):
        Box.of_mask(np.zeros((4, 5), bool))


@pytest.mark.parametrize("corners", [(2, 0, 2, 5), (0, 3, 4, 3), (5, 0, 4, 9)])
def test_box_without_pixels(corners):
    with pytest.raises(ValueError, match="x0 < x1"):
        Box(*corners)


def test_box_parts():
    box = Box(-2, 3, 5, 9)
    assert box.hw == (6, 7)
    assert box.relaxed(2) == Box(-4, 1, 7, 11)
    assert box.inside((8, 4)) == Box(0, 3, 4, 8)
    assert box.slices(Box(-4, 1, 7, 11)) == (slice(2, 8), slice(2, 9))
    with pytest.raises(ValueError, match="x0 < x1"):
        box.inside((3, 4))


@pytest.mark.parametrize(
    ("array", "options"),
    [
        (np.zeros((0, 2)), {}),
        (np.zeros((4, 3)), {}),
        (np.ones((5, 6), bool), {}),
        (np.ones((5, 2), bool), {}),
        (np.zeros(8), {}),
        (np.zeros((6, 7), bool), {}),
        (np.ones((6, 7), bool), {"relax": -1}),
        (np.ones((6, 7), bool), {"size": 0}),
    ],
)
def test_window_needs_a_mask_or_points(array, options):
    with pytest.raises(ValueError, match=r"expected|empty"):
        CropWindow.around(array, (6, 7), **options)


@pytest.mark.parametrize(("dtype", "value"), [(bool, 1), (np.uint8, 1), (np.uint8, 255)])
def test_window_around_a_mask_two_pixels_wide(dtype, value):
    mask = np.zeros((6, 2), dtype)
    mask[2:4, 1] = value
    assert CropWindow.around(mask, (6, 2), relax=0).box == Box(1, 2, 2, 4)
    points = np.array([[0, 1], [1, 1], [0, 0], [0, 4], [1, 3], [1, 2]])
    for kind in (int, float):
        assert CropWindow.around(points.astype(kind), (6, 2), relax=0).box == Box(0, 0, 2, 5)


@given(SEEDS, st.integers(0, 20), st.integers(1, 200))
def test_mapping_there_and_back(seed, relax, size):
    rng = np.random.default_rng(seed)
    mask = random_mask(rng, (60, 80), 30)
    window = CropWindow.around(mask, mask.shape, relax, size)
    points = rng.uniform(-20, 90, (5, 2))
    np.testing.assert_allclose(window.to_image(window.to_crop(points)), points, atol=1e-9)
    corners = np.array([[window.box.x0, window.box.y0], [window.box.x1, window.box.y1]]) - 0.5
    np.testing.assert_allclose(
        window.to_crop(corners), [[-0.5, -0.5], [size - 0.5, size - 0.5]], atol=1e-9
    )


@given(SEEDS)
def test_a_pixel_is_mapped_to_the_middle_of_its_block(seed):
    rng = np.random.default_rng(seed)
    mask = random_mask(rng, (60, 80), 30)
    window = CropWindow.around(mask, mask.shape, relax=10, size=256)
    x, y = int(rng.integers(80)), int(rng.integers(60))
    one = np.zeros(mask.shape, np.uint8)
    one[y, x] = 1
    rows, columns = np.nonzero(window.cut(one, cv2.INTER_NEAREST))
    inside = window.box.x0 <= x < window.box.x1 and window.box.y0 <= y < window.box.y1
    assert (len(rows) > 0) == inside
    if inside:
        middle = [(columns.min() + columns.max()) / 2, (rows.min() + rows.max()) / 2]
        assert np.abs(window.to_crop(np.array([x, y])) - middle).max() <= 1


@given(SEEDS)
def test_cut_is_zero_padding_then_resizing(seed):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (40, 50, 3)).astype(np.uint8)
    window = CropWindow.around(random_mask(rng, (40, 50), 20), (40, 50), relax=15, size=64)
    padded = np.pad(image.astype(np.float32), ((100, 100), (100, 100), (0, 0)))
    box = window.box
    part = padded[box.y0 + 100 : box.y1 + 100, box.x0 + 100 : box.x1 + 100]
    expected = cv2.resize(part, (64, 64), interpolation=cv2.INTER_CUBIC)
    np.testing.assert_array_equal(window.cut(image), expected)


def test_nearest_keeps_the_type():
    labels = np.arange(20, dtype=np.int16).reshape(4, 5)
    window = CropWindow.around(np.ones((4, 5), bool), (4, 5), relax=0, size=20)
    crop = window.cut(labels, cv2.INTER_NEAREST)
    assert crop.dtype == np.int16
    np.testing.assert_array_equal(crop, labels.repeat(5, axis=0).repeat(4, axis=1))


@given(SEEDS)
def test_paste_is_zero_outside_the_tight_box(seed):
    mask = random_mask(np.random.default_rng(seed), (40, 50), 20)
    window = CropWindow.around(mask, mask.shape, relax=7, size=32)
    pasted = window.paste(np.ones((32, 32)))
    expected = np.zeros(mask.shape)
    expected[window.object_box.slices()] = 1
    np.testing.assert_allclose(pasted, expected, atol=1e-6)
    unclipped = window.paste(np.ones((32, 32)), clip=False)
    expected[window.box.inside(mask.shape).slices()] = 1
    np.testing.assert_allclose(unclipped, expected, atol=1e-6)


def test_arrays_of_another_size_are_refused():
    window = CropWindow.around(np.ones((6, 7), bool), (6, 7), size=16)
    with pytest.raises(ValueError, match=r"\(6, 7\)"):
        window.cut(np.zeros((7, 6)))
    with pytest.raises(ValueError, match=r"\(16, 16\)"):
        window.paste(np.zeros((15, 16)))


def test_a_mask_two_pixels_wide_is_no_list_of_points():
    mask = np.zeros((5, 2), np.uint8)
    mask[1:3, 1] = 1
    window = CropWindow.around_mask(mask, relax=3, size=8)
    assert window == CropWindow.around(mask != 0, (5, 2), 3, 8)
    assert window == CropWindow.around_points(np.array([[1, 1], [1, 2]]), (5, 2), 3, 8)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("0", 0),
        ("50", 50),
        (50, 50),
        ("20,0.2", Margin(20, 0.2)),
        ({"pixels": 20, "share": 0.2}, Margin(20, 0.2)),
    ],
)
def test_margins_as_they_are_said(said, expected):
    assert Margin.of(said) == expected
    assert Margin.of(plain_relax(expected)) == expected


@pytest.mark.parametrize(
    "said",
    ["", "x", "1,2,3", "20,x", "-1,0.2", "20,-1", {"pixels": 20}, {"pixels": 1.5, "share": 0}],
)
def test_what_is_no_margin(said):
    with pytest.raises(ValueError, match=r"expected a margin as PIXELS or PIXELS,SHARE"):
        Margin.of(said)


@pytest.mark.parametrize(("side", "margin"), [(10, 20), (100, 20), (200, 40), (1000, 200)])
def test_a_margin_grows_with_the_object(side, margin):
    points = np.array([[500, 500], [500 + side - 1, 500], [510, 495], [510, 505]])
    window = CropWindow.around(points, (3000, 4000), Margin(20, 0.2))
    assert window.box == window.object_box.relaxed(margin)


@given(SEEDS, st.integers(2, 9))
def test_a_share_shows_an_enlarged_photo_alike(seed, times):
    """The crop of a photo enlarged by whole pixels is that of the photo, to its rounding."""
    rng = np.random.default_rng(seed)
    points = rng.integers(20, 60, (4, 2))
    small = CropWindow.around_points(points, (80, 80), Margin(0, 0.25), 32)
    corners = np.concatenate([points * times, points * times + times - 1])
    large = CropWindow.around_points(corners, (80 * times, 80 * times), Margin(0, 0.25), 32)
    np.testing.assert_allclose(
        np.array([large.box.x0, large.box.y0]) / times, [small.box.x0, small.box.y0], atol=0.8
    )
