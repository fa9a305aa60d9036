"""Waiting for what another thread does, with a bound after which the test has failed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from gigachat import GigaChatException

__all__ = ["PATIENCE", "begun", "patiently", "until"]

PATIENCE = 60.0  # seconds after which a test that waits has failed
_LONGER_AND_LONGER = (0.05, 0.5)
_LONG_ENOUGH = 4.0


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


def patiently(check: Callable[[float], None]) -> None:
    """Run a check with a timeout in seconds: a short one, and on a machine too busy for it a longer one."""
    for seconds in _LONGER_AND_LONGER:
        try:
            check(seconds)
        except (AssertionError, GigaChatException):
            continue
        return
    check(_LONG_ENOUGH)
