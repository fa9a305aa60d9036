"""How long the search takes: by default the same few hundred examples each time, well under half a minute in all.

`pytest tests/property --hypothesis-profile search` looks further, and elsewhere each time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    import pytest

# A shared core may stall any example; a slow generator is not what these tests are about.
_UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
settings.register_profile("bounded", _UNHURRIED, max_examples=200, derandomize=True, database=None)
settings.register_profile("search", _UNHURRIED, max_examples=5000)


def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("hypothesis_profile", None):
        settings.load_profile("bounded")
