"""The middleware in front of the routes: it records each request and applies the faults ordered for it.

A client without authorization can make the server hold little: its body is bounded by `_LARGEST_UNKNOWN` bytes and
`_PATIENCE` seconds, and the fault of its header is ignored.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from gigachat.server.access.authorization import check_access
from gigachat.server.orders.faults import HEADER, DamagingSend, Fault, fault_from_header
from gigachat.server.state.exchange import SIGN_IN
from gigachat.server.state.requests import Received
from gigachat.server.wire.errors import Refusal
from gigachat.server.wire.responses import JSON_TYPE, api_headers, disconnected, refusal

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from gigachat.server.orders.queue import Orders
    from gigachat.server.state.state import State

_LARGEST = 64 * 1024 * 1024
_LARGEST_UNKNOWN = 1024 * 1024
_PATIENCE = 30.0
_WITHOUT_BODY = (204, 304)


class FrontDesk:
    """An ASGI layer that records each request, then applies an ordered fault, then passes it on.

    Args:
        app: The next layer.
        state: Knows tokens, and records the requests.
        orders: The orders of tests.
    """

    def __init__(self, app: ASGIApp, state: State, orders: Orders) -> None:
        self._app = app
        self._state = state
        self._orders = orders

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body, then answer or pass on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        denied = self._denied(scope)
        try:
            body, refused = await _read(scope, receive, denied)
        except _Disconnected:
            return
        received = Received(scope["method"], scope["path"], scope["headers"], scope["query_string"], body)
        self._state.journal.add(received)
        entry = self._state.activity.begin(received)

        async def sending(message: Message) -> None:
            await send(message)
            entry.note(message)

        try:
            if refused is not None:
                await refusal(Headers(scope=scope), refused)(scope, receive, sending)
            else:
                await self._obey(received, scope, receive, sending, known=denied is None)
        finally:
            entry.over(scope.get("state", {}).get("refusal_detail"))
            self._state.journal.end(received)

    def _denied(self, scope: Scope) -> Refusal | None:
        """Return the refusal of a request without valid authorization."""
        try:
            check_access(Request(scope), self._state)
        except Refusal as refused:
            return refused
        return None

    async def _obey(self, received: Received, scope: Scope, receive: Receive, send: Send, *, known: bool) -> None:
        """Apply a fault ordered for a request, and pass it on if it is still to be answered."""
        try:
            fault = self._fault(received, known=known)
        except ValueError as error:
            await refusal(Headers(scope=scope), Refusal(400, str(error)))(scope, receive, send)
            return
        if fault is not None:
            if await disconnected(receive, fault.delay or 0.0):
                return
            send = DamagingSend(fault, send, scope.get("state", {}).get("transport"))
            if fault.status is not None:
                await _fault_answer(Headers(scope=scope), fault, fault.status)(scope, receive, send)
                return

        unread = True

        async def replay() -> Message:
            nonlocal unread
            if unread:
                unread = False
                return {"type": "http.request", "body": received.body, "more_body": False}
            return await receive()

        await self._app(scope, replay, send)

    def _fault(self, received: Received, *, known: bool) -> Fault | None:
        asked = received.headers.get(HEADER) if known else None
        if asked is None:
            return self._orders.fault(received)
        fault = fault_from_header(asked)
        return fault if fault is not None and self._orders.hits(fault, received) else None


class _Disconnected(Exception):
    """The client disconnected before the end of its request."""


async def _read(scope: Scope, receive: Receive, denied: Refusal | None) -> tuple[bytes, Refusal | None]:
    """Return the body, and the refusal of one that is too large or too slow.

    Args:
        scope: The request.
        receive: Its ASGI channel.
        denied: The refusal of a client without authorization, whose body is bounded; None for any other.

    Raises:
        _Disconnected: The client disconnected.
    """
    too_large = Refusal(413)
    limit, patience = _LARGEST, None
    if denied is not None:
        limit, patience = _LARGEST_UNKNOWN, _PATIENCE
        too_large = denied if not scope["path"].endswith(SIGN_IN) else too_large
    length = Headers(scope=scope).get("content-length", "0")
    if len(length) > 20 or (length.isdecimal() and int(length) > limit):
        return b"", too_large
    body = bytearray()
    more = True
    try:
        async with asyncio.timeout(patience):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _Disconnected
                body += message.get("body", b"")
                more = message.get("more_body", False)
                if len(body) > limit:
                    return b"", too_large
    except TimeoutError:
        return b"", Refusal(408)
    return bytes(body), None


def _fault_answer(request_headers: Headers, fault: Fault, status: int) -> Response:
    """Return an ordered error; one with a body of its own is sent as the page of a gateway would be."""
    if status in _WITHOUT_BODY:
        return Response(status_code=status, headers=api_headers(request_headers))
    if fault.body is None:
        return refusal(request_headers, Refusal(status, fault.message, code=fault.code))
    kind = JSON_TYPE if fault.body[:1] in (b"{", b"[") else "text/html"
    return Response(fault.body, status, {"content-type": kind, **api_headers(request_headers)})
