"""The summary of many scores, against numbers worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dextr.evaluation.summary import summarize
from dextr.metrics import ObjectScore


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
