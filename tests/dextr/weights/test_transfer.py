"""Downloads against a server that breaks off, sends garbage and answers oddly."""

import errno
import os
import shutil

import pytest
from support.file_server import Served, serve

from dextr.weights import http_stream, transfer
from dextr.weights.transfer import TRIES, discard, fetch

CONTENT = bytes(range(256)) * 4000
MOST = 2 * len(CONTENT)


@pytest.fixture
def waits(monkeypatch):
    """The pauses asked for; none is made."""
    asked = []
    monkeypatch.setattr(transfer, "sleep", asked.append)
    return asked


@pytest.fixture
def part(tmp_path):
    return tmp_path / "folder" / "file.part.pth"


def get(file, part):
    with serve({"file.pth": file}) as url:
        fetch(f"{url}/file.pth", part, MOST)


@pytest.mark.parametrize("content", [b"", b"x", CONTENT])
def test_whole_file(part, waits, content):
    file = Served(content)
    get(file, part)
    assert part.read_bytes() == content
    assert len(file.asked) == 1
    assert "Range" not in file.asked[0]
    assert waits == []


@pytest.mark.parametrize(
    "validators",
    [{}, {"etag": None, "modified": "Wed, 21 Oct 2015 07:28:00 GMT"}],
    ids=["etag", "date"],
)
def test_broken_off_twice_is_continued(part, waits, validators):
    file = Served(CONTENT, breaks=[300_000, 200_000], **validators)
    get(file, part)
    assert part.read_bytes() == CONTENT
    assert [h.get("Range") for h in file.asked] == [None, "bytes=300000-", "bytes=500000-"]
    assert file.asked[1]["If-Range"] == (file.etag or file.modified)
    assert waits == [1, 2]


@pytest.mark.parametrize(
    "server",
    [
        {"ranges": False},
        {"etag": None},
        {"etag": 'W/"weak"'},
        {"shift": 7},
    ],
    ids=["ignores Range", "no validator", "weak validator", "answers another range"],
)
def test_broken_off_starts_again_where_it_cannot_be_continued(part, waits, server):
    file = Served(CONTENT, breaks=[300_000], **server)
    get(file, part)
    assert part.read_bytes() == CONTENT
    assert "Range" not in file.asked[-1] or not file.ranges


def test_file_changed_between_attempts_is_not_mixed(part, waits):
    first, second = Served(CONTENT, breaks=[1000] * TRIES), Served(CONTENT[::-1], etag='"two"')
    files = {"file.pth": first}
    with serve(files) as url:
        with pytest.raises(ConnectionError):
            fetch(f"{url}/file.pth", part, MOST)
        assert part.stat().st_size > 0
        files["file.pth"] = second
        fetch(f"{url}/file.pth", part, MOST)
    assert part.read_bytes() == CONTENT[::-1]
    assert second.asked[0]["If-Range"] == '"one"'


def test_part_of_another_url_is_not_continued(part, waits):
    files = {"a.pth": Served(CONTENT, breaks=[1000] * TRIES), "b.pth": Served(CONTENT[::-1])}
    with serve(files) as url:
        with pytest.raises(ConnectionError):
            fetch(f"{url}/a.pth", part, MOST)
        fetch(f"{url}/b.pth", part, MOST)
    assert part.read_bytes() == CONTENT[::-1]
    assert "Range" not in files["b.pth"].asked[0]


def test_part_longer_than_the_file_starts_again(part, waits):
    file = Served(CONTENT, breaks=[1000] * TRIES)
    with serve({"file.pth": file}) as url:
        with pytest.raises(ConnectionError):
            fetch(f"{url}/file.pth", part, MOST)
        part.write_bytes(CONTENT + b"more")
        fetch(f"{url}/file.pth", part, MOST)
    assert part.read_bytes() == CONTENT


@pytest.mark.parametrize("note", ["", "{", "[]", '{"url": 1}', "null"])
def test_damaged_note_starts_again(part, waits, note):
    part.parent.mkdir()
    part.write_bytes(b"something else")
    part.with_suffix(".json").write_text(note)
    get(Served(CONTENT), part)
    assert part.read_bytes() == CONTENT


def test_complete_part_is_not_asked_for_again(part, waits):
    file = Served(CONTENT)
    with serve({"file.pth": file}) as url:
        fetch(f"{url}/file.pth", part, MOST)
        fetch(f"{url}/file.pth", part, MOST)
    assert len(file.asked) == 1


