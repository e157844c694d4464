import pytest

from benchmarks import gpu_checks
from benchmarks.gpu_checks import Check


def test_the_cpu_agrees_with_itself(capsys, monkeypatch):
    fewer = {6: 2, 13: 5}
    shapes = gpu_checks.ShapesInstances
    monkeypatch.setattr(gpu_checks, "ShapesInstances", lambda n: shapes(fewer.get(n, n)))
    # Each process takes seconds to start.
    monkeypatch.setattr(gpu_checks, "SHARES", {"two processes": (3, 1)})
    assert gpu_checks.main(["--device", "cpu", "--small"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("| ok |") == 7
    assert "FAILED" not in shown


@pytest.mark.parametrize("found", [2.0, float("nan")])
def test_a_failed_check_is_told(found, monkeypatch, capsys):
    for name in ("logits_check", "evaluation_check", "copying_check", "step_check"):
        monkeypatch.setattr(gpu_checks, name, lambda *_: Check("fine", 0, 0))
    monkeypatch.setattr(gpu_checks, "process_group_checks", lambda *_: [])
    monkeypatch.setattr(gpu_checks, "mask_checks", lambda *_: [Check("masks", found, 1)])
    assert gpu_checks.main(["--device", "cpu"]) == 1
    assert capsys.readouterr().out.count("FAILED") == 1
