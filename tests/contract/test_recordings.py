"""Every recorded and documented exchange, played back to the public client over a real socket in every mode.

Those of chats v2, whose names begin with `primary_`, are in `test_recordings_v2`.
"""

from __future__ import annotations

import base64
import json
import re
import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest
from pydantic import BaseModel, ConfigDict, Field
from tests.contract.replay import Exchange, call, recording, recordings, replaying
from tests.support.callers import MODES, Caller, Mode, whole
from tests.support.payloads import WEATHER
from tests.support.servers import Received

from gigachat import AsyncGigaChat, ForbiddenError, GigaChat, NotFoundError, ResponseError
from gigachat._engine.endpoint import ModeMethod
from gigachat.api.assistants import AssistantsNamespace
from gigachat.api.threads import ThreadsNamespace
from gigachat.models import (
    Batch,
    BatchError,
    Chat,
    ChatCompletion,
    File,
    Image,
    JsonSchemaResponseFormat,
    Messages,
    MessagesRole,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.contract.replay import Replay

KEY = base64.b64encode(b"client:secret").decode()
USER, PASSWORD = "user", "пароль"
ALWAYS_SENT = {"host", "connection", "accept-encoding", "authorization", "content-length"}


class Out(BaseModel):  # no docstring: the recorded schema has no description
    answer: str
    n: int = Field(ge=0, le=10)


class OutAlone(Out):
    model_config = ConfigDict(title="Out", extra="forbid")


HELLO = "Say 'Hello' and nothing else"
COUNT = "Count from 1 to 3"
PARSE = 'Return {"answer":"ok","n":3} exactly.'
PARSE_STERNLY = [
    {
        "role": "system",
        "content": "You are a JSON API. Output must be a single JSON object and NOTHING else. Do not use markdown. "
        "Do not wrap in ``` code fences. Do not add comments. Do not add trailing text.",
    },
    {"role": "user", "content": PARSE},
]
SCHEMA = {
    "type": "json_schema",
    "schema": {
        "type": "object",
        "properties": {"answer": {"type": "string"}, "n": {"type": "integer"}},
        "required": ["answer", "n"],
        "additionalProperties": False,
    },
    "strict": True,
}


@dataclass(frozen=True)
class Case:
    """How a recorded request is made with the public client."""

    method: str
    arguments: tuple[Any, ...] = ()
    fields: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)


ULTRA = {"model": "GigaChat-3-Ultra", "profanity_check": False}

QUESTION = {"role": "user", "content": "Какая погода в городе Псков?"}
FUNCTION_CALL = recording("chat_function_call")[-1].json["choices"][0]["message"]
FUNCTION_RESULT = {"role": "function", "name": "weather", "content": '{"temperature":-3}'}
FUNCTIONS = {"functions": [WEATHER], "function_call": "auto"}

