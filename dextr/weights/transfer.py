"""One file over HTTP, continued where an earlier attempt broke off."""

from __future__ import annotations

import errno
import json
import shutil
import socket
import urllib.error
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from time import sleep
from typing import NamedTuple

from tqdm import tqdm

from dextr.common.errors import UserError
from dextr.common.files import read_json
from dextr.weights.http_stream import Head, Reply, request

TRIES = 5
TRANSIENT_STATUS = (408, 416, 429, 500, 502, 503, 504)
# Left free on the disk, for all else that runs there.
SPARE_BYTES = 256 << 20


def fetch(url: str, part: Path, most: int) -> None:
    """Download a file of up to `most` bytes, after what of it lies at `part` already.

    Only what surely belongs to the same file is continued: the server has to give the file a
    strong ETag or a date, and to answer with just the range asked for. Otherwise the transfer
    starts again from the beginning.

    Raises:
        ValueError: The url is not of HTTP, or the file is larger.
        ConnectionError: The server has no such file, or several attempts failed, among them those
            that were too slow. `part` is kept for the next call.
        OSError: The disk is full, or would be; `part` is kept, too.
    """
    if not url.startswith(("http://", "https://")):
        raise UserError(f"expected an http or https url, got {url!r}")
    part.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(TRIES):
        if attempt:
            sleep(2 ** (attempt - 1))
        try:
            return _transfer(url, part, most)
        except (urllib.error.URLError, ConnectionError, TimeoutError, HTTPException) as error:
            failure = error
            if isinstance(error, urllib.error.HTTPError) and error.code not in TRANSIENT_STATUS:
                raise ConnectionError(f"{url}: {error.code} {_line(error.reason)}") from None
            if isinstance(getattr(error, "reason", None), socket.gaierror):
                raise ConnectionError(f"{url}: no connection ({error})") from None
    raise ConnectionError(f"{url}: {TRIES} attempts failed, the last with: {_line(failure)}")


def _line(text: object) -> str:
    """Return what a server may have written as a short line."""
    return " ".join(str(text).split())[:200]


def discard(part: Path) -> None:
    """Forget what was downloaded so far."""
    part.unlink(missing_ok=True)
    _note_path(part).unlink(missing_ok=True)


class Note(NamedTuple):
    """Which file a part begins: its url, what the server identifies it by, its bytes."""

    url: str
    validator: str | None
    length: int | None


def _transfer(url: str, part: Path, most: int) -> None:
    note = _resumable(url, part, most)
    have = part.stat().st_size if note else 0
    if note and have == note.length:
        return
    headers = {"User-Agent": "dextr", "Accept-Encoding": "identity"}
    if note and have:
        headers |= {"Range": f"bytes={have}-", "If-Range": str(note.validator)}
    try:
        with request(url, headers) as reply:
            if note is None or reply.head.status != HTTPStatus.PARTIAL_CONTENT:
                have, note = 0, _begin(url, part, reply.head, most)
            elif reply.head.headers["Content-Range"] != _range(have, note.length or 0):
                discard(part)
                raise ConnectionError("the server sent another part of the file than asked for")
            size = _receive(reply, part, have, note.length, most)
    except urllib.error.HTTPError as error:
        if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            discard(part)
        raise
    if note.length is not None and size != note.length:
        raise ConnectionError(f"broke off after {size:,} of {note.length:,} bytes")


def _range(have: int, length: int) -> str:
    return f"bytes {have}-{length - 1}/{length}"


def _receive(reply: Reply, part: Path, have: int, length: int | None, most: int) -> int:
    look = {"desc": part.name.replace(".part", ""), "unit": "B", "unit_divisor": 1024}
    bar = tqdm(initial=have, total=length, unit_scale=True, **look)
    _require_space(part, (length or have) - have)
    with open(part, "ab" if have else "xb") as file, bar:
        for chunk in reply:
            _require_size(file.tell() + len(chunk), most)
            _require_space(part, len(chunk))
            file.write(chunk)
            bar.update(len(chunk))
        return file.tell()


def _require_size(size: int, most: int) -> None:
    if size > most:
        raise UserError(f"expected a file of up to {most / 1e6:,.0f} MB, got {size:,} bytes")


def _require_space(part: Path, size: int) -> None:
    free = shutil.disk_usage(part.parent).free - SPARE_BYTES
    if size > free:
        reason = f"{size / 1e6:,.0f} MB do not fit: {max(0, free) / 1e6:,.0f} MB are free"
        raise OSError(errno.ENOSPC, reason, str(part))


def _note_path(part: Path) -> Path:
    return part.with_suffix(".json")


def _resumable(url: str, part: Path, most: int) -> Note | None:
    """Return what is known of the file that `part` begins; None if it cannot be continued."""
    # Neither is read or written through a link that somebody else may have put there.
    if not all(p.is_file() and not p.is_symlink() for p in (part, _note_path(part))):
        return None
    try:
        note = Note(**read_json(_note_path(part)))
    except (ValueError, TypeError):
        return None
    known = note.url == url and note.validator and type(note.length) is int
    return note if known and 0 <= (note.length or 0) <= most else None


def _begin(url: str, part: Path, head: Head, most: int) -> Note:
    """Note which file comes now."""
    discard(part)
    etag, stated = head.headers["ETag"] or "", head.headers["Content-Length"] or ""
    strong = "" if etag.startswith("W/") else etag
    length = int(stated) if stated.isdecimal() and len(stated) < 20 else None
    _require_size(length or 0, most)
    note = Note(url, strong or head.headers["Last-Modified"], length)
    # Not by way of a second file, which kill -9 would leave: half a note only costs a new start.
    with open(_note_path(part), "x") as file:
        json.dump(note._asdict(), file)
    return note
