"""Servers that never come to an end are left."""

import socket
import threading
from contextlib import contextmanager, suppress
from http.client import HTTPException

import pytest

from dextr.weights import http_stream
from dextr.weights.http_stream import request


@contextmanager
def server(say):
    """Yield the url of a server that answers one request with what `say(send)` sends."""
    listening = socket.create_server(("127.0.0.1", 0))

    def answer():
        connection, _ = listening.accept()
        with connection, suppress(OSError):
            connection.recv(1 << 16)
            say(connection.sendall, lambda: connection.recv(1))

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}/x"
    thread.join(60)  # it sees that it was left
    listening.close()
    assert not thread.is_alive()


HEAD = b"HTTP/1.1 200 OK\r\nX-Name: y\r\n"


def test_an_answer_comes_in_chunks(monkeypatch):
    monkeypatch.setattr(http_stream, "CHUNK_BYTES", 7)
    with (
        server(lambda send, _: send(HEAD + b"\r\n" + bytes(range(100)))) as url,
        request(url, {"X": "1"}) as reply,
    ):
        assert (reply.head.status, reply.head.headers["X-Name"]) == (200, "y")
        chunks = list(reply)
    assert b"".join(chunks) == bytes(range(100))
    assert len(chunks) > 10


def nothing(send, wait):
    wait()


def half_of_the_headers(send, wait):
    send(HEAD)
    wait()


def no_body(send, wait):
    send(HEAD + b"\r\n")
    wait()


def endless(*parts):
    def say(send, wait):
        send(parts[0])
        while True:
            send(parts[-1])

    return say


@pytest.mark.parametrize(
    "say",
    [
        nothing,
        half_of_the_headers,
        no_body,
        endless(b"HTTP/1.1 100 Continue\r\n\r\n"),
        endless(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5;", b"x"),
    ],
    ids=["nothing", "half of the headers", "no body", "endless 100 Continue", "chunk's length"],
)
def test_a_server_that_does_not_come_to_the_point_is_left(say, monkeypatch):
    monkeypatch.setattr(http_stream, "WINDOW_SECONDS", 0.2)
    # The last one may also end by what Python's own reader bounds.
    with (
        server(say) as url,
        pytest.raises((ConnectionError, HTTPException)),
        request(url, {}) as reply,
    ):
        list(reply)


def test_hardly_any_data_is_too_slow(monkeypatch):
    monkeypatch.setattr(http_stream, "WINDOW_SECONDS", 0.2)
    monkeypatch.setattr(http_stream, "LOWEST_BYTES", 1 << 40)
    with (
        server(endless(HEAD + b"\r\n", b"x")) as url,
        pytest.raises(ConnectionError, match=r"too slow: hardly any data in 0\.2 s"),
        request(url, {}) as reply,
    ):
        list(reply)
