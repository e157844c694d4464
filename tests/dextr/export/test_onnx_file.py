"""`python -m dextr export`, from weights to a file that the scripts run."""

import json
import sys
import zipfile

import cv2
import numpy as np
import pytest
from support.exported import SIZE, small_loaded, small_network

from dextr.__main__ import main
from dextr.common.example_photos import example_scene
from dextr.export import onnx_file as export_module
from dextr.export.agreement import answer
from dextr.export.onnx_file import calibration_scenes, export
from dextr.weights.exported import METADATA_KEY, read_exported
from dextr.weights.load import save_network

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture
def weights(tmp_path):
    """A weights file of a small network; its run's folders stand in it."""
    path = tmp_path / "w.safetensors"
    origin = {"steps": 3, "config": {"lr": 0.5}}
    save_network(path, small_network(), size=SIZE, relax=20, threshold=0.5, origin=origin)
    return path


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("name", "options", "batches"),
    [("x.onnx", [], [1, 3]), ("x.onnx", ["--batch", "2"], [2]), ("x.torchscript", [], [1, 3])],
)
def test_export_checks_itself(tmp_path, weights, capsys, name, options, batches):
    out = tmp_path / "new" / name
    assert main(["export", "--weights", str(weights), "--output", str(out), *options]) == 0
    shown = capsys.readouterr().out.splitlines()
    rows = [line.split() for line in shown[1:-1]]
    scenes = ("coffee", "astronaut", "noise")
    assert [row[:2] for row in rows] == [[s, str(b)] for s in scenes for b in batches]
    assert all(float(row[2]) < 1e-3 and row[3:] == ["0", "100.00", "ok"] for row in rows)
    assert shown[-1].startswith(f"{out}: ")
    assert names_in(out.parent) == [name]


def test_origin_is_the_weights(tmp_path, weights):
    out = tmp_path / "x.torchscript"
    assert main(["export", "--weights", str(weights), "--output", str(out), "--no-check"]) == 0
    with zipfile.ZipFile(out) as archive:
        (entry,) = [name for name in archive.namelist() if name.endswith(METADATA_KEY)]
        about = json.loads(archive.read(entry))
    assert about["origin"] == {"steps": 3, "config": {"lr": 0.5}}
    assert about["weights"]["name"] == "w.safetensors"
    assert len(about["weights"]["sha256"]) == 64
    assert b"/home/someone" not in out.read_bytes()


