import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from support.pair import run_pair

from dextr.common.processes import World, join, pick_device
from dextr.weights.load import load_network

ROOT = Path(__file__).parents[3]
FLAGS = """
    --shapes 13 --val-fraction 0.2 --backbone resnet18 --stages 2 --head-width 8 --size 64
    --init none --epochs 2 --batch-size 3 --log-every 1 --workers 0 --optimizer adamw --lr 1e-4
    --device cpu
"""


PATHS = os.pathsep.join([str(ROOT), str(ROOT / "tests")])


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """The folder that two processes filled, one session for all tests that kill none."""
    out = tmp_path_factory.mktemp("two")
    script = ROOT / "tests" / "support" / "two_processes.py"
    flags = [*FLAGS.split(), "--output-dir", out / "run"]
    run_pair([sys.executable, script, out, *flags], out, PYTHONPATH=PATHS)
    return out


@pytest.mark.parametrize("case", ["uneven", "void", "mean", "accumulated", "one object", "clipped"])
def test_two_processes_give_the_gradients_of_one(two, case):
    for rank in (0, 1):
        steps = torch.load(two / f"rank{rank}.pt", weights_only=True)["steps"]
        shared, alone = steps[case]
        torch.testing.assert_close(shared["loss"], alone["loss"], rtol=1e-6, atol=0)
        assert alone["gradients"]
        for what in ("gradients", "state"):
            assert shared[what].keys() == alone[what].keys()
            for name, value in alone[what].items():
                scale = value.abs().max().item() if value.numel() else 0
                torch.testing.assert_close(
                    shared[what][name],
                    value,
                    rtol=1e-9,
                    atol=1e-14 + 1e-9 * scale,
                    msg=f"{what} {name}",
                )


def test_two_processes_exchange(two):
    for rank in (0, 1):
        exchanged = torch.load(two / f"rank{rank}.pt", weights_only=True)["exchanged"]
        assert exchanged["gathered"] == [0, 1]
        assert exchanged["from main"] == 0
        assert exchanged["done by main"] == (5 if rank == 0 else None)
        assert exchanged["failure of main"] == "[Errno 28] No space left on device"
        assert exchanged["summed"] == [2, 1]
        shared, alone = exchanged["scores"]
        assert shared == alone
        assert [row for row, *_ in shared] == list(range(7))


@pytest.fixture(scope="module")
def whole(two):
    """The folder of a training run of two processes; its last batch is one object for the two."""
    return two / "run"


def logged_losses(run):
    lines = [json.loads(x) for x in (run / "log.jsonl").read_text().splitlines()]
    return [(x["step"], x["loss"]) for x in lines if x["kind"] == "train"]


def test_a_run_of_two_processes_leaves_one_log_and_one_result(whole):
    assert [step for step, _ in logged_losses(whole)] == list(range(1, 9))
    assert json.loads((whole / "evaluation.json").read_text())["summary"]["count"] == 3
    assert (whole / "weights.safetensors").exists()


def test_after_a_worker_was_killed_torchrun_goes_on_from_the_last_checkpoint(whole, tmp_path):
    torn = tmp_path / "torn"
    flags = [*FLAGS.split(), "--output-dir", str(torn), "--resume", "auto", "--save-minutes=1e-9"]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    script = str(ROOT / "tests" / "support" / "killed_once.py")
    done = subprocess.run(
        [*command, "--max-restarts=1", script, "7", *flags],
        env={**os.environ, "PYTHONPATH": PATHS, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert "as saved after step 6" in done.stdout
    assert logged_losses(torn) == logged_losses(whole)
    files = [folder / "weights.safetensors" for folder in (torn, whole)]
    one, other = (load_network(file).network.state_dict() for file in files)
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_one_process_needs_no_group():
    with join("cpu") as world:
        assert (world.rank, world.size, world.main) == (0, 1, True)
        assert not torch.distributed.is_initialized()
    alone = World(0, 1, torch.device("cpu"))
    assert alone.gather("x") == ["x"]
    assert alone.from_main("x") == "x"
    assert alone.on_main(lambda: 3) == 3
    with pytest.raises(OSError, match="full"):
        alone.on_main(lambda: (_ for _ in ()).throw(OSError("full")))


def test_the_gpu_asked_for_is_the_one_worked_on(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    chosen = []
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    for device in ("cpu", "cuda", "cuda:1"):
        with join(device) as world:
            assert world.device == torch.device(device)
    assert chosen == [torch.device("cuda:1")]


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "meta", "vulkan", "", "mps", "xpu"])
def test_devices_that_are_not_there(device):
    with pytest.raises(ValueError, match=f"no device '{device}'"):
        pick_device(device)
    assert pick_device("cpu") == torch.device("cpu")


def test_without_a_wish_a_gpu_is_taken_if_there_is_one(monkeypatch):
    for there, expected in ((False, "cpu"), (True, "cuda")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert pick_device() == torch.device(expected)


def test_a_device_that_was_never_tested_says_so(monkeypatch):
    monkeypatch.setattr(torch.xpu, "is_available", lambda: True)
    with pytest.warns(UserWarning, match="nothing was ever tested on xpu"):
        assert pick_device("xpu").type == "xpu"
