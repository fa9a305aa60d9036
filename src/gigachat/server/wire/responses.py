"""Responses: compact JSON, the recorded headers, event streams (reference, sections 2.2 and 4.7)."""

from __future__ import annotations

import asyncio
import json
import uuid
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic_core import to_json
from starlette.requests import ClientDisconnect
from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Mapping

    from starlette.datastructures import Headers
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from gigachat.server.wire.errors import Refusal

T = TypeVar("T")
JSON_TYPE = "application/json; charset=utf-8"
DONE = b"data: [DONE]\n\n"
# The service sends Content-Length with short bodies only; longer ones are sent in chunks.
_SHORT = 2048


def compact(value: Any) -> bytes:
    """Return JSON as the service writes it: no spaces, non-ASCII characters as they are."""
    try:
        return to_json(value)
    except ValueError:
        # JSON can escape half of a surrogate pair; UTF-8 cannot encode it.
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def present(**fields: Any) -> dict[str, Any]:
    """Return the fields that have a value, as the service shows a record."""
    return {name: value for name, value in fields.items() if value is not None}


def event(value: Any) -> bytes:
    """Return one event of a v1 stream."""
    return b"data: " + compact(value) + b"\n\n"


def named_event(name: str, value: Any) -> bytes:
    """Return one event of a v2 stream."""
    return b"event: " + name.encode() + b"\n" + event(value)


def api_headers(request_headers: Headers) -> dict[str, str]:
    """Return the headers every API answer has; ids the client sent come back, others are made here."""
    headers = {
        "allow": "GET, POST",
        "x-request-id": request_headers.get("x-request-id") or str(uuid.uuid4()),
        "x-session-id": request_headers.get("x-session-id") or str(uuid.uuid4()),
    }
    client_id = request_headers.get("x-client-id")
    if client_id is not None:
        headers["x-client-id"] = client_id
    return headers


def answer(request: Request, value: Any) -> Response:
    """Return an API answer with status 200."""
    body = compact(value)
    response = Response(body, headers={"content-type": JSON_TYPE, **api_headers(request.headers)})
    if len(body) > _SHORT:
        del response.headers["content-length"]
    return response


def refusal(request_headers: Headers, refused: Refusal) -> Response:
    """Return an error in the shape of the API, line feed included, or of the gateway if it has a code."""
    if refused.code is not None:
        headers = {"content-type": "application/json", "allow": "GET, POST"}
        return Response(compact(refused.body()), refused.status, headers)
    headers = {"content-type": JSON_TYPE, **api_headers(request_headers)}
    return Response(compact(refused.body()) + b"\n", refused.status, headers)


async def gone(receive: Receive, seconds: float | None) -> bool:
    """Wait, and return whether the caller disconnected in that time.

    Args:
        receive: The ASGI channel of the request, its body already read.
        seconds: How long to wait; None waits until the caller goes away.
    """
    if seconds is not None and seconds <= 0:
        await asyncio.sleep(0)
        return False
    try:
        async with asyncio.timeout(seconds):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return False
    return True


async def unless_gone(receive: Receive, work: Awaitable[T]) -> T:
    """Do a work for a caller.

    Args:
        receive: The ASGI channel of the request, its body already read.
        work: What to do; it must not listen to the channel itself.

    Raises:
        ClientDisconnect: The caller went away, and the work was cancelled.
    """
    leaving = asyncio.ensure_future(gone(receive, None))
    patience = asyncio.timeout(None)
    over = False

    def lose(left: asyncio.Future[bool]) -> None:
        if not (over or left.cancelled() or left.exception()):
            patience.reschedule(0)

    try:
        async with patience:
            leaving.add_done_callback(lose)
            try:
                return await work
            finally:
                over = True  # the caller may be leaving this very moment
    except TimeoutError:
        if patience.expired():
            raise ClientDisconnect from None
        raise
    finally:
        leaving.cancel()


class EventStream(Response):
    """A stream of events.

    Args:
        events: What to send, each item written at once as one piece; closed when the caller goes away.
        headers: Further headers.
        pace: Seconds between events; 0 is full speed.
        keep_open: Neither end the body nor close the connection when the events are over.
    """

    def __init__(
        self,
        events: AsyncGenerator[bytes, None],
        headers: Mapping[str, str],
        *,
        pace: float,
        keep_open: bool = False,
    ) -> None:
        super().__init__(headers={"content-type": "text/event-stream", **headers})
        del self.headers["content-length"]
        self._events = events
        self._pace = pace
        self._keep_open = keep_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        transport = scope.get("state", {}).get("transport")
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            async with aclosing(self._events) as events:
                whole = await unless_gone(receive, self._send(events, send, transport))
        except ClientDisconnect:
            return
        if whole and not self._keep_open:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await gone(receive, None)

    async def _send(self, events: AsyncGenerator[bytes, None], send: Send, transport: asyncio.Transport | None) -> bool:
        """Send the events; return whether the connection is still open."""
        sent = 0
        now = asyncio.get_running_loop().time
        begun = now()
        async for piece in events:
            if sent:
                # Counted from the beginning, so that the work between the pauses does not slow the stream.
                await asyncio.sleep(max(0.0, begun + sent * self._pace - now()))
            if _is_closing(transport):
                return False
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            sent += 1
        return not _is_closing(transport)


def break_off(transport: asyncio.Transport | None) -> None:
    """Close a connection in the middle of a body, what was sent so far going out."""
    if transport is None:
        # Not our own server: an exception after the first byte makes any ASGI server close the connection.
        raise ConnectionAbortedError("the answer was ordered to break off here")
    transport.close()


def _is_closing(transport: asyncio.Transport | None) -> bool:
    return transport is not None and transport.is_closing()
