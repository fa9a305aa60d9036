"""Waiting for what another thread does, with a bound after which the test has failed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

__all__ = ["PATIENCE", "begun", "until"]

PATIENCE = 20.0  # seconds after which a test that waits has failed


def begun(work: Callable[[], Any]) -> threading.Thread:
    """Begin something in a thread of its own."""
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def until(condition: Callable[[], object]) -> None:
    """Wait until something is true, looking each millisecond."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.001)
