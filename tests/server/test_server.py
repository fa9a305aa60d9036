"""The local server over a real socket, spoken to with a plain HTTP library and no code of the client."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import math
import os
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import date
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import httpx2
import pytest
from pydantic import UUID4, BaseModel, Field

from gigachat.server import ChatRequest, FunctionCall, GigaChatServer, Piece, State, create_app
from gigachat.server.engines.embedders import hashed_vector
from gigachat.server.engines.sample_json import Unfilled, sample
from gigachat.server.tokens import count_tokens, phrases
from tests.server.api import (
    BODY,
    CALL,
    NAMES_TEXT,
    RESULT,
    SYNTAX,
    TIMEOUT,
    UNANSWERED,
    UNASKED,
    USER,
    WEATHER,
    Api,
    events,
    http_client,
    sign_in,
)
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence


RECORDED = Path(__file__).parents[1] / "contract" / "recorded"


@pytest.fixture(scope="module")
def server_options() -> dict[str, Any]:
    return {}


def recording(name: str) -> list[dict[str, Any]]:
    exchanges: list[dict[str, Any]] = json.loads((RECORDED / f"{name}.json").read_text("utf-8"))
    return exchanges


def shape(value: Any) -> Any:
    """Return the names, their order and the JSON types of a value; of lists the first item stands for all."""
    if isinstance(value, dict):
        return [(name, shape(member)) for name, member in value.items()]
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


# Sign-in


def test_sign_in_answers_as_recorded(api: Api) -> None:
    recorded = recording("chat_simple")[0]["response"]
    before = time.time()
    answer = sign_in(api.http, api.server)
    assert answer.status_code == 200
    body = answer.json()
    assert shape(body) == shape(json.loads(recorded["body"]))
    assert 1200 < len(body["access_token"]) < 1260
    assert body["access_token"].startswith("eyJ")
    assert before + 1799 < body["expires_at"] / 1000 < time.time() + 1801
    for name, value in recorded["headers"].items():
        if name != "content-length":
            assert answer.headers[name] == value
    assert "x-request-id" not in answer.headers
    assert "x-session-id" not in answer.headers
    assert len(answer.content) == pytest.approx(1279, abs=3)


def test_bearer_is_accepted_as_the_word_before_the_key(api: Api) -> None:
    headers = {"Authorization": f"Bearer {api.server.credentials}"}
    assert sign_in(api.http, api.server, headers=headers).status_code == 200


def test_the_key_is_the_pair_in_base64(api: Api) -> None:
    pair = f"{api.server.account.client_id}:{api.server.account.client_secret}"
    assert base64.b64decode(api.server.credentials).decode() == pair


@pytest.mark.parametrize(
    ("changes", "status", "body"),
    [
        ({"headers": {"RqUID": None}}, 400, {"code": 2, "message": "RqUID header must be a uuid4"}),
        ({"headers": {"RqUID": "1"}}, 400, {"code": 2, "message": "RqUID header must be a uuid4"}),
        (
            {"headers": {"RqUID": "00000000-0000-1000-8000-000000000000"}},
            400,
            {"code": 2, "message": "RqUID header must be a uuid4"},
        ),
        (
            {"headers": {"Authorization": "Basic no base64"}},
            400,
            {"code": 4, "message": "Can't decode 'Authorization' header"},
        ),
        (
            {"headers": {"Authorization": None}},
            400,
            {"code": 4, "message": "Can't decode 'Authorization' header"},
        ),
        ({"data": {}}, 400, {"code": 5, "message": "scope is empty"}),
        ({"data": {"scope": ""}}, 400, {"code": 5, "message": "scope is empty"}),
        ({"data": {"scope": "GIGACHAT_API_PRES"}}, 400, {"code": 1, "message": "scope data format invalid"}),
        (
            {"headers": {"Authorization": "Basic dXNlcjpwYXNz"}},
            401,
            {"code": 6, "message": "credentials doesn't match db data"},
        ),
        (
            {"data": {"scope": "GIGACHAT_API_CORP"}},
            400,
            {"code": 7, "message": "scope from db not fully includes consumed scope"},
        ),
    ],
)
def test_sign_in_refusals(api: Api, changes: dict[str, Any], status: int, body: dict[str, Any]) -> None:
    answer = sign_in(api.http, api.server, **changes)
    assert (answer.status_code, answer.json()) == (status, body)
    assert list(answer.json()) == ["code", "message"]
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("prefix", ["/v1", "/api/v1"])
def test_password_token_answers_as_recorded(api: Api, prefix: str) -> None:
    server = api.server
    recorded = recording("chat_parse_json_schema")[0]["response"]
    before = time.time()
    with http_client(server) as http:
        answer = http.post(f"{server.origin}{prefix}/token", auth=(server.account.user, server.account.password))
        body = answer.json()
        assert shape(body) == shape(json.loads(recorded["body"]))
        assert answer.headers.keys() - {"date"} == recorded["headers"].keys()
        assert answer.headers["content-type"] == recorded["headers"]["content-type"]
        assert before + 86399 < body["exp"] < time.time() + 86401
        bearer = {"Authorization": f"Bearer {body['tok']}"}
        assert http.get("/models", headers=bearer).status_code == 200


def test_wrong_password_is_refused(api: Api) -> None:
    with http_client(api.server) as http:
        for pair in ("user", f"{api.server.account.user}:wrong", f"nobody:{api.server.account.password}"):
            key = base64.b64encode(pair.encode()).decode()
            answer = http.post("/token", headers={"Authorization": f"Basic {key}"})
            assert answer.status_code == 401
            assert answer.content == b'{"status":401,"message":"Unauthorized"}\n'


@pytest.mark.parametrize("header", [None, "Bearer unknown", "Basic dXNlcjpwYXNz", "Bearer", ""])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/chat/completions"),
        ("GET", "/models"),
        ("GET", "/models/GigaChat"),
        ("POST", "/embeddings"),
        ("POST", "/tokens/count"),
    ],
)
def test_every_endpoint_needs_a_token(api: Api, method: str, path: str, header: str | None) -> None:
    with http_client(api.server) as http:
        answer = http.request(method, path, headers={} if header is None else {"Authorization": header})
        assert answer.status_code == 401
        assert answer.content == b'{"status":401,"message":"Unauthorized"}\n'


def test_tokens_expire() -> None:
    with (
        GigaChatServer(token_lifetime=0.0, password_token_lifetime=0.0) as server,
        http_client(server) as http,
    ):
        oauth = sign_in(http, server).json()["access_token"]
        password = http.post("/token", auth=(server.account.user, server.account.password)).json()["tok"]
        for token in (oauth, password):
            answer = http.get("/models", headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == 401
            assert answer.content == b'{"status":401,"message":"Token has expired"}\n'


def test_revoked_tokens_are_refused() -> None:
    with GigaChatServer() as server:
        api = Api(server)
        assert api.chat().status_code == 200
        server.revoke_tokens()
        assert api.chat().json() == {"status": 401, "message": "Unauthorized"}
        api.sign_in()
        assert api.chat().status_code == 200
        api.http.close()


# Recorded twins


V1_RECORDINGS = [
    path.stem for path in sorted(RECORDED.glob("*.json")) if recording(path.stem)[-1]["endpoint"].startswith("v1 ")
]


def test_the_recordings_are_there() -> None:
    assert len(V1_RECORDINGS) >= 15


@pytest.mark.parametrize("name", V1_RECORDINGS)
def test_recorded_twin(api: Api, name: str) -> None:
    exchange = recording(name)[-1]
    asked, recorded = exchange["request"], exchange["response"]
    content = None if asked["body"] is None else json.dumps(asked["body"], ensure_ascii=False).encode()
    answer = api.http.request(
        asked["method"], api.server.origin + asked["path"], content=content, headers=asked["headers"]
    )
    assert answer.status_code == recorded["status"]
    wire = recorded["body"]
    if answer.headers["content-type"].startswith("text/event-stream"):
        ours, theirs = events(answer.content), events(wire.encode())
        assert [shape(one) for one in (ours[0], *ours[-2:])] == [shape(one) for one in (theirs[0], *theirs[-2:])]
        middle = '[("choices", [[("delta", [("content", "str")]), ("index", "int")]])'
        assert all(str(shape(one)).replace("'", '"').startswith(middle) for one in ours[1:-2])
        assert len({one["created"] for one in ours[:-1]}) == 1
        assert ours[0]["object"] == theirs[0]["object"]
        assert ours[0]["model"] == theirs[0]["model"]
    else:
        ours, theirs = json.loads(answer.content), json.loads(wire)
        assert shape(ours) == shape(theirs)
        for field in ("model", "object", "status", "message", "id"):
            if isinstance(theirs, dict) and field in theirs:
                assert ours[field] == theirs[field]
        compact = json.dumps(ours, ensure_ascii=False, separators=(",", ":")).encode()
        assert answer.content == compact + (b"\n" if wire.endswith("\n") else b"")
    for header, value in recorded["headers"].items():
        assert header in answer.headers
        if header in ("content-type", "allow"):
            assert answer.headers[header] == value
    expected = set(recorded["headers"]) | {"date", "allow"}
    assert set(answer.headers) == expected


@pytest.mark.parametrize("name", ["get_models", "get_model", "tokens_count_single", "tokens_count_multiple"])
def test_answers_without_a_model_behind_equal_the_recording(api: Api, name: str) -> None:
    exchange = recording(name)[-1]
    asked = exchange["request"]
    answer = api.http.request(asked["method"], api.server.origin + asked["path"], json=asked["body"])
    assert answer.text == exchange["response"]["body"]


def test_ids_of_the_client_come_back(api: Api) -> None:
    ids = {"X-Request-ID": "mine", "X-Session-ID": "session", "X-Client-ID": "user 7"}
    answer = api.http.get("/models", headers=ids)
    assert {name: answer.headers[name] for name in ids} == ids
    made = api.http.get("/models").headers
    assert uuid.UUID(made["x-request-id"]).version == uuid.UUID(made["x-session-id"]).version == 4
    assert "x-client-id" not in made


def test_both_prefixes_answer(api: Api) -> None:
    for prefix in ("/v1", "/api/v1"):
        assert api.http.get(f"{api.server.origin}{prefix}/models").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/nothing", 404, "Not Found"),
        ("GET", "/models/", 404, "No such model"),
        ("GET", "/models/a%2Fb", 404, "No such model"),
        ("GET", "/models/GigaChat:1.0", 400, "Invalid model version"),
        ("DELETE", "/models", 405, "Method Not Allowed"),
        ("GET", "/chat/completions", 405, "Method Not Allowed"),
    ],
)
def test_other_paths(api: Api, method: str, path: str, status: int, message: str) -> None:
    answer = api.http.request(method, path)
    assert answer.json() == {"status": status, "message": message}
    assert answer.content.endswith(b"}\n")


# Chat


def test_the_echo_is_honest_and_deterministic(api: Api) -> None:
    english = api.text({"role": "user", "content": "How are you?"})
    assert "no model is behind it" in english
    assert "How are you?" in english
    russian = api.text({"role": "system", "content": "Be brief"}, {"role": "user", "content": "Как дела?"})
    assert "модели за ним нет" in russian
    assert "Как дела?" in russian
    assert api.text({"role": "user", "content": "How are you?"}) == english


def test_the_stream_is_the_plain_answer_in_phrases(api: Api) -> None:
    question = {"role": "user", "content": "Расскажи о Пскове 🙂"}
    *chunks, last, done = api.stream(question)
    assert done == "[DONE]"
    text = "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks)
    plain = api.chat(question).json()
    assert text == plain["choices"][0]["message"]["content"]
    assert len(chunks) > 4
    assert [chunk["choices"][0]["delta"].get("role") for chunk in chunks] == ["assistant"] + [None] * (len(chunks) - 1)
    assert last["choices"] == [{"delta": {"content": ""}, "index": 0, "finish_reason": "stop"}]
    assert last["usage"]["completion_tokens"] == pytest.approx(plain["usage"]["completion_tokens"], abs=3)


def test_a_prompt_seen_before_is_cached(api: Api) -> None:
    unseen = {"role": "user", "content": f"A new prompt {uuid.uuid4()}"}
    first = api.chat(unseen).json()["usage"]
    second = api.chat(unseen).json()["usage"]
    longer = api.chat(unseen, {"role": "assistant", "content": "Yes"}, unseen).json()["usage"]
    whole = first["prompt_tokens"] + first["precached_prompt_tokens"]
    assert first["precached_prompt_tokens"] == 2
    assert (second["prompt_tokens"], second["precached_prompt_tokens"]) == (1, whole - 1)
    assert longer["precached_prompt_tokens"] == whole
    other = api.chat(unseen, model="GigaChat-2-Max").json()["usage"]
    assert other["precached_prompt_tokens"] == 2
    for usage in (first, second, longer, other):
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_max_tokens_cuts_the_answer(api: Api) -> None:
    answer = api.chat(max_tokens=5).json()
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 5
    whole = api.text()
    assert whole.startswith(answer["choices"][0]["message"]["content"])
    *_, last, _ = api.stream(max_tokens=5)
    assert last["choices"][0]["finish_reason"] == "length"
    assert api.chat(max_tokens=10_000).json()["choices"][0]["finish_reason"] == "stop"


def test_the_update_interval_joins_chunks(api: Api) -> None:
    start = time.monotonic()
    chunks = api.stream(update_interval=0.01)
    assert len(chunks) == 3
    assert chunks[0]["choices"][0]["delta"]["content"] == api.text()
    assert time.monotonic() - start < 30


def test_models_resolve(api: Api) -> None:
    assert api.chat(model="GigaChat-2-Max").json()["model"] == "GigaChat-2-Max:2.0.28.2"
    assert api.chat(model="GigaChat:latest").json()["model"] == "GigaChat:2.0.28.2"
    ultra = api.chat(model="GigaChat-3-Ultra").json()
    assert (ultra["model"], ultra["object"]) == ("GigaChat-3-Ultra:32.3.7.3", "chat.completions")


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"model": "Nothing"}, 404, "No such model"),
        ({"model": None}, 404, "No such model"),
        ({"model": "Embeddings"}, 404, "No such model"),
        ({"model": "GigaChat:9"}, 400, "Invalid model version"),
        ({"model": 1}, 400, SYNTAX),
        ({"messages": "text"}, 400, SYNTAX),
        ({"messages": ["text"]}, 400, SYNTAX),
        ({"messages": [{"role": "robot", "content": ""}]}, 400, SYNTAX),
        ({"messages": [{"role": "user", "content": [{"text": "v2"}]}]}, 400, SYNTAX),
        ({"messages": [{**USER, "attachments": [1]}]}, 400, SYNTAX),
        ({"messages": []}, 422, "Invalid params: messages must not be empty"),
        ({"stream": "yes"}, 400, SYNTAX),
        ({"temperature": "hot"}, 400, SYNTAX),
        ({"temperature": True}, 400, SYNTAX),
        ({"temperature": 0}, 422, "Invalid params: temperature must be in range (0, +inf)"),
        ({"repetition_penalty": 0}, 422, "Invalid params: repetition_penalty must be in range (0, +inf)"),
        ({"top_p": 1.5}, 422, "Invalid params: top_p must be in range [0, 1]"),
        ({"max_tokens": 0}, 422, "Invalid params: max_tokens must be in range (0, +inf)"),
        ({"max_tokens": 1.5}, 400, SYNTAX),
        ({"update_interval": -1}, 422, "Invalid params: update_interval must be in range [0, +inf)"),
        ({"update_interval": 10**400}, 422, "Invalid params: update_interval must be in range [0, +inf)"),
        (
            {"messages": [USER, {"role": "system", "content": ""}]},
            422,
            "Invalid params: system message must be the first message",
        ),
        (
            {"messages": [{"role": "system", "content": ""}] * 2},
            422,
            "Invalid params: system message must be the first message",
        ),
        ({"messages": [USER, CALL]}, 422, UNANSWERED),
        ({"messages": [USER, CALL, USER]}, 422, UNANSWERED),
        ({"messages": [USER, CALL, RESULT, CALL]}, 422, UNANSWERED),
        ({"messages": [RESULT]}, 422, UNASKED),
        ({"messages": [USER, RESULT]}, 422, UNASKED),
        ({"messages": [USER, CALL, RESULT, RESULT]}, 422, UNASKED),
        (
            {"messages": [USER, CALL, {**RESULT, "content": "холодно"}]},
            422,
            "invalid function result for function weather json string холодно, "
            "error: JSON parse error at line 1 column 1",
        ),
        ({"messages": [USER, CALL, {**RESULT, "content": {"t": -3}}]}, 400, SYNTAX),
        (
            {"messages": [USER, {**CALL, "function_call": {"name": "f", "arguments": "{}"}}, RESULT]},
            400,
            SYNTAX,
        ),
        ({"functions": [{"name": "1st"}]}, 422, NAMES_TEXT.format("1st")),
        ({"functions": [{"name": "погода"}, {"name": "a b"}]}, 422, NAMES_TEXT.format("погода a b")),
        ({"functions": {"name": "f"}}, 400, SYNTAX),
        (
            {"function_call": {"name": "other"}, "functions": [WEATHER]},
            422,
            "Invalid params: function_call names function other, which is not in functions",
        ),
        (
            {"function_call": "force", "functions": [WEATHER]},
            422,
            'Invalid params: function_call must be "none", "auto" or an object with a name',
        ),
        (
            {
                "model": "GigaChat-3-Ultra",
                "functions": [WEATHER],
                "messages": [USER, {"role": "assistant", "content": "Yes"}],
            },
            422,
            "INVALID_PARAMS: functions or thinking_functions should only appeal in user, function messages "
            "or random role messages",
        ),
        ({"response_format": {"type": "json_object"}}, 400, 'Unknown type "json_object" in response_format'),
        ({"response_format": {"type": "regex", "regex": "a"}}, 400, 'Unknown type "regex" in response_format'),
        (
            {"response_format": {"type": "json_schema"}},
            400,
            "Empty schema with json format type is not supported",
        ),
        (
            {"response_format": {"type": "text", "strict": True}},
            422,
            "Invalid params: response_format of type text must have no other fields",
        ),
        ({"messages": [{"role": "user", "content": "слово " * 150_000}]}, 413, "Payload too large"),
    ],
)
def test_chat_refusals(api: Api, change: dict[str, Any], status: int, message: str) -> None:
    body = {"model": "GigaChat", "messages": [USER], **change}
    for stream in (False, True):
        answer = api.http.post("/chat/completions", json={"stream": stream, **body})
        assert answer.json() == {"status": status, "message": message}
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/json; charset=utf-8"
        assert answer.content.endswith(b"}\n")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b'{"model":NaN}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"max_tokens":' + b"9" * 5000 + b"}",
    ],
)
@pytest.mark.parametrize("path", ["/chat/completions", "/embeddings", "/tokens/count"])
def test_bodies_that_are_not_json(api: Api, path: str, body: bytes) -> None:
    answer = api.http.post(path, content=body)
    assert answer.status_code == 400
    assert answer.content == f'{{"status":400,"message":"{SYNTAX}"}}\n'.encode()


def test_unknown_fields_and_half_surrogates_pass(api: Api) -> None:
    content = rb'{"model":"GigaChat","messages":[{"role":"user","content":"a \ud83d b"}],"new_field":{"a":1}}'
    assert api.http.post("/chat/completions", content=content).status_code == 200


# Functions


def test_function_round_trip(api: Api) -> None:
    user = {"role": "user", "content": "Какая погода в городе Псков на 3 дня?"}
    body = api.chat(user, functions=[WEATHER], function_call="auto").json()
    choice = body["choices"][0]
    assert choice["finish_reason"] == "function_call"
    message = choice["message"]
    assert list(message) == ["content", "role", "function_call", "functions_state_id"]
    assert message["content"] == ""
    call_id = message["function_call"]["id"]
    assert message["function_call"] == {"name": "weather", "arguments": {"city": "Псков", "days": 3}, "id": call_id}
    assert uuid.UUID(call_id).version == 4
    assert uuid.UUID(message["functions_state_id"]).version == 7
    final = api.chat(user, message, RESULT, functions=[WEATHER], function_call="auto").json()["choices"][0]
    assert final["finish_reason"] == "stop"
    assert '{"t":-3}' in final["message"]["content"]
    # The state id alone stands for the call too.
    short = {"role": "assistant", "content": "", "functions_state_id": message["functions_state_id"]}
    assert api.chat(user, short, RESULT).status_code == 200
    assert api.chat(user, short, user).json()["message"] == UNANSWERED


def test_a_streamed_call_comes_whole(api: Api) -> None:
    chunk, done = api.stream(functions=[WEATHER], function_call={"name": "weather"})
    assert done == "[DONE]"
    choice = chunk["choices"][0]
    assert list(choice) == ["delta", "index", "finish_reason"]
    assert list(choice["delta"]) == ["content", "role", "function_call", "functions_state_id"]
    assert choice["finish_reason"] == "function_call"
    assert chunk["usage"]["completion_tokens"] > 0


def test_modes_of_function_call(api: Api) -> None:
    other = {"name": "other.function-2", "parameters": {"type": "object", "properties": {}}}
    functions = [WEATHER, other]

    def called(*messages: dict[str, Any], **fields: Any) -> str | None:
        message = api.chat(*messages, functions=functions, **fields).json()["choices"][0]["message"]
        name: str | None = message.get("function_call", {}).get("name")
        return name

    assert called() == "weather"
    assert called(function_call="none") is None
    assert called(function_call="auto") == "weather"
    assert called({"role": "user", "content": "call other.function-2"}, function_call="auto") == "other.function-2"
    assert called(function_call={"name": "other.function-2"}) == "other.function-2"
    preset = {"name": "weather", "partial_arguments": {"days": 5}}
    answer = api.chat(functions=functions, function_call=preset).json()
    assert answer["choices"][0]["message"]["function_call"]["arguments"]["days"] == 5


# Structured answers


class Mode(Enum):
    RED = "red"
    BLUE = "blue"


class Leaf(BaseModel):
    name: str = Field(min_length=30, max_length=40)
    children: list[Leaf] = []


class Tree(BaseModel):
    id: UUID4
    born: date
    mode: Mode
    kind: Literal["tree"]
    height: float = Field(gt=0, lt=1)
    rings: int = Field(ge=10, le=20, multiple_of=7)
    negative: int = Field(lt=-5)
    leaf: Leaf | None
    tags: set[str] = Field(min_length=3)
    pair: tuple[int, str]
    code: str | None = Field(None, pattern=r"^[A-Z]{3}-\d{4}(x|y)+$")
    counts: dict[str, int] = Field(min_length=2)
    mixed: int | str
    flag: bool
    parent: Tree | None = None


@pytest.mark.parametrize("model", ["GigaChat", "GigaChat-3-Ultra"])
@pytest.mark.parametrize("text", ["Пример", "Take 14 and 0.5", ""])
def test_structured_answers_are_valid(api: Api, model: str, text: str) -> None:
    schema = {"type": "json_schema", "schema": Tree.model_json_schema(), "strict": True}
    content = api.text({"role": "user", "content": text}, model=model, response_format=schema)
    tree = Tree.model_validate_json(content)
    assert tree.leaf is not None
    assert content.startswith('{\n    "id"' if model == "GigaChat-3-Ultra" else '{"id":"')
    streamed = api.stream({"role": "user", "content": text}, model=model, response_format=schema)
    joined = "".join(chunk["choices"][0]["delta"]["content"] for chunk in streamed[:-1])
    assert joined == content


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({}, "few words"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"const": 5}}}, 5),
        ({"anyOf": [{"$ref": "#"}, {"type": "null"}, {"const": 5}]}, 5),
        ({"properties": {"next": {"allOf": [{"$ref": "#"}]}}}, {}),
        ({"items": {"$ref": "#"}}, []),
        ({"$ref": "#/missing"}, "few words"),
        ({"allOf": [{"type": "object", "required": ["a"]}, {"properties": {"a": {"const": 1}}}]}, {"a": 1}),
        ({"oneOf": [{"type": "null"}, {"type": "boolean"}]}, True),
        ({"type": ["null", "integer"]}, 1),
        ({"type": "null"}, None),
        ({"type": "array", "maxItems": 0}, []),
        ({"type": "array", "items": {"enum": [1, 2]}, "minItems": 3}, [1, 2, 1]),
        ({"type": "string", "maxLength": 3}, "few"),
        ({"type": "number", "exclusiveMinimum": 1, "exclusiveMaximum": 2}, 1.5),
        ({"type": "number", "multipleOf": 0.5, "minimum": 0.6}, 1),
        ({"type": "integer", "maximum": -3}, -3),
        ({"required": ["free"]}, {"free": "few words"}),
        ({"type": "string", "default": "given"}, "given"),
    ],
)
def test_instances(schema: dict[str, Any], expected: Any) -> None:
    assert sample(schema, "few words") == expected


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "minLength": "x"},
        {"type": "integer", "minimum": "a"},
        {"properties": [1]},
        {"allOf": 5},
        {"anyOf": []},
        {"$ref": "#"},
        {"items": {"$ref": "#"}, "minItems": 1},
        {"type": "array", "minItems": 10**9},
        {"type": "object", "minProperties": 10**9},
        {"type": "string", "minLength": 10**9},
        {"$ref": "#/$defs/a", "$defs": {"a": {"required": ["b", "c"], "additionalProperties": {"$ref": "#/$defs/a"}}}},
    ],
)
def test_schemas_that_cannot_be_built_are_refused(api: Api, schema: dict[str, Any]) -> None:
    for stream in (True, False):
        answer = api.chat(stream=stream, response_format={"type": "json_schema", "schema": schema})
        assert answer.status_code == 422
        assert answer.json()["message"].startswith("Invalid params: the JSON Schema")


@pytest.mark.parametrize("pattern", ["", r"^\d{3}$", "("])
def test_a_pattern_is_left_to_an_order(api: Api, pattern: str) -> None:
    named = {"type": "object", "properties": {"code": {"type": "string", "pattern": pattern}}}
    assert sample(named) == {}
    with pytest.raises(Unfilled, match=r"no text for a pattern; order the answer with reply"):
        sample({"type": "string", "pattern": pattern})
    answer = api.chat(response_format={"type": "json_schema", "schema": {**named, "required": ["code"]}})
    text = "the local server makes no text for the pattern of code; order the answer with reply()"
    assert (answer.status_code, answer.json()["message"]) == (422, f"Invalid params: {text}")


@pytest.mark.slow
@pytest.mark.parametrize("keyword", ["allOf", "anyOf", "properties", "$ref"])
def test_a_sample_of_a_large_schema_takes_bounded_work(keyword: str) -> None:
    many = 100_000
    schemas: dict[str, dict[str, Any]] = {
        "allOf": {"allOf": [{"properties": {f"p{number}": {}}} for number in range(many)]},
        "anyOf": {"type": "array", "minItems": 1000, "items": {"anyOf": [{"type": "null"}] * many}},
        "properties": {"properties": {f"p{number}": {} for number in range(many)}},
        "$ref": {
            "$defs": {"large": {"properties": {f"p{number}": {} for number in range(5000)}}},
            "properties": {f"r{number}": {"$ref": "#/$defs/large"} for number in range(5000)},
        },
    }
    begun = time.process_time()
    with pytest.raises(Unfilled, match="needs more than 10000"):
        sample(schemas[keyword])
    assert time.process_time() - begun < 10


# Embeddings and tokens


def cosine(first: list[float], second: list[float]) -> float:
    return sum(map(float.__mul__, first, second)) / math.hypot(*first) / math.hypot(*second)


def test_embeddings(api: Api) -> None:
    texts = ["Hello, world!", "Кошка сидит на окне", "Кошки сидят на окнах", "Курс доллара вырос", ""]
    body = api.http.post("/embeddings", json={"input": texts, "model": "Embeddings"}).json()
    vectors = [item["embedding"] for item in body["data"]]
    assert [item["index"] for item in body["data"]] == [0, 1, 2, 3, 4]
    assert body["data"][0]["usage"] == {"prompt_tokens": 9}
    for vector in vectors:
        assert len(vector) == 1024
        assert math.hypot(*vector) == pytest.approx(29, abs=0.1)
        assert vector == list(struct.unpack("<1024e", struct.pack("<1024e", *vector)))
    assert cosine(vectors[1], vectors[2]) > 0.2 > abs(cosine(vectors[1], vectors[3]))
    again = api.http.post("/embeddings", json={"input": texts[1], "model": "Embeddings"}).json()
    assert again["data"][0]["embedding"] == vectors[1]
    large = api.http.post("/embeddings", json={"input": ["a"], "model": "EmbeddingsGigaR"}).json()
    assert len(large["data"][0]["embedding"]) == 2560


@pytest.mark.slow
def test_embeddings_leave_the_others_their_turn() -> None:
    """Long texts take seconds."""
    begun = threading.Event()

    def telling(text: str, dimensions: int) -> Sequence[float]:
        begun.set()
        return hashed_vector(text, dimensions)

    body = {"model": "EmbeddingsGigaR", "input": [" ".join(f"w{n}x{turn}" for n in range(700)) for turn in range(4)]}
    with GigaChatServer(embedder=telling) as server, ThreadPoolExecutor(1) as beside, http_client(server) as http:
        api = Api(server)
        made = beside.submit(api.http.post, "/embeddings", json=body, timeout=60)
        assert begun.wait(10)
        assert http.get("/models").status_code == 401
        assert not made.done()
        assert made.result(60).status_code == 200
        api.http.close()


@pytest.mark.slow
def test_embeddings_of_too_long_a_text_are_refused_before_they_are_made(api: Api) -> None:
    """Its million words would take a quarter of an hour."""
    answer = api.http.post("/embeddings", json={"model": "EmbeddingsGigaR", "input": ["ab 12 " * 500_000]})
    assert (answer.status_code, answer.json()["message"]) == (
        413,
        "Tokens limit exceeded: 1000005 of 4096 in input 0",
    )


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/embeddings", {"model": "Nothing", "input": ["a"]}, 404, "No such model"),
        ("/embeddings", {"model": "GigaChat", "input": ["a"]}, 404, "No such model"),
        ("/embeddings", {"input": ["a"]}, 404, "No such model"),
        ("/embeddings", {"model": "Embeddings"}, 400, SYNTAX),
        ("/embeddings", {"model": "Embeddings", "input": []}, 422, "Invalid params: input must not be empty"),
        ("/embeddings", {"model": "Embeddings", "input": [1]}, 400, SYNTAX),
        ("/embeddings", {"model": "Embeddings", "input": {}}, 400, SYNTAX),
        (
            "/embeddings",
            {"model": "Embeddings", "input": ["a", "слово " * 600]},
            413,
            "Tokens limit exceeded: 1205 of 512 in input 1",
        ),
        ("/tokens/count", {"model": "Nothing", "input": ["a"]}, 404, "No such model"),
        ("/tokens/count", {"model": "GigaChat", "input": [None]}, 400, SYNTAX),
    ],
)
def test_input_refusals(api: Api, path: str, body: dict[str, Any], status: int, message: str) -> None:
    answer = api.http.post(path, json=body)
    assert (answer.status_code, answer.json()) == (status, {"status": status, "message": message})


def test_tokens_count_counts_characters(api: Api) -> None:
    answer = api.http.post("/tokens/count", json={"model": "GigaChat", "input": "Привет, мир 🙂"}).json()
    assert answer == [{"object": "tokens", "tokens": 5, "characters": 13}]


@pytest.mark.parametrize(
    "text", ["", " ", "\n\n", "a", "one two three four five six. Seven", "x" * 100, " 2028: \u2028 "]
)
def test_phrases_join_to_the_text(text: str) -> None:
    assert "".join(phrases(text)) == text
    assert all(phrases(text))


def test_tokens_are_about_four_characters() -> None:
    text = "Какие факторы влияют на стоимость страховки на дом и квартиру в большом городе?"
    assert 2.5 < len(text) / count_tokens(text) < 4.5


# Orders of tests


def test_ordered_replies(api: Api) -> None:
    api.server.reply("first")
    api.server.reply({"content": "second", "finish_reason": "blacklist", "reasoning_content": "thinking"})
    call = {"name": "f", "arguments": {"a": [1]}, "id": "c1"}
    api.server.reply({"function_call": call, "functions_state_id": "own"})
    assert api.text() == "first"
    choice = api.chat().json()["choices"][0]
    assert choice["message"] == {"content": "second", "role": "assistant", "reasoning_content": "thinking"}
    assert choice["finish_reason"] == "blacklist"
    choice = api.chat().json()["choices"][0]
    assert choice["message"]["function_call"] == call
    assert choice["message"]["functions_state_id"] == "own"
    assert choice["finish_reason"] == "function_call"
    assert "echo" in api.text()


def test_ordered_replies_stream_too(api: Api) -> None:
    api.server.reply(
        {"content": "an answer of more than four words", "reasoning_content": "hm", "finish_reason": "length"}
    )
    first, *middle, last, done = api.stream()
    assert first["choices"][0]["delta"] == {"reasoning_content": "hm", "role": "assistant"}
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in middle) == "an answer of more than four words"
    assert last["choices"][0]["finish_reason"] == "length"
    assert done == "[DONE]"


def test_a_whole_completion_goes_out_as_it_is(api: Api) -> None:
    body = {
        "choices": [
            {
                "message": {"content": "whole", "role": "assistant", "new": None},
                "index": 0,
                "finish_reason": "new",
            }
        ],
        "created": 5,
        "model": "M:1",
        "object": "chat.completions",
        "usage": None,
        "extra": {"a": 1},
    }
    api.server.reply(body)
    assert api.chat().json() == body
    api.server.reply(body)
    first, last, _ = api.stream()
    assert first["choices"][0]["delta"]["content"] == "whole"
    assert (first["created"], first["model"]) == (5, "M:1")
    assert last["choices"][0]["finish_reason"] == "new"


def test_replies_can_take_their_time(api: Api) -> None:
    api.server.reply("late", after=0.1)
    start = time.monotonic()
    assert api.text() == "late"
    assert time.monotonic() - start >= 0.1


def test_ordered_failures(api: Api) -> None:
    server = api.server
    server.fail(429, times=2)
    server.fail(500, "Broken", path="/models")
    for _ in range(2):
        answer = api.chat()
        assert answer.status_code == 429
        assert answer.content == b'{"status":429,"message":"Too many requests"}\n'
    assert api.chat().status_code == 200
    assert api.http.get("/models").json() == {"status": 500, "message": "Broken"}
    assert api.http.get("/models").status_code == 200
    server.fail(503, path="oauth", headers={"Retry-After": "1"})
    server.fail(401, "credentials doesn't match db data", path="oauth", code=6)
    refused = sign_in(api.http, server)
    assert refused.json() == {"status": 503, "message": "Service Unavailable"}
    assert refused.headers["retry-after"] == "1"
    assert sign_in(api.http, server).json() == {"code": 6, "message": "credentials doesn't match db data"}
    server.fail(502, body="<html>плохо</html>".encode())
    page = api.chat()
    assert (page.status_code, page.headers["content-type"]) == (502, "text/html")
    assert page.text == "<html>плохо</html>"
    server.fail(400, body=b"[", headers={"content-type": "text/plain"}, delay=0.05)
    start = time.monotonic()
    assert api.chat().headers["content-type"] == "text/plain"
    assert time.monotonic() - start >= 0.05


def test_ordered_delays_end_with_the_caller(api: Api) -> None:
    api.server.delay(0.1, path="/models")
    start = time.monotonic()
    assert api.http.get("/models").status_code == 200
    assert time.monotonic() - start >= 0.1
    api.server.delay(60, times=2)
    with pytest.raises(httpx2.ReadTimeout):
        api.http.get("/models", timeout=httpx2.Timeout(60.0, read=0.1))
    api.server.clear()
    assert api.http.get("/models").status_code == 200


def read_until(api: Api, error: type[Exception], timeout: httpx2.Timeout) -> bytes:
    """Return what came of a stream before this error ended the reading."""
    received = b""
    body = {**BODY, "stream": True}
    with api.http.stream("POST", "/chat/completions", json=body, timeout=timeout) as answer:
        assert answer.status_code == 200
        try:
            for piece in answer.iter_bytes():
                received += piece
        except error:
            return received
    pytest.fail("the stream ended as if nothing had happened")


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize("after", [0, 1, 3, 1000])
def test_cut_streams(tls: bool, after: int) -> None:
    with GigaChatServer(tls=tls) as server:
        api = Api(server)
        server.cut(after_events=after)
        received = read_until(api, httpx2.RemoteProtocolError, TIMEOUT)
        if after < 1000:
            assert received.count(b"\n\n") == after
        else:
            assert received.endswith(b"data: [DONE]\n\n")
        assert api.stream()[-1] == "[DONE]"
        api.http.close()


def test_literal_streams(api: Api) -> None:
    wire = 'data: {"a":"\u2028"}\r\n\r\n'.encode()
    api.server.stream_events([*(wire[at : at + 1] for at in range(len(wire))), {"b": 1}, "[DONE]"])
    answer = api.chat(stream=True)
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.content == wire + b'data: {"b":1}\n\ndata: [DONE]\n\n'
    assert "echo" in api.text()


def test_a_literal_stream_can_stay_open(api: Api) -> None:
    received = b""
    for seconds in (0.5, 10.0):  # a busy machine may be silent for a while before the first event
        api.server.clear()
        api.server.stream_events([{"a": 1}, "[DONE]"], keep_open=True)
        with suppress(httpx2.ReadTimeout):
            received = read_until(api, httpx2.ReadTimeout, httpx2.Timeout(60.0, read=seconds))
        if received.endswith(b"[DONE]\n\n"):
            break
    assert received.endswith(b"[DONE]\n\n")
    assert api.text()


def test_the_pace_of_a_stream() -> None:
    with GigaChatServer(pace=0.02) as server:
        api = Api(server)
        start = time.monotonic()
        count = len(api.stream())
        assert time.monotonic() - start >= 0.02 * (count - 1)
        api.http.close()


def test_the_journal(api: Api) -> None:
    api.chat()
    api.http.get("/models?a=1&b=%D1%8F", headers=[("X-Custom", "yes"), ("X-Custom", "no")])
    first, second = api.server.requests
    assert (first.method, first.path) == ("POST", "/api/v1/chat/completions")
    assert first.json == {"model": "GigaChat", "messages": [USER]}
    assert json.loads(first.body) == first.json
    assert second.headers["x-CUSTOM"] == "yes, no"
    assert "X-Custom" in second.headers
    assert second.query == {"a": "1", "b": "я"}
    assert first.at <= second.at
    assert api.server.requests_to("models") == [second]
    assert "Bearer" not in repr(first)
    assert "Bearer" not in repr(dict.fromkeys([1], first))
    api.server.clear()
    assert api.server.requests == []


def test_requests_in_progress_end_with_their_response_or_their_client(api: Api) -> None:
    api.chat()
    until(lambda: api.server.requests_in_progress == [])
    api.server.stream_events(["{}"], keep_open=True)
    with api.http.stream("POST", "/chat/completions", json={"model": "GigaChat", "messages": [USER], "stream": True}):
        assert api.server.requests_in_progress == api.server.requests[1:]
        api.server.clear()
        assert len(api.server.requests_in_progress) == 1
    until(lambda: api.server.requests_in_progress == [])


def test_connections_are_counted() -> None:
    with GigaChatServer() as server:
        for expected in (1, 2):
            with http_client(server) as http:
                http.get("/models")
                http.get("/models")
            assert server.connections == expected


class Doubling:
    """An engine of one's own."""

    async def complete(self, request: ChatRequest) -> AsyncGenerator[Piece, None]:
        if request.functions:
            yield FunctionCall(str(request.functions[0]["name"]), {})
            return
        yield request.messages[-1].content * 2


