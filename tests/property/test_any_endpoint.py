"""Every endpoint, those to come among them: whatever comes in place of its answers is an answer or an error of ours.

The methods are found in the client; how each is called, and what good answers it has, is known from the recorded and
documented exchanges, one of which each method must have. The bytes go through the public client over an HTTP library's
transport without sockets, blocking and async in turn.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

import httpx2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from tests.contract.replay import Exchange, recording
from tests.contract.test_recordings import CASES, KEY, NOTE, PASSWORD, USER, Case
from tests.contract.test_recordings_v2 import CASES as CASES_V2
from tests.property.test_any_answer import (
    DEEP,
    HUGE,
    NEW_FIELDS,
    NOTHING,
    check_error,
    damaged,
    places,
    values,
    with_change,
)
from tests.support.callers import hybrid_name

from gigachat import APIResponseValidationError, AsyncGigaChat, GigaChat, GigaChatException, RunResult, models
from gigachat._engine.endpoint import endpoint, procedure, stream_endpoint
from gigachat._engine.sse import Event, EventSplitter
from gigachat.api.assistants import AssistantsNamespace
from gigachat.api.chat import ChatNamespace
from gigachat.api.threads import ThreadsNamespace
from gigachat.catalogue import ModelInfo

Mode = Literal["blocking", "async"]
modes = st.sampled_from(["blocking", "async"])
TOKEN = {"access_token": "token"}


@dataclass(frozen=True)
class Played:
    """A method, called as in an exchange, and the good answers to its requests, one after the other."""

    arguments: tuple[Any, ...]
    fields: dict[str, Any]
    bodies: tuple[bytes, ...]
    options: dict[str, Any] = field(default_factory=lambda: TOKEN)


def _good(exchanges: Sequence[Exchange]) -> tuple[bytes, ...]:
    """Return the bodies of the good answers, shortened; sign-in left out."""
    return tuple(_shortened(one.body) for one in exchanges if one.endpoint not in SIGN_IN and one.status == 200)


SIGN_IN = ("oauth", "token")


def _shortened(body: bytes) -> bytes:
    """Return a body without the most of its long arrays: a thousand numbers are no better than three."""

    def shorter(value: Any) -> Any:
        if isinstance(value, list):
            return [shorter(item) for item in value[:3]]
        return {name: shorter(item) for name, item in value.items()} if isinstance(value, dict) else value

    try:
        return json.dumps(shorter(json.loads(body)), ensure_ascii=False).encode()
    except ValueError:
        return body


@cache
def played() -> dict[str, list[Played]]:
    """Return how each method is called."""
    found: dict[str, list[Played]] = {}

    def add(case: Case, bodies: tuple[bytes, ...], **options: Any) -> None:
        if bodies:
            found.setdefault(case.method, []).append(
                Played(case.arguments, case.fields, bodies, options or {**case.options, **TOKEN})
            )

    for name, case in CASES.items():
        add(case, _good(recording(name)))
    for (name, number), case in CASES_V2.items():
        add(case, _good(recording(name)[2 * number : 2 * number + 2]))
    # What asks several times, or anything.
    (info,), (content,) = found["get_file"][0].bodies, found["get_file_content"][0].bodies
    found["download_file"] = [Played((NOTE, Path()), {}, (info, content))]
    (batch,) = found["wait_batch"][0].bodies
    working = batch.replace(b'"completed"', b'"in_progress"')
    found["wait_batch"] = [Played(found["wait_batch"][0].arguments, {"poll_interval": 1e-9}, (working, batch))]
    (lines,) = found["batch_results"][0].bodies
    found["batch_results"].append(Played(found["wait_batch"][0].arguments, {}, (batch, lines)))
    found["attach"] = [Played((("a.txt", b"text"),), {}, (info,))]
    found["transcribe"] = [Played((("a.mp3", b"ID3"),), {}, (info, *one.bodies), one.options) for one in found["chat"]]
    for method, chat in (("chat_run", "chat"), ("chat.run", "chat.create")):
        fields = {"tools": [_answer_to_everything]}
        found[method] = [Played(("x",), fields, one.bodies, one.options) for one in found[chat]]
    found["request"] = [Played(("GET", "/models"), {}, found["get_models"][0].bodies)]
    found["models_info"], found["embed"] = found["get_models"], found["embeddings"]
    for options in ({"credentials": KEY}, {"user": USER, "password": PASSWORD}):
        answers = [
            one.body for one in recording("chat_simple" if "user" not in options else "primary_chat_create_simple")
        ]
        add(Case("get_token"), tuple(answers[:1]), **options, share_token=False)
    return found


def _answer_to_everything() -> int:
    return 42


def _public(kind: type[Any]) -> Iterator[tuple[str, Any]]:
    for owner in kind.__mro__:
        for name, member in vars(owner).items():
            if isinstance(member, endpoint | procedure | stream_endpoint) and not name.startswith("_"):
                yield name, member


def _methods() -> dict[str, Any]:
    """Return the methods of the client by their names, found in its classes."""
    found = {**dict(_public(AsyncGigaChat)), "chat": vars(ChatNamespace)["__call__"]}
    for namespace, kind in (
        ("chat", ChatNamespace),
        ("assistants", AssistantsNamespace),
        ("threads", ThreadsNamespace),
    ):
        found |= {f"{namespace}.{name}": member for name, member in _public(kind)}
    del found["diagnose"]  # it opens connections of its own
    return found


METHODS = _methods()
STREAMS = sorted(name for name, member in METHODS.items() if isinstance(member, stream_endpoint))
ANSWERS = sorted(METHODS.keys() - set(STREAMS))


def test_every_method_of_the_client_is_here() -> None:
    assert set(played()) == set(METHODS)
    assert len(STREAMS) >= 5


class Pieces(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body as it comes."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


class Service:
    """Answers each request with the next of its bodies, in pieces, and then with a refusal."""

    def __init__(self) -> None:
        self.answers: list[Sequence[bytes]] = []
        self.headers: list[tuple[bytes, bytes]] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        if not self.answers:
            return httpx2.Response(404, json={"status": 404, "message": "There is no more"})
        return httpx2.Response(200, stream=Pieces(self.answers.pop(0)), headers=self.headers)


class World:
    """Clients of both modes over a service."""

    def __init__(self, folder: Path) -> None:
        self.service = Service()
        self.folder = folder
        self._runner = asyncio.Runner()
        self._http = httpx2.Client(transport=httpx2.MockTransport(self.service))
        self._async_http = httpx2.AsyncClient(transport=httpx2.MockTransport(self.service))
        self._made: dict[str, GigaChat] = {}

    def giga(self, options: dict[str, Any]) -> GigaChat:
        """Return a client, made once; one that signs in is new, for it remembers what it got."""
        key = repr(options)
        if key not in self._made or options.keys().isdisjoint(TOKEN):
            http: dict[str, Any] = {"http_client": self._http, "async_http_client": self._async_http}
            self._made[key] = GigaChat(max_retries=0, **http, **options)
        return self._made[key]

    def call(self, mode: Mode, method: str, call: Played) -> Any:
        """Return what a method returns."""
        target = attrgetter(method if mode == "blocking" else hybrid_name(method))(self.giga(call.options))
        arguments = [self.folder if argument == Path() else argument for argument in call.arguments]
        result = target(*arguments, **call.fields)
        return self._runner.run(result) if mode == "async" else result

    def stream(self, mode: Mode, method: str, call: Played, into: list[Any]) -> tuple[str, Any]:
        """Read a stream to its end; return its text and its whole, or the error of putting it together."""
        target = attrgetter(method if mode == "blocking" else hybrid_name(method))(self.giga(call.options))
        stream = target(*call.arguments, **call.fields)
        if mode == "blocking":
            for chunk in stream:
                into.append(chunk)  # noqa: PERF402 - one by one, to keep what came before an error
            try:
                return stream.get_final_text(), stream.get_final_completion()
            except GigaChatException as error:
                return stream.get_final_text(), error

        async def read() -> tuple[str, Any]:
            async for chunk in stream:
                into.append(chunk)
            try:
                return await stream.get_final_text(), await stream.get_final_completion()
            except GigaChatException as error:
                return await stream.get_final_text(), error

        return self._runner.run(read())

    def close(self) -> None:
        self._http.close()
        self._runner.run(self._async_http.aclose())
        self._runner.close()


@contextmanager
def world_in(folder: Path) -> Iterator[World]:
    world = World(folder)
    try:
        yield world
    finally:
        world.close()


def fewer() -> settings:
    """Share out the examples: there are dozens of methods."""
    return settings(max_examples=max(settings().max_examples // 4, 1))


# Answers.


def check(result: Any) -> None:
    """Check that a result has the type it promises, and that a model survives being written and read again."""
    if isinstance(result, tuple | list):
        for one in result:
            check(one)
    elif isinstance(result, models.RawResponse):
        assert isinstance(result.text, str)
        with suppress(GigaChatException):
            result.json()
    elif isinstance(result, RunResult):
        check([result.text, *result.completions, *result.messages])
    elif isinstance(result, BaseModel):
        written = result.model_dump(by_alias=True, exclude_unset=True)
        again = type(result).model_validate(written)
        assert again.model_dump_json(by_alias=True) == result.model_dump_json(by_alias=True)
    else:
        assert isinstance(result, str | bool | Path | ModelInfo | np.ndarray)


def check_kept(sent: Any, read: Any) -> None:
    """Check that each name of an object that was sent is a name of what was read."""
    if isinstance(sent, dict) and isinstance(read, dict):
        for name, value in sent.items():
            if name not in _MEANT:
                assert name in read, name
                check_kept(value, read[name])
    elif isinstance(sent, list) and isinstance(read, list):
        assert len(sent) == len(read)
        for one, other in zip(sent, read, strict=True):
            check_kept(one, other)


MADE = {"get_token", "get_batches", "wait_batch", "get_image", "get_file_content"}
"""Methods whose results are made of answers that look otherwise."""

_MEANT = {
    *("name", "title"),  # the title of a schema is the name of a function
    *("tool_state_id", "functions_state_id", "created"),  # read under another name
    "content",  # text in the place of parts
}


def _goods(body: bytes) -> st.SearchStrategy[bytes]:
    try:
        return damaged([json.loads(body)])
    except ValueError:
        return st.just(body)  # of a file: lines, or anything


def any_answers(calls: list[Played]) -> st.SearchStrategy[tuple[Played, list[bytes]]]:
    """Return a call and an answer to each of its requests: damaged, another JSON, or no JSON."""

    def answers(call: Played) -> st.SearchStrategy[tuple[Played, list[bytes]]]:
        anything = st.one_of(values.map(lambda value: json.dumps(value).encode()), st.binary())
        each = [st.one_of(_goods(body), _goods(body), _goods(body), anything) for body in call.bodies]
        return st.tuples(st.just(call), st.tuples(*each).map(list))

    return st.sampled_from(calls).flatmap(answers)


odd_headers = st.lists(
    st.tuples(
        st.sampled_from([b"x-request-id", b"date", b"content-type", b"retry-after", b"x-session-id"]),
        st.binary(max_size=12).filter(lambda value: b"\r" not in value and b"\n" not in value),
    ),
    max_size=2,
)


@pytest.mark.parametrize("method", ANSWERS)
def test_any_answer_is_read_or_our_error(method: str, tmp_path: Path) -> None:
    """Whatever the bytes and headers, a method returns what it promises or raises a GigaChatException."""

    @fewer()
    @given(modes, any_answers(played()[method]), odd_headers)
    def check_example(mode: Mode, answers: tuple[Played, list[bytes]], headers: list[tuple[bytes, bytes]]) -> None:
        call, bodies = answers
        world.service.answers, world.service.headers = [[body] for body in bodies], headers
        try:
            result = world.call(mode, method, call)
        except GigaChatException as error:
            check_error(error)
            return
        check(result)
        if isinstance(result, models.APIResponse) and method not in MADE:
            check_kept(json.loads(bodies[-1]), result.model_dump(by_alias=True, exclude_unset=True))
        if isinstance(result, Path):
            assert result.parent == tmp_path
            assert result.read_bytes() == bodies[-1]

    with world_in(tmp_path) as world:
        check_example()


INSTEAD: list[Any] = [
    *(None, NOTHING, True, -1, 0.5, HUGE, "", "x", "1" * 5000, DEEP, [], [[]], {}, NEW_FIELDS),
]


def instead(place: int) -> list[Any]:
    """Return what is put in a place: everything, or each place in turn gets a few where there are few examples."""
    turns = 1 if settings().max_examples > 10 else 4
    return INSTEAD[place % turns :: turns]


@pytest.mark.costly
@pytest.mark.parametrize("method", ANSWERS)
def test_each_value_may_be_anything(method: str, tmp_path: Path) -> None:
    """Whatever stands in the place of any one value of a good answer, it is read or an error of ours."""
    with world_in(tmp_path) as world:
        for call in {(call.bodies, repr(call.options)): call for call in played()[method]}.values():
            for number, body in enumerate(call.bodies):
                try:
                    good = json.loads(body)
                except ValueError:
                    continue
                for index, place in enumerate(places(good)):
                    for new in instead(index):
                        bodies = [*call.bodies]
                        bodies[number] = json.dumps(with_change(good, place, new)).encode()
                        world.service.answers = [[one] for one in bodies]
                        try:
                            check(world.call("blocking", method, call))
                        except GigaChatException as error:
                            check_error(error)


# Streams.


def events_of(body: bytes) -> list[tuple[bytes | None, Any]]:
    """Return the names and data of a good stream's events; an end mark has no data."""
    splitter = EventSplitter()
    events: list[Event] = splitter.feed(body) + splitter.finish()
    return [(name.encode() if name else None, None if data == b"[DONE]" else json.loads(data)) for name, data in events]


