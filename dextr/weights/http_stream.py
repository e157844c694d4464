"""What a server answers, bounded in time: one that sends nothing, or hardly anything, is left.

A socket's own time limit starts again with every byte, so a server that sends one now and then (of
its headers, of a chunk's length, of `100 Continue`) holds its reader for ever. Here another
thread reads, and the caller waits for it only so long.
"""

from __future__ import annotations

import queue
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import Message
from typing import Any

CHUNK_BYTES = 1 << 18
SOCKET_SECONDS = 30.0
# In every such time headers must be complete, and the lowest rate be kept.
WINDOW_SECONDS = 60.0
LOWEST_BYTES = 60 * 1024
AHEAD = 8


@dataclass(frozen=True)
class Head:
    """An answer's status and headers."""

    status: int
    headers: Message


class Reply:
    """An answer: its head, and its body in chunks as they come.

    Iterating raises a ConnectionError where less than `LOWEST_BYTES` come in `WINDOW_SECONDS`.
    """

    def __init__(self, reader: _Reader) -> None:
        self._reader = reader
        head = reader.next(time.monotonic() + WINDOW_SECONDS, "headers")
        assert isinstance(head, Head)
        self.head = head

    def __iter__(self) -> Iterator[bytes]:
        came, until = LOWEST_BYTES, 0.0
        while True:
            if came >= LOWEST_BYTES:
                came, until = 0, time.monotonic() + WINDOW_SECONDS
            chunk = self._reader.next(until, "data")
            if not isinstance(chunk, bytes):
                return
            came += len(chunk)
            yield chunk


@contextmanager
def request(url: str, headers: Mapping[str, str]) -> Iterator[Reply]:
    """Ask a server for a url.

    Raises:
        OSError: What `urllib` raises, among it URLError and HTTPError.
        HTTPException: What is answered is not HTTP.
        ConnectionError: The headers do not come.
    """
    reader = _Reader(urllib.request.Request(url, headers=dict(headers)))
    try:
        yield Reply(reader)
    finally:
        reader.leave()


class _Reader:
    """A thread that reads an answer."""

    def __init__(self, asked: urllib.request.Request) -> None:
        self.left = threading.Event()
        self._sockets: list[socket.socket] = []
        self._asked = asked
        self._box: queue.Queue[Head | bytes | BaseException | None] = queue.Queue(AHEAD)
        threading.Thread(target=self._read, daemon=True).start()

    def next(self, until: float, what: str) -> Head | bytes | None:
        """Return the head, then chunks, then None; a ConnectionError if it takes too long."""
        try:
            item = self._box.get(timeout=max(0, until - time.monotonic()))
        except queue.Empty:
            slow = f"the server is too slow: hardly any {what} in {WINDOW_SECONDS:g} s"
            raise ConnectionError(slow) from None
        if isinstance(item, BaseException):
            raise item
        return item

    def leave(self) -> None:
        """End the thread: its connections are cut, also while it waits for them."""
        self.left.set()
        for connected in self._sockets:
            with suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)

    def _read(self) -> None:
        kinds = (urllib.request.HTTPHandler, urllib.request.HTTPSHandler)
        opener = urllib.request.build_opener(*(_recording(kind, self._sockets) for kind in kinds))
        try:
            with opener.open(self._asked, timeout=SOCKET_SECONDS) as response:
                self._hand(Head(response.status, response.headers))
                while not self.left.is_set() and (chunk := response.read1(CHUNK_BYTES)):
                    self._hand(chunk)
            self._hand(None)
        except BaseException as error:
            self._hand(error)

    def _hand(self, item: Head | bytes | BaseException | None) -> None:
        while not self.left.is_set():
            with suppress(queue.Full):
                self._box.put(item, timeout=1)
                break


def _recording(handler: type, sockets: list[socket.socket]) -> type[urllib.request.BaseHandler]:
    """Return a kind of `urllib`'s handler that lists the sockets it connects."""

    class Recording(handler):
        def do_open(self, connection: type, *args: Any, **options: Any) -> Any:
            class Recorded(connection):
                def connect(self) -> None:
                    super().connect()
                    sockets.append(self.sock)

            return super().do_open(Recorded, *args, **options)

    return Recording
