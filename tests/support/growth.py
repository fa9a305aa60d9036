"""Whether work grows in proportion to its input."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from timeit import repeat
from typing import TypeVar

__all__ = ["is_linear"]

_Input = TypeVar("_Input")


def is_linear(work: Callable[[_Input], object], made: Callable[[int], _Input], many: int) -> bool:
    """Compare the CPU time for ten times as much input.

    Linear work takes ten times as long, quadratic work a hundred times. The bound leaves room for caches and a busy
    machine.

    Args:
        work: What is measured.
        made: Makes the input of a size.
        many: The larger size.
    """
    small, large = made(many // 10), made(many)
    # Windows counts in ticks of 1/64 s and tells another resolution.
    tick = 1 / 64 if sys.platform == "win32" else time.get_clock_info("process_time").resolution
    return _seconds(work, large) < 50 * max(_seconds(work, small), tick)


def _seconds(work: Callable[[_Input], object], value: _Input) -> float:
    return min(repeat(lambda: work(value), timer=time.process_time, number=1, repeat=3))
