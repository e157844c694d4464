"""Points: checks, draws, where they land on the crop, and the next one against a slow search."""

import itertools

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.made import random_mask

from dextr.geometry import CropWindow
from dextr.inputs import encode
from dextr.points import (
    check_points,
    jitter_points,
    next_click,
    outline,
    place_clicks,
    sample_extreme_points,
)

SEEDS = st.integers(0, 2**32 - 1)
FOUR = [(1, 5), (8, 4), (4, 0), (5, 9)]


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([], "x, y pairs"),
        ([(1, 2)] * 3, "at least 4 points .* got 3"),
        ([(1, 2, 3)] * 4, r"x, y pairs, got shape \(4, 3\)"),
        ([1, 2, 3, 4], "x, y pairs"),
        ([(1, 2), (3,), (4, 5), (6, 7)], "numbers"),
        ([("a", "b")] * 4, "numbers"),
        ([*FOUR[:3], (10**400, 3)], "numbers"),
        (np.array(FOUR) + 0j, "numbers"),
        (None, "x, y pairs"),
        ([*FOUR[:3], (float("nan"), 3)], r"finite numbers, got \(nan, 3\)$"),
        ([*FOUR[:3], (3, float("inf"))], "finite"),
        ([*FOUR[:3], (11.1, 3)], r"\(11.1, 3\) lies outside .* of 11 x 10 pixels: .* x <= 11 and"),
        ([*FOUR[:3], (3, 10.1)], "outside"),
        ([*FOUR[:3], (-0.6, 3)], "outside"),
        ([*FOUR[:3], (3, -1)], "outside"),
        ([(3, 4)] * 4, r"all 4 points are \(3, 4\)"),
        ([(3, 4)] * 6, "click four"),
        (FOUR * 251, "at most 1000 points of an object, got 1004"),
        (torch.ones(4, 2, requires_grad=True), "numbers"),
        (torch.ones(4, 2).to_sparse(), "numbers"),
    ],
)
def test_points_that_cannot_be_used(points, message):
    with pytest.raises(ValueError, match=message):
        check_points(points, (10, 11))


def test_points_on_the_rim_are_moved_onto_the_border_pixel():
    points = [(-0.5, 5), (10.5, 4), (4, -0.25), (5, 9.5)]
    assert check_points(points, (10, 11)).tolist() == [[0, 5], [10, 4], [4, 0], [5, 9]]
    # As tools say it that count from the pixels' corners: x = width is the right-most edge.
    corners = [(0, 5), (11, 4), (4, 0), (5, 10)]
    assert check_points(corners, (10, 11)).tolist() == [[0, 5], [10, 4], [4, 0], [5, 9]]
    assert check_points(np.array(FOUR, np.int32), (10, 11)).tolist() == [list(p) for p in FOUR]


def eligible(mask, pert):
    """The pixels (x, y) that may be drawn for left, right, top and bottom, one by one."""
    pixels = [(x, y) for y, x in zip(*np.nonzero(mask), strict=True)]
    x0, x1 = min(x for x, _ in pixels), max(x for x, _ in pixels)
    y0, y1 = min(y for _, y in pixels), max(y for _, y in pixels)
    return [
        {(x, y) for x, y in pixels if x <= x0 + pert},
        {(x, y) for x, y in pixels if x >= x1 - pert},
        {(x, y) for x, y in pixels if y <= y0 + pert},
        {(x, y) for x, y in pixels if y >= y1 - pert},
    ]


@given(SEEDS, st.integers(0, 6))
def test_drawn_points_are_object_pixels_near_their_extreme(seed, pert):
    rng = np.random.default_rng(seed)
    mask = random_mask(rng, (20, 25), 12)
    drawn = sample_extreme_points(mask.astype(np.uint8), pert, rng)
    for point, allowed in zip(drawn.tolist(), eligible(mask, pert), strict=True):
        assert tuple(point) in allowed


@pytest.mark.parametrize("pert", [0, 2])
def test_every_pixel_near_an_extreme_is_drawn_equally_often(pert):
    rng = np.random.default_rng(0)
    mask = random_mask(np.random.default_rng(3), (12, 12), 8)
    draws = np.array([sample_extreme_points(mask, pert, rng) for _ in range(4000)])
    for side, allowed in enumerate(eligible(mask, pert)):
        pixels, counts = np.unique(draws[:, side], axis=0, return_counts=True)
        assert {tuple(p) for p in pixels.tolist()} == allowed
        expected = len(draws) / len(allowed)
        assert np.abs(counts - expected).max() < 6 * np.sqrt(expected)


