"""The session and its attempts: retries, the caller's own authorization, headers, addresses and bodies of requests."""

from __future__ import annotations

import base64
import json
import traceback
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gigachat import (
    APIConnectionError,
    APIResponseValidationError,
    AuthenticationError,
    ConfigurationError,
    NotFoundError,
    RateLimitError,
    ResponseError,
    ServerError,
    UnprocessableEntityError,
)
from gigachat._engine.transport import Failure, Stage
from gigachat.context import (
    authorization_cvar,
    chat_url_cvar,
    client_id_cvar,
    custom_headers_cvar,
    request_id_cvar,
)
from tests.unit.world import COMPLETION, Answer, World, error, lost


def test_a_listed_status_is_tried_again_as_often_as_permitted(world: World) -> None:
    giga = world.client(max_retries=2, retry_backoff_factor=1.0)
    world.answers = [error(503), error(500), Answer({"choices": []})]
    assert world.chat(giga, "x").choices == []
    assert len(world.api_requests) == 3
    assert len(world.sleeps) == 2
    assert 0 <= world.sleeps[0] <= 1
    assert 0 <= world.sleeps[1] <= 2

    world.answers = [error(503), error(500), error(502), Answer({"choices": []})]
    with pytest.raises(ServerError) as raised:
        world.chat(giga, "x")
    assert raised.value.status_code == 502
    assert len(world.answers) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
def test_only_listed_statuses_are_tried_again(world: World, status: int) -> None:
    giga = world.client(retry_on_status_codes=(418,))
    world.answers = [error(status)]
    with pytest.raises(ResponseError):
        world.chat(giga, "x")
    assert len(world.api_requests) == 1
    world.answers = [error(418)]
    assert world.chat(giga, "x").choices


@pytest.mark.parametrize(
    ("method", "stage", "attempts"),
    [
        ("chat", Stage.CONNECTING, 2),
        ("chat", Stage.WAITING, 1),  # the service may be generating, and bills for it
        ("chat", Stage.READING, 1),
        ("get_models", Stage.CONNECTING, 2),
        ("get_models", Stage.WAITING, 2),
        ("get_models", Stage.READING, 1),
        ("embeddings", Stage.WAITING, 2),
        ("tokens_count", Stage.WAITING, 2),
    ],
)
def test_a_lost_connection_is_tried_again_where_that_is_safe(
    world: World, method: str, stage: Stage, attempts: int
) -> None:
    giga = world.client()
    good: dict[str, Any] = {"embeddings": {"data": []}, "tokens_count": []}
    world.answers = [Answer(pieces=[lost(stage)])] if stage is Stage.READING else [lost(stage)]
    if method in good:
        world.answers.append(Answer(good[method]))
    arguments = [] if method == "get_models" else ["x"]
    if attempts == 1:
        with pytest.raises(APIConnectionError, match=stage.name.lower()):
            world.do(giga, method, *arguments)
    else:
        world.do(giga, method, *arguments)
    assert len(world.api_requests) == attempts


def test_an_unreadable_body_of_an_error_leaves_the_status(world: World) -> None:
    world.answers = [Answer(status=404, pieces=[lost(Stage.READING)])]
    with pytest.raises(NotFoundError):
        world.chat(world.client(), "x")


def test_retry_after_is_a_floor_with_a_quarter_on_top(world: World) -> None:
    world.answers = [error(503, retry_after="7"), error(429, retry_after="20")]
    world.chat(world.client(), "x")
    assert 7 <= world.sleeps[0] <= 7 * 1.25
    assert 20 <= world.sleeps[1] <= 20 * 1.25


@pytest.mark.parametrize("asked", ["61", "1e9", "inf"])
def test_a_long_retry_after_raises_at_once(world: World, asked: str) -> None:
    world.answers = [error(429, retry_after=asked)]
    with pytest.raises(RateLimitError) as raised:
        world.chat(world.client(), "x")
    assert raised.value.retry_after == float(asked)
    assert world.sleeps == []


def test_429_is_waited_out_without_counting_as_a_failure(world: World) -> None:
    world.answers = [error(429)] * 5
    assert world.chat(world.client(max_retries=1), "x").choices
    assert len(world.api_requests) == 6


