"""Which orders of a test are refused, and in which words: at once, not when a request comes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.server.api import Api

CYCLE: dict[str, Any] = {"content": ""}
CYCLE["cycle"] = CYCLE
ODD_CALLS: list[list[Any]] = [[5], [None], [("f",)], [("f", {}, 1)], [{"f": 1, "g": 2}]]
REFUSED: list[tuple[Callable[[Any], object], str]] = [
    # Replies
    (lambda server: server.reply(5), "reply: answer: write a text or a dictionary, not int"),
    (lambda server: server.reply(None), "reply: answer: write a text or a dictionary, not NoneType"),
    (lambda server: server.reply("x", ["y"]), "reply: answer: write a text or a dictionary, not list"),
    (lambda server: server.reply({"contents": "x"}), "reply: answer: a message has one of content, reasoning_content"),
    (lambda server: server.reply({"content": 5}), "reply: answer: content must be a text, not int"),
    (lambda server: server.reply({"content": [5]}), "reply: answer: content must be a list of dictionaries"),
    (lambda server: server.reply({"content": [{"text": 5}]}), "reply: answer: text must be a text, not int"),
    (lambda server: server.reply({"content": [{"files": [{}]}]}), "reply: answer: each of files must have an id"),
    (lambda server: server.reply({"function_call": "f"}), "reply: answer: function_call must be a dictionary, not str"),
    (lambda server: server.reply({"function_call": {}}), "reply: answer: function_call must have a name"),
    (lambda server: server.reply({"content": "x", "finish_reason": 1}), "reply: answer: finish_reason must be a text"),
    (lambda server: server.reply({"messages": {}}), "reply: answer: messages must be a list, not dict"),
    (lambda server: server.reply({"choices": []}), "reply: answer: choices must contain an object with a message"),
    (lambda server: server.reply({"choices": [{}]}), "reply: answer: choices must contain an object with a message"),
    (lambda server: server.reply({"content": "", "x": object()}), "reply: answer: it cannot be sent as JSON: "),
    (lambda server: server.reply(CYCLE), "reply: answer: it cannot be sent as JSON: "),
    (lambda server: server.reply("x", after=-1), "reply: after: Input should be greater than or equal to 0"),
    (lambda server: server.reply("x", after=float("nan")), "reply: after: Input should be a finite number"),
    (lambda server: server.reply("x", after="1"), "reply: after: Input should be a valid number"),
    (lambda server: server.reply("x", when=5), "reply: when: write a text, a compiled expression"),
    (
        lambda server: server.reply("x", when=re.compile(b"x")),
        "reply: when: write a text, a compiled expression",
    ),
    (lambda server: server.reply("x", model=5), "reply: model: Input should be a valid string"),
    (lambda server: server.reply("x", function=len), "reply: function: Input should be a valid string"),
    (lambda server: server.reply_call(""), "reply: answer: function_call must have a name"),
    (lambda server: server.reply_call(5), "reply: answer: name must be a text, not int"),
    (lambda server: server.reply_calls(), "reply_calls: give the calls"),
    *(
        (lambda server, calls=calls: server.reply_calls(*calls), "reply_calls: a call is the name of a function, or a")
        for calls in ODD_CALLS
    ),
    (lambda server: server.reply_calls("f", ("", {})), "reply: answer: function_call must have a name"),
    (lambda server: server.reply({"function_calls": "f"}), "reply: answer: function_calls must be a list, not str"),
    (lambda server: server.reply({"function_calls": ["f"]}), "reply: answer: function_calls must be a list of dict"),
    (
        lambda server: server.reply({"function_call": {"name": "f", "id": 5}}),
        "reply: answer: id must be a text, not int",
    ),
    # Verdicts
    (lambda server: server.verdict(), "verdict: give is_profane or category$"),
    (
        lambda server: server.verdict(is_profane=True, category="ai"),
        "verdict: give is_profane, .* not both",
    ),
    (lambda server: server.verdict(is_profane=True, ai_intervals=[(1, 2)]), "verdict: give is_profane, .* not both"),
    (lambda server: server.verdict(is_profane="no"), "verdict: is_profane: Input should be a valid boolean"),
    (lambda server: server.verdict(category="robot"), "verdict: category: Input should be 'ai', 'human' or 'mixed'"),
    (
        lambda server: server.verdict(category="ai", ai_intervals=5),
        "verdict: ai_intervals: .*Input should be",
    ),
    (lambda server: server.verdict(category="ai", ai_intervals=[(1,)]), "verdict: ai_intervals.0.1: Field required"),
    (lambda server: server.verdict(category="ai", ai_intervals=[("1", 2)]), "verdict: ai_intervals.0.0: Input should"),
    (
        lambda server: server.verdict(category="ai", ai_intervals=[(0, 2)]),
        "verdict: ai_intervals.0.0: Input should be",
    ),
    (lambda server: server.verdict(category="ai", ai_intervals=[(3, 2)]), "verdict: each of ai_intervals is the first"),
    # Faults
    (lambda server: server.fail(), "fail: nothing would happen: add what to do, such as status=500 or delay=1"),
    (lambda server: server.fail(message="x"), "fail: message belongs to an error: add status"),
    (lambda server: server.fail(body=b"x"), "fail: body belongs to an error: add status"),
    (lambda server: server.fail("500"), "fail: status: Input should be a valid integer"),
    (lambda server: server.fail(True), "fail: status: Input should be a valid integer"),
    (lambda server: server.fail(700), "fail: status: Input should be less than or equal to 599"),
    (lambda server: server.fail(500, times=0), "fail: times: Input should be greater than or equal to 1"),
    (lambda server: server.fail(500, path=5), "fail: path: Input should be a valid string"),
    (lambda server: server.fail(500, probability=2), "fail: probability: Input should be less than or equal to 1"),
    (lambda server: server.fail(500, headers={"a b": "c"}), "fail: headers.a b.*: String should match pattern"),
    (lambda server: server.fail(500, headers={"a": "b\nc"}), "fail: headers.a: a header has no control characters"),
    (
        lambda server: server.fail(500, headers={"Retry-After": 5}),
        "fail: headers.Retry-After: Input should be a",
    ),
    (lambda server: server.delay(-1), "fail: delay: Input should be greater than or equal to 0"),
    (lambda server: server.delay("1"), "fail: delay: Input should be a valid number"),
    (lambda server: server.cut(-1), "fail: cut_events: Input should be greater than or equal to 0"),
    (lambda server: server.cut(1.5), "fail: cut_events: Input should be a valid integer"),
    # Streams
    (lambda server: server.stream_events("x"), "stream_events: write a list of events"),
    (lambda server: server.stream_events(5), "stream_events: write a list of events"),
    (lambda server: server.stream_events({"a": 1}), "stream_events: write a list of events"),
    (lambda server: server.stream_events([5]), "stream_events: an event is bytes, a text, a dictionary, or .*, not 5"),
    (lambda server: server.stream_events([("name", "x")]), "stream_events: an event is bytes, .*, not .'name', 'x'.$"),
    (lambda server: server.stream_events([{"a": object()}]), "stream_events: it cannot be sent as JSON: "),
    # Balance and assertions
    (lambda server: server.spend("GigaChat", -1), "tokens is a number from 0, not -1"),
    (lambda server: server.spend("GigaChat", "1"), "tokens is a number from 0, not '1'"),
    (lambda server: server.spend("x", 1), "a package must be one of GigaChat, "),
    (lambda server: server.assert_asked(times=0), "assert_asked: times is 1 or more; assert_nothing_asked"),
    (lambda server: server.assert_asked(5), "assert_asked: when: write a text, a compiled expression"),
    (lambda server: server.assert_asked(model=5), "assert_asked: model: Input should be a valid string"),
]


@pytest.mark.parametrize(("order", "problem"), REFUSED, ids=[problem[:60] for _, problem in REFUSED])
def test_an_invalid_order_is_refused_at_once(api: Api, order: Callable[[Any], object], problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{problem}") as told:
        order(api.server)
    assert type(told.value) is ValueError
    assert "\n" not in str(told.value)
    assert "echo" in api.text()


def test_an_interval_may_be_a_list(api: Api) -> None:
    api.server.verdict(category="mixed", ai_intervals=[[1, 5]])  # type: ignore[list-item]
    asked = {"model": "GigaCheckDetection", "input": "слово " * 20}
    assert api.http.post("/ai/check", json=asked).json()["ai_intervals"] == [[1, 5]]