def _written(name: bytes | None, data: bytes) -> bytes:
    return (b"event: " + name + b"\n" if name else b"") + b"data: " + data + b"\n\n"


ERROR_OBJECTS: list[Any] = [
    {"status": 429, "message": "Too many requests"},
    {"code": 500, "message": "no"},
    {"error": {"status": 413, "message": "long"}},
]


def any_stream(call: Played) -> st.SearchStrategy[bytes]:
    """Return bodies of events of a good stream, left out, doubled or damaged, with errors and rubbish between them."""
    events = events_of(call.bodies[-1])
    names = st.sampled_from([*{name for name, _ in events}, None, b"error", b"response.error", b"new"])
    data = [value for _, value in events if value is not None]
    whole = [
        st.just(_written(name, b"[DONE]" if value is None else json.dumps(value).encode())) for name, value in events
    ]
    piece = st.one_of(
        *whole,
        st.builds(_written, names, damaged(data)),
        st.builds(_written, names, damaged(data)),
        st.builds(_written, names, damaged(ERROR_OBJECTS)),
        st.sampled_from([b"data: [DONE]\n\n", b": comment\n\n", b"\n", b"data: ", b"event: error\n", b"\xef\xbb\xbf"]),
        st.binary(max_size=5),
    )
    rest = st.one_of(st.just(b""), st.just(b""), *whole[-2:])
    return st.builds(lambda pieces, end: b"".join(pieces) + end, st.lists(piece, max_size=5), rest)


