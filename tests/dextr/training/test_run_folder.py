import json

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
