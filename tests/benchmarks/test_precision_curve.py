import json
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from benchmarks import precision_curve

SMALL = ["--shapes", "10", "--size", "32", "--backbone", "resnet18", "--stages", "2"]
SMALL += ["--head-width", "4", "--batch-size", "2", "--workers", "0", "--device", "cpu"]


def test_both_precisions_and_another_seed(tmp_path, capsys):
    file, picture = tmp_path / "curves.json", tmp_path / "curves.png"
    options = ["--window", "2", "--json", str(file), "--picture", str(picture)]
    assert precision_curve.main([*SMALL, *options]) == 0
    found = json.loads(file.read_text())
    float32, bf16, other = found["losses"].values()
    assert [len(losses) for losses in (float32, bf16, other)] == [5, 5, 5]
    np.testing.assert_allclose(bf16, float32, rtol=0.1)
    assert bf16 != float32
    assert other[0] != pytest.approx(float32[0], rel=1e-6)
    means = [[(a + b) / 2 for a, b in pairwise(x)] for x in (bf16, float32)]
    expected = max(abs(a - b) / b for a, b in zip(*means, strict=True))
    assert found["largest_difference"]["bf16"] == pytest.approx(expected)
    assert found["largest_difference"]["float32"] == 0
    assert f"{100 * expected:.1f} %" in capsys.readouterr().out
    assert Image.open(picture).size[0] > 300


def test_a_window_longer_than_the_run(monkeypatch):
    monkeypatch.setattr(precision_curve, "train", lambda options, tf32: [{"loss": 1.0}] * 3)
    with pytest.raises(ValueError, match="--window 4: expected at most the steps of a run, 3"):
        precision_curve.main(["--window", "4"])
