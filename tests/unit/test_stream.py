"""Streams: what arrives, how they end, what they free."""

from __future__ import annotations

import asyncio
import copy
import gc
import json
import pickle
import time
import warnings
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import Any
from weakref import ref

import pytest

from gigachat import (
    APIConnectionError,
    APIResponseValidationError,
    ChatCompletionChunk,
    GigaChatException,
    RateLimitError,
    ResponseError,
    ServerError,
    StreamInterruptedError,
)
from gigachat._engine.event_stream import _Reading
from gigachat._engine.transport import Failure, Stage
from tests.support.payloads import DONE, sse
from tests.support.programs import LEFT_OPEN
from tests.unit.world import Answer, World, error, finish, lost


def event(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    choice: dict[str, Any] = {"delta": delta, "index": 0}
    if finish:
        choice["finish_reason"] = finish
    body = {"choices": [choice], "created": 1, "model": "m", "object": "chat.completion", **more}
    return sse(body)


USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "precached_prompt_tokens": 0}
FIRST = event({"role": "assistant", "content": "При"})
SECOND = event({"content": "вет"})
LAST = event({"content": ""}, "stop", usage=USAGE)


def texts(chunks: list[ChatCompletionChunk]) -> list[str | None]:
    return [chunk.choices[0].delta.content for chunk in chunks]


def test_chunks_come_once_each_and_the_end_mark_ends(world: World) -> None:
    answer = Answer(pieces=[FIRST + SECOND, LAST, DONE, FIRST])
    world.answers = [answer]
    assert texts(world.read(world.client(), "x")) == ["При", "вет", ""]
    assert answer.state == "finished"  # so that the connection can be kept
    (request,) = world.api_requests
    assert json.loads(request.content or b"")["stream"] is True
    assert request.headers["Accept"] == "text/event-stream"
    assert request.headers["Cache-Control"] == "no-store"


@pytest.mark.filterwarnings(LEFT_OPEN)
def test_the_request_goes_out_with_the_first_chunk_asked_for(world: World) -> None:
    giga = world.client()
    world.answers = [Answer(pieces=[FIRST, DONE])]
    stream: Any = giga.stream("x") if world.mode == "blocking" else giga.astream("x")
    assert world.requests == []
    if world.mode == "blocking":
        next(stream)
    else:
        asyncio.run(anext(stream))
    assert len(world.api_requests) == 1


def test_entering_sends_the_request_and_leaving_frees_the_connection(world: World) -> None:
    giga = world.client()
    answer = Answer(pieces=[FIRST, SECOND])
    world.answers = [answer]
    if world.mode == "blocking":
        with giga.stream("x") as stream:
            assert len(world.api_requests) == 1
            next(stream)
        assert list(stream) == []
    else:

        async def main() -> None:
            async with giga.astream("x") as stream:
                assert len(world.api_requests) == 1
                await anext(stream)
            assert [chunk async for chunk in stream] == []

        asyncio.run(main())
    assert answer.state == "closed"


def test_entering_a_stream_that_is_refused_frees_its_slot(world: World) -> None:
    giga = world.client(max_concurrency=1, max_retries=0)
    world.answers = [error(429, "Too many requests")]

    def enter() -> None:
        with giga.stream("x"):
            raise AssertionError("it was entered")

    async def aenter() -> None:
        async with giga.astream("x"):
            raise AssertionError("it was entered")

    with pytest.raises(RateLimitError):
        enter() if world.mode == "blocking" else asyncio.run(aenter())
    assert world.chat(giga, "x").choices[0].message.content == "Hello."


