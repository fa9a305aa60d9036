"""Chat v2 of the local server, and histories kept in both versions, over a real socket with a plain HTTP library."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from contextlib import closing
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from gigachat import GigaChat
from gigachat.server import GigaChatServer, MadeFile, Message, Source, State, ToolUse, create_app
from gigachat.server.engines.echo import Echo
from tests.server.api import NAMES_TEXT, SYNTAX, UNANSWERED, UNASKED, WEATHER, Api

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from gigachat.server import ChatRequest, Piece

QUESTION = "Привет, мир!"
STATE_NAMES = ("tool_state_id", "tools_state_id", "functions_state_id")
TRAIN = {"name": "train", "parameters": {"type": "object", "properties": {"number": {"type": "integer"}}}}
FUNCTIONS = {"functions": {"specifications": [WEATHER, TRAIN]}}


def said(role: str, *parts: Any, **fields: Any) -> dict[str, Any]:
    return {"role": role, "content": [{"text": one} if isinstance(one, str) else one for one in parts], **fields}


def call_of(name: str, **arguments: Any) -> dict[str, Any]:
    return {"function_call": {"name": name, "arguments": arguments}}


def result_of(name: str, result: Any, **more: Any) -> dict[str, Any]:
    return {"function_result": {"name": name, "result": result, **more}}


def ids_of(message: dict[str, Any]) -> list[str]:
    """Take the ids of the calls off a message and return them; each is a UUID of its own."""
    calls = [part["function_call"] for part in message["content"] if "function_call" in part]
    ids = [str(uuid.UUID(call.pop("id"))) for call in calls]
    assert len(set(ids)) == len(calls)
    return ids


USER = said("user", QUESTION)
CALL = said("assistant", call_of("weather", city="Псков"))
RESULT = said("function", result_of("weather", {"t": -3}))


class V2(Api):
    """A signed-in caller of v2."""

    path = "/api/v2/chat/completions"

    def post(self, body: Any) -> httpx2.Response:
        return self.http.post(f"{self.server.origin}{self.path}", json=body)

    def ask(self, *messages: dict[str, Any], **fields: Any) -> httpx2.Response:
        return self.post({"model": "GigaChat", "messages": list(messages) or [USER], **fields})

    def answer(self, *messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.ask(*messages, **fields).raise_for_status().json()
        return answer

    def parts(self, *messages: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
        parts: list[dict[str, Any]] = self.answer(*messages, **fields)["messages"][-1]["content"]
        return parts

    def v2_text(self, *messages: dict[str, Any], **fields: Any) -> str:
        [part] = self.parts(*messages, **fields)
        assert part.keys() == {"text"}
        return str(part["text"])

    def v2_stream(self, *messages: dict[str, Any], **fields: Any) -> list[tuple[str, Any]]:
        return named_events(self.ask(*messages, stream=True, **fields).raise_for_status().content)


def named_events(body: bytes) -> list[tuple[str, Any]]:
    """Return names and payloads of a v2 stream, checking the framing byte for byte."""
    assert body.endswith(b"\n\n")
    found = []
    for one in body.split(b"\n\n")[:-1]:
        name, data = one.split(b"\n")
        assert name.startswith(b"event: ")
        assert data.startswith(b"data: ")
        found.append((name.decode()[7:], json.loads(data[6:])))
    return found


@pytest.fixture(scope="module")
def kind() -> type[Api]:
    return V2


# Answers


@pytest.mark.parametrize("prefix", ["/v2", "/api/v2"])
def test_both_addresses_answer(api: V2, prefix: str) -> None:
    answer = api.http.post(
        f"{api.server.origin}{prefix}/chat/completions", json={"model": "GigaChat", "messages": [USER]}
    )
    body = answer.raise_for_status().json()
    assert list(body) == ["model", "created_at", "messages", "finish_reason", "usage"]
    assert body["model"] == "GigaChat:2.0.28.2"
    [message] = body["messages"]
    assert list(message) == ["role", "content"]
    assert QUESTION in message["content"][0]["text"]
    assert "эхо" in message["content"][0]["text"]
    assert body["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/chat/completions", 405),
        ("POST", "/v2/embeddings", 404),
        ("GET", "/api/v2/files", 404),
        ("GET", "/v2/models", 404),
    ],
)
def test_all_else_is_v1_only(api: V2, method: str, path: str, status: int) -> None:
    assert api.http.request(method, f"{api.server.origin}{path}").status_code == status


def test_it_needs_a_token(api: V2) -> None:
    answer = api.http.post(f"{api.server.origin}/v2/chat/completions", headers={"Authorization": "Bearer no"})
    assert answer.json() == {"status": 401, "message": "Unauthorized"}


def test_usage_adds_up_and_leaves_the_cache_out(api: V2) -> None:
    unique = said("user", f"Сосчитай: {uuid.uuid4()}")
    first = api.answer(unique)["usage"]
    assert list(first) == ["input_tokens", "input_tokens_details", "output_tokens", "total_tokens"]
    assert first["input_tokens_details"] == {"prompt_tokens": first["input_tokens"], "cached_tokens": 0}
    assert first["total_tokens"] == first["input_tokens"] + first["output_tokens"]
    again = api.answer(unique)["usage"]
    assert again["input_tokens"] == again["input_tokens_details"]["prompt_tokens"] == 1
    assert again["input_tokens_details"]["cached_tokens"] == first["input_tokens"] - 1
    assert again["output_tokens"] == first["output_tokens"]


def test_the_stream_is_the_plain_answer_in_phrases(api: V2) -> None:
    plain = api.answer()
    events = api.v2_stream()
    assert [name for name, _ in events] == ["response.message.delta"] * (len(events) - 1) + ["response.message.done"]
    deltas = [payload for _, payload in events[:-1]]
    assert len(deltas) > 3
    for delta in deltas:
        assert list(delta) == ["model", "created_at", "messages"]
        assert [list(message) for message in delta["messages"]] == [["role", "content"]]
        assert delta["created_at"] == deltas[0]["created_at"]
    joined = "".join(part["text"] for delta in deltas for part in delta["messages"][0]["content"])
    assert joined == plain["messages"][0]["content"][0]["text"]
    done = events[-1][1]
    assert list(done) == ["model", "created_at", "finish_reason", "usage"]
    assert done["usage"]["output_tokens"] == plain["usage"]["output_tokens"]


def test_the_update_interval_joins_chunks(api: V2) -> None:
    events = api.v2_stream(model_options={"update_interval": 0.01})
    assert [name for name, _ in events] == ["response.message.delta", "response.message.done"]


def test_joined_chunks_have_one_speaker(api: V2) -> None:
    events = api.v2_stream(model_options={"update_interval": 0.01, "reasoning": {"effort": "low"}})
    assert [payload["messages"][0]["role"] for _, payload in events[:-1]] == ["reasoning", "assistant"]


def test_parts_of_a_message_are_one_text(api: V2) -> None:
    assert api.v2_text(said("user", "Раз, ", "два")) == api.v2_text(said("user", "Раз, два"))


def test_max_tokens_cuts_the_answer(api: V2) -> None:
    answer = api.answer(model_options={"max_tokens": 3})
    assert answer["finish_reason"] == "length"
    assert answer["usage"]["output_tokens"] == 3
    assert api.v2_stream(model_options={"max_tokens": 3})[-1][1]["finish_reason"] == "length"


@pytest.mark.parametrize("effort", ["low", "medium", "high", "huge"])
def test_reasoning_comes_before_the_answer(api: V2, effort: str) -> None:
    options = {"reasoning": {"effort": effort}}
    answer = api.answer(model_options=options)
    assert [message["role"] for message in answer["messages"]] == ["reasoning", "assistant"]
    thought = answer["messages"][0]["content"][0]["text"]
    assert effort in thought
    roles = [one["messages"][0]["role"] for _, one in api.v2_stream(model_options=options)[:-1]]
    assert roles == sorted(roles, reverse=True)
    assert set(roles) == {"reasoning", "assistant"}


def test_reasoning_can_be_off(api: V2) -> None:
    answer = api.answer(model_options={"reasoning": {"effort": "off"}})
    assert [message["role"] for message in answer["messages"]] == ["assistant"]


@pytest.mark.parametrize("effort", ["off", "none"])
def test_reasoning_can_be_off_in_v1(api: V2, effort: str) -> None:
    assert "reasoning_content" not in api.chat(reasoning_effort=effort).json()["choices"][0]["message"]


def test_reasoning_has_a_budget(api: V2) -> None:
    def thoughts(most: int | None) -> tuple[str, str]:
        options = {"reasoning": {"effort": "low", "max_tokens": most}}
        answer = api.answer(model_options=options)
        thought = "".join(one["content"][0]["text"] for one in answer["messages"][:-1])
        first = api.chat(reasoning_effort="low", reasoning_max_tokens=most).json()["choices"][0]
        assert first["finish_reason"] == answer["finish_reason"] == "stop"
        return thought, first["message"].get("reasoning_content", "")

    for whole, cut, none in zip(thoughts(None), thoughts(5), thoughts(0), strict=True):
        assert whole.startswith(cut)
        assert 0 == len(none) < len(cut) < len(whole)


def test_v1_reasons_too(api: V2) -> None:
    message = api.chat(reasoning_effort="high").json()["choices"][0]["message"]
    assert list(message) == ["content", "role", "reasoning_content"]
    assert "high" in message["reasoning_content"]
    chunks = api.stream(reasoning_effort="high")
    thought = "".join(one["choices"][0]["delta"].get("reasoning_content", "") for one in chunks[:-1])
    assert thought == message["reasoning_content"]
    assert "reasoning_content" not in api.chat().json()["choices"][0]["message"]


@pytest.mark.parametrize("model", ["GigaChat", "GigaChat-3-Ultra"])
def test_structured_answers(api: V2, model: str) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    options = {"response_format": {"type": "json_schema", "schema": schema, "strict": True}}
    assert json.loads(api.v2_text(said("user", "Верни 7"), model=model, model_options=options)) == {"n": 7}


def test_a_regex_is_left_to_an_order(api: V2) -> None:
    options = {"response_format": {"type": "regex", "regex": "да|нет"}}
    answer = api.ask(model_options=options)
    text = "the local server makes no text for a regex; order the answer with reply()"
    assert (answer.status_code, answer.json()["message"]) == (422, f"Invalid params: {text}")
    api.server.reply("да")
    assert api.v2_text(model_options=options) == "да"


def test_neighbours_are_joined_unless_unwanted(api: V2) -> None:
    messages = [said("user", "Раз"), said("user", "два"), said("assistant", "три"), said("assistant", "четыре")]
    question = said("user", "Сколько?")
    assert "Сообщений в запросе: 3" in api.v2_text(*messages, question)
    options = {"unnormalized_history": True}
    assert "Сообщений в запросе: 5" in api.v2_text(*messages, question, model_options=options)
    assert "«Раз\nдва»" in api.v2_text(*messages[:2])


def test_a_lone_system_message_is_a_question(api: V2) -> None:
    lone = said("system", "Ты робот.")
    assert "Ты робот." in api.v2_text(lone)
    assert "Ты робот." not in api.v2_text(lone, model_options={"unnormalized_history": True})


def test_fields_without_effect_are_taken(api: V2) -> None:
    api.answer(
        model_options={"preset": "p", "top_logprobs": 5, "temperature": 0.1, "top_p": 1, "repetition_penalty": 1.1},
        disable_filter=True,
        ranker_options={"enabled": True, "top_n": 2, "embeddings_model": "Embeddings"},
        user_info={"timezone": "Europe/Moscow"},
        filter_config={"request_content": {"neuro": True}, "response_content": {"blacklist": False}},
        flags=["f"],
        memory_id="m",
        tools_state_id="s",
        storage=None,
    )


# Functions


def test_function_round_trip(api: V2) -> None:
    question = said("user", "Какая погода в Пскове?")
    config = {"mode": "forced", "function_name": "weather"}
    first = api.answer(question, tools=[FUNCTIONS], tool_config=config)
    assert first["finish_reason"] == "function_call"
    [message] = first["messages"]
    assert list(message) == ["role", "tool_state_id", "content"]
    assert uuid.UUID(message["tool_state_id"]).version == 7
    [call_id] = ids_of(message)
    assert message["content"] == [call_of("weather", city="Пскове", days=1)]
    message["content"][0]["function_call"]["id"] = call_id
    second = api.answer(question, message, RESULT, tools=[FUNCTIONS])
    assert second["finish_reason"] == "stop"
    [reply] = second["messages"]
    assert list(reply) == ["role", "tool_state_id", "content"]
    assert reply["tool_state_id"] != message["tool_state_id"]
    assert '{"t": -3}' in reply["content"][0]["text"]


@pytest.mark.parametrize("role", ["tool", "function"])
@pytest.mark.parametrize("name", STATE_NAMES)
def test_both_roles_and_every_name_of_the_state(api: V2, role: str, name: str) -> None:
    first = api.answer(said("user", "weather"), tools=[FUNCTIONS])["messages"][0]
    state = {name: first["tool_state_id"]}
    spoken = said("assistant", call_of("weather", city="Псков"), **state)
    result = said(role, result_of("weather", '{"t":-3}'), **state)
    assert '{"t":-3}' in api.v2_text(said("user", "weather"), spoken, result, tools=[FUNCTIONS], **state)
    # The state alone stands for the call.
    left_out = said("assistant", "", **state)
    assert '{"t":-3}' in api.v2_text(said("user", "weather"), left_out, result, tools=[FUNCTIONS])
    refused = api.ask(said("user", "weather"), left_out, said("user", "weather"))
    assert refused.json() == {"status": 422, "message": UNANSWERED}


@pytest.mark.parametrize(("allowed", "other"), [("function", "tool"), ("tool", "function")])
def test_the_role_of_results_can_be_narrowed(allowed: Any, other: str) -> None:
    with GigaChatServer(tls=False, result_role=allowed) as server:
        api = V2(server)
        with closing(api.http):
            result = result_of("weather", {"t": -3})
            api.ask(USER, CALL, said(allowed, result)).raise_for_status()
            refused = api.ask(USER, CALL, said(other, result))
            assert refused.json() == {"status": 400, "message": SYNTAX}


def test_several_functions_named_are_called_at_once(api: V2) -> None:
    question = said("user", "weather и train 7")
    answer = api.answer(question, tools=[FUNCTIONS])
    [message] = answer["messages"]
    assert [part["function_call"]["name"] for part in message["content"]] == ["weather", "train"]
    assert message["content"][1]["function_call"]["arguments"] == {"number": 7}
    results = [result_of("train", {"late": True}), result_of("weather", {"t": -3})]
    assert "weather" in api.v2_text(question, message, said("tool", *results), tools=[FUNCTIONS])
    assert "train" in api.v2_text(question, message, *[said("tool", one) for one in results[::-1]], tools=[FUNCTIONS])
    one = api.ask(question, message, said("tool", results[0]), tools=[FUNCTIONS])
    assert one.json() == {"status": 422, "message": UNANSWERED}
    # v1 knows one call in an answer.
    first = api.chat({"role": "user", "content": "weather и train 7"}, functions=[WEATHER, TRAIN], function_call="auto")
    assert first.json()["choices"][0]["message"]["function_call"]["name"] == "weather"


def test_results_are_paired_with_their_calls_by_id(api: V2) -> None:
    question = said("user", "weather и train 7")
    [message] = api.answer(question, tools=[FUNCTIONS])["messages"]
    weather, train = (part["function_call"]["id"] for part in message["content"])

    def answered(*results: tuple[str, Any]) -> httpx2.Response:
        parts = [result_of(name, {}, **({} if call_id is None else {"id": call_id})) for name, call_id in results]
        return api.ask(question, message, said("function", *parts), tools=[FUNCTIONS])

    for good in (
        [("weather", weather), ("train", train)],
        [("train", train), ("weather", weather)],
        [("train", train), ("weather", None)],
        [("train", None), ("weather", None)],
    ):
        assert answered(*good).status_code == 200
    for bad in (
        [("weather", "other"), ("train", train)],
        [("weather", weather), ("weather", weather)],
        [("weather", train), ("train", weather)],
    ):
        assert answered(*bad).json() == {"status": 422, "message": UNASKED}
    ids_of(message)  # calls that came without ids
    assert answered(("weather", "a"), ("train", "b")).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
def test_each_message_of_an_answer_has_its_state(api: V2, stream: bool) -> None:
    first, second = (
        said("assistant", {"function_call": {"id": name, "name": name, "arguments": {}}}, tool_state_id=f"s-{name}")
        for name in ("weather", "train")
    )
    api.server.reply({"messages": [first, second]})
    question = said("user", "?")
    if stream:
        [(_, done)] = api.v2_stream(question, tools=[FUNCTIONS])
        assert done["messages"] == [first, second]
    else:
        assert api.answer(question, tools=[FUNCTIONS])["messages"] == [first, second]
    results = [
        said("function", result_of(name, {}, id=name), tools_state_id=f"s-{name}") for name in ("weather", "train")
    ]
    thought = said("reasoning", "Хм.")
    for good in (
        [first, second, *results],
        [first, second, *results[::-1]],
        [first, thought, second, *results],
        [first, results[0], second, results[1]],
        [said("assistant", "", tool_state_id="s-weather"), results[0], second, results[1]],
    ):
        api.answer(question, *good, tools=[FUNCTIONS])
    for bad in ([first, second, results[0]], [first, second, results[0], question], [first, said("assistant", "Ой")]):
        assert api.ask(question, *bad, tools=[FUNCTIONS]).json() == {"status": 422, "message": UNANSWERED}


def test_every_message_of_an_answer_is_kept(api: V2) -> None:
    calls = [said("assistant", {"function_call": {"id": name, "name": "weather", "arguments": {}}}) for name in "ab"]
    api.server.reply({"messages": calls})
    storage = {"thread_id": api.answer(storage={}, tools=[FUNCTIONS])["thread_id"]}
    both = said("function", *(result_of("weather", {}, id=name) for name in "ba"))
    refused = api.post({"messages": [said("function", result_of("weather", {}, id="a"))], "storage": storage})
    assert refused.json() == {"status": 422, "message": UNANSWERED}
    api.post({"messages": [both], "storage": storage}).raise_for_status()


def test_several_calls_can_be_ordered(api: V2) -> None:
    api.server.reply_calls(("weather", {"city": "Омск"}), "train", ("weather", {"city": "Псков"}))
    answer = api.answer(tools=[FUNCTIONS])
    assert answer["finish_reason"] == "function_call"
    [message] = answer["messages"]
    assert len(ids_of(message)) == 3
    assert message["content"] == [
        call_of("weather", city="Омск"),
        call_of("train"),
        call_of("weather", city="Псков"),
    ]
    api.server.reply_calls("train", "weather", function="weather", always=True)
    ids = {uuid.UUID(one["function_call"]["id"]) for _ in range(2) for one in api.parts(tools=[FUNCTIONS])}
    assert len(ids) == 4  # new ones each time
    api.server.clear()
    api.server.reply_calls("train", "weather")
    choice = api.chat(functions=[WEATHER, TRAIN]).json()["choices"][0]
    assert choice["message"]["function_call"]["name"] == "train"
    assert uuid.UUID(choice["message"]["function_call"]["id"]).version == 4


def test_streamed_calls_come_whole_at_the_end(api: V2) -> None:
    [(name, done)] = api.v2_stream(said("user", "weather, train"), tools=[FUNCTIONS])
    assert name == "response.message.done"
    assert list(done) == ["model", "created_at", "messages", "finish_reason", "usage"]
    [message] = done["messages"]
    assert list(message) == ["role", "tool_state_id", "content"]
    assert [part["function_call"]["name"] for part in message["content"]] == ["weather", "train"]
    assert done["finish_reason"] == "function_call"


def test_functions_can_be_described_in_several_tools(api: V2) -> None:
    tools = [{"functions": {"specifications": [one]}} for one in (WEATHER, TRAIN)]
    called = api.parts(said("user", "weather, train"), tools=tools)
    assert [part["function_call"]["name"] for part in called] == ["weather", "train"]


def test_modes_of_tool_config(api: V2) -> None:
    tools: list[Any] = [FUNCTIONS, {"web_search": {}}]
    named = {"function_name": "train"}  # beside a mode other than forced a name means nothing

    def used(mode: str, **names: str) -> dict[str, Any]:
        return api.parts(said("user", "Здравствуйте"), tools=tools, tool_config={"mode": mode, **names})[0]

    assert used("none", **named).keys() == {"text"}
    assert used("auto", **named)["function_call"]["name"] == "weather"
    assert used("forced", **named)["function_call"]["name"] == "train"
    assert "inline_data" in used("forced", tool_name="web_search")
    assert api.parts(said("user", "Здравствуйте"), tools=tools)[0]["function_call"]["name"] == "weather"


@pytest.mark.parametrize(
    ("question", "names", "called"),
    [
        ("Здравствуйте", None, ["weather"]),
        ("Здравствуйте", ["train"], ["train"]),
        ("Здравствуйте", ["train", "weather"], ["train"]),
        ("weather", ["train"], ["train"]),
        ("weather и train 7", ["train", "weather"], ["train", "weather"]),
        ("weather и train 7", None, ["weather", "train"]),
    ],
)
def test_mode_any_calls_at_least_one_of_the_functions(api: V2, question: str, names: Any, called: list[str]) -> None:
    config = {"mode": "any", "functions_names_any": names}
    tools: list[Any] = [FUNCTIONS, {"web_search": {}}]
    parts = api.parts(said("user", question), tools=tools, tool_config=config)
    assert [part["function_call"]["name"] for part in parts] == called


@pytest.mark.parametrize(("parallel", "called"), [(None, 2), (True, 2), (False, 1)])
@pytest.mark.parametrize("config", [None, {"mode": "any"}])
def test_one_call_where_several_are_not_wanted(api: V2, parallel: Any, called: int, config: Any) -> None:
    options = {"parallel_tool_calls": parallel}
    parts = api.parts(said("user", "weather, train"), tools=[FUNCTIONS], tool_config=config, model_options=options)
    assert len(parts) == called


# Built-in tools


def test_a_search_gives_its_sources_with_the_text(api: V2) -> None:
    tools: list[Any] = [{"web_search": {"type": "actual_info_web_search", "indexes": ["i"], "flags": ["f"]}}]
    answer = api.answer(tools=tools)
    assert answer["finish_reason"] == "stop"
    [message] = answer["messages"]
    assert list(message) == ["role", "tool_state_id", "content"]
    [part] = message["content"]
    assert list(part) == ["text", "inline_data"]
    assert "[sources=[1]]" in part["text"]
    assert list(part["inline_data"]) == ["images", "sources"]
    assert list(part["inline_data"]["sources"]["1"]) == ["url", "title"]
    events = [payload["messages"][0] for _, payload in api.v2_stream(tools=tools)[:-1]]
    assert [list(one) for one in events] == [["role", "tool_state_id", "content"]] + [["role", "content"]] * (
        len(events) - 1
    )
    assert "".join(one["content"][0]["text"] for one in events) == part["text"]
    assert [one["content"][0].get("inline_data") for one in events] == [None] * (len(events) - 1) + [
        part["inline_data"]
    ]
    # The state of a tool is no call: nothing is owed.
    assert QUESTION in api.v2_text(USER, message, USER)


def test_a_structured_answer_stays_whole_beside_tools(api: V2) -> None:
    options = {"response_format": {"type": "json_schema", "schema": {"const": "да"}}}
    assert api.parts(tools=[{"web_search": {}}], model_options=options) == [{"text": '"да"'}]


@pytest.mark.parametrize("tool", ["url_content_extraction", "code_interpreter", "get_datetime", "memory"])
def test_other_tools_give_plain_text(api: V2, tool: str) -> None:
    answer = api.answer(tools=[{tool: {}}])
    [message] = answer["messages"]
    assert list(message) == ["role", "tool_state_id", "content"]
    [part] = message["content"]
    assert list(part) == ["text"]
    assert tool in part["text"]


def test_a_picture_is_a_real_file(api: V2) -> None:
    tools: list[Any] = [{"image_generate": {}}]
    body = {"model": "GigaChat", "messages": [said("user", "Нарисуй кота")], "tools": tools}
    address = f"{api.server.origin}/v2/chat/completions"
    answer = api.http.post(address, json=body, headers={"X-Client-ID": "me"}).raise_for_status().json()
    files, text = answer["messages"][0]["content"]
    assert list(files) == ["files"]
    [file] = files["files"]
    assert list(file) == ["id", "mime", "target"]
    assert (file["mime"], file["target"]) == ("image/jpeg", "image")
    assert list(text) == ["text"]
    picture = api.http.get(f"/files/{file['id']}/content", headers={"X-Client-ID": "me"}).raise_for_status().content
    assert picture.startswith(b"\xff\xd8\xff\xe0\x00\x10JFIF")
    assert picture.endswith(b"\xff\xd9")
    # Only the user it was made for may read it.
    assert api.http.get(f"/files/{file['id']}/content").status_code == 404
    events = [payload["messages"][0] for _, payload in api.v2_stream(tools=tools)[:-1]]
    assert list(events[0]) == ["role", "tool_state_id", "content"]
    assert "files" in events[0]["content"][0]
    assert all(one["content"][0].keys() == {"text"} for one in events[1:])


@pytest.mark.parametrize("functions", [None, [WEATHER, {"name": "text2image"}]])
def test_v1_draws_when_asked(api: V2, functions: Any) -> None:
    fields = {"function_call": "auto", **({} if functions is None else {"functions": functions})}
    asked = {"role": "user", "content": "Нарисуй кота (text2image)"}
    choice = api.chat(asked, **fields).json()["choices"][0]
    assert choice["finish_reason"] == "stop"
    message = choice["message"]
    assert list(message) == ["content", "role", "functions_state_id"]
    found = re.match(r'<img src="([0-9a-f-]{36})" fuse="true"/> \S', message["content"])
    assert found is not None
    picture = api.http.get(f"/files/{found[1]}/content").raise_for_status().content
    assert picture.startswith(b"\xff\xd8")
    # The next request repeats the message; a picture owes no result.
    api.chat(asked, message, asked).raise_for_status()
    chunks = [one["choices"][0]["delta"] for one in api.stream(asked, **fields)[:-1]]
    assert chunks[0]["content"].startswith("<img src=")
    assert [one for one in chunks if "functions_state_id" in one] == [chunks[-1]]


def test_v1_draws_only_when_asked(api: V2) -> None:
    asked = {"role": "user", "content": "Нарисуй кота"}
    assert "<img" not in api.text({"role": "user", "content": "Привет"}, function_call="auto")
    assert "<img" not in api.text(asked)
    assert "<img" not in api.text(asked, functions=[{"name": "text2image"}])
    assert "<img" not in api.text(asked, function_call="none")
    called = api.chat(asked, function_call="auto", functions=[WEATHER]).json()["choices"][0]["message"]
    assert called["function_call"]["name"] == "weather"
    forced = api.text(
        {"role": "user", "content": "?"}, function_call={"name": "text2image"}, functions=[{"name": "text2image"}]
    )
    assert forced.startswith("<img")


def test_a_picture_of_v1_is_its_makers_too(api: V2) -> None:
    body = {"model": "GigaChat", "messages": [{"role": "user", "content": "Нарисуй кота"}], "function_call": "auto"}
    mine = {"X-Client-ID": "me"}
    answer = api.http.post("/chat/completions", json=body, headers=mine).raise_for_status().json()
    file_id = answer["choices"][0]["message"]["content"].split('"')[1]
    assert api.http.get(f"/files/{file_id}/content", headers=mine).status_code == 200
    assert api.http.get(f"/files/{file_id}/content").status_code == 404


class Searching(Echo):
    """An engine that uses two tools."""

    async def complete(self, request: ChatRequest) -> AsyncGenerator[Piece, None]:
        assert request.messages == [Message("user", QUESTION)]
        yield ToolUse("web_search", sources=[Source("https://a/", "A")])
        yield "One [sources=[1]]"
        yield ToolUse("web_search", sources=[Source("https://b/", "B")])
        yield ToolUse("image_generate", files=[MadeFile(b"png", "a.png", "image/png")])
        yield " two."


def test_an_engine_with_tools() -> None:
    with GigaChatServer(tls=False, engine=Searching()) as server:
        api = V2(server)
        with closing(api.http):
            files, text = api.parts()
            assert files["files"][0]["mime"] == "image/png"
            assert text["text"] == "One [sources=[1]] two."
            assert text["inline_data"]["sources"] == {
                "1": {"url": "https://a/", "title": "A"},
                "2": {"url": "https://b/", "title": "B"},
            }


# Refusals


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"model": "Nothing"}, 404, "No such model"),
        ({"model": None}, 404, "No such model"),
        ({"model": "Embeddings"}, 404, "No such model"),
        ({"model": 1}, 400, SYNTAX),
        ({"messages": []}, 422, "Invalid params: messages must not be empty"),
        ({"messages": "text"}, 400, SYNTAX),
        ({"messages": [{"role": "user", "content": "text"}]}, 400, SYNTAX),
        ({"messages": [{"role": "user"}]}, 400, SYNTAX),
        ({"messages": [{"role": "user", "content": ["text"]}]}, 400, SYNTAX),
        ({"messages": [{"role": "user", "content": [{}]}]}, 400, SYNTAX),
        ({"messages": [{"role": "user", "content": [{"text": 1}]}]}, 400, SYNTAX),
        ({"messages": [{"content": [{"text": ""}]}]}, 400, SYNTAX),
        ({"messages": [said("robot", "text")]}, 400, SYNTAX),
        ({"messages": [said("user", {"files": ["id"]})]}, 400, SYNTAX),
        ({"messages": [said("user", {"files": [{}]})]}, 400, SYNTAX),
        ({"messages": [said("user", {"files": [{"id": "nothing"}]})]}, 404, "No such file"),
        ({"messages": [said("assistant", "", tool_state_id=1)]}, 400, SYNTAX),
        ({"messages": [USER, said("assistant", {"function_call": {"name": "f", "arguments": "{}"}})]}, 400, SYNTAX),
        ({"messages": [USER, said("assistant", {"function_call": {"arguments": {}}})]}, 400, SYNTAX),
        ({"messages": [USER, CALL, said("tool", "{}")]}, 400, SYNTAX),
        ({"messages": [USER, CALL, said("tool", {"function_result": {"result": {}}})]}, 400, SYNTAX),
        ({"messages": [USER, CALL, said("tool", {"function_result": {"name": "weather"}})]}, 400, SYNTAX),
        ({"messages": [USER, CALL, said("tool", result_of("weather", 1))]}, 400, SYNTAX),
        (
            {"messages": [USER, CALL, said("tool", result_of("weather", "холодно"))]},
            400,
            "invalid function result for function weather json string холодно, "
            "error: JSON parse error at line 1 column 1",
        ),
        ({"messages": [USER, CALL]}, 422, UNANSWERED),
        ({"messages": [USER, CALL, USER]}, 422, UNANSWERED),
        ({"messages": [USER, RESULT]}, 422, UNASKED),
        ({"messages": [USER, CALL, RESULT, RESULT]}, 422, UNASKED),
        (
            {"messages": [USER, said("system", "")]},
            422,
            "Invalid params: system message must be the first message",
        ),
        ({"messages": [said("user", "слово " * 150_000)]}, 413, "Payload too large"),
        ({"stream": 1}, 400, SYNTAX),
        ({"model_options": []}, 400, SYNTAX),
        ({"model_options": {"temperature": "hot"}}, 400, SYNTAX),
        ({"model_options": {"temperature": 0}}, 422, "Invalid params: temperature must be in range (0, +inf)"),
        ({"model_options": {"top_p": 2}}, 422, "Invalid params: top_p must be in range [0, 1]"),
        ({"model_options": {"max_tokens": 0}}, 422, "Invalid params: max_tokens must be in range (0, +inf)"),
        ({"model_options": {"max_tokens": 1.5}}, 400, SYNTAX),
        (
            {"model_options": {"repetition_penalty": 0}},
            422,
            "Invalid params: repetition_penalty must be in range (0, +inf)",
        ),
        (
            {"model_options": {"update_interval": -1}},
            422,
            "Invalid params: update_interval must be in range [0, +inf)",
        ),
        ({"model_options": {"top_logprobs": 6}}, 422, "Invalid params: top_logprobs must be in range [1, 5]"),
        ({"model_options": {"unnormalized_history": "no"}}, 400, SYNTAX),
        ({"model_options": {"preset": 1}}, 400, SYNTAX),
        ({"model_options": {"reasoning": "low"}}, 400, SYNTAX),
        ({"model_options": {"reasoning": {"effort": 5}}}, 400, SYNTAX),
        (
            {"model_options": {"reasoning": {"max_tokens": -1}}},
            422,
            "Invalid params: reasoning.max_tokens must be in range [0, +inf)",
        ),
        ({"model_options": {"parallel_tool_calls": "no"}}, 400, SYNTAX),
        (
            {"model_options": {"response_format": {"type": "json_object"}}},
            400,
            'Unknown type "json_object" in response_format',
        ),
        (
            {"model_options": {"response_format": {"type": "json_schema"}}},
            400,
            "Empty schema with json format type is not supported",
        ),
        (
            {"model_options": {"response_format": {"type": "text", "strict": True}}},
            422,
            "Invalid params: response_format of type text must have no other fields",
        ),
        (
            {"model_options": {"response_format": {"type": "regex"}}},
            400,
            "Empty regex with regex format type is not supported",
        ),
        (
            {"model_options": {"response_format": {"type": "regex", "regex": "("}}},
            422,
            "Invalid params: response_format.regex is not a regular expression",
        ),
        (
            {"model_options": {"response_format": {"type": "regex", "regex": "a" * 10_001}}},
            422,
            "Invalid params: response_format.regex must have at most 10000 characters",
        ),
        ({"tools": {}}, 400, SYNTAX),
        ({"tools": ["web_search"]}, 400, SYNTAX),
        ({"tools": [{}]}, 400, SYNTAX),
        ({"tools": [{"web_search": {}, "memory": {}}]}, 400, SYNTAX),
        ({"tools": [{"web_search": None}]}, 400, SYNTAX),
        ({"tools": [{"telepathy": {}}]}, 404, "Unknown tool telepathy"),
        (
            {"tools": [{"web_search": {"type": "deep"}}]},
            422,
            "Invalid params: web_search.type must be one of web_search, actual_info_web_search, safe_search",
        ),
        ({"tools": [{"functions": {"specifications": [{"name": "f"}]}}]}, 400, SYNTAX),
        ({"tools": [{"functions": {"specifications": [{"parameters": {}}]}}]}, 400, SYNTAX),
        ({"tools": [{"functions": {"specifications": [{**WEATHER, "name": "1st"}]}}]}, 422, NAMES_TEXT.format("1st")),
        (
            {"tools": [{"functions": {"specifications": [{**WEATHER, "few_shot_examples": [{"request": "?"}]}]}}]},
            400,
            SYNTAX,
        ),
        (
            {"model": "GigaChat-3-Ultra", "tools": [FUNCTIONS], "messages": [USER, said("assistant", "Да")]},
            422,
            "INVALID_PARAMS: functions or thinking_functions should only appeal in user, function messages "
            "or random role messages",
        ),
        ({"tool_config": "auto"}, 400, SYNTAX),
        ({"tool_config": {}}, 422, "Invalid params: tool_config.mode must be one of auto, none, forced, any"),
        (
            {"tool_config": {"mode": "never"}},
            422,
            "Invalid params: tool_config.mode must be one of auto, none, forced, any",
        ),
        (
            {"tools": [FUNCTIONS], "tool_config": {"mode": "any", "functions_names_any": ["train", "other"]}},
            422,
            "Invalid params: tool_config names function other, which is not in tools",
        ),
        (
            {"tools": [FUNCTIONS], "tool_config": {"mode": "any", "functions_names_any": []}},
            422,
            "Invalid params: tool_config of mode any must have a function to call",
        ),
        (
            {"tools": [{"web_search": {}}], "tool_config": {"mode": "any"}},
            422,
            "Invalid params: tool_config of mode any must have a function to call",
        ),
        ({"tools": [FUNCTIONS], "tool_config": {"mode": "any", "functions_names_any": "train"}}, 400, SYNTAX),
        (
            {"tool_config": {"mode": "forced"}},
            422,
            "Invalid params: tool_config of mode forced must have tool_name or function_name",
        ),
        (
            {"tool_config": {"mode": "forced", "function_name": "other"}, "tools": [FUNCTIONS]},
            422,
            "Invalid params: tool_config names function other, which is not in tools",
        ),
        (
            {"tool_config": {"mode": "forced", "tool_name": "web_search"}, "tools": [FUNCTIONS]},
            422,
            "Invalid params: tool_config names tool web_search, which is not in tools",
        ),
        ({"tool_config": {"mode": "forced", "tool_name": "telepathy"}}, 404, "Unknown tool telepathy"),
        ({"disable_filter": "yes"}, 400, SYNTAX),
        ({"filter_config": {"request_content": {"neuro": 1}}}, 400, SYNTAX),
        ({"filter_config": []}, 400, SYNTAX),
        ({"ranker_options": {"top_n": "2"}}, 400, SYNTAX),
        ({"ranker_options": {"top_n": 0}}, 422, "Invalid params: ranker_options.top_n must be in range (0, +inf)"),
        ({"user_info": {"timezone": 3}}, 400, SYNTAX),
        ({"flags": "f"}, 400, SYNTAX),
        ({"flags": [1]}, 400, SYNTAX),
        ({"tools_state_id": 1}, 400, SYNTAX),
        ({"storage": True}, 400, SYNTAX),
        ({"storage": {"limit": "2"}}, 400, SYNTAX),
        ({"storage": {"limit": 0}}, 422, "Invalid params: storage.limit must be in range (0, +inf)"),
        ({"storage": {"metadata": "m"}}, 400, SYNTAX),
        ({"storage": {"thread_id": "nothing"}}, 404, "No such thread"),
        ({"assistant_id": "nothing", "model": None}, 404, "No such assistant"),
        ({"assistant_id": "nothing"}, 422, "Invalid params: assistant_id can't be used together with model"),
        (
            {"assistant_id": "a", "model": None, "storage": {"thread_id": "t"}},
            422,
            "Invalid params: assistant_id can't be used together with storage.thread_id",
        ),
    ],
)
def test_refusals(api: V2, change: dict[str, Any], status: int, message: str) -> None:
    for stream in (False, True):
        answer = api.post({"model": "GigaChat", "messages": [USER], "stream": stream, **change})
        assert answer.json() == {"status": status, "message": message}
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/json; charset=utf-8"
        assert answer.content.endswith(b"}\n")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"model":NaN}'])
def test_bodies_that_are_not_json(api: V2, body: bytes) -> None:
    answer = api.http.post(f"{api.server.origin}/v2/chat/completions", content=body)
    assert answer.json() == {"status": 400, "message": SYNTAX}


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"reasoning_effort": 5}, 400, SYNTAX),
        ({"reasoning_max_tokens": -1}, 422, "Invalid params: reasoning_max_tokens must be in range [0, +inf)"),
        ({"assistant_id": "a"}, 422, "Invalid params: assistant_id can't be used together with model"),
        ({"model": None, "assistant_id": "nothing"}, 404, "No such assistant"),
        (
            {"model": None, "assistant_id": "a", "storage": {"is_stateful": True, "thread_id": "t"}},
            422,
            "Invalid params: assistant_id can't be used together with storage.thread_id",
        ),
        ({"profanity_check": "no"}, 400, SYNTAX),
        ({"n": "1"}, 400, SYNTAX),
        ({"flags": [1]}, 400, SYNTAX),
        ({"function_ranker": {"enabled": 1}}, 400, SYNTAX),
        ({"function_ranker": {"top_n": 0}}, 422, "Invalid params: function_ranker.top_n must be in range (0, +inf)"),
        ({"additional_data": "x"}, 400, SYNTAX),
        ({"storage": {}}, 400, SYNTAX),
        ({"storage": {"is_stateful": "yes"}}, 400, SYNTAX),
        ({"storage": {"is_stateful": True, "thread_id": "nothing"}}, 404, "No such thread"),
        (
            {"storage": {"is_stateful": True, "assistant_id": "a"}},
            422,
            "Invalid params: storage.assistant_id can't be used together with model",
        ),
        (
            {"model": None, "storage": {"is_stateful": True, "assistant_id": "a", "thread_id": "t"}},
            422,
            "Invalid params: storage.assistant_id can't be used together with storage.thread_id",
        ),
        ({"messages": [{"role": "user", "content": "", "attachments": ["nothing"]}]}, 404, "No such file"),
    ],
)
def test_v1_refusals(api: V2, change: dict[str, Any], status: int, message: str) -> None:
    asked = {"role": "user", "content": "?"}
    answer = api.http.post("/chat/completions", json={"model": "GigaChat", "messages": [asked], **change})
    assert answer.json() == {"status": status, "message": message}
    assert answer.status_code == status


def test_v1_takes_the_fields_without_effect(api: V2) -> None:
    for additional in ({"features": {"embedder_model": "e"}}, [{"a": 1}]):
        api.text(
            profanity_check=False,
            n=1,
            flags=["preprocess"],
            function_ranker={"enabled": True, "top_n": 1},
            additional_data=additional,
        )


def test_tools_can_be_closed() -> None:
    with GigaChatServer(tls=False, closed_tools=("code_interpreter",)) as server:
        api = V2(server)
        with closing(api.http):
            refused = api.ask(tools=[{"code_interpreter": {}}])
            assert refused.json() == {"status": 422, "message": "Tool code_interpreter is unavailable"}
            api.ask(tools=[{"web_search": {}}]).raise_for_status()


@pytest.mark.parametrize(
    "options", [{"closed_tools": ("telepathy",)}, {"closed_tools": "memory"}, {"result_role": "robot"}]
)
def test_senseless_settings(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        GigaChatServer(**options)


@pytest.mark.parametrize(
    ("model", "status"),
    [("GigaChat", 200), ("GigaChat-2-Pro-preview", 200), ("GigaChat-3-Lightning", 200), ("GigaChat-Plus", 413)],
)
def test_the_window_is_that_of_the_model(api: V2, model: str, status: int) -> None:
    assert api.ask(said("user", "слово " * 70_000), model=model).status_code == status  # 140,000 tokens


def test_a_text_larger_than_the_window_fails_when_it_is_used(api: V2) -> None:
    def uploaded(text: str) -> str:
        sent = api.http.post("/files", files={"file": ("a.txt", text.encode(), "text/plain")})
        return str(sent.raise_for_status().json()["id"])

    small, large = uploaded("слово " * 100), uploaded("слово " * 150_000)
    api.ask(said("user", {"files": [{"id": small}]}, "Что там?")).raise_for_status()
    refused = api.ask(said("user", {"files": [{"id": large}]}, "Что там?"))
    assert refused.json() == {"status": 422, "message": "Unprocessable Entity"}
    refused = api.chat({"role": "user", "content": "?", "attachments": [large]})
    assert refused.json() == {"status": 422, "message": "Unprocessable Entity"}


# Histories


def new_assistant(api: V2, **fields: Any) -> str:
    made = api.http.post("/assistants", json={"model": "GigaChat-2-Pro", "name": "Ася", **fields}).raise_for_status()
    return str(made.json()["assistant_id"])


def test_v2_keeps_a_history(api: V2) -> None:
    first = api.answer(said("user", "Раз"), storage={"metadata": {"a": 1}})
    assert list(first) == ["model", "created_at", "thread_id", "messages", "finish_reason", "usage"]
    [message] = first["messages"]
    assert list(message) == ["role", "message_id", "content"]
    storage = {"thread_id": first["thread_id"]}
    second = api.post({"messages": [said("user", "Два")], "storage": storage}).raise_for_status().json()
    assert second["thread_id"] == first["thread_id"]
    assert second["model"] == first["model"]
    assert second["messages"][0]["message_id"] != message["message_id"]
    assert "Сообщений в запросе: 3" in second["messages"][0]["content"][0]["text"]
    # What is kept is seen where threads are.
    kept = api.http.get("/threads/messages", params=storage).raise_for_status().json()["messages"]
    assert [one["role"] for one in kept] == ["user", "assistant"] * 2
    assert message["message_id"] in [one["message_id"] for one in kept]
    threads = api.http.post("/threads/retrieve", json={"threads_ids": [first["thread_id"]]}).raise_for_status().json()
    assert [one["id"] for one in threads["threads"]] == [first["thread_id"]]


def test_without_storage_nothing_is_kept(api: V2) -> None:
    before = api.http.get("/threads").json()
    answer = api.answer()
    assert "thread_id" not in answer
    assert "message_id" not in answer["messages"][0]
    assert api.http.get("/threads").json() == before


def test_a_refused_request_makes_no_thread(api: V2) -> None:
    before = api.http.get("/threads").json()
    assert api.ask(said("user", "слово " * 150_000), storage={}).status_code == 413
    assert api.ask(storage={}, model_options={"temperature": 0}).status_code == 422
    assert api.http.get("/threads").json() == before


def test_a_kept_stream_names_its_thread(api: V2) -> None:
    events = api.v2_stream(storage={})
    ids = {payload["thread_id"] for _, payload in events}
    assert len(ids) == 1
    assert len({payload["messages"][0]["message_id"] for _, payload in events[:-1]}) == 1
    assert list(events[-1][1]) == ["model", "created_at", "thread_id", "finish_reason", "usage"]
    text = api.v2_text(said("user", "Дальше"), storage={"thread_id": ids.pop()})
    assert "Сообщений в запросе: 3" in text


def test_the_history_can_be_limited(api: V2) -> None:
    thread = api.answer(said("system", "Ты робот."), said("user", "Раз"), storage={})["thread_id"]
    api.answer(said("user", "Два"), storage={"thread_id": thread})
    whole = api.v2_text(said("user", "Три"), storage={"thread_id": thread})
    assert "Сообщений в запросе: 6" in whole
    some = api.v2_text(said("user", "Четыре"), storage={"thread_id": thread, "limit": 2})
    assert "Сообщений в запросе: 3" in some  # the system message comes on top


def test_a_kept_call_owes_its_result(api: V2) -> None:
    first = api.answer(said("user", "weather"), tools=[FUNCTIONS], storage={})
    assert list(first["messages"][0]) == ["role", "message_id", "tool_state_id", "content"]
    storage = {"thread_id": first["thread_id"]}
    assert api.ask(USER, storage=storage).json() == {"status": 422, "message": UNANSWERED}
    text = api.v2_text(RESULT, tools=[FUNCTIONS], storage=storage)
    assert "weather" in text
    assert api.ask(RESULT, storage=storage).json() == {"status": 422, "message": UNASKED}


def test_an_assistant_speaks(api: V2) -> None:
    assistant = new_assistant(api, instructions="Ты робот.", functions=[WEATHER])
    first = api.post({"assistant_id": assistant, "messages": [said("user", "weather")], "storage": {}})
    answer = first.raise_for_status().json()
    assert answer["model"] == "GigaChat-2-Pro:2.0.28.2"
    assert answer["messages"][0]["content"][0]["function_call"]["name"] == "weather"
    # The thread remembers the assistant.
    storage = {"thread_id": answer["thread_id"]}
    again = api.post(
        {"messages": [RESULT, said("user", "Сколько?")], "tool_config": {"mode": "none"}, "storage": storage}
    )
    assert "Сообщений в запросе: 5" in again.raise_for_status().json()["messages"][0]["content"][0]["text"]
    # Without storage it is named each time, and nothing is kept.
    alone = api.post({"assistant_id": assistant, "messages": [said("user", "Привет")], "tool_config": {"mode": "none"}})
    assert "Сообщений в запросе: 2" in alone.raise_for_status().json()["messages"][0]["content"][0]["text"]
    assert "thread_id" not in alone.json()


def test_v1_keeps_a_history(api: V2) -> None:
    asked = {"role": "user", "content": "Раз"}
    first = api.chat(asked, storage={"is_stateful": True}).raise_for_status().json()
    assert list(first) == ["choices", "created", "model", "object", "thread_id", "message_id", "usage"]
    storage = {"is_stateful": True, "thread_id": first["thread_id"]}
    body = {"messages": [{"role": "user", "content": "Два"}], "storage": storage}
    second = api.http.post("/chat/completions", json=body).raise_for_status().json()
    assert "Сообщений в запросе: 3" in second["choices"][0]["message"]["content"]
    chunks = api.stream({"role": "user", "content": "Три"}, storage={**storage, "limit": 2})
    assert {(one["thread_id"], one["message_id"]) for one in chunks[:-1]} != {(None, None)}
    assert len({one["message_id"] for one in chunks[:-1]}) == 1
    assert "запросе: 2" in "".join(one["choices"][0]["delta"]["content"] for one in chunks[:-1])
    # v2 can go on with it.
    assert "Сообщений в запросе: 7" in api.v2_text(said("user", "Четыре"), storage={"thread_id": first["thread_id"]})
    kept = api.http.get("/threads/messages", params={"thread_id": first["thread_id"]}).json()["messages"]
    assert len(kept) == 8
    # Without is_stateful the history is used and not added to.
    unkept = api.chat(asked, storage={**storage, "is_stateful": False}).raise_for_status().json()
    assert "thread_id" not in unkept
    kept = api.http.get("/threads/messages", params={"thread_id": first["thread_id"]}).json()["messages"]
    assert len(kept) == 8


def test_v1_assistants(api: V2) -> None:
    storage = {"is_stateful": True, "assistant_id": new_assistant(api, instructions="Ты робот.", functions=[WEATHER])}
    body = {"messages": [{"role": "user", "content": "weather"}], "storage": storage, "function_call": "auto"}
    first = api.http.post("/chat/completions", json=body).raise_for_status().json()
    assert first["model"] == "GigaChat-2-Pro:2.0.28.2"
    assert first["choices"][0]["message"]["function_call"]["name"] == "weather"
    body["storage"] = {"is_stateful": True, "thread_id": first["thread_id"]}
    body["messages"] = [{"role": "function", "content": '{"t":-3}'}]
    second = api.http.post("/chat/completions", json=body).raise_for_status().json()
    assert "weather" in second["choices"][0]["message"]["content"]


@pytest.mark.parametrize("storage", [None, {"is_stateful": False}, {"is_stateful": True}])
def test_v1_assistants_without_storage(api: V2, storage: Any) -> None:
    assistant = new_assistant(api, instructions="Ты робот.", functions=[WEATHER])
    body = {"messages": [{"role": "user", "content": "weather"}], "assistant_id": assistant, "storage": storage}
    answer = api.http.post("/chat/completions", json=body).raise_for_status().json()
    assert answer["model"] == "GigaChat-2-Pro:2.0.28.2"
    assert answer["choices"][0]["message"]["function_call"]["name"] == "weather"
    assert ("thread_id" in answer) == bool(storage and storage["is_stateful"])
    assert (
        "Сообщений в запросе: 2"
        in api.http.post(
            "/chat/completions", json={**body, "function_call": "none", "messages": [{"role": "user", "content": "Эй"}]}
        ).json()["choices"][0]["message"]["content"]
    )


def test_a_thread_goes_on_with_its_last_model(api: V2) -> None:
    storage = {"thread_id": api.answer(storage={})["thread_id"]}
    api.answer(model="GigaChat-2-Max", storage=storage)
    answer = api.post({"messages": [USER], "storage": storage}).raise_for_status().json()
    assert answer["model"].startswith("GigaChat-2-Max:")


def test_metadata_is_overwritten_when_sent() -> None:
    state = State()
    token = "token"
    state.tokens.add(token, 60.0)

    async def ask(storage: dict[str, Any]) -> str:
        transport = httpx2.ASGITransport(create_app(state))
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx2.AsyncClient(transport=transport, base_url="http://local", headers=headers) as http:
            body = {"model": "GigaChat", "messages": [USER], "storage": storage}
            answer = await http.post("/v2/chat/completions", json=body)
            return str(answer.raise_for_status().json()["thread_id"])

    thread = asyncio.run(ask({"metadata": {"a": 1}}))
    asyncio.run(ask({"thread_id": thread}))
    assert state.threads.get(thread).metadata == {"a": 1}
    asyncio.run(ask({"thread_id": thread, "metadata": {"b": 2}}))
    assert state.threads.get(thread).metadata == {"b": 2}


def test_a_thread_locked_by_a_run_takes_no_chat(api: V2) -> None:
    thread = api.answer(storage={})["thread_id"]
    api.server.reply("late", after=30.0)
    api.http.post("/threads/run", json={"thread_id": thread}).raise_for_status()
    locked = {"status": 422, "message": "Invalid params: the thread is locked by a run"}
    assert api.ask(storage={"thread_id": thread}).json() == locked
    storage = {"is_stateful": True, "thread_id": thread}
    assert api.chat({"role": "user", "content": "?"}, storage=storage).json() == locked


def test_a_cut_stream_is_not_kept(api: V2) -> None:
    thread = api.answer(storage={})["thread_id"]
    api.server.cut(2)
    with pytest.raises(httpx2.HTTPError):
        api.ask(stream=True, storage={"thread_id": thread})
    kept = api.http.get("/threads/messages", params={"thread_id": thread}).json()["messages"]
    assert len(kept) == 2


# Orders of tests


def test_ordered_texts(api: V2) -> None:
    api.server.reply("Ни слова больше, хорошо?")
    assert api.v2_text() == "Ни слова больше, хорошо?"
    api.server.reply("Ни слова больше, хорошо?")
    events = api.v2_stream()
    assert len(events) > 2
    joined = "".join(payload["messages"][0]["content"][0]["text"] for _, payload in events[:-1])
    assert joined == "Ни слова больше, хорошо?"


ORDER: dict[str, Any] = {
    "model": "GigaChat-3-Ultra:1",
    "messages": [
        {"role": "reasoning", "content": [{"text": "Хм."}]},
        {
            "role": "assistant",
            "tools_state_id": "s",
            "content": [
                {"text": "Вот, смотрите сами.", "inline_data": {"sources": {}}},
                {"files": [{"id": "f", "mime": "image/png", "target": "image"}]},
                {"function_call": {"id": "c", "name": "f", "arguments": {}}},
            ],
        },
    ],
    "finish_reason": "function_call",
    "usage": None,
    "additional_data": {"execution_steps": []},
}


def test_an_ordered_answer_goes_out_as_it_is(api: V2) -> None:
    api.server.reply(ORDER)
    answer = api.answer()
    assert isinstance(answer.pop("created_at"), int)
    assert answer == ORDER
    assert list(answer) == ["model", "messages", "finish_reason", "usage", "additional_data"]


def test_an_ordered_answer_streams_too(api: V2) -> None:
    api.server.reply(ORDER)
    events = api.v2_stream()
    messages = [payload["messages"][0] for _, payload in events[:-1]]
    assert [one["role"] for one in messages] == ["reasoning"] + ["assistant"] * (len(messages) - 1)
    parts = [part for one in messages[1:] for part in one["content"]]
    assert "".join(part.get("text", "") for part in parts) == "Вот, смотрите сами."
    assert [part["inline_data"] for part in parts if "inline_data" in part] == [{"sources": {}}]
    assert parts[-1] == ORDER["messages"][1]["content"][1]
    done = events[-1][1]
    assert done["messages"] == [
        {
            "role": "assistant",
            "tool_state_id": "s",
            "content": [{"function_call": {"id": "c", "name": "f", "arguments": {}}}],
        }
    ]
    assert (done["finish_reason"], done["usage"]) == ("function_call", None)
    assert done["additional_data"] == {"execution_steps": []}


def test_an_ordered_message_without_a_role_is_the_assistants(api: V2) -> None:
    order = {"messages": [{"content": [{"text": "Привет"}]}]}
    with GigaChat(**api.server.client_options) as giga:
        api.server.reply(order)
        assert giga.chat.create("x").text == "Привет"
        api.server.reply(order)
        completion = giga.chat.stream("x", storage=True).get_final_completion()
        assert completion.text == "Привет"
        messages = giga.threads.get_messages(str(completion.thread_id)).messages
        assert [message.content for message in messages] == ["x", "Привет"]


def test_an_ordered_call_owes_its_result(api: V2) -> None:
    api.server.reply({"content": [call_of("f", a=1)], "finish_reason": "function_call_error"})
    answer = api.answer()
    assert answer["finish_reason"] == "function_call_error"
    [message] = answer["messages"]
    assert len(ids_of(message)) == 1
    assert message["content"] == [call_of("f", a=1)]
    api.server.reply({"content": [call_of("f", a=1)]})
    done = api.v2_stream()[-1][1]
    assert done["finish_reason"] == "function_call"
    state = done["messages"][0]["tool_state_id"]
    refused = api.ask(USER, said("assistant", "", tool_state_id=state))
    assert refused.json() == {"status": 422, "message": UNANSWERED}


def test_orders_are_translated_between_the_versions(api: V2) -> None:
    v1 = {"content": "Текст.", "reasoning_content": "Хм.", "function_call": {"name": "f", "arguments": {"a": 1}}}
    api.server.reply({**v1, "functions_state_id": "s"})
    answer = api.answer()
    assert len(ids_of(answer["messages"][1])) == 1
    assert answer["messages"] == [
        said("reasoning", "Хм."),
        {"role": "assistant", "tool_state_id": "s", "content": [{"text": "Текст."}, call_of("f", a=1)]},
    ]
    api.server.reply({"messages": answer["messages"]})
    message = api.chat().json()["choices"][0]["message"]
    assert message == {**v1, "role": "assistant", "functions_state_id": "s"}
    api.server.reply({"content": [{"files": [{"id": "i"}]}, {"text": "Вот."}]})
    assert api.text() == '<img src="i" fuse="true"/> Вот.'
    api.server.reply({"choices": [{"message": {"content": "Ой"}, "finish_reason": "blacklist"}], "model": "m"})
    answer = api.answer()
    assert (answer["finish_reason"], answer["model"]) == ("blacklist", "GigaChat:2.0.28.2")
    assert answer["messages"][0]["content"] == [{"text": "Ой"}]


LOGPROBS = [{"chosen": {"token": "a", "token_id": 1, "logprob": -0.5}, "top": []}]
BESIDE: dict[str, Any] = {"inline_data": {"sources": {"1": {"url": "u"}}}, "logprobs": LOGPROBS}
FAILED: dict[str, Any] = {"error_details": {"code": 7}, "additional_data": {"steps": [1]}, "finish_reason": "error"}


@pytest.mark.parametrize(
    "order",
    [
        {"content": "Вот, смотрите.", **BESIDE, **FAILED},
        {"content": [{"text": "Вот, смотрите.", **BESIDE}], **FAILED},
        {"messages": [said("assistant", {"text": "Вот, смотрите.", **BESIDE})], **FAILED},
    ],
    ids=["v1", "v2", "whole"],
)
def test_what_is_ordered_beside_a_text(api: V2, order: dict[str, Any]) -> None:
    api.server.reply(order, order, order, order)
    body = api.chat().json()
    (choice,) = body["choices"]
    assert choice["message"] == {"content": "Вот, смотрите.", "role": "assistant", **BESIDE}
    assert {**body, "finish_reason": choice["finish_reason"]}.items() >= FAILED.items()

    chunks = api.stream()[:-1]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert "".join(delta["content"] for delta in deltas) == "Вот, смотрите."
    assert [{name: delta[name] for name in BESIDE} for delta in deltas if "logprobs" in delta] == [BESIDE]
    assert {**chunks[-1], "finish_reason": chunks[-1]["choices"][0]["finish_reason"]}.items() >= FAILED.items()

    answer = api.answer()
    assert answer.items() >= FAILED.items()
    assert answer["messages"] == [said("assistant", {"text": "Вот, смотрите.", **BESIDE})]

    *deltas, (_, done) = api.v2_stream()
    parts = [part for _, delta in deltas for one in delta["messages"] for part in one["content"]]
    assert parts[-1].items() >= BESIDE.items()
    assert done.items() >= FAILED.items()


def test_an_order_may_be_a_failure_alone(api: V2) -> None:
    api.server.reply({"error_details": {"code": 7}}, {"error_details": {"code": 7}})
    assert api.chat().json()["error_details"] == {"code": 7}
    assert api.answer()["error_details"] == {"code": 7}


def test_a_whole_answer_is_streamed_as_it_is(api: V2) -> None:
    call = {"name": "f", "arguments": {}, "new": 1}
    api.server.reply({"choices": [{"message": {"content": "", "function_call": call}}]})
    assert "id" not in api.stream()[-2]["choices"][0]["delta"]["function_call"]


def test_ordered_failures_and_delays(api: V2) -> None:
    api.server.fail(429, path="/v2/chat/completions")
    assert api.chat().status_code == 200
    assert api.ask().json() == {"status": 429, "message": "Too many requests"}
    api.server.reply("late", after=0.05)
    assert api.v2_text() == "late"


def test_cut_streams(api: V2) -> None:
    api.server.cut(2)
    body = {"model": "GigaChat", "messages": [USER], "stream": True}
    heard: list[bytes] = []
    with api.http.stream("POST", f"{api.server.origin}{api.path}", json=body) as answer:
        with pytest.raises(httpx2.HTTPError):
            heard.extend(answer.iter_raw())
    assert b"".join(heard).count(b"event: response.message.delta\n") == 2


def test_literal_events_can_have_names(api: V2) -> None:
    step = {"messages": [said("assistant", {"tool_execution": {"name": "image_generation", "seconds_left": 3}})]}
    api.server.stream_events(
        [
            ("response.tool.in_progress", step),
            b": comment\n\n",
            ("response.tool.completed", step),
            ("response.message.done", {"finish_reason": "error", "created_at": "0"}),
        ]
    )
    body = api.ask(stream=True).content
    assert body.startswith(b"event: response.tool.in_progress\ndata: {")
    assert b": comment\n\n" in body
    names = [name for name, _ in named_events(body.replace(b": comment\n\n", b""))]
    assert names == ["response.tool.in_progress", "response.tool.completed", "response.message.done"]
