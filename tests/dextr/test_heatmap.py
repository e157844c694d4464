"""The heat map, against reference vectors and a loop over pixels."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.golden import cases

from dextr.heatmap import render_heatmap
from dextr.inputs import fill_heat_channel


@pytest.mark.parametrize("case", cases("heatmap"))
def test_reference_vectors(case):
    hw = tuple(case["hw"].tolist())
    heatmap = render_heatmap(case["points_xy"], hw)
    assert heatmap.dtype == np.float32
    np.testing.assert_allclose(heatmap, case["heatmap"], rtol=0, atol=1e-6)
    inputs = np.full((4, *hw), 7, np.float32)
    fill_heat_channel(inputs, case["points_xy"])
    assert (inputs[:3] == 7).all()
    np.testing.assert_allclose(inputs[3], case["heatmap_255"], rtol=0, atol=255e-6)


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


@pytest.mark.parametrize("x", [-200.0, -61.3, 0.0, 61.0, 140.5, 330.0])
def test_far_from_a_point_nothing_changes(x):
    rows, columns = np.indices((9, 200))
    squares = [(columns - x) ** 2 + (rows - 3) ** 2, (columns - 70) ** 2 + (rows - 5) ** 2]
    whole = np.exp2(-4 * np.minimum(*squares) / 10**2)
    heatmap = render_heatmap(np.array([[x, 3], [70, 5]]), (9, 200))
    np.testing.assert_allclose(heatmap, whole, rtol=1e-5, atol=1e-37)


def test_no_points_give_zeros():
    assert not render_heatmap(np.zeros((0, 2)), (3, 4)).any()
    inputs = np.ones((4, 3, 3), np.float32)
    fill_heat_channel(inputs, np.zeros((0, 2)))
    assert not inputs[3].any()


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