def test_another_engine() -> None:
    with GigaChatServer(engine=Doubling()) as server:
        api = Api(server)
        assert api.text({"role": "user", "content": "ab"}) == "abab"
        assert api.stream({"role": "user", "content": "ab"})[0]["choices"][0]["delta"]["content"] == "abab"
        api.http.close()


def test_who_goes_away_ends_the_making_of_vectors() -> None:
    """The server no longer waits for the vector in progress, and makes no other."""
    texts: list[str] = []
    begun, ended = threading.Event(), threading.Event()

    def slow(text: str, dimensions: int) -> Sequence[float]:
        texts.append(text)
        begun.set()
        assert ended.wait(10)
        return [0.5] * dimensions

    body = json.dumps({"model": "Embeddings", "input": ["a", "b"]}).encode()
    state = State()
    state.tokens.add("token", 60.0)
    asked = False

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if not asked:
            asked = True
            return {"type": "http.request", "body": body, "more_body": False}
        assert await asyncio.to_thread(begun.wait, 10)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        assert message.get("body", b"") == b""

    async def main() -> None:
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/embeddings",
            "query_string": b"",
            "headers": [(b"authorization", b"Bearer token")],
        }
        try:
            async with asyncio.timeout(10):
                await create_app(state, embedder=slow)(scope, receive, send)
        finally:
            ended.set()

    asyncio.run(main())
    assert texts == ["a"]