ANSWERED = {
    "chat_function_call": Case("chat", (QUESTION["content"],), FUNCTIONS),
    "chat_function_result": Case(
        "chat", ([QUESTION, Messages.model_validate(FUNCTION_CALL), FUNCTION_RESULT],), FUNCTIONS
    ),
    "chat_simple": Case("chat", (HELLO,)),
    "chat_response_format_json_schema": Case("chat", (PARSE,), {"response_format": SCHEMA}, ULTRA),
    "older_2026-02_chat_response_format_json_schema": Case("chat", (PARSE_STERNLY,), {"response_format": SCHEMA}),
    "aembeddings_single": Case("embeddings", (["Hello, world!"],)),
    "embeddings_single": Case("embeddings", ("Hello, world!",)),
    "embeddings_multiple": Case("embeddings", (["First text", "Second text"],)),
    "atokens_count_single": Case("tokens_count", ("Hello, world!",), {"model": "GigaChat"}),
    "tokens_count_single": Case("tokens_count", (["Hello, world!"],)),
    "tokens_count_multiple": Case("tokens_count", (("First text", "Second text"),)),
    "aget_model": Case("get_model", ("GigaChat",)),
    "get_model": Case("get_model", ("GigaChat",)),
    "get_models": Case("get_models"),
}
PARSED_ANSWERS = {
    "achat_parse_json_schema": Case("chat_parse", (PARSE,), {"response_format": Out}, ULTRA),
    "chat_parse_json_schema": Case("chat_parse", (PARSE,), {"response_format": Out}, ULTRA),
    "older_2026-02_chat_parse_json_schema": Case("chat_parse", (PARSE_STERNLY,), {"response_format": OutAlone}),
}
STREAMED = {
    "stream_simple": Case("stream", (COUNT,)),
    "older_2025-12_stream_simple": Case("stream", (COUNT,)),
    "older_2026-02_astream_simple": Case("stream", (COUNT,)),
}
STREAMED_CALLS = {"stream_function_call": Case("stream", (QUESTION["content"],), FUNCTIONS)}
REFUSED = {
    "chat_model_not_found": Case("chat", ("Hello",), {"model": "NonExistentModel"}),
    "get_model_not_found": Case("get_model", ("NonExistentModel",)),
}
# The rest of the API, of which nothing is recorded: the names are those of the exchanges built from the notes.
NOTE, PICTURE = "5b2a7f0e-6c0d-4d53-9a2b-0f3c1e8d7a11", "c1d7e6f4-2a38-4c55-8f0e-7b9a6d3e2f22"
BATCH, OUTPUT = "7f3c1d2e-9a8b-4c7d-8e6f-5a4b3c2d1e0f", "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"
ASSISTANT, THREAD = "3e2d1c0b-1a2b-4c3d-8e4f-5a6b7c8d9e0f", "9b1cc6d9-0eeb-46de-b01f-6f74c9a82df7"
CITY_WEATHER = {**WEATHER, "description": "Погода в городе"}
BATCHED = [{"model": "GigaChat", "messages": [{"role": "user", "content": text}]} for text in ("Привет", "Пока")]
MOMENT = 1715684500
RUN_OPTIONS = {"temperature": 0.5, "max_tokens": 100}
ABOUT_ASSISTANT = {
    "description": "Отвечает коротко",
    "instructions": "Отвечай коротко.",
    "file_ids": [NOTE],
    "functions": [CITY_WEATHER],
    "metadata": {"team": 1},
}
ANSWERED_BY_THE_REST = {
    "upload_file": Case("upload_file", (("заметка.txt", "Купить хлеб."),)),
    "get_files": Case("get_files"),
    "get_file": Case("get_file", (PICTURE,)),
    "delete_file": Case("delete_file", (NOTE,)),
    "create_batch": Case("create_batch", (BATCHED,)),
    "get_batches": Case("get_batches"),
    "get_batches_one": Case("get_batches", (BATCH,)),
    "openapi_function_convert": Case(
        "openapi_function_convert", ("openapi: 3.0.0\ninfo: {title: Погода, version: '1'}\n",)
    ),
    "validate_function": Case("validate_function", (CITY_WEATHER,)),
    "validate_function_wrong": Case("validate_function", ({"description": "Погода"},)),
    "check_ai": Case("check_ai", ("Текст", "GigaCheckDetection")),
    "check_filter": Case(
        "check_filter",
        ("Привет",),
        {
            "settings": {"neuro": True, "blacklist": True, "whitelist": True, "unnormalized_history": False},
            "functions": [CITY_WEATHER],
        },
    ),
    "get_balance": Case("get_balance"),
    "assistants_get": Case("assistants.get", (ASSISTANT,)),
    "assistants_create": Case("assistants.create", ("GigaChat-Pro", "Помощник"), ABOUT_ASSISTANT),
    "assistants_update": Case("assistants.update", (ASSISTANT, "Помощник"), ABOUT_ASSISTANT),
    "assistants_delete": Case("assistants.delete", (ASSISTANT,)),
    "assistants_delete_file": Case("assistants.delete_file", (ASSISTANT, NOTE)),
    "threads_get_threads": Case("threads.get_threads", ([ASSISTANT, OUTPUT], 10, MOMENT)),
    "threads_list": Case("threads.list"),
    "threads_retrieve": Case("threads.retrieve", ([THREAD],)),
    "threads_get_messages": Case("threads.get_messages", (THREAD, 10, MOMENT)),
    "threads_add_message": Case("threads.add_message", (THREAD, "Привет")),
    "threads_add_messages": Case("threads.add_messages", (THREAD, ["Привет"])),
    "threads_run": Case("threads.run", (THREAD, ASSISTANT, RUN_OPTIONS)),
    "threads_get_run": Case("threads.get_run", (THREAD,)),
    "threads_run_messages": Case("threads.run_messages", (["Привет"], THREAD, ASSISTANT, None, RUN_OPTIONS)),
    "threads_rerun_messages": Case("threads.rerun_messages", (THREAD, RUN_OPTIONS)),
}
STREAMED_BY_THE_REST = {
    "threads_run_stream": Case("threads.run_stream", (THREAD, ASSISTANT, RUN_OPTIONS)),
    "threads_run_messages_stream": Case(
        "threads.run_messages_stream", (["Привет"], THREAD, None, None, RUN_OPTIONS, 1)
    ),
    "threads_rerun_messages_stream": Case("threads.rerun_messages_stream", (THREAD, RUN_OPTIONS, 1)),
}
# Answers that are no JSON object, or of which another thing is made.
MADE_OF_ANSWERS = {
    "get_image": Case("get_image", (PICTURE,)),
    "get_file_content": Case("get_file_content", (NOTE,)),
    "download_file": Case("download_file", (NOTE,)),
    "wait_batch": Case("wait_batch", (BATCH,)),
    "batch_results": Case("batch_results", (Batch.model_validate({"id": BATCH, "output_file_id": OUTPUT}),)),
    "threads_create_thread": Case("threads.create_thread"),
    "threads_delete": Case("threads.delete", (THREAD,)),
}
REFUSED_BY_THE_REST: dict[str, tuple[Case, type[ResponseError]]] = {
    "get_batches_unknown": (Case("get_batches", (OUTPUT,)), NotFoundError),
    "get_balance_refused": (Case("get_balance"), ForbiddenError),
}
REST = {
    **ANSWERED_BY_THE_REST,
    **STREAMED_BY_THE_REST,
    **MADE_OF_ANSWERS,
    **{name: case for name, (case, _) in REFUSED_BY_THE_REST.items()},
}
CASES = {**ANSWERED, **PARSED_ANSWERS, **STREAMED, **STREAMED_CALLS, **REFUSED, **REST}
# Signing in is a part of each recording; what reaches any endpoint has no exchange.
NEITHER = {"get_token", "request", "openai_client"}
COMPOSED = {"models_info", "embed", "embed_slices", "conversation"}
COMPOSED |= {"attach", "transcribe"}
COMPOSED |= {"chat_run", "chat_run_stream", "chat.run", "chat.run_stream"}
"""Methods that make of another method's exchange something else."""


