"""Every recorded chat v2, played back to the public client over a real socket in every mode.

The recording client signed in before each chat, so that each chat is played back by itself. Its answers name the state
`tool_state_id`; the models have it under the name it is sent back with, `tools_state_id`.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from pydantic import BaseModel, Field
from tests.contract.replay import Exchange, recording, recordings, replaying
from tests.contract.test_recordings import (
    COMPOSED,
    COUNT,
    HELLO,
    PARSE,
    Case,
    both,
    check_answer,
    check_requests,
    every_mode,
    fields_of,
    make,
    options,
    with_unknown_fields,
)
from tests.support.callers import Caller, Mode, whole

from gigachat._engine.endpoint import ModeMethod
from gigachat.api.chat import ChatNamespace
from gigachat.models import ChatCompletionRequest, ChatCompletionResponse, ChatMessage, ChatTool, ChatWebSearchTool


class StructuredAnswer(BaseModel):
    """Structured answer returned by response_format=json_schema."""

    answer: str
    n: int = Field(ge=0, le=10)


def exchanges_of(name: str, number: int, *, unknown: bool = False) -> list[Exchange]:
    """Return the sign-in and one chat of a recording, its answer with or without unknown fields."""
    sign_in, chat = recording(name)[2 * number : 2 * number + 2]
    return [sign_in, changed(chat) if unknown else chat]


def changed(exchange: Exchange) -> Exchange:
    """Return the exchange with unknown fields in its answer."""
    if exchange.headers["content-type"] != "text/event-stream":
        return replace(exchange, body=json.dumps(with_unknown_fields(exchange.json), ensure_ascii=False).encode())
    events = [
        f"event: {name}\ndata: {json.dumps(with_unknown_fields(json.loads(data)), ensure_ascii=False)}\n\n"
        for name, data in exchange.named_events
    ]
    return replace(exchange, body="".join(events).encode())


def as_read(value: Any) -> Any:
    """Return JSON of an answer with the state under the name the models have it under."""
    if isinstance(value, list):
        return [as_read(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {"tools_state_id" if name == "tool_state_id" else name: as_read(item) for name, item in value.items()}


ULTRA = {"model": "GigaChat-3-Ultra"}
ORDER = "Check order A-1024 and answer naturally."
ORDER_STATUS = recording("primary_chat_function_tool_roundtrip")[1].request_body["tools"][0]["functions"][
    "specifications"
][0]
CALLED = ChatCompletionResponse.model_validate_json(exchanges_of("primary_chat_function_tool_roundtrip", 0)[1].body)
STATE = CALLED.messages[0].tools_state_id
RESULT = ChatMessage.function_result(
    "get_order_status", {"order_id": "A-1024", "status": "packed", "eta": "tomorrow"}, tools_state_id=STATE
)
SEARCH = ChatTool(web_search=ChatWebSearchTool(type="actual_info_web_search"))

ANSWERED = {
    ("primary_chat_create_simple", 0): Case("chat.create", (HELLO,), {}, ULTRA),
    ("primary_chat_builtin_tools_a", 0): Case(
        "chat.create",
        ("What is new in the latest stable Python release?",),
        {"tools": [SEARCH], "tool_config": "web_search"},
        ULTRA,
    ),
    ("primary_chat_builtin_tools_a", 1): Case(
        "chat.create",
        ("Calculate the sum of the first 20 prime numbers. Use code.",),
        {"tools": ["code_interpreter"], "tool_config": "auto"},
        ULTRA,
    ),
    ("primary_chat_function_tool_roundtrip", 0): Case(
        "chat.create", (ORDER,), {"tools": [ORDER_STATUS], "tool_config": "get_order_status"}, ULTRA
    ),
    ("primary_chat_function_tool_roundtrip", 1): Case(
        "chat.create",
        ([ChatMessage(role="user", content=ORDER), *CALLED.messages, RESULT],),
        {"tools": [ORDER_STATUS]},
        {**ULTRA, "function_result_role": "tool"},
    ),
}
PARSED_ANSWERS = {
    (name, 0): Case("chat.parse", (PARSE,), {"response_format": StructuredAnswer}, ULTRA)
    for name in ("primary_chat_parse_json_schema", "primary_achat_parse_json_schema")
}
STREAMED = {("primary_chat_stream_simple", 0): Case("chat.stream", (COUNT,), {}, ULTRA)}
CASES = {**ANSWERED, **PARSED_ANSWERS, **STREAMED}


def test_every_recording_is_replayed() -> None:
    chats = {
        (name, number)
        for name in recordings()
        if name.startswith("primary_")
        for number in range(len(recording(name)) // 2)
    }
    assert chats == set(CASES)
    for name, number in chats:
        sign_in, chat = exchanges_of(name, number)
        assert (sign_in.endpoint, chat.path) == ("token", "/v2/chat/completions")


def test_every_endpoint_has_an_exchange() -> None:
    found = {
        name
        for owner in ChatNamespace.__mro__
        for name, member in vars(owner).items()
        if isinstance(member, ModeMethod)
    }
    assert {f"chat.{name}" for name in found - {"__call__"}} - COMPOSED == {case.method for case in CASES.values()}


@every_mode
@both
@pytest.mark.parametrize(("name", "number"), ANSWERED)
def test_answers(name: str, number: int, unknown: bool, mode: Mode) -> None:
    with replaying(exchanges_of(name, number, unknown=unknown)) as replay:
        answer = make(mode, replay, ANSWERED[name, number])
    check_requests(replay)
    check_answer(answer, replay.exchanges[-1], as_read(replay.exchanges[-1].json))


@every_mode
@both
@pytest.mark.parametrize(("name", "number"), PARSED_ANSWERS)
def test_parsed_answers(name: str, number: int, unknown: bool, mode: Mode) -> None:
    with replaying(exchanges_of(name, number, unknown=unknown)) as replay:
        completion, parsed = make(mode, replay, PARSED_ANSWERS[name, number])
    check_requests(replay)
    check_answer(completion, replay.exchanges[-1], as_read(replay.exchanges[-1].json))
    assert parsed == StructuredAnswer(answer="ok", n=3)


@every_mode
@both
@pytest.mark.parametrize(("name", "number"), STREAMED)
def test_streams(name: str, number: int, unknown: bool, mode: Mode) -> None:
    with replaying(exchanges_of(name, number, unknown=unknown)) as replay:
        chunks = make(mode, replay, STREAMED[name, number])
    check_requests(replay)
    exchange = replay.exchanges[-1]
    read = [{"event": event, **as_read(json.loads(data))} for event, data in exchange.named_events]
    check_answer(chunks, exchange, read)
    assert [chunk.event for chunk in chunks] == [event for event, _ in exchange.named_events]


@every_mode
@both
def test_a_stream_put_together(unknown: bool, mode: Mode) -> None:
    with replaying(exchanges_of("primary_chat_stream_simple", 0, unknown=unknown)) as replay:
        client_options = options(replay, Case("chat.stream", options=ULTRA))
        with Caller(mode, client_options) as caller:
            texts, text, completion = whole(caller.method("chat.stream")(COUNT), caller.run)
    first, last = (json.loads(data) for _, data in replay.exchanges[-1].named_events)
    assert text == "".join(texts) == completion.text == "1, 2, 3"
    # As if it had not been streamed.
    assert fields_of(completion) == {**first, **last}
    assert completion.x_headers == replay.exchanges[-1].x_headers


MESSAGE = {"role": "user", "content": HELLO}
PAYLOADS: dict[str, tuple[Any, dict[str, Any]]] = {
    "text and a field": (HELLO, {"model": "GigaChat-3-Ultra"}),
    "request": (ChatCompletionRequest(messages=[ChatMessage(role="user", content=HELLO)]), {}),
    "mapping": ({"messages": [{"role": "user", "content": [{"text": HELLO}]}]}, {}),
    "list of messages": ([MESSAGE], {}),
    "fields alone": (None, {"messages": [MESSAGE]}),
}


@every_mode
@pytest.mark.parametrize("form", PAYLOADS)
def test_all_forms_of_a_payload_are_the_recorded_request(form: str, mode: Mode) -> None:
    payload, fields = PAYLOADS[form]
    with replaying(exchanges_of("primary_chat_create_simple", 0)) as replay:
        answer = make(mode, replay, Case("chat.create", (payload,), fields, ULTRA))
    check_requests(replay)
    assert answer.text == "Hello"