content_types = st.sampled_from(
    [b"text/event-stream"] * 4 + [b"Text/Event-Stream ;charset=utf-8", b"", b"application/json", b"text/html"]
)


def pieces_of(body: bytes, cuts: list[int]) -> list[bytes]:
    ends = sorted({cut % (len(body) + 1) for cut in cuts})
    return [body[start:end] for start, end in zip([0, *ends], [*ends, len(body)], strict=True) if start < end]


def said(error: BaseException) -> tuple[type[BaseException], str]:
    return type(error), str(error)


@pytest.mark.parametrize("method", STREAMS)
def test_any_stream_is_chunks_or_our_error_in_any_split(method: str, tmp_path: Path) -> None:
    """Whatever the bytes, a stream gives chunks and then its whole or a GigaChatException, and where the bytes are cut
    and which mode reads them changes nothing of it.
    """
    calls = played()[method]

    def read(mode: Mode, call: Played, pieces: Sequence[bytes]) -> tuple[list[Any], Any]:
        chunks: list[Any] = []
        world.service.answers = [pieces]
        try:
            text, whole = world.stream(mode, method, call, chunks)
        except GigaChatException as error:
            check_error(error)
            return chunks, said(error)
        if isinstance(whole, GigaChatException):
            check_error(whole)
            return chunks, (text, said(whole))
        check(whole)
        return chunks, (text, whole)

    @fewer()
    @given(
        st.sampled_from(calls).flatmap(lambda call: st.tuples(st.just(call), any_stream(call))),
        content_types,
        st.lists(st.integers(0, 5000), max_size=6),
    )
    def check_example(given: tuple[Played, bytes], content_type: bytes, cuts: list[int]) -> None:
        call, body = given
        world.service.headers = [(b"content-type", content_type)]
        chunks, end = read("blocking", call, [body])
        check(chunks)
        for other in (read("blocking", call, pieces_of(body, cuts)), read("async", call, pieces_of(body, cuts))):
            assert [chunk.model_dump_json() for chunk in chunks] == [chunk.model_dump_json() for chunk in other[0]]
            assert end == other[1] or repr(end) == repr(other[1])  # nan is not nan

    with world_in(tmp_path) as world:
        check_example()


