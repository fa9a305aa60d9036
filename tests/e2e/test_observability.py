"""The log, observers and usage of clients over real sockets: in each mode, in threads, after a fork."""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from gigachat import ConfigurationError, GigaChat, Observer
from gigachat.observers import ObservedCall
from gigachat.server import GigaChatServer
from tests.support.callers import MODES, Caller, Mode, options
from tests.support.fixtures import each_of
from tests.support.programs import environment
from tests.support.systems import needs_fork

pytestmark = pytest.mark.costly


class Ends(Observer):
    """Notes how calls end."""

    def __init__(self) -> None:
        self.calls: list[ObservedCall] = []
        self.started = 0

    def call_started(self, call: ObservedCall) -> None:
        self.started += 1

    def answered(self, call: ObservedCall) -> None:
        if not call.stream:
            self.calls.append(call)

    def failed(self, call: ObservedCall, error: BaseException) -> None:
        self.calls.append(call)

    def stream_ended(self, call: ObservedCall, error: BaseException | None) -> None:
        self.calls.append(call)


@pytest.fixture(scope="module")
def server() -> Iterator[GigaChatServer]:
    with GigaChatServer() as running:
        yield running


mode = each_of(MODES)


def test_calls_and_streams_are_observed_in_each_mode(server: GigaChatServer, mode: Mode) -> None:
    ends = Ends()
    with Caller(mode, options(server), observers=[ends]) as caller:
        caller.chat("Привет")
        caller.read("Привет")
        caller.do("get_models")
        stream = caller.method("stream")("Привет")
        caller.next(stream)
        caller.do("close", giga=stream) if mode == "blocking" else caller.run(stream.close())
        chat, streamed, models, closed = ends.calls
        assert [call.outcome for call in ends.calls] == ["answered", "answered", "answered", "closed"]
        assert [call.operation for call in ends.calls] == ["chat", "chat", "models", "chat"]
        assert all(call.status == 200 and call.request_id and call.seconds for call in ends.calls)
        assert chat.usage is not None
        assert streamed.usage is not None
        assert streamed.first_chunk_seconds is not None
        assert closed.usage is None
        usage = caller.giga.usage
        assert (usage.calls, usage.total.unknown) == (3, 1)
        assert usage.output_tokens == chat.usage.output_tokens + streamed.usage.output_tokens
        assert models.usage is None


def test_a_stream_that_is_collected_ends(server: GigaChatServer) -> None:
    ends = Ends()
    with GigaChat(**options(server), observers=[ends]) as giga:
        stream: Any = giga.stream("Привет")
        next(stream)
        del stream
        gc.collect()
        assert [call.outcome for call in ends.calls] == ["abandoned"]
        assert giga.usage.unknown == giga.usage.total.unknown == 1


def test_threads_count_together(server: GigaChatServer) -> None:
    ends = Ends()
    with Caller("blocking", options(server), observers=[ends]) as caller:
        answers = caller.together(8, "Привет")
        assert caller.giga.usage.calls == len(ends.calls) == ends.started == 8
        assert caller.giga.usage.output_tokens == sum(answer.usage.completion_tokens for answer in answers)


def test_the_second_reader_of_a_stream_ends_nothing(server: GigaChatServer) -> None:
    ends = Ends()
    with GigaChat(**options(server), observers=[ends]) as giga:
        stream = giga.stream("Привет")
        next(stream)
        closing = threading.Thread(target=stream.close)
        closing.start()
        closing.join(60)
        list(stream)
        stream.close()
        assert [call.outcome for call in ends.calls] == ["closed"]


@needs_fork
@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
def test_a_forked_process_begins_at_zero(server: GigaChatServer) -> None:
    ends = Ends()
    with GigaChat(**options(server), observers=[ends]) as giga:
        giga.chat("Привет")
        child = os.fork()
        if not child:
            zero = giga.usage.calls == 0
            giga.chat("Привет")
            os._exit(0 if zero and giga.usage.calls == 1 and len(ends.calls) == 2 else 1)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert giga.usage.calls == len(ends.calls) == 1


PROGRAM = """
import logging, sys
from gigachat import BadRequestError, GigaChat
if len(sys.argv) > 1:
    logging.basicConfig(format="own %(message)s")
with GigaChat() as giga:
    if len(sys.argv) > 2:
        logging.basicConfig(format="later %(message)s")
    giga.chat("canary")
"""


def logged(server: GigaChatServer, level: str | None, *arguments: str, program: str = PROGRAM) -> list[str]:
    """Return what a program that asks for a level prints to the standard error stream."""
    variables = {**environment(server), "PYTHONIOENCODING": "utf-8"}
    if level is not None:
        variables["GIGACHAT_LOG"] = level
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=variables,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=True,
    )
    assert "canary" not in done.stderr
    assert server.credentials not in done.stderr
    return done.stderr.splitlines()


@pytest.mark.parametrize("level", ["info", "INFO", ' "info" '])
def test_the_variable_switches_the_log_on(server: GigaChatServer, level: str) -> None:
    (line,) = logged(server, level)
    assert re.fullmatch(
        r"\S+ \S+ INFO gigachat: call \d+: POST /api/v1/chat/completions \S+: 200 in [\d.]+ s, \d+\+\d+ tokens, "
        r"request id \S+",
        line,
    )


def test_debug_says_more(server: GigaChatServer) -> None:
    lines = logged(server, "debug")
    assert len(lines) == 5
    for part in ("POST /api/v1/chat/completions", "signing in at", "signed in at", "attempt 1, 200 in", "tokens"):
        assert sum(part in line for line in lines) >= 1


@pytest.mark.parametrize("level", [None, "", "warning", "error"])
def test_the_log_is_off(server: GigaChatServer, level: str | None) -> None:
    assert logged(server, level) == []


def test_a_logging_configuration_of_the_program_prints_each_line_once(server: GigaChatServer) -> None:
    (line,) = logged(server, "info", "own")
    assert line.startswith("own call ")
    assert logged(server, None, "own") == []


def test_a_later_logging_configuration_prints_each_line_once(server: GigaChatServer) -> None:
    program = PROGRAM.replace("if len(sys.argv) > 1:", "if False:")
    (line,) = logged(server, "info", "own", "later", program=program)
    assert line.startswith("later call ")


def test_an_unknown_level_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIGACHAT_LOG", "loud")
    with pytest.raises(ConfigurationError, match="GIGACHAT_LOG: must be one of debug, info, warning, error, critical"):
        GigaChat(access_token="t")