def test_429_is_waited_for_no_longer_than_permitted(world: World) -> None:
    world.answers = [error(429)] * 10_000
    with pytest.raises(RateLimitError):
        world.chat(world.client(rate_limit_timeout=5), "x")
    assert sum(world.sleeps) <= 5.0 + 1e-9  # the sum of floats
    assert len(world.api_requests) < 200


def test_no_retries_means_none(world: World) -> None:
    giga = world.client(max_retries=0)
    for answer in (error(429), error(503), lost(Stage.CONNECTING)):
        world.answers = [answer]
        with pytest.raises((ResponseError, APIConnectionError)):
            world.chat(giga, "x")
    assert world.sleeps == []
    assert len(world.api_requests) == 3


def test_no_attempt_starts_after_the_retry_timeout(world: World) -> None:
    giga = world.client(retry_timeout=10, max_retries=100, retry_backoff_factor=8)
    world.answers = [error(503)] * 100
    begun = world.time
    with pytest.raises(ServerError):
        world.chat(giga, "x")
    assert world.time - begun <= 10

    def slow(_: object) -> Answer:
        world.time += 11
        return error(503)

    world.answers = [slow]
    before = len(world.api_requests)
    with pytest.raises(ServerError):
        world.chat(giga, "x")
    assert len(world.api_requests) == before + 1


def test_with_options_changes_one_view_only(world: World) -> None:
    giga = world.client(default_query={"a": "1"}, default_headers={"X-Team": "blue"})
    view = giga.with_options(
        extra_headers={"x-team": "red", "X-More": "yes"},
        extra_query={"b": "2"},
        extra_body={"flags": ["x"], "new": {"deep": None}},
        timeout=(1, 2),
        max_retries=0,
    )
    world.chat(view, "x")
    request = world.api_requests[-1]
    assert request.headers["x-team"] == "red"
    assert [name for name in request.headers if name.lower() == "x-team"] == ["x-team"]
    assert request.headers["X-More"] == "yes"
    assert request.query == {"a": "1", "b": "2"}
    body = json.loads(request.content or b"")
    assert (body["flags"], body["new"]) == (["x"], {"deep": None})
    assert (request.timeouts.connect, request.timeouts.read, request.timeouts.write) == (1, 2, 2)
    world.answers = [error(503)]
    with pytest.raises(ServerError):
        world.chat(view, "x")

    world.chat(giga, "x")
    request = world.api_requests[-1]
    assert request.headers["X-Team"] == "blue"
    assert request.query == {"a": "1"}
    assert json.loads(request.content or b"").keys() == {"model", "messages"}


def test_bodies_are_compact_and_not_escaped(world: World) -> None:
    world.chat(world.client(), "Привет\u2028")
    expected = '{"model":"GigaChat","messages":[{"role":"user","content":"Привет\u2028"}]}'
    assert world.api_requests[0].content == expected.encode()


def test_context_variables_become_headers_of_api_requests_only(world: World) -> None:
    giga = world.client()
    request_id = request_id_cvar.set("r1")
    client_id = client_id_cvar.set("c1")
    custom = custom_headers_cvar.set({"x-request-id": "r2"})
    try:
        world.chat(giga, "x")
    finally:
        request_id_cvar.reset(request_id)
        client_id_cvar.reset(client_id)
        custom_headers_cvar.reset(custom)
    sent = world.api_requests[0].headers
    assert sent["x-request-id"] == "r2"  # the same header in another case, and the later word
    assert [name for name in sent if name.lower() == "x-request-id"] == ["x-request-id"]
    assert sent["X-Client-ID"] == "c1"
    assert not any(name.lower().startswith("x-") for name in world.sign_in_requests[0].headers)


