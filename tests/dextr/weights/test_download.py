"""What the registry lists is downloaded whole, checked, unpacked, or refused in one line."""

import hashlib
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.file_server import Served, serve
from support.published import FILE, SBD_FILES, archive_bytes, names_in, sbd_like, weights_bytes

from dextr.weights import registry, transfer
from dextr.weights.download import find_file, obtain, obtain_data
from dextr.weights.registry import PUBLISHED

ROOT = Path(__file__).parents[3]
HTML = b"<!DOCTYPE html><html><body>moved</body></html>" * 50


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of the test's own, an empty `models/`, no pauses, no server but the test's."""
    monkeypatch.setenv("DEXTR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DEXTR_MIRROR", "http://127.0.0.1:9")
    monkeypatch.setattr(registry, "bundled_path", lambda: tmp_path / "models" / "small.safetensors")
    monkeypatch.setattr(transfer, "sleep", lambda seconds: None)
    return tmp_path / "cache"


@pytest.fixture
def here(tmp_path):
    """A folder for downloads."""
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


# Weights


def test_weights_go_to_the_cache_and_are_reused(cache):
    file = Served(weights_bytes())
    with serve({FILE: file}) as url:
        first = obtain(PUBLISHED["pascal"], mirror=url)
        assert obtain(PUBLISHED["pascal"], mirror=url) == first
    assert first == cache / "weights" / FILE
    assert first.read_bytes() == file.content
    assert len(file.asked) == 1
    assert names_in(cache / "weights") == [FILE]
    digest = hashlib.sha256(file.content).hexdigest()
    assert json.loads((cache / "checksums.json").read_text()) == {"pascal": f"sha256:{digest}"}


def test_weights_by_name_come_from_the_mirror_in_the_environment(cache, monkeypatch):
    with serve({FILE: Served(weights_bytes())}) as url:
        monkeypatch.setenv("DEXTR_MIRROR", f"{url}/")
        assert find_file("pascal").path == cache / "weights" / FILE


def test_broken_off_downloads_are_continued(tmp_path):
    file = Served(weights_bytes(), breaks=[50_000, 70_000])
    with serve({FILE: file}) as url:
        path = obtain(PUBLISHED["pascal"], tmp_path / "here", url)
    assert path.read_bytes() == file.content
    assert names_in(tmp_path / "here") == [FILE]


def test_killed_download_is_continued_by_the_next_command(tmp_path):
    file = Served(weights_bytes(), breaks=[150_000], stall=threading.Event())
    root = tmp_path / "here"
    with serve({FILE: file}) as url:
        command = [sys.executable, "-m", "dextr", "download", "pascal", "--root", str(root)]
        process = subprocess.Popen([*command, "--mirror", url], cwd=ROOT, stderr=subprocess.DEVNULL)
        assert file.stalled.wait(60)
        process.kill()
        process.wait()
        assert not (root / FILE).exists()
        file.stall.set()
        path = obtain(PUBLISHED["pascal"], root, url)
    assert path.read_bytes() == file.content
    assert names_in(root) == [FILE]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HTML, rf"expected {FILE}, got a web page"),
        (b"", "damaged"),
        (weights_bytes()[:-100], "damaged"),
        (b"garbage" * 1000, "damaged"),
    ],
    ids=["web page", "empty", "cut off without saying so", "garbage"],
)
def test_garbage_is_refused_and_removed(tmp_path, cache, content, message):
    file = Served(content, stated=False)
    with serve({FILE: file}) as url, pytest.raises(ValueError, match=message) as caught:
        obtain(PUBLISHED["pascal"], tmp_path / "here", url)
    assert str(caught.value).startswith(f"{url}/{FILE}: ")
    assert names_in(tmp_path / "here") == []
    assert not (cache / "checksums.json").exists()


def test_missing_file_says_where_to_put_it(tmp_path):
    with serve({}) as url, pytest.raises(ValueError, match="404") as caught:
        obtain(PUBLISHED["pascal"], tmp_path / "here", url)
    assert str(caught.value) == (
        f"{url}/{FILE}: 404 Not Found. Run again to continue, or get {FILE} elsewhere and put "
        f"it at {tmp_path / 'here' / FILE}"
    )


def test_first_checksum_seen_is_held(tmp_path, cache):
    with serve({FILE: Served(weights_bytes(0))}) as url:
        obtain(PUBLISHED["pascal"], tmp_path / "a", url)
    with serve({FILE: Served(weights_bytes(1))}) as url:
        with pytest.raises(ValueError, match=r"expected sha256:\w+, got sha256:\w+ \(to trust it"):
            obtain(PUBLISHED["pascal"], tmp_path / "b", url)
        assert names_in(tmp_path / "b") == []
        (cache / "checksums.json").unlink()
        assert obtain(PUBLISHED["pascal"], tmp_path / "b", url).exists()


def test_changed_file_on_disk_is_noticed_and_left(tmp_path):
    with serve({FILE: Served(weights_bytes(0))}) as url:
        path = obtain(PUBLISHED["pascal"], tmp_path, url)
    path.write_bytes(weights_bytes(1))
    with pytest.raises(ValueError, match="move it away to download it again"):
        obtain(PUBLISHED["pascal"], tmp_path)
    assert path.read_bytes() == weights_bytes(1)


@pytest.mark.parametrize("folder", ["models", "cache/weights"])
def test_file_put_there_by_hand_is_found_and_held(tmp_path, cache, folder):
    path = tmp_path / folder / FILE
    path.parent.mkdir(parents=True)
    path.write_bytes(weights_bytes())
    assert find_file("pascal").path == path
    path.write_bytes(weights_bytes(1))
    with pytest.raises(ValueError, match="expected sha256"):
        find_file("pascal")


def test_damaged_list_of_checksums(tmp_path, cache):
    cache.mkdir()
    (cache / "checksums.json").write_text("{")
    (tmp_path / FILE).write_bytes(weights_bytes())
    with pytest.raises(ValueError, match=r"checksums\.json is damaged: remove it"):
        obtain(PUBLISHED["pascal"], tmp_path)


def test_two_at_once_make_one_download(tmp_path):
    file = Served(weights_bytes(), breaks=[100_000], stall=threading.Event())
    found = []
    with serve({FILE: file}) as url:
        threads = [
            threading.Thread(
                target=lambda: found.append(obtain(PUBLISHED["pascal"], tmp_path, url))
            )
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        assert file.stalled.wait(60)
        file.stall.set()
        for thread in threads:
            thread.join()
    assert found == [tmp_path / FILE] * 2
    assert (tmp_path / FILE).read_bytes() == file.content
    assert len(file.asked) == 2  # the one that broke off and its continuation


# Data sets


def test_data_set_is_downloaded_and_unpacked_once(here):
    content = archive_bytes("benchmark_RELEASE", SBD_FILES)
    file, entry = Served(content, breaks=[30_000]), sbd_like(content)
    with serve({"benchmark.tgz": file}) as url:
        for _ in range(2):
            assert obtain_data(entry, here, url) == here / "benchmark_RELEASE"
    assert len(file.asked) == 2
    expected = ["benchmark.tgz", *(f"benchmark_RELEASE/{name}" for name in SBD_FILES)]
    assert names_in(here) == expected
    (here / "benchmark.tgz").unlink()
    assert obtain_data(entry, here) == here / "benchmark_RELEASE"


def test_incomplete_folder_is_noticed(here):
    (here / "benchmark_RELEASE" / "dataset" / "img").mkdir(parents=True)
    message = r"lacks dataset/inst, dataset/train.txt, dataset/val.txt: move it away"
    with pytest.raises(ValueError, match=message):
        obtain_data(PUBLISHED["sbd"], here)


@pytest.mark.parametrize(
    "content", [HTML, b"garbage" * 100, None], ids=["page", "garbage", "other"]
)
def test_wrong_archive_is_refused_and_removed(here, content):
    content = content or archive_bytes("something", ["else"])
    with (
        serve({"benchmark.tgz": Served(content)}) as url,
        pytest.raises(
            ValueError, match=r"web page|no such archive|expected md5:82b4d8\w+, got md5:"
        ),
    ):
        obtain_data(PUBLISHED["sbd"], here, url)
    assert names_in(here) == []
