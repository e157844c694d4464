"""The boundary F measure, against a loop over pixels."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.made import random_mask

from dextr.boundary import boundary, boundary_f


def slow_boundary(mask):
    height, width = mask.shape
    return {
        (y, x)
        for y in range(height)
        for x in range(width)
        for dy, dx in ((0, 1), (1, 0), (1, 1))
        if y + dy < height and x + dx < width and mask[y, x] != mask[y + dy, x + dx]
    }


def slow_f(pred, gt, tolerance):
    ours, theirs = slow_boundary(pred), slow_boundary(gt)
    if not ours and not theirs:
        return 1
    reach = math.ceil(tolerance * math.hypot(*gt.shape))

    def share(some, others):
        near = [p for p in some if any(math.dist(p, q) <= reach for q in others)]
        return len(near) / len(some) if some else 0

    precision, recall = share(ours, theirs), share(theirs, ours)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0


def empty_or_random(rng, hw=(14, 17)):
    return np.zeros(hw, bool) if rng.random() < 0.1 else random_mask(rng, hw, 10)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 0.008, 0.05, 0.13]))
def test_is_what_a_loop_over_pixels_gives(seed, tolerance):
    rng = np.random.default_rng(seed)
    pred, gt = empty_or_random(rng), empty_or_random(rng)
    assert set(zip(*np.nonzero(boundary(gt)), strict=True)) == slow_boundary(gt)
    assert boundary_f(pred, gt, tolerance) == pytest.approx(slow_f(pred, gt, tolerance))
    assert boundary_f(gt, pred, tolerance) == pytest.approx(slow_f(pred, gt, tolerance))


def square(shift=0, fill=True, hw=(100, 100)):
    mask = np.zeros(hw, bool)
    if fill:
        mask[30:60, 30 + shift : 60 + shift] = True
    return mask


@pytest.mark.parametrize(
    ("pred", "gt", "expected"),
    [
        (square(fill=False), square(fill=False), 1),
        (~square(fill=False), square(fill=False), 1),
        (square(fill=False), square(), 0),
        (square(), square(fill=False), 0),
        (square(), square(), 1),
        (square(2), square(), 1),
        (square(40, hw=(100, 120)), square(hw=(100, 120)), 0),
    ],
)
def test_known_answers(pred, gt, expected):
    """The tolerance on 100 x 100 pixels is 2."""
    assert boundary_f(pred, gt) == expected


def test_shapes_that_differ():
    with pytest.raises(ValueError, match="one shape"):
        boundary_f(np.zeros((3, 4)), np.zeros((4, 3)))
