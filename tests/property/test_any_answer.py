"""Whatever the service sends is an answer or an error of ours, never anything else.

The bytes go through the public client over an HTTP library's transport without sockets.
"""

from __future__ import annotations

import asyncio
import json
import pickle
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gigachat import AsyncGigaChat, GigaChat, GigaChatException, ResponseError, models
from gigachat._engine.parsing import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORDED = Path(__file__).parents[1] / "contract" / "recorded"
DEEP = "[" * 20_000
HUGE = 10**400


def recorded(name: str) -> Any:
    return json.loads(json.loads((RECORDED / f"{name}.json").read_bytes())[-1]["response"]["body"])


CHAT = recorded("chat_simple")
CALL = {
    **CHAT,
    "choices": [
        {
            "message": {
                "content": "",
                "role": "assistant",
                "function_call": {"name": "weather", "arguments": {"city": "Псков", "days": [1, 2.5, None]}},
                "functions_state_id": "0199e210",
                "reasoning_content": "…",
            },
            "index": 0,
            "finish_reason": "function_call",
        }
    ],
}
CHUNK = {
    **CALL,
    "choices": [{"delta": CALL["choices"][0]["message"], "index": 0, "finish_reason": "function_call"}],
}
EMBEDDINGS = {
    **recorded("embeddings_single"),
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -1.25], "usage": {"prompt_tokens": 9}}],
}
GOOD: dict[str, list[Any]] = {
    "chat": [CHAT, CALL],
    "stream": [CHUNK],
    "embeddings": [EMBEDDINGS],
    "tokens_count": [recorded("tokens_count_multiple")],
    "get_models": [recorded("get_models")],
    "get_model": [recorded("get_model")],
    "get_token": [{"access_token": "abc", "expires_at": 1739784663483}, {"tok": "abc", "exp": 1776249917}],
}
ERRORS = [{"status": 404, "message": "No such model"}, {"code": 4, "message": "Can't decode 'Authorization' header"}]

numbers = st.one_of(
    st.integers(-(2**70), 2**70), st.floats(allow_nan=False), st.sampled_from([0, -1, 10**12, 2**63, HUGE, -HUGE])
)
words = st.one_of(
    st.text(max_size=5), st.sampled_from(["assistant", "function", "{}", '{"a": 1}', "[1]", "null", "1" * 5000, "\0"])
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, words),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["role", "content", "name", "arguments", "index", "ж", ""]), inner, max_size=3),
    ),
    max_leaves=6,
)

NEW_FIELDS = {"role": "judge", "finish_reason": "solar_flare", "status": "new", "not_known_yet": [{"deep": True}]}


def places(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield before
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield from places(item, (*before, name))


NOTHING: Any = object()
"""In the place of a value: the value is left out."""


def with_change(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    if not place:
        return None if new is NOTHING else new
    changed = value.copy()
    if new is NOTHING and len(place) == 1:
        del changed[place[0]]
    else:
        changed[place[0]] = with_change(value[place[0]], place[1:], new)
    return changed


replacements = st.sampled_from(
    [NOTHING, NEW_FIELDS, *(json.loads("[" * depth + "]" * depth) for depth in (20, 150, 900))]
)


@st.composite
def damaged(draw: st.DrawFn, goods: list[Any]) -> bytes:
    """Return the JSON of a good answer with some of its values replaced, left out or added; perhaps cut, or with a byte
    replaced.
    """
    value = draw(st.sampled_from(goods))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.sampled_from(sorted(places(value), key=repr)))
        value = with_change(value, place, draw(st.one_of(values, values, replacements)))
    body = json.dumps(value, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 4)) == 0:
        body = body[: draw(st.integers(0, len(body)))]
    if body and draw(st.integers(0, 4)) == 0:
        where = draw(st.integers(0, len(body) - 1))
        body = body[:where] + draw(st.binary(min_size=1, max_size=1)) + body[where + 1 :]
    return body