def test_every_recording_is_replayed() -> None:
    assert {name for name in recordings() if not name.startswith("primary_")} == set(CASES)


@pytest.mark.parametrize(
    ("kind", "namespace"),
    [(AsyncGigaChat, ""), (AssistantsNamespace, "assistants."), (ThreadsNamespace, "threads.")],
)
def test_every_endpoint_has_an_exchange(kind: type[Any], namespace: str) -> None:
    """The third step of a new endpoint; `test_server_answers` asks the local server for the second."""
    found = {
        f"{namespace}{name}"
        for owner in kind.__mro__
        for name, member in vars(owner).items()
        if isinstance(member, ModeMethod)
    }
    assert found - NEITHER - COMPOSED
    assert found - NEITHER - COMPOSED <= {case.method for case in CASES.values()}


def options(replay: Replay, case: Case) -> dict[str, Any]:
    """Return the client's options for a replay: the way of signing in is the recorded one."""
    signing_in: dict[str, Any] = {"credentials": KEY, "auth_url": replay.auth_url}
    if replay.exchanges[0].endpoint == "token":
        signing_in = {"user": USER, "password": PASSWORD}
    return {"base_url": replay.base_url, "share_token": False, **signing_in, **case.options}


def make(mode: Mode, replay: Replay, case: Case) -> Any:
    """Make the recorded request."""
    return call(mode, options(replay, case), case.method, *case.arguments, **case.fields)


def check_requests(replay: Replay) -> None:
    """Check that just the recorded requests were made, on the wire as they were recorded."""
    assert len(replay.received) == len(replay.exchanges)
    for exchange, received in zip(replay.exchanges, replay.received, strict=True):
        assert (received.method, received.path) == (exchange.method, exchange.path)
        for name in ("accept", "content-type", "cache-control", "user-agent"):
            assert without_boundary(received.headers.get(name)) == exchange.request_headers.get(name), name
        assert set(received.headers) - ALWAYS_SENT == set(exchange.request_headers)
        check_body(exchange, received)


def without_boundary(value: str | None) -> str | None:
    """Return a content type with the boundary the exchanges are written with."""
    return re.sub(r"(?<=boundary=).+", "BOUNDARY", value) if value is not None else None


