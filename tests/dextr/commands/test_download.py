"""`python -m dextr download`."""

import hashlib

import pytest
from support.file_server import Served, serve
from support.published import FILE, SBD_FILES, archive_bytes, names_in, sbd_like, weights_bytes

from dextr.commands.download import main
from dextr.weights.registry import PUBLISHED


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DEXTR_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def here(tmp_path):
    """A folder for downloads."""
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


def test_command_downloads_several(here, capsys):
    files = {FILE: Served(weights_bytes()), "dextr_coco.pth": Served(weights_bytes(1))}
    with serve(files) as url:
        assert main(["pascal", "coco", "--root", str(here), "--mirror", url]) == 0
    assert names_in(here) == ["dextr_coco.pth", FILE]
    out = capsys.readouterr().out
    digest = hashlib.sha256(weights_bytes()).hexdigest()
    assert f"pascal: complete in {here / FILE}, sha256:{digest}" in out
    assert f"use it with --weights {here / 'dextr_coco.pth'}" in out


def test_command_takes_data_sets(here, capsys, monkeypatch):
    content = archive_bytes("benchmark_RELEASE", SBD_FILES)
    monkeypatch.setitem(PUBLISHED, "sbd", sbd_like(content))
    monkeypatch.chdir(here)
    with serve({"benchmark.tgz": Served(content)}) as url:
        assert main(["sbd", "--mirror", url]) == 0
    assert (here / "data" / "benchmark_RELEASE" / "dataset" / "val.txt").exists()
    assert capsys.readouterr().out == (
        "sbd: complete in data/benchmark_RELEASE; use it with --sbd-root data\n"
    )


def test_command_refuses_an_unknown_name_before_any_download(here):
    file = Served(weights_bytes())
    with serve({FILE: file}) as url, pytest.raises(ValueError, match="nothing is called 'foo'"):
        main(["pascal", "foo", "--root", str(here), "--mirror", url])
    assert file.asked == []


def test_command_without_names_and_help(capsys):
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2
    with pytest.raises(SystemExit):
        main(["--help"])
    out = capsys.readouterr().out
    assert all(f"  {name} " in out for name in PUBLISHED)
