"""Models of the wire: tolerant of what comes, exact in what goes out, and never changing what the caller holds."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from pydantic import BaseModel

from gigachat import APIResponseValidationError
from gigachat.models import (
    AccessToken,
    Chat,
    ChatCompletion,
    ChatCompletionChunk,
    ChatFunctionCall,
    Embeddings,
    Function,
    FunctionCall,
    FunctionParameters,
    FunctionParametersProperty,
    JsonSchemaResponseFormat,
    Messages,
    MessagesRole,
    Model,
    Storage,
    ThreadStatus,
    Token,
    Usage,
)
from tests.support.payloads import DONE
from tests.unit.world import COMPLETION, Answer, World

MESSAGE: dict[str, Any] = {"role": "assistant", "content": "Hello."}


def completion(**changes: Any) -> dict[str, Any]:
    """Return the JSON of an answer whose message has other fields."""
    choice = {"message": {**MESSAGE, **changes}, "index": 0, "finish_reason": "stop"}
    return {**COMPLETION, "choices": [choice]}


def asked(world: World, *arguments: Any, **fields: Any) -> Any:
    """Return the body that a chat sends."""
    world.chat(world.client(), *arguments, **fields)
    return json.loads(world.api_requests[-1].content or b"")


# Reading.


def test_every_field_is_read(world: World) -> None:
    body = completion(
        function_call={"id": "c1", "name": "weather", "arguments": {"city": "Псков"}},
        functions_state_id="0199e210",
        reasoning_content="Well.",
        inline_data={"sources": {"1": {"url": "u"}}},
        logprobs=[{"chosen": {"token": "a"}}],
        name="n",
        attachments=["file"],
        id="m1",
    )
    of_the_answer = {
        "thread_id": "t",
        "message_id": "m",
        "additional_data": {"steps": []},
        "error_details": {"code": 5},
    }
    world.answers = [Answer({**body, **of_the_answer})]
    answer = world.chat(world.client(), "x")
    message = answer.choices[0].message
    assert message.function_call == FunctionCall(id="c1", name="weather", arguments={"city": "Псков"})
    assert message.function_call.id_ == "c1"
    assert (message.inline_data, message.logprobs) == ({"sources": {"1": {"url": "u"}}}, [{"chosen": {"token": "a"}}])
    assert (answer.additional_data, answer.error_details) == ({"steps": []}, {"code": 5})
    assert (message.functions_state_id, message.reasoning_content) == ("0199e210", "Well.")
    assert (message.name, message.attachments, message.id_) == ("n", ["file"], "m1")
    assert (answer.thread_id, answer.message_id, answer.created) == ("t", "m", 1768996171)
    assert (answer.model, answer.object_) == ("GigaChat:2.0.28.2", "chat.completion")
    usage = answer.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (17, 3, 20)
    assert usage.precached_prompt_tokens == 2


@pytest.mark.parametrize("content", [None, ""])
def test_no_content_reads_as_empty_text(world: World, content: Any) -> None:
    world.answers = [Answer(completion(content=content))]
    assert world.chat(world.client(), "x").choices[0].message.content == ""


def test_absent_content_reads_as_empty_text(world: World) -> None:
    body = completion()
    del body["choices"][0]["message"]["content"]
    world.answers = [Answer(body)]
    message = world.chat(world.client(), "x").choices[0].message
    assert message.content == ""
    assert "content" not in message.model_fields_set


@pytest.mark.parametrize("body", [{**COMPLETION, "usage": None}, {k: v for k, v in COMPLETION.items() if k != "usage"}])
def test_missing_usage_reads_as_zeros_with_nothing_set(world: World, body: Any) -> None:
    world.answers = [Answer(body)]
    usage = world.chat(world.client(), "x").usage
    assert type(usage) is Usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (0, 0, 0)
    assert usage.precached_prompt_tokens is None
    assert usage.model_fields_set == set()


@pytest.mark.parametrize("method", ["embeddings", "tokens_count"])
@pytest.mark.parametrize(
    ("texts", "kind", "problem"),
    [
        (None, TypeError, "texts are str or an iterable of str, not NoneType"),
        (5, TypeError, "not int"),
        (["x", 5], TypeError, "text 1 must be str, not int"),
        ([], ValueError, "no texts"),
    ],
)
def test_what_are_no_texts_is_said(method: str, texts: Any, kind: type[Exception], problem: str, world: World) -> None:
    with pytest.raises(kind, match=problem):
        world.do(world.client(), method, texts)
    assert world.requests == []


def test_an_embedding_without_usage(world: World) -> None:
    data = [{"object": "embedding", "index": 0, "embedding": [0.5, 1], "usage": None}, {"embedding": []}]
    world.answers = [Answer({"object": "list", "data": data})]
    answer = world.do(world.client(), "embeddings", ["x"])
    assert isinstance(answer, Embeddings)
    assert answer.data[0].embedding == [0.5, 1.0]
    assert [one.usage.prompt_tokens for one in answer.data] == [0, 0]
    assert answer.model is None
    assert "0.5" not in repr(answer)  # thousands of numbers are no answer to repr


@pytest.mark.parametrize(
    ("arguments", "expected", "text"),
    [
        ({"city": "Псков"}, {"city": "Псков"}, None),
        ('{"city": "Псков"}', {"city": "Псков"}, None),
        ("{}", {}, None),
        (None, None, None),
        ("", None, ""),
        ("{", None, "{"),
        ("[1]", None, "[1]"),
        ("plain words", None, "plain words"),
        ('"{}"', None, '"{}"'),
        ([1, {"a": 2}], None, '[1, {"a": 2}]'),
        (5, None, "5"),
        (1.5, None, "1.5"),
        (True, None, "true"),
    ],
)
def test_arguments_of_a_call_come_as_object_or_text(world: World, arguments: Any, expected: Any, text: Any) -> None:
    world.answers = [Answer(completion(function_call={"name": "f", "arguments": arguments}))]
    call = world.chat(world.client(), "x").choices[0].message.function_call
    assert call.arguments == expected
    assert (call.model_extra or {}).get("arguments_text") == text


def test_a_call_without_arguments(world: World) -> None:
    world.answers = [Answer(completion(function_call={"name": "f"}))]
    assert world.chat(world.client(), "x").choices[0].message.function_call.arguments is None


@pytest.mark.parametrize("role", ["assistant", "reasoning", "судья", "ASSISTANT"])
def test_new_roles_read_as_text(world: World, role: str) -> None:
    world.answers = [Answer(completion(role=role))]
    message = world.chat(world.client(), "x").choices[0].message
    assert message.role == role
    assert asked(world, [message])["messages"][0]["role"] == role
    chunk = ChatCompletionChunk.model_validate({"choices": [{"delta": {"role": role}}]})
    assert chunk.choices[0].delta.role == role


@pytest.mark.parametrize(("kind", "known"), [(MessagesRole, "user"), (ThreadStatus, "ready")])
def test_a_new_value_is_a_member_that_can_be_kept(kind: type[MessagesRole | ThreadStatus], known: str) -> None:
    new = kind("new")
    assert (new.value, new.name, str(new.value), new == "new") == ("new", "NEW", "new", True)
    assert copy.deepcopy(new) == pickle.loads(pickle.dumps(new)) == new
    assert type(copy.deepcopy(new)) is kind
    assert hash(new) == hash(kind("new"))
    assert kind(known) is kind[known.upper()]
    assert "new" not in [member.value for member in kind]  # the list of the known stays as it is
    with pytest.raises(ValueError, match="5"):
        kind(5)


@pytest.mark.parametrize("reason", ["stop", "length", "function_call", "blacklist", "error", "solar_flare", None])
def test_new_finish_reasons_read_as_text(world: World, reason: str | None) -> None:
    body = completion()
    body["choices"][0]["finish_reason"] = reason
    world.answers = [Answer(body)]
    assert world.chat(world.client(), "x").choices[0].finish_reason == reason


@pytest.mark.parametrize("kind", ["chat.completion", "chat.completions", "something.else"])
def test_the_kind_of_object_is_never_compared(world: World, kind: str) -> None:
    world.answers = [Answer({**COMPLETION, "object": kind})]
    assert world.chat(world.client(), "x").object_ == kind


def test_new_fields_are_kept_and_go_out_again(world: World) -> None:
    new = {"mood": ["calm", 0.5, None, {"deep": True}]}
    world.answers = [Answer(completion(marks=new))]
    message = world.chat(world.client(), "x").choices[0].message
    assert message.marks == new
    assert asked(world, [message])["messages"] == [{**MESSAGE, "marks": new}]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"choices": null}',
        b'{"choices": [{}]}',
        b'{"choices": [{"message": {"content": "no role"}}]}',
        b'{"choices": [{"message": {"role": "", "content": "nobody"}}]}',
        b'{"choices": [{"message": {"role": "assistant", "content": 5}}]}',
        b'{"choices": [',
    ],
)
def test_what_is_no_answer_is_refused_with_its_bytes(world: World, body: bytes) -> None:
    world.answers = [Answer(body)]
    with pytest.raises(APIResponseValidationError) as raised:
        world.chat(world.client(), "x")
    assert raised.value.content == body
    assert "ChatCompletion" in str(raised.value)


def test_the_words_of_a_model_are_not_repeated_in_an_error(world: World) -> None:
    world.answers = [Answer({"choices": [{"message": {"role": 5, "content": "private words"}}], "usage": "private"})]
    with pytest.raises(APIResponseValidationError) as raised:
        world.chat(world.client(), "x")
    assert "private" not in str(raised.value)


@pytest.mark.parametrize(
    "answer",
    [
        ChatCompletion.model_validate(completion(new=1)),
        Model.model_validate({"id": "GigaChat", "type": "chat"}),
        AccessToken(access_token="t", expires_at=1),
    ],
    ids=lambda one: type(one).__name__,
)
def test_answers_can_be_copied_and_pickled(answer: BaseModel) -> None:
    for twin in (copy.copy(answer), copy.deepcopy(answer), pickle.loads(pickle.dumps(answer))):
        assert twin == answer
        assert twin.model_dump(exclude_unset=True) == answer.model_dump(exclude_unset=True)


def test_tokens_are_not_shown() -> None:
    shown = repr([AccessToken(access_token="hush", expires_at=1), Token(tok="hush", exp=1)])
    assert "hush" not in shown
    assert "expires_at=1" in shown


# Sending.

FUNCTION: dict[str, Any] = {
    "name": "weather",
    "description": "Weather",
    "parameters": {
        "type": "object",
        "properties": {
            "city": {"type": "string", "enum": ["Псков", "Тверь"]},
            "days": {"type": "integer", "minimum": 1},
        },
        "required": ["city"],
    },
    "few_shot_examples": [{"request": "И в Пскове?", "params": {"city": "Псков", "days": None}}],
    "return_parameters": {"type": "object", "properties": {"t": {"type": "number"}}},
}


def test_every_field_of_a_request_goes_out(world: World) -> None:
    fields: dict[str, Any] = {
        "model": "GigaChat-2-Max",
        "messages": [{"role": "user", "content": "x", "attachments": ["file"]}],
        "temperature": 0.2,
        "top_p": 0.9,
        "n": 1,
        "max_tokens": 10,
        "repetition_penalty": 1.5,
        "update_interval": 0.1,
        "profanity_check": False,
        "function_call": {"name": "weather", "partial_arguments": {"city": "Псков"}},
        "functions": [FUNCTION],
        "flags": ["preprocess"],
        "storage": {"is_stateful": True, "limit": 5, "metadata": {"a": 1}},
        "function_ranker": {"enabled": True, "top_n": 3},
        "response_format": {"type": "text"},
        "reasoning_effort": "off",
        "reasoning_max_tokens": 500,
        "a_new_field": {"deep": [None, 1]},
    }
    before = copy.deepcopy(fields)
    assert asked(world, None, **fields) == before
    assert asked(world, fields) == before
    assert asked(world, Chat.model_validate(fields)) == before
    assert fields == before


def test_an_assistant_stands_in_for_the_model(world: World) -> None:
    messages = [{"role": "user", "content": "x"}]
    assert asked(world, "x", assistant_id="a") == {"assistant_id": "a", "messages": messages}
    chat = Chat(messages=[Messages(role=MessagesRole.USER, content="x")], assistant_id="a")
    assert asked(world, chat) == {"assistant_id": "a", "messages": messages}


def test_a_call_goes_back_with_its_id(world: World) -> None:
    call = {"id": "c1", "name": "weather", "arguments": {"city": "Псков"}}
    message = Messages.model_validate({"role": "assistant", "content": "", "function_call": call})
    for given in (message, message.model_dump(), message.model_dump(by_alias=True)):
        [sent] = asked(world, [given])["messages"]
        assert sent["function_call"] == call


def test_only_what_was_said_goes_out(world: World) -> None:
    bare = {"model": "GigaChat", "messages": [{"role": "user", "content": "x"}]}
    assert asked(world, "x") == bare
    assert asked(world, Chat(messages=[Messages(role=MessagesRole.USER, content="x")])) == bare
    assert asked(world, "x", temperature=None, functions=None, model=None) == bare


def test_fields_win_over_the_payload_and_the_payload_over_the_client(world: World) -> None:
    giga = world.client(model="client", profanity_check=True, flags=["client"])
    chat = Chat(messages=[Messages(role=MessagesRole.USER, content="x")], model="payload", flags=["payload"])
    world.chat(giga, chat, model="field")
    body = json.loads(world.api_requests[-1].content or b"")
    assert (body["model"], body["flags"], body["profanity_check"]) == ("field", ["payload"], True)


@pytest.mark.parametrize("stream", [True, False])
def test_the_method_decides_whether_it_streams(world: World, stream: bool) -> None:
    assert "stream" not in asked(world, {"messages": [MESSAGE], "stream": stream})
    world.answers = [Answer(pieces=[DONE])]
    world.read(world.client(), Chat.model_validate({"messages": [MESSAGE], "stream": stream}))
    assert json.loads(world.api_requests[-1].content or b"")["stream"] is True


def test_additional_fields_are_merged_and_named_ones_win(world: World) -> None:
    body = asked(world, "x", additional_fields={"new": 1, "model": "theirs"}, model="ours")
    assert (body["new"], body["model"]) == (1, "ours")
    assert "additional_fields" not in body


@pytest.mark.parametrize(
    "storage", [{"is_stateful": True, "thread_id": "t"}, Storage(is_stateful=True, assistant_id="a")]
)
def test_a_thread_that_goes_on_knows_its_model(world: World, storage: Any) -> None:
    assert "model" not in asked(world, "x", storage=storage)
    assert asked(world, "x", storage={"is_stateful": True})["model"] == "GigaChat"


def test_the_round_trip_of_a_function(world: World) -> None:
    call = {"name": "weather", "arguments": {"city": "Псков", "days": None}}
    world.answers = [Answer(completion(content="", function_call=call, functions_state_id="0199e210"))]
    answer = world.chat(world.client(), "Погода?", functions=[FUNCTION], function_call="auto")
    result = Messages(role=MessagesRole.FUNCTION, name="weather", content='{"t": -3}')
    sent = asked(world, [{"role": "user", "content": "Погода?"}, answer.choices[0].message, result])["messages"]
    assert sent == [
        {"role": "user", "content": "Погода?"},
        {"role": "assistant", "content": "", "function_call": call, "functions_state_id": "0199e210"},
        {"role": "function", "name": "weather", "content": '{"t": -3}'},
    ]


def test_what_belongs_to_other_apis_is_left_out(world: World) -> None:
    call = {"name": "f", "arguments": {}, "id": "x", "type": "tool_call"}  # as LangChain makes it
    result = {"role": "function", "name": "f", "content": "{}", "tool_call_id": "x", "id_": "m", "_note": 1}
    openai: dict[str, Any] = {
        "role": "assistant",
        "content": "",
        "tool_calls": [],
        "refusal": None,
        "annotations": [],
        "audio": {},
    }
    messages = [
        {"role": "assistant", "function_call": call, "new": 1},
        result,
        openai,
        {"role": "user", "content": "x"},
    ]
    before = copy.deepcopy(messages)
    body = asked(world, {"messages": messages, "stop": ["."], "new": 2})
    assert (body.get("stop"), body["new"]) == (None, 2)
    assert body["messages"] == [
        {"role": "assistant", "content": "", "function_call": {"name": "f", "arguments": {}}, "new": 1},
        {"role": "function", "name": "f", "content": "{}", "id": "m"},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": "x"},
    ]
    assert messages == before
    # A dump is what goes into batches.
    dumps = [Messages.model_validate(message).model_dump(exclude_none=True, by_alias=True) for message in messages]
    assert dumps == body["messages"]


def test_what_belongs_to_other_apis_is_not_there_for_those_who_look(world: World) -> None:
    message = Messages.model_validate({"role": "assistant", "tool_calls": [1], "refusal": None})
    assert not any(hasattr(message, name) for name in ("tool_calls", "tool_call_id", "refusal", "annotations", "audio"))
    assert dict(message).keys() == dict(Messages(role=MessagesRole.USER)).keys()
    assert not {"tool_calls", "refusal"} & dict(message).keys()


def test_dumps_of_functions_come_back_as_functions(world: World) -> None:
    function = Function.model_validate(FUNCTION)
    again = Function.model_validate(function.model_dump())
    assert again.model_dump(exclude_none=True, by_alias=True) == function.model_dump(exclude_none=True, by_alias=True)
    built = FunctionParametersProperty.model_validate({"type_": "string"})
    assert built.model_dump(exclude_none=True, by_alias=True) == {"type": "string"}
    assert FunctionParameters.model_validate({"type_": "object"}).model_extra == {}


def test_numbers_may_be_keys_of_ones_own_data(world: World) -> None:
    function = Function.model_validate({"name": "f", "parameters": {"type": "object", "properties": {1: {}}}})
    call = FunctionCall(name="f", arguments={1: "a"})
    storage = Storage(is_stateful=True, metadata={2: "b"})
    body = asked(
        world, [Messages(role=MessagesRole.ASSISTANT, function_call=call)], functions=[function], storage=storage
    )
    assert body["messages"][0]["function_call"]["arguments"] == {"1": "a"}
    assert body["functions"][0]["parameters"]["properties"] == {"1": {}}
    assert body["storage"]["metadata"] == {"2": "b"}


def test_a_chat_may_begin_without_messages_but_is_not_sent_so(world: World) -> None:
    chat = Chat(messages=[])
    with pytest.raises(ValueError, match="messages is empty: give at least one message"):
        asked(world, chat)
    assert world.requests == []
    chat.messages.append(Messages(role=MessagesRole.USER, content="x"))
    assert asked(world, chat)["messages"] == [{"role": "user", "content": "x"}]


def test_a_blank_model_is_none(world: World) -> None:
    assert asked(world, {"messages": [{"role": "user", "content": "x"}], "model": "  "})["model"] == "GigaChat"


def test_an_id_of_a_call_that_the_service_gives_goes_back(world: World) -> None:
    call = {"name": "f", "arguments": {}, "id": "x"}
    assert asked(world, [{"role": "assistant", "function_call": call}])["messages"][0]["function_call"] == call


def test_the_callers_objects_are_never_changed(world: World) -> None:
    message = Messages.model_validate(MESSAGE)
    function = Function.model_validate(FUNCTION)
    chat = Chat(messages=[message], functions=[function], additional_fields={"a": [1]})
    mapping: dict[str, Any] = {"messages": [dict(MESSAGE)], "functions": [copy.deepcopy(FUNCTION)], "stream": True}
    holders: list[Any] = [chat, mapping, [message, dict(MESSAGE)], function]
    before = copy.deepcopy(holders)
    for payload in holders[:3]:
        world.chat(world.client(flags=["f"]), payload, temperature=0.5, model="other")
        world.answers = [Answer(pieces=[DONE])]
        world.read(world.client(), payload)
    world.chat(world.client(), "x", functions=[function, mapping["functions"][0]])
    assert holders == before
    assert chat.model_fields_set == before[0].model_fields_set
    assert chat.messages[0] is message
    assert chat.functions is not None
    assert chat.functions[0] is function


class Weather(BaseModel):
    """Weather of a city."""

    city: str
    days: int | None = None


def test_a_function_of_a_pydantic_models_schema(world: World) -> None:
    schema = Weather.model_json_schema()
    before = copy.deepcopy(schema)
    (sent,) = asked(world, "x", functions=[schema])["functions"]
    assert schema == before
    assert sent["name"] == "Weather"
    assert sent["description"] == "Weather of a city."
    assert sent["parameters"] == {name: schema[name] for name in ("type", "properties", "required")}
    assert set(sent) == {"name", "description", "parameters"}
    (again,) = asked(world, "x", functions=[Function.model_validate(schema)])["functions"]
    assert again == sent


def test_a_function_built_by_hand(world: World) -> None:
    city = FunctionParametersProperty(type="string", description="City", enum=["Псков"])
    parameters = FunctionParameters(properties={"city": city}, required=["city"])
    (sent,) = asked(world, "x", functions=[Function(name="weather", parameters=parameters)])["functions"]
    assert sent == {
        "name": "weather",
        "parameters": {
            "properties": {"city": {"type": "string", "description": "City", "enum": ["Псков"]}},
            "required": ["city"],
        },
    }


def test_a_tool_of_another_service_is_a_function(world: World) -> None:
    tool = {"type": "function", "strict": True, **FUNCTION}
    assert asked(world, "x", functions=[tool])["functions"] == [FUNCTION]
    assert tool["strict"] is True


def test_a_built_in_function_is_its_name(world: World) -> None:
    assert asked(world, "x", functions=[{"name": "text2image"}])["functions"] == [{"name": "text2image"}]


@pytest.mark.parametrize("function_call", ["auto", "none", {"name": "f"}, ChatFunctionCall(name="f")])
def test_modes_of_function_call(world: World, function_call: Any) -> None:
    sent = asked(world, "x", function_call=function_call)["function_call"]
    assert sent == ({"name": "f"} if not isinstance(function_call, str) else function_call)


@pytest.mark.parametrize(
    "response_format",
    [
        {"type": "json_schema", "schema": {"type": "object", "required": []}, "strict": True},
        JsonSchemaResponseFormat.model_validate({"schema": {"type": "object", "required": []}, "strict": True}),
        {"type": "regex", "regex": "a+"},
    ],
)
def test_a_response_format_goes_out_as_it_is(world: World, response_format: Any) -> None:
    plain = response_format if isinstance(response_format, dict) else None
    expected = plain or {"type": "json_schema", "schema": {"type": "object", "required": []}, "strict": True}
    assert asked(world, "x", response_format=response_format)["response_format"] == expected


@pytest.mark.parametrize("choices", [[], [{"message": {"role": "assistant", "content": None}, "index": 0}]])
def test_an_answer_without_text_cannot_be_parsed(world: World, choices: list[Any]) -> None:
    world.answers.append(Answer({"choices": choices}))
    with pytest.raises(APIResponseValidationError, match="the answer has no text") as raised:
        world.do(world.client(), "chat_parse", "Hi", response_format=Weather)
    assert isinstance(raised.value.completion, ChatCompletion)


BAD_CHATS: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
    ("", {}, ValueError, "empty"),
    ([], {}, ValueError, "at least one message"),
    (None, {}, ValueError, "no messages"),
    ({}, {}, ValueError, "no messages"),
    ({"messages": "x"}, {}, ValueError, "messages"),
    (5, {}, TypeError, "int"),
    (b"x", {}, TypeError, "bytes"),
    ([5], {}, ValueError, r"messages\[0\]"),
    ([{"content": "x"}], {}, ValueError, r"messages\[0\].role"),
    ([{"role": "user", "content": ["x"]}], {}, ValueError, r"messages\[0\].content"),
    ("x", {"temperature": "warm"}, ValueError, "temperature"),
    ("x", {"temperature": float("nan")}, ValueError, "temperature"),
    ("x", {"max_tokens": 1.5}, ValueError, "max_tokens"),
    ("x", {"function_call": "sometimes"}, ValueError, "function_call"),
    ("x", {"functions": [{"parameters": {}}]}, ValueError, r"functions\[0\].name"),
    ("x", {"reasoning_effort": 5}, ValueError, "reasoning_effort"),
    ("x", {"response_format": Weather}, TypeError, "chat_parse"),
    ("x", {"additional_fields": {"a": object()}}, ValueError, "serialize"),
]


@pytest.mark.parametrize(("payload", "fields", "kind", "says"), BAD_CHATS)
def test_what_is_no_chat_is_refused_before_any_request(
    world: World, payload: Any, fields: dict[str, Any], kind: type[Exception], says: str
) -> None:
    with pytest.raises(kind, match=says) as raised:
        world.chat(world.client(), payload, **fields)
    assert isinstance(raised.value, kind)
    assert len(str(raised.value).splitlines()) == 1
    assert world.requests == []


def test_a_refusal_does_not_repeat_the_conversation(world: World) -> None:
    with pytest.raises(ValueError, match="role") as raised:
        world.chat(world.client(), [{"content": "private words"}])
    assert "private" not in str(raised.value)


def test_numbers_that_json_has_not_are_refused(world: World) -> None:
    with pytest.raises(ValueError, match=r"nan|NaN|finite"):
        world.chat(world.client(), "x", additional_fields={"weight": float("nan")})
    assert world.requests == []


# What is kept between calls.


def test_a_history_is_kept_as_json(world: World) -> None:
    call = {"name": "f", "arguments": {"a": 1}}
    world.answers.append(Answer(completion(function_call=call, functions_state_id="s", id="m")))
    history: list[Any] = [{"role": "user", "content": "x"}]
    history.append(world.chat(world.client(), history).choices[0].message)
    kept = json.dumps([one if isinstance(one, dict) else one.model_dump() for one in history])
    again = json.loads(kept)
    assert Messages.model_validate(again[1]) == history[1]
    world.chat(world.client(), history)
    world.chat(world.client(), again)
    bodies = [json.loads(request.content or b"") for request in world.api_requests[1:]]
    assert bodies[0] == bodies[1]


def test_the_text_of_an_answer() -> None:
    answer = ChatCompletion.model_validate(completion())
    assert answer.text == answer.choices[0].message.content
    assert ChatCompletion.model_validate({"choices": []}).text == ""
    assert ChatCompletion.model_validate({"choices": [{"message": {"role": "assistant", "content": None}}]}).text == ""
    with pytest.raises(AttributeError, match="text of ChatCompletion is read-only"):
        answer.text = "other"  # type: ignore[misc]


def test_an_answer_is_shown_from_its_content() -> None:
    answer = ChatCompletion.model_validate({**completion(), "x_headers": {"x-request-id": "r"}})
    assert repr(answer).startswith("ChatCompletion(choices=[Choices(message=Messages(role='assistant', content='")
    assert repr(answer).endswith("x_headers={'x-request-id': 'r'})")
