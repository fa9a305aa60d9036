"""What the endpoints need: the state, the orders, the engine, and background tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from starlette.requests import Request
    from starlette.responses import Response

    from gigachat.server.engine import Embedder, Engine
    from gigachat.server.orders.queue import Orders
    from gigachat.server.state.state import State


@dataclass(frozen=True, slots=True)
class Service:
    """One server, as its endpoints see it.

    Args:
        state: What it remembers.
        orders: What tests ordered.
        engine: What answers.
        embedder: What makes vectors.
        pace: Seconds between the chunks of a stream.
        batch_pace: Seconds between the requests of a batch.
        environment: What points the SDK at it, for the page.
    """

    state: State
    orders: Orders
    engine: Engine
    embedder: Embedder
    pace: float = 0.0
    batch_pace: float = 0.0
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    _works: set[asyncio.Task[None]] = field(default_factory=set)

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Do a work after its request has been answered; it is cancelled when the server stops."""
        task = asyncio.get_running_loop().create_task(work)
        # The loop itself holds tasks weakly.
        self._works.add(task)
        task.add_done_callback(self._works.discard)


Endpoint = Callable[["Request", Service], Awaitable["Response | Mapping[str, Any] | list[Any]"]]
"""Answers one request, let in already: with a response, or with the JSON of one."""
Endpoints = Sequence[tuple[str, str, Endpoint]]
"""Endpoints with their methods and paths."""
