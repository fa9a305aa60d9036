"""Streams over real sockets: which chunks arrive, how a stream ends, and when its connection is released."""

from __future__ import annotations

import asyncio
import gc
import gzip
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gigachat import (
    APIConnectionError,
    APIResponseValidationError,
    APITimeoutError,
    AsyncGigaChat,
    GigaChat,
    GigaChatException,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
)
from tests.faults.operations import Dialect, Operation, named
from tests.support.callers import MODES, Caller, Mode
from tests.support.payloads import chunked, head, http
from tests.support.programs import LEFT_OPEN
from tests.support.servers import Act, Peer, Received, Server, cuts, hangs, says
from tests.support.waiting import PATIENCE, begun, patiently, until

STREAMS = named("stream", "v2-stream", "threads.stream")
ONE_CONNECTION: dict[str, Any] = {
    "max_connections": 1,
    "max_concurrency": 1,
    "queue_timeout": 10,
    "retry_backoff_factor": 0,
    "share_token": False,
}


@dataclass(frozen=True)
class Odd:
    """A stream that is written or ends in a way of its own.

    Attributes:
        name: For the reader.
        act: What the server does.
        chunks: How many chunks arrive; None for all of them.
        error: Class of the error behind them; None where the stream ends well.
        says: What the error's text holds.
        silent: Whether it ends in silence.
    """

    name: str
    act: Callable[[Dialect], Act]
    chunks: int | None = None
    error: type[GigaChatException] | None = None
    says: str = ""
    silent: bool = False


def _sends(answer: Callable[[Dialect], bytes]) -> Callable[[Dialect], Act]:
    return lambda dialect: says(answer(dialect))


def _cuts(answer: Callable[[Dialect], bytes]) -> Callable[[Dialect], Act]:
    return lambda dialect: cuts(answer(dialect))


def _hangs(answer: Callable[[Dialect], bytes]) -> Callable[[Dialect], Act]:
    return lambda dialect: hangs(answer(dialect))


