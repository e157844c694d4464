"""Running a network over a data set, with networks whose answer is known."""

import threading
from concurrent.futures import ThreadPoolExecutor
from io import StringIO

import cv2
import numpy as np
import pytest
import torch
from support.made import ListInstances, random_instance, random_mask

from dextr.common.processes import World
from dextr.evaluation.mask_sources import NetworkMasks
from dextr.evaluation.protocol import EvaluationSettings, simulate_clicks, stretched
from dextr.evaluation.scoring import evaluate, evenly_spaced_rows, rows_of_process, score
from dextr.evaluation.summary import summarize
from dextr.geometry import CropWindow
from dextr.inputs import decode, encode
from dextr.metrics import iou
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


def masks_of(predictor, instances, settings, workers=0):
    source = NetworkMasks(predictor, instances, settings, workers)
    return list(source.masks(range(len(instances)), lambda mask: mask, {}))


def from_heatmap(batch):
    return (batch[:, 3:] - batch[:, :3].mean(dim=1, keepdim=True)) / 50


def test_a_sure_network_scores_what_the_filled_box_does(instances):
    predictor = Predictor(lambda batch: torch.full_like(batch[:, :1], 9.0), size=32)
    scores = evaluate(predictor, instances, settings_of(), progress=False)
    assert [s.row for s in scores] == list(range(COUNT))
    for found, instance in zip(scores, instances, strict=True):
        ys, xs = np.nonzero(instance.mask)
        box = np.zeros(instance.hw, bool)
        box[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1] = True
        assert found.iou == iou(box, instance.mask, instance.void)
        assert found.name == instance.name


def test_a_network_that_knows_the_truth_scores_1():
    """The crop is as fine as the image, so nothing is lost between them."""
    mask = random_mask(np.random.default_rng(4), (60, 80), 30)
    image = np.repeat(mask[:, :, None].astype(np.uint8) * 255, 3, axis=2)
    data = ListInstances([Instance(image, mask, np.zeros_like(mask), "a", 1, 0)])
    predictor = Predictor(lambda batch: batch[:, :1] - 127.5, size=512, relax=10)
    found = evaluate(predictor, data, settings_of(), progress=False)[0]
    assert found.iou > 0.98
    assert found.boundary_f == 1


def test_the_parts_one_after_the_other_give_the_same(instances):
    predictor = Predictor(from_heatmap, size=64, relax=10)
    for scored in masks_of(predictor, instances, settings_of()):
        instance = instances[scored.row]
        window = CropWindow.around(instance.mask, instance.hw, 10, 64)
        clicks = simulate_clicks(scored.row, instance, settings_of(), 10, 64)
        assert clicks.window == window
        inputs = encode(instance.image, window, clicks.in_crop)
        expected = decode(from_heatmap(torch.from_numpy(inputs)[None])[0, 0].numpy(), window)
        np.testing.assert_array_equal(scored.prob, expected)
        np.testing.assert_array_equal(scored.mask, expected > 0.5)
        np.testing.assert_allclose(window.to_crop(scored.points), clicks.in_crop, atol=1e-9)
        assert scored.score.iou == iou(expected > 0.5, instance.mask, instance.void)


def test_repeats_exactly_with_any_number_of_processes(instances, network):
    predictor = Predictor(network, size=64, batch_size=4)
    expected = evaluate(predictor, instances, settings_of(), progress=False)
    assert 0.05 < summarize(expected).mean_iou < 0.95
    for workers in (0, 1, 3):
        assert evaluate(predictor, instances, settings_of(), None, False, workers) == expected


class InThreads(World):
    """One of several processes, which here are threads."""

    def gather(self, value):
        parts[self.rank] = value
        barrier.wait(60)
        return [parts[rank] for rank in range(self.size)]


parts, barrier = {}, threading.Barrier(1)


