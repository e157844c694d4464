"""Tensors and plain values in a file that ends in its own checksum; no code in one is executed.

Up to the checksum it is what `torch.save` writes, and `torch.load` reads all of it.
"""

from __future__ import annotations

import hashlib
import io
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from dextr.common.errors import UserError

# A checkpoint of the paper's network with all its optimiser's values is a fifth of it.
MOST_BYTES = 4 << 30
SEALED = "sealed"
MARK = b"\nsha256:"
TAIL = len(MARK) + 64


def write_tensors(path: Path, content: Mapping[str, Any]) -> None:
    """Write a dictionary and its checksum; the entry `sealed` says that there is one.

    Raises:
        OSError: The file cannot be written.
    """
    # By way of memory: PyTorch hides what a file, or a signal meanwhile, raises.
    buffer = io.BytesIO()
    torch.save({**content, SEALED: True}, buffer)
    with path.open("wb") as file, buffer.getbuffer() as data:
        file.write(data)
        file.write(MARK + hashlib.sha256(data).hexdigest().encode())


def read_tensors(path: Path) -> Any:
    """Return what a file of `torch.save` holds; see `parse_tensors`.

    Raises:
        ValueError: It is damaged, or holds more than tensors and plain values.
        OSError: It cannot be read at all.
    """
    return parse_tensors(path.read_bytes())


def parse_tensors(data: bytes) -> Any:
    """Return what a file with these bytes holds; a checksum is checked on the very bytes loaded.

    Raises:
        ValueError: They are damaged, or hold more than tensors and plain values.
    """
    body, tail = data[:-TAIL], data[-TAIL:]
    sealed = tail.startswith(MARK)
    if sealed and tail[len(MARK) :] != hashlib.sha256(body).hexdigest().encode():
        raise UserError("damaged: its checksum is another one")
    plain = body if sealed else data
    if zipfile.is_zipfile(io.BytesIO(plain)):
        require_sane_archive(plain)
    try:
        with warnings.catch_warnings():
            # Of odd kinds of tensors, which whoever wants tensors looks at himself.
            warnings.simplefilter("ignore")
            content = torch.load(io.BytesIO(plain), "cpu", weights_only=True)
    except Exception as error:
        # PyTorch's own message tells people to load such files unsafely.
        foreign = re.search(r"GLOBAL (\S+)", str(error))
        what = f"it holds {foreign[1]} besides" if foreign else "damaged, or holds more than"
        raise UserError(f"refused: {what} tensors, which could run code") from None
    if isinstance(content, dict) and content.pop(SEALED, False) and not sealed:
        raise UserError("damaged: its checksum is missing")
    return content


def require_sane_archive(data: bytes) -> None:
    """Raise a ValueError for a ZIP archive that unpacks to more than any weights fill."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    except Exception as error:
        raise UserError(f"damaged ({' '.join(str(error)[:200].split())})") from None
    if size > MOST_BYTES:
        raise UserError(f"it unpacks to {size:,} bytes, more than any weights fill")