def check_body(exchange: Exchange, received: Received) -> None:
    """Check a request's body and authorization."""
    authorization = received.headers["authorization"]
    if exchange.endpoint == "oauth":
        assert authorization == f"Basic {KEY}"
        assert parse_qs(received.body.decode(), strict_parsing=True) == {"scope": ["GIGACHAT_API_PERS"]}
        identifier = received.headers["rquid"]
        assert uuid.UUID(identifier).version == 4
        assert str(uuid.UUID(identifier)) == identifier
    elif exchange.endpoint == "token":
        assert base64.b64decode(authorization.removeprefix("Basic ")).decode() == f"{USER}:{PASSWORD}"
        assert received.headers["content-length"] == "0"
        assert received.body == b""
    else:
        assert authorization == "Bearer REDACTED"
        if exchange.request_body is None:
            assert received.body == b""
        elif isinstance(exchange.request_body, str):
            boundary = received.headers.get("content-type", "").partition("boundary=")[2]
            body = received.body.decode()
            assert (body.replace(boundary, "BOUNDARY") if boundary else body) == exchange.request_body
        else:
            sent = json.loads(received.body)
            assert sent == exchange.request_body
            assert received.body == json.dumps(sent, ensure_ascii=False, separators=(",", ":")).encode()


def fields_of(answer: BaseModel) -> Any:
    """Return what was read of an answer as JSON, without the headers."""
    return answer.model_dump(by_alias=True, exclude_unset=True, exclude={"x_headers"})


def check_answer(answer: Any, exchange: Exchange, read: Any) -> None:
    """Check that an answer holds just what was sent: values, types of numbers, headers."""
    answers = answer if isinstance(answer, list) else [answer]
    expected = read if isinstance(read, list) else [read]
    assert [fields_of(one) for one in answers] == expected
    # 1 == 1.0 == True: the text tells them apart.
    assert json.dumps([fields_of(one) for one in answers], sort_keys=True) == json.dumps(expected, sort_keys=True)
    assert [
        json.loads(one.model_dump_json(by_alias=True, exclude_unset=True, exclude={"x_headers"})) for one in answers
    ] == expected
    assert all(one.x_headers == exchange.x_headers for one in answers)
    for one in answers:
        check_dumps(one)


def check_dumps(answer: BaseModel) -> None:
    """Check that what is kept of an answer, as JSON or as a mapping, reads as an equal answer."""
    kind = type(answer)
    for by_alias in (False, True):
        for without in ({}, {"exclude_unset": True}, {"exclude_none": True}):
            kept: dict[str, Any] = {"by_alias": by_alias, **without}
            text = json.dumps(answer.model_dump(**kept))
            for again in (
                kind.model_validate_json(answer.model_dump_json(**kept)),
                kind.model_validate(json.loads(text)),
            ):
                # Without nulls, those of mappings with any names are lost, too.
                assert again.model_dump(**kept) == answer.model_dump(**kept)
                assert again == answer or "exclude_none" in without


def with_unknown_fields(value: Any) -> Any:
    """Return JSON with a field nobody knows in each of its objects."""
    if isinstance(value, list):
        return [with_unknown_fields(item) for item in value]
    if not isinstance(value, dict):
        return value
    unknown: Any = {"number": 0.5, "text": "новое", "null": None, "list": [1, True, {}]}
    return {**{name: with_unknown_fields(item) for name, item in value.items()}, "not_known_yet": unknown}


def changed(exchange: Exchange) -> Exchange:
    """Return the exchange with unknown fields in its answer."""
    if exchange.headers["content-type"] == "text/event-stream":
        chunks = [json.dumps(with_unknown_fields(json.loads(data)), ensure_ascii=False) for data in exchange.events]
        return replace(exchange, body="".join(f"data: {chunk}\n\n" for chunk in (*chunks, "[DONE]")).encode())
    return replace(exchange, body=json.dumps(with_unknown_fields(exchange.json), ensure_ascii=False).encode())


def exchanges_of(name: str, *, unknown: bool) -> list[Exchange]:
    """Return a recording, its last answer with or without unknown fields."""
    *before, last = recording(name)
    return [*before, changed(last) if unknown else last]


both = pytest.mark.parametrize("unknown", [False, True], ids=["as-recorded", "unknown-fields"])
every_mode = pytest.mark.parametrize("mode", MODES)


@every_mode
@both
@pytest.mark.parametrize("name", ANSWERED | ANSWERED_BY_THE_REST)
def test_answers(name: str, unknown: bool, mode: Mode) -> None:
    with replaying(exchanges_of(name, unknown=unknown)) as replay:
        answer = make(mode, replay, CASES[name])
    check_requests(replay)
    check_answer(answer, replay.exchanges[-1], replay.exchanges[-1].json)


