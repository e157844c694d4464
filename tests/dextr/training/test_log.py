import json
import sys

import numpy as np

from dextr.training.log import RunLog


def lines(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_the_log_goes_on_where_the_checkpoint_found_it(tmp_path):
    log = RunLog(tmp_path)
    log.write("train", 1, {"loss": 0.1})
    length = log.length()
    log.write("train", 2, {"loss": 0.2})
    log.close()
    with (tmp_path / "log.jsonl").open("a") as torn:
        torn.write('{"kind": "tra')
    log = RunLog(tmp_path, length, step=1)
    log.write("train", 2, {"loss": 0.25})
    log.close()
    assert lines(tmp_path) == [
        {"kind": "train", "step": 1, "loss": 0.1},
        {"kind": "train", "step": 2, "loss": 0.25},
    ]


def test_numbers_survive_to_the_last_bit(tmp_path):
    value = float(np.nextafter(0.1, 1))
    log = RunLog(tmp_path)
    log.write("train", 1, {"loss": value})
    log.close()
    assert lines(tmp_path)[0]["loss"] == value


def test_curves_and_pictures_reach_tensorboard(tmp_path):
    log = RunLog(tmp_path)
    log.write("train", 1, {"loss": 0.1, "name": "x"})
    log.picture("validation", 1, np.zeros((4, 5, 3), np.uint8))
    log.close()
    (events,) = (tmp_path / "tensorboard").iterdir()
    content = events.read_bytes()
    assert b"train/loss" in content
    assert b"validation" in content
    assert b"train/name" not in content


def test_without_tensorboardx_a_line_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    log = RunLog(tmp_path)
    log.write("train", 1, {"loss": 0.1})
    log.picture("validation", 1, np.zeros((4, 5, 3), np.uint8))
    log.close()
    assert len(lines(tmp_path)) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "tensorboard").exists()


def test_processes_that_do_not_write_leave_nothing(tmp_path):
    log = RunLog(None)
    log.write("train", 1, {"loss": 0.1})
    assert log.length() == 0
    log.close()
    assert list(tmp_path.iterdir()) == []