@pytest.mark.parametrize("processes", [2, 3, 7])
def test_shares_of_several_processes_are_the_whole(instances, network, processes, monkeypatch):
    predictor = Predictor(network, size=64, batch_size=2)
    rows = [5 * k % COUNT for k in range(COUNT)]
    whole = evaluate(predictor, instances, settings_of(), rows, progress=False)
    shares = [rows_of_process(COUNT, 2, rank, processes) for rank in range(processes)]
    assert sorted(place for share in shares for place in share) == list(range(COUNT))
    monkeypatch.setitem(globals(), "barrier", threading.Barrier(processes))
    source = NetworkMasks(predictor, instances, settings_of())

    def one(rank):
        world = InThreads(rank, processes, torch.device("cpu"))
        return score(source, rows, world, lambda mask: mask.row)

    with ThreadPoolExecutor(processes) as pool:
        assert list(pool.map(one, range(processes))) == [(whole, rows)] * processes


@pytest.mark.parametrize("workers", [0, 2])
def test_some_rows_in_their_order(instances, workers):
    predictor = Predictor(from_heatmap, size=32)
    whole = evaluate(predictor, instances, settings_of(), progress=False)
    source = NetworkMasks(predictor, instances, settings_of(), workers)
    alone = World(0, 1, predictor.device)
    some, seen = score(source, [7, 2, 3, 2], alone, lambda mask: mask.row)
    assert some == [whole[7], whole[2], whole[3], whole[2]]
    assert seen == [7, 2, 3, 2]
    assert score(source, [], alone, lambda mask: mask.row) == ([], [])


def test_evenly_spaced_rows():
    assert evenly_spaced_rows(5, 2) == [0, 2]
    assert evenly_spaced_rows(3, 0) == evenly_spaced_rows(3, 3) == evenly_spaced_rows(3, 9)


def test_released_protocol_cuts_the_stretched_map(instances):
    predictor = Predictor(from_heatmap, size=64)
    paper, released = (
        masks_of(predictor, instances, settings_of(protocol=p)) for p in ("paper", "released")
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
        clicks = simulate_clicks(row, instance, settings_of(), 50, 128)
        target = clicks.window.cut(instance.mask, cv2.INTER_NEAREST)
        expected = sample_extreme_points(target, 0, np.random.default_rng(0))
        assert clicks.in_crop[:2, 0].tolist() == expected[:2, 0].tolist()
        assert clicks.in_crop[2:, 1].tolist() == expected[2:, 1].tolist()


def test_ties_depend_on_the_objects_name_and_the_seed_alone():
    mask = np.zeros((40, 40), bool)
    mask[10:30, 10:30] = True
    image = np.zeros((40, 40, 3), np.uint8)

    def points(name, seed=0):
        instance = Instance(image, mask, ~mask & False, name, 1)
        return simulate_clicks(0, instance, settings_of(seed=seed), 5, 64).in_crop.tolist()

    assert points("a") == points("a")
    assert points("a") != points("b")
    assert points("a") != points("a", seed=1)


@pytest.mark.parametrize("noise", [0, 1, 8])
def test_clicks_in_the_image_are_off_by_the_noise_at_most(instances, noise):
    settings = settings_of(points="image", noise=noise)
    found = [simulate_clicks(row, i, settings, 50, 512) for row, i in enumerate(instances)]
    moved = 0
    for clicks, instance in zip(found, instances, strict=True):
        tight = CropWindow.around(instance.mask, instance.hw).object_box
        ours = clicks.window.object_box
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
    found = [simulate_clicks(0, instance, settings_of(), 50, size) for size in range(5, 12)]
    for clicks in found:
        assert clicks.in_crop.shape == (4, 2)
        middle = clicks.window.to_crop(np.array([150, 150]))
        assert np.abs(clicks.in_crop - middle).max() <= 1


def test_an_empty_mask_names_the_object():
    empty = np.zeros((5, 5), bool)
    instance = Instance(np.zeros((5, 5, 3), np.uint8), empty, empty, "photo", 3)
    with pytest.raises(ValueError, match="photo#3: the object's mask is empty"):
        simulate_clicks(0, instance, settings_of(), 50, 64)


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


def test_the_bar_shows_the_mean(instances, monkeypatch):
    terminal = StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stderr", terminal)
    predictor = Predictor(lambda batch: torch.full_like(batch[:, :1], 9.0), size=32)
    scores = evaluate(predictor, instances, settings_of())
    shown = terminal.getvalue()
    assert f"{COUNT}/{COUNT}" in shown
    assert f"mean IoU {100 * summarize(scores).mean_iou:.2f}" in shown
