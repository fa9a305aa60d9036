"""What is said of a script file or a faults file that cannot be read, and which chats its rules are for."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from gigachat.server import Message, ReceivedChat
from gigachat.server.orders.faults import Fault, faults_from_file
from gigachat.server.orders.queue import Queue
from gigachat.server.orders.rules import Rule, rules_from_file

PROBLEMS = {
    "[" * 5000: "nested too deeply",
    "- {when: {pattern: 'a{99999999999999999999}'}, reply: x}": "not a regular expression: decimal literal invalid",
    "- {when: {pattern: '(?=x)'}, reply: x}": "look-around, including look-ahead and look-behind, is not supported",
    "- {when: {pattern: '['}, reply: x}": ": item 1: when.pattern: not a regular expression: unclosed",
    "- reply: 2020-13-45": "month must be in 1..12; put a text in quotes",
    "- {reply: x, times: " + "9" * 5000 + "}": "Exceeds the limit",
    "- {reply: x, times: 0}": ": item 1: times: Input should be greater than or equal to 1",
    "- {reply: x}\n- {reply: x, times: true}": ": item 2: times: Input should be a valid integer",
    "- {reply: x, times: 1.0}": ": item 1: times: Input should be a valid integer",
    "- {reply: x, call: {name: f}}": ": item 1: a rule must have exactly one of reply, call, calls and fail",
    "- {answer: x}": ": item 1: there is no field answer; known are when, times, reply",
    "- {reply: x, when: {mesage: y}}": ": item 1: when: there is no field mesage; known are message, pattern, role",
    "- {call: {nam: y}}": ": item 1: call: there is no field nam; known are name, arguments",
    "- {reply: x, when: y}": ": item 1: when: write an object with fields; known are message, pattern",
    "- x": ": item 1: write an object with fields; known are when, times",
    "- reply: 5": ": item 1: reply: Input should be a valid string; put a text in quotes",
    "- reply: no": ": item 1: reply: Input should be a valid string; put a text in quotes",
    "- reply: 2020-01-01": ": item 1: reply: Input should be a valid string; put a text in quotes",
    "- {reply: x, when: {message: 1.5}}": ": item 1: when.message: Input should be a valid string; put a text in",
    "- {reply: x, when: {pattern: 5}}": ": item 1: when.pattern: Input should be a valid string; put a text in quotes",
    "- {call: {name: yes}}": ": item 1: call.name: Input should be a valid string; put a text in quotes",
    "- {fail: {status: 500}, reasoning: x}": ": item 1: reasoning and finish_reason belong to reply, call and calls",
    "- {fail: {status: 200}}": ": item 1: fail.status: Input should be greater than or equal to 400",
    "- {call: {name: ''}}": ": item 1: answer: function_call must have a name",
    "- {call: {name: f, arguments: {a: !!binary '/w=='}}}": ": item 1: answer: it cannot be sent as JSON: ",
    "- [": "line 1, column 4: while parsing a flow node, expected the node content",
    "a: b: c": "line 1, column 5: mapping values are not allowed here",
    "- &a [*b]": "found undefined alias 'b'",
    "\x00": "special characters are not allowed",
    "reply: x": 'rules.yaml: write a list, and "- " before each item',
    "5": 'rules.yaml: write a list, and "- " before each item',
    "": 'rules.yaml: write a list, and "- " before each item',
    "null": 'rules.yaml: write a list, and "- " before each item',
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


@pytest.mark.parametrize("read", [rules_from_file, faults_from_file])
def test_a_file_that_is_no_text_is_named_in_one_line(
    tmp_path: Path, read: Callable[[Path], list[Rule] | list[Fault]]
) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("- {reply: Привет}", "cp1251")
    with pytest.raises(ValueError, match=re.escape(f"{file}: save the file as UTF-8") + "$"):
        read(file)
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path}: ") + r"[\w ]+$"):
        read(tmp_path)


def test_a_pattern_takes_linear_time(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("- {when: {pattern: '(a+)+$', message: B}, reply: x}", "utf-8")
    rules = queued(file)
    begun = time.perf_counter()
    assert rules.take(partial(fits, "a" * 5000 + "b")) is None
    assert time.perf_counter() - begun < 5
    assert rules.take(partial(fits, "ba")) is not None
    assert rules.take(partial(fits, "b\ud800a")) is not None


def queued(file: Path) -> Queue[Rule]:
    rules: Queue[Rule] = Queue()
    for rule in rules_from_file(file):
        rules.add(rule, rule.times)
    return rules


def fits(text: str, rule: Rule) -> bool:
    return rule.fits(ReceivedChat([Message("user", text)], None, [], False, {}))


def test_rules_are_tried_in_the_order_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "rules.json"
    file.write_text('[{"times": 2, "when": {"message": "x"}, "reply": "1"}, {"reply": "2"}, {"reply": "3"}]', "utf-8")
    rules = queued(file)
    taken = [rules.take(partial(fits, text)) for text in ("X", "y", "x", "x")]
    assert [rule.answer["content"] for rule in taken if rule and isinstance(rule.answer, dict)] == ["1", "2", "1", "2"]
