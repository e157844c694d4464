"""The tables of benchmarks/prediction.py, with tiny settings."""

import numpy as np
import torch

from benchmarks import prediction


def tables(text):
    """The cells of each Markdown table, without its header."""
    parts = [part.splitlines() for part in text.split("\n\n") if part.startswith("|")]
    return [[[c.strip() for c in row.split("|")[1:-1]] for row in part[2:]] for part in parts]


def test_all_tables(monkeypatch, capsys):
    monkeypatch.setattr(prediction, "peak_memory", lambda name, size, kind: 7)
    threads = torch.get_num_threads()
    options = "--networks resnet18 bundled --size 32 --repeats 1"
    assert prediction.main([*options.split(), "--threads", str(threads)]) == 0
    networks, stages = tables(capsys.readouterr().out)
    assert [row[0].split(",")[0] for row in networks] == ["resnet18", "bundled"]
    for row in networks:
        assert row[4:6] == ["7 MiB", "7 MiB"]
        assert float(row[6]) < 1e-3
        assert row[7] == "identical"
    assert [row[0].split(":")[0] for row in stages] == ["encode", "network", "decode", "all of it"]


def test_memory_of_a_process():
    before = prediction.own_peak()
    held = np.ones((before + 64) * 2**20, np.uint8)
    assert before + 64 <= prediction.own_peak() < 3 * before + 64
    del held
    # A process of its own: what this one held does not count.
    assert 50 < prediction.peak_memory("resnet18", 32, "ours") < 1.5 * before + 64
