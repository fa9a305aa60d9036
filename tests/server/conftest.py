"""A signed-in plain client and its server, one for each file of tests; `server` for tests that need their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gigachat.server import GigaChatServer
from tests.server.api import Api


@pytest.fixture
def server() -> Iterator[GigaChatServer]:
    with GigaChatServer() as running:
        yield running


@pytest.fixture(scope="module")
def kind() -> type[Api]:
    """What the caller of a file is; a file with a kind of its own overrides it."""
    return Api


@pytest.fixture(scope="module")
def server_options() -> dict[str, Any]:
    """Arguments of the server of a file; a file whose server needs others overrides it."""
    return {"tls": False}


@pytest.fixture(scope="module")
def shared(kind: type[Api], server_options: dict[str, Any]) -> Iterator[Api]:
    with GigaChatServer(**server_options) as server:
        api = kind(server)
        yield api
        api.http.close()


@pytest.fixture
def api(shared: Api) -> Api:
    shared.server.clear()
    return shared
