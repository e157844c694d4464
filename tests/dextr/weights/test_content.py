import hashlib
import os

import pytest

from dextr.weights import content
from dextr.weights.content import Content


@pytest.mark.parametrize("data", [b"", b"abc"])
def test_a_file_is_read_once(tmp_path, data):
    (tmp_path / "x").write_bytes(data)
    read = Content.read(tmp_path / "x")
    (tmp_path / "x").unlink()
    assert (read.path, read.data) == (tmp_path / "x", data)
    assert read.sha256 == read.digest("sha256") == hashlib.sha256(data).hexdigest()
    assert read.digest("md5") == hashlib.md5(data).hexdigest()


@pytest.mark.parametrize("kind", ["nothing", "folder", "pipe", "device"])
def test_what_is_no_file_is_not_read(tmp_path, kind):
    path = tmp_path / "x"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    with pytest.raises(ValueError, match="x: no such weights file"):
        Content.read(path)


def test_a_larger_file_than_any_weights(tmp_path, monkeypatch):
    (tmp_path / "x").write_bytes(b"abc")
    monkeypatch.setattr(content, "MOST_BYTES", 2)
    with pytest.raises(ValueError, match="x: expected a weights file of up to"):
        Content.read(tmp_path / "x")
