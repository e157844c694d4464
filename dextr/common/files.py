"""Files and folders: nothing a person has is lost, and what is wrong is said on one line."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any, BinaryIO

import platformdirs
from filelock import FileLock, Timeout

from dextr.common.errors import UserError

LOCK_SECONDS = 30


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it takes the place of `path` once the block succeeds.

    The old file stays whole until then, also under kill -9. Parent folders are made.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        dir=target.parent, prefix=f".{target.stem}.", suffix=target.suffix
    )
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb+") as written:
            os.fsync(written.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file to read its bytes; what is none (a pipe, a device) is an OSError and no wait."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(f"{os.fspath(path)} is no file but a folder, a pipe or a device")
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def check_target(path: str | os.PathLike[str], folder: bool = False) -> Path:
    """Return a path if a file, or a folder, could be written there; nothing is made.

    Raises:
        ValueError: It or a part of its path is of the other kind, or may not be written to.
    """
    target = Path(path)
    there = next((p for p in (target, *target.parents) if os.path.lexists(p)), Path())
    if there == target and not folder:
        if target.is_dir():
            raise UserError(f"{target} is a folder: name a file")
        there = target.parent
    if not there.is_dir():
        raise UserError(f"{there} is not a folder: nothing can be written to {target}")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"{there}: no permission to write there")
    return target


@contextmanager
def locked(path: str | os.PathLike[str]) -> Iterator[None]:
    """Keep other programs of ours from changing a file while the block reads, changes, writes it.

    `.NAME.lock` beside it stays behind, empty. Where the file system has no locks there is none.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(target.with_name(f".{target.name}.lock"), timeout=LOCK_SECONDS)
    try:
        lock.acquire()
    except NotImplementedError:
        pass
    except Timeout:
        raise UserError(f"{target} is being written by another program: try again") from None
    try:
        yield
    finally:
        lock.release()


def inside(name: str) -> str:
    """Return a file's name relative to some folder, with / between its parts.

    Raises:
        ValueError: It leads out of the folder.
    """
    path = PurePath(name)
    if path.is_absolute() or ".." in path.parts:
        raise UserError(f"the name {name!r} leads out of the folder: name it below it")
    return path.as_posix()


def unique_names(files: Iterable[str]) -> dict[str, str]:
    """Return a plain name for each file: its own without ending where that is unique.

    Where the whole name is not unique either, digits made of it follow.

    >>> unique_names(["a.jpg", "b/a.jpg", "c.jpg", "c.png"])
    {'a.jpg': 'a', 'b/a.jpg': 'b_a', 'c.jpg': 'c_jpg', 'c.png': 'c_png'}
    """
    files = list(files)
    stems = {file: _plain(str(PurePath(file).with_suffix(""))) for file in files}
    whole = {file: _plain(file).replace(".", "_") for file in files}
    names = _where_alike(stems, whole)
    coded = {file: file.encode(errors="surrogatepass") for file in files}
    digits = {file: hashlib.sha256(code).hexdigest() for file, code in coded.items()}
    return _where_alike(names, {file: f"{whole[file]}_{digits[file][:12]}" for file in files})


def _where_alike(names: dict[str, str], others: dict[str, str]) -> dict[str, str]:
    """Return the names, and those of `others` where several have one name."""
    uses = Counter(names.values())
    return {file: name if uses[name] == 1 else others[file] for file, name in names.items()}


def _plain(name: str) -> str:
    """Return a name without folders, blanks, dots at its start, and what UTF-8 cannot say."""
    plain = re.sub(r"[/\\\s\0\ud800-\udfff]", "_", name)
    return re.sub(r"^\.+", lambda dots: "_" * len(dots[0]), plain)


def read_text(path: str | os.PathLike[str]) -> str:
    """Return a text file's content: UTF-8, with or without a mark at its start.

    Raises:
        ValueError: There is no such file, or it has another encoding; the message names it.
    """
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        reason = f"not text in UTF-8 (byte {error.start}): save it as UTF-8"
    except OSError as error:
        reason = f"not readable ({error.strerror})"
    raise UserError(f"{path}: {reason}")


def read_json(path: str | os.PathLike[str], what: str = "file") -> Any:
    """Return what a JSON file holds; `what` is what is missing where it is, in a word or two.

    Raises:
        ValueError: There is none, or it is not JSON; the message names it.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: no such {what}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not readable as JSON ({error})") from None


def write_json(path: str | os.PathLike[str], value: Any, indent: int | None = None) -> None:
    """Write a value as JSON; the old file stays whole until the new one is."""
    with replacing(path) as temporary:
        temporary.write_text(
            json.dumps(value, indent=indent, allow_nan=False) + "\n", encoding="utf-8"
        )


def file_digest(path: str | os.PathLike[str], algorithm: str) -> str:
    """Return the hash of a file's content in hexadecimal digits; `algorithm` is hashlib's name."""
    with open(path, "rb") as file:
        return stream_digest(file, algorithm)


def stream_digest(file: BinaryIO, algorithm: str) -> str:
    """Return the hash of all that is in an open file, and go back to its beginning."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    file.seek(0)
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    file.seek(0)
    return digest.hexdigest()


def file_sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's content."""
    return file_digest(path, "sha256")


def new_folder(path: str | os.PathLike[str], ours: str = "") -> Path:
    """Return a folder to write into, so far not made, if nothing of others would be mixed in.

    It is not there yet, empty, or holds the entry `ours`, by which it is known as begun by us.

    Raises:
        ValueError: It is a file, or holds other files.
    """
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file: --output is a folder")
    if folder.is_dir() and any(folder.iterdir()) and not (ours and (folder / ours).exists()):
        raise UserError(f"{folder} holds other files: give --output a new or empty folder")
    return check_target(folder, folder=True)


def cache_dir() -> Path:
    """Return the user's cache folder for this project: `$DEXTR_CACHE`, or the system's place.

    Where earlier versions kept it (`~/.cache/dextr`, on every system), it stays. A user without a
    home folder is warned, and gets a temporary one.
    """
    if own := os.environ.get("DEXTR_CACHE"):
        return Path(own)
    try:
        home = Path.home()
    except RuntimeError:  # HOME is not set, and the system does not know the user
        home = Path()
    base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    if not base.is_absolute():
        return _temporary_cache()
    earlier = base / "dextr"
    return earlier if earlier.is_dir() else platformdirs.user_cache_path("dextr", False)


def _temporary_cache() -> Path:
    user = getattr(os, "getuid", int)()
    folder = Path(tempfile.gettempdir()) / f"dextr-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    # Anybody can make that name: what others wrote there must not pass for ours.
    if folder.is_symlink() or folder.stat().st_uid != user:
        folder = Path(tempfile.mkdtemp(prefix="dextr-"))
    warnings.warn(
        f"there is no home folder (HOME): downloads and lists of objects are kept in {folder}; "
        "set DEXTR_CACHE to a folder that stays",
        stacklevel=3,
    )
    return folder
