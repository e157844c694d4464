"""From image and clicks to a mask, with networks whose answer is known."""

import itertools

import numpy as np
import pytest
import torch
from PIL import Image
from support.made import random_mask
from torch import nn

from dextr.geometry import CropWindow
from dextr.inputs import decode, encode
from dextr.points import place_clicks, sample_extreme_points
from dextr.predictor import Predictor
from dextr.weights import load_network
from networks import build_network

CLICKS = [(10, 30), (70, 28), (40, 5), (38, 55)]


def image_of(hw=(60, 80), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*hw, 3)).astype(np.uint8)


def everywhere(value):
    return lambda batch: torch.full_like(batch[:, :1], value)


def from_heatmap(batch):
    """Logits that depend on all of the input, the heat map foremost."""
    return (batch[:, 3:] - batch[:, :3].mean(dim=1, keepdim=True)) / 50


@pytest.fixture(scope="module")
def predictor():
    return Predictor(load_network("untrained").network, size=64, relax=10, threshold=0.5)


def test_the_mask_of_a_sure_network_is_the_box_of_the_clicks():
    mask = Predictor(everywhere(9.0), size=32).predict(image_of(), CLICKS).mask
    expected = np.zeros((60, 80), bool)
    expected[5:56, 10:71] = True
    np.testing.assert_array_equal(mask, expected)
    assert not Predictor(everywhere(-9.0), size=32).predict(image_of(), CLICKS).mask.any()


def test_the_parts_one_after_the_other_give_the_same(predictor):
    image = image_of()
    prediction = predictor.predict(image, CLICKS)
    window = CropWindow.around(np.array(CLICKS), (60, 80), 10, 64)
    inputs = encode(image, window, place_clicks(np.array(CLICKS), window))
    with torch.inference_mode():
        logits = predictor.network(torch.from_numpy(inputs)[None])[0, 0].numpy()
    np.testing.assert_array_equal(prediction.prob, decode(logits, window))
    assert prediction.window == window
    assert prediction.points.tolist() == [list(map(float, p)) for p in CLICKS]
    assert prediction.threshold == 0.5


def test_points_in_any_order_give_the_same_mask(predictor):
    expected = predictor.predict(image_of(), CLICKS)
    assert 0 < expected.mask.sum() < expected.mask.size
    for order in itertools.permutations(CLICKS):
        found = predictor.predict(image_of(), order)
        np.testing.assert_array_equal(found.prob, expected.prob)


def test_a_fifth_point_is_seen(predictor):
    four, five = (predictor.predict(image_of(), CLICKS + more) for more in ([], [(25, 20)]))
    assert four.window == five.window
    assert (four.prob != five.prob).any()


@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_many_objects_are_what_single_ones_are(batch_size):
    rng = np.random.default_rng(0)
    objects = [rng.uniform(0, 59, (4, 2)) for _ in range(5)]
    predictor = Predictor(from_heatmap, size=48, batch_size=batch_size)
    many = predictor.predict_many(image_of(), objects)
    assert len(many) == 5
    for points, found in zip(objects, many, strict=True):
        np.testing.assert_array_equal(found.prob, predictor.predict(image_of(), points).prob)


def test_no_objects_give_no_predictions(predictor):
    assert predictor.predict_many(image_of(), []) == []


def test_batches_hold_something():
    with pytest.raises(ValueError, match="1 or more, got 0"):
        Predictor(from_heatmap, batch_size=0)


@pytest.mark.parametrize(
    "wrong", [{"size": 0}, {"size": 20_000}, {"relax": -1}, {"relax": 100_000}, {"threshold": 2}]
)
def test_settings_that_cannot_be_meant_are_refused(wrong):
    with pytest.raises(ValueError, match="expected a"):
        Predictor(from_heatmap, **wrong)


def test_another_threshold(predictor):
    low, high = (predictor.predict(image_of(), CLICKS, t) for t in (0.1, 0.9))
    np.testing.assert_array_equal(low.prob, high.prob)
    np.testing.assert_array_equal(low.mask, low.prob > 0.1)
    np.testing.assert_array_equal(high.mask, low.prob > 0.9)


@pytest.mark.parametrize("seed", range(10))
def test_the_network_gets_what_the_evaluation_gives_it(seed):
    """Clicks on extreme pixels give the evaluation's input, but for the place within a pixel."""
    rng = np.random.default_rng(seed)
    mask = random_mask(rng, (60, 80), 40)
    seen = []

    def network(batch):
        seen.append(batch[0].numpy().copy())
        return batch[:, :1]

    clicks = sample_extreme_points(mask, 0, rng)
    Predictor(network, size=512).predict(image_of(), clicks)
    window = CropWindow.around(mask, mask.shape)
    evaluation = encode(image_of(), window, place_clicks(clicks, window))
    np.testing.assert_array_equal(seen[0], evaluation)


