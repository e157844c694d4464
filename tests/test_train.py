import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from support.trees import make_coco, make_folder, make_sbd, make_voc

import train_pascal
from dextr import load_predictor
from dextr.common import cli
from dextr.training.checkpoint import checkpoints, load_checkpoint
from dextr.weights.load import load_network

ROOT = Path(__file__).parents[1]
TINY = """
    --backbone resnet18 --stages 2 --head-width 16 --size 64 --init none --epochs 2
    --batch-size 5 --log-every 1 --workers 0 --lr 1e-6 --device cpu
"""


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEXTR_CACHE", str(tmp_path / "cache"))


def train(*argv):
    return cli.run(train_pascal.main, [*TINY.split(), *map(str, argv)])


def log(folder, kind="train"):
    lines = [json.loads(line) for line in (Path(folder) / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == kind]


def losses(folder):
    return [(line["step"], line["epoch"], line["loss"], line["lr"]) for line in log(folder)]


class Command:
    """`train_pascal.py`, or a script like it, as a process whose output is read line by line."""

    def __init__(self, *argv, script="train_pascal.py", **options):
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / script), *map(str, argv)],
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
            **options,
        )

    def until(self, start):
        for line in self.process.stdout:
            if line.startswith(start):
                return line
        raise AssertionError(f"no line {start!r}; exit code {self.process.wait()}")

    def end(self, number=None):
        if number is not None:
            self.process.send_signal(number)
        rest = self.process.stdout.read()
        self.process.stdout.close()
        return self.process.wait(), rest


@pytest.mark.usefixtures("one_thread")
def test_killed_and_interrupted_runs_go_on_with_the_losses_of_an_uninterrupted_one():
    options = TINY + "--shapes 14 --val-fraction 0.2 --epochs 8 --optimizer adamw --lr 1e-3"
    options += " --ema 0.9 --accumulate 2 --batch-size 2 --eval-every 3 --log-every 2"
    options += " --schedule cosine --warmup-steps 3 --hard-examples 3 --corrections 0.5"
    options = options.split()
    whole = [*options, "--output-dir", "whole", "--workers", "1"]
    assert cli.run(train_pascal.main, whole) == 0

    flags = [*options, "--output-dir", "torn", "--resume", "auto", "--save-minutes", 1e-9]
    signalled = "tests/support/signalled.py"
    code, _ = Command(int(signal.SIGKILL), 8, *flags, script=signalled).end()
    assert code == -signal.SIGKILL
    code, said = Command(int(signal.SIGINT), 14, *flags, script=signalled).end()
    assert code == 130
    assert "--resume torn" in said
    assert cli.run(train_pascal.main, ["--resume", "torn"]) == 0

    assert losses("torn") == losses("whole")
    steps = [step for step, *_ in losses("torn")]
    assert steps == sorted(set(steps))
    assert [x["mean_iou"] for x in log("torn", "evaluation")] == [
        x["mean_iou"] for x in log("whole", "evaluation")
    ]
    one, two = (load_network(f"{name}/weights.safetensors") for name in ("torn", "whole"))
    for name, value in one.network.state_dict().items():
        assert torch.equal(value, two.network.state_dict()[name]), name


def test_pascal_and_other_sources_from_end_to_end(tmp_path):
    make_voc(tmp_path)
    make_sbd(tmp_path)
    make_coco(tmp_path / "coco")
    make_folder(tmp_path / "folder")
    sources = ["--voc-root", tmp_path / "VOCdevkit", "--sbd-root", tmp_path / "benchmark_RELEASE"]
    sources += ["--coco-root", tmp_path / "coco", "--folder", tmp_path / "folder"]
    assert train(*sources, "--shapes", 3, "--snapshot-every", 1, "--eval-every", 1) == 0

    run = tmp_path / "runs" / "dextr-1"
    steps = log(run)
    assert [x["step"] for x in steps] == list(range(1, len(steps) + 1))
    assert all(np.isfinite(x["loss"]) and x["objects_per_second"] > 0 for x in steps)
    assert [x["epoch"] for x in log(run, "evaluation")] == [1, 2]
    assert json.loads((run / "evaluation.json").read_text())["dataset"]["name"] == "pascal-val"
    assert json.loads((run / "environment.json").read_text())["packages"]["torch"]
    assert sorted(p.name for p in (run / "pictures").iterdir()) == ["epoch-0001.png", "final.png"]
    kept = [load_checkpoint(p)["epoch"] for p in sorted((run / "checkpoints").glob("snapshot*"))]
    assert kept == [1, 2]

    image = np.zeros((60, 80, 3), np.uint8)
    predictor = load_predictor(run / "weights.safetensors", "cpu")
    points = [(10, 30), (70, 30), (40, 5), (40, 55)]
    assert predictor.size == 64
    origin = load_network(run / "weights.safetensors").about.origin
    assert origin["config"]["backbone"] == "resnet18"
    assert str(tmp_path) not in str(origin)
    assert predictor.predict(image, points).prob.shape == (60, 80)

    # The run's own configuration starts the same run again.
    again = tmp_path / "again"
    config = run / "config.json"
    argv = ["--config", str(config), "--output-dir", str(again), "--epochs", "1"]
    assert cli.run(train_pascal.main, argv) == 0
    assert losses(again) == [x for x in losses(run) if x[1] == 1]


