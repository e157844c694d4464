"""`python -m dextr export`, from weights to a file that the scripts run."""

import json
import sys

import cv2
import numpy as np
import pytest
from support.exported import SIZE, small_loaded, small_network

from dextr.__main__ import main
from dextr.export import onnx_file as export_module
from dextr.export.onnx_file import export
from dextr.weights.load import save_network

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture
def weights(tmp_path):
    """A weights file of a small network; its run's folders stand in it."""
    path = tmp_path / "w.safetensors"
    origin = {"steps": 3, "config": {"folder": ["/home/someone"], "lr": 0.5}}
    save_network(path, small_network(), size=SIZE, relax=20, threshold=0.5, origin=origin)
    return path


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("name", "options", "batches"),
    [("x.onnx", [], [1, 3]), ("x.onnx", ["--batch", "2"], [2])],
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


def test_origin_tells_the_weights_and_no_paths(tmp_path, weights):
    out = tmp_path / "x.onnx"
    assert main(["export", "--weights", str(weights), "--output", str(out), "--no-check"]) == 0
    (entry,) = onnx.load(out).metadata_props
    about = json.loads(entry.value)
    assert about["origin"] == {"steps": 3, "config": {"lr": 0.5}}
    assert about["weights"]["name"] == "w.safetensors"
    assert len(about["weights"]["sha256"]) == 64
    assert b"/home/someone" not in out.read_bytes()


def test_scripts_run_the_file_as_they_run_the_weights(tmp_path, weights, run_here):
    out = tmp_path / "x.onnx"
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
    command = ["export", "--weights", str(weights), "--output", str(tmp_path / "x.onnx")]
    assert main(command) == 1
    shown = capsys.readouterr()
    assert "x.onnx is not written" in shown.err
    assert "FAILED" in shown.err
    assert names_in(tmp_path) == ["w.safetensors"]
    (tmp_path / "x.onnx").write_text("older")
    assert main(command) == 1
    assert (tmp_path / "x.onnx").read_text() == "older"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--output", "x.pt2"], "ends in .onnx"),
        (["--output", "x.torchscript"], "TorchScript files are no longer read or written"),
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
    path = tmp_path / "x.onnx"
    export(small_loaded(), path, check=False)
    for command in (
        ["export", "--weights", str(path), "--output", str(tmp_path / "y.onnx")],
        ["pack", str(path), str(tmp_path / "y.safetensors")],
    ):
        assert main(command) == 2
        assert "is an exported network: give the weights" in capsys.readouterr().err
    assert names_in(tmp_path) == ["x.onnx"]
