"""Records that check themselves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dextr.geometry import CropWindow
from dextr.samples import Instance, Prediction, check_threshold

FIELDS = {
    "image": np.zeros((4, 5, 3), np.uint8),
    "mask": np.ones((4, 5), bool),
    "void": np.zeros((4, 5), bool),
    "image_id": "photo",
    "object_id": 7,
}


def test_an_instance_knows_its_size_and_name():
    instance = Instance(**FIELDS)
    assert instance.hw == (4, 5)
    assert instance.name == "photo#7"
    assert instance.category == -1


@pytest.mark.parametrize(
    ("field", "array"),
    [
        ("image", np.zeros((4, 5), np.uint8)),
        ("image", np.zeros((4, 5, 4), np.uint8)),
        ("image", np.zeros((4, 5, 3), np.float32)),
        ("mask", np.zeros((5, 4), bool)),
        ("mask", np.zeros((4, 5), np.uint8)),
        ("void", np.zeros((4, 5, 1), bool)),
        ("void", np.zeros((4, 5), int)),
    ],
)
def test_arrays_that_do_not_fit_name_object_and_field(field, array):
    with pytest.raises(ValueError, match=rf"photo#7: expected an? {field} .* got"):
        Instance(**(FIELDS | {field: array}))


@pytest.mark.parametrize(("threshold", "count"), [(0.0, 4), (0.5, 1), (0.8, 1), (1.0, 0)])
def test_the_mask_exceeds_the_threshold(threshold, count):
    window = CropWindow.around(np.ones((2, 2), bool), (2, 2), relax=0, size=2)
    logits = np.array([[-99, 0], [-1, 2]], np.float32)
    assert Prediction(logits, threshold, np.zeros((4, 2)), window).mask.sum() == count


@given(st.integers(0, 2**32))
def test_mask_and_probabilities_are_the_pasted_crop(seed):
    rng = np.random.default_rng(seed)
    points = rng.integers(0, (80, 60), (4, 2))
    window = CropWindow.around(points, (60, 80), relax=int(rng.integers(0, 9)), size=32)
    logits = rng.normal(0, 5, (32, 32)).astype(np.float32)
    prediction = Prediction(logits, 0.6, points, window)
    prob = np.clip(window.paste(1 / (1 + np.exp(-logits))), 0, 1)
    np.testing.assert_array_equal(prediction.prob, prob)
    np.testing.assert_array_equal(prediction.mask, prob > 0.6)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan"), True, "0.5", None])
def test_what_is_no_threshold(threshold):
    with pytest.raises(ValueError, match=r"expected a threshold in 0\.\.1, got"):
        check_threshold(threshold)


@pytest.mark.parametrize("threshold", [0, 1, 0.8, np.float32(0.5)])
def test_thresholds(threshold):
    found = check_threshold(threshold)
    assert type(found) is float
    assert found == threshold
