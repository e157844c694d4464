"""Writing without losing what is there, JSON and hashes of files, and where caches go."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any


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
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def inside(name: str) -> str:
    """Return a file's name relative to some folder, with / between its parts.

    Raises:
        ValueError: It leads out of the folder.
    """
    path = PurePath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"the name {name!r} leads out of the folder: name it below it")
    return path.as_posix()


def unique_names(files: Iterable[str]) -> dict[str, str]:
    """Return a plain name for each file: its own without ending where that is unique.

    Raises:
        ValueError: Two have the same name even so.

    >>> unique_names(["a.jpg", "b/a.jpg", "c.jpg", "c.png"])
    {'a.jpg': 'a', 'b/a.jpg': 'b_a', 'c.jpg': 'c_jpg', 'c.png': 'c_png'}
    """
    files = list(files)
    stems = Counter(_plain(PurePath(file).with_suffix("")) for file in files)
    names = {}
    for file in files:
        stem = _plain(PurePath(file).with_suffix(""))
        names[file] = stem if stems[stem] == 1 else _plain(file).replace(".", "_")
    uses = Counter(names.values())
    twice = [file for file, name in names.items() if uses[name] > 1]
    if twice:
        raise ValueError(f"the files {' and '.join(twice[:2])} get the same name: rename one")
    return names


def _plain(path: str | PurePath) -> str:
    return re.sub(r"[/\\\s]", "_", str(path))


def read_json(path: str | os.PathLike[str], what: str) -> Any:
    """Return what a JSON file holds.

    Args:
        path: The file.
        what: What it should be, for the message.

    Raises:
        ValueError: It is missing or no JSON; one line that names it.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except FileNotFoundError:
        raise ValueError(f"{path}: no such {what}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not readable as JSON ({error})") from None


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write a value as JSON, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value), encoding="utf-8")


def file_sha256(path: str | os.PathLike[str]) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while block := file.read(2**20):
            digest.update(block)
        return digest.hexdigest()


def cache_dir() -> Path:
    """Return the user's cache folder for this project: `$DEXTR_CACHE`, or as XDG has it."""
    if own := os.environ.get("DEXTR_CACHE"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "dextr"
