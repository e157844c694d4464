"""A small HTTP server on this machine that misbehaves as it is told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """A file and how it is given out.

    Attributes:
        etag: None: not sent.
        modified: Last-Modified; None: not sent.
        ranges: Whether Range is honoured.
        stated: Whether Content-Length is sent.
        statuses: Errors answered first, one per request.
        breaks: Bytes of the body after which the connection is closed, one per request.
        claims: Content-Length that is sent in the place of the right one.
        shift: How far the range answered lies from the one asked for.
        stall: Stop after the bytes of `breaks` until this is set, instead of closing.
        stalled: Set when that has happened.
        asked: The headers of every request.
    """

    content: bytes
    etag: str | None = '"one"'
    modified: str | None = None
    ranges: bool = True
    stated: bool = True
    statuses: list[int] = field(default_factory=list)
    breaks: list[int] = field(default_factory=list)
    claims: int | None = None
    shift: int = 0
    stall: threading.Event | None = None
    stalled: threading.Event = field(default_factory=threading.Event)
    asked: list[dict[str, str]] = field(default_factory=list)

    def start_for(self, headers: dict[str, str]) -> int:
        """The first byte to send, as If-Range and Range say."""
        if not self.ranges or "Range" not in headers:
            return 0
        if headers.get("If-Range") not in (self.etag, self.modified):
            return 0
        return int(headers["Range"].removeprefix("bytes=").removesuffix("-"))


class Handler(BaseHTTPRequestHandler):
    files: dict[str, Served]

    def do_GET(self):
        file = self.files.get(self.path.lstrip("/"))
        if file is None:
            return self.send_error(404)
        file.asked.append(dict(self.headers))
        if file.statuses:
            return self.send_error(file.statuses.pop(0))
        start, total = file.start_for(file.asked[-1]), len(file.content)
        if start > total:
            return self.send_error(416)
        body = file.content[start:]
        self.send_response(206 if start else 200)
        if start:
            first = start + file.shift
            self.send_header("Content-Range", f"bytes {first}-{total - 1}/{total}")
        for name, value in (("ETag", file.etag), ("Last-Modified", file.modified)):
            if value:
                self.send_header(name, value)
        if file.stated:
            self.send_header("Content-Length", str(file.claims or len(body)))
        self.end_headers()
        with suppress(ConnectionError):  # a client may have seen enough
            self.wfile.write(body[: file.breaks[0]] if file.breaks else body)
        if file.breaks:
            file.breaks.pop(0)
            if file.stall:
                self.wfile.flush()
                file.stalled.set()
                file.stall.wait(60)
        return None

    def log_message(self, *args):
        pass


@contextmanager
def serve(files: dict[str, Served]) -> Iterator[str]:
    """Yield the url of a folder that holds these files."""
    handler = type("FilesHandler", (Handler,), {"files": files})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        for file in files.values():
            if file.stall:
                file.stall.set()
        server.shutdown()
        thread.join()
        server.server_close()
