"""Running a network over a data set, with networks whose answer is known."""

import cv2
import numpy as np
import pytest
import torch
from support.made import ListInstances, random_instance, random_mask

from dextr.evaluation.mask_folder import map_ahead
from dextr.evaluation.protocol import EvaluationSettings, prompt_for, stretched
from dextr.evaluation.scoring import collect, evaluate, rows_of_process, scores_in_order, segment
from dextr.geometry import CropWindow
from dextr.inputs import decode, encode
from dextr.metrics import iou, summarize
from dextr.points import sample_extreme_points
from dextr.predictor import Predictor
from dextr.samples import Instance
from dextr.weights.load import load_network

COUNT = 11


@pytest.fixture(scope="module")
def instances():
    rng = np.random.default_rng(0)
    return ListInstances([random_instance(rng, number=k) for k in range(COUNT)])


@pytest.fixture(scope="module")
def network():
    return load_network("untrained").network


def settings_of(**options):
    return EvaluationSettings(**({"thresholds": (0.5, 0.3)} | options))


def from_heatmap(batch):
    return (batch[:, 3:] - batch[:, :3].mean(dim=1, keepdim=True)) / 50


def test_a_sure_network_scores_what_the_filled_box_does(instances):
    predictor = Predictor(lambda batch: torch.full_like(batch[:, :1], 9.0), size=32)
    scores = evaluate(predictor, instances, settings_of(), progress=False)
    assert [s.row for s in scores] == list(range(COUNT))
    for score, instance in zip(scores, instances, strict=True):
        ys, xs = np.nonzero(instance.mask)
        box = np.zeros(instance.hw, bool)
        box[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1] = True
        assert score.iou == iou(box, instance.mask, instance.void)
        assert score.name == instance.name


def test_a_network_that_knows_the_truth_scores_1():
    """The crop is as fine as the image, so nothing is lost between them."""
    mask = random_mask(np.random.default_rng(4), (60, 80), 30)
    image = np.repeat(mask[:, :, None].astype(np.uint8) * 255, 3, axis=2)
    data = ListInstances([Instance(image, mask, np.zeros_like(mask), "a", 1, 0)])
    predictor = Predictor(lambda batch: batch[:, :1] - 127.5, size=512, relax=10)
    score = evaluate(predictor, data, settings_of(), progress=False)[0]
    assert score.iou > 0.98
    assert score.boundary_f == 1


def test_the_parts_one_after_the_other_give_the_same(instances):
    predictor = Predictor(from_heatmap, size=64, relax=10)
    for outcome in segment(predictor, instances, settings_of(), range(COUNT)):
        instance = instances[outcome.row]
        window = CropWindow.around(instance.mask, instance.hw, 10, 64)
        prompt = prompt_for(outcome.row, instance, settings_of(), 10, 64)
        assert prompt.window == window
        inputs = encode(instance.image, window, prompt.points)
        expected = decode(from_heatmap(torch.from_numpy(inputs)[None])[0, 0].numpy(), window)
        np.testing.assert_array_equal(outcome.prob, expected)
        np.testing.assert_array_equal(outcome.mask, expected > 0.5)
        np.testing.assert_allclose(window.to_crop(outcome.points), prompt.points, atol=1e-9)
        assert outcome.score.iou == iou(expected > 0.5, instance.mask, instance.void)


def test_repeats_exactly_with_any_number_of_processes(instances, network):
    predictor = Predictor(network, size=64, batch_size=4)
    expected = evaluate(predictor, instances, settings_of(), progress=False)
    assert 0.05 < summarize(expected).mean_iou < 0.95
    for workers in (0, 1, 3):
        assert evaluate(predictor, instances, settings_of(), None, False, workers) == expected