@every_mode
@both
@pytest.mark.parametrize("name", PARSED_ANSWERS)
def test_parsed_answers(name: str, unknown: bool, mode: Mode) -> None:
    case = PARSED_ANSWERS[name]
    with replaying(exchanges_of(name, unknown=unknown)) as replay:
        completion, parsed = make(mode, replay, case)
    check_requests(replay)
    check_answer(completion, replay.exchanges[-1], replay.exchanges[-1].json)
    wanted = case.fields["response_format"]
    assert type(parsed) is wanted
    assert parsed == wanted(answer="ok", n=3)


@every_mode
@both
@pytest.mark.parametrize("name", STREAMED | STREAMED_CALLS | STREAMED_BY_THE_REST)
def test_streams(name: str, unknown: bool, mode: Mode) -> None:
    with replaying(exchanges_of(name, unknown=unknown)) as replay:
        chunks = make(mode, replay, CASES[name])
    check_requests(replay)
    exchange = replay.exchanges[-1]
    check_answer(chunks, exchange, [json.loads(data) for data in exchange.events])


@every_mode
@both
@pytest.mark.parametrize("name", STREAMED)
def test_a_stream_put_together(name: str, unknown: bool, mode: Mode) -> None:
    with replaying(exchanges_of(name, unknown=unknown)) as replay:
        client_options = options(replay, STREAMED[name])
        with Caller(mode, client_options) as caller:
            texts, text, completion = whole(caller.method("stream")(COUNT), caller.run)
    assert "".join(texts) == text
    first, *_, last = sent = [json.loads(data) for data in replay.exchanges[-1].events]
    assert text == "".join(chunk["choices"][0]["delta"]["content"] for chunk in sent)
    expected = {
        "choices": [
            {"message": {"role": "assistant", "content": text}, "index": 0, "finish_reason": "stop"},
        ],
        **{key: first[key] for key in ("created", "model", "object")},
        "usage": last["usage"],
    }
    if unknown:
        new = first["not_known_yet"]
        expected["not_known_yet"] = new
        expected["choices"][0]["message"]["not_known_yet"] = new
        expected["choices"][0]["not_known_yet"] = new
    assert fields_of(completion) == expected
    assert completion.x_headers == replay.exchanges[-1].x_headers


@every_mode
@pytest.mark.parametrize("name", REFUSED)
def test_errors(name: str, mode: Mode) -> None:
    case = REFUSED[name]
    with replaying(recording(name)) as replay, pytest.raises(NotFoundError) as caught:
        make(mode, replay, case)
    check_requests(replay)
    exchange = replay.exchanges[-1]
    error = caught.value
    assert type(error) is NotFoundError
    assert error.status_code == exchange.status == 404
    assert error.message == exchange.json["message"] == "No such model"
    assert error.content == exchange.body
    assert error.body == exchange.json
    assert error.request_id == exchange.headers["x-request-id"]
    assert error.url == f"{replay.origin}{exchange.path}"
    assert error.headers is not None
    assert {name: error.headers[name.title()] for name in exchange.headers} == exchange.headers


# What a chat may be given as: each makes the recorded request of `chat_simple`.
MESSAGE = {"role": "user", "content": HELLO}
PAYLOADS: dict[str, tuple[Any, dict[str, Any]]] = {
    "text": (HELLO, {}),
    "text and a field": (HELLO, {"model": "GigaChat"}),
    "chat": (Chat(messages=[Messages(role=MessagesRole.USER, content=HELLO)]), {}),
    "mapping": ({"messages": [MESSAGE]}, {}),
    "list of mappings": ([MESSAGE], {}),
    "tuple of messages": ((Messages(role=MessagesRole.USER, content=HELLO),), {}),
    "fields alone": (None, {"messages": [MESSAGE]}),
    "fields over a chat": (
        Chat(messages=[Messages(role=MessagesRole.USER, content="another")], model="another"),
        {"messages": [MESSAGE], "model": "GigaChat"},
    ),
    "null is not given": (HELLO, {"model": None, "temperature": None, "functions": None}),
}


@every_mode
@pytest.mark.parametrize("form", PAYLOADS)
def test_all_forms_of_a_payload_are_the_same_request(form: str, mode: Mode) -> None:
    payload, fields = PAYLOADS[form]
    with replaying(recording("chat_simple")) as replay:
        answer = make(mode, replay, Case("chat", (payload,), fields))
    check_requests(replay)
    assert answer.choices[0].message.content == "Hello."


