"""Tables and JSON hold the numbers they are given."""

import json

import pytest

from dextr.evaluation.report import as_dict, table, versions
from dextr.evaluation.summary import summarize
from dextr.metrics import ObjectScore


def make_scores(count, thresholds=(0.8,)):
    return [
        ObjectScore(
            row=k,
            name=f"photo#{k}",
            category=k % 2,
            area=10 ** (k + 2),
            box_pixels=200,
            thresholds=thresholds,
            intersection=tuple(10 * (k + j) for j in range(len(thresholds))),
            union=(100,) * len(thresholds),
            wrong=(k,) * len(thresholds),
            boundary_f=k / 10,
        )
        for k in range(count)
    ]


def test_table():
    summary = summarize(make_scores(4, (0.8, 0.4, 0.6)), ("cat", "longer name"))
    assert table(summary).splitlines() == [
        "mean IoU over objects           15.00",
        "mean IoU over categories        15.00",
        "recall at IoU 0.5                0.00",
        "recall at IoU 0.7                0.00",
        "recall at IoU 0.1 .. 0.9, mean  16.67",
        "wrong pixels in the box          0.75",
        "boundary F                      15.00",
        "",
        "area   objects  mean IoU",
        "small        2      5.00",
        "large        2     25.00",
        "",
        "category     objects  mean IoU",
        "cat                2     10.00",
        "longer name        2     20.00",
        "",
        "threshold  mean IoU",
        "0.4           25.00",
        "0.6           35.00  best",
        "0.8           15.00",
    ]


def test_table_without_categories_and_with_average_precision():
    scores = [ObjectScore(0, "a#1", -1, 9, 9, (0.5,), (9,), (9,), (0,))]
    text = table(summarize(scores), {"AP": 0.5, "AP_small": None, "AR1": 0.75})
    lines = [line.split() for line in text.splitlines()]
    assert ["boundary", "F", "-"] in lines
    assert ["COCO", "AP", "50.00"] in lines
    assert ["COCO", "AP_small", "-"] in lines
    assert "AR1" not in text
    assert "category" not in text
    assert "threshold" not in text


def report(scores, **options):
    given = {
        "dataset": {"name": "made", "objects": len(scores)},
        "weights": {"name": "some", "sha256": "12ab"},
        "settings": {"thresholds": scores[0].thresholds, "seed": 3},
    }
    return as_dict(summarize(scores, ("cat", "dog")), scores, given, **options)


def test_json_holds_everything():
    scores = make_scores(5, (0.8, 0.5))
    content = json.loads(
        json.dumps(report(scores, average_precision={"AP": 0.25, "AP_small": None}))
    )
    assert content["dataset"] == {"name": "made", "objects": 5}
    assert content["weights"] == {"name": "some", "sha256": "12ab"}
    assert content["settings"] == {"thresholds": [0.8, 0.5], "seed": 3}
    assert content["versions"] == versions()
    summary = content["summary"]
    assert summary["mean_iou"] == pytest.approx(0.2)
    assert summary["by_category"]["dog"] == {"count": 2, "mean_iou": pytest.approx(0.2)}
    assert summary["by_threshold"] == pytest.approx({"0.8": 0.2, "0.5": 0.3})
    assert summary["best_threshold"] == 0.5
    assert summary["coco"] == {"AP": 0.25, "AP_small": None}
    assert content["objects"][3] == {
        "name": "photo#3",
        "category": 1,
        "area": 100_000,
        "iou": 0.3,
        "box_error": 0.015,
        "boundary_f": 0.3,
    }


def test_the_same_evaluation_gives_the_same_text():
    assert json.dumps(report(make_scores(5))) == json.dumps(report(make_scores(5)))


def test_versions_are_those_in_use():
    import numpy as np

    assert versions()["numpy"] == np.__version__
    assert set(versions()) == {"python", "torch", "numpy", "opencv"}
