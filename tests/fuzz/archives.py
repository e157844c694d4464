"""Cases for archives: members that lead outside, links, devices, damage."""

from __future__ import annotations

import contextlib
import io
import random
import tarfile
from pathlib import Path

from fuzz.damage import damaged

from dextr.weights.archives import extract_folder

NAMES = (
    "data/a.txt", "data/sub/b.txt", "data", "data/", "./data/c.txt", "other/d.txt", "../up.txt",
    "data/../../up.txt", "/tmp/dextr-fuzz-absolute.txt", "", ".", "data/" + "x" * 300, "data/a\nb",
    "data/\udc80", "data/a.txt/below", "C:\\x", "data/.", "//x",
    "data/" + "d/" * 2000 + "x", "data/" + "d/" * 40 + "x",
)  # fmt: skip
KINDS = (
    *(tarfile.REGTYPE,) * 8, tarfile.DIRTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE,
    tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.CONTTYPE, tarfile.GNUTYPE_SPARSE,
    b"Z",
)  # fmt: skip


def extract(rng: random.Random, folder: Path) -> None:
    """Unpack one odd archive; right is the folder asked for, plain files alone, and nothing else.

    Raises:
        ValueError: The archive cannot be used; then there is nothing at all.
        AssertionError: The answer is not right.
    """
    outside = folder / "outside"
    root = outside / "root"
    root.mkdir(parents=True)
    archive = folder / "archive.tar"
    archive.write_bytes(_content(rng))
    unpacked = None
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            unpacked = extract_folder(archive, root, "data")
    finally:
        assert not Path("/tmp/dextr-fuzz-absolute.txt").exists()
        assert list(outside.iterdir()) == [root]
        assert list(root.iterdir()) == ([] if unpacked is None else [root / "data"])
    assert unpacked == root / "data"
    for path in unpacked.rglob("*"):
        assert not path.is_symlink()
        assert path.is_file() or path.is_dir()
        assert not path.stat().st_mode & 0o6000


def _content(rng: random.Random) -> bytes:
    file = io.BytesIO()
    how = rng.choice(("w:", "w:gz", "w:bz2", "w:xz"))
    form = rng.choice((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT))
    with tarfile.open(fileobj=file, mode=how, format=form) as tar:
        for k in range(rng.choice((0, 1, 3, 10))):
            member = tarfile.TarInfo(f"data/{k}.txt" if rng.random() < 0.9 else rng.choice(NAMES))
            member.type = rng.choice(KINDS) if rng.random() < 0.15 else tarfile.REGTYPE
            member.linkname = rng.choice(("a.txt", "/etc/passwd", "../../up", ""))
            member.mode = rng.choice((0o644, 0o644, 0, 0o7777, 0o4755))
            member.uid = rng.choice((0, 1000, 2**31))
            member.mtime = rng.choice((0, 10**9, -1 if form == tarfile.PAX_FORMAT else 1))
            content = rng.randbytes(rng.choice((0, 1, 700)))
            member.size = len(content) if member.isreg() else 0
            with contextlib.suppress(ValueError, UnicodeError):
                tar.addfile(member, io.BytesIO(content))
    return damaged(rng, file.getvalue()) if rng.random() < 0.5 else file.getvalue()
