"""Is what a model writes under a schema read as an answer or a call, however it is cut into pieces?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigachat.server.catalogue import find_model
from gigachat.server.engine import ChatRequest, FunctionCall, Message, Piece
from gigachat.server.engines.constrained_output import generated_schema, instruction, reader
from gigachat.server.wire.errors import Refusal

WEATHER = {
    "name": "weather",
    "description": "Погода",
    "parameters": {
        "type": "object",
        "properties": {"city": {"$ref": "#/$defs/City"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
        "$defs": {"City": {"type": "string", "maxLength": 20}},
    },
}
TIME = {"name": "time"}


def asked(**fields: Any) -> ChatRequest:
    return ChatRequest(model=find_model("GigaChat"), messages=[Message("user", "?")], **fields)


def cut(text: str, places: list[int]) -> Iterator[str]:
    edges = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    for begin, end in pairwise(edges):
        yield text[begin:end]


def read(request: ChatRequest, text: str, places: list[int], *, whole: bool = True) -> list[Piece]:
    reading = reader(request)
    assert reading is not None
    pieces = [piece for part in cut(text, places) for piece in reading.feed(part)]
    return [*pieces, *reading.end(whole=whole)]


@given(text=st.text(), ascii_only=st.booleans(), places=st.lists(st.integers(0, 200)))
def test_a_string_is_decoded_however_it_is_cut(text: str, ascii_only: bool, places: list[int]) -> None:
    written = json.dumps({"answer": text}, ensure_ascii=ascii_only)
    assert "".join(map(str, read(asked(functions=[WEATHER]), written, places))) == text


@given(rest=st.text('\\u"dD8cCa0🐈'), places=st.lists(st.integers(0, 50)))
def test_any_text_is_decoded_to_text(rest: str, places: list[int]) -> None:
    written = '{"answer": "' + rest
    "".join(map(str, read(asked(functions=[WEATHER]), written, places, whole=False))).encode()


def test_text_comes_as_soon_as_it_is_known() -> None:
    reading = reader(asked(functions=[WEATHER]))
    assert reading is not None
    assert [reading.feed(part) for part in ('{"ans', 'wer" : "Пр', "иве", r"т\n", '!"}')] == [
        [],
        ["Пр"],
        ["иве"],
        ["т\n"],
        ["!"],
    ]
    assert reading.end(whole=True) == []


@given(places=st.lists(st.integers(0, 200)))
def test_a_call_is_made_when_it_is_whole(places: list[int]) -> None:
    written = '{"function": "weather", "arguments": {"city": "Псков", "days": 2}}'
    request = asked(functions=[WEATHER, TIME])
    assert read(request, written, places) == [FunctionCall("weather", {"city": "Псков", "days": 2})]
    assert read(request, written[:-9], places, whole=False) == []
    with pytest.raises(Refusal, match="did not keep to the schema"):
        read(request, written[:-9], places)


def test_given_arguments_are_not_generated() -> None:
    request = asked(functions=[WEATHER], forced="weather", preset={"city": "Омск"})
    schema = generated_schema(request)
    assert schema is not None
    assert schema["properties"]["function"] == {"const": "weather"}
    assert schema["properties"]["arguments"]["properties"] == {"days": {"type": "integer"}}
    assert schema["properties"]["arguments"]["required"] == ["days"]
    assert "Омск" in (instruction(request) or "")
    written = '{"function": "weather", "arguments": {"days": 2}}'
    assert read(request, written, []) == [FunctionCall("weather", {"days": 2, "city": "Омск"})]


def test_a_choice_is_a_union() -> None:
    schema = generated_schema(asked(functions=[WEATHER, TIME]))
    assert schema is not None
    answer, weather, clock = schema["anyOf"]
    assert answer["properties"] == {"answer": {"type": "string"}}
    # Definitions would not be found from inside the union.
    assert weather["properties"]["arguments"]["properties"]["city"] == {"type": "string", "maxLength": 20}
    assert "$defs" not in json.dumps(schema)
    assert clock["properties"]["arguments"] == {"type": "object", "properties": {}}


def test_a_structured_answer_beside_functions_comes_whole() -> None:
    request = asked(functions=[WEATHER], schema={"type": "object", "properties": {"a": {"type": "integer"}}})
    assert read(request, '{"answer": {"a": 1}}', [3, 9]) == ['{"a": 1}']


def test_free_text_and_structured_answers_come_as_they_are() -> None:
    assert generated_schema(asked()) is None
    assert instruction(asked()) is None
    assert reader(asked()) is None
    request = asked(schema={"type": "array"})
    assert generated_schema(request) == {"type": "array"}
    assert reader(request) is None


def test_a_pattern_is_a_string() -> None:
    request = asked(pattern="[a-z]+")
    assert generated_schema(request) == {"type": "string", "pattern": "^[a-z]+$"}
    assert read(request, ' "abc"', [1, 2, 4]) == ["ab", "c"]


def test_parameters_that_references_make_endless_are_refused() -> None:
    schemas = {f"A{number}": {"items": [{"$ref": f"#/$defs/A{number + 1}"}] * 2} for number in range(50)}
    function = {"name": "f", "parameters": {"$ref": "#/$defs/A0", "$defs": {**schemas, "A50": {}}}}
    with pytest.raises(Refusal, match="parameters of function f: the schema has more than 100000 parts"):
        generated_schema(asked(functions=[function]))


def test_what_refers_to_itself_is_generated_to_a_depth() -> None:
    circle = {
        "name": "f",
        "parameters": {"$ref": "#/$defs/A", "$defs": {"A": {"properties": {"a": {"$ref": "#/$defs/A"}, "b": True}}}},
    }
    schema = generated_schema(asked(functions=[circle], forced="f"))
    assert schema is not None
    assert schema["properties"]["arguments"]["properties"] == {"a": {}, "b": {}}


def test_a_reference_that_leads_nowhere_is_refused() -> None:
    function = {"name": "f", "parameters": {"properties": {"a": {"$ref": "https://example.org/a"}}}}
    with pytest.raises(Refusal, match="parameters of function f"):
        generated_schema(asked(functions=[function]))
