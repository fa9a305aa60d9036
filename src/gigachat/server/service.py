"""The parts of the server that the endpoints use: state, orders, engine, background tasks."""

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
    """The parts of one server.

    Args:
        state: Account, settings and records.
        orders: Replies and faults ordered by tests.
        engine: Generates the answers.
        embedder: Computes the vectors.
        pace: Seconds between the chunks of a stream.
        batch_pace: Seconds between the requests of a batch.
        environment: Variables that point the SDK at the server, for the page.
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
        """Run a coroutine in the background; it is cancelled when the server stops."""
        task = asyncio.get_running_loop().create_task(work)
        # The loop itself holds tasks weakly.
        self._works.add(task)
        task.add_done_callback(self._works.discard)


Endpoint = Callable[["Request", Service], Awaitable["Response | Mapping[str, Any] | list[Any]"]]
"""Returns the response to an authorized request, or the JSON of one."""
Endpoints = Sequence[tuple[str, str, Endpoint]]
"""Endpoints with their methods and paths."""
