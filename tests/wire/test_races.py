"""What another thread does between two steps of this one. Each test does it by hand, at that very place."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gigachat._transport.connections import BlockingConnection, Connections

ORIGIN = (b"https", b"host", 443)


class Wire:
    """A connection of httpcore2 that can be used; asking whether it can gives another thread time."""

    def __init__(self, meanwhile: Any = None) -> None:
        self._meanwhile = meanwhile

    def has_expired(self) -> bool:
        return self._meanwhile is not None and bool(self._meanwhile())


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
    with connected(Wire(lambda: connections._idle[ORIGIN].clear() or True)) as old, connected(Wire()) as new:
        assert connections.put(old)
        assert connections.put(new)
        assert connections.take(ORIGIN) is new
