"""What the local server answers, read by the public client: the same shapes as the recordings of the real service.

A shape is the keys in their order and the types of the values; numbers of a vector, chunks of a stream and entries of
a list may be more or fewer.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from tests.contract.replay import call, recording, recordings
from tests.contract.test_recordings import (
    ANSWERED,
    PARSED_ANSWERS,
    REFUSED,
    STREAMED,
    Case,
    fields_of,
)
from tests.support.callers import MODES, Mode

from gigachat import AsyncGigaChat, GigaChat
from gigachat.exceptions import (
    AuthenticationError,
    BadRequestError,
    ForbiddenError,
    NotFoundError,
    PaymentRequiredError,
    RateLimitError,
    RequestEntityTooLargeError,
    ResponseError,
    ServerError,
    UnprocessableEntityError,
)
from gigachat.server import GigaChatServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.contract.replay import Exchange

every_mode = pytest.mark.parametrize("mode", MODES)


@pytest.fixture(scope="module")
def running() -> Iterator[GigaChatServer]:
    with GigaChatServer(tls=False) as server:
        yield server


@pytest.fixture
def server(running: GigaChatServer) -> Iterator[GigaChatServer]:
    yield running
    running.clear()


def oauth(server: GigaChatServer) -> dict[str, Any]:
    """Return the options to sign in with the key."""
    return {
        "base_url": server.base_url,
        "auth_url": server.auth_url,
        "credentials": server.credentials,
        "share_token": False,
        "max_retries": 0,
    }


def ask(server: GigaChatServer, mode: Mode, case: Case) -> tuple[Any, httpx2.Response]:
    """Make a recorded request to the local server; return the answer as read and as it came."""
    heard: list[httpx2.Response] = []
    options = {**oauth(server), **case.options}
    answer = call(mode, options, case.method, *case.arguments, heard=heard, **case.fields)
    return answer, heard[-1]


def shape(value: Any) -> Any:
    """Return the keys of JSON in their order and the types of its values; of a list, its different shapes."""
    if isinstance(value, dict):
        return [(name, shape(item)) for name, item in value.items()]
    if isinstance(value, list):
        shapes: list[Any] = []
        for item in map(shape, value):
            if item not in shapes:
                shapes.append(item)
        return ("list", shapes)
    return type(value).__name__


def check_headers(answer: httpx2.Response, recorded: Mapping[str, str]) -> None:
    """Check that the headers are those of the recording, the same for all, with the ids of this answer."""
    assert set(answer.headers) - {"date"} == set(recorded) | {"allow"}  # the internal stands left it out
    for name in ("content-type", "transfer-encoding", "cache-control"):
        assert answer.headers.get(name) == recorded.get(name)


def x_headers(answer: httpx2.Response) -> dict[str, str | None]:
    return {name: answer.headers.get(name) for name in ("x-request-id", "x-session-id", "x-client-id")}


def check_read(read: Any, sent: Any, answer: httpx2.Response) -> None:
    """Check that the client read every field."""
    several = read if isinstance(read, list) else [read]
    assert [fields_of(one) for one in several] == (sent if isinstance(sent, list) else [sent])
    assert all(one.x_headers == x_headers(answer) for one in several)


@every_mode
@pytest.mark.parametrize("name", [*ANSWERED, *PARSED_ANSWERS])
def test_answers(server: GigaChatServer, name: str, mode: Mode) -> None:
    case = (ANSWERED | PARSED_ANSWERS)[name]
    read, answer = ask(server, mode, case)
    recorded = recording(name)[-1]
    sent = json.loads(answer.content)
    assert shape(without_ids(sent)) == shape(recorded.json)
    # As the service writes it: compact, characters as they are.
    assert answer.content == json.dumps(sent, ensure_ascii=False, separators=(",", ":")).encode()
    check_headers(answer, recorded.headers)
    if name in PARSED_ANSWERS:
        read, parsed = read
        assert parsed == case.fields["response_format"].model_validate_json(sent["choices"][0]["message"]["content"])
    check_read(read, sent, answer)


@every_mode
@pytest.mark.parametrize("name", STREAMED)
def test_streams(server: GigaChatServer, name: str, mode: Mode) -> None:
    chunks, answer = ask(server, mode, STREAMED[name])
    recorded = recording(name)[-1]
    lines = answer.content.split(b"\n\n")
    assert lines[-2:] == [b"data: [DONE]", b""]
    assert all(line.startswith(b"data: {") for line in lines[:-2])
    sent = [json.loads(line.removeprefix(b"data: ")) for line in lines[:-2]]
    theirs = [json.loads(data) for data in recorded.events]
    assert shape(sent[0]) == shape(theirs[0])
    assert shape(sent[-1]) == shape(theirs[-1])
    # One recording has no chunk between its first and its last.
    between = json.loads(recording("stream_simple")[-1].events[1])
    assert len(sent) > 2
    assert {str(shape(one)) for one in sent[1:-1]} == {str(shape(between))}
    check_headers(answer, recorded.headers)
    check_read(chunks, sent, answer)


@every_mode
@pytest.mark.parametrize("name", REFUSED)
def test_recorded_errors(server: GigaChatServer, name: str, mode: Mode) -> None:
    heard: list[httpx2.Response] = []
    case = REFUSED[name]
    with pytest.raises(NotFoundError) as caught:
        call(mode, oauth(server), case.method, *case.arguments, heard=heard, **case.fields)
    recorded = recording(name)[-1]
    assert heard[-1].content == recorded.body == caught.value.content
    check_headers(heard[-1], recorded.headers)
    assert caught.value.request_id == heard[-1].headers["x-request-id"]


def numbered(answer: Any) -> Any:
    """Return an answer of v2 with one source of each search: how many there are is no matter of shape."""
    for message in answer.get("messages", ()):
        for part in message["content"]:
            sources = part.get("inline_data", {}).get("sources")
            if sources:
                part["inline_data"]["sources"] = dict(list(sources.items())[:1])
    return answer


def without_ids(answer: Any) -> Any:
    """Return an answer without the ids of its calls, which are newer than the recordings."""
    if isinstance(answer, list):
        return [without_ids(one) for one in answer]
    if not isinstance(answer, dict):
        return answer
    ids = {"id"} if answer.keys() == {"name", "arguments", "id"} else set()
    return {name: without_ids(value) for name, value in answer.items() if name not in ids}


def named_events(body: bytes) -> list[tuple[bytes, Any]]:
    """Return names and payloads of a v2 stream, checking the framing byte for byte."""
    assert body.endswith(b"\n\n")
    lines = [one.split(b"\n") for one in body.split(b"\n\n")[:-1]]
    assert all(name.startswith(b"event: ") and data.startswith(b"data: {") for name, data in lines)
    return [(name, json.loads(data.removeprefix(b"data: "))) for name, data in lines]


def ask_v2(server: GigaChatServer, exchange: Exchange) -> httpx2.Response:
    """Make a recorded v2 request to the local server: same path, same body."""
    with httpx2.Client(base_url=server.origin, trust_env=False) as http:
        token = http.post("/v1/token", auth=(server.account.user, server.account.password)).json()["tok"]
        http.headers["Authorization"] = f"Bearer {token}"
        return http.request(exchange.method, exchange.path, json=exchange.request_body)


PRIMARY = [
    (name, number)
    for name in recordings()
    if name.startswith("primary_")
    for number, exchange in enumerate(recording(name))
    if exchange.endpoint.startswith("v2")
]


def test_there_are_recordings_of_v2() -> None:
    assert len(PRIMARY) == 8


@pytest.mark.parametrize(("name", "number"), PRIMARY)
def test_v2_answers(server: GigaChatServer, name: str, number: int) -> None:
    exchange = recording(name)[number]
    answer = ask_v2(server, exchange)
    assert answer.status_code == 200
    if answer.headers["content-type"] == "text/event-stream":
        ours, theirs = named_events(answer.content), named_events(exchange.body)
        for place in (0, -1):
            assert ours[place][0] == theirs[place][0]
            assert shape(ours[place][1]) == shape(theirs[place][1])
        # The recording has one piece of text; ours are all of its shape.
        assert {(event, str(shape(payload))) for event, payload in ours[:-1]} == {
            (theirs[0][0], str(shape(theirs[0][1])))
        }
    else:
        sent = answer.json()
        assert answer.content == json.dumps(sent, ensure_ascii=False, separators=(",", ":")).encode()
        assert shape(numbered(without_ids(sent))) == shape(numbered(exchange.json))
        assert sent["finish_reason"] == exchange.json["finish_reason"]
        usage = sent["usage"]
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    check_headers(answer, exchange.headers)


@every_mode
@pytest.mark.parametrize("name", ["chat_simple", "chat_parse_json_schema"], ids=["oauth", "token"])
def test_signing_in(server: GigaChatServer, name: str, mode: Mode) -> None:
    recorded = recording(name)[0]
    heard: list[httpx2.Response] = []
    options = oauth(server)
    if recorded.endpoint == "token":
        del options["credentials"]
        options.update(user=server.account.user, password=server.account.password)
    token = call(mode, options, "get_token", heard=heard)
    sent = heard[-1].json()
    assert shape(sent) == shape(recorded.json)
    assert set(heard[-1].headers) - {"date"} == set(recorded.headers)
    assert token.access_token == sent.get("access_token", sent.get("tok"))
    assert token.expires_at == sent.get("expires_at", sent.get("exp", 0) * 1000)


FUNCTION = {
    "name": "weather",
    "description": "Weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
CALL_MESSAGE = [
    ("content", "str"),
    ("role", "str"),
    ("function_call", [("name", "str"), ("arguments", [("city", "str")]), ("id", "str")]),
    ("functions_state_id", "str"),
]


@every_mode
def test_a_function_call_has_the_documented_shape(server: GigaChatServer, mode: Mode) -> None:
    case = Case("chat", ("weather in Pskov",), {"functions": [FUNCTION], "function_call": "auto"})
    read, answer = ask(server, mode, case)
    sent = json.loads(answer.content)
    assert shape(sent["choices"][0]) == [("message", CALL_MESSAGE), ("index", "int"), ("finish_reason", "str")]
    assert sent["choices"][0]["finish_reason"] == "function_call"
    check_read(read, sent, answer)
    # The whole round trip of reference 4.4: the message goes back as it came.
    asked = {"role": "user", "content": "weather in Pskov"}
    told = {"role": "function", "name": "weather", "content": '{"t":-3}'}
    messages = [asked, read.choices[0].message, told]
    case = Case("chat", (messages,), {"functions": [FUNCTION], "function_call": "auto"})
    read, answer = ask(server, mode, case)
    assert server.requests[-1].json["messages"] == [asked, sent["choices"][0]["message"], told]
    assert read.choices[0].finish_reason == "stop"
    assert '{"t":-3}' in read.choices[0].message.content


@every_mode
def test_a_streamed_function_call_comes_whole(server: GigaChatServer, mode: Mode) -> None:
    case = Case("stream", ("weather in Pskov",), {"functions": [FUNCTION], "function_call": "auto"})
    chunks, answer = ask(server, mode, case)
    sent = [json.loads(line[6:]) for line in answer.content.split(b"\n\n")[:-2]]
    check_read(chunks, sent, answer)
    assert shape(sent[-1]["choices"][0]) == [("delta", CALL_MESSAGE), ("index", "int"), ("finish_reason", "str")]
    assert chunks[-1].choices[0].delta.function_call.name == "weather"
    assert set(chunks[-1].choices[0].delta.function_call.arguments) == {"city"}


# Reference, section 13: status, class, the server's own text.
STATUSES: list[tuple[int, type[ResponseError], str]] = [
    (400, BadRequestError, "Your request contains invalid JSON syntax."),
    (401, AuthenticationError, "Unauthorized"),
    (402, PaymentRequiredError, "Payment Required"),
    (403, ForbiddenError, "Permission denied"),
    (404, NotFoundError, "Not Found"),
    (408, ResponseError, "Request Timeout"),
    (413, RequestEntityTooLargeError, "Payload too large"),
    (422, UnprocessableEntityError, "Unprocessable Entity"),
    (429, RateLimitError, "Too many requests"),
    (500, ServerError, "Internal Server Error"),
    (503, ServerError, "Service Unavailable"),
]


@every_mode
@pytest.mark.parametrize(("status", "kind", "message"), STATUSES, ids=[str(status) for status, _, _ in STATUSES])
def test_every_error_of_the_server_has_its_class(
    server: GigaChatServer, status: int, kind: type[ResponseError], message: str, mode: Mode
) -> None:
    # A 401 is answered with one renewal and one repetition.
    server.fail(status, path="/chat/completions", times=2 if status == 401 else 1)
    with pytest.raises(ResponseError) as caught:
        call(mode, oauth(server), "chat", "hello")
    assert type(caught.value) is kind
    assert caught.value.status_code == status
    assert caught.value.message == message
    assert caught.value.body == {"status": status, "message": message}
    assert caught.value.code is None
    assert len(server.requests_to("/chat/completions")) == (2 if status == 401 else 1)


@every_mode
@pytest.mark.parametrize(
    ("wrong", "status", "code"),
    [
        ({"scope": "GIGACHAT_API_PERSONAL"}, 400, 1),
        ({"credentials": base64.b64encode(b"another:key").decode()}, 401, 6),
        ({"scope": "GIGACHAT_API_CORP"}, 400, 7),
    ],
    ids=["misspelt scope", "wrong key", "scope not granted"],
)
def test_refused_sign_ins_have_the_shape_of_the_gateway(
    server: GigaChatServer, wrong: dict[str, str], status: int, code: int, mode: Mode
) -> None:
    with pytest.raises(ResponseError) as caught:
        call(mode, {**oauth(server), **wrong}, "get_token")
    assert (caught.value.status_code, caught.value.code) == (status, code)
    assert list(caught.value.body) == ["code", "message"]
    assert caught.value.request_id is None
    assert [request.path for request in server.requests] == ["/api/v2/oauth"]


@pytest.mark.parametrize("kind", [GigaChat, AsyncGigaChat])
def test_a_page_of_a_gateway_is_an_error_too(server: GigaChatServer, kind: type[GigaChat | AsyncGigaChat]) -> None:
    server.fail(403, body=b"<html><h1>403 Forbidden</h1></html>", path="/models")
    with pytest.raises(ForbiddenError) as caught:
        call("blocking" if kind is GigaChat else "async", oauth(server), "get_models")
    assert caught.value.body is None
    assert caught.value.message == "<html><h1>403 Forbidden</h1></html>"
