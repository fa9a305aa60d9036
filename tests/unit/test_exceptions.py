"""Errors: one class a status, one readable line, what to do, and nothing lost on the way to another process."""

from __future__ import annotations

import copy
import pickle
import sys
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any

import pytest

import gigachat
from gigachat import exceptions
from gigachat._engine.errors import error_for_status
from gigachat._headers import Headers
from gigachat.exceptions import (
    APIConnectionError,
    APIResponseValidationError,
    APITimeoutError,
    CertificateError,
    ClientClosedError,
    ConfigurationError,
    ContentFilterFinishReasonError,
    ConversationFormatError,
    GenerationError,
    GigaChatException,
    InvalidJSONError,
    JobStoppedError,
    LengthFinishReasonError,
    McpError,
    ModelNotSpecifiedError,
    QueueTimeoutError,
    RefusalError,
    ResponseError,
    SchemaMismatchError,
    StreamInterruptedError,
    ToolArgumentsError,
    ToolError,
    ToolNotFoundError,
    TotalTimeoutError,
)
from gigachat.models import ChatCompletion
from tests.unit.world import COMPLETION, World, error

URL = "https://gigachat.devices.sberbank.ru/api/v1/chat/completions"
IDS = {"x-request-id": "4c4994bb", "content-type": "application/json"}


def refused(status: int, body: bytes = b"", **headers: str) -> ResponseError:
    return error_for_status(
        URL, status, body, Headers({name.replace("_", "-"): value for name, value in headers.items()})
    )


def said(status: int, message: str, code: int | None = None) -> ResponseError:
    first = f'"status":{status}' if code is None else f'"code":{code}'
    return refused(status, f'{{{first},"message":"{message}"}}\n'.encode())


CLASSES = {
    300: "ResponseError",
    400: "BadRequestError",
    401: "AuthenticationError",
    402: "PaymentRequiredError",
    403: "ForbiddenError",
    404: "NotFoundError",
    408: "ResponseError",
    413: "RequestEntityTooLargeError",
    423: "ModelUnavailableError",
    418: "ResponseError",
    422: "UnprocessableEntityError",
    429: "RateLimitError",
    499: "ResponseError",
    500: "ServerError",
    503: "ServerError",
    599: "ServerError",
}


@pytest.mark.parametrize(("status", "name"), CLASSES.items())
def test_the_class_stands_for_the_status(world: World, status: int, name: str) -> None:
    world.answers = [error(status, "no"), error(status, "no")]
    with pytest.raises(ResponseError) as raised:
        world.chat(world.client(max_retries=0), "x")
    assert type(raised.value) is getattr(gigachat, name)
    assert raised.value.status_code == status


