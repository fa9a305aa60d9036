"""Chats v2: what goes out in which form and where to, what is read, and how streams end."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, Field

from gigachat import (
    APIResponseValidationError,
    AsyncGigaChat,
    BadRequestError,
    ContentFilterFinishReasonError,
    GenerationError,
    GigaChat,
    LengthFinishReasonError,
    NotFoundError,
    RateLimitError,
    ResponseError,
    ServerError,
    StreamInterruptedError,
    models,
)
from gigachat._engine.transport import Stage
from gigachat.context import chat_completions_url_cvar
from gigachat.models import (
    ChatCompletionRequest,
    ChatCompletionResponse,
    ChatContentPart,
    ChatFunctionSpecification,
    ChatFunctionsTool,
    ChatMessage,
    ChatModelOptions,
    ChatReasoning,
    ChatResponseFormat,
    ChatStorage,
    ChatTool,
    ChatToolConfig,
    ChatWebSearchTool,
    Function,
    FunctionParameters,
    JsonSchemaResponseFormat,
    UploadedFile,
)
from tests.support.callers import whole
from tests.support.payloads import WEATHER, sse
from tests.unit.world import Answer, World, error, lost

VENDOR = "https://gigachat.devices.sberbank.ru"
OWN = "https://gigachat.example/v1"
ANSWER: dict[str, Any] = {
    "model": "GigaChat-3-Ultra:32.3.18.5",
    "created_at": 1780321855,
    "messages": [{"role": "assistant", "content": [{"text": "Hello"}]}],
    "finish_reason": "stop",
    "usage": {
        "input_tokens": 19,
        "input_tokens_details": {"prompt_tokens": 19, "cached_tokens": 0},
        "output_tokens": 2,
        "total_tokens": 21,
    },
}
CALLED: dict[str, Any] = {
    **ANSWER,
    "messages": [
        {
            "role": "assistant",
            "tool_state_id": "019e",
            "content": [{"function_call": {"name": "weather", "arguments": {"city": "Псков"}, "id": "c1"}}],
        }
    ],
    "finish_reason": "function_call",
}
QUESTION = {"role": "user", "content": [{"text": "Hi"}]}
SYNTAX = "Your request contains invalid JSON syntax."


def create(world: World, giga: GigaChat, *arguments: Any, **fields: Any) -> ChatCompletionResponse:
    if not world.answers:
        world.answers = [Answer(ANSWER)]
    answer: ChatCompletionResponse = world.do(giga, "chat.create", *arguments, **fields)
    return answer


def sent(world: World, number: int = -1) -> Any:
    """Return the body of a request."""
    content = world.api_requests[number].content
    assert isinstance(content, bytes)
    return json.loads(content)


def asked(world: World, *arguments: Any, **fields: Any) -> Any:
    """Return the body that a chat sends."""
    create(world, world.client(), *arguments, **fields)
    return sent(world)


def addresses(world: World) -> list[str]:
    """Return where the requests of the API went."""
    return [request.url for request in world.api_requests]


# What goes out.


def test_text_alone_is_one_part_of_a_message_of_the_user(world: World) -> None:
    answer = create(world, world.client(), "Привет")
    (request,) = world.api_requests
    assert (request.method, request.url) == ("POST", f"{VENDOR}/api/v2/chat/completions")
    assert isinstance(request.content, bytes)
    assert "Привет".encode() in request.content
    assert sent(world) == {"model": "GigaChat", "messages": [{"role": "user", "content": [{"text": "Привет"}]}]}
    assert answer.text == "Hello"
    assert answer.finish_reason == "stop"


PAYLOADS: dict[str, tuple[Any, dict[str, Any]]] = {
    "text": ("Hi", {}),
    "text and an empty field": ("Hi", {"temperature": None, "tools": None}),
    "request": (ChatCompletionRequest(messages=[ChatMessage(role="user", content="Hi")]), {}),
    "mapping": ({"messages": [{"role": "user", "content": "Hi"}]}, {}),
    "mapping with nulls": ({"messages": [QUESTION], "model": None, "tools": None, "model_options": None}, {}),
    "list of mappings": ([QUESTION], {}),
    "tuple of messages": ((ChatMessage(role="user", content=["Hi"]),), {}),
    "fields alone": (None, {"messages": [{"role": "user", "content": {"text": "Hi"}}]}),
    "fields over a request": (
        ChatCompletionRequest(messages=[ChatMessage(role="user", content="other")], model="other"),
        {"messages": [{"role": "user", "content": ChatContentPart(text="Hi")}], "model": "GigaChat"},
    ),
    "a stream asked for elsewhere": ({"messages": [QUESTION], "stream": True}, {}),
}


@pytest.mark.parametrize("form", PAYLOADS)
def test_all_forms_of_a_payload_are_the_same_request(world: World, form: str) -> None:
    payload, fields = PAYLOADS[form]
    assert asked(world, payload, **fields) == {"model": "GigaChat", "messages": [QUESTION]}


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("a", [{"text": "a"}]),
        ("", [{"text": ""}]),
        ({"text": "a"}, [{"text": "a"}]),
        (ChatContentPart(text="a"), [{"text": "a"}]),
        (["a", {"text": "b"}, ChatContentPart(text="c")], [{"text": "a"}, {"text": "b"}, {"text": "c"}]),
        (["a", {"files": [{"id": "f"}]}], [{"text": "a"}, {"files": [{"id": "f"}]}]),
        ([{"files": ["f", UploadedFile.model_validate({"id": "g"})]}], [{"files": [{"id": "f"}, {"id": "g"}]}]),
        ({"image": {"url": "u", "x": None}}, [{"image": {"url": "u", "x": None}}]),
        ({"text": "a", "new": [1]}, [{"text": "a", "new": [1]}]),
    ],
)
def test_content_is_always_sent_as_parts(world: World, content: Any, parts: Any) -> None:
    body = asked(world, [{"role": "user", "content": content}])
    assert body["messages"] == [{"role": "user", "content": parts}]


OPTIONS: dict[str, Any] = {
    "temperature": 0.2,
    "top_p": 0.5,
    "max_tokens": 100,
    "repetition_penalty": 1.5,
    "update_interval": 0.5,
    "unnormalized_history": True,
    "top_logprobs": 3,
    "preset": "p",
    "reasoning": {"effort": "off"},
    "response_format": {"type": "regex", "regex": "[A-Z]"},
}


def test_options_of_the_model_go_where_the_service_wants_them(world: World) -> None:
    expected = {"model": "GigaChat", "messages": [QUESTION], "model_options": OPTIONS}
    assert asked(world, "Hi", **OPTIONS) == expected
    assert asked(world, {"messages": [QUESTION], **OPTIONS}) == expected
    assert asked(world, "Hi", model_options=OPTIONS) == expected
    assert asked(world, "Hi", model_options=ChatModelOptions.model_validate(OPTIONS)) == expected
    assert asked(world, ChatCompletionRequest(messages=[ChatMessage(role="user", content="Hi")], **OPTIONS)) == expected


@pytest.mark.parametrize(
    ("payload", "fields", "options"),
    [
        ({}, {"reasoning_effort": "low"}, {"reasoning": {"effort": "low"}}),
        ({"reasoning_effort": "high"}, {}, {"reasoning": {"effort": "high"}}),
        (
            {"reasoning_effort": "high"},
            {"reasoning_max_tokens": 500},
            {"reasoning": {"max_tokens": 500}},
        ),
        (
            {"reasoning_effort": "high", "reasoning_max_tokens": 5},
            {},
            {"reasoning": {"effort": "high", "max_tokens": 5}},
        ),
        ({}, {"reasoning": ChatReasoning(max_tokens=500)}, {"reasoning": {"max_tokens": 500}}),
        ({}, {"parallel_tool_calls": False}, {"parallel_tool_calls": False}),
        ({}, {"reasoning_effort": "low", "reasoning": ChatReasoning(effort="high")}, {"reasoning": {"effort": "high"}}),
        # What is given later wins, wherever the earlier one stands.
        (
            {"model_options": {"temperature": 1.0, "top_p": 0.5}},
            {"temperature": 0.2},
            {"temperature": 0.2, "top_p": 0.5},
        ),
        ({"temperature": 1.0}, {"model_options": {"temperature": 0.2}}, {"temperature": 0.2}),
        (
            {"model_options": {"max_tokens": 5}},
            {"model_options": {"temperature": 0.2}},
            {"max_tokens": 5, "temperature": 0.2},
        ),
        ({"model_options": {"temperature": 1.0}}, {"temperature": None}, {"temperature": 1.0}),
        # In one place `model_options` wins, as in 0.2.3.
        (
            {"reasoning": {"effort": "low"}, "model_options": {"reasoning": {"effort": "off"}}},
            {},
            {"reasoning": {"effort": "off"}},
        ),
        ({"model_options": {"new": 1}}, {"temperature": 0.2}, {"new": 1, "temperature": 0.2}),
    ],
)
def test_options_from_several_places(world: World, payload: Any, fields: Any, options: Any) -> None:
    body = asked(world, {"messages": [QUESTION], **payload}, **fields)
    assert body == {"model": "GigaChat", "messages": [QUESTION], "model_options": options}


class City(BaseModel):
    name: str


class Out(BaseModel):
    answer: str
    n: int = Field(ge=0)


SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "Out",
    "properties": {
        "answer": {"title": "Answer", "type": "string"},
        "n": {"minimum": 0, "title": "N", "type": "integer"},
    },
    "required": ["answer", "n"],
}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"type": "text"}, {"type": "text"}),
        (
            {"type": "json_schema", "schema": SCHEMA, "strict": True},
            {"type": "json_schema", "schema": SCHEMA, "strict": True},
        ),
        ({"schema": SCHEMA}, {"type": "json_schema", "schema": SCHEMA}),
        ({"schema": Out}, {"type": "json_schema", "schema": SCHEMA}),
        (ChatResponseFormat.model_validate({"schema": Out(answer="", n=1)}), {"type": "json_schema", "schema": SCHEMA}),
        (
            JsonSchemaResponseFormat.model_validate({"schema": Out, "strict": False}),
            {"type": "json_schema", "schema": SCHEMA, "strict": False},
        ),
        ({"regex": "[A-Z]{3}"}, {"type": "regex", "regex": "[A-Z]{3}"}),
        (ChatResponseFormat(type="new", regex="a"), {"type": "new", "regex": "a"}),
        ({"schema": "text of a schema"}, {"type": "json_schema", "schema": "text of a schema"}),
    ],
)
def test_forms_of_an_answer(world: World, given: Any, expected: Any) -> None:
    assert asked(world, "Hi", response_format=given)["model_options"] == {"response_format": expected}


def functions(*specifications: Any) -> dict[str, Any]:
    return {"functions": {"specifications": list(specifications)}}


EMPTY = {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    ("tools", "expected"),
    [
        (["web_search", "image_generate"], [{"web_search": {}}, {"image_generate": {}}]),
        (["not_known_yet"], [{"not_known_yet": {}}]),
        (("memory",), [{"memory": {}}]),
        ({"memory": None}.keys(), [{"memory": {}}]),
        (
            [{"web_search": {"type": "safe_search", "indexes": ["a"]}}],
            [{"web_search": {"type": "safe_search", "indexes": ["a"]}}],
        ),
        ([{"web_search": None}], [{"web_search": {}}]),
        ([ChatWebSearchTool(flags=["f"])], [{"web_search": {"flags": ["f"]}}]),
        ([ChatTool(code_interpreter={})], [{"code_interpreter": {}}]),
        ([ChatTool.model_validate("get_datetime")], [{"get_datetime": {}}]),
        ([{"new": {"deep": [None]}}], [{"new": {"deep": [None]}}]),
        # One tool has one key.
        ([ChatTool(web_search=ChatWebSearchTool(), memory={"a": 1})], [{"web_search": {}}, {"memory": {"a": 1}}]),
        # Own functions in any form are one tool.
        ([WEATHER], [functions(WEATHER)]),
        ([{"type": "function", "function": WEATHER}], [functions(WEATHER)]),
        ([{"type": "function", "strict": True, **WEATHER}], [functions(WEATHER)]),
        ([functions(WEATHER)], [functions(WEATHER)]),
        ([{"functions": [WEATHER]}], [functions(WEATHER)]),
        ([Function.model_validate(WEATHER)], [functions(WEATHER)]),
        ([ChatFunctionsTool.model_validate({"specifications": [WEATHER]})], [functions(WEATHER)]),
        (
            [{**WEATHER, "parameters": FunctionParameters.model_validate(WEATHER["parameters"])}],
            [functions(WEATHER)],
        ),
        ([ChatFunctionSpecification.model_validate(WEATHER)], [functions(WEATHER)]),
        ([Function(name="f")], [functions({"name": "f", "parameters": EMPTY})]),
        ([{"name": "f"}], [functions({"name": "f", "parameters": EMPTY})]),
        ([{"name": "f", "parameters": {}}], [functions({"name": "f", "parameters": {}})]),
        (
            [{"name": "f"}, "web_search", ChatTool.model_validate(functions(WEATHER)), Function(name="g")],
            [
                functions({"name": "f", "parameters": EMPTY}, WEATHER, {"name": "g", "parameters": EMPTY}),
                {"web_search": {}},
            ],
        ),
    ],
)
def test_tools_in_every_form(world: World, tools: Any, expected: Any) -> None:
    assert asked(world, "Hi", tools=tools)["tools"] == expected


class Forecast(BaseModel):
    """Tell the weather."""

    city: City
    days: int | None = Field(default=None, ge=1, description="How far")


def test_a_schema_of_a_model_is_a_function(world: World) -> None:
    schema = Forecast.model_json_schema()
    before = copy.deepcopy(schema)
    (function,) = asked(world, "Hi", tools=[schema])["tools"][0]["functions"]["specifications"]
    assert function["name"] == "Forecast"
    assert function["description"] == "Tell the weather."
    assert function["parameters"] == {name: schema[name] for name in ("$defs", "type", "properties", "required")}
    assert schema == before


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("auto", {"mode": "auto"}),
        ("none", {"mode": "none"}),
        ("weather", {"mode": "forced", "function_name": "weather"}),
        ("Titled", {"mode": "forced", "function_name": "Titled"}),
        ("web_search", {"mode": "forced", "tool_name": "web_search"}),
        ("any", {"mode": "any"}),
        ({"functions_names_any": ["weather"]}, {"mode": "any", "functions_names_any": ["weather"]}),
        ({"mode": "auto"}, {"mode": "auto"}),
        ({"mode": "auto", "tool_name": "web_search"}, {"mode": "auto", "tool_name": "web_search"}),
        ({"function_name": "weather"}, {"mode": "forced", "function_name": "weather"}),
        (ChatToolConfig(tool_name="web_search"), {"mode": "forced", "tool_name": "web_search"}),
        ({"mode": "function", "function_name": "f", "new": 1}, {"mode": "function", "function_name": "f", "new": 1}),
    ],
)
def test_use_of_tools(world: World, config: Any, expected: Any) -> None:
    tools = [WEATHER, "web_search", {"title": "Titled", "properties": {}}]
    assert asked(world, "Hi", tools=tools, tool_config=config)["tool_config"] == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"storage": True}, {"model": "GigaChat", "storage": {}}),
        ({"storage": False}, {"model": "GigaChat"}),
        (
            {"storage": {"limit": 3, "metadata": {"a": None}}},
            {"model": "GigaChat", "storage": {"limit": 3, "metadata": {"a": None}}},
        ),
        ({"storage": {"thread_id": "t"}}, {"storage": {"thread_id": "t"}}),
        ({"storage": ChatStorage(thread_id="t")}, {"storage": {"thread_id": "t"}}),
        ({"assistant_id": "a"}, {"assistant_id": "a"}),
        ({"assistant_id": "a", "model": "m"}, {"assistant_id": "a", "model": "m"}),
        (
            {"ranker_options": {"enabled": True, "top_n": 2, "embeddings_model": "e"}},
            {"model": "GigaChat", "ranker_options": {"enabled": True, "top_n": 2, "embeddings_model": "e"}},
        ),
        (
            {"user_info": {"timezone": "Europe/Moscow"}},
            {"model": "GigaChat", "user_info": {"timezone": "Europe/Moscow"}},
        ),
        (
            {"filter_config": {"request_content": {"neuro": False}, "response_content": {"blacklist": True}}},
            {
                "model": "GigaChat",
                "filter_config": {"request_content": {"neuro": False}, "response_content": {"blacklist": True}},
            },
        ),
        ({"flags": ["preprocess"]}, {"model": "GigaChat", "flags": ["preprocess"]}),
        ({"tools_state_id": "s"}, {"model": "GigaChat", "tools_state_id": "s"}),
        ({"functions_state_id": "s"}, {"model": "GigaChat", "tools_state_id": "s"}),
        ({"not_known_yet": {"a": [None]}}, {"model": "GigaChat", "not_known_yet": {"a": [None]}}),
        (
            {"additional_fields": {"new": 1, "model": "other", "top_p": 0.5}, "model": "m"},
            {"model": "m", "new": 1, "model_options": {"top_p": 0.5}},
        ),
        (
            {"tool_config": {"mode": "any", "functions_names_any": ["f", "g"]}},
            {"model": "GigaChat", "tool_config": {"mode": "any", "functions_names_any": ["f", "g"]}},
        ),
    ],
)
def test_further_fields(world: World, fields: dict[str, Any], expected: dict[str, Any]) -> None:
    assert asked(world, "Hi", **fields) == {"messages": [QUESTION], **expected}
    assert asked(world, {"messages": [QUESTION], **fields}) == {"messages": [QUESTION], **expected}


@pytest.mark.parametrize(
    ("settings", "payload", "fields", "expected"),
    [
        ({"profanity_check": False}, {}, {}, True),
        ({"profanity_check": True}, {}, {}, False),
        ({}, {"profanity_check": False}, {}, True),
        ({}, {}, {"profanity_check": True}, False),
        ({"profanity_check": False}, {"profanity_check": True}, {}, False),
        ({"profanity_check": False}, {"disable_filter": False}, {}, False),
        ({}, {"disable_filter": True, "profanity_check": True}, {}, True),
        ({}, {"disable_filter": False}, {"profanity_check": False}, True),
        ({}, {"profanity_check": True}, {"disable_filter": True}, True),
        ({}, {}, {}, None),
    ],
)
def test_the_filter_by_either_name(world: World, settings: Any, payload: Any, fields: Any, expected: Any) -> None:
    create(world, world.client(**settings), {"messages": [QUESTION], **payload}, **fields)
    body = sent(world)
    assert body.get("disable_filter") is expected
    assert "profanity_check" not in body
    if not payload and not fields:
        create(world, world.client(**settings), "Hi")
        assert sent(world) == body


def test_a_request_that_was_built_with_the_old_name_can_be_given_the_other_answer(world: World) -> None:
    request = ChatCompletionRequest(messages=[ChatMessage(role="user", content="Hi")], profanity_check=True)
    assert request.disable_filter is False
    assert asked(world, request, profanity_check=False)["disable_filter"] is True
    assert request.disable_filter is False


def test_a_request_may_begin_without_messages_but_is_not_sent_so(world: World) -> None:
    request = ChatCompletionRequest(messages=[])
    with pytest.raises(ValueError, match="messages is empty: give at least one message"):
        create(world, world.client(), request)
    assert world.requests == []
    request.messages.append(ChatMessage(role="user", content="x"))
    assert asked(world, request)["messages"] == [{"role": "user", "content": [{"text": "x"}]}]


def test_flags_of_the_client_are_sent_with_each_chat(world: World) -> None:
    giga = world.client(flags=["a"])
    create(world, giga, "Hi")
    assert sent(world)["flags"] == ["a"]
    create(world, giga, "Hi", temperature=0.2)
    assert sent(world)["flags"] == ["a"]
    create(world, giga, "Hi", flags=["b"])
    assert sent(world)["flags"] == ["b"]


def test_the_model_of_the_client_is_the_default(world: World) -> None:
    giga = world.client(model="GigaChat-3-Ultra")
    create(world, giga, "Hi")
    assert sent(world)["model"] == "GigaChat-3-Ultra"
    create(world, giga, "Hi", top_p=0.5)
    assert sent(world)["model"] == "GigaChat-3-Ultra"
    create(world, giga, "Hi", model=" ")
    assert sent(world)["model"] == "GigaChat-3-Ultra"


@pytest.mark.parametrize(
    ("payload", "fields", "wrong", "text"),
    [
        (5, {}, TypeError, "a ChatCompletionRequest, a mapping of its fields or a list of messages, not int"),
        (b"Hi", {}, TypeError, "not bytes"),
        (
            models.Chat(messages=[models.Messages(role=models.MessagesRole.USER, content="a")]),
            {},
            TypeError,
            "not Chat",
        ),
        ("", {}, ValueError, "the message is empty"),
        (None, {}, ValueError, "no messages: give a text, or messages="),
        ([], {}, ValueError, "messages is empty"),
        ("Hi", {"functions": [WEATHER]}, TypeError, r"functions= belongs to chats v1; a chat v2 takes tools=\[...\]"),
        ("Hi", {"function_call": "auto"}, TypeError, "a chat v2 takes tool_config="),
        ("Hi", {"response_format": Out}, TypeError, r"for a class use chat.parse\("),
        ("Hi", {"model_options": {"response_format": Out}}, TypeError, r"for a class use chat.parse\("),
        (
            "Hi",
            {"tool_config": "weather"},
            ValueError,
            "tool_config: 'weather' is neither 'auto', 'none', 'any' nor the name",
        ),
        ("Hi", {"tools": "web_search"}, ValueError, "tools must be a list"),
        ("Hi", {"tools": [5]}, ValueError, r"tools\[0\]"),
        ("Hi", {"tools": [{"name": "f", "parameters": 5}]}, ValueError, r"parameters: must be a mapping"),
        ("Hi", {"tools": [{"name": "f", "parameters": City}]}, ValueError, r"parameters: must be a mapping"),
        ("Hi", {"tools": [5], "tool_config": "f"}, ValueError, "tool_config"),
        ("Hi", {"tools": [{"functions": 5}], "tool_config": "f"}, ValueError, "tool_config"),
        ("Hi", {"tools": [{"functions": [5]}], "tool_config": "f"}, ValueError, "tool_config"),
        ("Hi", {"model_options": "fast"}, ValueError, "model_options"),
        ("Hi", {"temperature": "warm"}, ValueError, r"model_options.temperature: must be a number"),
        ("Hi", {"temperature": float("nan")}, ValueError, r"model_options.temperature: nan is not a number"),
        ([{"content": "Hi"}], {}, ValueError, r"messages\[0\].role: is missing"),
        (
            [{"role": "user", "content": ["a", {"files": 5}]}],
            {},
            ValueError,
            r"messages\[0\].content\[1\].files: must be a list",
        ),
        ([{"role": "user", "content": 5}], {}, ValueError, r"messages\[0\].content: must be text, a part"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_before_anything_is_sent(
    world: World, payload: Any, fields: Any, wrong: type[Exception], text: str
) -> None:
    with pytest.raises(wrong, match=text) as raised:
        create(world, world.client(), payload, **fields)
    assert "\n" not in str(raised.value)
    assert world.requests == []


def test_objects_of_the_caller_are_not_changed(world: World) -> None:
    message = ChatMessage(
        role="assistant", content=[{"function_call": {"name": "weather", "arguments": {"city": "П"}}}]
    )
    result = ChatMessage.function_result("weather", "sunny")
    options = ChatModelOptions(temperature=1.0)
    tool, function = ChatTool.model_validate(functions(WEATHER)), Function.model_validate(WEATHER)
    request = ChatCompletionRequest(
        messages=[message, result], model_options=options, tools=[tool], profanity_check=True
    )
    payload = {"messages": [message, result], "tools": [tool, function, WEATHER], "model_options": {"top_p": 0.5}}
    held: list[Any] = [message, result, options, tool, function, request, payload]
    before = copy.deepcopy(held)
    sets = [set(one.model_fields_set) for one in held[:-1]]
    fields: dict[str, Any] = {"temperature": 0.2, "tools": [function, tool], "profanity_check": False, "storage": True}
    world.answers = [Answer(ANSWER), Answer(ANSWER)]
    create(world, world.client(), request, **fields)
    create(world, world.client(), payload, **fields)
    assert held == before
    assert [set(one.model_fields_set) for one in held[:-1]] == sets
    assert request.messages[0] is message
    assert sent(world)["messages"][1]["content"][0]["function_result"]["result"] == {"result": "sunny"}


# Results of functions.


def test_a_function_round_trip(world: World) -> None:
    giga = world.client()
    world.answers = [Answer(CALLED), Answer(ANSWER)]
    first = create(world, giga, "Hi", tools=[WEATHER], tool_config="weather")
    assert first.finish_reason == "function_call"
    (called,) = first.function_calls
    assert (called.id_, called.name, called.arguments) == ("c1", "weather", {"city": "Псков"})
    state = first.messages[0].tools_state_id
    assert state == "019e"
    result = ChatMessage.function_result(called.name, {"t": -3, "wind": None}, id_=called.id_, tools_state_id=state)
    create(world, giga, [QUESTION, *first.messages, result], tools=[WEATHER])
    assert sent(world)["messages"] == [
        QUESTION,
        {"role": "assistant", "tools_state_id": "019e", "content": CALLED["messages"][0]["content"]},
        {
            "role": "function",
            "tools_state_id": "019e",
            "content": [{"function_result": {"id": "c1", "name": "weather", "result": {"t": -3, "wind": None}}}],
        },
    ]
    assert len(world.api_requests) == 2


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"t": -3}, {"t": -3}),
        ([1, None], [1, None]),
        ('{"t": -3}', '{"t": -3}'),
        ("[1]", "[1]"),
        (City(name="П"), {"name": "П"}),
        # What the service would refuse, or may: it stands in an object.
        ("sunny", {"result": "sunny"}),
        ("", {"result": ""}),
        ("5", {"result": "5"}),
        ('"a"', {"result": '"a"'}),
        ("[" * 100_000, {"result": "[" * 100_000}),
        (None, {"result": None}),
        (5, {"result": 5}),
        (0.5, {"result": 0.5}),
        (False, {"result": False}),
    ],
)
def test_a_result_goes_out_as_a_document(world: World, result: Any, expected: Any) -> None:
    message = ChatMessage.function_result("f", result)
    (out,) = asked(world, [message])["messages"]
    assert out == {"role": "function", "content": [{"function_result": {"name": "f", "result": expected}}]}
    # However it was written.
    part = {"function_result": {"name": "f", "result": result}}
    (out,) = asked(world, [{"role": "tool", "content": part}])["messages"]
    assert out["content"] == [{"function_result": {"name": "f", "result": expected}}]


def result(role: str) -> dict[str, Any]:
    return {"role": role, "content": [{"function_result": {"name": "f", "result": {"a": 1}}}]}


@pytest.mark.parametrize(
    ("options", "written", "role"),
    [
        ({}, "tool", "function"),  # the vendor's host
        ({}, "function", "function"),
        ({"base_url": "https://api.giga.chat/v1"}, "tool", "function"),
        ({"base_url": OWN}, "tool", "tool"),
        ({"base_url": OWN}, "function", "function"),
        ({"base_url": OWN, "v2_base_url": "https://api.giga.chat/v2"}, "tool", "function"),
        ({"v2_base_url": OWN}, "tool", "tool"),
        ({"function_result_role": "tool"}, "function", "tool"),
        ({"base_url": OWN, "function_result_role": "function"}, "tool", "function"),
        ({"base_url": OWN, "function_result_role": "tool"}, "observer", "observer"),
        ({}, "user", "user"),
    ],
)
def test_the_role_of_results(world: World, options: Any, written: str, role: str) -> None:
    world.answers = [Answer(ANSWER)]
    create(world, world.client(**options), [QUESTION, {"role": "tool", "content": "no result"}, result(written)])
    assert [message["role"] for message in sent(world)["messages"]] == ["user", "tool", role]


@pytest.mark.parametrize(
    ("options", "messages"),
    [
        ({}, [QUESTION, result("tool")]),
        ({"base_url": OWN}, [QUESTION, result("tool")]),
        ({"base_url": OWN}, [QUESTION, result("function")]),
        ({"function_result_role": "tool"}, [QUESTION, result("tool")]),
        ({}, [QUESTION]),
    ],
)
def test_no_other_role_is_tried_and_the_error_has_a_hint(world: World, options: Any, messages: Any) -> None:
    giga = world.client(**options)
    world.answers = [error(400, SYNTAX), Answer(ANSWER)]
    with pytest.raises(BadRequestError, match=r"unknown role.*function_result_role=") as raised:
        create(world, giga, messages)
    assert raised.value.message == SYNTAX
    first = sent(world)["messages"]
    assert create(world, giga, messages).text == "Hello"
    assert sent(world)["messages"] == first  # nothing was learned of the refusal
    assert len(world.api_requests) == 2


# Where it goes.

A, B = f"{VENDOR}/api/v2/chat/completions", f"{VENDOR}/v2/chat/completions"


def page(status: int) -> Answer:
    return Answer(b"\n <html><body>no</body></html>", status, {"Content-Type": "text/html"})


@pytest.mark.parametrize(
    "refusal",
    [
        page(400),
        page(403),
        page(404),
        page(405),
        error(404, "Not Found"),
        Answer(b"no such file", 404),
        Answer(b"404 page not found", 404),
        Answer(b"", 404),
    ],
)
@pytest.mark.parametrize("payload", ["Hi", [QUESTION]])
def test_the_other_address_is_tried_once_and_what_answered_is_kept(world: World, refusal: Answer, payload: Any) -> None:
    giga = world.client()
    world.answers = [refusal, Answer(ANSWER), Answer(ANSWER), Answer(ANSWER), refusal]
    assert create(world, giga, payload).text == "Hello"
    create(world, giga, "Hi")
    create(world, giga.with_options(max_retries=1), [QUESTION])
    assert addresses(world) == [A, B, B, B]
    with pytest.raises(ResponseError):
        create(world, giga, "Hi")
    assert addresses(world)[4:] == [B]


@pytest.mark.parametrize(
    "refusal",
    [
        error(404, "No such model"),
        error(404, "Unknown tool x"),
        error(404, "Thread not found"),
        error(404, "No such assistant"),
        error(404, "File not found"),
        error(400, "no"),
        error(403, "Permission denied"),
        error(422, "Not Found"),
    ],
)
def test_the_apis_own_refusals_are_not_about_the_address(world: World, refusal: Answer) -> None:
    giga = world.client()
    world.answers = [refusal, Answer(ANSWER)]
    with pytest.raises(ResponseError):
        create(world, giga, "Hi")
    assert addresses(world) == [A]


def test_the_first_address_is_kept_once_it_answered(world: World) -> None:
    giga = world.client()
    create(world, giga, "Hi")
    world.answers = [page(404), Answer(ANSWER)]
    with pytest.raises(NotFoundError):
        create(world, giga, "Hi")
    assert addresses(world) == [A, A]


def test_no_address_answers(world: World) -> None:
    giga = world.client()
    world.answers = [page(404), page(404)]
    with pytest.raises(NotFoundError, match="v2_base_url="):
        create(world, giga, "Hi")
    assert addresses(world) == [A, B]
    assert len(giga._service.v2_urls) == 2


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"base_url": "https://api.giga.chat/v1"}, "https://api.giga.chat/v2/chat/completions"),
        ({"base_url": "https://own.example/gigachat"}, "https://own.example/gigachat/chat/completions"),
        ({"v2_base_url": "https://own.example/x/v2"}, "https://own.example/x/v2/chat/completions"),
    ],
)
def test_where_there_is_one_address_only_it_is_asked(world: World, options: Any, expected: str) -> None:
    world.answers = [page(404), Answer(ANSWER)]
    with pytest.raises(NotFoundError):
        create(world, world.client(**options), "Hi")
    assert addresses(world) == [expected]


@pytest.mark.parametrize("told", ["/v2/other/chat", f"{VENDOR}/v2/other/chat", f"{VENDOR}/api/v2/other/chat"])
def test_an_address_of_the_context_is_the_only_one(world: World, told: str) -> None:
    giga = world.client()
    world.answers = [Answer(ANSWER), page(404), Answer(ANSWER), Answer(ANSWER)]
    token = chat_completions_url_cvar.set(told)
    try:
        create(world, giga, "Hi")
        with pytest.raises(NotFoundError):
            create(world, giga, [result("tool")])
        assert sent(world)["messages"][0]["role"] == "function"  # the vendor's host
    finally:
        chat_completions_url_cvar.reset(token)
    assert len(giga._service.v2_urls) == 2
    create(world, giga, "Hi")
    assert addresses(world) == [f"{VENDOR}{told.removeprefix(VENDOR)}"] * 2 + [A]


def test_an_address_of_another_origin_is_refused(world: World) -> None:
    token = chat_completions_url_cvar.set("https://elsewhere.example/chat")
    try:
        for payload in ("Hi", [result("tool")]):
            with pytest.raises(ValueError, match="must be a path, or begin with"):
                create(world, world.client(), payload)
    finally:
        chat_completions_url_cvar.reset(token)
    assert world.api_requests == []


def test_a_result_keeps_its_role_at_the_other_address(world: World) -> None:
    giga = world.client()
    world.answers = [page(404), Answer(ANSWER), Answer(ANSWER)]
    create(world, giga, [result("tool")])
    create(world, giga, [result("function")])
    assert addresses(world) == [A, B, B]
    assert [sent(world, number)["messages"][0]["role"] for number in range(3)] == ["function"] * 3


def test_a_call_finds_the_address_though_another_found_it_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World("async")
    giga = world.client()
    world.answers = [page(404), Answer(ANSWER), page(404), Answer(ANSWER)]
    send = world.send

    async def late(request: Any) -> Any:
        if len(world.api_requests) == 1 and request.url == A:
            for _ in range(100):
                await asyncio.sleep(0)
            assert len(giga._service.v2_urls) == 1  # the other call is through
        return await send(request)

    async def main() -> Any:
        await giga.aget_token()
        monkeypatch.setattr(world, "send", late)
        return await asyncio.gather(giga.achat.create("Hi"), giga.achat.create("Hi"))

    assert [answer.text for answer in asyncio.run(main())] == ["Hello"] * 2
    assert addresses(world) == [A, B, A, B]


# What comes back.


def read(world: World, body: Any) -> ChatCompletionResponse:
    world.answers = [Answer(body)]
    return create(world, world.client(), "Hi")


def test_every_field_is_read(world: World) -> None:
    logprob = {"chosen": {"token": "a", "token_id": 5, "logprob": -0.5}, "top": []}
    answer = read(
        world,
        {
            **ANSWER,
            "thread_id": "t",
            "additional_data": {"execution_steps": [{"ts_start": 1}]},
            "error_details": {"code": 5},
            "messages": [
                {"role": "reasoning", "content": [{"text": "Well, "}, {"text": "yes."}]},
                {
                    "role": "assistant",
                    "message_id": "m",
                    "tools_state_id": "s",
                    "content": [
                        {"files": [{"id": "f", "mime": "image/jpeg", "target": "image"}]},
                        {"text": "A", "inline_data": {"sources": {"1": {"url": "u", "title": "t"}}, "images": []}},
                        {"tool_execution": {"name": "image_generation", "status": "success", "seconds_left": 1.5}},
                        {"text": "B", "logprobs": [logprob]},
                        {"function_call": {"name": "f", "arguments": '{"a": 1}'}},
                        {"function_call": {"name": "g"}},
                    ],
                },
            ],
        },
    )
    assert answer.text == "AB"
    assert answer.error_details == {"code": 5}
    assert answer.reasoning_content == "Well, yes."
    assert [(one.name, one.arguments) for one in answer.function_calls] == [("f", {"a": 1}), ("g", {})]
    assert [(file.id_, file.mime, file.target) for file in answer.files] == [("f", "image/jpeg", "image")]
    assert answer.additional_data == {"execution_steps": [{"ts_start": 1}]}
    message = answer.messages[1]
    assert (message.message_id, message.tools_state_id, answer.thread_id) == ("m", "s", "t")
    assert message.content is not None
    assert message.content[1].inline_data is not None
    assert message.content[1].inline_data.sources is not None
    assert message.content[1].inline_data.sources["1"].url == "u"
    assert message.content[2].tool_execution is not None
    assert message.content[2].tool_execution.seconds_left == 1.5
    assert message.content[3].logprobs is not None
    assert message.content[3].logprobs[0].chosen is not None
    assert message.content[3].logprobs[0].chosen.logprob == -0.5
    assert answer.usage is not None
    assert answer.usage.total_tokens == 21
    assert answer.usage.input_tokens_details is not None
    assert answer.usage.input_tokens_details.cached_tokens == 0
    assert answer.x_headers == {"x-request-id": None, "x-session-id": None, "x-client-id": None}


@pytest.mark.parametrize(
    ("changes", "look", "expected"),
    [
        ({"created_at": "1780321855"}, lambda answer: answer.created_at, 1780321855),
        ({"created_at": None}, lambda answer: answer.created_at, None),
        ({"usage": None}, lambda answer: answer.usage, None),
        ({"usage": {"input_tokens": None, "new": 1}}, lambda answer: answer.usage.new, 1),
        ({"finish_reason": "solar_flare"}, lambda answer: answer.finish_reason, "solar_flare"),
        ({"additional_data": [1]}, lambda answer: answer.additional_data, [1]),
        (
            {"messages": None},
            lambda answer: (answer.messages, answer.text, answer.function_calls, answer.files),
            ([], "", [], []),
        ),
        ({"messages": []}, lambda answer: answer.text, ""),
        ({"messages": [{"role": "assistant", "content": None}]}, lambda answer: answer.text, ""),
        ({"messages": [{"role": "assistant"}]}, lambda answer: (answer.text, answer.function_calls), ("", [])),
        ({"messages": [{"role": "assistant", "content": "Hi"}]}, lambda answer: answer.text, "Hi"),
        ({"messages": [{"role": "assistant", "content": {"text": "Hi"}}]}, lambda answer: answer.text, "Hi"),
        (
            {"messages": [{"role": "newer", "content": "Hi"}]},
            lambda answer: (answer.messages[0].role, answer.text),
            ("newer", ""),
        ),
        (
            {"messages": [{"role": "assistant", "content": [{"files": None, "text": None}]}]},
            lambda answer: answer.files,
            [],
        ),
        (
            {"messages": [{"role": "assistant", "function_call": {"name": "f", "arguments": {}}}]},
            lambda answer: len(answer.function_calls),
            1,
        ),
        (
            {"messages": [{"role": "assistant", "content": {"function_call": {"name": "f", "arguments": None}}}]},
            lambda answer: answer.function_calls[0].arguments,
            {},
        ),
        (
            {"messages": [{"role": "assistant", "content": {"function_call": {"name": "f", "arguments": "{a"}}}]},
            lambda answer: answer.function_calls[0].arguments,
            "{a",
        ),
        (
            {"messages": [{"role": "assistant", "content": {"function_call": {"name": "f", "arguments": "[1]"}}}]},
            lambda answer: answer.function_calls[0].arguments,
            "[1]",
        ),
        ({"tool_state_id": "s"}, lambda answer: answer.tools_state_id, "s"),
        (
            {"text": "not ours", "files": 5},
            lambda answer: (answer.text, answer.files, answer.model_extra),
            ("Hello", [], {"text": "not ours", "files": 5}),
        ),
        ({"not_known_yet": [None]}, lambda answer: answer.not_known_yet, [None]),
    ],
)
def test_reading_is_tolerant(
    world: World, changes: Any, look: Callable[[ChatCompletionResponse], Any], expected: Any
) -> None:
    assert look(read(world, {**ANSWER, **changes})) == expected


def test_the_other_name_of_the_moment_is_read(world: World) -> None:
    body = {name: value for name, value in ANSWER.items() if name != "created_at"}
    assert read(world, {**body, "created": 5}).created_at == 5


STATES: list[tuple[dict[str, Any], str | None]] = [
    ({"tools_state_id": "s"}, "s"),
    ({"tool_state_id": "s"}, "s"),
    ({"functions_state_id": "s"}, "s"),
    ({"tools_state_id": None, "tool_state_id": "s"}, "s"),
    ({"tool_state_id": None, "functions_state_id": "s"}, "s"),
    ({"functions_state_id": "c", "tool_state_id": "b", "tools_state_id": "a"}, "a"),
    ({"functions_state_id": "c", "tool_state_id": "b"}, "b"),
    ({"tool_state_id": None}, None),
    ({}, None),
]


@pytest.mark.parametrize(("given", "state"), STATES)
def test_the_state_has_three_names_and_goes_back_under_one(world: World, given: Any, state: str | None) -> None:
    answer = read(world, {**ANSWER, "messages": [{"role": "assistant", "content": "Hi", **given}]})
    assert answer.messages[0].tools_state_id == state
    (out,) = asked(world, answer.messages)["messages"]
    assert out.pop("tools_state_id", None) == state
    assert out == {"role": "assistant", "content": [{"text": "Hi"}]}
    # Mappings of the caller's, too.
    (out,) = asked(world, [{"role": "assistant", "content": "Hi", **given}])["messages"]
    assert {name: value for name, value in out.items() if "state" in name} == (
        {"tools_state_id": state} if state else {}
    )


def test_additional_fields_of_a_request_are_merged_into_it(world: World) -> None:
    request = ChatCompletionRequest(
        messages=[ChatMessage(role="user", content="Hi")], model="m", additional_fields={"new": 1, "model": "other"}
    )
    assert asked(world, request) == {"model": "m", "messages": [QUESTION], "new": 1}
    assert request.additional_fields == {"new": 1, "model": "other"}


def test_a_message_of_an_answer_goes_back_as_it_came(world: World) -> None:
    message = {
        "role": "assistant",
        "tools_state_id": "s",
        "message_id": "m",
        "content": [
            {"files": [{"id": "f", "mime": "image/jpeg", "target": "image"}]},
            {"text": "A", "inline_data": {"sources": {"1": {"url": "u", "title": "t", "new": None}}, "images": []}},
            {"function_call": {"name": "f", "arguments": {"a": None}, "id": "c"}, "new": {"a": 1}},
        ],
        "new": "x",
    }
    answer = read(world, {**ANSWER, "messages": [message]})
    (out,) = asked(world, answer.messages)["messages"]
    message["content"][1]["inline_data"]["sources"]["1"].pop("new")  # type: ignore[index]
    assert out == message


def test_answers_survive_copy_pickle_and_json(world: World) -> None:
    answer = read(world, {**CALLED, "new": {"a": [1]}})
    assert pickle.loads(pickle.dumps(answer)) == copy.deepcopy(answer) == answer
    assert ChatCompletionResponse.model_validate(answer.model_dump()) == answer
    assert ChatCompletionResponse.model_validate_json(answer.model_dump_json(by_alias=True)) == answer


def test_properties_of_a_request_reach_into_its_options() -> None:
    request = ChatCompletionRequest(messages=[ChatMessage(role="user", content="Hi")])
    assert (request.reasoning, request.response_format) == (None, None)
    request.reasoning = ChatReasoning(effort="low")
    request.response_format = ChatResponseFormat(regex="a")
    assert request.model_options == ChatModelOptions(
        reasoning=ChatReasoning(effort="low"), response_format=ChatResponseFormat(type="regex", regex="a")
    )
    assert (request.reasoning, request.response_format) == (ChatReasoning(effort="low"), ChatResponseFormat(regex="a"))
    bare = ChatCompletionRequest(messages=[ChatMessage(role="user", content="Hi")])
    bare.response_format = ChatResponseFormat()
    assert bare.model_dump(exclude_none=True)["model_options"] == {"response_format": {"type": "text"}}


def test_fields_have_two_names_where_python_reserves_one() -> None:
    assert models.ChatContentFile(id="f") == models.ChatContentFile(id_="f")  # type: ignore[call-arg]
    one, other = (ChatResponseFormat.model_validate({name: {"a": 1}}) for name in ("schema", "schema_"))
    assert one == other


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"messages": 5}', b'{"choices": []}', b"<html>"])
def test_what_is_no_answer_is_refused(world: World, body: bytes) -> None:
    with pytest.raises(APIResponseValidationError, match="ChatCompletionResponse"):
        read(world, body)


@pytest.mark.parametrize("status", [400, 422])
def test_a_temperature_of_zero_is_explained(world: World, status: int) -> None:
    world.answers = [error(status, "Invalid params: temperature must be in range (0, +inf)")]
    with pytest.raises(ResponseError, match=r"temperature must be above 0; 0\.001 or less"):
        create(world, world.client(), "Hi", temperature=0)
    assert sent(world)["model_options"] == {"temperature": 0}


# Streams.


def delta(
    *parts: Any, role: str | None = "assistant", name: str | None = "response.message.delta", **more: Any
) -> bytes:
    message = {"role": role, "content": list(parts), **more} if role else {"content": list(parts), **more}
    return sse({"model": "m", "created_at": 1, "messages": [message]}, name)


USAGE = ANSWER["usage"]
DONE = sse({"model": "m", "created_at": 1, "finish_reason": "stop", "usage": USAGE}, "response.message.done")
FIRST, SECOND = delta({"text": "При"}), delta({"text": "вет"})


def chunks_of(world: World, pieces: list[Any], into: list[Any] | None = None) -> list[Any]:
    """Read a stream to its end; what came before an error is in `into`."""
    world.answers = [Answer(pieces=pieces)]
    return world.read(world.client(), "Hi", method="chat.stream", into=into)


def put_together(world: World, pieces: list[Any]) -> tuple[list[str], str, ChatCompletionResponse]:
    """Return the texts of a stream, its final text and its final completion."""
    world.answers = [Answer(pieces=pieces)]
    return whole(world.method(world.client(), "chat.stream")("Hi"), asyncio.run)


def test_a_stream_ends_with_the_event_that_says_so(world: World) -> None:
    answer = Answer(pieces=[FIRST + SECOND, DONE + FIRST, FIRST])
    world.answers = [answer]
    stream = world.method(world.client(), "chat.stream")("Hi", temperature=0.2)
    if world.mode == "blocking":
        chunks = list(stream)
    else:

        async def main() -> list[Any]:
            return [chunk async for chunk in stream]

        chunks = asyncio.run(main())
    assert [chunk.event for chunk in chunks] == ["response.message.delta"] * 2 + ["response.message.done"]
    assert [chunk.text for chunk in chunks] == ["При", "вет", ""]
    assert chunks[-1].finish_reason == "stop"
    assert chunks[-1].usage.total_tokens == 21
    assert chunks[0].x_headers == {"x-request-id": None, "x-session-id": None, "x-client-id": None}
    assert answer.state == "finished"  # so that the connection can be kept
    (request,) = world.api_requests
    assert request.headers["Accept"] == "text/event-stream"
    assert request.headers["Cache-Control"] == "no-store"
    assert sent(world) == {
        "model": "GigaChat",
        "messages": [QUESTION],
        "model_options": {"temperature": 0.2},
        "stream": True,
    }


def test_text_alone_is_streamed(world: World) -> None:
    chunks_of(world, [DONE])
    assert sent(world) == {"model": "GigaChat", "messages": [QUESTION], "stream": True}


LAST = sse({"finish_reason": "stop", "usage": USAGE})


@pytest.mark.parametrize(
    ("pieces", "names"),
    [
        ([FIRST, b"data: [DONE]\n\n"], ["response.message.delta"]),
        ([FIRST, DONE, b"data: [DONE]\n\n"], ["response.message.delta", "response.message.done"]),
        ([FIRST, LAST], ["response.message.delta", None]),  # a clean end after a finish reason
        ([delta({"text": "a"}, name=None), DONE], [None, "response.message.done"]),
        ([delta({"text": "a"}, name="response.newer"), DONE], ["response.newer", "response.message.done"]),
        ([b": ping\n\nevent: response.message.delta\n\n", DONE], ["response.message.done"]),
        ([sse({"event": "response.message.done", "finish_reason": "stop"}), FIRST], ["response.message.done"]),
        (
            [sse({"message": "thinking", "status": "ok"}, "response.status"), DONE],
            ["response.status", "response.message.done"],
        ),
    ],
)
def test_good_ends(world: World, pieces: list[bytes], names: list[str | None]) -> None:
    assert [chunk.event for chunk in chunks_of(world, pieces)] == names


@pytest.mark.parametrize("pieces", [[], [FIRST], [FIRST, DONE[:-9]], [FIRST, lost(Stage.READING)]])
def test_any_other_end_is_an_interruption(world: World, pieces: list[Any]) -> None:
    came: list[Any] = []
    with pytest.raises(StreamInterruptedError):
        chunks_of(world, pieces, came)
    assert [chunk.text for chunk in came] == ["При"] * (len(pieces) > 0)


@pytest.mark.parametrize(
    ("piece", "kind"),
    [
        (sse({"status": 429, "message": "Too many requests"}), RateLimitError),
        (sse({"status": 429, "message": "Too many requests"}, "response.message.delta"), RateLimitError),
        (sse({"status": 400, "message": "no"}, "error"), BadRequestError),
        (sse({"status": 500, "message": "no"}, "response.error"), ServerError),
        (sse({"error": {"code": 429, "message": "no"}}, "response.error"), RateLimitError),
        (sse({"error": {"status": 404, "message": "no"}}), NotFoundError),
        (sse({"message": "no"}), ServerError),
        (sse({"messages": [], "finish_reason": "error"}, "response.error"), APIResponseValidationError),
        (sse({"error": {"what": 1}}, "response.message.delta"), APIResponseValidationError),
        (b"data: 5\n\n", APIResponseValidationError),
    ],
)
def test_an_error_in_a_stream_raises_its_class(world: World, piece: bytes, kind: type[Exception]) -> None:
    came: list[Any] = []
    with pytest.raises(kind):
        chunks_of(world, [FIRST, piece, DONE], came)
    assert [chunk.text for chunk in came] == ["При"]


def test_a_stream_put_together(world: World) -> None:
    call_part = {"function_call": {"name": "f", "arguments": {"a": 1}}}
    source = {"url": "u", "title": "t"}
    progress = {"name": "image_generation", "seconds_left": 9, "censored": False}
    pieces = [
        delta({"text": "Well, "}, role="reasoning"),
        delta({"text": "yes."}, role="reasoning"),
        delta({"tool_execution": progress}, name="response.tool.in_progress"),
        delta({"tool_execution": {**progress, "seconds_left": 3}}, name="response.tool.in_progress"),
        delta({"tool_execution": {"name": "image_generation", "status": "success"}}, name="response.tool.completed"),
        delta({"files": [{"id": "f", "mime": "image/jpeg", "target": "image"}]}),
        delta({"text": "При"}),
        delta({"text": "вет [1"}, role=None),
        delta({"text": "]", "inline_data": {"sources": {"1": source}, "images": [1]}}),
        delta({"inline_data": {"sources": {"2": source}, "images": [2], "new": 1}}),
        delta({"text": "!", "logprobs": []}),
        sse(
            {
                "model": "m:1",
                "created_at": 2,
                "thread_id": "t",
                "finish_reason": "function_call",
                "usage": USAGE,
                "additional_data": {"a": 1},
                "messages": [{"role": "assistant", "tool_state_id": "s", "content": [call_part, call_part]}],
                "new": 1,
            },
            "response.message.done",
        ),
    ]
    texts, final, completion = put_together(world, pieces)
    assert texts == ["При", "вет [1", "]", "!"]
    assert final == completion.text == "Привет [1]!"
    assert completion.model_dump(exclude_unset=True, by_alias=True, exclude={"x_headers"}) == {
        "model": "m:1",
        "created_at": 2,
        "thread_id": "t",
        "finish_reason": "function_call",
        "usage": USAGE,
        "additional_data": {"a": 1},
        "new": 1,
        "messages": [
            {"role": "reasoning", "content": [{"text": "Well, yes."}]},
            {
                "role": "assistant",
                "tools_state_id": "s",
                "content": [
                    {"tool_execution": {"name": "image_generation", "status": "success"}},  # how it got on at last
                    {"files": [{"id": "f", "mime": "image/jpeg", "target": "image"}]},
                    {
                        "text": "Привет [1]!",
                        "inline_data": {"sources": {"1": source, "2": source}, "images": [1, 2], "new": 1},
                        "logprobs": [],
                    },
                    call_part,
                    call_part,
                ],
            },
        ],
    }
    assert completion.x_headers == {"x-request-id": None, "x-session-id": None, "x-client-id": None}
    assert completion.reasoning_content == "Well, yes."
    assert [one.name for one in completion.function_calls] == ["f", "f"]


def test_each_message_of_a_stream_keeps_its_state(world: World) -> None:
    calls = [{"function_call": {"id": f"c{number}", "name": "f", "arguments": {}}} for number in range(4)]
    done = {
        "finish_reason": "function_call",
        "messages": [
            {"role": "assistant", "tools_state_id": "s1", "content": [calls[0], calls[1]]},
            {"role": "reasoning", "content": [{"text": " And."}]},
            {"role": "assistant", "tool_state_id": "s2", "content": [calls[2]]},
            {"role": "assistant", "functions_state_id": "s1", "content": [calls[3]]},
        ],
        "logprobs": [{"top": []}],
    }
    pieces = [
        delta({"text": "Well."}, role="reasoning"),
        delta({"text": "First"}),
        sse({"messages": [], "logprobs": [{"chosen": None}]}, "response.message.delta"),
        sse(done, "response.message.done"),
    ]
    _, _, completion = put_together(world, pieces)
    assert [(one.role, one.tools_state_id) for one in completion.messages] == [
        ("reasoning", None),
        ("assistant", "s1"),
        ("assistant", "s2"),
    ]
    assert [one.id_ for one in completion.function_calls] == ["c0", "c1", "c3", "c2"]
    assert [len(one.function_calls) for one in completion.messages] == [0, 3, 1]
    assert completion.reasoning_content == "Well. And."
    assert completion.logprobs is not None
    assert len(completion.logprobs) == 2


def test_message_fields_of_a_stream_are_put_together(world: World) -> None:
    source = {"url": "u", "title": "t"}
    logprob = {"chosen": {"token": "a", "token_id": 5, "logprob": -0.5}, "top": None}
    pieces = [
        sse({"messages": [{"inline_data": {"sources": {"1": source}}, "logprobs": [logprob]}]}),
        sse({"messages": [{"inline_data": {"sources": {"2": source}}, "logprobs": [logprob]}]}),
        sse({"finish_reason": "stop"}),
        b"data: [DONE]\n\n",
    ]
    _, _, completion = put_together(world, pieces)
    (message,) = completion.messages
    assert message.logprobs is not None
    assert message.inline_data is not None
    assert message.inline_data.sources is not None
    assert (len(message.logprobs), [*message.inline_data.sources]) == (2, ["1", "2"])


def test_a_stream_of_events_without_names(world: World) -> None:
    pieces = [
        delta({"text": "При"}, name=None),
        delta({"text": "вет"}, name=None),
        sse({"finish_reason": "stop", "usage": USAGE}),
        b"data: [DONE]\n\n",
    ]
    texts, final, completion = put_together(world, pieces)
    assert (texts, final, completion.finish_reason) == (["При", "вет"], "Привет", "stop")
    assert [chunk.event for chunk in chunks_of(world, pieces)] == [None] * 3


def test_a_stream_without_messages_is_an_empty_answer(world: World) -> None:
    texts, final, completion = put_together(world, [DONE])
    assert (texts, final, completion.text, completion.messages) == ([], "", "", [])
    assert completion.finish_reason == "stop"


def test_a_stream_finds_the_address_too(world: World) -> None:
    giga = world.client()
    world.answers = [page(404), Answer(pieces=[FIRST, DONE]), Answer(pieces=[DONE])]
    for messages in ([result("tool")], [result("function")]):
        stream = world.method(giga, "chat.stream")(messages)
        if world.mode == "blocking":
            list(stream)
        else:

            async def main(stream: Any = stream) -> None:
                async for _ in stream:
                    pass

            asyncio.run(main())
    assert addresses(world) == [A, B, B]
    assert [sent(world, number)["messages"][0]["role"] for number in range(3)] == ["function"] * 3
    assert all(sent(world, number)["stream"] is True for number in range(3))
    assert {request.headers["Accept"] for request in world.api_requests} == {"text/event-stream"}


def test_a_dump_of_what_was_set_has_the_event(world: World) -> None:
    first, *_ = chunks_of(world, [FIRST, DONE])
    dump = first.model_dump(exclude_unset=True)
    assert dump["event"] == "response.message.delta"
    assert dump.keys() == {"event", "model", "created_at", "messages", "x_headers"}


# Structured answers.


def answering(text: str, reason: str = "stop") -> Answer:
    return Answer({**ANSWER, "messages": [{"role": "assistant", "content": [{"text": text}]}], "finish_reason": reason})


def parse(world: World, answer: Answer, *arguments: Any, **fields: Any) -> Any:
    world.answers = [answer]
    return world.do(world.client(), "chat.parse", *arguments, response_format=Out, **fields)


@pytest.mark.parametrize(
    "text",
    [
        '{"answer": "ok", "n": 3}',
        '{\n    "answer": "ok",\n    "n": 3\n}',
        '```json\n{"answer": "ok", "n": 3}\n```',
        ' ```\n{"answer":"ok","n":3}\n```\n',
    ],
)
def test_an_answer_becomes_an_instance(world: World, text: str) -> None:
    completion, parsed = parse(world, answering(text), "Hi", temperature=0.2)
    assert parsed == Out(answer="ok", n=3)
    assert completion.text == text
    assert sent(world)["model_options"] == {
        "temperature": 0.2,
        "response_format": {"type": "json_schema", "schema": SCHEMA, "strict": True},
    }


def test_parts_of_an_answer_are_read_as_one_without_reasoning(world: World) -> None:
    messages = [
        {"role": "reasoning", "content": [{"text": "Hm."}]},
        {"role": "assistant", "content": [{"text": '{"answer": '}, {"text": '"ok", "n": 3}'}]},
    ]
    _, parsed = parse(world, Answer({**ANSWER, "messages": messages}), [QUESTION])
    assert parsed == Out(answer="ok", n=3)


def test_of_several_messages_the_first_with_text_is_the_answer(world: World) -> None:
    messages = [
        {"role": "assistant", "content": [{"tool_execution": {"name": "web_search", "status": "success"}}]},
        {"role": "assistant", "content": [{"text": '{"answer": "ok", '}, {"text": '"n": 3}'}]},
        {"role": "assistant", "content": [{"text": '{"answer": "more", "n": 4}'}]},
    ]
    completion, parsed = parse(world, Answer({**ANSWER, "messages": messages}), "Hi")
    assert parsed == Out(answer="ok", n=3)
    assert len(completion.messages) == 3


class Tree(BaseModel):
    """A model whose schema cannot be written without references."""

    branches: list[Tree]


def test_a_schema_that_refers_to_itself_is_sent_with_its_references(world: World) -> None:
    world.answers = [answering('{"branches": [{"branches": []}]}')]
    _, parsed = world.do(world.client(), "chat.parse", "Hi", response_format=Tree)
    assert parsed == Tree(branches=[Tree(branches=[])])
    assert sent(world)["model_options"]["response_format"]["schema"] == Tree.model_json_schema()


def test_a_payload_is_not_changed_and_strictness_is_asked_for(world: World) -> None:
    payload = {"messages": [QUESTION], "model_options": {"response_format": {"type": "text"}, "max_tokens": 9}}
    before = copy.deepcopy(payload)
    parse(world, answering('{"answer": "ok", "n": 3}'), payload, strict=False)
    assert sent(world)["model_options"] == {
        "max_tokens": 9,
        "response_format": {"type": "json_schema", "schema": SCHEMA, "strict": False},
    }
    assert payload == before


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (answering('{"answer": "o', "length"), LengthFinishReasonError, "raise max_tokens"),
        (answering("no", "blacklist"), ContentFilterFinishReasonError, "'blacklist'"),
        (answering("no", "request_blacklist"), ContentFilterFinishReasonError, "'request_blacklist'"),
        (answering("no", "request_whitelist"), ContentFilterFinishReasonError, "'request_whitelist'"),
        (answering("no", "request_filter"), ContentFilterFinishReasonError, "'request_filter'"),
        (answering("no", "response_blacklist"), ContentFilterFinishReasonError, "'response_blacklist'"),
        (answering('{"answer": 1}'), APIResponseValidationError, "does not fit Out: answer"),
        (answering("no JSON"), APIResponseValidationError, "does not fit Out"),
        (answering("", "error"), GenerationError, "failed to respond"),
        (Answer({**ANSWER, "messages": []}), APIResponseValidationError, "the answer has no text"),
        (Answer(CALLED), APIResponseValidationError, "the answer has no text"),
        (
            Answer(
                {
                    **ANSWER,
                    "messages": [{"role": "assistant", "content": "{", "finish_reason": "length"}],
                    "finish_reason": None,
                }
            ),
            LengthFinishReasonError,
            "raise max_tokens",
        ),
    ],
)
def test_an_answer_that_does_not_fit_is_an_error_with_the_completion(
    world: World, answer: Answer, kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind, match=text) as raised:
        parse(world, answer, "Hi")
    completion = raised.value.completion  # type: ignore[attr-defined]
    assert isinstance(completion, ChatCompletionResponse)
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)


@pytest.mark.parametrize("what", [dict, Out(answer="", n=1), {"type": "object"}, None])
def test_only_a_class_can_be_parsed_into(world: World, what: Any) -> None:
    with pytest.raises(TypeError, match="takes a pydantic model class"):
        world.do(world.client(), "chat.parse", "Hi", response_format=what)
    assert world.requests == []


@pytest.mark.parametrize(
    ("states", "together"),
    [(["s", None], True), (["s", "s"], True), ([None, None], True), (["s", "t"], False), ([None, "t"], False)],
)
def test_a_run_sends_neighbouring_results_of_one_state_in_one_message(
    world: World, states: list[str | None], together: bool
) -> None:
    told = [ChatMessage.function_result(f"f{index}", {}, tools_state_id=state) for index, state in enumerate(states)]
    before = [message.model_copy(deep=True) for message in told]
    world.answers = [answering("done")]
    result = world.do(world.client(), "chat.run", [ChatMessage(role="user", content="x"), *told], tools=[])
    sent = json.loads(world.requests[-1].content or b"")["messages"][1:]
    names = [[part["function_result"]["name"] for part in message["content"]] for message in sent]
    assert names == ([["f0", "f1"]] if together else [["f0"], ["f1"]])
    assert len(result.messages) == 2 + len(sent)
    assert told == before


def test_a_second_try_is_parsed_too(world: World) -> None:
    giga = world.client()
    world.answers = [page(404), answering('{"answer": "ok", "n": 3}')]
    _, parsed = world.do(giga, "chat.parse", [result("tool")], response_format=Out)
    assert parsed == Out(answer="ok", n=3)


def test_plain_names_are_awaited_on_the_async_client(world: World) -> None:
    async def main() -> None:
        giga = AsyncGigaChat(credentials="dGVzdDp0ZXN0", share_token=False)
        transport: Any = world
        giga._start(giga._service, transport, transport)
        world.answers = [Answer(ANSWER), answering('{"answer": "ok", "n": 3}'), Answer(pieces=[FIRST, DONE])]
        assert (await giga.chat.create("Hi")).text == "Hello"
        assert (await giga.chat.parse("Hi", response_format=Out))[1].n == 3
        assert [chunk.text async for chunk in giga.chat.stream("Hi")] == ["При", ""]

    if world.mode == "async":
        asyncio.run(main())


@pytest.mark.parametrize("more", [{}, {"tool_config": "f"}])
@pytest.mark.parametrize("tools", [[], [{"name": "f", "parameters": {}}]])
def test_functions_that_are_no_list_are_refused(world: World, tools: list[Any], more: dict[str, Any]) -> None:
    giga: Any = world.client()
    place = rf"^tools\[{len(tools)}\]\.functions\.specifications: |^tool_config: "
    with pytest.raises(ValueError, match=place):
        giga.chat.create("x", tools=[*tools, {"functions": {"specifications": 5}}], **more)
    assert world.requests == []
