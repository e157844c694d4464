import errno
import json
import os
from pathlib import Path

import pytest
import torch
from support.tiny import plain_config, tiny_state

from dextr.common.processes import World
from dextr.training.checkpoint import save_checkpoint
from dextr.training.run_folder import (
    RunFolder,
    environment,
    new_run_folder,
    resolve_run_folder,
    run_folders,
)

ALONE = World(0, 1, torch.device("cpu"))
CONFIG = {"lr": 1.0, "epochs": 3, "schedule": "constant", "workers": 2}


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def save(folder, step, **config):
    state = tiny_state(plain_config())
    state.step = step
    content = {**state.to_dict(), "config": {**CONFIG, **config}, "log_length": 7}
    return save_checkpoint(folder / "checkpoints", content)


def test_new_runs_get_new_folders(tmp_path):
    places = [resolve_run_folder(None, None, "x", ALONE) for _ in range(2)]
    assert [p.path.as_posix() for p in places] == ["runs/x-1", "runs/x-2"]
    assert places[0].config is None
    assert resolve_run_folder(None, str(tmp_path / "own"), "x", ALONE).path == tmp_path / "own"
    places[1].close()
    assert not (tmp_path / "runs" / "x-2").exists()


def test_auto_takes_the_newest_run_and_its_newest_checkpoint(tmp_path):
    assert resolve_run_folder("auto", None, "x", ALONE).path.as_posix() == "runs/x-1"
    for run in ("x-2", "x-10"):
        for step in (1, 2):
            save(tmp_path / "runs" / run, step)
    place = resolve_run_folder("auto", None, "x", ALONE)
    assert place.path.as_posix() == "runs/x-10"
    assert place.checkpoint is not None
    assert (place.checkpoint["step"], place.log_length) == (2, 7)
    assert resolve_run_folder("auto", "elsewhere", "x", ALONE).checkpoint is None


def test_a_folder_that_holds_a_run_is_not_used_again(tmp_path):
    save(tmp_path / "run", 1)
    with pytest.raises(ValueError, match="holds a run already"):
        resolve_run_folder(None, str(tmp_path / "run"), "x", ALONE)


def test_a_named_checkpoint_goes_on_only_where_nothing_is_lost(tmp_path):
    old, new = (save(tmp_path / "run", step) for step in (1, 2))
    assert resolve_run_folder(str(new), None, "x", ALONE).path == tmp_path / "run"
    assert resolve_run_folder(str(tmp_path / "run"), None, "x", ALONE).checkpoint["step"] == 2
    with pytest.raises(ValueError, match="not the newest"):
        resolve_run_folder(str(old), None, "x", ALONE)
    branch = resolve_run_folder(str(old), "branch", "x", ALONE)
    assert branch.path.as_posix() == "branch"
    assert branch.checkpoint["step"] == 1


@pytest.mark.parametrize(
    ("resume", "words"), [("nowhere", "no such run"), (".", "no checkpoint there")]
)
def test_nothing_to_go_on_from(resume, words):
    with pytest.raises(ValueError, match=words):
        resolve_run_folder(resume, None, "x", ALONE)


@pytest.mark.parametrize(
    ("before", "now", "refused"),
    [
        ({}, {}, ""),
        ({}, {"lr": 2.0}, "--lr was 1.0 and is 2.0"),
        ({}, {"workers": 0}, ""),
        ({}, {"epochs": 9}, ""),
        ({"schedule": "cosine"}, {"schedule": "cosine", "epochs": 9}, "--epochs was 3 and is 9"),
        ({}, {"an_option_added_since": 1}, ""),
    ],
)
def test_settings_that_matter_cannot_change(tmp_path, before, now, refused):
    place = RunFolder(tmp_path, {"config": {**CONFIG, **before}})
    if not refused:
        place.check({**CONFIG, **now}, {"workers"})
        return
    with pytest.raises(ValueError, match=refused):
        place.check({**CONFIG, **now}, {"workers"})


def test_runs_are_numbered_and_sorted_as_numbers(tmp_path):
    assert run_folders(tmp_path, "dextr") == []
    assert new_run_folder(tmp_path / "runs", "dextr").name == "dextr-1"
    for name in ("dextr-2", "dextr-10", "dextr-x", "other-99"):
        (tmp_path / "runs" / name).mkdir()
    assert new_run_folder(tmp_path / "runs", "dextr").name == "dextr-11"
    names = [p.name for p in run_folders(tmp_path / "runs", "dextr")]
    assert names == ["dextr-11", "dextr-10", "dextr-2", "dextr-1"]


def test_environment_tells_versions_and_hardware():
    found = json.loads(json.dumps(environment()))
    assert found["packages"]["torch"]
    assert found["cpus"] >= 1
    assert set(found) >= {"command", "commit", "uncommitted_changes", "gpus", "processes"}


def in_another_process(work):
    """The message of the ValueError that a function raises in a process of its own."""
    read, write = os.pipe()
    if not os.fork():
        try:
            work()
        except ValueError as error:
            os.write(write, str(error).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        return pipe.read()


@pytest.mark.parametrize("resume", [None, "auto", "run"])
def test_one_run_at_a_time_in_a_folder(resume):
    save(Path("run"), 1)
    first = resolve_run_folder("run", None, "x", ALONE)
    second = "run" if resume != "run" else None
    said = in_another_process(lambda: resolve_run_folder(resume, second, "x", ALONE))
    assert "run is in use by another run" in said
    first.close()
    assert in_another_process(lambda: resolve_run_folder("auto", "run", "x", ALONE)) == ""


def test_one_run_at_a_time_in_a_fresh_folder_and_beside_the_newest():
    first = resolve_run_folder(None, "fresh", "x", ALONE)
    for resume in (None, "auto"):
        said = in_another_process(lambda r=resume: resolve_run_folder(r, "fresh", "x", ALONE))
        assert "in use" in said
    newest = resolve_run_folder(None, None, "x", ALONE)
    assert "in use" in in_another_process(lambda: resolve_run_folder("auto", None, "x", ALONE))
    assert not in_another_process(lambda: resolve_run_folder(None, None, "x", ALONE))
    first.close()
    newest.close()


def test_a_checkpoint_outside_a_run_needs_a_new_folder(tmp_path):
    path = save(tmp_path / "run", 1).rename(tmp_path / "step-1.pt")
    with pytest.raises(ValueError, match="lies in no run's folder"):
        resolve_run_folder(str(path), None, "x", ALONE)
    assert resolve_run_folder(str(path), "new", "x", ALONE).checkpoint["step"] == 1


def test_a_full_disk_names_the_last_good_checkpoint(tmp_path):
    error = OSError(errno.ENOSPC, "No space left on device")
    assert "no checkpoint was written yet" in RunFolder(tmp_path).unwritable(error)
    path = save(tmp_path, 3)
    said = RunFolder(tmp_path).unwritable(error)
    assert "No space left on device" in said
    assert f"the last good checkpoint is {path}" in said
