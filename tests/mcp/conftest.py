"""The modes, and servers that tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from gigachat.server import GigaChatServer
from tests.mcp.support import OFFICIAL, official_over_http
from tests.support.fixtures import each_of
from tests.wire.modes import EACH_MODE

mode = each_of(EACH_MODE)


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    with official_over_http() as running:
        yield running


@pytest.fixture(params=["stdio", "http"])
def official(request: pytest.FixtureRequest) -> str | Path:
    """An official server: what `McpTools` takes."""
    kind: Literal["stdio", "http"] = request.param
    return OFFICIAL if kind == "stdio" else str(request.getfixturevalue("url"))


@pytest.fixture(scope="session")
def running() -> Iterator[GigaChatServer]:
    with GigaChatServer() as server:
        yield server


@pytest.fixture
def server(running: GigaChatServer) -> Iterator[GigaChatServer]:
    yield running
    running.clear()
