"""Clients of httpx2 whose event hooks belong to a transport, so that they hold for all its clients and outlive them.

A hook may put things of another HTTP library into a request. Nothing here knows the API.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import Any, TypeAlias

import httpx2

EventHooks: TypeAlias = dict[str, list[Callable[..., Any]]]


class HookedClient(httpx2.Client):
    """A blocking client that calls the hooks of a transport.

    Args:
        hooks: Lists of callables for `request` and `response`; they may change at any time.
        **options: Of the library's own class.
    """

    def __init__(self, hooks: EventHooks, **options: Any) -> None:
        self._hooks = hooks
        super().__init__(**options, event_hooks={"request": [self._sending], "response": [self._received]})

    @property
    def event_hooks(self) -> EventHooks:
        """The hooks; a dictionary of lists, to be changed in place."""
        return self._hooks

    @event_hooks.setter
    def event_hooks(self, event_hooks: EventHooks) -> None:
        _replace(self._hooks, event_hooks)

    def _sending(self, request: httpx2.Request) -> None:
        hooks = self._hooks.get("request")
        if hooks:
            before = _content(request)
            for hook in hooks:
                hook(request)
            _adopt(request, before)

    def _received(self, response: httpx2.Response) -> None:
        for hook in self._hooks.get("response", ()):
            hook(response)


class AsyncHookedClient(httpx2.AsyncClient):
    """An async client that awaits the hooks of a transport.

    Args:
        hooks: Lists of async callables for `request` and `response`; they may change at any time.
        **options: Of the library's own class.
    """

    def __init__(self, hooks: EventHooks, **options: Any) -> None:
        self._hooks = hooks
        super().__init__(**options, event_hooks={"request": [self._sending], "response": [self._received]})

    @property
    def event_hooks(self) -> EventHooks:
        """The hooks; a dictionary of lists, to be changed in place."""
        return self._hooks

    @event_hooks.setter
    def event_hooks(self, event_hooks: EventHooks) -> None:
        _replace(self._hooks, event_hooks)

    async def _sending(self, request: httpx2.Request) -> None:
        hooks = self._hooks.get("request")
        if hooks:
            before = _content(request)
            for hook in hooks:
                await hook(request)
            _adopt(request, before)

    async def _received(self, response: httpx2.Response) -> None:
        for hook in self._hooks.get("response", ()):
            await hook(response)


def _replace(hooks: EventHooks, by: EventHooks) -> None:
    named = {name: list(by.get(name, ())) for name in ("request", "response")}
    hooks.clear()
    hooks.update(named)


def _content(request: httpx2.Request) -> bytes | None:
    try:
        return request.content
    except httpx2.RequestNotRead:
        return None


def _adopt(request: httpx2.Request, before: bytes | None) -> None:
    """Make sendable what hooks put into a request."""
    url: Any = request.url
    if not isinstance(url, httpx2.URL):
        request.url = httpx2.URL(str(url))
    without_query_in_logs(request)
    headers: Any = request.headers
    if not isinstance(headers, httpx2.Headers):
        request.headers = httpx2.Headers(headers.raw if hasattr(headers, "raw") else headers)
    content = _content(request)
    if content is not None and content is not before:
        request.stream = httpx2.ByteStream(content)
        request.headers["Content-Length"] = str(len(content))
        request.headers.pop("Transfer-Encoding", None)
    elif not isinstance(request.stream, httpx2.SyncByteStream | httpx2.AsyncByteStream):
        request.stream = _ForeignStream(request.stream)


class _ForeignStream(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body of another HTTP library."""

    def __init__(self, stream: Iterable[bytes] | AsyncIterable[bytes]) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        if not isinstance(self._stream, Iterable):
            raise TypeError("a request hook gave a blocking request an async body")
        yield from self._stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if isinstance(self._stream, AsyncIterable):
            async for piece in self._stream:
                yield piece
        else:
            for piece in self._stream:
                yield piece


class _QuietURL(httpx2.URL):
    """An address whose query is not logged: it may contain a key."""


def without_query_in_logs(request: httpx2.Request) -> httpx2.Request:
    """Return the request with an address whose query httpx2 does not log."""
    if request.url.query:
        request.url = _QuietURL(request.url)
    return request


def _without_query(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = tuple(arg.copy_with(query=None) if isinstance(arg, _QuietURL) else arg for arg in record.args)
    return True


logging.getLogger("httpx2").addFilter(_without_query)