def test_every_error_is_importable_from_the_package() -> None:
    kinds = [kind for kind in vars(exceptions).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    public = {kind.__name__ for kind in kinds if not kind.__name__.startswith("_")}
    assert public == set(exceptions.__all__)
    assert all(getattr(gigachat, name) is getattr(exceptions, name) for name in public)
    assert {kind for kind in kinds if not issubclass(kind, GigaChatException)} == {exceptions.GigaChatWarning}


@pytest.mark.parametrize(
    ("kind", "also"),
    [
        (ConfigurationError, ValueError),
        (APIConnectionError, ConnectionError),
        (APITimeoutError, TimeoutError),
        (APITimeoutError, APIConnectionError),
        (CertificateError, APIConnectionError),
        (StreamInterruptedError, APIConnectionError),
        (APIResponseValidationError, ValueError),
        (RefusalError, APIResponseValidationError),
        (InvalidJSONError, APIResponseValidationError),
        (SchemaMismatchError, ValueError),
        (ContentFilterFinishReasonError, ValueError),
        (ToolArgumentsError, ValueError),
        (ConversationFormatError, ValueError),
        (ClientClosedError, RuntimeError),
        (McpError, ConnectionError),
    ],
)
def test_errors_are_caught_as_what_they_also_are(kind: type[Exception], also: type[Exception]) -> None:
    with pytest.raises(also):
        raise kind("no")


COMPLETED = ChatCompletion.model_validate(COMPLETION)
EXAMPLES: list[GigaChatException] = [
    *(
        refused(status, b'{"status":%d,"message":"no"}' % status, x_request_id="r", retry_after="3")
        for status in CLASSES
    ),
    said(400, "Can't decode 'Authorization' header", code=4),
    refused(502, b"<html>\n <h1>502</h1>\n</html>"),
    refused(500, b"\xff\xfe"),
    ResponseError(URL, 500, None, None),
    GigaChatException("no"),
    ConfigurationError("no"),
    ModelNotSpecifiedError(),
    APIConnectionError("no"),
    APITimeoutError("no"),
    QueueTimeoutError("no"),
    TotalTimeoutError("no"),
    CertificateError("no"),
    ClientClosedError("no"),
    StreamInterruptedError("no"),
    ToolArgumentsError("no"),
    ToolError("no"),
    JobStoppedError("no"),
    ToolNotFoundError("no"),
    ConversationFormatError("no"),
    McpError("no"),
    APIResponseValidationError("no", content=b"{", completion=COMPLETED),
    RefusalError("no", completion=COMPLETED, problems=["words"]),
    InvalidJSONError("no", completion=COMPLETED, problems=["line 1"]),
    SchemaMismatchError("no", completion=COMPLETED, problems=["a: no number"]),
    GenerationError("no", completion=COMPLETED),
    LengthFinishReasonError(COMPLETED),
    ContentFilterFinishReasonError(COMPLETED),
]
ATTRIBUTES = (
    *("url", "status_code", "code", "message", "request_id", "retry_after", "body", "content", "headers"),
    *("completion", "completions", "usage", "problems", "args", "errno", "strerror", "filename", "__notes__"),
)


def described(one: GigaChatException) -> dict[str, Any]:
    return {name: getattr(one, name) for name in ATTRIBUTES if hasattr(one, name)}


def test_the_examples_are_of_every_class() -> None:
    assert {type(one).__name__ for one in EXAMPLES} == set(exceptions.__all__) - {"GigaChatWarning"}


@pytest.mark.parametrize("original", EXAMPLES, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize(
    "again",
    [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_every_error_survives_pickle_and_copy(original: GigaChatException, again: Any) -> None:
    original = copy.copy(original)
    original.add_note("seen by worker 3")
    twin = again(original)
    assert twin is not original
    assert type(twin) is type(original)
    assert str(twin) == str(original)
    assert repr(twin) == repr(original)
    assert described(twin) == described(original)
    if isinstance(original, ResponseError) and original.headers is not None:
        assert isinstance(twin, ResponseError)
        assert type(twin.headers) is type(original.headers)
        assert twin.request_id == original.request_id


@pytest.mark.parametrize("one", EXAMPLES, ids=lambda one: type(one).__name__)
def test_every_error_is_one_readable_line(one: GigaChatException) -> None:
    text = str(one)
    assert text
    assert text.splitlines() == [text]
    assert text == " ".join(text.split())
    assert len(text) < 500
    assert not text.startswith(("(", "{", "["))  # a tuple of arguments is not for people


def test_the_line_says_all_that_is_known() -> None:
    assert str(refused(404, b'{"status":404,"message":"No such model"}\n', x_request_id="r1")) == (
        f"404 Not Found: No such model ({URL}, request id r1). "
        "get_models() lists what this address serves; newer models are at base_url='https://api.giga.chat/v1'."
    )
    assert str(refused(499)) == f"499: no text ({URL})"
    assert str(refused(503, b"<html>\n<b>busy</b></html>")) == (
        f"503 Service Unavailable: <html> <b>busy</b></html> ({URL})"
    )


def test_the_servers_words_are_kept_as_they_are() -> None:
    one = said(422, "Invalid params: «роль»  обязательна")
    assert one.message == "Invalid params: «роль»  обязательна"
    assert "Invalid params: «роль» обязательна" in str(one)


def test_a_long_page_is_cut_in_the_text_but_not_in_the_content() -> None:
    one = refused(502, b"x" * 5000)
    assert one.content == b"x" * 5000
    assert one.message == "x" * 200 + "…"


HINTS: list[tuple[ResponseError, str]] = [
    (said(400, "scope data format invalid", code=1), "GIGACHAT_API_PERS, GIGACHAT_API_B2B or GIGACHAT_API_CORP"),
    (said(400, "Can't decode 'Authorization' header", code=4), "`credentials` must be the authorization key"),
    (said(400, "scope is empty", code=5), "Set `scope`"),
    (said(401, "credentials doesn't match db data", code=6), "wrong or revoked"),
    (said(400, "scope from db not fully includes consumed scope", code=7), "another kind of account"),
    (said(401, "scope from db not fully includes consumed scope", code=7), "another kind of account"),
    (said(401, "Unauthorized"), "Check `credentials` and `scope`"),
    (said(401, "Token has expired"), "access token you passed"),
    (said(402, "Payment Required"), "used up"),
    (said(404, "No such model"), "https://api.giga.chat/v1"),
    (said(413, "Payload too large"), "Shorten the prompt"),
    (said(422, "Invalid params: temperature must be in range (0, +inf)"), "0.001 or less switches sampling off"),
    (said(400, "Temperature is wrong"), "temperature must be above 0"),
    (said(423, "Locked"), "repeating the request does not help"),
    (said(403, "Model is temporarily unavailable due to technical reasons"), "repeating the request does not help"),
    (said(429, "Too many requests"), "max_concurrency"),
]


@pytest.mark.parametrize(("one", "hint"), HINTS, ids=[f"{one.status_code} {one.message}" for one, _ in HINTS])
def test_the_error_says_what_to_do(one: ResponseError, hint: str) -> None:
    text = str(one)
    assert one.message in text
    assert hint in text
    assert text.index(one.message) < text.index(hint)
    assert text.endswith(".")


@pytest.mark.parametrize(
    "one",
    [
        said(500, "Internal Server Error"),
        said(404, "Not Found"),
        said(422, "Requested model does not support functions"),
        said(403, "Permission denied"),
        said(500, "temperature sensor failed"),
        said(400, "unknown", code=99),
        said(500, "an internal code", code=7),
        said(422, "another internal code", code=4),
        refused(400, b'{"code": true, "message": "a code that is no number"}'),
    ],
    ids=lambda one: one.message,
)
def test_where_nothing_is_known_nothing_is_advised(one: ResponseError) -> None:
    assert str(one).endswith(f"({URL})")


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        (b'{"status":404,"message":"No such model"}', "No such model", None),
        (b'{"code":7,"message":"scope"}', "scope", 7),
        (b'{"code":"7","message":"scope"}', "scope", None),
        (b'{"code":7}', '{"code":7}', 7),
        (b'{"message":{"text":"no"}}', '{"message":{"text":"no"}}', None),
        (b'["message"]', '["message"]', None),
        (b"", "", None),
        (b"no\n json", "no json", None),
        ("нет".encode("cp1251"), "���", None),
    ],
)
def test_bodies_of_any_shape(body: bytes, message: str, code: int | None) -> None:
    one = refused(400, body)
    assert one.message == message
    assert one.code == code
    assert one.content == body
    assert one.body is None or isinstance(one.body, dict | list)


def in_seconds(seconds: float, since: float) -> str:
    return formatdate(since + seconds, usegmt=True)


NOW = 1_790_000_000.0


@pytest.fixture
def far_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time that is not UTC, on systems where a process can change it."""
    if sys.platform == "win32":
        yield
        return
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "VLAT-10")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "-5"}, 0.0),
        ({"retry-after": "nan"}, 0.0),
        ({"retry-after": "soon"}, 0.0),
        ({"retry-after": ""}, 0.0),
        ({}, 0.0),
        # A date counts from the server's own clock, whatever ours says.
        ({"retry-after": in_seconds(30, NOW), "date": in_seconds(0, NOW)}, 30.0),
        ({"retry-after": in_seconds(-30, NOW), "date": in_seconds(0, NOW)}, 0.0),
        # One without a zone is in UTC, wherever we are.
        ({"retry-after": in_seconds(30, NOW).removesuffix(" GMT"), "date": in_seconds(0, NOW)}, 30.0),
        ({"retry-after": in_seconds(30, NOW), "date": in_seconds(0, NOW).replace("GMT", "-0000")}, 30.0),
        ({"retry-after": "Mon, 01 Jan 0001 00:00:00 GMT", "date": in_seconds(0, NOW)}, 0.0),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float, far_east: None) -> None:
    assert error_for_status(URL, 429, b"", Headers(headers)).retry_after == seconds


def test_retry_after_as_a_date_without_the_servers_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW)
    assert error_for_status(URL, 429, b"", Headers({"retry-after": in_seconds(12, NOW)})).retry_after == 12.0


def test_headers_are_looked_up_without_regard_to_case(world: World) -> None:
    world.answers = [error(404, "no", X_Request_Id="r9")]
    with pytest.raises(ResponseError) as raised:
        world.chat(world.client(), "x")
    assert raised.value.headers is not None
    assert raised.value.headers["X-REQUEST-ID"] == raised.value.headers["x-request-id"] == "r9"
    assert raised.value.request_id == "r9"


SECRETS = {"credentials": "c2VjcmV0OnNlY3JldA==", "password": "pa55word-of-mine", "access_token": "tok-of-mine"}


@pytest.mark.parametrize(
    "options",
    [
        {"credentials": SECRETS["credentials"]},
        {"user": "me", "password": SECRETS["password"]},
        {"access_token": SECRETS["access_token"]},
        {"credentials": "c2VjcmV0OnNlY3JldA=", "max_retries": 0},
    ],
    ids=["key", "password", "token", "bad key"],
)
def test_no_secret_is_in_an_error(world: World, options: dict[str, Any]) -> None:
    world.sign_ins = [error(401, "no")]
    world.answers = [error(401, "no"), error(401, "no")]
    with pytest.raises(GigaChatException) as raised:
        world.chat(world.client(**options), "x")
    shown = [str(raised.value), repr(raised.value), repr(vars(raised.value)), repr(raised.value.args)]
    for secret in (*SECRETS.values(), "c2VjcmV0OnNlY3JldA"):
        assert not any(secret in text for text in shown)


def test_errors_of_a_completion_carry_it() -> None:
    assert LengthFinishReasonError(COMPLETED).completion is COMPLETED
    assert ContentFilterFinishReasonError(COMPLETED).completion is COMPLETED
    assert "max_tokens" in str(LengthFinishReasonError(COMPLETED))
    assert "blacklist" in str(ContentFilterFinishReasonError(COMPLETED))
    # The model's words belong to nobody's log.
    assert "Hello." not in str(LengthFinishReasonError(COMPLETED))


def test_the_error_of_0_2_3_for_a_missing_model_still_says_how_to_give_one() -> None:
    assert "model=" in str(ModelNotSpecifiedError())


@pytest.mark.parametrize("kind", [APIConnectionError, APITimeoutError, CertificateError, StreamInterruptedError])
def test_the_cause_of_an_error_of_the_network_stays_in_its_process(kind: type[APIConnectionError]) -> None:
    failed = kind("lost")
    assert failed.cause is None
    failed.cause = OSError(threading.Lock())  # which cannot be pickled
    twin = pickle.loads(pickle.dumps(failed))
    assert (type(twin), str(twin), twin.cause) == (kind, "lost", None)
    assert failed.cause is not None


def test_an_error_can_be_printed_whatever_the_service_says() -> None:
    failed = error_for_status(URL, 500, b'{"message": "half \\ud83d"}', IDS)
    assert str(failed).startswith("500 Internal Server Error: half ? (")
    assert failed.message == "half \ud83d"
