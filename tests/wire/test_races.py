"""What another thread does between two steps of this one. Each test does it by hand, at that very place."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from gigachat._transport import event_loops, forks
from gigachat._transport.connections import BlockingConnection, Connection, Connections
from gigachat._transport.transport import _end_all
from tests.wire.modes import EACH_ASYNC_MODE, Giga, Mode
from tests.wire.servers import Server

ORIGIN = (b"https", b"host", 443)


class Wire:
    """A connection of httpcore2 that can be used; asking whether it can gives another thread time."""

    def __init__(self, meanwhile: Any = None) -> None:
        self._meanwhile = meanwhile

    def has_expired(self) -> bool:
        return self._meanwhile is not None and bool(self._meanwhile())


class Taken(deque[Any]):
    """Connections whose first one another thread takes before this one can."""

    def popleft(self) -> Any:
        self.clear()
        return super().popleft()


def transport_of(giga: Giga) -> Any:
    return (giga.client._async if giga.mode.is_async else giga.client._blocking).transport


@contextmanager
def connected(wire: Wire) -> Iterator[BlockingConnection]:
    connection = BlockingConnection(ORIGIN, None)
    connection.wire = wire
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection._socket = ours
        yield connection


def test_a_connection_is_not_lost_when_another_thread_takes_the_oldest_one() -> None:
    connections = Connections()

    def take_all() -> bool:
        connections._idle[ORIGIN].clear()
        return True

    with connected(Wire(take_all)) as old, connected(Wire()) as new:
        assert connections.put(old)
        assert connections.put(new)
        assert connections.take(ORIGIN) is new


def test_connections_whose_event_loop_ends_are_not_taken() -> None:
    connections = Connections()
    with connected(Wire()) as connection:
        assert connections.put(connection)
        asyncio.run(connections.aclose())
        assert connections.take(ORIGIN) is None


class Emptied(dict[Any, Any]):
    """Clients that another thread has just taken."""

    def __init__(self, key: Any) -> None:
        super().__init__()
        self._key = key

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Any]:
        return iter([self._key])


class Gone(list[Any]):
    """Responses that another thread has just taken."""

    def __len__(self) -> int:
        return 1


def test_what_another_thread_closes_is_closed_once(mode: Mode) -> None:
    async def main() -> None:
        async with mode.giga(own=True, **server.reach) as giga:
            transport = transport_of(giga)
            transport._clients = Emptied((event_loops.running_loop() if mode.is_async else None, True))
            transport.abandoned = Gone()
            assert await giga.chat() == "good"

    with Server() as server:
        mode.run(main)
    _end_all(Emptied(None))


@pytest.mark.parametrize("step", ["is_reusable", "put"])
def test_an_interrupt_at_the_end_of_a_response_loses_no_slot(
    mode: Mode, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> bool:
        monkeypatch.undo()
        raise KeyboardInterrupt

    async def main() -> None:
        async with mode.giga(**server.reach, max_connections=1, queue_timeout=10) as giga:
            monkeypatch.setattr(Connection if step == "is_reusable" else Connections, step, interrupted)
            with pytest.raises(KeyboardInterrupt):
                await giga.chat()
            await mode.until(lambda: not server._open)
            assert await giga.chat() == "good"

    with Server() as server:
        mode.run(main)


@pytest.mark.parametrize("own", [False, True], ids=["", "own client"])
def test_a_fork_while_a_client_is_made_changes_nothing(mode: Mode, own: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks, "watch", lambda transport: transport.forked())

    async def main() -> None:
        async with mode.giga(own=own, **server.reach) as giga:
            assert await giga.chat() == "good"

    with Server() as server:
        mode.run(main)


class Resource:
    async def aclose(self) -> None:
        """Do nothing."""


@pytest.mark.parametrize("mode", EACH_ASYNC_MODE)
def test_loops_that_another_thread_forgets_are_forgotten(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: Any = object()
    resource = Resource()

    async def main() -> None:
        event_loops.close_with_loop(resource)
        async with mode.giga(**server.reach) as giga:
            transport = transport_of(giga)
            transport.client(server.origin)
            clients = transport._clients._clients
            clients.clear()
            clients[ended, True] = None
            known.append(clients)
            assert await giga.chat() == "good"

    def forgotten_meanwhile(loop: Any) -> bool:
        for loops in known:
            loops.pop(loop, None)
            loops.pop((loop, True), None)
        return loop is ended

    known: list[dict[Any, Any]] = [{ended: None}]
    monkeypatch.setattr(event_loops, "_ends", known[0])
    monkeypatch.setattr(event_loops, "is_closed", forgotten_meanwhile)
    with Server() as server:
        mode.run(main)


def test_connections_that_another_thread_takes_are_not_closed() -> None:
    connections = Connections()
    with connected(Wire()) as connection:
        connections._idle[ORIGIN] = Taken([connection])
        connections.shrink(0)
        connections._idle[ORIGIN] = Taken([connection] * 20)
        assert connections.put(connection)
        connections._idle[ORIGIN] = Taken([connection])
        connections.end()
        assert not connections.put(connection)
