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
    """Return the fields that are not None; the service omits the others."""
    return {name: value for name, value in fields.items() if value is not None}


def event(value: Any) -> bytes:
    """Return one event of a v1 stream."""
    return b"data: " + compact(value) + b"\n\n"


def named_event(name: str, value: Any) -> bytes:
    """Return one event of a v2 stream."""
    return b"event: " + name.encode() + b"\n" + event(value)


def api_headers(request_headers: Headers) -> dict[str, str]:
    """Return the headers of every API response: ids sent by the client are returned, others are new."""
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
    """Return an API response with status 200."""
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


async def disconnected(receive: Receive, seconds: float | None) -> bool:
    """Wait, and return whether the client disconnected in that time.

    Args:
        receive: The ASGI channel of the request, its body already read.
        seconds: How long to wait; None waits until the client disconnects.
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


async def unless_disconnected(receive: Receive, work: Awaitable[T]) -> T:
    """Await the work for a client as long as the client is connected.

    Args:
        receive: The ASGI channel of the request, its body already read.
        work: The work; it must not read from the channel itself.

    Raises:
        ClientDisconnect: The client disconnected, and the work was cancelled.
    """
    watch = asyncio.ensure_future(disconnected(receive, None))
    timeout = asyncio.timeout(None)
    finished = False

    def cancel(watch: asyncio.Future[bool]) -> None:
        if not (finished or watch.cancelled() or watch.exception()):
            timeout.reschedule(0)

    try:
        async with timeout:  # cancels the work in this task, which an async generator may need
            watch.add_done_callback(cancel)
            try:
                return await work
            finally:
                finished = True  # the client may disconnect at this moment
    except TimeoutError:
        if timeout.expired():
            raise ClientDisconnect from None
        raise
    finally:
        watch.cancel()


class EventStream(Response):
    """A stream of events.

    Args:
        events: The events; each item is sent as one piece. It is closed when the client disconnects.
        headers: Further headers.
        pace: Seconds between events; 0 is full speed.
        keep_open: Neither end the body nor close the connection after the events.
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
                whole = await unless_disconnected(receive, self._send(events, send, transport))
        except ClientDisconnect:
            return
        if whole and not self._keep_open:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await disconnected(receive, None)

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
    """Close a connection in the middle of a body, after the bytes sent so far."""
    if transport is None:
        # Not our own server: an exception after the first byte makes any ASGI server close the connection.
        raise ConnectionAbortedError("the answer was ordered to break off here")
    transport.close()


def _is_closing(transport: asyncio.Transport | None) -> bool:
    return transport is not None and transport.is_closing()
