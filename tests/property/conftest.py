"""How long the search takes: by default the same few hundred examples each time, well under half a minute in all.

`pytest tests/property --hypothesis-profile search` looks further, and elsewhere each time; `few` is part of `--sample`.
"""

from __future__ import annotations

import gc

import pytest
from hypothesis import HealthCheck, settings

# A shared core may stall any example; a slow generator is not what these tests are about.
_UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
settings.register_profile("bounded", _UNHURRIED, max_examples=200, derandomize=True, database=None)
settings.register_profile("few", _UNHURRIED, max_examples=10, derandomize=True, database=None)
settings.register_profile("search", _UNHURRIED, max_examples=5000)


def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("hypothesis_profile", None):
        settings.load_profile("few" if config.getoption("--sample") else "bounded")


@pytest.fixture(autouse=True, scope="module")
def _no_garbage_of_other_tests() -> None:
    """Python may finalize what others dropped at any time, also where an example has used up the stack."""
    gc.collect()
