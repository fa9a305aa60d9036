"""How far a call goes: functions of the client that run, and files that they are in. A reader follows the same way."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import gigachat
from gigachat import GigaChat
from gigachat.server import GigaChatServer

HOME = str(Path(gigachat.__file__).parent)
SERVER = str(Path(HOME) / "server")


def walk(action: Callable[[], object]) -> list[str]:
    """Return the files of the client's functions that an action calls, one entry a call."""
    files: list[str] = []

    def note(frame: FrameType, event: str, _: Any) -> None:
        name = frame.f_code.co_filename
        if event == "call" and name.startswith(HOME) and not name.startswith(SERVER):
            files.append(name)

    profiler = sys.getprofile()
    sys.setprofile(note)
    try:
        action()
    finally:
        sys.setprofile(profiler)
    return files


def refused_token(giga: GigaChat, server: GigaChatServer) -> None:
    giga.chat("x")
    server.revoke_tokens()


@pytest.mark.parametrize(
    ("before", "action", "calls", "files"),
    [
        (lambda giga, _: giga.chat("x"), lambda giga: giga.chat("x"), 42, 11),
        (lambda giga, _: list(giga.stream("x")), lambda giga: next(giga.stream("x")), 85, 16),
        (refused_token, lambda giga: giga.chat("x"), 150, 18),
    ],
    ids=["chat", "first chunk of a stream", "chat after a 401"],
)
def test_a_call_stays_short(
    before: Callable[[GigaChat, GigaChatServer], object],
    action: Callable[[GigaChat], object],
    calls: int,
    files: int,
) -> None:
    with GigaChatServer() as server, GigaChat(**server.client_options) as giga:
        before(giga, server)
        before(giga, server)
        way = walk(lambda: action(giga))
    assert 0 < len(way) <= calls
    assert len(set(way)) <= files
