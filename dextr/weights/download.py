"""The file behind a name: found, or downloaded, checked and unpacked."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock

from dextr.common.errors import UserError
from dextr.common.files import cache_dir, locked, read_json, stream_digest, write_json
from dextr.weights import registry
from dextr.weights.archives import extract_folder
from dextr.weights.content import Content
from dextr.weights.exported import refuse_old_export
from dextr.weights.registry import DATA, Published
from dextr.weights.state_files import read_state
from dextr.weights.transfer import discard, fetch


def find_file(name: str) -> Content:
    """Read the weights file behind a name in the registry or a path, downloaded if need be.

    Raises:
        ValueError: There is none, or it is not what the registry says.
    """
    if name == registry.BUNDLED:
        return _bundled()
    if name in registry.PUBLISHED and registry.PUBLISHED[name].kind != DATA:
        return _read_checked(registry.PUBLISHED[name])
    refuse_old_export(name)
    if not Path(name).is_file():
        names = [e.name for e in registry.PUBLISHED.values() if e.kind != DATA]
        offered = ", ".join([registry.BUNDLED, registry.UNTRAINED, *names])
        raise UserError(f"no weights {name!r}: expected a file or one of {offered}")
    return Content.read(name)


def obtain(entry: Published, root: Path | None = None, mirror: str | None = None) -> Path:
    """Return a published file, checked, and downloaded unless it is there.

    `root` is the folder for the file, None where it lies or belongs; `mirror` the url of a folder
    that holds the file in the publisher's place.

    Raises:
        ValueError: It cannot be had, or is not what was published. A downloaded file that fails
            is removed, one that was there already is left.
    """
    if entry.kind != DATA:
        return _read_checked(entry, root, mirror).path
    with open(_place(entry, root, mirror), "rb") as file:
        _require(entry, Path(file.name), partial(stream_digest, file), file)
        return Path(file.name)


def _read_checked(entry: Published, root: Path | None = None, mirror: str | None = None) -> Content:
    content = Content.read(_place(entry, root, mirror))
    _require(entry, content.path, content.digest, io.BytesIO(content.data))
    return content


def _place(entry: Published, root: Path | None, mirror: str | None) -> Path:
    """Return where a published file lies, after downloading it if it was not there."""
    target = root / entry.file if root else registry.local_path(entry)
    if not target.exists():
        cache_dir().mkdir(parents=True, exist_ok=True)
        with FileLock(cache_dir() / "download.lock"):
            if not target.exists():
                _download(entry, target, entry.address(mirror))
    return target


def _require(entry: Published, path: Path, digest: Callable[[str], str], file: BinaryIO) -> None:
    try:
        _check(entry, digest, file)
    except ValueError as error:
        raise UserError(f"{path}: {error}; move it away to download it again") from None


def obtain_data(entry: Published, root: Path | None = None, mirror: str | None = None) -> Path:
    """Return the folder of a published data set, downloaded and unpacked unless it is there.

    Raises:
        ValueError: As `obtain`; or the folder is there and lacks something.
    """
    root = root or entry.default_root()
    folder = root / entry.folder
    if not folder.exists():
        archive = _place(entry, root, mirror)
        # What is unpacked is what was checked, whatever has the name by then.
        with open(archive, "rb") as file:
            _require(entry, archive, partial(stream_digest, file), file)
            extract_folder(archive, root, entry.folder, file)
    lacking = [name for name in entry.holds if not (folder / name).exists()]
    if lacking:
        raise UserError(f"{folder} lacks {', '.join(lacking)}: move it away to unpack it again")
    return folder


def _download(entry: Published, target: Path, url: str) -> None:
    part = target.with_name(f"{target.stem}.part{target.suffix}")
    try:
        fetch(url, part, entry.most)
        with open(part, "rb") as file:
            _check(entry, partial(stream_digest, file), file)
    except ConnectionError as error:
        place = target.absolute()
        raise UserError(
            f"{error}. Run again to continue, or get {entry.file} elsewhere and put it at {place}"
        ) from None
    except ValueError as error:
        discard(part)
        raise UserError(f"{url}: {error}; what was downloaded is removed") from None
    part.replace(target)
    discard(part)


def _check(entry: Published, digest: Callable[[str], str], file: BinaryIO) -> None:
    """Hold a file to its published checksum, or else to the first one seen here."""
    expected = entry.checksum or _seen().get(entry.name, "")
    algorithm = expected.partition(":")[0] or "sha256"
    found = f"{algorithm}:{digest(algorithm)}"
    if found == expected:
        return
    file.seek(0)
    if file.read(512).lstrip().startswith(b"<"):
        raise UserError(f"expected {entry.file}, got a web page")
    file.seek(0)
    if entry.kind != DATA:
        read_state(Content(Path(entry.file), file.read()))
    elif not tarfile.is_tarfile(file):
        raise UserError(f"expected {entry.file}, got something that is no such archive")
    if expected:
        forget = f" (to trust it, remove {entry.name!r} in {seen_path()})"
        raise UserError(f"expected {expected}, got {found}{'' if entry.checksum else forget}")
    with locked(seen_path()):
        write_json(seen_path(), _seen() | {entry.name: found}, indent=2)


def _bundled() -> Content:
    path, expected = registry.bundled_path(), registry.BUNDLED_CHECKSUM
    if not path.exists():
        raise UserError(f"{path}: the bundled network is missing")
    content = Content.read(path)
    if expected and (found := f"sha256:{content.sha256}") != expected:
        raise UserError(f"{path}: expected {expected}, got {found}: restore the released file")
    return content


def seen_path() -> Path:
    """Return the file that keeps the checksums first seen here."""
    return cache_dir() / "checksums.json"


def _seen() -> dict[str, str]:
    try:
        return read_json(seen_path()) if seen_path().exists() else {}
    except ValueError:
        raise UserError(f"{seen_path()} is damaged: remove it") from None
