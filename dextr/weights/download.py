"""The file behind a name: found, or downloaded, checked and unpacked."""

from __future__ import annotations

import tarfile
from pathlib import Path

from filelock import FileLock

from dextr.common.errors import UserError
from dextr.common.files import cache_dir, file_digest, file_sha256, locked, read_json, write_json
from dextr.weights import registry
from dextr.weights.archives import extract_folder
from dextr.weights.exported import refuse_old_export
from dextr.weights.registry import DATA, Published
from dextr.weights.state_files import read_state
from dextr.weights.transfer import discard, fetch


def find_file(name: str) -> Path:
    """Return the weights file behind a name in the registry or a path, downloaded if need be.

    Raises:
        ValueError: There is none, or it is not what the registry says.
    """
    if name == registry.BUNDLED:
        return _bundled()
    if name in registry.PUBLISHED and registry.PUBLISHED[name].kind != DATA:
        return obtain(registry.PUBLISHED[name])
    refuse_old_export(name)
    if not Path(name).is_file():
        names = [e.name for e in registry.PUBLISHED.values() if e.kind != DATA]
        offered = ", ".join([registry.BUNDLED, registry.UNTRAINED, *names])
        raise UserError(f"no weights {name!r}: expected a file or one of {offered}")
    return Path(name)


def obtain(entry: Published, root: Path | None = None, mirror: str | None = None) -> Path:
    """Return a published file, checked, and downloaded unless it is there.

    `root` is the folder for the file, None where it lies or belongs; `mirror` the url of a folder
    that holds the file in the publisher's place.

    Raises:
        ValueError: It cannot be had, or is not what was published. A downloaded file that fails
            is removed, one that was there already is left.
    """
    target = root / entry.file if root else registry.local_path(entry)
    if not target.exists():
        cache_dir().mkdir(parents=True, exist_ok=True)
        with FileLock(cache_dir() / "download.lock"):
            if not target.exists():
                return _download(entry, target, entry.address(mirror))
    try:
        _check(entry, target)
    except ValueError as error:
        raise UserError(f"{target}: {error}; move it away to download it again") from None
    return target


def obtain_data(entry: Published, root: Path | None = None, mirror: str | None = None) -> Path:
    """Return the folder of a published data set, downloaded and unpacked unless it is there.

    Raises:
        ValueError: As `obtain`; or the folder is there and lacks something.
    """
    root = root or entry.default_root()
    folder = root / entry.folder
    if not folder.exists():
        extract_folder(obtain(entry, root, mirror), root, entry.folder)
    lacking = [name for name in entry.holds if not (folder / name).exists()]
    if lacking:
        raise UserError(f"{folder} lacks {', '.join(lacking)}: move it away to unpack it again")
    return folder


def _download(entry: Published, target: Path, url: str) -> Path:
    part = target.with_name(f"{target.stem}.part{target.suffix}")
    try:
        fetch(url, part)
        _check(entry, part)
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
    return target


def _check(entry: Published, path: Path) -> None:
    """Hold a file to its published checksum, or else to the first one seen here."""
    expected = entry.checksum or _seen().get(entry.name, "")
    algorithm = expected.partition(":")[0] or "sha256"
    found = f"{algorithm}:{file_digest(path, algorithm)}"
    if found == expected:
        return
    with open(path, "rb") as file:
        if file.read(512).lstrip().startswith(b"<"):
            raise UserError(f"expected {entry.file}, got a web page")
    if entry.kind != DATA:
        read_state(path)
    elif not tarfile.is_tarfile(path):
        raise UserError(f"expected {entry.file}, got something that is no such archive")
    if expected:
        forget = f" (to trust it, remove {entry.name!r} in {seen_path()})"
        raise UserError(f"expected {expected}, got {found}{'' if entry.checksum else forget}")
    with locked(seen_path()):
        write_json(seen_path(), _seen() | {entry.name: found}, indent=2)


def _bundled() -> Path:
    path, expected = registry.bundled_path(), registry.BUNDLED_CHECKSUM
    if not path.exists():
        raise UserError(f"{path}: the bundled network is missing")
    if expected and (found := f"sha256:{file_sha256(path)}") != expected:
        raise UserError(f"{path}: expected {expected}, got {found}: restore the released file")
    return path


def seen_path() -> Path:
    """Return the file that keeps the checksums first seen here."""
    return cache_dir() / "checksums.json"


def _seen() -> dict[str, str]:
    try:
        return read_json(seen_path()) if seen_path().exists() else {}
    except ValueError:
        raise UserError(f"{seen_path()} is damaged: remove it") from None
