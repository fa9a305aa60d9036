"""Chats v2: whatever comes is an answer or an error of ours, and whatever form a chat is given in is left as it was.

The bytes go through the public client over an HTTP library's transport without sockets.
"""

from __future__ import annotations

import asyncio
import copy
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from tests.property.test_any_answer import (
    DEEP,
    ERRORS,
    Service,
    blocking,
    check_error,
    content_types,
    damaged,
    values,
    with_change,
)

from gigachat import AsyncGigaChat, GigaChatException, models
from gigachat._engine.parsing import parse
from gigachat.models.chat_completions import keep_one_state

RECORDED = Path(__file__).parents[1] / "contract" / "recorded"


def recorded(name: str, number: int = -1) -> Any:
    return json.loads(json.loads((RECORDED / f"{name}.json").read_bytes())[number]["response"]["body"])


ANSWER = recorded("primary_chat_create_simple")
CALLED = recorded("primary_chat_function_tool_roundtrip", 1)
SEARCHED = recorded("primary_chat_builtin_tools_a", 1)
FULL = {
    **CALLED,
    "thread_id": "t",
    "additional_data": {"execution_steps": []},
    "messages": [
        {"role": "reasoning", "content": [{"text": "Hm."}]},
        {
            "role": "assistant",
            "tools_state_id": "s",
            "functions_state_id": "o",
            "message_id": "m",
            "content": [
                {"files": [{"id": "f", "mime": "image/jpeg", "target": "image"}]},
                {"text": "A", "inline_data": {"sources": {"1": {"url": "u", "title": "t"}}, "images": [1]}},
                {"tool_execution": {"name": "x", "status": "success", "seconds_left": 1, "censored": False}},
                {"logprobs": [{"chosen": {"token": "a", "token_id": 1, "logprob": -0.5}, "top": []}], "text": "B"},
                {"function_call": {"name": "f", "arguments": '{"a": 1}', "id": "c"}},
            ],
        },
    ],
}
GOOD = [ANSWER, CALLED, SEARCHED, FULL]
DEEP_CALL = with_change(CALLED, ("messages", 0, "content", 0, "function_call", "arguments"), DEEP)
bodies = st.one_of(damaged(GOOD), damaged(GOOD), values.map(lambda value: json.dumps(value).encode()), st.binary())
names = st.sampled_from(
    [b"response.message.delta", b"response.message.done", b"response.tool.in_progress", b"response.error", b"new", b""]
)


class Anything(BaseModel):
    """A class that some answers fit."""


def check_answer(answer: models.ChatCompletionResponse | models.PrimaryChatCompletionChunk) -> None:
    """Check that what was read has the types it promises, survives writing, and reads again as itself."""
    assert isinstance(answer.text, str)
    if isinstance(answer, models.ChatCompletionResponse):
        assert isinstance(answer.reasoning_content, str)
        assert all(isinstance(call.name, str) for call in answer.function_calls)
        assert all(isinstance(file.id_, str) for file in answer.files)
    assert answer.created_at is None or isinstance(answer.created_at, int)
    for message in answer.messages or ():
        assert message.tools_state_id is None or isinstance(message.tools_state_id, str)
        assert not {"tool_state_id", "functions_state_id"} & (message.model_extra or {}).keys()
    kind: Any = type(answer)
    assert kind.model_validate(answer.model_dump()) == answer
    assert kind.model_validate(answer.model_dump(exclude_unset=True, by_alias=True)) == kind.model_validate(
        answer.model_dump(exclude_unset=True)
    )
    answer.model_dump_json(by_alias=True)


@given(bodies)
@example(DEEP.encode())
@example(json.dumps(DEEP_CALL).encode())
@example(b"")
@example(b'{"messages":[]}')
@example(json.dumps({**ANSWER, "messages": [{"role": "assistant", "content": "{}"}]}).encode())
def test_any_body_is_an_answer_or_our_error(body: bytes) -> None:
    service = Service()
    service.body = body
    with blocking(service, credentials=None, access_token="t") as giga:
        try:
            check_answer(giga.chat.create("hello"))
        except GigaChatException as error:
            check_error(error)
        try:
            completion, parsed = giga.chat.parse("hello", response_format=Anything)
        except GigaChatException as error:
            check_error(error)
        else:
            check_answer(completion)
            assert isinstance(parsed, Anything)


def named(name: bytes, body: bytes) -> bytes:
    return (b"event: " + name + b"\n" if name else b"") + b"data: " + body + b"\n\n"