@pytest.mark.parametrize("source", ["context", "custom", "extra", "default"])
def test_authorization_of_the_callers_own_never_meets_our_tokens(world: World, source: str) -> None:
    giga = world.client(default_headers={"authorization": "Bearer theirs"} if source == "default" else None)
    world.answers = [error(401)]
    if source == "extra":
        giga = giga.with_options(extra_headers={"AUTHORIZATION": "Bearer theirs"})
    contextual = authorization_cvar.set("Bearer theirs" if source == "context" else None)
    custom = custom_headers_cvar.set({"Authorization": "Bearer theirs"} if source == "custom" else None)
    try:
        with pytest.raises(AuthenticationError):
            world.chat(giga, "x")
    finally:
        authorization_cvar.reset(contextual)
        custom_headers_cvar.reset(custom)
    assert world.sign_in_requests == []
    (request,) = world.api_requests
    values = [value for name, value in request.headers.items() if name.lower() == "authorization"]
    assert values == ["Bearer theirs"]


@pytest.mark.parametrize("value", ["line\nbreak", "кириллица", "nul\0"])
def test_a_header_that_cannot_be_sent_is_named_before_any_request(world: World, value: str) -> None:
    token = custom_headers_cvar.set({"X-Bad": value})
    try:
        with pytest.raises(ValueError, match="X-Bad") as raised:
            world.chat(world.client(), "x")
    finally:
        custom_headers_cvar.reset(token)
    assert value not in str(raised.value)
    assert world.requests == []


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("/chat/completions", "https://gigachat.devices.sberbank.ru/api/v1/chat/completions"),
        ("/other", "https://gigachat.devices.sberbank.ru/api/v1/other"),
        ("/v1/chat/completions", "https://gigachat.devices.sberbank.ru/v1/chat/completions"),
        ("/api/v2/chat", "https://gigachat.devices.sberbank.ru/api/v2/chat"),
        ("x", "https://gigachat.devices.sberbank.ru/api/v1/x"),
        ("x?next=https://a.b/", "https://gigachat.devices.sberbank.ru/api/v1/x?next=https://a.b/"),
        ("https://gigachat.devices.sberbank.ru/full", "https://gigachat.devices.sberbank.ru/full"),
    ],
)
def test_the_chat_address_can_be_moved_on_its_origin(world: World, path: str, url: str) -> None:
    token = chat_url_cvar.set(path)
    try:
        world.chat(world.client(), "x")
    finally:
        chat_url_cvar.reset(token)
    assert world.api_requests[0].url == url


@pytest.mark.parametrize("path", ["https://evil.example/x", "https://gigachat.devices.sberbank.ru.evil.example/x", ""])
def test_the_chat_address_stays_on_its_origin(world: World, path: str) -> None:
    token = chat_url_cvar.set(path)
    try:
        with pytest.raises(ValueError, match=r"gigachat\.devices\.sberbank\.ru/"):
            world.chat(world.client(), "x")
    finally:
        chat_url_cvar.reset(token)
    assert world.api_requests == []


def test_without_a_credential_the_vendor_gets_no_request(world: World) -> None:
    with pytest.raises(ConfigurationError, match="GIGACHAT_CREDENTIALS"):
        world.chat(world.client(credentials=None), "x")
    assert world.requests == []


def test_without_a_credential_a_gateway_gets_the_request_as_it_is(world: World) -> None:
    world.chat(world.client(credentials=None, base_url="https://gateway.example/v1"), "x")
    assert "Authorization" not in world.requests[0].headers


def test_any_2xx_is_success_and_anything_else_is_not(world: World) -> None:
    giga = world.client()
    world.answers = [Answer({"choices": []}, 201)]
    assert world.chat(giga, "x").choices == []
    world.answers = [Answer(b"", 302, {"Location": "https://elsewhere.example"})]
    with pytest.raises(ResponseError) as raised:
        world.chat(giga, "x")
    assert raised.value.status_code == 302
    assert len(world.api_requests) == 2


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"", b"[]", b'{"choices":3}', b"\xff\xfe"])
def test_an_answer_that_is_none_is_our_error(world: World, body: bytes) -> None:
    world.answers = [Answer(body)]
    with pytest.raises(APIResponseValidationError) as raised:
        world.chat(world.client(), "x")
    assert raised.value.content == body
    assert raised.value.__suppress_context__  # the parser's own error holds the text


