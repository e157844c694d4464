"""Getting what the registry lists: `python -m dextr download NAME`."""

from __future__ import annotations

import argparse
import hashlib
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock

from dextr.common.files import cache_dir, replacing
from dextr.weights import registry
from dextr.weights.archives import extract_folder
from dextr.weights.exported import refuse_torchscript
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
    refuse_torchscript(name)
    if not Path(name).is_file():
        names = [e.name for e in registry.PUBLISHED.values() if e.kind != DATA]
        offered = ", ".join([registry.BUNDLED, registry.UNTRAINED, *names])
        raise ValueError(f"no weights {name!r}: expected a file or one of {offered}")
    return Path(name)


def obtain(entry: Published, root: Path | None = None, mirror: str | None = None) -> Path:
    """Return a published file, checked, and downloaded unless it is there.

    Args:
        entry: What.
        root: Folder for the file; None is where it lies or belongs.
        mirror: Url of a folder that holds the file in the publisher's place.

    Raises:
        ValueError: It cannot be had, or is not what was published. A downloaded file that fails
            is removed, one that was there already is left.
    """
    target = root / entry.file if root else registry.local_path(entry)
    if not target.exists():
        cache_dir().mkdir(parents=True, exist_ok=True)
        with FileLock(cache_dir() / "download.lock"):
            if not target.exists():
                _download(entry, target, entry.address(mirror))
                return target
    try:
        _check(entry, target)
    except ValueError as error:
        raise ValueError(f"{target}: {error}; move it away to download it again") from None
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
        raise ValueError(f"{folder} lacks {', '.join(lacking)}: move it away to unpack it again")
    return folder


def _download(entry: Published, target: Path, url: str) -> None:
    part = target.with_name(f"{target.stem}.part{target.suffix}")
    try:
        fetch(url, part)
    except ConnectionError as error:
        raise ValueError(
            f"{error}. Run again to continue, or get {entry.file} elsewhere and put it at "
            f"{target.absolute()}"
        ) from None
    try:
        _check(entry, part)
    except ValueError as error:
        discard(part)
        raise ValueError(f"{url}: {error}; what was downloaded is removed") from None
    part.replace(target)
    discard(part)


def _check(entry: Published, path: Path) -> None:
    """Hold a file to its published checksum, or else to the first one seen here."""
    expected = entry.checksum or _seen().get(entry.name, "")
    found = _digest(path, expected.partition(":")[0] or "sha256")
    if found == expected:
        return
    _check_kind(entry, path)
    if not expected:
        _remember(entry.name, found)
        return
    forget = "" if entry.checksum else f" (to trust it, remove {entry.name!r} in {_seen_path()})"
    raise ValueError(f"expected {expected}, got {found}{forget}")


def _check_kind(entry: Published, path: Path) -> None:
    with open(path, "rb") as file:
        if file.read(512).lstrip().startswith(b"<"):
            raise ValueError(f"expected {entry.file}, got a web page")
    if entry.kind != DATA:
        read_state(path)
    elif not tarfile.is_tarfile(path):
        raise ValueError(f"expected {entry.file}, got something that is no such archive")


def _digest(path: Path, algorithm: str) -> str:
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return f"{algorithm}:{digest.hexdigest()}"


def _bundled() -> Path:
    path = registry.bundled_path()
    if not path.exists():
        raise ValueError(f"{path}: the bundled network is missing")
    expected = registry.BUNDLED_CHECKSUM
    if expected and (found := _digest(path, "sha256")) != expected:
        raise ValueError(f"{path}: expected {expected}, got {found}: restore the released file")
    return path


def _seen_path() -> Path:
    return cache_dir() / "checksums.json"


def _seen() -> dict[str, str]:
    try:
        return json.loads(_seen_path().read_text())
    except FileNotFoundError:
        return {}
    except ValueError:
        raise ValueError(f"{_seen_path()} is damaged: remove it") from None


def _remember(name: str, checksum: str) -> None:
    content = json.dumps(_seen() | {name: checksum}, indent=2)
    with replacing(_seen_path()) as temporary:
        temporary.write_text(content)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `python -m dextr download`."""
    args = _parser().parse_args(argv)
    for entry in [registry.lookup(name) for name in args.names]:
        if entry.kind == DATA:
            folder = obtain_data(entry, args.root, args.mirror)
            root = args.root or entry.default_root()
            print(f"{entry.name}: complete in {folder}; use it with {entry.option}{root}")
        else:
            path = obtain(entry, args.root, args.mirror)
            print(f"{entry.name}: complete in {path}, {_digest(path, 'sha256')}")
            print(f"  use it with {entry.option}{path}")
    return 0


def _parser() -> argparse.ArgumentParser:
    names = "\n".join(f"  {e.name:<11} {e.purpose}, {e.size}" for e in registry.PUBLISHED.values())
    parser = argparse.ArgumentParser(
        prog="dextr download",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Download published weights and data sets: continued where it broke off, "
        "checked, unpacked.",
        epilog=f"""names:
{names}

Sizes are as their publishers say. Checksums are published for voc2012 and sbd only; of the rest
the first one seen is kept in {_seen_path()} and held from then on.
A file that cannot be downloaded may be put in its place by hand: run this command to check it.

example:
  python -m dextr download voc2012 sbd --root data""",
    )
    parser.add_argument("names", nargs="+", metavar="NAME", help="what to get, see below")
    parser.add_argument(
        "--root",
        type=Path,
        metavar="DIR",
        help="where to put it (default: ./data for data sets, the cache folder "
        f"{cache_dir() / 'weights'} for weights)",
    )
    parser.add_argument(
        "--mirror",
        metavar="URL",
        help="a folder on another server that holds the files under their published names "
        "(default: $DEXTR_MIRROR, or the publisher)",
    )
    return parser
