"""eval.py as a user runs it: on made data sets."""

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.pair import run_pair
from support.trees import make_coco, make_davis, make_folder, make_sbd, make_voc

from dataloaders.crops.sources import SourceConfig, open_sources
from dextr.weights.load import load_network, save_network
from eval import open_kept_out

ROOT = Path(__file__).parents[1]
SMALL = ("--weights", "untrained", "--size", 64, "--device", "cpu")


@pytest.fixture
def score(run_here, tmp_path):
    """Run eval.py, which has to succeed; returns what it printed and the JSON it wrote."""

    def call(*arguments):
        finished = run_here("eval.py", *arguments, "--json", tmp_path / "result.json")
        assert finished.returncode == 0, finished.stderr
        return finished.stdout, json.loads((tmp_path / "result.json").read_text())

    return call


@pytest.fixture
def fails(run_here):
    """Run eval.py, which has to fail with one line; returns it."""

    def call(*arguments):
        finished = run_here("eval.py", *arguments)
        assert finished.returncode == 2
        assert "Traceback" not in finished.stderr
        return finished.stderr.strip().splitlines()[-1]

    return call


@pytest.mark.usefixtures("one_thread")
def test_the_number_repeats_to_the_last_byte(run_here, tmp_path):
    """No matter how many workers or processes; the default is synthetic shapes."""
    arguments = (*SMALL, "--limit", 11, "--batch-size", 2, "--sweep", "--clicks", 6)
    one = run_here("eval.py", *arguments, "--workers", 0, "--json", "one.json")
    assert one.returncode == 0, one.stderr
    command = [sys.executable, ROOT / "eval.py", *arguments, "--workers", 2, "--json", "two.json"]
    two = run_pair(command, tmp_path, DEXTR_CACHE=str(tmp_path / "cache"))
    assert two == one.stdout
    assert two.startswith("no --dataset given: scoring synthetic shapes")
    assert two.count("mean IoU over objects") == 1
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


def test_json_and_table_hold_the_same_numbers(score):
    text, result = score(*SMALL, "--limit", 9, "--sweep")
    assert "UNTRAINED" in text
    summary = result["summary"]
    ious = [entry["iou"] for entry in result["objects"]]
    assert summary["count"] == len(ious) == 9
    assert summary["mean_iou"] == pytest.approx(np.mean(ious))
    assert ["mean", "IoU", "over", "objects", f"{100 * summary['mean_iou']:.2f}"] in [
        line.split() for line in text.splitlines()
    ]
    assert len(summary["by_threshold"]) == 19
    assert summary["by_threshold"]["0.5"] == summary["mean_iou"]
    assert result["weights"] == {"name": "untrained", "sha256": None, "trained": False}
    assert result["dataset"]["objects"] == 200
    assert result["settings"]["size"] == 64


def test_pascal_masks_saved_and_scored_again(score, tmp_path):
    scenes = make_voc(tmp_path)
    data = ("--dataset", "pascal", "--root", tmp_path / "VOCdevkit")
    text, result = score(*data, *SMALL, "--threshold", 0.4, "--save-masks", tmp_path / "masks")
    names = sorted(p.name for p in (tmp_path / "masks").glob("*.png"))
    assert names == ["2009_000005.png", "2009_000006.png", "2009_000007.png"]
    assert result["dataset"]["name"] in text
    assert 0 < result["summary"]["mean_iou"] < 1
    assert sum(group["count"] for group in result["summary"]["by_category"].values()) == len(
        result["objects"]
    )
    with Image.open(tmp_path / "masks" / names[0]) as picture:
        assert picture.size == scenes["2009_000005"].labels.shape[::-1]
        assert set(np.unique(picture)) <= {0, *range(1, len(scenes["2009_000005"].classes) + 1)}

    _, again = score(*data, "--predictions", tmp_path / "masks", "--page", tmp_path / "page")
    assert again["objects"] == result["objects"]
    for key in ("mean_iou", "category_mean_iou", "recall", "box_error", "boundary_f", "by_size"):
        assert again["summary"][key] == result["summary"][key], key
    assert again["weights"] is None
    assert (tmp_path / "page" / "index.html").exists()

    shutil.rmtree(tmp_path / "masks" / "objects")
    _, from_maps = score(*data, "--predictions", tmp_path / "masks")
    assert from_maps["summary"]["count"] == len(result["objects"])