def test_a_stream_cut_after_three_chunks_gives_them_once_and_raises(world: World) -> None:
    world.answers = [Answer(pieces=[FIRST, SECOND, SECOND, lost(Stage.READING)])]
    came: list[Any] = []
    with pytest.raises(StreamInterruptedError, match="lost while reading") as raised:
        world.read(world.client(), "x", into=came)
    assert texts(came) == ["При", "вет", "вет"]
    assert isinstance(raised.value, ConnectionError)
    assert len(world.api_requests) == 1


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([FIRST, LAST], ["При", ""]),  # a clean end after a finish reason
        ([FIRST, LAST.removesuffix(b"\n\n")], ["При", ""]),
        ([FIRST, LAST, b"data: [DONE]"], ["При", ""]),
        ([FIRST, LAST, b": comment\n\nevent: ping\n\n", DONE], ["При", ""]),
        ([b"\xef\xbb\xbf" + FIRST, LAST], ["При", ""]),
        ([event({"content": "a\u2028b\u2029c\u0085d"}, "stop")], ["a\u2028b\u2029c\u0085d"]),
        ([FIRST.replace(b"\n", b"\r\n"), LAST.replace(b"\n", b"\r"), DONE], ["При", ""]),
    ],
)
def test_good_ends(world: World, pieces: list[bytes], expected: list[str]) -> None:
    world.answers = [Answer(pieces=pieces)]
    assert texts(world.read(world.client(), "x")) == expected


@pytest.mark.parametrize("pieces", [[], [FIRST], [FIRST, SECOND[:-9]], [FIRST, b"data: {"], [b": only a comment\n\n"]])
def test_an_end_without_an_end_mark_is_an_interruption(world: World, pieces: list[bytes | Failure]) -> None:
    answer = Answer(pieces=pieces)
    world.answers = [answer]
    came: list[Any] = []
    with pytest.raises(StreamInterruptedError):
        world.read(world.client(), "x", into=came)
    assert texts(came) == (["При"] if FIRST in pieces else [])
    assert answer.state == "closed"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b'data: {"status":429,"message":"Too many requests"}\n\n', RateLimitError),
        (b'event: error\ndata: {"status":500,"message":"x"}\n\n', ServerError),
        (b'event: error\ndata: {"message":"x"}\n\n', ServerError),
        (b'data: {"error":{"code":503,"message":"x"}}\n\n', ServerError),
        (b'data: {"message":"x"}\n\n', ResponseError),
        (b'data: {"unknown":1}\n\n', APIResponseValidationError),
        (b"event: error\ndata: oh no\n\n", APIResponseValidationError),
        (b"data: not json\n\n", APIResponseValidationError),
        (b"data: \xff\n\n", APIResponseValidationError),
    ],
)
@pytest.mark.parametrize("together", [True, False])
def test_an_error_inside_a_stream_is_raised_behind_what_came(
    world: World, data: bytes, kind: type[Exception], together: bool
) -> None:
    answer = Answer(pieces=[FIRST + data] if together else [FIRST, data])
    world.answers = [answer]
    came: list[Any] = []
    with pytest.raises(kind):
        world.read(world.client(), "x", into=came)
    assert texts(came) == ["При"]
    assert answer.state == "closed"


def test_a_stream_is_opened_again_only_before_its_first_byte(world: World) -> None:
    world.answers = [error(503), lost(Stage.CONNECTING), Answer(pieces=[FIRST, DONE])]
    assert texts(world.read(world.client(), "x")) == ["При"]
    assert len(world.api_requests) == 3
    world.answers = [lost(Stage.WAITING)]
    with pytest.raises(ConnectionError):
        world.read(world.client(), "x")
    assert len(world.api_requests) == 4


@pytest.mark.parametrize("content_type", ["Text/Event-Stream ; charset=UTF-8", "text/plain", ""])
def test_the_content_type_is_compared_loosely(world: World, content_type: str) -> None:
    world.answers = [Answer(pieces=[FIRST, DONE], headers={"Content-Type": content_type})]
    assert texts(world.read(world.client(), "x")) == ["При"]


@pytest.mark.parametrize(
    ("body", "content_type", "kind"),
    [
        (b'{"status":429,"message":"Too many requests"}', "application/json; charset=utf-8", RateLimitError),
        (b"<html>", "text/html", APIResponseValidationError),
        (b"{}", "application/json", APIResponseValidationError),
    ],
)
def test_an_answer_that_is_no_stream_is_refused(
    world: World, body: bytes, content_type: str, kind: type[Exception]
) -> None:
    answer = Answer(body, headers={"Content-Type": content_type})
    world.answers = [answer]
    with pytest.raises(kind):
        world.read(world.client(), "x")
    assert answer.state == "closed"


