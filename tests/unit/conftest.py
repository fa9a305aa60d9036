"""The scripted world, once in each mode."""

from __future__ import annotations

import pytest

from tests.unit.world import World


@pytest.fixture(params=["blocking", "async"])
def world(request: pytest.FixtureRequest) -> World:
    return World(request.param)
