"""Values of structured answers while they are streamed: lists by finished elements, objects as dictionaries."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, TypeAdapter

from gigachat import (
    ContentFilterFinishReasonError,
    GigaChat,
    InvalidJSONError,
    LengthFinishReasonError,
    RefusalError,
    SchemaMismatchError,
)
from tests.support.callers import chunks_of
from tests.support.payloads import DONE, sse
from tests.unit.test_failures import chunk_v1, chunk_v2
from tests.unit.test_structured_answers import ANNA, IVAN, Anything, Known, Person, asked_format
from tests.unit.world import Answer, World

STREAMS = {"stream": chunk_v1, "chat.stream": chunk_v2}
each_stream = pytest.mark.parametrize("method", STREAMS)


def streamed(method: str, text: str, size: int = 10, reason: str = "stop") -> Answer:
    make = STREAMS[method]
    pieces = [make(text[at : at + size]) for at in range(0, len(text), size)]
    return Answer(pieces=[*pieces, make("", reason), DONE])


def partials(world: World, giga: GigaChat, method: str, into: Any, seen: list[Any] | None = None) -> list[Any]:
    """Read the values of a stream; those before an error are in `seen`."""
    stream = world.method(giga, method)("x", response_format={"schema": into})
    return chunks_of(stream.partials(into), asyncio.run, seen)


@each_stream
def test_a_list_grows_by_finished_elements(world: World, method: str) -> None:
    people = [Person(name=f"Имя {number}", age=number) for number in range(20)]
    text = '{"value": [' + ", ".join(one.model_dump_json() for one in people) + "]}"
    world.answers = [streamed(method, text)]
    values = partials(world, world.client(), method, list[Person])
    assert asked_format(world)["schema"]["required"] == ["value"]
    assert len(values) > 5
    for before, after in pairwise(values):
        assert len(before) <= len(after)
    assert all(value == people[: len(value)] for value in values)
    assert values[-1] == people
    assert len({id(value) for value in values}) == len(values)


@each_stream
def test_any_exception_of_a_validator_is_a_mismatch_at_the_end(world: World, method: str) -> None:
    world.answers = [streamed(method, json.dumps({"value": ["Anna", "Ivan"] + ["Anna"] * 20}))]
    seen: list[Any] = []
    with pytest.raises(SchemaMismatchError, match="KeyError: 'Ivan'"):
        partials(world, world.client(), method, list[Known], seen)
    assert all(value == ["Анна"] for value in seen)


@each_stream
@pytest.mark.parametrize("into", [Person, TypeAdapter(Person), Person | None], ids=str)
def test_an_object_grows_as_a_dictionary(world: World, method: str, into: Any) -> None:
    person = Person(name="Анна " * 100, age=30)
    text = person.model_dump_json()
    world.answers = [streamed(method, text if into != Person | None else f'{{"value": {text}}}')]
    values = partials(world, world.client(), method, into)
    assert values[-1] == person
    assert len(values) > 4
    for value in values[:-1]:
        assert isinstance(value, dict)
        assert person.name.startswith(value["name"])


@pytest.mark.parametrize("into", [str, int | str, tuple[str, ...], list[int] | str], ids=str)
def test_other_values_come_whole(world: World, into: Any) -> None:
    value: Any = ["слово"] * 100 if into == tuple[str, ...] else "слово " * 100
    world.answers = [streamed("stream", json.dumps({"value": value}, ensure_ascii=False))]
    values = partials(world, world.client(), "stream", into)
    assert values == [tuple(value) if isinstance(value, list) else value]


PADDED = [Person(name="Анна", age=number) for number in range(10)]
WORDS: list[tuple[str, str, str]] = [
    ("```json\n", "\n```", "object"),
    ("Вот ответ в формате JSON, как вы и просили, извольте видеть его:\n", "\nГотово.", "object"),
    (f"<think>{IVAN} {ANNA} {IVAN}</think>", "", "object"),
    ("```json\n", "\n```", "array"),
    ("", "", "array"),
]


@pytest.mark.parametrize("size", [1, 7, 100])
@pytest.mark.parametrize(("before", "after", "form"), WORDS)
def test_words_around_a_streamed_list_are_ignored(world: World, before: str, after: str, form: str, size: int) -> None:
    array = TypeAdapter(list[Person]).dump_json(PADDED).decode()
    text = f'{{"value": {array}}}' if form == "object" else array
    world.answers = [streamed("stream", before + text + after, size)]
    values = partials(world, world.client(), "stream", list[Person])
    assert len(values) > 2
    assert all(value == PADDED[: len(value)] for value in values)
    assert values[-1] == PADDED


@pytest.mark.parametrize("text", ["Не могу ответить. " * 10, '{"value": [1, 2, ' + "{" * 200, "[" * 100_000])
def test_a_streamed_answer_without_a_value_raises_at_its_end(world: World, text: str) -> None:
    world.answers = [streamed("stream", text, 1000)]
    with pytest.raises((RefusalError, InvalidJSONError)) as raised:
        partials(world, world.client(), "stream", list[int])
    assert raised.value.completions[0].text == text


def test_an_element_that_does_not_fit_raises_at_the_end(world: World) -> None:
    elements = [ANNA, ANNA, ANNA, '{"name": "Ivan"}', *[ANNA] * 10]
    world.answers = [streamed("stream", f'{{"value": [{", ".join(elements)}]}}')]
    seen: list[Any] = []
    with pytest.raises(SchemaMismatchError, match=r"value\[3\].age: Field required"):
        partials(world, world.client(), "stream", list[Person], seen)
    assert seen
    assert all(value == [Person(name="Anna", age=30)] * len(value) for value in seen)
    assert len(seen[-1]) <= 3


@each_stream
@pytest.mark.parametrize(
    ("reason", "kind"), [("length", LengthFinishReasonError), ("blacklist", ContentFilterFinishReasonError)]
)
def test_a_streamed_answer_that_is_not_whole_raises(world: World, method: str, reason: str, kind: type[Any]) -> None:
    world.answers = [streamed(method, ANNA, reason=reason)]
    with pytest.raises(kind) as raised:
        partials(world, world.client(), method, Person)
    assert raised.value.completion.text == ANNA


def test_what_is_no_type_is_refused_before_the_stream_begins(world: World) -> None:
    stream = world.method(world.client(), "stream")("x")
    with pytest.raises(TypeError, match="into= takes a type"):
        stream.partials(5)
    assert world.requests == []


def test_partial_objects_are_parsed_a_bounded_number_of_times(world: World) -> None:
    # Each parse of a text that grows gives a new dictionary: they are as many as the parses.
    text = json.dumps({"note": "слово " * 26_000}, ensure_ascii=False)
    world.answers = [streamed("stream", text, 40)]
    values = partials(world, world.client(), "stream", Anything)
    assert len(text) // 40 > 3800
    assert 50 < len(values) < 150


def test_elements_of_a_list_are_validated_once_and_with_the_whole(world: World) -> None:
    seen: list[int] = []

    def noted(value: int) -> int:
        seen.append(value)
        return value

    into = list[Annotated[int, AfterValidator(noted)]]
    world.answers = [streamed("stream", json.dumps({"value": list(range(1000))}))]
    assert partials(world, world.client(), "stream", into)[-1] == list(range(1000))
    assert 1900 < len(seen) <= 2000


def test_an_answer_in_a_thread_is_streamed_as_values(world: World) -> None:
    pieces = [sse({"choices": [{"delta": {"content": ANNA}, "index": 0}], "thread_id": "t"})]
    end = sse({"choices": [{"delta": {"content": ""}, "index": 0, "finish_reason": "stop"}], "thread_id": "t"})
    world.answers = [Answer(pieces=[*pieces, end, DONE])]
    stream = world.method(world.client(), "threads.run_messages_stream")(["x"])
    assert chunks_of(stream.partials(Person), asyncio.run) == [Person(name="Anna", age=30)]
