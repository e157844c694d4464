"""What all tests share: the same examples every time, and scripts run as a user runs them."""

import os
import runpy
import subprocess
from pathlib import Path

import cv2
import pytest
import torch
from hypothesis import settings

from dextr.common import cli

ROOT = Path(__file__).parents[1]
# These files start processes: with them first, `make test`'s two workers end together.
SLOWEST = ("test_processes", "test_train", "test_eval", "test_annotate", "test_demo")
IN_A_WORKER = "PYTEST_XDIST_WORKER" in os.environ

if IN_A_WORKER:
    # Each worker has one core, and so have the processes that its tests start.
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    cv2.setNumThreads(1)

settings.register_profile("fixed", deadline=None, derandomize=True, database=None)
settings.load_profile("fixed")


def pytest_collection_modifyitems(items):
    if IN_A_WORKER:
        items.sort(key=lambda item: item.path.stem not in SLOWEST)


@pytest.fixture
def run_here(tmp_path, monkeypatch, capsys):
    """Return a function that runs a script of the repository in this process.

    It takes the script's name and arguments, and gives the finished process with its output.
    Caches go to a folder of the test.
    """

    def call(script, *arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("DEXTR_CACHE", str(tmp_path / "cache"))
        main = runpy.run_path(str(ROOT / script))["main"]
        try:
            code = cli.run(main, [str(argument) for argument in arguments])
        except SystemExit as stop:
            code = stop.code
        shown = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, code, shown.out, shown.err)

    return call


@pytest.fixture
def one_thread():
    """Compute with one thread: more add in another order, and differ in the last bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
