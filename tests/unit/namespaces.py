"""Calls of what stands in a namespace of the client, in the mode of the test."""

from __future__ import annotations

import asyncio
import inspect
import json
from typing import Any

from gigachat import AsyncGigaChat
from tests.unit.world import World


def ask(world: World, path: str, /, *arguments: Any, **options: Any) -> Any:
    """Call `namespace.method` on a client, awaited by `a_namespace.method` in the async mode.

    A stream is read to its end: a list of its chunks is returned.
    """
    if path.endswith("_stream"):
        return world.read(world.client(), *arguments, method=path, **options)
    return world.do(world.client(), path, *arguments, **options)


def plainly(world: World, path: str, /, *arguments: Any, **options: Any) -> Any:
    """Call `namespace.method` on an `AsyncGigaChat`, where the plain name is awaited."""
    namespace, _, method = path.partition(".")
    giga = AsyncGigaChat(credentials="dGVzdDp0ZXN0", share_token=False)
    transport: Any = world
    giga._start(giga._service, transport, transport)

    async def awaited() -> Any:
        called = getattr(getattr(giga, namespace), method)
        assert inspect.iscoroutinefunction(called)
        return await called(*arguments, **options)

    return asyncio.run(awaited())


def body(world: World) -> Any:
    """Return the JSON of the last request."""
    return json.loads(world.api_requests[-1].content or b"")


def path(world: World) -> str:
    """Return where the last request went, under the base address."""
    return world.api_requests[-1].url.rpartition("/api/v1")[2]
