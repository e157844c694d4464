"""The page as a hostile client meets it."""

import asyncio
import re

import matplotlib
import pytest
from matplotlib import pyplot as plt

from dextr.window.web import Guard, serving

tornado = pytest.importorskip("tornado")
from tornado import httpclient, testing, websocket  # noqa: E402


@pytest.mark.parametrize(
    ("address", "host", "right"),
    [
        ("127.0.0.1", "", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "LOCALHOST", True),
        ("127.0.0.1", "[::1]", True),
        ("127.0.0.1", "evil.example", False),
        ("127.0.0.1", "localhost.evil.example", False),
        ("127.0.0.1", "127.0.0.1.evil.example", False),
        ("127.0.0.1", "192.168.0.7", False),
        ("0.0.0.0", "192.168.0.7", True),
        ("0.0.0.0", "localhost", True),
        ("0.0.0.0", "evil.example", False),
        ("lab.example", "lab.example", True),
        ("lab.example", "evil.example", False),
    ],
)
def test_hosts(address, host, right):
    assert Guard(8988, address).names(host) is right


@pytest.mark.parametrize(
    ("address", "alone"),
    [
        *((a, True) for a in ("127.0.0.1", "127.0.0.2", "localhost", "::1")),
        *((a, False) for a in ("0.0.0.0", "::", "", "192.168.0.7", "lab.example")),
    ],
)
def test_who_reaches_an_address(address, alone):
    assert Guard(8988, address).this_machine_only is alone


def test_tokens_are_long_secret_and_of_one_run():
    one, two = Guard(1), Guard(1)
    assert one.token != two.token
    assert len(one.token) >= 32
    assert one.token not in repr(one)
    assert [one.knows(t) for t in (one.token, two.token, "", None, "é", one.token[:-1])] == [
        True, *[False] * 5,
    ]  # fmt: skip


@pytest.fixture
def answers():
    """Return a function that asks a served figure, one request each, and gives the responses."""
    before = matplotlib.get_backend()
    plt.switch_backend("webagg")
    figure = plt.figure()
    guard = Guard(testing.bind_unused_port()[1])

    def ask(*requests):
        async def session():
            with serving(guard):
                client = httpclient.AsyncHTTPClient(force_instance=True)
                return [
                    await client.fetch(
                        f"http://127.0.0.1:{guard.port}{path}".replace("TOKEN", guard.token),
                        headers={k: v.replace("TOKEN", guard.token) for k, v in headers.items()},
                        follow_redirects=False,
                        raise_error=False,
                    )
                    for path, headers in requests
                ]

        return asyncio.run(session())

    ask.guard, ask.number = guard, figure.number
    yield ask
    plt.close(figure)
    plt.switch_backend(before)


def test_every_page_is_behind_the_token_and_the_hosts_name(answers):
    cookie = {"Cookie": f"{answers.guard.cookie}=TOKEN"}
    n = answers.number
    pages = ["/", f"/{n}", f"/{n}/download.png", "/js/mpl.js", "/_static/css/page.css"]
    pages += ["/_images/home.png", "/favicon.ico", "/nothing", f"/{n}/ws"]
    strangers = [
        {},
        {"Cookie": f"{answers.guard.cookie}=guessed"},
        {"Cookie": f"{answers.guard.cookie}="},
        {"Authorization": "token TOKEN"},
        {**cookie, "Host": "evil.example"},
        {**cookie, "Host": f"evil.example:{answers.guard.port}"},
    ]
    refused = answers(*[(page, headers) for page in pages for headers in strangers])
    assert {answer.code for answer in refused} == {403}
    assert len({answer.body for answer in refused}) == 1
    assert answers.guard.token not in str([list(answer.headers.get_all()) for answer in refused])
    served = answers(*[(page, cookie) for page in pages[:7]])
    assert [answer.code for answer in served] == [200] * 7
    assert served[2].body.startswith(b"\x89PNG")
    for answer in (*refused, *served):
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Content-Security-Policy"] == "frame-ancestors 'none'"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answers(("/nothing", cookie))[0].code == 404


def test_the_token_becomes_a_cookie_that_scripts_and_other_sites_do_not_have(answers):
    entered, wrong, elsewhere, foreign = answers(
        ("/?token=TOKEN", {}),
        ("/?token=guessed", {}),
        ("//evil.example/?token=TOKEN", {}),
        ("/?token=TOKEN", {"Host": "evil.example"}),
    )
    assert (entered.code, entered.headers["Location"]) == (302, "/")
    cookie = entered.headers["Set-Cookie"]
    assert cookie.startswith(f"{answers.guard.cookie}={answers.guard.token};")
    assert re.search("httponly", cookie, re.IGNORECASE)
    assert re.search("samesite=lax", cookie, re.IGNORECASE)
    assert (wrong.code, foreign.code) == (403, 403)
    assert elsewhere.headers["Location"] == "/"


@pytest.mark.parametrize(
    ("headers", "let_in"),
    [
        ({}, False),
        ({"Cookie": "TOKEN"}, True),
        ({"Cookie": "TOKEN", "Origin": "http://127.0.0.1:PORT"}, True),
        ({"Cookie": "TOKEN", "Origin": "http://evil.example"}, False),
        ({"Cookie": "TOKEN", "Origin": "http://evil.example", "Host": "evil.example"}, False),
    ],
)
def test_nobody_else_clicks(answers, headers, let_in):
    guard = answers.guard
    given = {
        name: value.replace("TOKEN", f"{guard.cookie}={guard.token}").replace(
            "PORT", str(guard.port)
        )
        for name, value in headers.items()
    }

    async def connect():
        with serving(guard):
            address = f"ws://127.0.0.1:{guard.port}/{answers.number}/ws"
            request = httpclient.HTTPRequest(address, headers=given)
            (await websocket.websocket_connect(request)).close()

    if let_in:
        asyncio.run(connect())
        return
    with pytest.raises(httpclient.HTTPError, match="403"):
        asyncio.run(connect())
