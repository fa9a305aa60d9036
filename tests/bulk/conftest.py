"""The local server and a client of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gigachat import GigaChat
from gigachat.server import GigaChatServer
from tests.support.callers import options


@pytest.fixture(scope="module")
def running() -> Iterator[GigaChatServer]:
    with GigaChatServer() as server:
        yield server


@pytest.fixture
def server(running: GigaChatServer) -> GigaChatServer:
    running.reset()
    return running


@pytest.fixture
def giga(server: GigaChatServer) -> Iterator[GigaChat]:
    with GigaChat(**options(server)) as client:
        yield client