@pytest.mark.parametrize("method", STREAMS)
def test_each_value_of_a_stream_may_be_anything(method: str, tmp_path: Path) -> None:
    """Whatever stands in the place of any one value of a good stream, it is chunks and a whole, or an error of ours."""
    call = played()[method][0]
    events = events_of(call.bodies[-1])
    with world_in(tmp_path) as world:
        world.service.headers = [(b"content-type", b"text/event-stream")]
        for number, (name, good) in enumerate(events):
            for index, place in enumerate(places(good)):
                for new in instead(index):
                    changed = [*events]
                    changed[number] = name, with_change(good, place, new)
                    body = b"".join(_written(one, json.dumps(data).encode()) for one, data in changed)
                    world.service.answers = [[body]]
                    try:
                        text, whole = world.stream("blocking", method, call, [])
                    except GigaChatException as error:
                        check_error(error)
                        continue
                    assert isinstance(text, str)
                    if isinstance(whole, GigaChatException):
                        check_error(whole)
                    else:
                        check(whole)


# Bytes that are said to be compressed.


def _deflated(body: bytes) -> bytes:
    return zlib.compress(body)


ENCODINGS: dict[bytes, Callable[[bytes], bytes]] = {
    b"gzip": gzip.compress,
    b"deflate": _deflated,
    b"gzip, deflate": lambda body: _deflated(gzip.compress(body)),
    b"identity": bytes,
    b"new": bytes,
}
REFUSED = (b"gzip, deflate", b"new")


