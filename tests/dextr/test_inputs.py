"""What the network gets and what becomes of its answer, against reference vectors."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.golden import cases
from support.made import random_mask

from dextr.geometry import Box, CropWindow
from dextr.inputs import decode, drop_loose_pieces, encode
from dextr.points import sample_extreme_points

SIZE = 128


@pytest.mark.parametrize("case", cases("eval_input"))
def test_evaluation_input(case):
    mask = case["mask"] != 0
    window = CropWindow.around(mask, mask.shape, relax=50, size=SIZE)
    target = window.cut(mask, cv2.INTER_NEAREST)
    np.testing.assert_array_equal(target, case["target"] != 0)
    inputs = encode(case["image"], window, case["points_crop_xy_lrtb"])
    assert inputs.dtype == np.float32
    np.testing.assert_allclose(inputs, case["input_4chw"], rtol=0, atol=2e-3)


@pytest.mark.parametrize("case", cases("eval_input"))
def test_the_points_drawn_by_the_original_are_extreme_here(case):
    """Its draw among ties is its own; where each point may lie is not."""
    mask = case["mask"] != 0
    target = CropWindow.around(mask, mask.shape, 50, SIZE).cut(mask, cv2.INTER_NEAREST)
    ours = sample_extreme_points(target, 0, np.random.default_rng(0))
    theirs = case["points_crop_xy_lrtb"]
    assert target[theirs[:, 1], theirs[:, 0]].all()
    assert ours[:2, 0].tolist() == theirs[:2, 0].tolist()
    assert ours[2:, 1].tolist() == theirs[2:, 1].tolist()


@pytest.mark.parametrize("case", cases("demo_input"))
def test_demo_input(case):
    """The released demo's box, heat map and, up to its rounding to bytes, crop.

    It resized uint8, so its crop is rounded and cut to 0..255; its points are truncated.
    """
    image = case["image"]
    window = CropWindow.around(case["clicks_xy"], image.shape[:2], relax=50, size=SIZE)
    x0, y0, x1, y1 = case["bbox"].tolist()
    assert window.box == Box(x0, y0, x1 + 1, y1 + 1)
    inputs = encode(image, window, case["points_crop_xy"])
    np.testing.assert_allclose(np.clip(inputs[:3], 0, 255), case["input_4chw"][:3], atol=1)
    np.testing.assert_allclose(inputs[3], case["input_4chw"][3], rtol=0, atol=2e-3)


def window_with(tight, hw, relax, size):
    return CropWindow(tight.relaxed(relax), tight, hw, size)


@given(st.integers(0, 2**32 - 1))
def test_decode_is_the_sigmoid_pasted(seed):
    rng = np.random.default_rng(seed)
    mask = random_mask(rng, (40, 50), 20)
    window = CropWindow.around(mask, mask.shape, relax=5, size=32)
    logits = rng.normal(0, 4, (32, 32)).astype(np.float32)
    prob = decode(logits, window)
    expected = window.paste(1 / (1 + np.exp(-logits.astype(np.float64))))
    np.testing.assert_allclose(prob, np.clip(expected, 0, 1), atol=1e-5)
    assert prob.shape == mask.shape
    assert 0 <= prob.min() <= prob.max() <= 1
    np.testing.assert_array_equal(prob, decode(logits[None, None], window))


def test_huge_logits_become_probabilities():
    window = window_with(Box(0, 0, 8, 8), (8, 8), 0, 8)
    logits = np.full((8, 8), 1e30, np.float32)
    logits[:4] = -1e30
    prob = decode(logits, window)
    assert np.isfinite(prob).all()
    assert prob[0, 0] < 1e-30
    assert prob[7, 7] == 1


def test_logits_of_another_size_are_refused():
    with pytest.raises(ValueError, match="reshape"):
        decode(np.zeros((7, 8)), window_with(Box(0, 0, 8, 8), (8, 8), 0, 8))


@pytest.mark.parametrize("further", [[], [(40, 33)], [(40, 33), (22, 50), (40, 34)]])
def test_what_is_for_a_second_look_is_kept_apart(further):
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8)
    extremes = np.array([(10, 30), (70, 28), (40, 5), (38, 55)], float)
    window = CropWindow.around(extremes, (60, 80), 10, SIZE)
    more = np.array(further, float).reshape(-1, 2)
    points = np.random.default_rng(1).permutation(np.concatenate([more, extremes]))
    inputs = encode(image, window, points, look_twice=True)
    np.testing.assert_array_equal(inputs[:4], encode(image, window, extremes))
    alone = encode(image, window, more)[3] if further else np.zeros((SIZE, SIZE))
    np.testing.assert_array_equal(inputs[4], alone)


def logits_of(*rows):
    """A picture of a mask: '#' is the object, surely."""
    return np.array([[9.0 if pixel == "#" else -9.0 for pixel in row] for row in rows], np.float32)


PIECES = ("##....#.", "##....#.", "##......", "........", "...#....")


@pytest.mark.parametrize(
    ("clicks", "share", "expected"),
    [
        ([(0, 0)], 0.0, PIECES),
        ([(0, 0)], 0.2, ("##....#.", "##....#.", "##......", "........", "........")),
        ([(0, 0)], 0.3, ("##......", "##......", "##......", "........", "........")),
        ([(5, 4)], 0.3, ("##......", "##......", "##......", "........", "...#....")),
        ([(6, 4)], 1.0, ("##......", "##......", "##......", "........", "........")),
        ([(7, 0), (3, 4), (0, 0)], 1.0, PIECES),
    ],
)
def test_loose_pieces_go(clicks, share, expected):
    found = drop_loose_pieces(logits_of(*PIECES), np.array(clicks, float), 0.8, share)
    np.testing.assert_array_equal(found > 2, logits_of(*expected) > 2)
    np.testing.assert_array_equal(found[found > -10], logits_of(*PIECES)[found > -10])


@pytest.mark.parametrize("rows", [("....", "...."), ("####", "####"), ("#...", ".#..")])
def test_nothing_and_one_piece_stay_as_they_are(rows):
    logits = logits_of(*rows)
    assert drop_loose_pieces(logits, np.array([[3.0, 1.0]]), 0.5, 1.0) is logits


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_pieces_at_the_ends_of_the_thresholds(threshold):
    logits = logits_of(*PIECES)
    np.testing.assert_array_equal(drop_loose_pieces(logits, np.zeros((1, 2)), threshold, 1), logits)