def test_an_answer_that_is_no_stream_and_breaks_off(world: World) -> None:
    answer = Answer(headers={"Content-Type": "application/json"}, pieces=[b'{"status"', lost(Stage.READING)])
    world.answers = [answer]
    with pytest.raises(APIConnectionError, match="lost while reading"):
        world.read(world.client(), "x")
    assert answer.state == "closed"


def test_a_revoked_token_is_renewed_before_the_stream_begins(world: World) -> None:
    giga = world.client()
    world.answers = [error(401), Answer(pieces=[FIRST, DONE])]
    assert texts(world.read(giga, "x")) == ["При"]
    assert len(world.sign_in_requests) == 2


def test_the_whole_is_put_together(world: World) -> None:
    call = {"name": "weather", "arguments": {"city": "Псков"}}
    pieces = [
        event({"role": "function_in_progress", "content": "5 s left", "name": "text2image"}),
        event({"role": "assistant", "reasoning_content": "Hm"}),
        event({"reasoning_content": "m."}),
        FIRST,
        SECOND,
        event(
            {"content": "", "function_call": call, "functions_state_id": "id"}, "function_call", usage=USAGE, extra=1
        ),
        DONE,
    ]
    giga = world.client()
    world.answers = [Answer(pieces=list(pieces)) for _ in range(2)]

    async def awaited(stream: Any, method: str) -> Any:
        return await getattr(stream, method)()

    def final(method: str) -> Any:
        if world.mode == "blocking":
            return getattr(giga.stream("x"), method)()
        return asyncio.run(awaited(giga.astream("x"), method))

    completion = final("get_final_completion")
    message = completion.choices[0].message
    assert message.content == "Привет"
    assert message.reasoning_content == "Hmm."
    assert message.role == "assistant"
    assert message.function_call.arguments == {"city": "Псков"}
    assert message.functions_state_id == "id"
    assert completion.choices[0].finish_reason == "function_call"
    assert completion.usage.total_tokens == 3
    assert (completion.model, completion.created, completion.extra) == ("m", 1, 1)
    assert final("get_final_text") == "Привет"


def test_text_alone(world: World) -> None:
    giga = world.client()
    world.answers = [Answer(pieces=[FIRST + SECOND + LAST + DONE])]
    if world.mode == "blocking":
        assert list(giga.stream("x").text_stream) == ["При", "вет"]
    else:

        async def main() -> list[str]:
            return [text async for text in giga.astream("x").text_stream]

        assert asyncio.run(main()) == ["При", "вет"]


@pytest.mark.filterwarnings(LEFT_OPEN)
def test_a_forgotten_stream_frees_its_connection(world: World) -> None:
    giga = world.client(max_concurrency=1)
    answer = Answer(pieces=[FIRST, SECOND])
    world.answers = [answer]
    if world.mode == "blocking":
        for _ in giga.stream("x"):
            break
    else:

        async def main() -> None:
            async for _ in giga.astream("x"):
                break

        asyncio.run(main())
    gc.collect()
    assert answer.state == "abandoned"
    world.chat(giga, "x")  # its slot is free as well


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_stream_cannot_be_copied(world: World, duplicate: Callable[[Any], Any]) -> None:
    answer = Answer(pieces=[FIRST, SECOND, LAST, DONE])
    world.answers = [answer]
    giga = world.client()
    stream = giga.stream("x") if world.mode == "blocking" else giga.astream("x")
    with pytest.raises(TypeError, match=r"^a stream cannot be copied or pickled"):
        duplicate(stream)
    gc.collect()  # nothing half made is left, whose finalizer would fail or close the connection


