"""Fixtures that test each mode or each version of the API: `mode = each_of(EACH_MODE)` in a module or a conftest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import pytest

__all__ = ["VERSIONS", "Version", "each_of"]

Version = Literal["v1", "v2"]
VERSIONS: tuple[Version, ...] = ("v1", "v2")


def each_of(values: Iterable[Any]) -> Any:
    """Return a fixture with which a test runs once for each value.

    Args:
        values: The values, or parameters of pytest.
    """

    @pytest.fixture(params=[*values])
    def value(request: pytest.FixtureRequest) -> Any:
        return request.param

    return value
