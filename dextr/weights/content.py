"""A file's bytes, read once: what is checked is what is loaded."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path

from dextr.common.errors import UserError
from dextr.common.tensor_files import MOST_BYTES


@dataclass(frozen=True)
class Content:
    """A file and what was in it when it was read."""

    path: Path
    data: bytes

    @classmethod
    def read(cls, path: str | PathLike[str], what: str = "weights file") -> Content:
        """Read a file; `what` is what is missing where it is not there.

        Raises:
            ValueError: There is none, it is no plain file, or larger than any weights are.
        """
        path = Path(path)
        if not path.is_file():
            raise UserError(f"{path}: no such {what}")
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise UserError(f"{path}: expected a {what} of up to {MOST_BYTES >> 30} GiB")
        return cls(path, data)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the bytes."""
        return self._hash("sha256")

    def digest(self, algorithm: str) -> str:
        """Return the bytes' hash in hexadecimal digits; `algorithm` is hashlib's name."""
        return self.sha256 if algorithm == "sha256" else self._hash(algorithm)

    def _hash(self, algorithm: str) -> str:
        return hashlib.new(algorithm, self.data, usedforsecurity=False).hexdigest()