def test_gives_up_after_several_attempts_and_keeps_what_came(part, waits):
    file = Served(CONTENT, breaks=[1000] * 99)
    with (
        serve({"file.pth": file}) as url,
        pytest.raises(ConnectionError, match=rf"{url}/file.pth: {TRIES} attempts .* broke off"),
    ):
        fetch(f"{url}/file.pth", part, MOST)
    assert len(file.asked) == TRIES
    assert waits == [1, 2, 4, 8]
    assert part.read_bytes() == CONTENT[: 1000 * TRIES]


def test_busy_server_is_asked_again(part, waits):
    get(Served(CONTENT, statuses=[503, 429]), part)
    assert part.read_bytes() == CONTENT
    assert waits == [1, 2]


@pytest.mark.parametrize("status", [403, 404, 410])
def test_refusal_is_final(part, waits, status):
    file = Served(CONTENT, statuses=[status])
    with (
        serve({"file.pth": file}) as url,
        pytest.raises(ConnectionError, match=f"{url}/file.pth: {status} "),
    ):
        fetch(f"{url}/file.pth", part, MOST)
    assert waits == []
    assert not part.exists()


def test_no_server_is_tried_again(part, waits):
    with serve({}) as url:
        pass
    with pytest.raises(ConnectionError, match="attempts failed"):
        fetch(f"{url}/file.pth", part, MOST)
    assert len(waits) == TRIES - 1


def test_unknown_host_is_final(part, waits, monkeypatch):
    def refuse(*args, **kwargs):
        raise transfer.urllib.error.URLError(transfer.socket.gaierror(-2, "unknown name"))

    monkeypatch.setattr(http_stream.urllib.request.OpenerDirector, "open", refuse)
    with pytest.raises(ConnectionError, match=r"no connection .*unknown name"):
        fetch("http://nowhere.invalid/file.pth", part, MOST)
    assert waits == []


# Bounds


def test_a_larger_file_is_refused_before_it_comes(part, waits):
    with pytest.raises(ValueError, match=r"expected a file of up to 2 MB, got 2,048,001 bytes"):
        get(Served(bytes(MOST + 1)), part)
    assert not part.exists()
    assert waits == []


def test_an_endless_body_ends_at_the_bound(part, waits):
    with pytest.raises(ValueError, match="expected a file of up to 2 MB"):
        get(Served(bytes(9 * MOST), stated=False), part)
    assert part.stat().st_size <= MOST


def test_a_claimed_length_of_10_to_the_15_is_refused(part, waits):
    with pytest.raises(ValueError, match="expected a file of up to 2 MB, got 1,000,000,000,000,0"):
        get(Served(CONTENT, claims=10**15), part)
    assert not part.exists()


@pytest.mark.parametrize("stated", [True, False])
def test_a_full_disk_keeps_what_came(part, waits, monkeypatch, stated):
    full = shutil._ntuple_diskusage(0, 0, transfer.SPARE_BYTES + 5)
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda path: full)
    with pytest.raises(OSError, match=r"MB do not fit: 0 MB are free") as caught:
        get(Served(CONTENT, stated=stated), part)
    assert caught.value.errno == errno.ENOSPC
    assert waits == []


@pytest.mark.parametrize("which", ["part", "note"])
def test_links_in_the_place_of_our_files_are_not_followed(tmp_path, part, waits, which):
    theirs = tmp_path / "theirs"
    theirs.write_bytes(b"kept")
    part.parent.mkdir()
    (part if which == "part" else part.with_suffix(".json")).symlink_to(theirs)
    get(Served(CONTENT), part)
    assert theirs.read_bytes() == b"kept"
    assert part.read_bytes() == CONTENT
    assert not part.is_symlink()


def test_a_pipe_in_the_place_of_our_files_is_not_waited_for(part, waits):
    part.parent.mkdir()
    os.mkfifo(part)
    os.mkfifo(part.with_suffix(".json"))
    get(Served(CONTENT), part)
    assert part.read_bytes() == CONTENT


@pytest.mark.parametrize("url", ["", "file:///etc/passwd", "ftp://host/file.pth", "file.pth"])
def test_only_http(part, url):
    with pytest.raises(ValueError, match="expected an http or https url"):
        fetch(url, part, MOST)


def test_discard_leaves_nothing(part, waits):
    get(Served(CONTENT), part)
    discard(part)
    discard(part)
    assert list(part.parent.iterdir()) == []
