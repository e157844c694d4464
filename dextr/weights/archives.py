"""Unpacking archives that others made: nothing outside the folder, nothing half done."""

from __future__ import annotations

import shutil
import tarfile
import zlib
from contextlib import nullcontext
from lzma import LZMAError
from pathlib import Path
from typing import Any, BinaryIO

from tqdm import tqdm

from dextr.common.errors import UserError
from dextr.common.files import inside

DAMAGE = (tarfile.TarError, EOFError, zlib.error, LZMAError, ValueError, RecursionError, OSError)
# Folders within each other: Python makes and removes them by recursion.
DEEPEST = 50


def extract_folder(archive: Path, root: Path, folder: str, opened: BinaryIO | None = None) -> Path:
    """Unpack one folder of a tar archive (compressed or not) to `root/folder`.

    Where the archive is `opened` already, it is read from there.

    Everything goes to a hidden folder first and is moved when complete, so that `root/folder` is
    whole if it is there, also after kill -9; leftovers are removed by the next call.

    Raises:
        ValueError: The archive is damaged, lacks the folder, or holds a member that points
            outside of it or is no plain file; nothing of it is kept.
        FileExistsError: `root/folder` exists.
    """
    target = root / folder
    if target.exists():
        raise FileExistsError(f"{target} exists: move it away to unpack {archive}")
    staging = root / f".{archive.name}.unpacking"
    _remove(staging)
    try:
        _extract_all(archive, staging, opened)
        if not (staging / folder).is_dir():
            raise UserError(f"{archive}: expected the folder {folder} in this archive")
        target.parent.mkdir(parents=True, exist_ok=True)
        (staging / folder).rename(target)
    finally:
        _remove(staging)
    return target


def _remove(staging: Path) -> None:
    if staging.is_symlink():
        staging.unlink()
    shutil.rmtree(staging, ignore_errors=True)


def _extract_all(archive: Path, to: Path, opened: BinaryIO | None) -> None:
    # Else a member without a name would become a file in its place.
    to.mkdir(parents=True)
    look = {"desc": f"unpacking {archive.name}", "total": archive.stat().st_size}
    # Pythons of before summer 2023 lack it; owners and set-uid bits are taken over in none.
    how: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    try:
        with (
            nullcontext(opened) if opened else open(archive, "rb") as file,
            tqdm.wrapattr(file, "read", unit_divisor=1024, **look) as counted,
            tarfile.open(fileobj=counted, mode="r:*") as tar,
        ):
            for member in tar:
                _require_shallow(inside(member.name))
                # Without links, no member can lead outside.
                if not (member.isfile() or member.isdir()):
                    raise UserError(f"{member.name!r} is a link or a device")
                tar.extract(member, to, set_attrs=False, **how)
            # A compressed file's own checksum is only looked at when its end is read.
            while tar.fileobj.read(1 << 20):
                pass
    except DAMAGE as error:
        # Of the system's errors only those without a number are about what the archive holds.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = " ".join(str(error).split())
        raise UserError(f"{archive}: damaged or unsafe archive ({reason})") from None


def _require_shallow(name: str) -> None:
    if name.count("/") > DEEPEST:
        raise UserError(f"{name[:40]}... lies more than {DEEPEST} folders deep")