def test_without_data_a_demonstration_says_so_first(capfd):
    argv = [*TINY.split(), "--epochs", "1", "--val-fraction", "0.9", "--eval-limit", "4"]
    assert cli.run(train_pascal.main, argv) == 0
    first = capfd.readouterr().out.splitlines()[0]
    assert first.startswith("no data given")
    for changed in ("shapes 240", "optimizer adamw"):
        assert changed in first
    assert "epochs" not in first
    assert json.loads(Path("runs/dextr-1/config.json").read_text())["epochs"] == 1


@pytest.mark.parametrize("extra", [["--batch-norm", "frozen"], ["--no-channels-last"]])
def test_a_last_batch_of_one_object(extra):
    assert train("--shapes", 6, "--epochs", 1, *extra) == 0
    assert len(log("runs/dextr-1")) == 2
    assert log("runs/dextr-1", "evaluation") == []


def test_a_loss_that_is_not_finite_stops_and_overwrites_nothing(capsys):
    assert train("--shapes", 12, "--output-dir", "run") == 0
    before = {p: p.read_bytes() for p in Path("run").rglob("*.pt")}
    argv = ["--resume", "run", "--epochs", "4"]
    newest = checkpoints(Path("run/checkpoints"))[0]
    content = load_checkpoint(newest)
    content["optimizer"]["param_groups"][0]["full_lr"] = 1e38
    torch.save(content, newest)
    before[newest] = newest.read_bytes()
    assert cli.run(train_pascal.main, argv) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "the loss is" in error
    assert "#" in error
    assert {p: p.read_bytes() for p in Path("run").rglob("*.pt")} == before


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--shapes", "3", "--epochs", "0"], "--epochs: expected a whole number of 1 or more"),
        (["--shapes", "3", "--amp", "fp16"], "fp16 needs a GPU"),
        (["--shapes", "3", "--init", "missing.pth"], "missing.pth"),
        (["--folder", "missing"], "missing"),
        (["--shapes", "3", "--device", "cuda:99"], "cuda:99"),
        (["--config", "missing.json"], "missing.json"),
        (["--resume", "missing"], "no such run folder"),
    ],
)
def test_mistakes_are_one_line_and_leave_no_folder(argv, words, capsys):
    assert train(*argv) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1
    assert words in error[0]
    assert not list(Path().glob("runs/*"))


def test_a_full_disk_is_one_line_that_names_the_last_good_checkpoint(capsys):
    assert train("--shapes", 12, "--output-dir", "run") == 0
    before = {p: p.read_bytes() for p in Path("run").rglob("*.pt")}
    newest = checkpoints(Path("run/checkpoints"))[0]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for size in (100_000, 1000):  # the checkpoint has no room; nothing has
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
        try:
            code = cli.run(train_pascal.main, ["--resume", "run", "--epochs", "4"])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert code == 2
        error = capsys.readouterr().err.splitlines()
        assert len(error) == 1
        assert f"File too large); the last good checkpoint is {newest}" in error[0]
        assert {p: p.read_bytes() for p in Path("run").rglob("*.pt")} == before
        assert not list(Path("run").rglob(".*"))
    assert cli.run(train_pascal.main, ["--resume", "run", "--epochs", "4"]) == 0


def test_changed_data_are_refused_and_taken_if_asked(tmp_path, capsys):
    make_folder(tmp_path / "folder")
    flags = ["--folder", tmp_path / "folder", "--hard-examples", 2]
    assert train(*flags, "--output-dir", "run", "--val-fraction", 0.3) == 0
    assert cli.run(train_pascal.main, ["--resume", "run", "--epochs", "3"]) == 0
    photo = sorted((tmp_path / "folder" / "images").iterdir())[0]
    photo.write_bytes(photo.read_bytes() + b"\0")
    capsys.readouterr()
    resumed = ["--resume", "run", "--epochs", "4"]
    assert cli.run(train_pascal.main, resumed) == 2
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1
    assert f"1 image has another photo or other objects ({photo.stem})" in error[0]
    assert "--accept-changed-data" in error[0]
    assert cli.run(train_pascal.main, [*resumed, "--accept-changed-data"]) == 0
    assert "data changed" in capsys.readouterr().out
    assert cli.run(train_pascal.main, ["--resume", "run", "--epochs", "5"]) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_whole_group_saves_and_stops(number):
    flags = [*TINY.split(), "--shapes", 14, "--epochs", 900, "--workers", 2, "--output-dir", "run"]
    running = Command(*flags, start_new_session=True, stderr=subprocess.PIPE)
    running.until("epoch 1/900")
    for _ in range(5 if number == signal.SIGINT else 1):
        os.killpg(running.process.pid, number)
    said = running.process.communicate()
    assert running.process.returncode == 130
    assert said[0].splitlines()[-1].endswith("--resume run")
    assert said[1] == ""
    assert checkpoints(Path("run/checkpoints"))


def test_a_killed_worker_is_one_line():
    flags = [*TINY.split(), "--shapes", 14, "--epochs", 900, "--workers", 1, "--output-dir", "run"]
    running = Command(*flags, stderr=subprocess.PIPE)
    running.until("epoch 1/900")
    children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children")
    os.kill(int(children.read_text().split()[0]), signal.SIGKILL)
    error = running.process.communicate()[1].splitlines()
    assert running.process.returncode == 2, error
    assert len(error) == 1
    assert error[0].startswith("error: a process that prepares objects ended")