@pytest.mark.parametrize("world", [2, 3, 7])
def test_shares_of_several_processes_are_the_whole(instances, network, world):
    predictor = Predictor(network, size=64, batch_size=2)
    whole = evaluate(predictor, instances, settings_of(), progress=False)
    shares = [rows_of_process(COUNT, 2, rank, world) for rank in range(world)]
    assert sorted(row for rows in shares for row in rows) == list(range(COUNT))
    parts = [evaluate(predictor, instances, settings_of(), rows, False) for rows in shares]
    assert scores_in_order(parts) == whole


def test_some_rows_in_their_order(instances):
    predictor = Predictor(from_heatmap, size=32)
    whole = evaluate(predictor, instances, settings_of(), progress=False)
    seen = []
    some = evaluate(predictor, instances, settings_of(), [7, 2, 3], False, 2, seen.append)
    assert some == [whole[7], whole[2], whole[3]]
    assert [outcome.row for outcome in seen] == [7, 2, 3]
    assert evaluate(predictor, instances, settings_of(), [], progress=False) == []


def test_released_protocol_cuts_the_stretched_map(instances):
    predictor = Predictor(from_heatmap, size=64)
    paper, released = (
        list(segment(predictor, instances, settings_of(protocol=p), range(COUNT)))
        for p in ("paper", "released")
    )
    differ = 0
    for one, other in zip(paper, released, strict=True):
        np.testing.assert_array_equal(other.prob, stretched(one.prob))
        differ += one.score != other.score
    assert differ > 0


def slow_stretch(values):
    """What a byte file of the map holds, over 255."""
    low, high = min(values), max(values)
    if low == high:
        return [0.0 for _ in values]
    return [int(255 * (v - low) / (high - low) + 0.5) / 255 for v in values]


@pytest.mark.parametrize("scale", [1, 0.5, 0.01])
@pytest.mark.parametrize("shift", [0, 0.25])
def test_stretched(scale, shift):
    prob = (np.random.default_rng(0).random((5, 6)) * scale + shift).astype(np.float32)
    expected = slow_stretch([float(v) for v in prob.ravel()])
    np.testing.assert_allclose(stretched(prob).ravel(), expected, atol=1e-12)
    assert stretched(prob).max() == 1


@pytest.mark.parametrize("value", [0, 0.5, 1])
def test_a_constant_map_is_stretched_to_zero(value):
    assert not stretched(np.full((3, 3), value, np.float32)).any()


def test_grey_value_204_is_not_above_0_8():
    prob = np.array([[0, 204, 205, 255]], np.float32) / 255
    assert (stretched(prob) > 0.8).tolist() == [[False, False, True, True]]


def test_points_on_the_crop_are_extreme_there(instances):
    for row, instance in enumerate(instances):
        prompt = prompt_for(row, instance, settings_of(), 50, 128)
        target = prompt.window.cut(instance.mask, cv2.INTER_NEAREST)
        expected = sample_extreme_points(target, 0, np.random.default_rng(0))
        assert prompt.points[:2, 0].tolist() == expected[:2, 0].tolist()
        assert prompt.points[2:, 1].tolist() == expected[2:, 1].tolist()


def test_ties_depend_on_the_objects_name_and_the_seed_alone():
    mask = np.zeros((40, 40), bool)
    mask[10:30, 10:30] = True
    image = np.zeros((40, 40, 3), np.uint8)

    def points(name, seed=0):
        instance = Instance(image, mask, ~mask & False, name, 1)
        return prompt_for(0, instance, settings_of(seed=seed), 5, 64).points.tolist()

    assert points("a") == points("a")
    assert points("a") != points("b")
    assert points("a") != points("a", seed=1)