@pytest.mark.parametrize(
    "points",
    [
        [(20, 10), (20, 40), (20, 11), (20, 33)],
        [(20, 10), (20, 10), (20, 11), (20, 10)],
        [(3, 59), (70, 59), (30, 59), (31, 59)],
        [(0, 0), (79, 59), (40, 0), (79, 30)],
    ],
)
def test_objects_one_pixel_wide_and_objects_at_the_border(points):
    mask = Predictor(everywhere(9.0), size=32).predict(image_of(), points).mask
    xs, ys = zip(*points, strict=True)
    expected = np.zeros((60, 80), bool)
    expected[min(ys) : max(ys) + 1, min(xs) : max(xs) + 1] = True
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize("hw", [(1, 1), (1, 200), (300, 1), (2, 3)])
def test_images_of_odd_sizes(hw):
    height, width = hw
    points = [(-0.5, 0), (width - 0.5, 0), (0, -0.5), (0, height - 0.5)]
    mask = Predictor(everywhere(9.0), size=32).predict(image_of(hw), points).mask
    assert mask.shape == hw
    assert mask.all()


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (CLICKS[:3], "at least 4"),
        ([*CLICKS[:3], (np.nan, 1)], "finite"),
        ([*CLICKS[:3], (81, 1)], "outside"),
        ([(1, 1)] * 4, "different"),
        ([1, 2, 3, 4], "pairs"),
    ],
)
def test_clicks_that_cannot_be_used(predictor, points, message):
    with pytest.raises(ValueError, match=message):
        predictor.predict(image_of(), points)


@pytest.mark.parametrize("kind", ["file", "pil", "grey", "rgba"])
def test_any_image_will_do(predictor, kind, tmp_path):
    grey = np.repeat(image_of()[:, :, :1], 3, axis=2)
    expected = predictor.predict(grey, CLICKS).prob
    image = grey
    if kind == "file":
        image = tmp_path / "image.png"
        Image.fromarray(grey).save(image)
    elif kind == "pil":
        image = Image.fromarray(grey)
    elif kind == "grey":
        image = grey[:, :, 0]
    elif kind == "rgba":
        image = np.dstack([grey, np.full(grey.shape[:2], 255, np.uint8)])
    np.testing.assert_array_equal(predictor.predict(image, CLICKS).prob, expected)


def test_an_empty_image_is_refused(predictor):
    with pytest.raises(ValueError, match="empty"):
        predictor.predict(np.zeros((0, 80, 3), np.uint8), CLICKS)


def test_the_network_is_put_into_evaluation_mode():
    network = build_network("resnet18", head_width=4).train()
    Predictor(network)
    assert not network.training


def test_a_network_given_as_such_is_followed_while_it_trains():
    network = build_network("resnet18", stages=1, head_width=4)
    predictor = Predictor(network, size=32)
    inputs = np.zeros((1, 4, 32, 32), np.float32)
    before = predictor.logits(inputs)
    with torch.no_grad():
        network.layer5.final.bias += 1
    np.testing.assert_allclose(predictor.logits(inputs), before + 1, rtol=1e-5)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_thresholds_out_of_range(threshold):
    with pytest.raises(ValueError, match=r"0\.\.1"):
        Predictor(everywhere(0.0), threshold=threshold)
    with pytest.raises(ValueError, match=r"0\.\.1"):
        Predictor(everywhere(0.0), size=32).predict(image_of(), CLICKS, threshold)


@pytest.mark.parametrize(
    ("network", "named", "expected"),
    [
        (lambda x: x, None, "cpu"),
        (nn.Identity(), None, "cpu"),
        (nn.Linear(1, 1, device="meta"), None, "meta"),
        (nn.Linear(1, 1), "meta", "meta"),
    ],
)
def test_a_network_runs_where_it_is_unless_a_device_is_named(network, named, expected):
    assert Predictor(network, device=named).device == torch.device(expected)


class Remembers:
    """Answers with the heat map and a little of its first answer; keeps what it was asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, x):
        self.asked.append(x.clone())
        first = x[:, 4:5] if x.shape[1] == 5 else torch.zeros_like(x[:, :1])
        return (x[:, 3:4] - 60 + first) / 50


def test_a_second_look_sees_all_points_and_the_first_mask():
    further = [(25, 20), (50, 40)]
    network = Remembers()
    predictor = Predictor(network, size=64, relax=10, look_twice=True, batch_size=3)
    objects = [CLICKS, [*further, *CLICKS], [(5, 5), (20, 9), (9, 2), (8, 20)]]
    found = predictor.predict_many(image_of(), objects)
    first, again = network.asked
    assert (first.shape, again.shape) == ((3, 4, 64, 64), (1, 5, 64, 64))
    plain = Predictor(Remembers(), size=64, relax=10).predict_many(image_of(), [CLICKS, objects[2]])
    for one, other in zip(found[::2], plain, strict=True):
        np.testing.assert_array_equal(one.logits, other.logits)
    window = found[1].window
    everything = encode(image_of(), window, place_clicks(np.array(objects[1]), window))
    np.testing.assert_allclose(again[0, :4], everything, atol=1e-6)
    seen = 255 / (1 + np.exp(-((first[1, 3].numpy() - 60) / 50)))
    np.testing.assert_allclose(again[0, 4], seen, rtol=1e-5)
    np.testing.assert_allclose(found[1].logits, (everything[3] - 60 + seen) / 50, atol=1e-4)


def test_a_second_look_does_not_depend_on_the_points_order():
    predictor = Predictor(Remembers(), size=64, relax=10, look_twice=True)
    points = [*CLICKS, (25, 20)]
    expected = predictor.predict(image_of(), points).logits
    for order in itertools.permutations(points):
        np.testing.assert_array_equal(predictor.predict(image_of(), order).logits, expected)
