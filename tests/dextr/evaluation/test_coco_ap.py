"""COCO's average precision, where the answer is known."""

import numpy as np
import pytest

from dextr.evaluation.coco_ap import NAMES, average_precision, detection_of
from dextr.evaluation.mask_sources import scored
from dextr.evaluation.protocol import EvaluationSettings
from dextr.samples import Instance

SETTINGS = EvaluationSettings(thresholds=(0.5,))


def detection(row, found_rows, prob=0.9, image="a", category=0, side=40):
    """An object of 40 rows of which the prediction has some, with a given confidence."""
    mask = np.zeros((100, 100), bool)
    mask[10 : 10 + 40, 10 : 10 + side] = True
    values = np.zeros((100, 100), np.float32)
    values[10 : 10 + found_rows, 10 : 10 + side] = prob
    image_array = np.zeros((100, 100, 3), np.uint8)
    instance = Instance(image_array, mask, np.zeros_like(mask), image, row, category)
    return detection_of(scored(row, instance, values, np.zeros((0, 2)), SETTINGS))


def test_perfect_masks():
    numbers = average_precision([detection(k, 40, image=f"{k}", category=k % 3) for k in range(5)])
    assert tuple(numbers) == NAMES
    shown = [numbers[k] for k in ("AP", "AP50", "AP_medium", "AR100")]
    assert shown == pytest.approx([1, 1, 1, 1])
    assert numbers["AP_small"] is numbers["AP_large"] is None


def test_a_mask_counts_up_to_its_iou():
    """32 of 40 rows: IoU 0.8 passes 0.5, 0.55 .. 0.8: 7 of the 10 thresholds."""
    numbers = average_precision([detection(0, 32)])
    assert numbers["AP"] == pytest.approx(0.7)
    assert (numbers["AP50"], numbers["AP75"]) == pytest.approx((1, 1))


def test_confident_mistakes_cost_more():
    good_first = [detection(0, 40, 0.9, "a"), detection(1, 10, 0.6, "b")]
    bad_first = [detection(0, 40, 0.6, "a"), detection(1, 10, 0.9, "b")]
    # COCO reads precision at 101 recalls; 51 of them (0 .. 0.5) are reached.
    assert average_precision(good_first)["AP50"] == pytest.approx(51 / 101)
    assert average_precision(bad_first)["AP50"] == pytest.approx(51 / 101 / 2)


def test_the_order_of_detections_does_not_matter():
    found = [detection(k, 10 + 6 * k, 0.8, f"{k % 3}", k % 2, side=8 + 8 * k) for k in range(6)]
    assert average_precision(found[::-1]) == average_precision(found)


def test_the_score_is_the_mean_probability_inside():
    assert detection(0, 40, 0.75).score == pytest.approx(0.75)
    assert detection(0, 0).score == 0


def test_nothing_is_printed(capsys):
    average_precision([detection(0, 40)])
    assert capsys.readouterr().out == ""


def test_no_detections():
    with pytest.raises(ValueError, match="no objects"):
        average_precision([])
