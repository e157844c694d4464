import json

import pytest
import torch

from benchmarks import evaluation
from benchmarks.evaluation import NAMES, stored_logits


def test_stored_logits_hold_an_object_in_the_middle():
    network = stored_logits(3, 129)
    logits = network(torch.rand(2, 4, 129, 129))
    assert logits.shape == (2, 1, 129, 129)
    inside = logits[0, 0] > 0
    assert inside[64, 64]
    assert not inside[0].any()
    assert not inside[:, 0].any()
    assert inside.float().mean() == pytest.approx(torch.pi / 8, rel=0.03)


def test_every_network_and_number_of_workers(tmp_path, capsys):
    file = tmp_path / "evaluation.json"
    arguments = ["--small", "--device", "cpu", "--size", "64", "--workers", "0", "2"]
    arguments += ["--objects", "5", "--batch-size", "2", "--steps", "1", "--json", str(file)]
    assert evaluation.main(arguments) == 0
    results = json.loads(file.read_text())["results"]
    assert [(r["network"], r["workers"]) for r in results] == [
        (n, w) for n in NAMES for w in (0, 2)
    ]
    shown = capsys.readouterr().out
    for row in results:
        alone = row["alone"]
        share = "-" if alone is None else f"{100 * row['rate'] / alone:.0f} %"
        assert f"| {row['workers']} | {row['rate']:.1f} |" in shown
        assert f"| {share} |" in shown
        assert (alone is None) == (row["network"] == "no network")