@pytest.mark.parametrize("method", ["chat", "tokens_count", "stream", "chat.stream", "get_image", "download_file"])
def test_bytes_that_cannot_be_decompressed_are_our_error(method: str, tmp_path: Path) -> None:
    """Whole, an answer in an encoding asked for is what it is without; damaged, it is an error of ours or what it was.

    In any other encoding, or in two, it is an error of ours.
    """

    def outcome(mode: Mode) -> str:
        call = played()[method][0]
        if method in STREAMS:
            chunks: list[Any] = []
            world.stream(mode, method, call, chunks)
            return repr(chunks)
        result = world.call(mode, method, call)
        return repr(result.read_bytes() if isinstance(result, Path) else result)

    @fewer()
    @given(modes, st.sampled_from(sorted(ENCODINGS)), st.integers(0, 2000), st.binary(max_size=3), st.booleans())
    def check_example(mode: Mode, encoding: bytes, where: int, other: bytes, damage: bool) -> None:
        bodies = played()[method][0].bodies
        service = world.service
        kind = b"text/event-stream" if method in STREAMS else b"application/json"
        service.headers = [(b"content-type", kind)]
        service.answers = [[body] for body in bodies]
        plain = outcome("blocking")
        *before, packed = [ENCODINGS[encoding](body) for body in bodies]
        if damage:
            where %= len(packed)
            packed = packed[:where] + other
        service.headers = [(b"content-type", kind), (b"content-encoding", encoding)]
        service.answers = [[one] for one in (*before, packed)]
        try:
            result = outcome(mode)
        except APIResponseValidationError as error:
            check_error(error)
            assert damage or encoding in REFUSED
        except GigaChatException as error:
            check_error(error)
            assert damage
            assert encoding not in REFUSED
        else:
            assert encoding not in REFUSED
            assert damage or result == plain

    with world_in(tmp_path) as world:
        check_example()