pieces = st.one_of(
    st.builds(named, names, bodies),
    st.builds(named, names, damaged(GOOD)),
    st.builds(named, names, damaged(ERRORS)),
    st.sampled_from([b"data: [DONE]\n\n", b": comment\n\n", b"\n", b"data: ", b"event: response.message.done\n"]),
    st.binary(max_size=5),
)
streams = st.lists(pieces, max_size=4).map(b"".join)


@given(streams, content_types)
@example(named(b"response.message.done", b'{"finish_reason": "stop"}'), "text/event-stream")
@example(named(b"response.message.done", json.dumps(FULL).encode()), "text/event-stream")
@example(named(b"response.message.delta", json.dumps(DEEP_CALL).encode()), "text/event-stream")
@example(named(b"response.error", b"{}"), "text/event-stream")
@example(named(b"", b'{"status": 429, "message": 1}'), "text/event-stream")
def test_any_stream_gives_chunks_or_our_error(body: bytes, content_type: str) -> None:
    service = Service()
    service.body, service.headers = body, {"content-type": content_type}
    with blocking(service, credentials=None, access_token="t") as giga:
        stream = giga.chat.stream("hello")
        try:
            for chunk in stream:
                check_answer(chunk)
        except GigaChatException as error:
            check_error(error)
            return
        try:
            completion = stream.get_final_completion()
        except GigaChatException as error:
            check_error(error)
            return
        check_answer(completion)
        assert completion.text == stream.get_final_text()


@pytest.mark.slow
@settings(max_examples=60)
@given(bodies, streams)
def test_async_callers_get_the_same(body: bytes, stream_body: bytes) -> None:
    async def check() -> None:
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(service)) as http:
            giga = AsyncGigaChat(async_http_client=http, access_token="t", max_retries=0)
            service.body, service.headers = body, {}
            try:
                check_answer(await giga.chat.create("hello"))
            except GigaChatException as error:
                check_error(error)
            service.body, service.headers = stream_body, {"content-type": "text/event-stream"}
            try:
                async for chunk in giga.chat.stream("hello"):
                    check_answer(chunk)
            except GigaChatException as error:
                check_error(error)

    service = Service()
    asyncio.run(check())


@given(st.sampled_from(["ChatCompletionResponse", "PrimaryChatCompletionChunk"]), st.one_of(bodies, st.binary()))
def test_every_model_of_an_answer_reads_bytes_or_refuses_them(name: str, content: bytes) -> None:
    try:
        answer = parse(getattr(models, name), content, {})
    except GigaChatException as error:
        check_error(error)
    else:
        for stated in (answer, *(answer.messages or ())):
            keep_one_state(stated)  # as streams do, which spare most chunks it
        check_answer(answer)