def test_the_same_generator_gives_the_same_points():
    mask = random_mask(np.random.default_rng(1), (50, 60), 40)
    one, other = (sample_extreme_points(mask, 5, np.random.default_rng(7)) for _ in range(2))
    assert one.tolist() == other.tolist()


def test_nothing_to_draw_from():
    with pytest.raises(ValueError, match="empty"):
        sample_extreme_points(np.zeros((5, 5)), 0, np.random.default_rng(0))
    with pytest.raises(ValueError, match="pert"):
        sample_extreme_points(np.ones((5, 5)), -1, np.random.default_rng(0))


@given(SEEDS, st.integers(0, 30))
def test_jitter_stays_within_reach_and_image(seed, noise):
    rng = np.random.default_rng(seed)
    points = np.array(FOUR, float)
    moved = jitter_points(points, noise, (10, 11), rng)
    assert np.abs(moved - points).max() <= noise
    assert (moved == np.rint(moved)).all()
    assert ((moved >= 0) & (moved <= [10, 9])).all()


def clicks_and_found(seed):
    """Return an object's window, the points found on its resized mask, and their image pixels."""
    rng = np.random.default_rng([7, seed])
    mask = random_mask(rng)
    window = CropWindow.around(mask, mask.shape)
    found = sample_extreme_points(window.cut(mask, cv2.INTER_NEAREST), 0, rng)
    # OpenCV's nearest neighbour: pixel k of the crop shows pixel floor(k / scale) of the box.
    clicks = np.array([window.box.x0, window.box.y0]) + np.floor(found / window.scale)
    return mask, window, found, clicks


def test_clicks_land_where_training_finds_the_points():
    """200 random objects: tiny ones, lines one pixel wide and single pixels are among them."""
    distances, tiny, lines = [], 0, 0
    for seed in range(200):
        mask, window, found, clicks = clicks_and_found(seed)
        assert mask[clicks[:, 1].astype(int), clicks[:, 0].astype(int)].all()
        assert CropWindow.around(clicks, mask.shape) == window
        offset = np.abs(place_clicks(clicks, window) - found)
        distances.append(np.hypot(*offset.T))
        height, width = window.object_box.hw
        tiny += max(height, width) <= 5
        lines += min(height, width) == 1
        # Which end of a line one pixel wide is its left one, its points cannot tell.
        if width > 1:
            assert offset[:2, 0].tolist() == [0, 0]
        if height > 1:
            assert offset[2:, 1].tolist() == [0, 0]
    assert tiny >= 3
    assert lines >= 20
    assert (np.mean(distances, axis=0) <= 1).all()


@pytest.mark.parametrize("seed", range(40))
def test_both_edges_are_marked_on_lines_too(seed):
    _, window, found, clicks = clicks_and_found(seed)
    placed = place_clicks(clicks, window)
    assert placed.min(axis=0).tolist() == found.min(axis=0).tolist()
    assert placed.max(axis=0).tolist() == found.max(axis=0).tolist()


@pytest.mark.parametrize("seed", range(12))
def test_input_of_clicks_is_the_evaluation_input_but_for_the_points(seed):
    mask, window, found, clicks = clicks_and_found(seed)
    image = np.random.default_rng(seed).integers(0, 256, (*mask.shape, 3)).astype(np.uint8)
    from_clicks = CropWindow.around(clicks, mask.shape)
    ours = encode(image, from_clicks, place_clicks(clicks, from_clicks))
    evaluation = encode(image, window, found)
    np.testing.assert_array_equal(ours[:3], evaluation[:3])
    np.testing.assert_array_equal(encode(image, from_clicks, found), evaluation)


@pytest.mark.parametrize("seed", range(20))
def test_the_order_of_clicks_does_not_matter(seed):
    _, window, _, clicks = clicks_and_found(seed)
    clicks = np.vstack([clicks, clicks.mean(axis=0)])
    expected = sorted(place_clicks(clicks, window).tolist())
    for order in itertools.permutations(range(5)):
        assert sorted(place_clicks(clicks[list(order)], window).tolist()) == expected


def test_further_points_go_to_their_pixels_centre():
    window = CropWindow.around(np.array(FOUR), (20, 20), relax=5, size=180)
    placed = place_clicks(np.array([*FOUR, (4.4, 5.6)]), window)
    assert window.scale == (10, 9)
    assert placed[4].tolist() == [(4 + 4) * 10 + 4, (6 + 5) * 9 + 4]


