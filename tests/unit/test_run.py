"""Small parts of the engine: `run`, the driver for blocking callers; the clock, headers, signals and uploads."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pytest

from gigachat._engine.session import run
from gigachat._engine.signals import Signal
from gigachat._engine.transport import Upload, clock
from gigachat._headers import Headers


async def doubled(number: int) -> int:
    return number * 2


async def asleep() -> None:
    await asyncio.sleep(0)


def test_a_coroutine_that_never_suspends_is_run_to_its_end() -> None:
    assert run(doubled(21)) == 42


def test_a_coroutine_that_suspends_is_closed_and_named() -> None:
    suspending: Any = asleep()
    with pytest.raises(RuntimeError, match="awaited something that suspends"):
        run(suspending)
    assert suspending.cr_frame is None  # closed: nothing of it is left to be warned about


def test_the_clock_goes_on() -> None:
    assert 0 < clock() <= clock()


def test_headers_are_found_by_any_spelling() -> None:
    headers = Headers({"content-type": "text/plain"})
    assert headers["Content-Type"] == headers.get("CONTENT-TYPE") == "text/plain"
    assert "Content-type" in headers
    number: Any = 5
    assert number not in headers
    assert headers.get("Date", "none") == "none"
    with pytest.raises(KeyError):
        headers["Date"]


def test_a_signal_tells_those_who_come_late() -> None:
    signal = Signal()
    told: list[str] = []
    signal.subscribe(lambda: told.append("before"))
    assert not signal.is_set()
    assert signal.set()
    signal.subscribe(lambda: told.append("after"))
    assert told == ["before", "after"]
    assert signal.is_set()


def test_a_signal_forgets_who_left_and_says_who_cannot_be_told() -> None:
    def gone() -> None:
        raise RuntimeError("Event loop is closed")

    def left() -> None:
        raise AssertionError("told although it left")

    signal = Signal()
    signal.subscribe(gone)
    signal.subscribe(left)
    signal.unsubscribe(left)
    signal.unsubscribe(left)  # a second time does nothing
    assert not signal.set()


class Pipe(io.BytesIO):
    def seekable(self) -> bool:
        return False


class Reader:
    """The least a file can be."""

    def read(self, size: int = -1) -> bytes:
        return b""


@pytest.mark.parametrize(
    ("file", "repeatable"), [(b"bytes", True), (io.BytesIO(b"file"), True), (Pipe(), False), (Reader(), False)]
)
def test_what_can_be_sent_again(file: Any, repeatable: bool) -> None:
    assert Upload(file, "a", "text/plain", {}).repeatable is repeatable