@pytest.mark.parametrize("name", ["x.onnx", "x.torchscript"])
def test_scripts_run_the_file_as_they_run_the_weights(tmp_path, weights, run_here, name):
    out = tmp_path / name
    assert main(["export", "--weights", str(weights), "--output", str(out), "--no-check"]) == 0
    masks, numbers = [], []
    for k, file in enumerate((weights, out)):
        picture = tmp_path / f"masks{k}" / "m.png"
        done = run_here("demo.py", "--weights", file, "--output", picture, "--device", "cpu")
        assert done.returncode == 0, done.stderr
        masks.append(cv2.imread(str(picture), cv2.IMREAD_UNCHANGED))
        result = tmp_path / f"{k}.json"
        done = run_here(
            "eval.py", "--weights", file, "--limit", 4, "--workers", 0, "--json", result,
            "--batch-size", 3, "--device", "cpu",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        numbers.append([o["iou"] for o in json.loads(result.read_text())["objects"]])
    assert masks[0].any()
    assert np.count_nonzero(masks[0] != masks[1]) <= 2
    assert len(numbers[0]) == 4
    np.testing.assert_allclose(numbers[0], numbers[1], atol=1e-4)


def test_a_failing_check_leaves_no_file(tmp_path, weights, capsys, monkeypatch):
    other = small_network(head="atrous")
    monkeypatch.setattr(export_module, "pool_by_matrices", lambda network: other)
    command = ["export", "--weights", str(weights), "--output", str(tmp_path / "x.torchscript")]
    assert main(command) == 1
    shown = capsys.readouterr()
    assert "x.torchscript is not written" in shown.err
    assert "FAILED" in shown.err
    assert names_in(tmp_path) == ["w.safetensors"]
    (tmp_path / "x.torchscript").write_text("older")
    assert main(command) == 1
    assert (tmp_path / "x.torchscript").read_text() == "older"


@pytest.mark.parametrize("batch", [None, 2])
def test_int8_answers_nearly_alike(tmp_path, batch):
    loaded = small_loaded()
    path = tmp_path / "x.onnx"
    rows = export(loaded, path, batch, calibration_scenes(None, None))
    assert {row.exact for row in rows} == {False}
    model = onnx.load(path)
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("QuantizeLinear") > 10
    assert METADATA_KEY in {entry.key for entry in model.metadata_props}
    weights = {w.name: w.data_type for w in model.graph.initializer}
    assert sum(kind == onnx.TensorProto.INT8 for kind in weights.values()) > 10
    scene = example_scene("astronaut")
    expected = answer(loaded.network, loaded, scene).logits
    difference = answer(read_exported(path).network, loaded, scene).logits - expected
    assert 0 < difference.std() < 0.2 * expected.std()


def test_calibration_on_ones_own_objects(tmp_path, weights, capsys):
    photos = tmp_path / "photos"
    photos.mkdir()
    rng = np.random.default_rng(0)
    cv2.imwrite(str(photos / "a.png"), rng.integers(0, 256, (90, 120, 3), np.uint8))
    points = tmp_path / "p.csv"
    head = "image,x1,y1,x2,y2,x3,y3,x4,y4\n"
    row = "a.png,10,30,60,30,30,10,30,70\n"
    points.write_text(head + 2 * row)
    (scene,) = calibration_scenes(points, photos)
    assert scene.image.shape == (90, 120, 3)
    assert [p.tolist() for p in scene.objects] == [[[10, 30], [60, 30], [30, 10], [30, 70]]] * 2
    command = ["export", "--weights", str(weights), "--output", str(tmp_path / "x.onnx"), "--int8"]
    command += ["--calibrate", str(points), "--images", str(photos)]
    assert main([*command, "--no-check"]) == 0
    points.write_text(head)
    capsys.readouterr()
    assert main(command) == 2
    assert "p.csv: no object to calibrate on" in capsys.readouterr().err
    points.write_text(head + row.replace("a.png", "b.png"))
    assert main(command) == 2
    assert "b.png: no such image file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--output", "x.pt2"], "ends in .onnx or .torchscript"),
        (["--output", "x.torchscript", "--int8"], "--batch and --int8 are for .onnx files"),
        (["--output", "x.torchscript", "--batch", "2"], "--batch and --int8 are for .onnx files"),
        (["--output", "x.onnx", "--int8", "--images", "."], "go together"),
        (["--output", "x.onnx", "--calibrate", "p.csv", "--images", "."], "and with --int8"),
        (["--output", "x.onnx", "--weights", "nothing"], "no weights 'nothing'"),
    ],
)
def test_options_that_do_not_fit(tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.chdir(tmp_path)
    assert main(["export", *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
def test_missing_package(tmp_path, weights, monkeypatch, capsys, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    out = str(tmp_path / "x.onnx")
    assert main(["export", "--weights", str(weights), "--output", out]) == 2
    error = capsys.readouterr().err
    assert "pip install" in error
    assert missing in error
    assert names_in(tmp_path) == ["w.safetensors"]


def test_an_exported_file_cannot_be_exported_or_packed(tmp_path, capsys):
    path = tmp_path / "x.torchscript"
    export(small_loaded(), path, check=False)
    for command in (
        ["export", "--weights", str(path), "--output", str(tmp_path / "y.onnx")],
        ["pack", str(path), str(tmp_path / "y.safetensors")],
    ):
        assert main(command) == 2
        assert "is an exported network: give the weights" in capsys.readouterr().err
    assert names_in(tmp_path) == ["x.torchscript"]
