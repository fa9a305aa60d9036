"""What is said of a script file or a faults file that cannot be read, and which chats its rules are for."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from gigachat.server import Message, ReceivedChat
from gigachat.server.orders.faults import faults_from_file
from gigachat.server.orders.rules import Rules, rules_from_file

PROBLEMS = {
    "[" * 5000: "nested too deeply",
    "- {when: {pattern: 'a{99999999999999999999}'}, reply: x}": "not a regular expression: decimal literal invalid",
    "- {when: {pattern: '(?=x)'}, reply: x}": "look-around, including look-ahead and look-behind, is not supported",
    "- {when: {pattern: '['}, reply: x}": "0.when.pattern: Value error, not a regular expression: unclosed",
    "- reply: 2020-13-45": "month must be in 1..12",
    "- {reply: x, times: " + "9" * 5000 + "}": "Exceeds the limit",
    "- {reply: x, times: 0}": "0.times: Input should be greater than or equal to 1",
    "- {reply: x, call: {name: f}}": "a rule has one of reply, call and fail",
    "- {answer: x}": "0.answer: Extra inputs are not permitted; known are when, times, reply",
    "- [": "line 1, column 4: while parsing a flow node, expected the node content",
    "a: b: c": "line 1, column 5: mapping values are not allowed here",
    "- &a [*b]": "found undefined alias 'b'",
    "\x00": "special characters are not allowed",
    "reply: x": "Input should be a valid list",
}


@pytest.mark.slow
@pytest.mark.parametrize("text", PROBLEMS, ids=lambda text: text[:30])
def test_a_file_that_cannot_be_read_is_named_in_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(text, "utf-8")
    for read in (rules_from_file, faults_from_file):
        with pytest.raises(ValueError, match=re.escape(str(file))) as told:
            read(file)
        assert "\n" not in str(told.value)
        if read is rules_from_file:
            assert PROBLEMS[text] in str(told.value)


def test_a_pattern_takes_linear_time(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("- {when: {pattern: '(a+)+$', message: B}, reply: x}", "utf-8")
    rules = Rules(rules_from_file(file))
    begun = time.perf_counter()
    assert rules.take(chat("a" * 5000 + "b")) is None
    assert time.perf_counter() - begun < 5
    assert rules.take(chat("ba")) is not None
    assert rules.take(chat("b\ud800a")) is not None


def chat(text: str) -> ReceivedChat:
    return ReceivedChat([Message("user", text)], None, [], False, {})


def test_rules_are_tried_in_the_order_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "rules.json"
    file.write_text('[{"times": 2, "when": {"message": "x"}, "reply": "1"}, {"reply": "2"}, {"reply": "3"}]', "utf-8")
    rules = Rules(rules_from_file(file))
    taken = [rules.take(chat(text)) for text in ("X", "y", "x", "x")]
    assert [rule.answer["content"] for rule in taken if rule and isinstance(rule.answer, dict)] == ["1", "2", "1", "2"]
