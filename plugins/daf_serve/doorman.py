"""Who may ask, and what a browser may do with the answers.

A page of another site can send requests to this machine from the browser that shows it, and a name that it owns can
be made to lead here (DNS rebinding). So a request must name this server as its host, and come from its own pages.
"""

import socket
from collections.abc import Callable
from ipaddress import ip_address
from urllib.parse import urlsplit

from attrs import frozen
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = "Content-Security-Policy"
_HEADERS = {
    POLICY: "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_OWN = ("same-origin", "none")  # what a browser calls a request of our own page, and one that the user typed
_READING = ("GET", "HEAD")


def names_of(host: str, *, loopback: bool) -> Callable[[str], bool]:
    """Says whether a name is this server's, which listens at ``host``.

    An address cannot be made to lead elsewhere, so any is one of ours that is no loopback's alone.
    """
    others = () if loopback else (socket.gethostname(), socket.getfqdn())
    names = {name.lower() for name in (host, "localhost", *others)}

    def is_ours(name: str) -> bool:
        try:
            return ip_address(name).is_loopback or not loopback
        except ValueError:
            return name in names

    return is_ours


@frozen
class Doorman:
    """Refuses what does not come from this server's own pages, and sends every answer with headers that say how far a
    browser may trust it. ``is_ours`` says whether a host's name is this server's.
    """

    app: ASGIApp
    is_ours: Callable[[str], bool]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        problem = self._problem(scope["method"], Headers(scope=scope))
        answer = self.app if problem is None else PlainTextResponse(f"refused: {problem}\n", 403)
        await answer(scope, receive, with_headers)

    def _problem(self, method: str, headers: Headers) -> str | None:
        """What is wrong with a request, if anything."""
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self.is_ours(_name(hosts[0])):
            return "the host is not this server's; open the address that daf serve printed"
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if origin is not None and origin != f"http://{hosts[0]}":
            return "a page of another origin asks"
        navigates = headers.get("sec-fetch-mode") == "navigate" and method in _READING
        if site is not None and site not in _OWN and not navigates:
            return "a page of another site asks"
        if method not in _READING and origin is None and site != "same-origin":
            return "only this server's own pages may send something"
        return None


def _name(host: str) -> str:
    """``127.0.0.1:8000`` -> 127.0.0.1; "" where it is no host."""
    try:
        parts = urlsplit(f"//{host}")
        return (parts.hostname or "") if parts.netloc == host and "@" not in host else ""
    except ValueError:
        return ""
