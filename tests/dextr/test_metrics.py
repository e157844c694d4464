"""Scores of objects and outlines, against loops over pixels."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.golden import cases
from support.made import random_instance, random_mask

from dextr.metrics import boundary, boundary_f, iou, score_object
from dextr.samples import Instance

SEEDS = st.integers(0, 2**32 - 1)
THRESHOLDS = (0.8, 0.1, 0.5)


@pytest.mark.parametrize("case", cases("metrics"))
def test_reference_vectors(case):
    assert iou(case["pred"], case["gt"]) == float(case["iou"])
    assert iou(case["pred"], case["gt"], case["void"]) == float(case["iou_void"])


@pytest.mark.parametrize(
    ("pred", "gt", "void", "expected"),
    [
        ([[0, 0]], [[0, 0]], None, 1),
        ([[1, 0]], [[0, 0]], None, 0),
        ([[1, 0]], [[0, 1]], None, 0),
        ([[1, 1]], [[0, 1]], None, 0.5),
        ([[1, 1]], [[0, 1]], [[1, 0]], 1),
        ([[1, 1]], [[0, 1]], [[1, 1]], 1),
        ([[255, 0, 7]], [[1, 0, 2]], [[0, 0, 0]], 1),
    ],
)
def test_iou_of_few_pixels(pred, gt, void, expected):
    assert iou(np.array(pred), np.array(gt), void and np.array(void)) == expected


@pytest.mark.parametrize("shapes", [((3, 4), (4, 3), (3, 4)), ((3, 4), (3, 4), (4, 3))])
def test_iou_of_shapes_that_differ(shapes):
    pred, gt, void = map(np.zeros, shapes)
    with pytest.raises(ValueError, match="one shape"):
        iou(pred, gt, void)


def random_case(seed):
    rng = np.random.default_rng(seed)
    instance = random_instance(rng, (16, 20), size=9)
    prob = rng.random((16, 20)).astype(np.float32)
    prob[random_mask(rng, (16, 20), 12)] = rng.random()
    return instance, prob


def slow_counts(instance, prob, threshold):
    """Intersection, union, and wrong and all pixels in the box, pixel by pixel."""
    ys, xs = np.nonzero(instance.mask)
    both = either = wrong = box = 0
    for y in range(instance.hw[0]):
        for x in range(instance.hw[1]):
            if instance.void[y, x]:
                continue
            ours, truth = float(prob[y, x]) > np.float32(threshold), bool(instance.mask[y, x])
            both += ours and truth
            either += ours or truth
            if ys.min() <= y <= ys.max() and xs.min() <= x <= xs.max():
                box += 1
                wrong += ours != truth
    return both, either, wrong, box


@given(SEEDS)
def test_score_is_what_a_loop_over_pixels_gives(seed):
    instance, prob = random_case(seed)
    score = score_object(instance, prob, THRESHOLDS, row=5)
    for k, threshold in enumerate(THRESHOLDS):
        both, either, wrong, box = slow_counts(instance, prob, threshold)
        counts = score.intersection[k], score.union[k], score.wrong[k], score.box_pixels
        assert counts == (both, either, wrong, box)
        assert score.iou_at(k) == iou(prob > threshold, instance.mask, instance.void)
    assert score.iou == score.iou_at(0)
    assert score.box_error == score.wrong[0] / score.box_pixels
    assert score.boundary_f == boundary_f((prob > 0.8) & ~instance.void, instance.mask)
    assert (score.row, score.name, score.category) == (5, instance.name, instance.category)
    assert score.area == instance.mask.sum()
    assert score.thresholds == THRESHOLDS


@given(SEEDS)
def test_one_pass_over_many_thresholds_is_many_passes(seed):
    instance, prob = random_case(seed)
    together = score_object(instance, prob, THRESHOLDS)
    alone = [score_object(instance, prob, (t,)) for t in THRESHOLDS]
    assert together.intersection == tuple(s.intersection[0] for s in alone)
    assert together.union == tuple(s.union[0] for s in alone)
    assert together.wrong == tuple(s.wrong[0] for s in alone)


def test_score_holds_plain_numbers_only():
    for value in dataclasses.astuple(score_object(*random_case(0), THRESHOLDS)):
        flat = value if isinstance(value, tuple) else (value,)
        assert {type(v) for v in flat} <= {int, float, str}


def test_boundary_can_be_left_out():
    score = score_object(*random_case(0), THRESHOLDS, tolerance=None)
    assert score.boundary_f is None


def test_prediction_of_another_size_names_the_object():
    instance, prob = random_case(0)
    with pytest.raises(ValueError, match=rf"{instance.name}: .*\(16, 20\), got \(20, 16\)"):
        score_object(instance, prob.T, (0.5,))


def test_an_object_under_void_alone():
    """Void and mask do not overlap in data sets; if they did, nothing is left to judge."""
    everything = np.ones((4, 4), bool)
    instance = Instance(np.zeros((4, 4, 3), np.uint8), everything, everything, "a", 1)
    score = score_object(instance, np.zeros((4, 4)), (0.5,))
    assert (score.iou, score.box_error, score.boundary_f) == (1, 0, 1)


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
def test_boundary_f_is_what_a_loop_over_pixels_gives(seed, tolerance):
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
def test_boundary_f_of_known_squares(pred, gt, expected):
    """The tolerance on 100 x 100 pixels is 2."""
    assert boundary_f(pred, gt) == expected


def test_boundary_f_of_shapes_that_differ():
    with pytest.raises(ValueError, match="one shape"):
        boundary_f(np.zeros((3, 4)), np.zeros((4, 3)))