def any_body(method: str) -> st.SearchStrategy[bytes]:
    goods = GOOD[method]
    return st.one_of(damaged(goods), damaged(goods), values.map(lambda value: json.dumps(value).encode()), st.binary())


class Service:
    """Answers every request with the next bytes."""

    def __init__(self) -> None:
        self.body = b""
        self.status = 200
        self.headers: dict[str, str] = {}

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(self.status, content=self.body, headers=self.headers)


@contextmanager
def blocking(service: Service, **options: Any) -> Iterator[GigaChat]:
    own = {"credentials": "YTpi", "share_token": False, "max_retries": 0, **options}
    with httpx2.Client(transport=httpx2.MockTransport(service)) as http, GigaChat(http_client=http, **own) as giga:
        yield giga


ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "chat": ("hello",),
    "stream": ("hello",),
    "embeddings": (["hello"],),
    "tokens_count": (["hello"],),
    "get_models": (),
    "get_model": ("GigaChat",),
    "get_token": (),
}


def check_error(error: GigaChatException) -> None:
    """Check that the error can be shown and handed on."""
    assert str(error) == " ".join(str(error).split()) != ""
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def check_answer(answer: Any) -> None:
    """Check that what was read has the types it promises and can be written again."""
    for one in answer if isinstance(answer, list) else [answer]:
        one.model_dump_json(by_alias=True)
        assert isinstance(one.model_dump(exclude_unset=True), dict)
    if isinstance(answer, models.ChatCompletion):
        assert all(isinstance(choice.message.content, str) for choice in answer.choices)
        assert isinstance(answer.usage.total_tokens, int)
    if isinstance(answer, models.AccessToken):
        assert answer.access_token
        assert isinstance(answer.expires_at, int)


@pytest.mark.parametrize("method", [method for method in GOOD if method not in ("stream", "get_token")])
def test_any_body_is_an_answer_or_our_error(method: str) -> None:
    service = Service()

    @given(any_body(method))
    @example(DEEP.encode())
    @example(json.dumps(with_change(CALL, ("choices", 0, "message", "function_call", "arguments"), DEEP)).encode())
    @example(json.dumps(with_change(CALL, ("choices", 0, "message", "function_call", "arguments"), "{")).encode())
    @example(b"")
    @example(b'{"choices":[]}')
    def check(body: bytes) -> None:
        service.body = body
        try:
            answer = getattr(giga, method)(*ARGUMENTS[method])
        except GigaChatException as error:
            check_error(error)
        else:
            check_answer(answer)

    with blocking(service, credentials=None, access_token="t") as giga:
        check()


@given(any_body("get_token"))
@example(b'{"access_token":"abc","expires_at":%d}' % HUGE)
@example(b'{"access_token":"abc","expires_at":-1}')
@example(b'{"access_token":"abc","expires_at":1e999}')
@example(b'{"access_token":"abc","expires_at":NaN}')
@example(b'{"access_token":"a\\nb","expires_at":1}')
@example(b'{"access_token":"abc"}')
@example(DEEP.encode())
def test_any_answer_to_a_sign_in_is_a_token_or_our_error(body: bytes) -> None:
    service = Service()
    service.body = body
    with blocking(service) as giga:
        try:
            check_answer(giga.get_token())
        except GigaChatException as error:
            check_error(error)


stream_pieces = st.one_of(
    any_body("stream").map(lambda body: b"data: " + body + b"\n\n"),
    damaged(ERRORS).map(lambda body: b"event: error\ndata: " + body + b"\n\n"),
    st.sampled_from([b"data: [DONE]\n\n", b": comment\n\n", b"\n", b"data: ", b"event: error\n"]),
    st.binary(max_size=5),
)
stream_bodies = st.lists(stream_pieces, max_size=4).map(b"".join)
content_types = st.sampled_from(["text/event-stream", "application/json", "text/html", "", "text/event-stream;x=y"])
deep_call = with_change(CHUNK, ("choices", 0, "delta", "function_call", "arguments"), DEEP)