def test_model_names_cannot_leave_their_path(world: World) -> None:
    giga = world.client()
    world.answers = [Answer({"id": "x"})]
    world.do(giga, "get_model", "a/../b?c#d")
    assert world.api_requests[0].url.endswith("/models/a%2F..%2Fb%3Fc%23d")
    for bad in ("", ".", ".."):
        with pytest.raises(ValueError, match="not a name"):
            world.do(giga, "get_model", bad)
    with pytest.raises(TypeError):
        world.do(giga, "get_model", None)
    assert len(world.api_requests) == 1


@pytest.mark.parametrize("retries", [-1, 1.5, float("nan"), float("inf")])
def test_repetitions_are_a_whole_number(world: World, retries: Any) -> None:
    with pytest.raises(ValueError, match="max_retries must be a whole number"):
        world.client().with_options(max_retries=retries)


def test_options_of_a_view_add_to_those_of_the_view_it_was_made_of(world: World) -> None:
    first = world.client().with_options(
        extra_headers={"X-One": "1", "X-Both": "first"}, extra_query={"a": "1"}, extra_body={"one": 1}, timeout=5
    )
    second = first.with_options(extra_headers={"x-both": "second"}, extra_body={"two": 2}, max_retries=0)
    world.chat(second, "x")
    request = world.api_requests[-1]
    named = {name.lower(): value for name, value in request.headers.items()}
    assert (named["x-one"], named["x-both"]) == ("1", "second")
    assert request.query == {"a": "1"}
    body = json.loads(request.content or b"")
    assert (body["one"], body["two"]) == (1, 2)
    assert request.timeouts.read == 5
    world.answers = [error(503)]
    with pytest.raises(ServerError):
        world.chat(second, "x")
    world.chat(first, "x")
    assert "two" not in json.loads(world.api_requests[-1].content or b"")


def test_no_header_a_caller_brings_is_printed_with_the_variables(world: World) -> None:
    token = authorization_cvar.set("Bearer hidden-one")
    try:
        giga = world.client(default_headers={"X-Key": "hidden-two"})
        world.chat(giga.with_options(extra_headers={"X-Other": "hidden-three"}), "x")
    finally:
        authorization_cvar.reset(token)
    sent = world.api_requests[0].headers
    assert {"Bearer hidden-one", "hidden-two", "hidden-three"} <= set(sent.values())
    assert "hidden" not in repr(sent) + repr(giga._service.__dict__)


@pytest.mark.parametrize(
    ("headers", "kind", "text"),
    [
        ({"two words": "x"}, ValueError, "'two words' is not a header name"),
        ({5: "x"}, ValueError, "5 is not a header name"),
        ({"X-Number": 5}, TypeError, "the value of X-Number must be text, not int"),
        ({"X-Text": "строка"}, ValueError, "the value of X-Text contains a line break or non-ASCII characters"),
        ({"X-Text": "a\nb"}, ValueError, "the value of X-Text contains a line break or non-ASCII characters"),
    ],
)
def test_what_is_no_header_is_named_before_any_request(
    world: World, headers: Any, kind: type[Exception], text: str
) -> None:
    giga = world.client()
    with pytest.raises(kind, match=text):
        giga.with_options(extra_headers=headers)
    token = custom_headers_cvar.set(headers)
    try:
        with pytest.raises(kind, match=text):
            world.chat(giga, "x")
    finally:
        custom_headers_cvar.reset(token)
    assert world.requests == []


@pytest.mark.parametrize("headers", [{"two words": "x"}, {"X-Text": "строка"}, {"X-Text": "a\nb"}])
def test_default_headers_that_cannot_be_sent_are_refused_with_the_client(world: World, headers: Any) -> None:
    with pytest.raises(ConfigurationError, match="default_headers") as caught:
        world.client(default_headers=headers)
    assert "строка" not in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"[", b"{}", b'[{"characters": 5}]', b'[{"tokens": "many"}]'])
def test_a_list_that_is_none_is_our_error(world: World, body: bytes) -> None:
    world.answers = [Answer(body)]
    with pytest.raises(APIResponseValidationError, match="cannot be read as a list") as caught:
        world.do(world.client(), "tokens_count", ["x"])
    assert caught.value.content == body


