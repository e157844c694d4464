import cv2
import numpy as np
import pytest
import torch
from support.exported import SIZE, small_network

from benchmarks import runtimes
from dextr.weights.load import save_network

pytest.importorskip("onnxruntime")


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "w.safetensors"
    save_network(path, small_network(), size=SIZE, relax=20, threshold=0.5, origin={})
    return path


@pytest.fixture
def root(tmp_path):
    """Two photos with a square each."""
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (tmp_path / "data" / kind).mkdir(parents=True)
    for name in "ab":
        image = rng.integers(0, 256, (80, 100, 3), np.uint8)
        mask = np.zeros((80, 100), np.uint8)
        mask[20:60, 30:70] = 1
        cv2.imwrite(str(tmp_path / "data" / "images" / f"{name}.png"), image)
        cv2.imwrite(str(tmp_path / "data" / "masks" / f"{name}.png"), mask)
    return tmp_path / "data"


def test_table_compares_every_runtime(weights, root, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("DEXTR_CACHE", str(tmp_path / "cache"))
    arguments = ["--network", str(weights), "--root", str(root), "--repeats", "1"]
    assert runtimes.main([*arguments, "--threads", str(torch.get_num_threads())]) == 0
    lines = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if "| " in line]
    rows = {line[1]: line for line in lines[1:]}
    assert {"PyTorch", "PyTorch, folded", "ONNX Runtime"} < rows.keys()
    assert rows["PyTorch"][3] == "1.00"
    for name, row in rows.items():
        if name.endswith("int8"):
            assert float(row[4]) > 1e-3
        else:
            assert float(row[4]) < 1e-3
            assert float(row[5]) > 99.9