class Asked(Service):
    """A service that keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.body = json.dumps(ANSWER).encode()
        self.asked: list[Any] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(json.loads(request.content))
        return super().__call__(request)


@given(damaged(GOOD))
def test_messages_that_were_read_can_be_sent_back(body: bytes) -> None:
    service = Asked()
    service.body = body
    with blocking(service, credentials=None, access_token="t") as giga:
        try:
            answer = giga.chat.create("hello")
        except GigaChatException:
            return
        service.body = json.dumps(ANSWER).encode()
        before = copy.deepcopy(answer)
        if answer.messages:
            assert giga.chat.create(answer.messages).text == "Hello"
            assert [message["role"] for message in service.asked[-1]["messages"]] == [
                message.role for message in answer.messages
            ]
        assert answer == before


# What goes out.

texts = st.text(max_size=5)
objects = st.dictionaries(
    texts, st.one_of(st.none(), st.integers(), texts, st.lists(st.none(), max_size=2)), max_size=3
)
parts = st.one_of(
    texts,
    st.fixed_dictionaries({"text": texts}),
    st.fixed_dictionaries({"files": st.lists(st.one_of(texts, st.fixed_dictionaries({"id": texts})), max_size=2)}),
    st.fixed_dictionaries({"function_call": st.fixed_dictionaries({"name": texts, "arguments": objects})}),
    st.fixed_dictionaries({"function_result": st.fixed_dictionaries({"name": texts, "result": values})}),
    st.fixed_dictionaries({"not_known_yet": objects}),
    texts.map(lambda text: models.ChatContentPart(text=text)),
)
messages = st.one_of(
    st.fixed_dictionaries(
        {
            "role": st.sampled_from(["user", "assistant", "tool", "function", "new"]),
            "content": st.lists(parts, max_size=3),
        },
        optional=dict.fromkeys(("tools_state_id", "tool_state_id", "functions_state_id", "message_id"), texts),
    ),
    st.builds(lambda role, content: models.ChatMessage(role=role, content=content), texts, st.one_of(texts, parts)),
    st.builds(models.ChatMessage.function_result, texts, values),
)
function_names = st.from_regex("[A-Za-z_]{1,5}", fullmatch=True)
function_fields = st.fixed_dictionaries(
    {"name": function_names},
    optional={"description": texts, "parameters": st.just({"type": "object", "properties": {"a": {"type": "string"}}})},
)
tools = st.one_of(
    st.sampled_from(["web_search", "code_interpreter", "new"]),
    st.sampled_from(
        [{"web_search": {"type": "safe_search"}}, {"memory": {}, "get_datetime": {}}, {"image_generate": None}]
    ),
    function_fields,
    function_fields.map(models.Function.model_validate),
    function_fields.map(models.ChatFunctionSpecification.model_validate),
    st.lists(function_fields, max_size=2).map(lambda functions: {"functions": {"specifications": functions}}),
    st.lists(function_fields, max_size=2).map(
        lambda functions: models.ChatTool.model_validate({"functions": functions, "web_search": {}})
    ),
)
requests = st.fixed_dictionaries(
    {"messages": st.lists(messages, min_size=1, max_size=3)},
    optional={
        "tools": st.lists(tools, max_size=4),
        "tool_config": st.sampled_from(
            ["auto", "none", {"mode": "auto"}, models.ChatToolConfig(tool_name="web_search")]
        ),
        "model_options": st.sampled_from([{"top_p": 0.5}, models.ChatModelOptions(temperature=0.2), {}]),
        "temperature": st.floats(0.1, 2),
        "reasoning_effort": st.sampled_from(["low", "off"]),
        "response_format": st.sampled_from(
            [{"regex": "a"}, {"schema": {"type": "object"}}, models.ChatResponseFormat()]
        ),
        "storage": st.sampled_from([True, False, {}, {"thread_id": "t"}, models.ChatStorage(limit=1)]),
        "profanity_check": st.booleans(),
        "disable_filter": st.booleans(),
        "not_known_yet": objects,
    },
)


@given(requests, requests)
def test_a_chat_in_any_form_is_left_as_it_was_and_sent_as_the_wire_wants_it(
    payload: dict[str, Any], fields: dict[str, Any]
) -> None:
    service = Asked()
    before = copy.deepcopy((payload, fields))
    with blocking(service, credentials=None, access_token="t") as giga:
        giga.chat.create(payload)
        giga.chat.create(models.ChatCompletionRequest.model_validate(payload))
        one, other = service.asked
        assert one == other
        giga.chat.create(payload, **fields)
        check_wire(service.asked[-1])
        # The form of the wire is one of the forms a chat may be given in.
        giga.chat.create(one)
    assert service.asked[-1] == one
    assert (payload, fields) == before
    check_wire(one)


def check_wire(body: dict[str, Any]) -> None:
    """Check the shape of a request (reference, sections 5.1 to 5.4)."""
    for message in body["messages"]:
        assert isinstance(message["role"], str)
        assert all(isinstance(part, dict) for part in message.get("content", ()))
        assert not {"tool_state_id", "functions_state_id"} & message.keys()
        for part in message.get("content", ()):
            assert all(set(file) == {"id"} for file in part.get("files", ()))
            if "function_result" in part:
                result = part["function_result"]["result"]
                assert isinstance(json.loads(result) if isinstance(result, str) else result, dict | list)
            if "function_result" in part and message["role"] in ("function", "tool"):
                assert message["role"] == "function"  # the vendor's host
    tools = body.get("tools", [])
    assert all(len(tool) == 1 and isinstance(next(iter(tool.values())), dict) for tool in tools)
    functions = [tool["functions"]["specifications"] for tool in tools if "functions" in tool]
    assert len(functions) <= 1
    assert all(set(function) >= {"name", "parameters"} for one in functions for function in one)
    assert not {"temperature", "reasoning_effort", "response_format", "profanity_check"} & body.keys()
    assert "mode" in body.get("tool_config", {"mode": ""})
    assert isinstance(body.get("storage", {}), dict)


@given(st.lists(texts, max_size=5))
def test_a_text_cut_anywhere_is_put_together_again(texts: list[str]) -> None:
    events = [{"messages": [{"role": "assistant", "content": [{"text": text}]}]} for text in texts]
    service = Service()
    service.headers = {"content-type": "text/event-stream"}
    service.body = b"".join(named(b"response.message.delta", json.dumps(event).encode()) for event in events)
    service.body += named(b"response.message.done", b'{"finish_reason": "stop"}')
    with blocking(service, credentials=None, access_token="t") as giga:
        completion = giga.chat.stream("hello").get_final_completion()
    assert completion.text == "".join(texts)
    assert [len(message.content or ()) for message in completion.messages] == [1] * bool(texts)