@pytest.mark.parametrize(
    ("ask", "address"),
    [
        (lambda world, giga: world.chat(giga, "x"), "/v1/chat/completions"),
        (lambda world, giga: world.do(giga, "tokens_count", ["x"]), "/v1/tokens/count"),
        (lambda world, giga: world.do(giga, "get_batches"), "/v1/batches"),
        (lambda world, giga: world.read(giga, "x"), "/v1/chat/completions"),
    ],
    ids=["object", "list", "two shapes", "stream"],
)
def test_a_page_in_the_place_of_a_response_is_named_with_its_address(
    world: World, ask: Callable[[World, Any], Any], address: str
) -> None:
    page = "\n <html><title>Вход в сеть</title></html>".encode()
    world.answers = [Answer(page, headers={"Content-Type": "text/html; charset=utf-8"})]
    with pytest.raises(APIResponseValidationError, match="it is a web page") as caught:
        ask(world, world.client())
    assert str(caught.value).endswith(f"{address})")
    assert caught.value.content == page


def test_a_list_is_read_with_its_headers(world: World) -> None:
    world.answers = [Answer([{"tokens": 1}, {"tokens": 2}], headers={"X-Request-ID": "r"})]
    counts = world.do(world.client(), "tokens_count", ["x", "y"])
    assert [count.tokens for count in counts] == [1, 2]
    assert {count.x_headers["x-request-id"] for count in counts} == {"r"}


def test_a_download_gives_its_slot_back(world: World, tmp_path: Path) -> None:
    giga = world.client(**limit_of_one())
    for _ in range(2):
        world.answers.append(Answer(pieces=[b"content"]))
        assert world.do(giga, "download_file", "5b2a", tmp_path / "a").read_bytes() == b"content"


# How much is read.


def test_a_response_longer_than_permitted_is_refused(world: World) -> None:
    size = len(json.dumps(COMPLETION))
    world.chat(world.client(max_response_bytes=size), "x")
    giga = world.client(max_response_bytes=size - 1, **limit_of_one())
    for _ in range(2):  # the slot is free again
        with pytest.raises(APIResponseValidationError, match=f"max_response_bytes={size - 1}"):
            world.chat(giga, "x")
    assert len(world.api_requests) == 3  # nothing is tried again


def test_an_answer_instead_of_a_stream_is_bounded_too(world: World) -> None:
    answer = Answer({"new": "x" * 100}, headers={"Content-Type": "application/json"})
    world.answers = [answer]
    with pytest.raises(APIResponseValidationError, match="max_response_bytes=100"):
        world.read(world.client(max_response_bytes=100), "x")
    assert answer.state == "closed"


def test_of_an_error_with_a_long_body_the_status_is_left(world: World) -> None:
    world.answers = [error(422, "x" * 1024 * 1024)]
    with pytest.raises(UnprocessableEntityError) as raised:
        world.chat(world.client(max_response_bytes=1), "x")
    assert raised.value.content == b""
    world.answers = [error(422, "short")]
    with pytest.raises(UnprocessableEntityError, match="short"):  # whatever the limit of good answers is
        world.chat(world.client(max_response_bytes=1), "x")


def test_a_sign_in_with_a_long_body_is_refused(world: World) -> None:
    world.sign_ins = [Answer({"access_token": "t", "expires_at": 1, "new": "x" * 1024 * 1024})]
    with pytest.raises(APIResponseValidationError):
        world.chat(world.client(), "x")
    assert len(world.requests) == 1


def limit_of_one() -> dict[str, Any]:
    """Options of a client with one slot that no other test has."""
    return {"max_concurrency": 1, "credentials": base64.b64encode(uuid.uuid4().bytes).decode()}


def test_an_error_of_the_network_is_raised_without_the_engines_own(world: World) -> None:
    failures: list[Failure | Answer] = [lost(Stage.WAITING), Answer(pieces=[b"{", lost(Stage.READING)])]
    for failure in failures:
        world.answers = [failure]
        with pytest.raises(APIConnectionError, match=r"^lost while") as raised:
            world.chat(world.client(), "x")
        assert "Failure" not in "".join(traceback.format_exception(raised.value))
