import multiprocessing
import os
import signal
import stat

import pytest

from dextr.training.locks import lock_folder, unlock_folder

FORK = multiprocessing.get_context("fork")


def hold(folder, ready, with_child):
    lock = lock_folder(folder)
    child = os.fork() if with_child else -1
    if child != 0:
        ready.send(child)
    signal.pause()
    del lock


@pytest.fixture
def holder(tmp_path):
    """A function that starts a process which has the folder; returns it and its child's number."""
    started = []

    def start(with_child=False):
        ready, theirs = FORK.Pipe()
        process = FORK.Process(target=hold, args=(tmp_path / "run", theirs, with_child))
        process.start()
        started.append((process, ready.recv()))
        return started[-1]

    yield start
    for process, child in started:
        process.kill()
        process.join()
        if child > 0:
            os.kill(child, signal.SIGKILL)


def test_a_folder_is_made_and_removed_if_nothing_was_written(tmp_path):
    folder = tmp_path / "a" / "run"
    lock = lock_folder(folder)
    assert [p.name for p in folder.iterdir()] == [".lock"]
    assert stat.S_ISREG((folder / ".lock").stat().st_mode)
    unlock_folder(folder, lock)
    assert not folder.exists()


def test_what_was_written_stays_and_the_folder_is_free_again(tmp_path):
    lock = lock_folder(tmp_path)
    (tmp_path / "log").write_text("x")
    unlock_folder(tmp_path, lock)
    assert [p.name for p in tmp_path.iterdir()] == ["log"]
    unlock_folder(tmp_path, lock_folder(tmp_path))


def test_one_process_at_a_time(holder, tmp_path):
    process, _ = holder()
    with pytest.raises(ValueError, match=rf"in use by another run \(process {process.pid}\)"):
        lock_folder(tmp_path / "run")


def test_a_killed_process_gives_it_free_though_its_workers_live(holder, tmp_path):
    process, child = holder(with_child=True)
    process.kill()
    process.join()
    os.kill(child, 0)  # it is there
    unlock_folder(tmp_path / "run", lock_folder(tmp_path / "run"))


def test_without_locks_a_warning_says_so(tmp_path, monkeypatch):
    def refused(*args):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.lockf", refused)
    with pytest.warns(UserWarning, match="cannot be locked"):
        unlock_folder(tmp_path / "run", lock_folder(tmp_path / "run"))