def _odd_streams() -> Iterator[Odd]:
    interrupted = StreamInterruptedError

    def begun(count: int, rest: bytes = b"", whole: bool = False) -> Callable[[Dialect], bytes]:
        return lambda dialect: chunked([*dialect.events[:count], rest], whole=whole)

    # Ends.
    yield Odd("cut-before-the-first-chunk", _cuts(begun(0)), 0, interrupted, "broke during the response")
    yield Odd("ended-before-the-first-chunk", _sends(begun(0, whole=True)), 0, interrupted, "end mark is missing")
    yield Odd("cut-inside-an-event", _cuts(begun(1, b"data: {")), 1, interrupted, "broke during the response")
    yield Odd("ended-inside-an-event", _sends(begun(1, b"data: {", whole=True)), 1, interrupted, "inside an event")
    yield Odd("cut-between-events", _cuts(begun(2)), 2, interrupted, "broke during the response")
    yield Odd("ended-between-events", _sends(begun(2, whole=True)), 2, interrupted, "end mark is missing")
    yield Odd("cut-behind-the-finish-reason", _cuts(begun(3)), 3, interrupted, "broke during the response")
    yield Odd("ended-behind-the-finish-reason", _sends(begun(3, whole=True)), 3)
    yield Odd("silence-before-the-first-chunk", _hangs(begun(0)), 0, interrupted, "within timeout=", silent=True)
    yield Odd("silence-behind-the-finish-reason", _hangs(begun(3)), 3, interrupted, "within timeout=", silent=True)
    yield Odd("silence-behind-the-end-mark", _hangs(lambda dialect: chunked(dialect.all, whole=False)))
    yield Odd("more-behind-the-end-mark", _sends(lambda dialect: chunked([*dialect.all, *dialect.events])))

    # Errors inside.
    yield Odd("an-error", _sends(lambda d: chunked([d.events[0], d.error, *d.all])), 1, ServerError, "Internal words")
    yield Odd("an-error-at-once", _sends(lambda dialect: chunked([dialect.error])), 0, ServerError, "Internal words")
    for name, data in (
        ("object", b'data: {"status":429,"message":"Too many words"}\n\n'),
        ("event", b'event: error\ndata: {"status":429,"message":"Too many words"}\n\n'),
        ("code", b'data: {"error":{"code":429,"message":"Too many words"}}\n\n'),
    ):
        yield Odd(f"an-error-as-{name}", _cuts(begun(1, data)), 1, RateLimitError, "Too many words")
    for name, data in (("text", b"data: oh no\n\n"), ("bytes", b"data: \xff\xfe\n\n"), ("number", b"data: 17\n\n")):
        yield Odd(f"what-is-no-chunk-{name}", _cuts(begun(1, data)), 1, APIResponseValidationError, "cannot be read")
    unreadable = b"event: error\ndata: oh no\n\n"
    yield Odd("an-unreadable-error", _cuts(begun(1, unreadable)), 1, APIResponseValidationError, "error event")

    # Other things under another name.
    def typed(content_type: str) -> Callable[[Dialect], bytes]:
        return lambda dialect: chunked(dialect.all, content_type=content_type)

    for content_type in ("Text/Event-Stream ; charset=UTF-8", "", "text/plain", "application/octet-stream"):
        yield Odd(f"type-{content_type.partition(' ')[0] or 'missing'}", _sends(typed(content_type)))
    page = b"<!doctype html>\n<html>\n<body>Sign in</body>\n</html>\n"
    stated = b'{"status":429,"message":"Too many words"}'
    yield Odd("html", _sends(lambda _: http(page, content_type="text/html")), 0, APIResponseValidationError, "web page")
    yield Odd("html-as-events", _sends(lambda _: chunked([page])), 0, interrupted, "end mark is missing")
    yield Odd("json", _sends(lambda _: http(b"{}")), 0, APIResponseValidationError, "application/json")
    yield Odd("json-error", _sends(lambda _: http(stated)), 0, RateLimitError, "Too many words")
    yield Odd("json-as-events", _sends(lambda _: chunked([stated])), 0, interrupted, "end mark is missing")
    half = http(stated)[:-9]
    yield Odd("json-cut", _cuts(lambda _: half), 0, APIConnectionError, "broke during the response")
    yield Odd("json-and-silence", _hangs(lambda _: half), 0, APITimeoutError, "within timeout=", silent=True)
    yield Odd("nothing", _sends(lambda _: head(204)), 0, interrupted, "end mark is missing")

    # Ways of writing.
    def body(change: Callable[[bytes], bytes]) -> Callable[[Dialect], bytes]:
        return lambda dialect: chunked([change(b"".join(dialect.all))])

    yield Odd("crlf", _sends(body(lambda data: data.replace(b"\n", b"\r\n"))))
    yield Odd("cr", _sends(body(lambda data: data.replace(b"\n", b"\r"))))
    yield Odd("byte-order-mark", _sends(body(lambda data: b"\xef\xbb\xbf" + data)))
    comments = b": comment\n\n\n\n:\nretry: 5\nid: 7\nunknown: x\nevent: ping\n\n"
    yield Odd("comments", _sends(body(lambda data: comments + data.replace(b"\n\n", b"\n\n" + comments))))
    yield Odd("several-lines", _sends(body(lambda data: data.replace(b'", "', b'",\ndata: "'))))
    yield Odd("no-space", _sends(body(lambda data: data.replace(b"data: ", b"data:"))))
    yield Odd("all-at-once", _sends(body(lambda data: data)))

    def bytewise(dialect: Dialect) -> Act:
        data = b"".join(dialect.all)

        def act(peer: Peer, _: Received) -> None:
            peer.send(chunked([], whole=False))
            for index in range(len(data)):
                peer.send(b"1\r\n" + data[index : index + 1] + b"\r\n")
            peer.send(b"0\r\n\r\n")

        return act

    yield Odd("byte-by-byte", bytewise)

    def packed(dialect: Dialect) -> bytes:
        data = gzip.compress(b"".join(dialect.all))
        return chunked([data[:20], data[20:]], ("Content-Encoding", "gzip"))

    yield Odd("gzip", _sends(packed))
    cut = b"".join((chunked([], ("Content-Encoding", "gzip"), whole=False), b"5\r\n\x1f\x8b\x08\x00\x00\r\n"))
    yield Odd("gzip-cut", _cuts(lambda _: cut), 0, interrupted, "broke during the response")


ODD = tuple(_odd_streams())


