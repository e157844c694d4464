"""Scanning a data set once: what was found is kept in the user's cache folder."""

from __future__ import annotations

import hashlib
import os
import warnings
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from dextr.common.errors import UserError
from dextr.common.files import cache_dir, replacing

FORMAT = 2

Arrays = dict[str, NDArray]


def cached_arrays(identity: str, files: Iterable[Path], build: Callable[[], Arrays]) -> Arrays:
    """Return what `build` makes, from the cache where none of the files has changed.

    A damaged cache file is replaced; where the cache cannot be written, a warning says so.

    Args:
        identity: Kind, root and split of the data set: what the cache file is named after.
        files: The files `build` reads; their names, sizes and times of change must be the same.
            One that is missing is a ValueError.
        build: Makes the arrays.
    """
    name = hashlib.sha256(identity.encode(errors="surrogatepass")).hexdigest()[:24]
    path = cache_dir() / "index" / f"{name}.npz"
    state = _fingerprint(files)
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = dict(stored)
        if str(arrays.pop("fingerprint")) == state:
            return arrays
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error):
        pass  # none there, or a damaged one
    arrays = build()
    try:
        with replacing(path) as temporary:
            np.savez(temporary, fingerprint=np.array(state), **arrays)  # type: ignore[arg-type]
    except OSError as error:
        warnings.warn(
            f"the object index cannot be kept in {path} ({error}), so it is built again every "
            "time; set DEXTR_CACHE to a folder that can be written",
            stacklevel=2,
        )
    return arrays


def _fingerprint(files: Iterable[Path]) -> str:
    """Return a hash of the names, sizes and times of change of files."""
    digest = hashlib.sha256(f"format {FORMAT}".encode())
    for path in files:
        try:
            status = os.stat(path)
        except OSError as error:
            raise UserError(f"{path}: annotation not readable ({error.strerror})") from None
        stamp = f"{path}\0{status.st_size}\0{status.st_mtime_ns}\0"
        digest.update(stamp.encode(errors="surrogatepass"))
    return digest.hexdigest()
