"""Weights, an ONNX file and a checkpoint that the code wrote before its folders were made."""

import lzma

import numpy as np
import pytest
import torch
from support.golden import FOLDER

from dextr.weights import load_network


@pytest.fixture
def old(tmp_path):
    """Return a function that unpacks an old file into a folder and gives its path."""

    def unpack(name, folder=tmp_path):
        folder.mkdir(parents=True, exist_ok=True)
        packed = FOLDER / "before_house" / f"{name}.xz"
        (folder / name).write_bytes(lzma.decompress(packed.read_bytes()))
        return folder / name

    return unpack


def test_weights_and_onnx_say_and_compute_the_same(old):
    weights, exported = (load_network(old(n)) for n in ("weights.safetensors", "network.onnx"))
    assert weights.about.origin == {"steps": 12}
    for loaded in (weights, exported):
        assert loaded.trained
        about = loaded.about
        assert (about.size, about.relax, about.threshold) == (32, 50, 0.8)
        assert (about.network.backbone, about.network.stages) == ("resnet18", 1)
    inputs = np.random.default_rng(0).uniform(0, 255, (2, 4, 32, 32)).astype(np.float32)
    a, b = (loaded.predictor("cpu").logits(inputs) for loaded in (weights, exported))
    np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(a).max() + 1e-6)
    assert a.std() > 0


def test_a_run_goes_on_with_an_old_checkpoint(old, tmp_path, run_here):
    run = tmp_path / "run"
    name = "snapshot-000000006.pt"
    saved = torch.load(old(name, run / "checkpoints"), weights_only=True)
    finished = run_here("train_pascal.py", "--resume", run, "--output-dir", run)
    assert finished.returncode == 0, finished.stderr
    assert "as saved after step 6" in finished.stdout + finished.stderr
    final = load_network(run / "weights.safetensors")
    assert final.about.origin["steps"] == 12
    assert saved["step"] == 6
    after = final.layers.state_dict()
    assert any(not torch.equal(after[k], v) for k, v in saved["ema"].items())
