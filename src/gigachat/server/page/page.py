"""The page at `/`: a description of the server, its models, a live log and a chat. It is one static file.

Access. The page holds no secret and never shows the account's key. Its script asks `POST /page` for an access token of
its own. That token is random and as short-lived as any other. The script sends it as a header with each later request.
There are no cookies. So another site, open in the same browser, can do nothing. It can't read the response, because
there are no CORS headers. A request without the header of the token is refused. Each request to the page must come

* from this machine: the other end of the connection is a loopback address, and no proxy header names another machine;
* under a loopback name: `Host` is localhost or a loopback address. A foreign name may be made to resolve to 127.0.0.1
  (DNS rebinding). The attacker's page would then have our own origin;
* from the page itself: `Origin`, which browsers send with each POST, is the address asked; `Sec-Fetch-Site` agrees.

A program that can connect to the loopback address can chat and read the log, with bodies. Keys and tokens are in
neither. Other machines get no page, whatever address the server listens on.

Requests to the page itself are neither in the journal nor in the log. No order of a test is spent on them.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import secrets
from functools import cache
from importlib.resources import files
from ipaddress import ip_address
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from gigachat import __version__
from gigachat.server.access.authorization import check_access
from gigachat.server.catalogue import MODELS
from gigachat.server.wire.errors import Refusal
from gigachat.server.wire.responses import EventStream, compact, event, refusal

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence

    from starlette.types import ASGIApp, Receive, Scope, Send

    from gigachat.server.service import Service

    _Endpoint = Callable[[Request, Service], Awaitable[Response]]

__all__ = ["ENDPOINTS", "Page"]

_SHOWN = (
    "GIGACHAT_BASE_URL",
    "GIGACHAT_AUTH_URL",
    "GIGACHAT_SCOPE",
    "GIGACHAT_CERT_FILE",
    "GIGACHAT_KEY_FILE",
    "GIGACHAT_CA_BUNDLE_FILE",
)
"""The variables that are shown: addresses and paths, never the key."""
_ELSEWHERE = """This page is for browsers on the server's own machine, at localhost. The API is at /api/v1.
Эта страница открывается в браузере на той же машине, по адресу localhost. API находится по адресу /api/v1.
"""
_LOCAL_HOST = re.compile(r"(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?", re.IGNORECASE | re.ASCII)
_NUMBER = re.compile(r"\d{1,18}", re.ASCII)
_PROXIED = ("forwarded", "x-forwarded-for")
_HEADERS = {
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}
_POLL_INTERVAL = 0.05
"""Seconds between two checks for changes."""


class Page:
    """An ASGI layer that answers the page's own requests and lets all others pass."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        endpoint = _endpoint(scope)
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        if _is_local(request):
            try:
                response = await endpoint(request, self._service)
            except Refusal as error:
                response = refusal(request.headers, error)
        else:
            response = Response(_ELSEWHERE, 403, media_type="text/plain")
        response.headers.update(_HEADERS)
        await response(scope, receive, send)


async def _show(request: Request, service: Service) -> Response:
    text, policy = _file()
    return Response(text, media_type="text/html", headers={"content-security-policy": policy})


async def _open(request: Request, service: Service) -> Response:
    """Return a description of the server, and a token for the page."""
    if request.headers.get("origin") is None:
        raise Refusal(403)
    state = service.state
    token = secrets.token_urlsafe(32)
    state.tokens.add(token, state.token_lifetime)
    description = {
        "token": token,
        "run": state.activity.run,
        "version": __version__,
        "engine": type(service.engine).__name__.lower(),
        "account": state.account.kind,
        "strict": state.strict,
        "models": [model.card() for model in MODELS if model.listed],
        "environment": _environment(request, service),
    }
    return Response(compact(description), media_type="application/json")


async def _events(request: Request, service: Service) -> Response:
    """Send the requests in progress and each change of them, until the page disconnects."""
    check_access(request, service.state)

    async def changes() -> AsyncGenerator[bytes, None]:
        version = 0
        yield b": the log begins\n\n"
        while True:
            version, cards = service.state.activity.since(version)
            if cards:
                yield b"".join(event(card) for card in cards)
            await asyncio.sleep(_POLL_INTERVAL)

    return EventStream(changes(), {}, pace=0)


async def _exchange(request: Request, service: Service) -> Response:
    """Return a request and its response, by its number in the log."""
    check_access(request, service.state)
    number = request.query_params.get("number", "")
    found = service.state.activity.exchange(int(number)) if _NUMBER.fullmatch(number) else None
    if found is None:
        raise Refusal(404)
    return Response(compact(found.card()), media_type="application/json")


ENDPOINTS: Sequence[tuple[str, str, _Endpoint]] = (
    ("GET", "/", _show),
    ("POST", "/page", _open),
    ("GET", "/events", _events),
    ("GET", "/exchange", _exchange),
)
_BY_ADDRESS = {(method, path): endpoint for method, path, endpoint in ENDPOINTS}


def _endpoint(scope: Scope) -> _Endpoint | None:
    return _BY_ADDRESS.get((scope["method"], scope["path"])) if scope["type"] == "http" else None


def _is_local(request: Request) -> bool:
    """Tell whether a request comes from this machine, to a name of this machine, and from no other site."""
    headers = request.headers
    host = headers.get("host", "")
    peer = request.client.host if request.client is not None else ""
    if not (_is_loopback(peer) and _LOCAL_HOST.fullmatch(host)) or any(name in headers for name in _PROXIED):
        return False
    if request.scope["path"] == "/":  # a link from anywhere may lead here
        return True
    own = headers.get("origin") in (None, f"{request.scope['scheme']}://{host}")
    return own and headers.get("sec-fetch-site") in (None, "same-origin")


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _environment(request: Request, service: Service) -> Mapping[str, str]:
    """Return what points the SDK here, without the key, under the name the browser found the server by."""
    origin = f"{request.scope['scheme']}://{request.headers['host']}"
    found = {
        "GIGACHAT_BASE_URL": f"{origin}/api/v1",
        "GIGACHAT_AUTH_URL": f"{origin}/api/v2/oauth",
        "GIGACHAT_SCOPE": service.state.account.scope,
    }
    return {name: value for name, value in (service.environment or found).items() if name in _SHOWN}


@cache
def _file() -> tuple[str, str]:
    """Return the page and its Content-Security-Policy: nothing from elsewhere, no script and style but its own."""
    text = files("gigachat.server.page").joinpath("page.html").read_text("utf-8")
    sources = {
        f"{tag}-src": f"'sha256-{base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()}'"
        for tag, inner in re.findall(r"<(script|style)>(.*?)</\1>", text, re.DOTALL)
    }
    policy = {
        "default-src": "'none'",
        **sources,
        "connect-src": "'self'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
    }
    return text, "; ".join(f"{name} {value}" for name, value in policy.items())
