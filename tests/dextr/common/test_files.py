import hashlib
import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePath

import platformdirs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dextr.common import files
from dextr.common.files import (
    cache_dir,
    check_target,
    file_digest,
    file_sha256,
    locked,
    new_folder,
    read_json,
    read_text,
    replacing,
    unique_names,
    write_json,
)


def _fail_half_way(path):
    with replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with replacing(path) as temporary:
        temporary.write_text("one")
        assert not path.exists()
    with pytest.raises(KeyboardInterrupt):
        _fail_half_way(path)
    assert path.read_text() == "one"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("value", [{"a": [1, None, "\u00e9"]}, [], 0.1])
def test_json_comes_back(tmp_path, value):
    for indent in (None, 2):
        write_json(tmp_path / "a.json", value, indent)
        assert read_json(tmp_path / "a.json") == value
    assert (tmp_path / "a.json").read_text() == json.dumps(value, indent=2) + "\n"


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_what_is_not_json_is_named(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.json: not readable as JSON \(") as caught:
        read_json(tmp_path / "a.json")
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r"b\.json: no such list$"):
        read_json(tmp_path / "b.json", "list")


def test_hashes_are_of_the_whole_file(tmp_path):
    content = bytes(range(256)) * 5000
    (tmp_path / "a").write_bytes(content)
    assert file_sha256(tmp_path / "a") == hashlib.sha256(content).hexdigest()
    assert file_digest(tmp_path / "a", "md5") == hashlib.md5(content).hexdigest()


def test_folders_of_others_are_not_written_into(tmp_path):
    folder = tmp_path / "out"
    assert new_folder(folder) == folder
    assert not folder.exists()
    folder.mkdir()
    assert new_folder(folder, "ours.json") == folder
    (folder / "photo.jpg").touch()
    message = r"out holds other files: give --output a new or empty folder"
    for ours in ("", "ours.json"):
        with pytest.raises(ValueError, match=message):
            new_folder(folder, ours)
    (folder / "ours.json").touch()
    assert new_folder(folder, "ours.json") == folder
    with pytest.raises(ValueError, match=r"photo\.jpg is a file: --output is a folder"):
        new_folder(folder / "photo.jpg")


@pytest.mark.parametrize("earlier", [True, False])
@pytest.mark.parametrize("place", ["Library", ".cache"], ids=["macOS", "Linux"])
def test_cache_is_the_systems_unless_an_earlier_one_lies_there(
    tmp_path, monkeypatch, earlier, place
):
    monkeypatch.delenv("DEXTR_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(
        platformdirs, "user_cache_path", lambda name, author: tmp_path / place / name
    )
    if earlier:
        (tmp_path / ".cache" / "dextr").mkdir(parents=True)
    assert cache_dir() == tmp_path / (".cache" if earlier else place) / "dextr"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    (tmp_path / "xdg" / "dextr").mkdir(parents=True)
    assert cache_dir() == tmp_path / "xdg" / "dextr"
    monkeypatch.setenv("DEXTR_CACHE", str(tmp_path / "own"))
    assert cache_dir() == tmp_path / "own"


def test_cache_of_this_system(monkeypatch, tmp_path):
    monkeypatch.delenv("DEXTR_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == platformdirs.user_cache_path("dextr", appauthor=False)


@pytest.mark.parametrize(
    ("name", "folder", "words"),
    [
        ("new/a.png", False, None),
        ("file", False, None),
        ("new", True, None),
        ("folder", True, None),
        ("folder", False, "folder is a folder: name a file"),
        ("file", True, "file is not a folder"),
        ("file/a.png", False, "file is not a folder"),
        ("file/b/c", True, "file is not a folder"),
        ("dangling/a.png", False, "dangling is not a folder"),
    ],
)
def test_where_something_can_be_written(tmp_path, monkeypatch, name, folder, words):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("folder").mkdir()
    Path("dangling").symlink_to("nowhere")
    before = sorted(Path().iterdir())
    if words is None:
        assert check_target(name, folder) == Path(name)
    else:
        with pytest.raises(ValueError, match=words):
            check_target(name, folder)
    assert sorted(Path().iterdir()) == before


def _nobody(monkeypatch, tmp_path, home=None):
    def unknown():
        raise RuntimeError("Could not determine home directory.")

    for name in ("DEXTR_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", unknown if home is None else lambda: Path(home))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.mark.parametrize("home", [None, "", "here"])
def test_without_a_home_folder_there_is_a_temporary_one(tmp_path, monkeypatch, home):
    _nobody(monkeypatch, tmp_path, home)
    for _ in range(2):
        with pytest.warns(UserWarning, match="no home folder .* set DEXTR_CACHE"):
            assert cache_dir() == tmp_path / f"dextr-{os.getuid()}"
    assert (tmp_path / f"dextr-{os.getuid()}").stat().st_mode & 0o77 == 0


def test_a_temporary_folder_that_others_made_is_not_trusted(tmp_path, monkeypatch):
    _nobody(monkeypatch, tmp_path)
    (tmp_path / "theirs").mkdir()
    (tmp_path / f"dextr-{os.getuid()}").symlink_to("theirs")
    with pytest.warns(UserWarning, match="no home folder"):
        folder = cache_dir()
    assert folder.resolve() == folder
    assert list(folder.iterdir()) == []


def test_nothing_is_lost_where_several_change_a_file(tmp_path):
    path = tmp_path / "numbers.json"

    def add(number):
        with locked(path):
            write_json(path, [*(read_json(path) if path.exists() else []), number])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(16)))
    assert sorted(read_json(path)) == list(range(16))


