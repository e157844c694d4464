"""One file over HTTP, continued where an earlier attempt broke off."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from time import sleep
from typing import NamedTuple

from tqdm import tqdm

from dextr.common.errors import UserError
from dextr.common.files import read_json

CHUNK_BYTES = 1 << 18
TIMEOUT_SECONDS = 30.0
TRIES = 5
TRANSIENT_STATUS = (408, 416, 429, 500, 502, 503, 504)


def fetch(url: str, part: Path) -> None:
    """Download a file, after what of it lies at `part` already.

    Only what surely belongs to the same file is continued: the server has to give the file a
    strong ETag or a date, and to answer with just the range asked for. Otherwise the transfer
    starts again from the beginning.

    Raises:
        ValueError: The url is not of HTTP.
        ConnectionError: The server has no such file, or several attempts failed. `part` is kept
            for the next call.
    """
    if not url.startswith(("http://", "https://")):
        raise UserError(f"expected an http or https url, got {url!r}")
    part.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(TRIES):
        if attempt:
            sleep(2 ** (attempt - 1))
        try:
            return _transfer(url, part)
        except (urllib.error.URLError, ConnectionError, TimeoutError, HTTPException) as error:
            failure = error
            if isinstance(error, urllib.error.HTTPError) and error.code not in TRANSIENT_STATUS:
                raise ConnectionError(f"{url}: {error.code} {error.reason}") from None
            if isinstance(getattr(error, "reason", None), socket.gaierror):
                raise ConnectionError(f"{url}: no connection ({error})") from None
    raise ConnectionError(f"{url}: {TRIES} attempts failed, the last with: {failure}") from None


def discard(part: Path) -> None:
    """Forget what was downloaded so far."""
    part.unlink(missing_ok=True)
    _note_path(part).unlink(missing_ok=True)


class Note(NamedTuple):
    """Which file a part begins: its url, what the server identifies it by, its bytes."""

    url: str
    validator: str | None
    length: int | None


def _transfer(url: str, part: Path) -> None:
    note = _resumable(url, part)
    have = part.stat().st_size if note else 0
    if note and have == note.length:
        return
    headers = {"User-Agent": "dextr", "Accept-Encoding": "identity"}
    if note and have:
        headers |= {"Range": f"bytes={have}-", "If-Range": str(note.validator)}
    try:
        request = urllib.request.Request(url, headers=headers)
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            discard(part)
        raise
    with response:
        if note is None or response.status != HTTPStatus.PARTIAL_CONTENT:
            have, note = 0, _begin(url, part, response)
        elif (
            response.headers["Content-Range"]
            != f"bytes {have}-{(note.length or 0) - 1}/{note.length}"
        ):
            discard(part)
            raise ConnectionError("the server sent another part of the file than asked for")
        size = _receive(response, part, have, note.length)
    if note.length is not None and size != note.length:
        raise ConnectionError(f"broke off after {size:,} of {note.length:,} bytes")


def _receive(response: HTTPResponse, part: Path, have: int, length: int | None) -> int:
    look = {"desc": part.name.replace(".part", ""), "unit": "B", "unit_divisor": 1024}
    bar = tqdm(initial=have, total=length, unit_scale=True, **look)
    with open(part, "ab" if have else "wb") as file, bar:
        while chunk := response.read(CHUNK_BYTES):
            file.write(chunk)
            bar.update(len(chunk))
        return file.tell()


def _note_path(part: Path) -> Path:
    return part.with_suffix(".json")


def _resumable(url: str, part: Path) -> Note | None:
    """Return what is known of the file that `part` begins; None if it cannot be continued."""
    try:
        note = Note(**read_json(_note_path(part)))
    except (ValueError, TypeError):
        return None
    known = note.url == url and note.validator and isinstance(note.length, int)
    return note if known and part.exists() else None


def _begin(url: str, part: Path, response: HTTPResponse) -> Note:
    """Note which file comes now."""
    part.unlink(missing_ok=True)
    etag, stated = response.headers["ETag"] or "", response.headers["Content-Length"] or ""
    strong = "" if etag.startswith("W/") else etag
    length = int(stated) if stated.isdecimal() else None
    note = Note(url, strong or response.headers["Last-Modified"], length)
    # Not by way of a second file, which kill -9 would leave: half a note only costs a new start.
    _note_path(part).write_text(json.dumps(note._asdict()))
    return note
