"""Tensors and plain values in a file that ends in its own checksum; no code in one is executed.

Up to the checksum it is what `torch.save` writes, and `torch.load` reads all of it.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

SEALED = "sealed"
MARK = b"\nsha256:"
TAIL = len(MARK) + 64


def write_tensors(path: Path, content: Mapping[str, Any]) -> None:
    """Write a dictionary and its checksum; the entry `sealed` says that there is one.

    Raises:
        OSError: The file cannot be written.
    """
    # By way of memory: PyTorch hides what a file, or a signal meanwhile, raises.
    buffer = BytesIO()
    torch.save({**content, SEALED: True}, buffer)
    with path.open("wb") as file, buffer.getbuffer() as data:
        file.write(data)
        file.write(MARK + hashlib.sha256(data).hexdigest().encode())


def read_tensors(path: Path) -> Any:
    """Return what a file of `torch.save` holds; a checksum is checked on the very bytes loaded.

    Raises:
        ValueError: It is damaged, or holds more than tensors and plain values.
        OSError: It cannot be read at all.
    """
    with path.open("rb") as file:
        body = file.read(max(os.fstat(file.fileno()).st_size - TAIL, 0))
        tail = file.read()
    sealed = tail.startswith(MARK)
    if sealed and tail[len(MARK) :] != hashlib.sha256(body).hexdigest().encode():
        raise ValueError("damaged: its checksum is another one")
    try:
        content = torch.load(BytesIO(body if sealed else body + tail), "cpu", weights_only=True)
    except Exception as error:
        # PyTorch's own message tells people to load such files unsafely.
        foreign = re.search(r"GLOBAL (\S+)", str(error))
        what = f"it holds {foreign[1]} besides" if foreign else "damaged, or holds more than"
        raise ValueError(f"refused: {what} tensors, which could run code") from None
    if isinstance(content, dict) and content.pop(SEALED, False) and not sealed:
        raise ValueError("damaged: its checksum is missing")
    return content
