"""The heat map, against reference vectors and a loop over pixels."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.golden import cases

from dextr.heatmap import render_heatmap
from dextr.inputs import stack_channels


@pytest.mark.parametrize("case", cases("heatmap"))
def test_reference_vectors(case):
    hw = tuple(case["hw"].tolist())
    heatmap = render_heatmap(case["points_xy"], hw)
    assert heatmap.dtype == np.float32
    np.testing.assert_allclose(heatmap, case["heatmap"], rtol=0, atol=1e-6)
    channel = stack_channels(np.zeros((*hw, 3), np.float32), case["points_xy"])[3]
    np.testing.assert_allclose(channel, case["heatmap_255"], rtol=0, atol=255e-6)


def slow_heatmap(points, hw, fwhm):
    def value(x, y):
        distances = [math.hypot(x - px, y - py) for px, py in points]
        return max((math.exp(-4 * math.log(2) * (d / fwhm) ** 2) for d in distances), default=0)

    return [[value(x, y) for x in range(hw[1])] for y in range(hw[0])]


coordinates = st.floats(-20, 40)


@given(st.lists(st.tuples(coordinates, coordinates), max_size=5), st.floats(0.5, 30))
def test_is_what_a_loop_over_pixels_gives(points, fwhm):
    heatmap = render_heatmap(np.array(points), (7, 9), fwhm)
    np.testing.assert_allclose(heatmap, slow_heatmap(points, (7, 9), fwhm), rtol=0, atol=1e-6)


def test_no_points_give_zeros():
    assert not render_heatmap(np.zeros((0, 2)), (3, 4)).any()
    assert not stack_channels(np.zeros((3, 3, 3), np.float32), np.zeros((0, 2)))[3].any()


def test_half_the_maximum_lies_half_the_width_away():
    row = render_heatmap(np.array([[20, 0]]), (1, 41), fwhm=10)[0]
    assert row[20] == 1
    assert row[15] == pytest.approx(0.5)
    assert row[25] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("points", "fwhm", "message"),
    [
        (np.zeros(4), 10, "N, 2"),
        (np.zeros((4, 3)), 10, "N, 2"),
        (np.zeros((4, 2)), 0, "fwhm"),
        (np.zeros((4, 2)), float("nan"), "fwhm"),
    ],
)
def test_errors(points, fwhm, message):
    with pytest.raises(ValueError, match=message):
        render_heatmap(points, (5, 5), fwhm)