def test_an_async_stream_left_open_warns_and_no_other_does() -> None:
    async def leave(stream: Any) -> None:
        async for _ in stream:
            break

    async def read(stream: Any) -> None:
        async for _ in stream:
            pass

    async def close(stream: Any) -> None:
        async with stream:
            await anext(stream)

    for act, warned in [(leave, True), (read, False), (close, False)]:
        world = World("async")
        world.answers = [Answer(pieces=[FIRST, SECOND, DONE])]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            asyncio.run(act(world.client().astream("x")))
            gc.collect()
        assert [(each.category, str(each.message)[:33]) for each in caught] == warned * [
            (ResourceWarning, "an async stream was left open: re")
        ]


@pytest.mark.parametrize("name", ["content", "text", "logprobs", "reasoning_content"])
@pytest.mark.parametrize("values", [("a", ["b"]), (["a"], "b"), ({"a": 1}, 5), (5, 6), ("a", 5)], ids=str)
@pytest.mark.parametrize("api", ["v1", "v2"])
def test_fields_that_change_their_type_are_replaced(name: str, values: tuple[Any, Any], api: str) -> None:
    world = World("blocking")
    world.answers = [
        Answer(pieces=[*(sse({"choices": [], "messages": [], "x": {}, name: one}) for one in values), DONE])
    ]
    giga = world.client()
    stream: Any = giga.stream("x") if api == "v1" else giga.chat.stream("x")
    known = api == "v2" and name == "logprobs"
    with pytest.raises(GigaChatException) if known else nullcontext():
        completion = stream.get_final_completion()
        assert completion.model_extra[name] == values[1]


@pytest.mark.parametrize("message", [5, {"role": "assistant", "content": "other"}])
def test_a_message_beside_the_delta_does_not_take_its_place(message: Any) -> None:
    world = World("blocking")
    choice = {"index": 0, "delta": {"content": "text"}, "message": message, "finish_reason": "stop"}
    world.answers = [Answer(pieces=[sse({"choices": [choice]}), DONE])]
    assert world.client().stream("x").get_final_completion().text == "text"


SOURCES = {"sources": {"{}": {"url": "https://{}.example/"}}, "images": ["{}"]}


def test_inline_data_of_chunks_is_joined() -> None:
    world = World("blocking")
    parts = [
        {"sources": {"1": {}}, "images": [1], "a": 1},
        {"images": [2], "a": "b"},
        {"sources": {"2": {}}, "images": [3]},
    ]
    chunks = [{"choices": [{"index": 0, "delta": {"content": "a", "inline_data": part}}]} for part in parts]
    world.answers = [Answer(pieces=[*map(sse, chunks), DONE])]
    stream = world.client().stream("x")
    for _ in range(2):
        message = stream.get_final_completion().choices[0].message
        assert message.inline_data == {"sources": {"1": {}, "2": {}}, "images": [1, 2, 3], "a": "b"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "data",
    [
        {"choices": [{"index": 0, "delta": {"content": "0123456789", "logprobs": [{"token": "x"}]}}]},
        {"messages": [{"role": "assistant", "content": [{"text": "0123456789"}]}]},
        {"messages": [{"role": "assistant", "message_id": "{}", "content": [{"text": "0123456789"}]}]},
        {"choices": [{"index": 0, "delta": {"content": "0123456789", "inline_data": SOURCES}}]},
        {"messages": [{"role": "assistant", "content": [{"text": "0123456789"}], "inline_data": SOURCES}]},
    ],
    ids=["v1", "v2", "v2, a message each", "v1 with sources", "v2 with sources"],
)
def test_chunks_are_joined_in_linear_time(data: dict[str, Any]) -> None:
    many = 60_000
    text = json.dumps(data)
    world = World("blocking")
    world.answers = [Answer(pieces=[*(sse(json.loads(text.replace("{}", str(n)))) for n in range(many)), DONE])]
    giga = world.client()
    stream: Any = giga.stream("x") if "choices" in data else giga.chat.stream("x")
    for _ in stream:
        pass
    begun = time.process_time()
    assert len(stream.get_final_text()) == 10 * many
    completion = stream.get_final_completion()
    assert time.process_time() - begun < 30
    assert len(completion.text) == 10 * many