@pytest.mark.parametrize(
    ("odd", "operation", "mode"),
    [
        pytest.param(odd, operation, mode, id=f"{odd.name}-{operation}-{mode}")
        for number, odd in enumerate(ODD)
        for place, operation in enumerate(STREAMS)
        for turn, mode in enumerate(MODES)
        if turn != (number + place) % 3
    ],
)
def test_an_odd_stream(odd: Odd, operation: Operation, mode: Mode, tmp_path: Path) -> None:
    if odd.silent:
        patiently(lambda seconds: _meet(odd, operation, mode, tmp_path, seconds))
    else:
        _meet(odd, operation, mode, tmp_path, None)


def _meet(odd: Odd, operation: Operation, mode: Mode, folder: Path, timeout: float | None) -> None:
    dialect = operation.dialect
    assert dialect is not None
    with Server(operation.good_answer) as server, Caller(mode, server.options | ONE_CONNECTION) as caller:
        server.script.append(odd.act(dialect))
        view = caller.giga.with_options(timeout=None if timeout is None else (10, timeout))
        chunks: list[Any] = []
        error: Exception | None = None
        try:
            operation.perform(caller, folder, giga=view, into=chunks)
        except GigaChatException as raised:
            error = raised
        if error is not None and type(error) is not odd.error:
            raise error
        assert type(error) is (odd.error or type(None))
        assert odd.says in str(error)
        if error is not None and (odd.silent or odd.says == "broke during the response"):
            assert isinstance(error, APIConnectionError)
            assert error.cause is not None
        assert len(chunks) == (dialect.chunks if odd.chunks is None else odd.chunks)
        if odd.error is None:
            assert operation.good(chunks, folder)
        assert len(server.requests) == 1  # nothing delivered is ever delivered again

        assert operation.good(operation.perform(caller, folder), folder)
        assert len(server.requests) == 2
        assert server.wait_for_connections(2)
        assert caller.noise == []


@pytest.mark.parametrize("mode", MODES)
def test_the_end_mark_of_v1_ends_v2_as_well(mode: Mode, tmp_path: Path) -> None:
    (operation,) = named("v2-stream")
    dialect = operation.dialect
    assert dialect is not None
    with Server() as server, Caller(mode, server.options | ONE_CONNECTION) as caller:
        server.for_ever = hangs(chunked([dialect.events[0], b"data: [DONE]\n"], whole=False))
        assert len(operation.perform(caller, tmp_path)) == 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fields", [b'{"created_at":1,"model":"m"}', b"{}", b'{"usage":null,"messages":null}'])
def test_the_last_event_of_v2_may_be_without_usage(mode: Mode, fields: bytes, tmp_path: Path) -> None:
    (operation,) = named("v2-stream")
    dialect = operation.dialect
    assert dialect is not None
    done = b"event: response.message.done\ndata: " + fields + b"\n\n"
    with Server(chunked([*dialect.events, done])) as server, Caller(mode, server.options) as caller:
        chunks = operation.perform(caller, tmp_path)
        assert operation.good(chunks, tmp_path)
        assert (chunks[-1].event, chunks[-1].usage) == ("response.message.done", None)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("operation", STREAMS, ids=str)
def test_an_event_of_ten_megabytes(operation: Operation, mode: Mode, tmp_path: Path) -> None:
    dialect = operation.dialect
    assert dialect is not None
    first, *others = dialect.all
    long = first.replace("При".encode(), b"x" * 10_000_000)
    with Server(chunked([long, *others])) as server, Caller(mode, server.options) as caller:
        chunks = operation.perform(caller, tmp_path)
        assert len(chunks) == dialect.chunks
        assert chunks[0].model_dump_json().count("x" * 10_000_000) == 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("operation", [*named("get_models"), *STREAMS], ids=str)
