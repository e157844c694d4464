"""The benchmarks of the input: their tables, and baselines that compute the same."""

import importlib

import cv2
import numpy as np
import pytest

from benchmarks import baselines, input, scale
from benchmarks.timing import interleaved
from dataloaders.crops.augment import Affine
from dataloaders.crops.transforms import TrainTransform, TransformConfig
from dataloaders.shapes import ShapesInstances
from dextr.geometry import CropWindow
from dextr.heatmap import render_heatmap
from dextr.inputs import encode
from dextr.points import sample_extreme_points

SMALL = TransformConfig(size=96, pert=2)


def table(text):
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows[1:]]


@pytest.fixture(scope="module")
def instance():
    return ShapesInstances(3, seed=5)[1]


def test_input_prints_a_row_for_every_path(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("DEXTR_CACHE", str(tmp_path))
    options = "--size 48 --repeats 2 --objects 5 --workers 0 1"
    assert input.main(options.split()) == 0
    rows = table(capsys.readouterr().out)
    names = [row[0].split(",")[0] for row in rows]
    assert names[:3] == ["training sample", "evaluation sample", "heat map"]
    assert len(rows) == 7
    for _, ours, baseline, ratio in rows:
        assert float(ours.split()[0]) >= 0
        assert float(baseline.split()[0]) > 0
        assert ratio.endswith("x")


def test_scale_prints_a_row_for_every_stage(capsys):
    assert scale.main(["--objects", "20", "--seen", "20", "--size", "32"]) == 0
    rows = table(capsys.readouterr().out)
    assert [row[0] for row in rows] == [*scale.STAGES, "scores kept, summarized"]
    assert all(row[1] == "20" and "MiB" in row[3] for row in rows)


def test_what_stages_start_with_can_be_imported():
    assert all(importlib.import_module(name) for name in scale.PRELOADED)


def test_interleaved_gives_the_median_of_counted_calls():
    calls = []
    ticks = iter([0, 50, 0, 50, 0, 1, 0, 9, 0, 2, 0, 9, 0, 6, 0, 9])
    functions = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    assert interleaved(functions, 3, lambda: next(ticks)) == {"a": 2000, "b": 9000}
    assert calls == ["a", "b"] * 4


def test_straightforward_heat_map_is_ours():
    points = np.array([[3, 5], [60, 20], [30, 2], [31, 40]])
    slow = baselines.heat_map(points, (48, 64))
    np.testing.assert_allclose(render_heatmap(points, (48, 64)), slow, rtol=0, atol=1e-6)


def test_straightforward_evaluation_input_is_ours(instance):
    window = CropWindow.around(instance.mask, instance.hw, 50, 96)
    target = window.cut(instance.mask, cv2.INTER_NEAREST)
    points = sample_extreme_points(target, 0, np.random.default_rng(7))
    theirs = baselines.evaluation_input(instance, np.random.default_rng(7), 50, 96)
    assert theirs.dtype == np.float32
    np.testing.assert_allclose(encode(instance.image, window, points), theirs, rtol=0, atol=2e-3)


@pytest.mark.parametrize("affine", [Affine(), Affine(True, 15, 0.8), Affine(False, -20, 1.2)])
def test_straightforward_training_differs_by_its_second_interpolation_only(instance, affine):
    ours, theirs = (
        kind(SMALL).apply(instance, affine, np.random.default_rng(3))
        for kind in (TrainTransform, baselines.StraightforwardTransform)
    )
    # A flip before the warp, not within it, moves the border by a rounding error.
    assert (ours.target != theirs.target).mean() < 0.002
    assert np.median(np.abs(ours.inputs[:3] - theirs.inputs[:3])) < 4
    if not affine.flip:
        assert np.array_equal(ours.target, theirs.target)
        np.testing.assert_allclose(ours.inputs[3], theirs.inputs[3], rtol=0, atol=2e-3)