def test_a_cancelled_stream_frees_its_connection() -> None:
    world = World("async")
    giga = world.client(max_concurrency=1)
    answer = Answer(pieces=[FIRST, SECOND])
    world.answers = [answer]

    async def main() -> None:
        stream = giga.astream("x")
        await anext(stream)
        task = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert answer.state == "closed"
        await giga.achat("x")

    asyncio.run(main())


def test_a_blocking_stream_works_inside_a_running_loop() -> None:
    world = World("blocking")
    giga = world.client()
    world.answers = [Answer(pieces=[FIRST, SECOND, LAST, DONE])]
    stream = giga.stream("x")

    async def cell() -> None:
        next(stream)  # as in a notebook: the loop must not adopt the stream

    asyncio.run(cell())
    assert texts(list(stream)) == ["вет", ""]


# When it is over, and who reads it.


def opened(world: World, **options: Any) -> Any:
    giga = world.client(**options)
    return giga.stream("x") if world.mode == "blocking" else giga.astream("x")


def read_on(world: World, stream: Any) -> list[Any]:
    if world.mode == "blocking":
        return list(stream)

    async def main() -> list[Any]:
        return [chunk async for chunk in stream]

    return asyncio.run(main())


@pytest.mark.parametrize(
    "pieces",
    [
        [FIRST, DONE],
        [FIRST, LAST],
        [FIRST],
        [],
        [FIRST, lost(Stage.READING)],
        [FIRST, b'data: {"status":429,"message":"Too many requests"}\n\n'],
        [FIRST + b"data: not json\n\n"],
    ],
)
def test_a_stream_that_is_over_sends_no_second_request(world: World, pieces: list[Any]) -> None:
    world.answers = [Answer(pieces=pieces), Answer(pieces=[FIRST, DONE])]
    stream = opened(world)
    with suppress(GigaChatException):
        read_on(world, stream)
    for _ in range(2):
        assert read_on(world, stream) == []
    assert len(world.api_requests) == 1


def test_fields_beside_the_text_are_put_together(world: World) -> None:
    one, other = ({"token": name} for name in "ab")
    world.answers = [
        Answer(
            pieces=[
                event({"content": "a", "logprobs": [one], "inline_data": {"images": [1], "sources": {"1": {}}}}),
                event({"content": "b", "logprobs": [other], "inline_data": {"images": [2], "sources": {"2": {}}}}),
                event({"function_call": {"id": "c1", "name": "f", "arguments": {}}}),
                event({"content": ""}, "stop", additional_data={"steps": 1}, thread_id="t", message_id="m"),
                DONE,
            ]
        )
    ]
    completion = final(world, world.method(world.client(), "stream")("x"), "completion")
    message = completion.choices[0].message
    assert message.logprobs == [one, other]
    assert message.inline_data == {"images": [1, 2], "sources": {"1": {}, "2": {}}}
    assert message.function_call.id_ == "c1"
    assert (completion.additional_data, completion.thread_id, completion.message_id) == ({"steps": 1}, "t", "m")


def final(world: World, stream: Any, what: str = "text") -> Any:
    whole = getattr(stream, f"get_final_{what}")()
    return whole if world.mode == "blocking" else asyncio.run(whole)


@pytest.mark.parametrize("what", ["text", "completion"])
@pytest.mark.parametrize("pieces", [[FIRST], [], [FIRST, lost(Stage.READING)], [FIRST + b"data: not json\n\n"]])
def test_a_stream_that_failed_is_never_whole(world: World, pieces: list[Any], what: str) -> None:
    world.answers = [Answer(pieces=pieces)]
    stream = opened(world)
    with pytest.raises(GigaChatException):
        read_on(world, stream)
    with pytest.raises(StreamInterruptedError, match="failed, or was closed, before its end"):
        final(world, stream, what)


def close(world: World, stream: Any) -> None:
    closing = stream.close()
    if world.mode == "async":
        asyncio.run(closing)