@given(stream_bodies, content_types)
@example(b"data: " + DEEP.encode() + b"\n\n", "text/event-stream")
@example(b"data: " + json.dumps(deep_call).encode() + b"\n\n", "text/event-stream")
@example(b'data: {"status": 99, "message": 1}\n\n', "text/event-stream")
@example(b'event: error\ndata: {"status": 99}\n\n', "text/event-stream")
@example(b'data: {"choices": [{"delta": {"name": 1}, "index": 0, "finish_reason": "stop"}]}\n\n', "text/event-stream")
def test_any_stream_gives_chunks_or_our_error(body: bytes, content_type: str) -> None:
    service = Service()
    service.body, service.headers = body, {"content-type": content_type}
    with blocking(service, credentials=None, access_token="t") as giga:
        stream = giga.stream("hello")
        try:
            for chunk in stream:
                check_answer(chunk)
        except GigaChatException as error:
            check_error(error)
            return
        assert isinstance(stream.get_final_text(), str)
        try:
            check_answer(stream.get_final_completion())
        except GigaChatException as error:
            check_error(error)


header_texts = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
waits = st.one_of(
    header_texts,
    st.floats().map(str),
    st.integers().map(str),
    st.datetimes().map(lambda moment: moment.strftime("%a, %d %b %Y %H:%M:%S GMT")),
    st.sampled_from(["Mon, 01 Jan 0001 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 -2359", "1e999", "-1", "nan", "0"]),
)


@given(st.integers(300, 599), st.one_of(damaged(ERRORS), st.binary()), waits, waits)
@example(429, DEEP.encode(), "", "")
@example(500, b'{"message": "a\\nb"}', "Mon, 01 Jan 0001 00:00:00 -0000", "Mon, 01 Jan 0001 00:00:00 -0000")
def test_any_bad_status_is_an_error_that_can_be_read(status: int, body: bytes, wait: str, date: str) -> None:
    service = Service()
    service.status, service.body = status, body
    service.headers = {"retry-after": wait, "date": date, "x-request-id": "r"}
    with blocking(service, credentials=None, access_token="t") as giga, pytest.raises(ResponseError) as caught:
        giga.chat("hello")
    error = caught.value
    check_error(error)
    assert error.status_code == status
    assert error.content == body
    assert error.retry_after >= 0
    assert error.request_id == "r"
    assert isinstance(error.message, str)
    assert error.code is None or isinstance(error.code, int)


@pytest.mark.slow
@settings(max_examples=60)
@given(any_body("chat"), stream_bodies)
def test_async_callers_get_the_same(body: bytes, stream_body: bytes) -> None:
    async def check() -> None:
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(service)) as http:
            giga = AsyncGigaChat(async_http_client=http, access_token="t", max_retries=0)
            service.body, service.headers = body, {}
            try:
                check_answer(await giga.chat("hello"))
            except GigaChatException as error:
                check_error(error)
            service.body, service.headers = stream_body, {"content-type": "text/event-stream"}
            try:
                async for chunk in giga.stream("hello"):
                    check_answer(chunk)
            except GigaChatException as error:
                check_error(error)

    service = Service()
    asyncio.run(check())


@given(st.sampled_from(["AccessToken", "Token", "ChatCompletionChunk", "Model", "TokensCount"]), st.binary())
def test_every_model_of_an_answer_reads_bytes_or_refuses_them(name: str, content: bytes) -> None:
    try:
        answer = parse(getattr(models, name), content, {})
    except GigaChatException as error:
        check_error(error)
    else:
        check_answer(answer)


@given(damaged(GOOD["chat"]))
def test_a_message_that_was_read_can_be_sent_back(body: bytes) -> None:
    service = Service()
    service.body = body
    with blocking(service, credentials=None, access_token="t") as giga:
        try:
            answer = giga.chat("hello")
        except GigaChatException:
            return
        service.body = json.dumps(CHAT).encode()
        for choice in answer.choices:
            assert giga.chat([choice.message]).choices[0].message.content == "Hello."
