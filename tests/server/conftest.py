"""A signed-in plain client and its server, one for each file of tests; `server` for tests that need their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gigachat.server import GigaChatServer
from tests.server.api import Api


@pytest.fixture
def server() -> Iterator[GigaChatServer]:
    with GigaChatServer() as running:
        yield running


@pytest.fixture(scope="module")
def shared() -> Iterator[Api]:
    with GigaChatServer(tls=False) as server:
        api = Api(server)
        yield api
        api.http.close()


@pytest.fixture
def api(shared: Api) -> Api:
    shared.server.clear()
    return shared