def test_an_answer_cut_at_every_byte(operation: Operation, mode: Mode, tmp_path: Path) -> None:
    dialect = operation.dialect
    body = operation.answer
    begun = head(200, ("Content-Type", operation.content_type), ("Content-Length", len(body) + 1))
    answer = begun + body
    # Long streams are cut at every byte between their first event and the next, and at every seventh elsewhere.
    near = range(len(begun) + len(dialect.events[0] if dialect else b""), len(answer))
    places = [cut for cut in range(len(answer)) if cut % 7 == 0 or cut in near[:40] or cut in near[-40:]]
    with Server() as server, Caller(mode, server.options | ONE_CONNECTION, max_retries=0) as caller:
        caller.do("get_token")
        for cut in places:
            server.for_ever = cuts(answer[:cut])
            chunks: list[Any] = []
            error: Exception | None = None
            try:
                operation.perform(caller, tmp_path, into=chunks)
            except GigaChatException as raised:
                error = raised
            part = answer[len(begun) : cut]
            delivered, ended = dialect.delivered(part) if dialect else (0, False)
            assert len(chunks) == delivered, cut
            if cut < len(begun):
                assert type(error) is APIConnectionError, cut
                assert "before a response came" in str(error)
            elif ended:
                assert error is None, cut
            elif dialect:
                assert type(error) is StreamInterruptedError, cut
            else:
                assert type(error) is APIConnectionError, cut
                assert "broke during the response" in str(error)
        assert len(server.requests) == len(places)
        assert caller.noise == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("operation", STREAMS, ids=str)
def test_a_stream_that_is_reset(operation: Operation, mode: Mode) -> None:
    dialect = operation.dialect
    assert dialect is not None
    read = threading.Event()

    def act(peer: Peer, _: Received) -> None:
        peer.send(chunked([dialect.events[0]], whole=False))
        assert read.wait(PATIENCE)  # a reset may overtake what was sent before
        peer.reset()

    with Server() as server, Caller(mode, server.options | ONE_CONNECTION) as caller:
        server.script.append(act)
        arguments, options = operation.arguments(Path())
        came = 0

        def blocking() -> None:
            nonlocal came
            for _ in caller.method(operation.call)(*arguments, **options):
                came += 1
                read.set()

        async def awaited() -> None:
            nonlocal came
            async for _ in caller.method(operation.call)(*arguments, **options):
                came += 1
                read.set()

        with pytest.raises(StreamInterruptedError, match="broke during the response"):
            blocking() if mode == "blocking" else caller.run(awaited())
        assert came == 1
        assert server.wait_for_connections(1)  # that of the sign-in
        assert caller.noise == []


@pytest.mark.parametrize("mode", MODES)
def test_only_the_pause_between_bytes_counts(mode: Mode, tmp_path: Path) -> None:
    try:
        _read_slowly(mode, tmp_path, 0.08, 1.0)
    except GigaChatException:  # a machine that stood still for a second
        _read_slowly(mode, tmp_path, 0.6, 8.0)


def _read_slowly(mode: Mode, folder: Path, pace: float, timeout: float) -> None:
    """Read a stream that takes longer than the timeout, and no piece of it does; all in seconds."""
    (operation,) = named("stream")
    answer = operation.good_answer
    pieces = [answer[index : index + 40] for index in range(0, len(answer), 40)]
    pause = threading.Event()

    def slowly(peer: Peer, _: Received) -> None:
        for piece in pieces:
            pause.wait(pace)  # the slow server itself
            peer.send(piece)

    assert len(pieces) * pace > timeout
    with Server() as server, Caller(mode, server.options) as caller:
        caller.do("get_token")
        server.for_ever = slowly
        view = caller.giga.with_options(timeout=(10, timeout))
        assert operation.good(operation.perform(caller, folder, giga=view), folder)


# Leaving a stream. The server never ends it; only the client can free the connection.


class Left(Exception):
    """What a consumer raises."""


def _never_ending(operation: Operation, count: int = 1) -> Act:
    dialect = operation.dialect
    assert dialect is not None
    return hangs(chunked([*dialect.events[:count]], whole=False))


def _closed(stream: Any) -> None:
    next(stream)
    stream.close()
    assert list(stream) == []


def _closed_before_the_first_chunk(stream: Any) -> None:
    with stream:
        pass


def _left_by_context(stream: Any) -> None:
    with stream:
        next(stream)


def _left_by_break(stream: Any) -> None:
    for _ in stream:
        break


def _left_by_an_exception(stream: Any) -> None:
    with suppress(Left), stream:
        for _ in stream:
            raise Left


def _abandoned_by_an_exception(stream: Any) -> None:
    try:
        for _ in stream:
            raise Left
    except Left:
        pass


def _abandoned_in_a_circle(stream: Any) -> None:
    next(stream)
    circle = [stream]
    circle.append(circle)


def _abandoned_text(stream: Any) -> None:
    for _ in stream.text_stream:
        break


def _abandoned_in_another_thread(stream: Any) -> None:
    thread = threading.Thread(target=lambda held: next(held), args=(stream,))
    thread.start()
    thread.join()