@given(SEEDS)
def test_clicks_land_on_the_crop(seed):
    rng = np.random.default_rng(seed)
    clicks = rng.uniform(-0.5, 59.5, (5, 2))
    window = CropWindow.around(clicks, (60, 60), relax=int(rng.integers(60)), size=40)
    placed = place_clicks(clicks, window)
    assert (placed == np.rint(placed)).all()
    assert ((placed >= 0) & (placed <= 39)).all()


NONE = np.empty((0, 2))


def slow_outline(mask):
    height, width = mask.shape

    def inside(y, x):
        return 0 <= y < height and 0 <= x < width and mask[y, x]

    return [
        (y, x)
        for y, x in np.argwhere(mask).tolist()
        if not all(inside(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1))
    ]


def slow_click(mask, truth, void, clicks):
    """Try every pixel; distances as whole numbers, squared."""
    kinds = np.zeros(mask.shape, int)
    kinds[truth & ~mask] = 1
    kinds[mask & ~truth & ~void] = 2
    ring = np.pad(kinds, 1, constant_values=-1)
    best, deepest = 0, None
    for y, x in np.argwhere(kinds).tolist():
        other = np.argwhere(ring != kinds[y, x]) - 1
        depth = int(((other - (y, x)) ** 2).sum(axis=1).min())
        if depth > best:
            best, deepest = depth, (y, x)
    free = [(y, x) for y, x in slow_outline(truth) if [x, y] not in clicks.tolist()]
    if deepest is None or not free:
        return None
    y, x = min(free, key=lambda p: (p[0] - deepest[0]) ** 2 + (p[1] - deepest[1]) ** 2)
    return [x, y]


@given(st.integers(0, 10**6), st.integers(0, 6))
def test_next_click_is_the_slow_ones(seed, count):
    rng = np.random.default_rng(seed)
    hw = (int(rng.integers(1, 14)), int(rng.integers(1, 14)))
    truth, mask, void = (random_mask(rng, hw, int(rng.integers(1, 14))) for _ in range(3))
    if rng.random() < 0.3:
        truth, mask = (np.kron(rng.random((4, 4)) < 0.5, np.ones((3, 3))) > 0 for _ in range(2))
        void = np.zeros_like(truth)
    void &= ~truth
    border = slow_outline(truth)
    clicks = np.array([border[k][::-1] for k in rng.permutation(len(border))[:count]], float)
    found = next_click(mask, truth, void, clicks.reshape(-1, 2))
    assert (None if found is None else found.tolist()) == slow_click(mask, truth, void, clicks)


@given(st.integers(0, 10**6))
def test_outline(seed):
    mask = random_mask(np.random.default_rng(seed), (12, 15), 14)
    assert [tuple(p) for p in np.argwhere(outline(mask)).tolist()] == slow_outline(mask)


class TestNextClick:
    truth = np.zeros((40, 60), bool)
    truth[10:30, 10:50] = True
    nowhere = np.zeros_like(truth)

    def test_nothing_is_wrong(self):
        assert next_click(self.truth, self.truth, self.nowhere, NONE) is None

    def test_an_error_in_void_is_none(self):
        void = np.zeros_like(self.truth)
        void[:10] = True
        assert next_click(self.truth | void, self.truth, void, NONE) is None

    def test_a_deep_hole_beats_a_long_thin_band(self):
        found = self.truth.copy()
        found[8:10, :] = True  # 120 pixels, 2 deep
        found[22:29, 30:37] = False  # 49 pixels, 7 wide, one off the lower edge
        assert next_click(found, self.truth, self.nowhere, NONE).tolist() == [33, 29]

    def test_missing_and_superfluous_pixels_that_touch_are_two_errors(self):
        found = self.truth.copy()
        found[10:13, 20:26] = False
        found[7:10, 20:26] = True  # together 6 x 6, which would come first
        found[24:29, 40:45] = False
        assert next_click(found, self.truth, self.nowhere, NONE).tolist() == [42, 29]

    def test_clicked_pixels_are_passed_over_until_none_is_left(self):
        truth = np.zeros((5, 5), bool)
        truth[1:4, 1:4] = True
        nothing = np.zeros_like(truth)
        clicks = NONE
        for _ in range(8):
            clicks = np.vstack([clicks, next_click(nothing, truth, nothing, clicks)])
        assert len(np.unique(clicks, axis=0)) == 8
        assert next_click(nothing, truth, nothing, clicks) is None

    def test_a_click_off_a_pixels_centre_counts_for_the_pixel(self):
        truth = np.array([[1, 1]], bool)
        click = next_click(~truth, truth, ~truth, np.array([[0.4, -0.3], [-7, 90]]))
        assert click.tolist() == [1, 0]