def test_the_truth_as_predictions_scores_1(score, tmp_path):
    make_voc(tmp_path)
    base = tmp_path / "VOCdevkit" / "VOC2012"
    _, result = score(
        "--dataset", "pascal", "--root", base, "--predictions", base / "SegmentationObject"
    )
    summary = result["summary"]
    assert summary["mean_iou"] == summary["boundary_f"] == summary["recall"]["0.9"] == 1
    assert summary["box_error"] == 0


def test_coco_with_average_precision(score, tmp_path):
    make_coco(tmp_path)
    data = ("--dataset", "coco", "--root", tmp_path)
    text, result = score(*data, *SMALL, "--save-masks", "masks", "--categories", "person")
    assert set(result["summary"]["by_category"]) == {"person"}
    assert "COCO AP50" in text
    assert set(result["summary"]["coco"]) >= {"AP", "AP50", "AP75"}
    _, whole = score(*data, *SMALL)
    assert whole["summary"]["count"] == 8


@pytest.mark.parametrize(
    ("name", "make", "folder"),
    [("sbd", make_sbd, "."), ("folder", make_folder, "."), ("davis", make_davis, ".")],
)
def test_other_data_sets(score, tmp_path, name, make, folder):
    make(tmp_path / "data")
    data = ("--dataset", name, "--root", tmp_path / "data" / folder)
    text, result = score(*data, *SMALL, "--limit", 3, "--save-masks", tmp_path / "masks")
    assert result["summary"]["count"] == 3
    assert "COCO" not in text
    _, again = score(*data, "--limit", 3, "--predictions", tmp_path / "masks")
    assert again["objects"] == result["objects"]


def test_protocols_points_and_noise_change_the_number(score, tmp_path):
    make_folder(tmp_path / "data")
    data = ("--dataset", "folder", "--root", tmp_path / "data")
    options = [
        (),
        ("--protocol", "released"),
        ("--points", "image"),
        ("--points", "image", "--click-noise", 10),
        ("--points", "image", "--click-noise", 10, "--seed", 1),
        ("--threshold", 0.3),
        ("--relax", 10),
    ]
    results = [score(*data, *SMALL, *option)[1] for option in options]
    means = [result["summary"]["mean_iou"] for result in results]
    assert len(set(means)) == len(options), means
    assert results[3]["settings"]["noise"] == 10
    assert results[1]["settings"]["protocol"] == "released"


def test_a_file_of_weights_brings_its_settings_and_its_hash(score, tmp_path):
    path = tmp_path / "mine.safetensors"
    network = load_network("untrained").network
    save_network(path, network, size=48, relax=20, threshold=0.35, origin={"from": "a test"})
    text, result = score("--weights", path, "--limit", 3, "--device", "cpu")
    assert result["weights"]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert result["weights"]["trained"] is True
    assert "UNTRAINED" not in text
    settings = result["settings"]
    assert (settings["size"], settings["relax"], settings["thresholds"]) == (48, 20, [0.35])


def test_a_page_of_cases(score, tmp_path):
    text, _ = score(*SMALL, "--limit", 6, "--page", tmp_path / "page", "--cases", 2)
    assert str(tmp_path / "page" / "index.html") in text
    for name in ("worst.png", "best.png", "images/worst_02.png", "images/best_01.png"):
        with Image.open(tmp_path / "page" / name) as picture:
            assert picture.mode == "RGB"