def _closed_by_another_thread_than_the_one_that_waits(stream: Any) -> None:
    next(stream)
    more: list[Any] = []
    reader = begun(lambda: more.extend(stream))
    until(lambda: stream._source._reading is not None)
    stream.close()
    reader.join(PATIENCE)
    assert not reader.is_alive()
    assert more == []


BLOCKING_WAYS = (
    _closed_by_another_thread_than_the_one_that_waits,
    _closed,
    _closed_before_the_first_chunk,
    _left_by_context,
    _left_by_break,
    _left_by_an_exception,
    _abandoned_by_an_exception,
    _abandoned_in_a_circle,
    _abandoned_text,
    _abandoned_in_another_thread,
)


@pytest.mark.parametrize("inside", ["no loop", "a running loop"])
@pytest.mark.parametrize("way", BLOCKING_WAYS)
@pytest.mark.parametrize("operation", named("stream"), ids=str)
def test_who_leaves_a_stream_frees_its_connection(
    operation: Operation, way: Callable[[Any], None], inside: str, tmp_path: Path
) -> None:
    noise: list[Any] = []
    with Server(operation.good_answer) as server, GigaChat(**(server.options | ONE_CONNECTION)) as giga:
        server.script.append(_never_ending(operation))
        caller = Caller("blocking", server.options)
        arguments, options = operation.arguments(tmp_path)

        def leave() -> None:
            way(caller.method(operation.call, giga)(*arguments, **options))
            gc.collect()
            assert server.wait_for_connections(1)  # that of the sign-in

        if inside == "no loop":
            leave()
        else:

            async def cell() -> None:
                asyncio.get_running_loop().set_exception_handler(lambda _, context: noise.append(context))
                leave()

            asyncio.run(cell(), debug=False)
        assert operation.good(operation.perform(caller, tmp_path, giga=giga), tmp_path)
        assert noise == []


async def _aclosed(stream: Any) -> None:
    await anext(stream)
    await stream.aclose()
    assert [chunk async for chunk in stream] == []


async def _aclosed_before_the_first_chunk(stream: Any) -> None:
    async with stream:
        pass


async def _aleft_by_context(stream: Any) -> None:
    async with stream:
        await anext(stream)


async def _aleft_by_break(stream: Any) -> None:
    async for _ in stream:
        break


async def _aleft_by_an_exception(stream: Any) -> None:
    with suppress(Left):
        async with stream:
            async for _ in stream:
                raise Left


async def _aabandoned_by_an_exception(stream: Any) -> None:
    try:
        async for _ in stream:
            raise Left
    except Left:
        pass


async def _aabandoned_in_a_circle(stream: Any) -> None:
    await anext(stream)
    circle = [stream]
    circle.append(circle)


async def _aabandoned_text(stream: Any) -> None:
    async for _ in stream.text_stream:
        break


async def _cancelled_while_reading(stream: Any) -> None:
    await anext(stream)
    reading = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


async def _timed_out_while_reading(stream: Any) -> None:
    await anext(stream)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await anext(stream)


async def _cancelled_between_chunks(stream: Any) -> None:
    begun = asyncio.Event()

    async def consume() -> None:
        async with stream:
            async for _ in stream:
                begun.set()
                await asyncio.get_running_loop().create_future()

    consumer = asyncio.create_task(consume())
    await begun.wait()
    consumer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consumer


async def _closed_by_another_task_than_the_one_that_waits(stream: Any) -> None:
    await anext(stream)

    async def read() -> list[Any]:
        return [chunk async for chunk in stream]

    reader = asyncio.create_task(read())
    while stream._source._reading is None:
        await asyncio.sleep(0)
    await stream.close()
    async with asyncio.timeout(PATIENCE):
        assert await reader == []


async def _task_raises(stream: Any) -> None:
    async def consume() -> None:
        async for _ in stream:
            raise Left

    with pytest.raises(Left):
        await asyncio.create_task(consume())


ASYNC_WAYS = (
    _closed_by_another_task_than_the_one_that_waits,
    _aclosed,
    _aclosed_before_the_first_chunk,
    _aleft_by_context,
    _aleft_by_break,
    _aleft_by_an_exception,
    _aabandoned_by_an_exception,
    _aabandoned_in_a_circle,
    _aabandoned_text,
    _cancelled_while_reading,
    _timed_out_while_reading,
    _cancelled_between_chunks,
    _task_raises,
)


