"""Unpacking: whole or not at all, and nowhere else."""

import io
import os
import tarfile

import pytest

from dextr.weights import archives
from dextr.weights.archives import extract_folder

MEMBERS = {"VOC/2012/a.txt": b"a", "VOC/2012/deep/b.bin": bytes(100_000), "VOC/other.txt": b"o"}


def make_tar(path, members=MEMBERS, extra=()):
    with tarfile.open(path, "w:gz" if path.suffix == ".tgz" else "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for info in extra:
            tar.addfile(info)
    return path


def member(name, **fields):
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def tree(folder):
    files = [p for p in folder.rglob("*") if p.is_file()]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


@pytest.fixture(params=[True, False], ids=["data filter", "no data filter"])
def filtered(request, monkeypatch):
    """Old Pythons have no extraction filter."""
    if not request.param:
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    elif not hasattr(tarfile, "data_filter"):
        pytest.skip("this Python has no extraction filter")


@pytest.mark.parametrize("suffix", [".tar", ".tgz"])
@pytest.mark.usefixtures("filtered")
def test_folder_is_unpacked_and_nothing_else(tmp_path, suffix):
    root = tmp_path / "root"
    found = extract_folder(make_tar(tmp_path / f"x{suffix}"), root, "VOC/2012")
    assert found == root / "VOC" / "2012"
    assert tree(root) == {
        "VOC/2012/a.txt": b"a",
        "VOC/2012/deep/b.bin": bytes(100_000),
    }
    assert [p.name for p in root.iterdir()] == ["VOC"]


def test_neighbours_stay(tmp_path):
    (tmp_path / "VOC" / "2007").mkdir(parents=True)
    (tmp_path / "VOC" / "2007" / "kept.txt").write_bytes(b"kept")
    extract_folder(make_tar(tmp_path / "x.tar"), tmp_path, "VOC/2012")
    assert tree(tmp_path / "VOC")["2007/kept.txt"] == b"kept"


@pytest.mark.parametrize(
    "bad",
    [
        member("../escaped.txt"),
        member("VOC/2012/../../../escaped.txt"),
        member("/tmp/escaped.txt"),
        member("VOC/2012/link", type=tarfile.SYMTYPE, linkname="/etc"),
        member("VOC/2012/link", type=tarfile.SYMTYPE, linkname="../../.."),
        member("VOC/2012/link", type=tarfile.LNKTYPE, linkname="../../escaped.txt"),
        member("VOC/2012/device", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
        member("VOC/2012/pipe", type=tarfile.FIFOTYPE),
    ],
    ids=lambda info: f"{info.name}-{info.linkname or info.type!r}",
)
@pytest.mark.usefixtures("filtered")
def test_members_that_could_reach_outside_are_refused(tmp_path, bad):
    root = tmp_path / "deep" / "root"
    archive = make_tar(tmp_path / "x.tar", extra=[bad])
    with pytest.raises(ValueError, match=r"x.tar: damaged or unsafe archive .*(leads out|link)"):
        extract_folder(archive, root, "VOC/2012")
    assert tree(tmp_path) == {"x.tar": archive.read_bytes()}


def test_files_run_nothing_and_belong_to_the_caller(tmp_path):
    extra = member("VOC/2012/set-uid", mode=0o6777)
    root = tmp_path / "root"
    extract_folder(make_tar(tmp_path / "x.tar", extra=[extra]), root, "VOC/2012")
    assert (root / "VOC/2012/set-uid").stat().st_mode & 0o6002 == 0
    assert (root / "VOC/2012/a.txt").stat().st_uid == os.getuid()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_member_2000_folders_deep_is_refused(tmp_path, kind):
    deep = member("VOC/2012/" + "d/" * 2000 + "x")
    deep.type = tarfile.DIRTYPE if kind == "folder" else tarfile.REGTYPE
    archive = make_tar(tmp_path / "x.tar", extra=[deep])
    with pytest.raises(ValueError, match=r"x\.tar: .* lies more than 50 folders deep") as caught:
        extract_folder(archive, tmp_path / "root", "VOC/2012")
    assert len(str(caught.value)) < 300
    assert tree(tmp_path / "root") == {}


def test_a_link_in_the_place_of_the_hidden_folder_is_not_followed(tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "kept.txt").write_bytes(b"kept")
    (tmp_path / ".x.tar.unpacking").symlink_to(tmp_path / "theirs")
    extract_folder(make_tar(tmp_path / "x.tar"), tmp_path, "VOC/2012")
    assert tree(tmp_path / "theirs") == {"kept.txt": b"kept"}
    assert (tmp_path / "VOC/2012/a.txt").read_bytes() == b"a"


def test_what_is_unpacked_is_the_file_that_was_opened(tmp_path):
    archive = make_tar(tmp_path / "x.tar")
    with open(archive, "rb") as opened:
        archive.unlink()
        make_tar(archive, {"VOC/2012/other.txt": b"another's"})
        extract_folder(archive, tmp_path / "root", "VOC/2012", opened)
    assert "VOC/2012/a.txt" in tree(tmp_path / "root")


def damage(content):
    half = len(content) // 2
    return {
        "empty": b"",
        "cut off": content[:half],
        "garbled": content[:half] + b"garbage" * 10 + content[half + 70 :],
        "no archive": b"<html>not found</html>" * 100,
    }


@pytest.mark.parametrize("how", damage(b""))
def test_damaged_archive_leaves_nothing(tmp_path, how):
    archive = make_tar(tmp_path / "x.tgz", {"VOC/2012/a.bin": os.urandom(50_000)})
    archive.write_bytes(damage(archive.read_bytes())[how])
    with pytest.raises(ValueError, match=r"x\.tgz: damaged or unsafe archive"):
        extract_folder(archive, tmp_path / "root", "VOC/2012")
    assert tree(tmp_path / "root") == {}


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz"])
def test_damage_anywhere_is_said_on_one_line(tmp_path, kind):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=f"w:{kind}") as tar:
        tar.addfile(member("VOC/2012/a.bin", size=50_000), io.BytesIO(os.urandom(50_000)))
    content = file.getvalue()
    for at in (5, len(content) // 2, len(content) - 12):
        archive = tmp_path / "x.tar"
        archive.write_bytes(content[:at] + bytes(255 - b for b in content[at : at + 9]))
        with pytest.raises(ValueError, match=r"x\.tar: damaged or unsafe archive") as raised:
            extract_folder(archive, tmp_path / "root", "VOC/2012")
        assert "\n" not in str(raised.value)
        assert tree(tmp_path / "root") == {}


def test_archive_of_something_else(tmp_path):
    with pytest.raises(ValueError, match="expected the folder VOC/2099 in this archive"):
        extract_folder(make_tar(tmp_path / "x.tar"), tmp_path / "root", "VOC/2099")
    assert tree(tmp_path / "root") == {}


@pytest.mark.parametrize("name", ["", ".", "./"])
def test_a_file_without_a_name_leaves_nothing(tmp_path, name):
    archive = make_tar(tmp_path / "x.tar", {}, extra=[member(name)])
    (tmp_path / "root").mkdir()
    with pytest.raises((ValueError, OSError)):
        extract_folder(archive, tmp_path / "root", "VOC/2012")
    assert list((tmp_path / "root").iterdir()) == []


def test_what_is_there_is_never_overwritten(tmp_path):
    (tmp_path / "VOC" / "2012").mkdir(parents=True)
    with pytest.raises(FileExistsError, match="2012 exists: move it away"):
        extract_folder(make_tar(tmp_path / "x.tar"), tmp_path, "VOC/2012")
    assert list((tmp_path / "VOC" / "2012").iterdir()) == []


def test_interrupted_extraction_is_done_again(tmp_path, monkeypatch):
    archive, root = make_tar(tmp_path / "x.tar"), tmp_path / "root"

    def die(staging):
        (root / ".x.tar.unpacking" / "VOC" / "2012" / "half").write_bytes(b"")
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        # Neither the move nor the cleaning comes about, as under kill -9.
        killed.setattr(archives.Path, "rename", lambda *_: die(_))
        killed.setattr(archives.shutil, "rmtree", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            extract_folder(archive, root, "VOC/2012")
    assert not (root / "VOC" / "2012").exists()
    assert (root / ".x.tar.unpacking").exists()
    extract_folder(archive, root, "VOC/2012")
    assert sorted(tree(root)) == ["VOC/2012/a.txt", "VOC/2012/deep/b.bin"]