def test_further_clicks(score, tmp_path):
    data = (*SMALL, "--limit", 8)
    text, result = score(*data, "--clicks", 6, "--page", tmp_path / "page", "--cases", 1)
    plain_text, plain = score(*data)
    found = result.pop("refinement")
    assert result == plain
    assert text.startswith(plain_text.rstrip())
    assert found["points"] == [4, 5, 6]
    assert [ious[0] for ious in found["ious"]] == [entry["iou"] for entry in plain["objects"]]
    means = np.mean(found["ious"], axis=0)
    assert len(set(means)) == 3
    assert found["every"]["mean_iou"] == pytest.approx(means)
    for count, mean in zip((4, 5, 6), means, strict=True):
        assert [f"{count}", "points", f"{100 * mean:.2f}"] in [
            line.split()[:3] for line in text.splitlines()
        ]
    assert set(found["reach"]) == {"0.85", "0.9"}
    with Image.open(tmp_path / "page" / "clicks.png") as picture:
        assert picture.format == "PNG"
    page = (tmp_path / "page" / "index.html").read_text()
    assert 'src="clicks.png"' in page
    assert "first point brings" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--dataset", "pascal"), "error: pascal needs its folder: give --root"),
        (("--dataset", "folder", "--root", "none"), "error: none"),
        (("--weights", "nothing.pth"), "error: no weights 'nothing.pth'"),
        ((*SMALL, "--threshold", "2"), "--threshold: expected a number from 0 to 1"),
        ((*SMALL, "--click-noise", "3"), "0 unless points are found in the image"),
        (("--click-noise", "2.5"), "expected a whole number from 0 to 1000, got '2.5'"),
        (("--limit", "0"), "expected a whole number of 1 or more"),
        (("--clicks", "4"), "--clicks: expected a whole number from 5 to 1000, got '4'"),
        (("--predictions", "x", "--clicks", "6"), "--clicks: not with --predictions"),
        (("--dataset", "imagenet"), "invalid choice: 'imagenet'"),
        (("--predictions", "x", "--weights", "untrained"), "--weights: not with --predictions"),
        (("--predictions", "x", "--points", "crop", "--seed", "1"), "--points, --seed: not with"),
        (("--predictions", "none", "--limit", "1"), "no mask of 000000#1: expected none/objects"),
        (("--device", "cuda:99"), "no device 'cuda:99'"),
    ],
)
def test_mistakes_are_one_line(fails, arguments, message):
    assert message in fails(*arguments)


def test_an_existing_result_survives_a_failure(fails, tmp_path):
    (tmp_path / "result.json").write_text("old")
    fails("--predictions", "none", "--json", tmp_path / "result.json")
    assert (tmp_path / "result.json").read_text() == "old"


@pytest.mark.skipif("DEXTR_TEST_DATA" not in os.environ, reason="DEXTR_TEST_DATA is not set")
@pytest.mark.parametrize(
    "data",
    [("pascal", "VOCdevkit"), ("coco", "coco"), ("folder", "grabcut")],
    ids=lambda data: data[0],
)
def test_real_data(score, data):
    root = Path(os.environ["DEXTR_TEST_DATA"]) / data[1]
    _, result = score("--dataset", data[0], "--root", root, *SMALL, "--limit", 8)
    assert result["summary"]["count"] == 8
    assert all(0 <= entry["iou"] <= 1 for entry in result["objects"])


def test_a_runs_kept_out_objects_are_found_again(tmp_path):
    config = SourceConfig(shapes=20, val_fraction=0.3)
    kept_out = open_sources(config, seed=4)[1]
    values = {"shapes": 20, "val_fraction": 0.3, "seed": 4, "lr": 1.0}
    (tmp_path / "config.json").write_text(json.dumps(values))
    found = open_kept_out(tmp_path)
    names = [found.object_name(row) for row in range(len(found))]
    assert names == [kept_out.object_name(row) for row in range(len(kept_out))]


@pytest.mark.parametrize(
    ("content", "message"), [(None, "config.json"), ({"shapes": 3}, "no validation objects")]
)
def test_a_folder_without_kept_out_objects_is_an_error(tmp_path, content, message):
    if content is not None:
        (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        open_kept_out(tmp_path)