@pytest.mark.filterwarnings(LEFT_OPEN)
@pytest.mark.slow
@pytest.mark.parametrize("mode", ["async", "hybrid"])
@pytest.mark.parametrize("way", ASYNC_WAYS)
@pytest.mark.parametrize("operation", named("stream", "v2-stream"), ids=str)
def test_who_leaves_an_async_stream_frees_its_connection(
    operation: Operation, way: Callable[[Any], Any], mode: Mode, tmp_path: Path
) -> None:
    with Server(operation.good_answer) as server, Caller(mode, server.options | ONE_CONNECTION) as caller:
        server.script.append(_never_ending(operation))
        arguments, options = operation.arguments(tmp_path)

        async def main() -> None:
            loop = asyncio.get_running_loop()
            await way(caller.method(operation.call)(*arguments, **options))
            gc.collect()
            assert await loop.run_in_executor(None, server.wait_for_connections, 1)

        caller.run(main())
        assert operation.good(operation.perform(caller, tmp_path), tmp_path)
        gc.collect()
        caller.run(asyncio.sleep(0))
        assert caller.noise == []


@pytest.mark.parametrize("mode", ["async", "hybrid"])
@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-"], ids=["nothing", "half a head"])
@pytest.mark.parametrize(
    "operation", [*STREAMS, *named("chat", "get_models", "upload-bytes", "download_file")], ids=str
)
def test_who_is_cancelled_while_waiting_frees_the_connection(
    operation: Operation, answer: bytes, mode: Mode, tmp_path: Path
) -> None:
    arrived = threading.Event()

    def hang(peer: Peer, _: Received) -> None:
        peer.send(answer)
        arrived.set()
        peer.stay_silent()

    with Server(operation.good_answer) as server, Caller(mode, server.options | ONE_CONNECTION) as caller:
        server.script.append(hang)
        arguments, options = operation.arguments(tmp_path)

        async def call() -> None:
            made = caller.method(operation.call)(*arguments, **options)
            await (anext(made) if operation.dialect else made)

        async def main() -> None:
            loop = asyncio.get_running_loop()
            calling = asyncio.create_task(call())
            assert await loop.run_in_executor(None, arrived.wait, PATIENCE)
            calling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await calling
            assert await loop.run_in_executor(None, server.wait_for_connections, 1)

        caller.run(main())
        assert len(server.requests) == 1
        assert operation.good(operation.perform(caller, tmp_path), tmp_path)
        assert caller.noise == []


def _reading(caller: Caller, stream: Any) -> Any:
    """Begin to read a stream in a thread or task of its own, and return a function that returns what it read."""
    if caller.mode == "blocking":
        came: list[Any] = []
        reader = begun(lambda: came.extend(stream))
        until(lambda: stream._source._reading is not None)

        def result() -> list[Any]:
            reader.join(PATIENCE)
            assert not reader.is_alive()
            return came

        return result

    async def read() -> list[Any]:
        return [chunk async for chunk in stream]

    async def begin() -> asyncio.Task[list[Any]]:
        task = asyncio.create_task(read())
        while stream._source._reading is None:
            await asyncio.sleep(0)
        return task

    task = caller.run(begin())
    return lambda: caller.run(asyncio.wait_for(task, PATIENCE))


@pytest.mark.parametrize("first", ["to send", "to read"])
@pytest.mark.parametrize("mode", MODES)
def test_one_at_a_time_reads_a_stream(mode: Mode, first: str) -> None:
    (operation,) = named("stream")
    dialect = operation.dialect
    assert dialect is not None
    go_on = threading.Event()

    def act(peer: Peer, _: Received) -> None:
        peer.send(chunked(dialect.all[:1], whole=False))
        assert go_on.wait(PATIENCE)
        peer.send(chunked(dialect.all[1:]).partition(b"\r\n\r\n")[2])

    with Server() as server, Caller(mode, server.options) as caller:
        server.script.append(act)
        stream = caller.method("stream")("x")
        before = [caller.next(stream)] if first == "to read" else []
        result = _reading(caller, stream)
        with pytest.raises(GigaChatException, match="already being read by another thread or task"):
            caller.next(stream)
        go_on.set()
        assert [chunk.choices[0].delta.content for chunk in before + result()] == ["При", "вет", ""]
        assert len(server.requests) == 1


