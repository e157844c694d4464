"""The click window's page: who may see it and click on it."""

from __future__ import annotations

import hmac
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from dextr.common.errors import UserError

HEADERS = {
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Guard:
    """Lets in who knows the token, from a page that was asked for under a name of this machine.

    Other users of the machine do not know the token. Another site's page, whose name was made to
    lead here (DNS rebinding), asks under that name.

    Attributes:
        port: The server's, and its address.
        token: Stands in the address that is printed, and then in the browser's cookie.
    """

    port: int
    address: str = "127.0.0.1"
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    @property
    def cookie(self) -> str:
        """The cookie's name: cookies are shared by all ports of a machine."""
        return f"dextr-{self.port}"

    @property
    def this_machine_only(self) -> bool:
        """Whether no other machine reaches the address."""
        return self.address == "localhost" or bool(_is_loopback(self.address))

    def knows(self, token: str | None) -> bool:
        """Whether this is the token; takes as long for any."""
        return token is not None and hmac.compare_digest(token.encode(), self.token.encode())

    def names(self, host: str) -> bool:
        """Whether a browser that asks for this host, without port, means this server."""
        host = host.strip("[]").lower()
        if host in ("localhost", self.address.lower()) or _is_loopback(host):
            return True
        if self.this_machine_only:
            return False
        # No name can be made to look like an address of digits.
        own = (socket.gethostname().lower(), socket.getfqdn().lower())
        return host in own or _is_loopback(host) is not None


def _is_loopback(host: str) -> bool | None:
    """Whether an address is the machine's own; None if it is a name."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return None


@contextmanager
def serving(guard: Guard) -> Iterator[None]:
    """Let `plt.show` of Matplotlib's WebAgg backend serve its figures behind a guard.

    Raises:
        ValueError: The address or port cannot be had.
    """
    from matplotlib.backends.backend_webagg import WebAggApplication

    try:
        server = _application(guard).listen(guard.port, guard.address)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(
            f"cannot serve on port {guard.port} of {guard.address} ({reason}): give --web another"
        ) from None
    shown = f"[{guard.address}]" if ":" in guard.address else guard.address
    # `plt.show` then finds its server ready, and prints these three as one address.
    shared: Any = WebAggApplication
    shared.address, shared.port = shown, guard.port
    shared.url_prefix = f"/?token={guard.token}"
    shared.initialized = True
    try:
        yield
    finally:
        shared.initialized = False
        server.stop()


def _application(guard: Guard) -> Any:
    """Return Matplotlib's web application with the guard before all of its pages.

    Tornado is seldom installed: what is made of its classes is made in here.
    """
    from matplotlib.backends.backend_webagg import WebAggApplication
    from tornado.web import RequestHandler

    class Safe:
        def set_default_headers(self: Any) -> None:
            for name, value in HEADERS.items():
                self.set_header(name, value)

    class Refused(Safe, RequestHandler):
        def prepare(self) -> None:
            self.set_status(403)
            self.finish("Not allowed: open the address with the token that demo.py printed.\n")

    class Entrance(Safe, RequestHandler):
        def prepare(self) -> None:
            self.set_cookie(guard.cookie, guard.token, httponly=True, samesite="Lax", path="/")
            self.redirect("/")

    class Guarded(WebAggApplication):
        def get_handler_delegate(
            self, request: Any, target_class: Any, *arguments: Any, **more: Any
        ) -> Any:
            cookie = request.cookies.get(guard.cookie)
            tokens = request.query_arguments.get("token", [b""])
            if not guard.names(request.host_name):
                return super().get_handler_delegate(request, Refused)
            if guard.knows(tokens[-1].decode(errors="replace")):
                return super().get_handler_delegate(request, Entrance)
            if not guard.knows(cookie and cookie.value):
                return super().get_handler_delegate(request, Refused)
            page = type("Page", (Safe, target_class), {})
            return super().get_handler_delegate(request, page, *arguments, **more)

    return Guarded()
