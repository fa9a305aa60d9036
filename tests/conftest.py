"""What all tests need."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def _no_environment_of_the_developer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key or a proxy in the developer's environment must not change what a test sees."""
    for name in tuple(os.environ):
        if name.startswith("GIGACHAT_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
