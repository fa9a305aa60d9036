"""Deadlines of operations that wait several times: all their waits together are no longer than the timeout."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from gigachat._engine.transport import clock

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

T = TypeVar("T")


def end_of(timeout: float | None) -> float | None:
    """Return the time on the engine's clock at which a timeout ends."""
    return None if timeout is None else clock() + timeout


def left_until(until: float | None) -> float | None:
    """Return the seconds that are left.

    Raises:
        TimeoutError: None are left.
    """
    if until is None:
        return None
    left = until - clock()
    if left <= 0:
        raise TimeoutError("the timeout has elapsed")
    return left


def shares(addresses: Sequence[T], until: float | None) -> Iterator[tuple[T, float | None]]:
    """Return each address with its timeout: an equal share of what is left, so that the last one is tried too.

    Raises:
        TimeoutError: Nothing is left.
    """
    for index, address in enumerate(addresses):
        left = left_until(until)
        yield address, None if left is None else left / (len(addresses) - index)
