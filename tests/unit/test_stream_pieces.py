"""Streams whose events come together in one piece of the body: order, errors, ends, what is counted and kept."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from typing import Any, cast
from weakref import ref

import pytest
from pydantic_core import SchemaValidator

from gigachat import (
    APIResponseValidationError,
    ChatCompletionChunk,
    GenerationError,
    GigaChatException,
    RateLimitError,
    StreamInterruptedError,
)
from gigachat.models import MessagesRole, PrimaryChatCompletionChunk
from tests.support.payloads import DONE, sse
from tests.support.programs import LEFT_OPEN
from tests.unit.world import Answer, World

USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "precached_prompt_tokens": 0}


def v1(text: str, finish: str | None = None, *, delta: dict[str, Any] | None = None, **more: Any) -> bytes:
    choice = {"delta": {"content": text, **(delta or {})}, "index": 0, **({"finish_reason": finish} if finish else {})}
    return sse({"choices": [choice], "created": 1, "model": "m:1", "object": "chat.completion", **more})


def v2(text: str, name: str = "response.message.delta", role: str = "assistant", **more: Any) -> bytes:
    message = {"role": role, "content": [{"text": text}]}
    body = {"model": "m:1", "created_at": 1, "messages": [message], **more}
    return f"event: {name}\n".encode() + sse(body)


DONE_V2 = b"event: response.message.done\n" + sse(
    {"model": "m:1", "created_at": 1, "finish_reason": "stop", "usage": {"input_tokens": 1, "output_tokens": 2}}
)


def many(number: int) -> list[bytes]:
    first, *more = [v1(f"{index} ") for index in range(number - 1)]
    first = v1("0 ", delta={"role": "assistant"})
    return [first, *more, v1("", "stop", usage=USAGE)]


def text_of(chunk: ChatCompletionChunk) -> str:
    return chunk.choices[0].delta.content or ""


def texts(chunks: list[Any]) -> list[str]:
    return list(map(text_of, chunks))


def opened(world: World, method: str = "stream") -> tuple[Any, Any]:
    giga = world.client()
    return giga, world.method(giga, method)("x")


def take(world: World, stream: Any, number: int) -> list[Any]:
    """Return the next chunks, and leave the loop over them."""
    came: list[Any] = []
    if world.mode == "blocking":
        for chunk in stream:
            came.append(chunk)
            if len(came) == number:
                break
        return came

    async def main() -> None:
        async for chunk in stream:
            came.append(chunk)
            if len(came) == number:
                break
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    return came


def done(world: World, result: Any) -> Any:
    return result if world.mode == "blocking" else asyncio.run(result)


@pytest.mark.parametrize("together", [1, 7, 1000])
def test_a_thousand_events_come_once_each_in_order(world: World, together: int) -> None:
    events = [*many(1000), DONE]
    pieces = [b"".join(events[start : start + together]) for start in range(0, len(events), together)]
    world.answers = [Answer(pieces=pieces)]
    giga, stream = opened(world)
    chunks = take(world, stream, 2000)
    assert texts(chunks) == [f"{index} " for index in range(999)] + [""]
    assert all(chunk.x_headers is not None for chunk in chunks)
    assert done(world, stream.get_final_text()) == "".join(f"{index} " for index in range(999))
    completion = done(world, stream.get_final_completion())
    assert completion.text == "".join(f"{index} " for index in range(999))
    assert (completion.choices[0].finish_reason, completion.usage.total_tokens) == ("stop", 3)
    assert (giga.usage.calls, giga.usage.output_tokens) == (1, 2)


BAD: list[tuple[bytes, type[Exception]]] = [
    (b"data: not json\n\n", APIResponseValidationError),
    (sse({"choices": 5}), APIResponseValidationError),
    (sse({"status": 429, "message": "Too many requests"}), RateLimitError),
    (b"event: error\n" + sse({"status": 429, "message": "Too many requests"}), RateLimitError),
    (v1("x", "error"), GenerationError),
    (b'data: {"choices": [\n\n', APIResponseValidationError),
]


@pytest.mark.parametrize("good", [0, 1, 3, 31, 32, 33, 100])
@pytest.mark.parametrize(("bad", "kind"), BAD)
def test_what_came_before_an_error_in_its_piece_is_delivered(
    world: World, good: int, bad: bytes, kind: type[Exception]
) -> None:
    world.answers = [Answer(pieces=[b"".join([*(v1(f"{index} ") for index in range(good)), bad, *many(50), DONE])])]
    came: list[Any] = []
    with pytest.raises(GigaChatException) as raised:
        world.read(world.client(), "x", into=came)
    assert type(raised.value) is kind
    assert texts(came) == [f"{index} " for index in range(good)] + (["x"] if kind is GenerationError else [])
    if kind is GenerationError:
        text = "".join(f"{index} " for index in range(good)) + "x"
        assert cast("GenerationError", raised.value).completion.choices[0].message.content == text


def test_two_halves_of_an_object_are_no_event(world: World) -> None:
    """They would be one in an array of all events."""
    pieces = [v1("a") + b'data: {"choices": [], "x": [1\n\n' + b"data: 2]}\n\n" + DONE]
    world.answers = [Answer(pieces=pieces)]
    came: list[Any] = []
    with pytest.raises(APIResponseValidationError, match="cannot be read as ChatCompletionChunk"):
        world.read(world.client(), "x", into=came)
    assert texts(came) == ["a"]


@pytest.mark.parametrize("good", [1, 31, 32, 100])
def test_nothing_behind_the_end_mark_is_delivered(world: World, good: int) -> None:
    answer = Answer(pieces=[b"".join([*(v1("a") for _ in range(good)), DONE, v1("b"), b"data: not json\n\n"])])
    world.answers = [answer]
    assert texts(world.read(world.client(), "x")) == ["a"] * good
    assert answer.state == "finished"


@pytest.mark.parametrize("good", [1, 31, 32, 100])
def test_nothing_behind_the_end_mark_of_a_chat_v2_is_delivered(world: World, good: int) -> None:
    answer = Answer(pieces=[b"".join([*(v2("a") for _ in range(good)), DONE_V2, v2("b"), b"data: not json\n\n"])])
    world.answers = [answer]
    giga, stream = opened(world, "chat.stream")
    chunks = take(world, stream, 2000)
    assert [chunk.text for chunk in chunks] == ["a"] * good + [""]
    assert [chunk.event for chunk in chunks] == ["response.message.delta"] * good + ["response.message.done"]
    assert answer.state == "finished"
    assert done(world, stream.get_final_text()) == done(world, stream.get_final_completion()).text == "a" * good
    assert giga.usage.output_tokens == 2


ODD: list[tuple[dict[str, Any], Callable[[ChatCompletionChunk], Any], Any]] = [
    ({"created": None}, lambda chunk: chunk.created, 0),
    ({"model": None}, lambda chunk: chunk.model, ""),
    ({"object": None}, lambda chunk: chunk.object_, "chat.completion"),
    ({"usage": None}, lambda chunk: chunk.usage, None),
    ({"new": 1}, lambda chunk: (chunk.model_extra or {}).get("new"), 1),
    ({"delta": {"role": None}}, lambda chunk: chunk.choices[0].delta.role, None),
    ({"delta": {"role": "critic"}}, lambda chunk: chunk.choices[0].delta.role, MessagesRole("critic")),
    ({"delta": {"content": None}}, lambda chunk: chunk.choices[0].delta.content, None),
    ({"delta": {"new": [1]}}, lambda chunk: (chunk.choices[0].delta.model_extra or {}).get("new"), [1]),
]


@pytest.mark.parametrize("place", [0, 1, 2, 40])
@pytest.mark.parametrize(("odd", "look", "value"), ODD)
def test_a_null_or_unknown_value_in_one_of_many_events(
    world: World, place: int, odd: dict[str, Any], look: Callable[[ChatCompletionChunk], Any], value: Any
) -> None:
    events = [v1(f"{index} ") for index in range(60)]
    events[place] = v1(f"{place} ", **odd)
    world.answers = [Answer(pieces=[b"".join([*events, v1("", "stop", usage=USAGE), DONE])])]
    _, stream = opened(world)
    chunks = take(world, stream, 100)
    assert len(chunks) == 61
    assert look(chunks[place]) == value
    text = "".join(map(text_of, chunks))
    assert text.count(" ") == (59 if odd == {"delta": {"content": None}} else 60)
    completion = done(world, stream.get_final_completion())
    assert done(world, stream.get_final_text()) == completion.text == text
    assert (completion.model, completion.created, completion.usage.total_tokens) == ("m:1", 1, 3)


def test_the_state_of_a_chunk_v2_has_one_name(world: World) -> None:
    stated = {"role": "assistant", "content": [{"text": "b"}], "tools_state_id": None, "tool_state_id": "s"}
    pieces = [b"".join([v2("a"), v2("a"), v2("", messages=[stated], functions_state_id="t"), v2("c"), DONE_V2])]
    world.answers = [Answer(pieces=pieces)]
    _, stream = opened(world, "chat.stream")
    chunks = cast("list[PrimaryChatCompletionChunk]", take(world, stream, 100))
    message = (chunks[2].messages or [])[0]
    assert (message.tools_state_id, message.model_extra, chunks[2].tools_state_id) == ("s", {}, "t")
    completion = done(world, stream.get_final_completion())
    assert (completion.text, completion.messages[0].tools_state_id) == ("aabc", "s")


def test_reasoning_and_text_that_take_turns_are_joined_apart(world: World) -> None:
    def delta(name: str, text: str) -> bytes:
        return sse({"choices": [{"delta": {name: text}, "index": 0}], "created": 1, "model": "m"})

    parts = [("reasoning_content", "r"), ("content", "c")] * 3 + [("reasoning_content", "R")] * 200
    events = [delta(name, text) for name, text in parts] + [delta("content", "C")] * 200
    world.answers = [Answer(pieces=[b"".join([*events, v1("", "stop"), DONE])])]
    _, stream = opened(world)
    message = done(world, stream.get_final_completion()).choices[0].message
    assert message.reasoning_content == "rrr" + "R" * 200
    assert message.content == done(world, stream.get_final_text()) == "ccc" + "C" * 200


def test_messages_of_several_authors_are_joined_apart(world: World) -> None:
    parts = [("reasoning", "r"), ("assistant", "a")] * 3 + [("reasoning", "R")] * 100 + [("assistant", "A")] * 100
    world.answers = [Answer(pieces=[b"".join([*(v2(text, role=role) for role, text in parts), DONE_V2])])]
    _, stream = opened(world, "chat.stream")
    completion = done(world, stream.get_final_completion())
    assert completion.reasoning_content == "rrr" + "R" * 100
    assert completion.text == done(world, stream.get_final_text()) == "aaa" + "A" * 100


def test_several_choices_that_take_turns_are_joined_apart(world: World) -> None:
    def choice(index: int, text: str) -> bytes:
        choice = {"delta": {"content": text}, "index": index, **({"finish_reason": "stop"} if not text else {})}
        return sse({"choices": [choice], "created": 1, "model": "m"})

    events = [choice(index % 2, "ab"[index % 2]) for index in range(300)] + [choice(0, ""), choice(1, "")]
    world.answers = [Answer(pieces=[b"".join([*events, DONE])])]
    _, stream = opened(world)
    completion = done(world, stream.get_final_completion())
    assert [choice.message.content for choice in completion.choices] == ["a" * 150, "b" * 150]
    assert done(world, stream.get_final_text()) == "a" * 150


@pytest.mark.filterwarnings(LEFT_OPEN)
@pytest.mark.parametrize("number", [1, 32, 33])
def test_a_loop_that_is_left_in_the_middle_of_a_piece_leaves_nothing_behind(world: World, number: int) -> None:
    answer = Answer(pieces=[b"".join([*many(1000), DONE])])
    world.answers = [answer]
    threads = threading.active_count()
    giga, stream = opened(world)
    chunks = take(world, stream, number)
    assert texts(chunks) == [f"{index} " for index in range(number)]
    done(world, stream.close())
    assert take(world, stream, 1) == []
    assert answer.state == "finished"  # its end mark has come
    assert threading.active_count() == threads
    kept = ref(stream)
    del stream
    gc.collect()
    assert kept() is None
    assert (giga.usage.calls, giga.usage.output_tokens, giga.usage.total.unknown) == (1, 2, 0)


@pytest.mark.filterwarnings(LEFT_OPEN)
def test_a_stream_that_is_dropped_in_the_middle_of_a_piece_is_counted(world: World) -> None:
    answer = Answer(pieces=[b"".join([*many(1000), DONE])])
    world.answers = [answer]
    giga, stream = opened(world)
    take(world, stream, 1)
    del stream
    gc.collect()
    assert answer.state == "abandoned"
    assert (giga.usage.calls, giga.usage.output_tokens, giga.usage.total.unknown) == (1, 2, 0)


def test_a_stream_that_is_closed_before_its_usage_has_come_is_a_call_of_unknown_tokens(world: World) -> None:
    world.answers = [Answer(pieces=[b"".join(many(100)[:-1]), DONE])]
    giga, stream = opened(world)
    take(world, stream, 1)
    done(world, stream.close())
    assert (giga.usage.calls, giga.usage.output_tokens, giga.usage.total.unknown) == (1, 0, 1)
    with pytest.raises(StreamInterruptedError, match="was closed"):
        done(world, stream.get_final_text())


@pytest.mark.parametrize("bad", [b"data: not json\n\n", v1("x", "error")])
def test_an_error_that_nobody_came_to_is_not_raised_after_close(world: World, bad: bytes) -> None:
    world.answers = [Answer(pieces=[b"".join([*many(100)[:-1], bad])])]
    _, stream = opened(world)
    take(world, stream, 1)
    done(world, stream.close())
    assert take(world, stream, 1) == []


def test_each_event_is_parsed_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[bytes] = []
    ChatCompletionChunk.model_rebuild()
    validator: Any = ChatCompletionChunk.__pydantic_validator__

    class Counting:
        def validate_json(self, data: bytes) -> Any:
            counted.append(data)
            return validator.validate_json(data)

    assert isinstance(validator, SchemaValidator)
    monkeypatch.setattr(ChatCompletionChunk, "__pydantic_validator__", Counting())
    world.answers = [Answer(pieces=[b"".join([*many(100), DONE])])]
    _, stream = opened(world)
    assert len(take(world, stream, 1000)) == 100
    done(world, stream.get_final_text())
    done(world, stream.get_final_completion())
    assert len(counted) == 101
    assert counted.pop() == b"[DONE]"


def test_a_stream_is_open_until_what_came_with_its_end_is_delivered(world: World) -> None:
    """Whether events come together is a matter of luck."""
    answer = Answer(pieces=[b"".join([*many(3), DONE])])
    world.answers = [answer]
    _, stream = opened(world)
    for _ in range(3):
        assert len(take(world, stream, 1)) == 1
        assert answer.state == "open"
    assert take(world, stream, 1) == []
    assert answer.state == "finished"


CHANGES: list[Callable[[Any], object]] = [
    lambda part: setattr(part, "content", None),
    lambda part: setattr(part, "content", 5),
    lambda part: setattr(part, "role", "user"),
    lambda part: part.__dict__.clear(),
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("method", ["stream", "chat.stream"])
def test_chunks_that_the_caller_changes_do_not_change_the_completion(
    world: World, method: str, change: Callable[[Any], object]
) -> None:
    v1_events = [*many(5), DONE]
    world.answers = [
        Answer(pieces=v1_events if method == "stream" else [*(v2(f"{index} ") for index in range(4)), DONE_V2])
    ]
    _, stream = opened(world, method)
    while chunks := take(world, stream, 1):
        for part in (chunks[0].choices if method == "stream" else chunks[0].messages) or ():
            change(part.delta if method == "stream" else part)
    completion = done(world, stream.get_final_completion())
    assert completion.text == done(world, stream.get_final_text()) == "0 1 2 3 "


def test_chunks_that_the_caller_empties_do_not_change_the_completion(world: World) -> None:
    world.answers = [Answer(pieces=[*many(5), DONE])]
    _, stream = opened(world)
    while chunks := take(world, stream, 1):
        chunks[0].choices.clear()
    assert done(world, stream.get_final_completion()).text == "0 1 2 3 "


def test_fields_that_the_caller_sets_are_not_expected_of_later_chunks(world: World) -> None:
    """A gateway may set those that others of its answers have."""
    world.answers = [Answer(pieces=[*many(5), DONE])]
    giga, stream = opened(world)
    while chunks := take(world, stream, 1):
        chunks[0].usage = None
        chunks[0].choices[0].finish_reason = None
        chunks[0].choices[0].delta.role = None
    completion = done(world, stream.get_final_completion())
    assert (completion.text, completion.choices[0].finish_reason) == ("0 1 2 3 ", "stop")
    assert (completion.usage.total_tokens, giga.usage.output_tokens) == (3, 2)


def test_fields_that_the_caller_sets_are_not_expected_of_later_chunks_v2(world: World) -> None:
    pieces = [v2("a"), v2("b"), v2("c", finish_reason="stop", usage={"input_tokens": 1, "output_tokens": 2}), DONE]
    world.answers = [Answer(pieces=pieces)]
    _, stream = opened(world, "chat.stream")
    while chunks := take(world, stream, 1):
        chunks[0].usage = chunks[0].finish_reason = None
    completion = done(world, stream.get_final_completion())
    assert (completion.text, completion.finish_reason, completion.usage.output_tokens) == ("abc", "stop", 2)


@pytest.mark.parametrize("pieces", [[v1("a"), DONE + v1("b" * 1000)], [v1("a") + DONE + v1("b" * 1000)]])
def test_what_is_behind_the_end_mark_has_no_bound(world: World, pieces: list[bytes]) -> None:
    world.answers = [Answer(pieces=pieces)]
    assert texts(world.read(world.client(max_response_bytes=500), "x")) == ["a"]
