"""Work of the local server that a single request could make long: it grows with the request, no faster."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest

from gigachat import GigaChat
from gigachat.server import FunctionCall, GigaChatServer, Message
from gigachat.server.chat.validation_v2 import _normalized
from gigachat.server.tokens import count_all, count_tokens
from gigachat.server.wire.messages import check_order

MANY = 100_000


def test_neighbours_are_joined_in_linear_time() -> None:
    begun = time.process_time()
    joined = _normalized([Message("system"), *[Message("user", "x" * 50, files=["f"])] * MANY, Message("assistant")])
    assert [message.role for message in joined] == ["system", "user", "assistant"]
    assert (len(joined[1].content), len(joined[1].files)) == (51 * MANY - 1, MANY)
    assert time.process_time() - begun < 10


@pytest.mark.slow
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_long_answer_is_joined_in_linear_time(stream: bool) -> None:
    text = "слово " * MANY
    with GigaChatServer(tls=False) as server, GigaChat(**server.client_options) as giga:
        server.reply(text)
        begun = time.process_time()
        if stream:
            options: Any = {"model_options": {"update_interval": 0.01}}
            assert giga.chat.stream("x", **options).get_final_text() == text
        else:
            assert giga.chat.create("x").text == text
        assert time.process_time() - begun < 30


@pytest.mark.slow
def test_results_are_named_in_linear_time() -> None:
    begun = time.process_time()
    calls = [FunctionCall(str(number), {}) for number in range(MANY)]
    named = check_order([Message("assistant", calls=calls), *[Message("function")] * MANY], ())
    assert [message.name for message in named[1:]] == [call.name for call in calls]
    assert time.process_time() - begun < 10


@pytest.mark.slow
@pytest.mark.parametrize("ids", [range(MANY), [0] * MANY], ids=["each its id", "one id"])
def test_results_are_paired_with_calls_in_linear_time(ids: Sequence[int]) -> None:
    calls = [FunctionCall("f", {}, str(number)) for number in ids]
    results = [Message("function", name="f", call_id=str(number)) for number in reversed(ids)]
    begun = time.process_time()
    assert len(check_order([Message("assistant", calls=calls), *results], ())) == MANY + 1
    assert time.process_time() - begun < 10


@pytest.mark.parametrize(
    ("results", "names"),
    [
        ([None, None], ["a", "b"]),
        (["a", None], ["a", "b"]),
        (["b", None], ["b", "a"]),
        ([None, "b", None], ["a", "b", "a"]),
        (["other", None, None], ["other", "b", "a"]),
    ],
)
def test_results_take_the_names_of_their_calls(results: list[str | None], names: list[str | None]) -> None:
    calls = [FunctionCall("a", {}), FunctionCall("b", {}), FunctionCall("a", {})][: len(results)]
    messages = [Message("assistant", calls=calls), *(Message("function", name=name) for name in results)]
    assert [message.name for message in check_order(messages, ())[1:]] == names


def test_a_long_text_is_counted_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = set()

    def counted(text: str) -> int:
        threads.add(threading.current_thread())
        return count_tokens(text)

    monkeypatch.setattr("gigachat.server.tokens.count_tokens", counted)
    assert asyncio.run(count_all(["слово"])) == [2]
    assert threads == {threading.current_thread()}
    assert asyncio.run(count_all(["слово " * 100_000])) == [200_000]
    assert len(threads) == 2
