"""The local server and a client in each colour."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gigachat.server import GigaChatServer
from tests.e2e.callers import Caller, Colour, options


@pytest.fixture(params=["blocking", "async"])
def colour(request: pytest.FixtureRequest) -> Colour:
    chosen: Colour = request.param
    return chosen


@pytest.fixture
def server() -> Iterator[GigaChatServer]:
    with GigaChatServer() as running:
        yield running


@pytest.fixture
def caller(colour: Colour, server: GigaChatServer) -> Iterator[Caller]:
    with Caller(colour, options(server)) as calling:
        yield calling