@pytest.mark.parametrize("noise", [0, 1, 8])
def test_clicks_in_the_image_are_off_by_the_noise_at_most(instances, noise):
    settings = settings_of(points="image", noise=noise)
    prompts = [prompt_for(row, i, settings, 50, 512) for row, i in enumerate(instances)]
    moved = 0
    for prompt, instance in zip(prompts, instances, strict=True):
        tight = CropWindow.around(instance.mask, instance.hw).object_box
        ours = prompt.window.object_box
        shifts = np.abs(np.array([ours.x0, ours.y0, ours.x1, ours.y1])
                        - [tight.x0, tight.y0, tight.x1, tight.y1])  # fmt: skip
        if noise == 0:
            assert shifts.max() == 0
        moved += shifts.any()
        assert ours.x0 >= 0
        assert ours.y1 <= instance.hw[0]
    assert (moved > COUNT // 2) == (noise > 0)


def test_noise_lowers_the_score():
    rng = np.random.default_rng(0)
    data = ListInstances([random_instance(rng, number=k) for k in range(30)])
    predictor = Predictor(lambda batch: torch.full_like(batch[:, :1], 9.0), size=32)
    means = [
        summarize(
            evaluate(predictor, data, settings_of(points="image", noise=n), progress=False)
        ).mean_iou
        for n in (0, 10)
    ]
    assert means[0] > means[1]


def test_an_object_that_vanishes_on_the_crop_is_clicked_in_the_image():
    mask = np.zeros((300, 300), bool)
    mask[150, 150] = True
    instance = Instance(np.zeros((300, 300, 3), np.uint8), mask, ~mask & False, "a", 1)
    prompts = [prompt_for(0, instance, settings_of(), 50, size) for size in range(5, 12)]
    for prompt in prompts:
        assert prompt.points.shape == (4, 2)
        middle = prompt.window.to_crop(np.array([150, 150]))
        assert np.abs(prompt.points - middle).max() <= 1


def test_an_empty_mask_names_the_object():
    empty = np.zeros((5, 5), bool)
    instance = Instance(np.zeros((5, 5, 3), np.uint8), empty, empty, "photo", 3)
    with pytest.raises(ValueError, match="photo#3: the object's mask is empty"):
        prompt_for(0, instance, settings_of(), 50, 64)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"points": "middle"}, "points must be one of crop, image; got 'middle'"),
        ({"protocol": "mine"}, "protocol must be one of paper, released"),
        ({"noise": 3}, "0 unless points are found in the image"),
        ({"points": "image", "noise": -1}, "noise"),
        ({"points": "image", "noise": float("nan")}, "noise"),
        ({"thresholds": ()}, "at least one threshold"),
        ({"thresholds": (0.5, 1.5)}, r"0\.\.1"),
        ({"seed": -1}, "seed"),
    ],
)
def test_settings_that_make_no_sense(options, message):
    with pytest.raises(ValueError, match=message):
        settings_of(**options)


@pytest.mark.parametrize("workers", [0, 1, 4])
@pytest.mark.parametrize("count", [0, 1, 10])
def test_map_ahead_keeps_the_order(workers, count):
    assert list(map_ahead(lambda k: k * k, range(count), workers, 3)) == [
        k * k for k in range(count)
    ]


def test_map_ahead_takes_no_more_than_asked():
    taken = []

    def items():
        for k in range(100):
            taken.append(k)
            yield k

    results = map_ahead(str, items(), 2, 5)
    assert [next(results), next(results)] == ["0", "1"]
    assert len(taken) <= 8
    results.close()


@pytest.mark.parametrize("workers", [0, 2])
def test_errors_of_threads_come_through(instances, workers):
    def broken(row):
        raise ValueError(f"object {row} cannot be read")

    with pytest.raises(ValueError, match="object 0 cannot be read"):
        list(map_ahead(broken, range(3), workers, 2))


def test_the_bar_shows_the_mean(instances, capsys):
    predictor = Predictor(lambda batch: torch.full_like(batch[:, :1], 9.0), size=32)
    scores = collect(segment(predictor, instances, settings_of(), range(COUNT)), COUNT)
    shown = capsys.readouterr().err
    assert f"{COUNT}/{COUNT}" in shown
    assert f"mean IoU {100 * summarize(scores).mean_iou:.2f}" in shown