@every_mode
@pytest.mark.parametrize(
    "response_format",
    [SCHEMA, JsonSchemaResponseFormat.model_validate(SCHEMA)],
    ids=["mapping", "model"],
)
def test_both_forms_of_a_response_format_are_the_same_request(response_format: Any, mode: Mode) -> None:
    case = ANSWERED["chat_response_format_json_schema"]
    with replaying(recording("chat_response_format_json_schema")) as replay:
        answer = make(mode, replay, replace(case, fields={"response_format": response_format}))
    check_requests(replay)
    assert isinstance(answer, ChatCompletion)


@every_mode
@pytest.mark.parametrize("name", ["chat_simple", "chat_parse_json_schema"], ids=["oauth", "token"])
def test_signing_in_alone(name: str, mode: Mode) -> None:
    with replaying(recording(name)[:1]) as replay:
        replay_options = options(replay, Case("get_token"))
        if replay.exchanges[0].endpoint == "token":
            replay_options["base_url"] = f"{replay.origin}/v1"
        token = call(mode, replay_options, "get_token")
    check_requests(replay)
    sent = replay.exchanges[0].json
    assert token.access_token == "REDACTED" == sent.get("access_token", sent.get("tok"))
    # The password endpoint gives seconds (reference, section 1.4).
    assert token.expires_at == sent.get("expires_at", sent.get("exp", 0) * 1000)
    assert "REDACTED" not in repr(token)


@pytest.mark.parametrize("kind", [GigaChat, AsyncGigaChat])
def test_the_recorded_answers_say_which_headers_they_came_with(kind: type[GigaChat | AsyncGigaChat]) -> None:
    mode: Mode = "blocking" if kind is GigaChat else "async"
    with replaying(recording("chat_simple")) as replay:
        answer = make(mode, replay, CASES["chat_simple"])
    assert set(answer.x_headers) == {"x-request-id", "x-session-id", "x-client-id"}
    assert re.fullmatch(r"[0-9a-f-]{36}", answer.x_headers["x-request-id"])
    assert answer.x_headers["x-client-id"] is None


def make_rest(mode: Mode, name: str, *arguments: Any) -> tuple[Any, Exchange]:
    """Make the request of an exchange and return what is made of its answer, and the exchange."""
    with replaying(recording(name)) as replay:
        case = CASES[name]
        result = make(mode, replay, replace(case, arguments=(*case.arguments, *arguments)))
    check_requests(replay)
    return result, replay.exchanges[-1]


@every_mode
@pytest.mark.parametrize(("name", "kind"), [("get_image", Image), ("get_file_content", File)])
def test_contents_of_files(name: str, kind: type[File], mode: Mode) -> None:
    answer, exchange = make_rest(mode, name)
    assert type(answer) is kind
    assert base64.b64decode(answer.content) == exchange.body
    assert answer.x_headers == exchange.x_headers


@every_mode
def test_a_file_on_disk(mode: Mode, tmp_path: Path) -> None:
    path, exchange = make_rest(mode, "download_file", tmp_path / "заметка.txt")
    assert path.read_bytes() == exchange.body
    assert list(tmp_path.iterdir()) == [path]


@every_mode
def test_waiting_for_a_batch(mode: Mode) -> None:
    batch, exchange = make_rest(mode, "wait_batch")
    assert fields_of(batch) == exchange.json["batches"][0]


@every_mode
def test_results_of_a_batch(mode: Mode) -> None:
    results, exchange = make_rest(mode, "batch_results")
    assert [fields_of(result) for result in results] == [json.loads(line) for line in exchange.body.splitlines()]
    good, bad = results
    assert isinstance(good.result, ChatCompletion)
    assert isinstance(bad.error, BatchError)


@every_mode
def test_a_new_thread(mode: Mode) -> None:
    identifier, exchange = make_rest(mode, "threads_create_thread")
    assert identifier == exchange.json["id"] == THREAD


@every_mode
def test_deleting_a_thread(mode: Mode) -> None:
    assert make_rest(mode, "threads_delete")[0] is True


@every_mode
@pytest.mark.parametrize("name", REFUSED_BY_THE_REST)
def test_errors_of_the_rest(name: str, mode: Mode) -> None:
    with replaying(recording(name)) as replay, pytest.raises(ResponseError) as caught:
        make(mode, replay, CASES[name])
    check_requests(replay)
    assert type(caught.value) is REFUSED_BY_THE_REST[name][1]
    assert caught.value.message == replay.exchanges[-1].json["message"]