def test_who_waits_for_a_file_too_long_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LOCK_SECONDS", 0)
    with (
        locked(tmp_path / "a"),
        pytest.raises(ValueError, match="a is being written by another program"),
        locked(tmp_path / "a"),
    ):
        raise AssertionError("it must not come to this")


def test_a_file_system_without_locks_does_without(tmp_path, monkeypatch):
    def none(_):
        raise NotImplementedError

    monkeypatch.setattr(files.FileLock, "acquire", none)
    with locked(tmp_path / "a"):
        (tmp_path / "a").touch()


@pytest.mark.parametrize(
    ("files", "names"),
    [
        ([], []),
        (["a.jpg", "b/a.jpg", "c.jpg", "c.png"], ["a", "b_a", "c_jpg", "c_png"]),
        (["s/a.png", "s_a.png"], ["s_a_png_[0-9a-f]{12}"] * 2),
        (["...png", "..png", ".a.png"], ["__", "_", "_a"]),
        (["\udcff.png", "\udcfe.png"], ["__png_[0-9a-f]{12}"] * 2),
        (["a b.png", "c\\d.png", "\0.png"], ["a_b", "c_d", "_"]),
    ],
)
def test_plain_names(files, names):
    found = unique_names(files)
    assert list(found) == files
    for name, expected in zip(found.values(), names, strict=True):
        assert re.fullmatch(expected, name)


@given(st.lists(st.text(min_size=1), unique=True))
def test_plain_names_differ_and_are_files_in_the_folder(files):
    names = list(unique_names(files).values())
    assert len(set(names)) == len(files)
    for name in names:
        name.encode()
        assert PurePath("folder", name).parts == ("folder", name) or not name
        assert name not in (".", "..")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", ""),
        ("ä\n".encode(), "ä\n"),
        ("ä".encode("utf-8-sig"), "ä"),
        ("ä".encode("utf-16"), None),
        ("ä".encode("latin-1"), None),
    ],
)
def test_text_is_utf_8_wherever_it_is_read(tmp_path, content, expected):
    (tmp_path / "a.txt").write_bytes(content)
    if expected is None:
        with pytest.raises(ValueError, match=r"a\.txt: not text in UTF-8 .*: save it as UTF-8"):
            read_text(tmp_path / "a.txt")
    else:
        assert read_text(tmp_path / "a.txt") == expected
    with pytest.raises(ValueError, match=r"b\.txt: not readable \(No such file"):
        read_text(tmp_path / "b.txt")
