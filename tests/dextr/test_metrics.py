"""Scores of objects and their summary, against loops over pixels and objects."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.golden import cases
from support.made import random_instance, random_mask

from dextr.boundary import boundary_f
from dextr.metrics import ObjectScore, iou, score_object, summarize
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
    assert summarize([score]).boundary_f is None


def test_prediction_of_another_size_names_the_object():
    instance, prob = random_case(0)
    with pytest.raises(ValueError, match=rf"{instance.name}: .*\(16, 20\), got \(20, 16\)"):
        score_object(instance, prob.T, (0.5,))


def make_score(row, ious, category=-1, area=10, f=None):
    """A score with these IoUs, of an object that fills half its box of 100 pixels."""
    return ObjectScore(
        row=row,
        name=f"object {row}",
        category=category,
        area=area,
        box_pixels=100,
        thresholds=tuple(k / 10 for k in range(len(ious))),
        intersection=tuple(round(1000 * v) for v in ious),
        union=(1000,) * len(ious),
        wrong=tuple(round(100 * (1 - v)) for v in ious),
        boundary_f=f,
    )


def test_summary_of_known_scores():
    scores = [
        make_score(0, (0.9, 0.1), category=0, area=5, f=1.0),
        make_score(1, (0.5, 0.1), category=0, area=1023, f=0.5),
        make_score(2, (0.7, 0.7), category=0, area=1024, f=0.0),
        make_score(3, (0.1, 0.5), category=2, area=9216, f=0.1),
    ]
    summary = summarize(scores, ("cat", "dog", "cow"))
    assert (summary.count, summary.threshold) == (4, 0)
    assert summary.mean_iou == pytest.approx(0.55)
    assert summary.category_mean_iou == pytest.approx((0.7 + 0.1) / 2)
    # Of the cats 3, 3, 3, 3, 3, 2, 2, 1, 1 of 3 reach 0.1 .. 0.9; of the cows 1, 0, 0, ...
    assert [round(6 * v) for v in summary.recall.values()] == [6, 3, 3, 3, 3, 2, 2, 1, 1]
    assert list(summary.recall) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert summary.mean_recall == pytest.approx((21 / 3 + 1) / 9 / 2)
    assert summary.box_error == pytest.approx(0.45)
    assert summary.boundary_f == pytest.approx(0.4)
    assert {k: g.count for k, g in summary.by_category.items()} == {"cat": 3, "cow": 1}
    assert summary.by_category["cat"].mean_iou == pytest.approx(0.7)
    sizes = {k: (g.count, round(g.mean_iou, 9)) for k, g in summary.by_size.items()}
    assert sizes == {"small": (2, 0.7), "medium": (1, 0.7), "large": (1, 0.1)}
    assert summary.by_threshold == pytest.approx({0: 0.55, 0.1: 0.35})
    assert summary.best_threshold == 0


def test_no_scores():
    with pytest.raises(ValueError, match="no objects"):
        summarize([])


def test_objects_without_category():
    summary = summarize([make_score(0, (0.6,)), make_score(1, (0.2,))])
    assert summary.by_category == {}
    assert summary.category_mean_iou == summary.mean_iou == pytest.approx(0.4)
    assert summary.recall[0.5] == 0.5


def test_the_lowest_of_equally_good_thresholds_is_best():
    assert summarize([make_score(0, (0.2, 0.5, 0.5, 0.3))]).best_threshold == 0.1


@given(st.permutations(range(9)))
def test_the_order_of_scores_does_not_matter(order):
    rng = np.random.default_rng(0)
    scores = [
        make_score(k, (float(rng.random()),), int(rng.integers(3)), int(rng.integers(20_000)))
        for k in range(9)
    ]
    assert summarize([scores[k] for k in order]) == summarize(scores)


def test_scores_at_different_thresholds():
    with pytest.raises(ValueError, match="different thresholds"):
        summarize([make_score(0, (0.5,)), make_score(1, (0.5, 0.6))])


def test_an_object_under_void_alone():
    """Void and mask do not overlap in data sets; if they did, nothing is left to judge."""
    everything = np.ones((4, 4), bool)
    instance = Instance(np.zeros((4, 4, 3), np.uint8), everything, everything, "a", 1)
    score = score_object(instance, np.zeros((4, 4)), (0.5,))
    assert (score.iou, score.box_error, score.boundary_f) == (1, 0, 1)