def test_the_application_alone() -> None:
    transport = httpx2.ASGITransport(app=create_app())

    async def ask() -> httpx2.Response:
        async with httpx2.AsyncClient(transport=transport, base_url="http://local") as http:
            return await http.get("/v1/models")

    assert asyncio.run(ask()).status_code == 401


# TLS


def test_an_unknown_authority_is_not_trusted(api: Api) -> None:
    with (
        httpx2.Client(verify=ssl.create_default_context(), trust_env=False) as http,
        pytest.raises(httpx2.ConnectError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        http.get(api.server.base_url)


def test_names_and_forms_of_the_certificate(api: Api) -> None:
    context = ssl.create_default_context(cadata=Path(api.server.certificates.ca_bundle_der_file).read_bytes())
    with httpx2.Client(verify=context, trust_env=False) as http:
        for origin in (api.server.origin, api.server.origin.replace("localhost", "127.0.0.1")):
            assert http.get(f"{origin}/v1/models").status_code == 401


def test_the_certificate_names_what_others_call_the_server() -> None:
    with GigaChatServer(names=["gigachat.test", "192.0.2.7"]) as server:
        port = int(server.origin.rpartition(":")[2])
        context = ssl.create_default_context(cafile=server.ca_bundle_file)
        for name in ("gigachat.test", "192.0.2.7", "localhost"):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
                context.wrap_socket(plain, server_hostname=name).close()
        with socket.create_connection(("127.0.0.1", port), timeout=10) as plain, pytest.raises(ssl.CertificateError):
            context.wrap_socket(plain, server_hostname="other.test")


def test_mtls_stands_for_a_token() -> None:
    with GigaChatServer(mtls=True) as server:
        assert "GIGACHAT_CREDENTIALS" not in server.environment
        for key, password in (
            (server.client_key_file, None),
            (server.certificates.client_encrypted_key_file, server.certificates.client_key_password),
        ):
            context = ssl.create_default_context(cafile=server.ca_bundle_file)
            context.load_cert_chain(server.client_cert_file, key, password)
            with httpx2.Client(verify=context, base_url=server.base_url, trust_env=False) as http:
                assert http.get("/models").status_code == 200
                assert http.post("/chat/completions", json=BODY).status_code == 200
                wrong = http.get("/models", headers={"Authorization": "Bearer wrong"})
                assert wrong.json() == {"status": 401, "message": "Unauthorized"}
        with http_client(server) as http, pytest.raises(httpx2.TransportError):
            http.get("/models")


def test_without_tls() -> None:
    with GigaChatServer(tls=False) as server:
        assert server.origin.startswith("http://localhost:")
        assert "GIGACHAT_CA_BUNDLE_FILE" not in server.environment
        api = Api(server)
        assert api.chat().status_code == 200
        api.http.close()


# Start and stop


def test_senseless_settings() -> None:
    with pytest.raises(ValueError, match="mtls"):
        GigaChatServer(tls=False, mtls=True)
    with pytest.raises(ValueError, match="0 or more"):
        GigaChatServer(pace=-1)
    with pytest.raises(ValueError, match="finite"):
        GigaChatServer(token_lifetime=float("nan"))
    with pytest.raises(RuntimeError, match="not been started"):
        _ = GigaChatServer().base_url


def test_a_taken_port_is_an_error() -> None:
    with GigaChatServer() as server:
        port = int(server.origin.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            GigaChatServer(port=port).start()
        with pytest.raises(RuntimeError, match="already"):
            server.start()


def test_it_starts_and_stops_at_once_with_streams_open(capfd: pytest.CaptureFixture[str]) -> None:
    # It would wait two seconds for who does not end; the machine may be busy once, not three times.
    starts, stops = zip(*(seconds_to_start_and_stop() for _ in range(3)), strict=True)
    assert min(starts) < 2
    assert min(stops) < 1.5
    assert capfd.readouterr() == ("", "")


def seconds_to_start_and_stop() -> tuple[float, float]:
    """Start a server and stop it while callers wait, and check that nothing is left of it."""
    threads = set(threading.enumerate())
    start = time.monotonic()
    with GigaChatServer() as server:
        started = time.monotonic() - start
        api = Api(server)
        folder = Path(server.ca_bundle_file).parent
        server.stream_events([{"a": 1}], keep_open=True)
        server.delay(60, path="/models")
        request = api.http.build_request("POST", "/chat/completions", json={**BODY, "stream": True})
        stream = api.http.send(request, stream=True)
        assert next(stream.iter_raw()) == b'data: {"a":1}\n\n'
        raw = socket.create_connection(("127.0.0.1", int(server.origin.rpartition(":")[2])), timeout=60)
        start = time.monotonic()
    stopped = time.monotonic() - start
    assert not folder.exists()
    assert set(threading.enumerate()) == threads
    raw.close()
    stream.close()
    api.http.close()
    server.stop()
    return started, stopped


@pytest.mark.slow
@pytest.mark.parametrize("tls", [True, False])
def test_it_stops_cleanly_while_callers_come(tls: bool) -> None:
    for _ in range(10):
        with GigaChatServer(tls=tls) as server:
            port = int(server.origin.rpartition(":")[2])
            callers = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(5)]
        for caller in callers:
            caller.close()
        gc.collect()  # Anything left unclosed would warn now.


def test_it_can_be_started_again() -> None:
    server = GigaChatServer()
    for _ in range(2):
        with server:
            api = Api(server)
            assert api.chat().status_code == 200
            api.http.close()


def test_many_streams_at_once(api: Api) -> None:
    def read(number: int) -> bool:
        with http_client(api.server, headers={"Authorization": api.http.headers["Authorization"]}) as http:
            body = {**BODY, "messages": [{"role": "user", "content": f"Question {number}"}], "stream": True}
            *chunks, _, done = events(http.post("/chat/completions", json=body).content)
        text = "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks)
        return done == "[DONE]" and f"“Question {number}”" in text

    with ThreadPoolExecutor(20) as pool:
        assert all(pool.map(read, range(60)))


def test_a_client_that_speaks_nonsense_does_no_harm(api: Api, capfd: pytest.CaptureFixture[str]) -> None:
    port = int(api.server.origin.rpartition(":")[2])
    for nonsense in (b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 100, b""):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as plain:
            plain.sendall(nonsense)
    assert api.http.get("/models").status_code == 200
    assert capfd.readouterr() == ("", "")


# The package


def test_missing_extras_are_named() -> None:
    code = "import sys; sys.modules['trustme'] = None; import gigachat.server"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert 'pip install ".[server]"' in done.stderr
    assert "trustme" in done.stderr


@pytest.mark.slow
def test_the_server_does_not_import_the_client() -> None:
    code = "import sys, gigachat.server; print(*sorted(sys.modules))"
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, env=environment)
    loaded = set(done.stdout.split())
    assert "httpx2" not in loaded
    assert not {"gigachat.client", "gigachat.settings", "gigachat._engine", "gigachat._transport"} & loaded
