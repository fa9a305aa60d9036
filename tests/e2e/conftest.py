"""The local server and a client in each mode."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gigachat.server import GigaChatServer
from tests.support.callers import Caller, Mode, options
from tests.support.fixtures import each_of

mode = each_of(["blocking", "hybrid"])


@pytest.fixture
def server() -> Iterator[GigaChatServer]:
    with GigaChatServer() as running:
        yield running


@pytest.fixture
def caller(mode: Mode, server: GigaChatServer) -> Iterator[Caller]:
    with Caller(mode, options(server)) as calling:
        yield calling