@pytest.mark.parametrize("mode", MODES)
def test_a_stream_closed_before_its_answer_comes_gives_nothing(mode: Mode) -> None:
    (operation,) = named("stream")
    arrived, go_on = threading.Event(), threading.Event()

    def act(peer: Peer, _: Received) -> None:
        arrived.set()
        assert go_on.wait(PATIENCE)
        peer.send(operation.good_answer)
        peer.stay_silent()

    with Server(operation.good_answer) as server, Caller(mode, server.options | ONE_CONNECTION) as caller:
        server.script.append(act)
        stream = caller.method("stream")("x")
        result = _reading(caller, stream)
        if mode == "blocking":
            assert arrived.wait(PATIENCE)
            stream.close()
        else:
            caller.run(asyncio.to_thread(arrived.wait, PATIENCE))
            caller.run(stream.close())
        go_on.set()
        assert result() == []
        caller.read("x")  # the slot and the connection are free again


@pytest.mark.parametrize("kind", [GigaChat, AsyncGigaChat])
def test_streams_left_at_the_end_of_a_loop_leave_no_noise(kind: type[Any], recwarn: pytest.WarningsRecorder) -> None:
    (operation,) = named("stream")
    noise: list[Any] = []
    with Server() as server:
        server.for_ever = _never_ending(operation)
        clients: list[Any] = [kind(**server.options, share_token=False)]
        kept: list[Any] = []

        async def main() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda _, context: noise.append(context))
            method = clients[0].astream if kind is GigaChat else clients[0].stream
            for number in range(6):
                stream = method("x")
                await anext(stream)
                if number % 2:
                    kept.append(stream)
            with suppress(Left):
                async for _ in method("x"):
                    raise Left

        asyncio.run(main())
        kept.clear()
        gc.collect()
        assert server.wait_for_connections(0)
        clients.clear()
        gc.collect()
    assert noise == []
    messages = {str(warning.message) for warning in recwarn}
    assert messages == {"an async stream was left open: read it to its end, or open it with `async with`"}


def test_a_blocking_stream_goes_from_loop_to_loop_and_outlives_them() -> None:
    (operation,) = named("stream")
    dialect = operation.dialect
    assert dialect is not None
    steps = [threading.Event() for _ in dialect.all]

    def act(peer: Peer, _: Received) -> None:
        peer.send(chunked([], whole=False))
        for event, step in zip(dialect.all, steps, strict=True):
            assert step.wait(PATIENCE)
            peer.send(chunked([event], whole=False).partition(b"\r\n\r\n")[2])

    with Server() as server, GigaChat(**server.options, share_token=False) as giga:
        server.for_ever = act
        stream = giga.stream("x")
        texts = []

        async def cell(step: threading.Event) -> None:
            step.set()
            await asyncio.sleep(0)
            texts.append(next(stream).choices[0].delta.content)

        asyncio.run(cell(steps[0]))
        asyncio.run(cell(steps[1]))
        for step in steps[2:]:
            step.set()
        texts.extend(chunk.choices[0].delta.content for chunk in stream)
        assert texts == ["При", "вет", ""]


@pytest.mark.parametrize("mode", MODES)
def test_many_streams_read_in_turn_do_not_mix(mode: Mode) -> None:
    (operation,) = named("stream")
    dialect = operation.dialect
    assert dialect is not None

    def echo(peer: Peer, request: Received) -> None:
        said = request.json["messages"][0]["content"].encode()
        peer.send(chunked([event.replace("При".encode(), said) for event in dialect.all]))

    with Server() as server, Caller(mode, server.options) as caller:
        server.for_ever = echo
        names = [f"stream-{number}" for number in range(12)]

        def blocking() -> list[str]:
            streams = [caller.giga.stream(name) for name in names]
            firsts = [next(stream).choices[0].delta.content for stream in streams]
            assert all(len(list(stream)) == 2 for stream in reversed(streams))
            return firsts

        async def awaited() -> list[str]:
            streams = [caller.method("stream")(name) for name in names]
            firsts = await asyncio.gather(*map(anext, streams))
            for stream in reversed(streams):
                assert len([chunk async for chunk in stream]) == 2
            return [first.choices[0].delta.content for first in firsts]

        assert (blocking() if mode == "blocking" else caller.run(awaited())) == names
