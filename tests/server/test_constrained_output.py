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
from gigachat.server.engines.constrained_output import JsonReader, constrained
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


def generated_schema(**fields: Any) -> dict[str, Any]:
    body, _ = constrained(asked(**fields))
    schema: dict[str, Any] = body["response_format"]["json_schema"]["schema"]
    return schema


def read(request: ChatRequest, text: str, places: list[int], *, whole: bool = True) -> list[Piece]:
    reader = JsonReader(request)
    pieces = [piece for part in cut(text, places) for piece in reader.feed(part)]
    return [*pieces, *reader.end(whole=whole)]


@given(text=st.text(), ascii_only=st.booleans(), places=st.lists(st.integers(0, 200)))
def test_a_string_is_decoded_however_it_is_cut(text: str, ascii_only: bool, places: list[int]) -> None:
    written = json.dumps({"answer": text}, ensure_ascii=ascii_only)
    assert "".join(map(str, read(asked(functions=[WEATHER]), written, places))) == text


@given(rest=st.text('\\u"dD8cCa0🐈'), places=st.lists(st.integers(0, 50)))
def test_any_text_is_decoded_to_text(rest: str, places: list[int]) -> None:
    written = '{"answer": "' + rest
    "".join(map(str, read(asked(functions=[WEATHER]), written, places, whole=False))).encode()


@given(places=st.lists(st.integers(0, 200)))
def test_a_call_is_made_when_it_is_whole(places: list[int]) -> None:
    written = '{"function": "weather", "arguments": {"city": "Псков", "days": 2}}'
    request = asked(functions=[WEATHER, TIME])
    assert read(request, written, places) == [FunctionCall("weather", {"city": "Псков", "days": 2})]
    assert read(request, written[:-9], places, whole=False) == []
    with pytest.raises(Refusal, match="did not keep to the schema"):
        read(request, written[:-9], places)


def test_text_comes_as_soon_as_it_is_known() -> None:
    reader = JsonReader(asked(functions=[WEATHER]))
    assert [reader.feed(part) for part in ('{"ans', 'wer" : "Пр', "иве", r"т\n", '!"}')] == [
        [],
        ["Пр"],
        ["иве"],
        ["т\n"],
        ["!"],
    ]
    assert reader.end(whole=True) == []


def test_given_arguments_are_not_generated() -> None:
    fields: dict[str, Any] = {"functions": [TIME, WEATHER], "must_call": ["weather"], "preset": {"city": "Омск"}}
    schema = generated_schema(**fields)
    [call] = schema["anyOf"]
    assert call["properties"] == {"function": {"const": "weather"}, "arguments": {"$ref": "#/$defs/call0"}}
    arguments = schema["$defs"]["call0"]
    assert (arguments["properties"], arguments["required"]) == ({"days": {"type": "integer"}}, ["days"])
    body, reader = constrained(asked(**fields))
    assert reader is not None
    instruction = body["messages"][0]["content"]
    assert '"Омск"' in instruction
    assert "time" not in instruction
    written = '{"function": "weather", "arguments": {"days": 2}}'
    assert read(asked(**fields), written, []) == [FunctionCall("weather", {"days": 2, "city": "Омск"})]


def test_a_choice_is_a_union() -> None:
    structure = {"$ref": "#/definitions/X", "definitions": {"X": {"items": {"$ref": "#"}}}}
    schema = generated_schema(functions=[WEATHER, TIME], schema=structure)
    assert [one["properties"].get("function", {}).get("const") for one in schema["anyOf"]] == [None, "weather", "time"]
    answer, weather, clock = schema["$defs"].values()
    # References lead to the new places of what they mean.
    assert answer == {
        "$ref": "#/$defs/answer/definitions/X",
        "definitions": {"X": {"items": {"$ref": "#/$defs/answer"}}},
    }
    assert weather["properties"]["city"] == {"$ref": "#/$defs/call0/$defs/City"}
    assert weather["$defs"] == {"City": {"type": "string", "maxLength": 20}}
    assert clock == {"type": "object", "properties": {}, "required": []}


def test_data_that_looks_like_a_reference_is_data() -> None:
    data = {"$ref": "#/x"}
    of_data = {"const": data, "enum": [data], "default": data, "examples": [data]}
    parameters = {"properties": {"$ref": {"$ref": "#/$defs/X"}, "a": of_data}, "$defs": {"X": of_data}}
    moved = generated_schema(functions=[{"name": "f", "parameters": parameters}])["$defs"]["call0"]
    assert moved["properties"] == {"$ref": {"$ref": "#/$defs/call0/$defs/X"}, "a": of_data}
    assert moved["$defs"] == {"X": of_data}


def test_a_structured_answer_beside_functions_comes_whole() -> None:
    request = asked(functions=[WEATHER], schema={"type": "object", "properties": {"a": {"type": "integer"}}})
    assert read(request, '{"answer": {"a": 1}}', [3, 9]) == ['{"a": 1}']


def test_free_text_and_structured_answers_come_as_they_are() -> None:
    assert constrained(asked()) == ({"messages": [{"role": "user", "content": "?"}]}, None)
    body, reader = constrained(asked(schema={"type": "array"}))
    assert reader is None
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert generated_schema(schema={"type": "array"}) == {"type": "array"}


def test_messages_have_roles_that_every_model_knows() -> None:
    history = [
        Message("user", "Погода?"),
        Message("assistant", calls=[FunctionCall("weather", {"city": "Уфа"})]),
        Message("function", '{"t": 1}', "weather"),
        Message("user", "А в Омске?"),
        Message("reasoning", "мысль"),
        Message("system", "Будь краток"),
    ]
    body, _ = constrained(ChatRequest(find_model("GigaChat"), history, functions=[WEATHER]))
    system, user, assistant, result = body["messages"]
    assert system["content"].startswith("Будь краток\n\n")
    assert user == {"role": "user", "content": "Погода?"}
    assert assistant["role"] == "assistant"
    assert json.loads(assistant["content"]) == {"function": "weather", "arguments": {"city": "Уфа"}}
    # Roles take turns.
    assert result == {"role": "user", "content": 'The function weather returned: {"t": 1}\n\nА в Омске?'}


@pytest.mark.parametrize(
    "written",
    [
        "Привет",
        "```json\n{}\n```",
        "[1]",
        '"function"',
        '{"function":"weather"}',
        '{"function":"weather","arguments":1}',
        '{"x":1}',
        "5",
    ],
)
def test_a_text_that_does_not_keep_to_the_schema_is_told_of(written: str) -> None:
    with pytest.raises(Refusal, match="did not keep to the schema") as caught:
        read(asked(functions=[WEATHER]), written, [])
    assert caught.value.status == 500


def test_one_of_several_functions_must_be_called() -> None:
    fields: dict[str, Any] = {"functions": [TIME, WEATHER, {"name": "news"}], "must_call": ["time", "news"]}
    schema = generated_schema(**fields)
    assert [form["properties"].get("function") for form in schema["anyOf"]] == [{"const": "time"}, {"const": "news"}]
    body, _ = constrained(asked(**fields))
    instruction = body["messages"][0]["content"]
    assert instruction.startswith("Call one of these functions: ")
    assert "weather" not in instruction
    assert read(asked(**fields), '{"function": "news", "arguments": {}}', [5]) == [FunctionCall("news", {})]
