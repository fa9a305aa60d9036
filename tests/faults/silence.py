"""How long a silence must be to be one."""

from __future__ import annotations

from collections.abc import Callable

from gigachat import GigaChatException

__all__ = ["in_silence"]

_LONGER_AND_LONGER = (0.05, 0.5)
_LONG_ENOUGH = 4.0


def in_silence(check: Callable[[float], None]) -> None:
    """Run a check with a read timeout in seconds: a short one, and on a machine too busy for it a longer one."""
    for seconds in _LONGER_AND_LONGER:
        try:
            check(seconds)
        except (AssertionError, GigaChatException):
            continue
        return
    check(_LONG_ENOUGH)
