"""Extreme points: checks, draws, and where clicks land on the crop."""

import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.made import random_mask

from dextr.geometry import CropWindow
from dextr.inputs import encode
from dextr.points import (
    check_points,
    jitter_points,
    order_extremes,
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
        ([*FOUR[:3], (10.6, 3)], r"\(10.6, 3\) lies outside the image of 11 x 10 pixels"),
        ([*FOUR[:3], (3, 9.6)], "outside"),
        ([*FOUR[:3], (-0.6, 3)], "outside"),
        ([*FOUR[:3], (3, -1)], "outside"),
        ([(3, 4)] * 4, r"all 4 points are \(3, 4\)"),
        ([(3, 4)] * 6, "click four"),
    ],
)
def test_points_that_cannot_be_used(points, message):
    with pytest.raises(ValueError, match=message):
        check_points(points, (10, 11))


def test_points_on_the_rim_are_moved_onto_the_border_pixel():
    points = [(-0.5, 5), (10.5, 4), (4, -0.25), (5, 9.5)]
    assert check_points(points, (10, 11)).tolist() == [[0, 5], [10, 4], [4, 0], [5, 9]]
    assert check_points(np.array(FOUR, np.int32), (10, 11)).tolist() == [list(p) for p in FOUR]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=8))
def test_ordered_extremes_are_extreme(points):
    left, right, top, bottom = order_extremes(np.array(points)).tolist()
    xs, ys = zip(*points, strict=True)
    assert [left[0], right[0], top[1], bottom[1]] == [min(xs), max(xs), min(ys), max(ys)]


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