def test_a_stream_closed_before_its_end_is_not_whole(world: World) -> None:
    world.answers = [Answer(pieces=[FIRST, LAST, DONE])]
    stream = opened(world)
    if world.mode == "blocking":
        next(stream)
    else:
        asyncio.run(anext(stream))
    close(world, stream)
    with pytest.raises(StreamInterruptedError, match="was closed"):
        final(world, stream)


def test_a_stream_closed_behind_its_end_is_whole(world: World) -> None:
    world.answers = [Answer(pieces=[FIRST + SECOND + LAST + DONE])]
    stream = opened(world)
    if world.mode == "blocking":
        next(stream)
    else:
        asyncio.run(anext(stream))
    close(world, stream)
    assert final(world, stream) == "Привет"
    assert final(world, stream, "completion").choices[0].message.content == "Привет"


def test_a_stream_keeps_no_more_than_a_response_may_have(world: World) -> None:
    world.answers = [Answer(pieces=[FIRST] * 100)]
    came: list[Any] = []
    with pytest.raises(APIResponseValidationError, match=r"the stream is longer than max_response_bytes=1000$"):
        world.read(world.client(max_response_bytes=1000), "x", into=came)
    assert len(came) == 1000 // (len(FIRST) - len(b"data: \n\n"))


@pytest.mark.parametrize("answer", [error(403), Answer(b"<html>", headers={"Content-Type": "text/html"})])
def test_a_stream_that_was_refused_sends_no_second_request(world: World, answer: Answer) -> None:
    world.answers = [answer, Answer(pieces=[FIRST, DONE])]
    stream = opened(world)
    with pytest.raises(GigaChatException):
        read_on(world, stream)
    assert read_on(world, stream) == []
    assert len(world.api_requests) == 1


def test_one_reads_at_a_time() -> None:
    world = World("async")
    world.answers = [Answer(pieces=[FIRST, SECOND, DONE])]
    stream = opened(world, access_token="t")
    first = anext(stream)
    first.send(None)
    with pytest.raises(GigaChatException, match="already being read by another thread or task"):
        asyncio.run(anext(stream))
    assert texts([finish(first)]) == ["При"]
    assert texts(read_on(world, stream)) == ["вет"]


def test_a_reader_that_is_dropped_closes_the_stream() -> None:
    world = World("async")
    answer = Answer(pieces=[FIRST, SECOND, DONE])
    world.answers = [answer]
    stream = opened(world, access_token="t")
    assert texts([asyncio.run(anext(stream))]) == ["При"]
    reader = anext(stream)
    reader.send(None)
    del reader
    assert answer.state == "closed"
    assert read_on(world, stream) == []


def test_a_reader_that_left_without_a_word_keeps_nobody_out(world: World) -> None:
    """As by an exception of a signal handler between two instructions, where no `finally` is passed."""
    world.answers = [Answer(pieces=[FIRST, DONE])]
    stream = opened(world)
    reading = _Reading()
    stream._source._reading = ref(reading)
    with pytest.raises(GigaChatException, match="already being read"):
        read_on(world, stream)
    del reading
    assert texts(read_on(world, stream)) == ["При"]


def test_closing_a_stream_that_is_read_ends_its_reader() -> None:
    world = World("async")
    answer = Answer(pieces=[FIRST, SECOND, DONE])
    world.answers = [answer]
    stream = opened(world, access_token="t")
    asyncio.run(anext(stream))
    reader = anext(stream)
    reader.send(None)
    asyncio.run(stream.close())
    assert answer.state == "interrupted"  # which makes its reader close it
    with pytest.raises(StopAsyncIteration):
        finish(reader)
    assert answer.state == "closed"


def test_an_interruption_has_the_cause_of_the_failure(world: World) -> None:
    failure = lost(Stage.READING)
    failure.error.cause = OSError("reset by peer")  # type: ignore[attr-defined]
    world.answers = [Answer(pieces=[FIRST, failure])]
    with pytest.raises(StreamInterruptedError) as raised:
        world.read(world.client(), "x")
    assert str(raised.value.cause) == "reset by peer"
    assert raised.value.__cause__ is None
