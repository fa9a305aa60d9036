"""Threads: each call in both modes, by the names and places of the arguments of 0.2; streams and their whole."""

from __future__ import annotations

import asyncio
import inspect
from contextlib import nullcontext
from typing import Any

import pytest

from gigachat import AsyncStream, Observer, Stream, models
from gigachat._engine.transport import Stage
from gigachat.exceptions import (
    APIConnectionError,
    APIResponseValidationError,
    NotFoundError,
    StreamInterruptedError,
)
from gigachat.observers import ObservedCall
from gigachat.threads import ThreadsAsyncClient, ThreadsSyncClient
from gigachat.usage import TokenCounts
from tests.support.callers import whole
from tests.support.payloads import DONE, sse
from tests.unit.namespaces import ask, body, path, plainly
from tests.unit.world import Answer, World, error, lost

THREAD = {
    "id": "t1",
    "assistant_id": "a1",
    "model": "GigaChat-2",
    "created_at": 1715684019,
    "updated_at": 1715684020,
    "run_lock": False,
    "status": "ready",
}
MESSAGE = {
    "message_id": "m1",
    "role": "user",
    "content": "Какой окрас кота?",
    "attachments": [{"file_id": "f1", "name": "cat.jpeg"}],
    "created_at": 1715126198,
    "model": "GigaChat-2",
}
SAID = {"role": "user", "content": "Привет"}
COMPLETION = {
    "object": "threads.messages.run",
    "model": "GigaChat-Pro:2.2.25.3",
    "thread_id": "t1",
    "message_id": "m2",
    "created": 1715684408,
    "usage": {"prompt_tokens": 64, "completion_tokens": 31, "total_tokens": 95},
    "message": {"content": "Здравствуйте!", "role": "assistant"},
    "finish_reason": "stop",
}
_CHUNK = {"model": "GigaChat-Pro:2.2.25.3", "object": "threads.messages.run", "thread_id": "t1", "message_id": "m2"}
CHUNKS = [
    {
        "choices": [{"delta": {"content": "Здравст", "role": "assistant"}, "index": 0}],
        "created": 1715684407,
        "usage": {"prompt_tokens": 64, "completion_tokens": 23, "total_tokens": 87},
        **_CHUNK,
    },
    {
        "choices": [{"delta": {"content": "вуйте!"}, "index": 0, "finish_reason": "stop"}],
        "created": 1715684408,
        "usage": {"prompt_tokens": 0, "completion_tokens": 8, "total_tokens": 8},
        **_CHUNK,
    },
]
OPTIONS = {"temperature": 0.5, "function_call": {"name": "f"}, "functions": [{"name": "f"}]}


def streamed(*chunks: dict[str, Any], end: bytes = DONE) -> Answer:
    return Answer(pieces=[*map(sse, chunks), end])


@pytest.mark.parametrize("method", ["get_threads", "list"])
def test_lists(world: World, method: str) -> None:
    new = {"id": "t2", "status": "frozen", "model": None, "run_lock": None}
    world.answers += [lost(Stage.WAITING), Answer({"threads": [THREAD, new]}, headers={"x-request-id": "r"})]
    answer = ask(world, f"threads.{method}", ["a1", "a2"], 5, 1715684019)
    assert isinstance(answer, models.Threads)
    assert path(world) == "/threads"
    assert world.api_requests[-1].query == {"assistants_ids": ["a1", "a2"], "limit": "5", "before": "1715684019"}
    first, second = answer.threads
    assert (first.id_, first.assistant_id, first.model, first.run_lock) == ("t1", "a1", "GigaChat-2", False)
    assert first.status is models.ThreadStatus.READY
    assert second.status == "frozen"
    assert (second.model, second.run_lock) == ("", False)
    assert answer.x_headers is not None
    assert answer.x_headers["x-request-id"] == "r"


def test_all_of_a_list(world: World) -> None:
    world.answers.append(Answer({"threads": None}))
    assert ask(world, "threads.list").threads == []
    assert not world.api_requests[0].query


@pytest.mark.parametrize("arguments", [("list", None, 0, 0), ("get_messages", "t1", 0, 0)])
def test_zero_is_no_limit(world: World, arguments: tuple[Any, ...]) -> None:
    method, *rest = arguments
    world.answers.append(Answer({"threads": []} if method == "list" else {"thread_id": "t1", "messages": []}))
    ask(world, f"threads.{method}", *rest)
    assert not {"limit", "before"} & (world.api_requests[0].query or {}).keys()


def test_creating(world: World) -> None:
    world.answers.append(Answer(THREAD))
    assert ask(world, "threads.create_thread") == "t1"
    request = world.api_requests[0]
    assert (request.method, path(world), request.content) == ("POST", "/threads", b"{}")


def test_some(world: World) -> None:
    world.answers += [lost(Stage.WAITING), Answer({"threads": [THREAD]})]
    assert ask(world, "threads.retrieve", ("t1", "t2")).threads[0].id_ == "t1"
    assert (path(world), body(world)) == ("/threads/retrieve", {"threads_ids": ["t1", "t2"]})


def test_deleting(world: World) -> None:
    world.answers.append(Answer(b""))
    assert ask(world, "threads.delete", "t1") is True
    assert (path(world), body(world)) == ("/threads/delete", {"thread_id": "t1"})
    world.answers.append(error(404, "No such thread"))
    with pytest.raises(NotFoundError):
        ask(world, "threads.delete", "t1")


def test_messages(world: World) -> None:
    answered = {"message_id": "m2", "role": "assistant", "content": None, "finish_reason": "stop"}
    world.answers += [lost(Stage.WAITING), Answer({"thread_id": "t1", "messages": [MESSAGE, answered]})]
    answer = ask(world, "threads.get_messages", "t1", limit=10, before=7)
    assert isinstance(answer, models.ThreadMessages)
    assert path(world) == "/threads/messages"
    assert world.api_requests[-1].query == {"thread_id": "t1", "limit": "10", "before": "7"}
    first, second = answer.messages
    assert f"{first.role}" == "user"
    assert (first.message_id, first.content, first.model) == ("m1", "Какой окрас кота?", "GigaChat-2")
    assert first.attachments is not None
    assert (first.attachments[0].file_id, first.attachments[0].name) == ("f1", "cat.jpeg")
    assert (second.content, second.attachments, second.finish_reason) == ("", [], "stop")


ADDED = {"thread_id": "t1", "messages": [{"created_at": 1715684019, "message_id": "m1"}]}
FORMS: list[Any] = ["Привет", SAID, models.Messages(role=models.MessagesRole.USER, content="Привет")]


@pytest.mark.parametrize("message", FORMS, ids=["text", "mapping", "model"])
def test_adding_one(world: World, message: Any) -> None:
    world.answers.append(Answer(ADDED))
    answer = ask(world, "threads.add_message", "t1", message)
    assert isinstance(answer, models.ThreadMessagesResponse)
    assert [(one.message_id, one.created_at) for one in answer.messages] == [("m1", 1715684019)]
    assert (path(world), body(world)) == ("/threads/messages", {"thread_id": "t1", "messages": [SAID]})


def test_adding_several(world: World) -> None:
    world.answers.append(Answer(ADDED))
    ask(world, "threads.add_messages", "t1", FORMS)
    assert body(world) == {"thread_id": "t1", "messages": [SAID] * 3}


def test_adding_to_a_new_thread(world: World) -> None:
    world.answers.append(Answer(ADDED))
    assert ask(world, "threads.add_messages", messages=FORMS).thread_id == "t1"
    assert body(world) == {"model": "GigaChat", "messages": [SAID] * 3}


@pytest.mark.parametrize(
    "options", [OPTIONS, models.ThreadRunOptions.model_validate(OPTIONS)], ids=["mapping", "model"]
)
def test_running(world: World, options: Any) -> None:
    world.answers.append(Answer({"status": "in_progress", "thread_id": "t1", "created_at": 1715684019}))
    answer = ask(world, "threads.run", "t1", "a1", options)
    assert isinstance(answer, models.ThreadRunResponse)
    assert (answer.status, answer.thread_id) == (models.ThreadStatus.IN_PROGRESS, "t1")
    assert (path(world), body(world)) == ("/threads/run", {**OPTIONS, "thread_id": "t1", "assistant_id": "a1"})


def test_the_older_name_of_the_options(world: World) -> None:
    answer = Answer({"status": "in_progress", "thread_id": "t1", "created_at": 1})
    world.answers.append(answer)
    with pytest.warns(DeprecationWarning, match="thread_options") as warned:
        ask(world, "threads.run", "t1", options={"temperature": 0.5})
    assert warned[0].filename.endswith("world.py")  # the caller
    assert body(world) == {"temperature": 0.5, "thread_id": "t1"}
    world.answers.append(streamed(*CHUNKS))
    with pytest.warns(DeprecationWarning, match="thread_options") as warned:
        ask(world, "threads.run_stream", "t1", thread_options={"top_p": 0.1}, options={"temperature": 0.5})
    assert warned[0].filename.endswith("world.py")
    assert body(world) == {"top_p": 0.1, "thread_id": "t1", "stream": True}


def test_how_a_run_gets_on(world: World) -> None:
    ended = {"status": "ready", "thread_id": "t1", "updated_at": 1715684020, "model": "m", "messages": [MESSAGE]}
    world.answers += [lost(Stage.WAITING), Answer(ended)]
    answer = ask(world, "threads.get_run", "t1")
    assert isinstance(answer, models.ThreadRunResult)
    assert (answer.status, answer.updated_at) == (models.ThreadStatus.READY, 1715684020)
    assert answer.messages is not None
    assert answer.messages[0].content == "Какой окрас кота?"
    assert (world.api_requests[-1].method, world.api_requests[-1].query) == ("GET", {"thread_id": "t1"})
    world.answers.append(Answer({"status": "in_progress", "thread_id": "t1", "updated_at": None, "messages": None}))
    assert ask(world, "threads.get_run", "t1").messages is None


def test_answers(world: World) -> None:
    world.answers.append(Answer(COMPLETION))
    answer = ask(world, "threads.run_messages", FORMS, "t1", "a1", "ignored", OPTIONS)
    assert isinstance(answer, models.ThreadCompletion)
    assert (answer.message.content, answer.message.role, answer.finish_reason) == ("Здравствуйте!", "assistant", "stop")
    assert (answer.thread_id, answer.message_id, answer.usage.total_tokens) == ("t1", "m2", 95)
    assert path(world) == "/threads/messages/run"
    assert body(world) == {**OPTIONS, "thread_id": "t1", "assistant_id": "a1", "messages": [SAID] * 3}


@pytest.mark.parametrize(("model", "expected"), [(None, "GigaChat"), ("GigaChat-2-Pro", "GigaChat-2-Pro")])
def test_answers_in_a_new_thread(world: World, model: str | None, expected: str) -> None:
    world.answers.append(Answer(COMPLETION))
    ask(world, "threads.run_messages", ["Привет"], model=model)
    assert body(world) == {"model": expected, "messages": [SAID]}


def test_answers_anew(world: World) -> None:
    world.answers.append(Answer({**COMPLETION, "usage": None, "message_id": None}))
    answer = ask(world, "threads.rerun_messages", "t1", {"temperature": 0.5})
    assert (answer.usage.total_tokens, answer.message_id) == (0, "")
    assert (path(world), body(world)) == ("/threads/messages/rerun", {"temperature": 0.5, "thread_id": "t1"})


# Streams.

STREAMS: list[tuple[str, tuple[Any, ...], str, dict[str, Any]]] = [
    ("run_stream", ("t1", "a1", OPTIONS), "/threads/run", {**OPTIONS, "thread_id": "t1", "assistant_id": "a1"}),
    (
        "run_messages_stream",
        (["Привет"], "t1", None, None, OPTIONS, 1),
        "/threads/messages/run",
        {**OPTIONS, "thread_id": "t1", "messages": [SAID], "update_interval": 1},
    ),
    (
        "rerun_messages_stream",
        ("t1", OPTIONS, 0.5),
        "/threads/messages/rerun",
        {**OPTIONS, "thread_id": "t1", "update_interval": 0.5},
    ),
]


@pytest.mark.parametrize(("method", "arguments", "where", "sent"), STREAMS)
def test_streams(world: World, method: str, arguments: tuple[Any, ...], where: str, sent: Any) -> None:
    world.answers.append(streamed(*CHUNKS))
    chunks = ask(world, f"threads.{method}", *arguments)
    assert all(isinstance(chunk, models.ThreadCompletionChunk) for chunk in chunks)
    assert "".join(chunk.choices[0].delta.content for chunk in chunks) == "Здравствуйте!"
    assert [chunk.usage.total_tokens for chunk in chunks] == [87, 8]
    assert (chunks[0].thread_id, chunks[0].message_id) == ("t1", "m2")
    assert chunks[0].x_headers is not None
    request = world.api_requests[0]
    assert (path(world), body(world)) == (where, {**sent, "stream": True})
    assert request.headers["Accept"] == "text/event-stream"


def put_together(world: World, *chunks: Any, end: bytes = DONE) -> tuple[Any, str]:
    world.answers.append(streamed(*chunks, end=end))
    stream = world.method(world.client(), "threads.run_stream")("t1")
    assert isinstance(stream, Stream if world.mode == "blocking" else AsyncStream)
    _, text, completion = whole(stream, asyncio.run)
    return completion, text


def test_the_whole_of_a_stream(world: World) -> None:
    completion, text = put_together(world, *CHUNKS)
    assert isinstance(completion, models.ThreadCompletion)
    assert text == completion.message.content == "Здравствуйте!"
    expected = {key: value for key, value in COMPLETION.items() if key != "usage"}
    assert completion.model_dump(exclude_unset=True, by_alias=True, exclude={"x_headers", "usage"}) == expected
    # Each chunk counts its own tokens.
    assert completion.usage.model_dump(exclude_unset=True) == COMPLETION["usage"]
    assert completion.x_headers is not None


@pytest.mark.parametrize("end", [DONE, b""])
def test_the_tokens_of_all_chunks_are_counted(world: World, end: bytes) -> None:
    world.answers.append(streamed(*CHUNKS[: 2 if end else 1], end=end))
    told = Told()
    giga = world.client(observers=[told])
    stream = world.method(giga, "threads.run_stream")("t1")
    with nullcontext() if end else pytest.raises(StreamInterruptedError):
        whole(stream, asyncio.run)
    counts = (64, 31) if end else (64, 23)
    assert (giga.usage.input_tokens, giga.usage.output_tokens) == counts
    assert told.usage == [TokenCounts(*counts, 0)]


class Told(Observer):
    """Notes the usage of streams."""

    def __init__(self) -> None:
        self.usage: list[TokenCounts | None] = []

    def stream_ended(self, call: ObservedCall, error: BaseException | None) -> None:
        self.usage.append(call.usage)


def test_the_whole_of_a_call(world: World) -> None:
    call = {"name": "f", "arguments": {"a": 1}}
    choice = {"delta": {"role": "assistant", "content": "", "function_call": call}, "finish_reason": "function_call"}
    working = {"choices": [{"delta": {"role": "function_in_progress", "content": "working"}}]}
    completion, text = put_together(world, working, {"choices": [choice]})
    assert completion.message.function_call.arguments == {"a": 1}
    assert (completion.finish_reason, text, completion.usage.total_tokens) == ("function_call", "", 0)


@pytest.mark.parametrize("delta", [{"role": ""}, {"name": 5}, {"role": "assistant", "attachments": "x"}])
def test_chunks_that_make_no_whole(world: World, delta: Any) -> None:
    with pytest.raises(APIResponseValidationError, match="cannot be joined into ThreadCompletion"):
        put_together(world, {"choices": [{"delta": delta, "finish_reason": "stop"}]})


def test_counts_that_are_no_numbers(world: World) -> None:
    end = {"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}], "usage": {"total_tokens": 1, "new": 1}}
    completion, _ = put_together(world, {"choices": [], "usage": {"total_tokens": 2, "new": "text"}}, end)
    assert completion.usage.model_dump(exclude_unset=True) == {"total_tokens": 3, "new": 1}


def test_a_stream_that_breaks_off(world: World) -> None:
    world.answers.append(streamed(CHUNKS[0], end=b""))
    with pytest.raises(StreamInterruptedError):
        ask(world, "threads.run_stream", "t1")


# Rules.

WRITES: list[tuple[str, tuple[Any, ...]]] = [
    ("create_thread", ()),
    ("delete", ("t1",)),
    ("add_message", ("t1", "text")),
    ("add_messages", ("t1", ["text"])),
    ("run", ("t1",)),
    ("run_stream", ("t1",)),
    ("run_messages", (["text"],)),
    ("run_messages_stream", (["text"],)),
    ("rerun_messages", ("t1",)),
    ("rerun_messages_stream", ("t1",)),
]


@pytest.mark.parametrize(("method", "arguments"), WRITES)
def test_what_changes_something_is_not_repeated(world: World, method: str, arguments: tuple[Any, ...]) -> None:
    world.answers.append(lost(Stage.WAITING))
    with pytest.raises(APIConnectionError):
        ask(world, f"threads.{method}", *arguments)
    assert len(world.api_requests) == 1


@pytest.mark.parametrize(
    ("method", "arguments", "kind", "text"),
    [
        ("get_threads", ("a1",), TypeError, "assistants_ids must be a list"),
        ("get_threads", ([""],), ValueError, r"assistants_ids\[0\] is empty"),
        ("retrieve", ([],), ValueError, "threads_ids is empty"),
        ("retrieve", ("t1",), TypeError, "threads_ids must be a list"),
        ("retrieve", (5,), TypeError, "threads_ids must be a list"),
        ("delete", ("",), ValueError, "thread_id is empty"),
        ("get_messages", (7,), TypeError, "thread_id must be text"),
        ("add_message", (None, "text"), TypeError, "thread_id must be text"),
        ("add_message", ("t1", 7), TypeError, "messages must be a list"),
        ("add_messages", ("t1",), ValueError, "messages is empty"),
        ("add_messages", ("t1", [{}]), ValueError, r"messages\[0\]: role"),
        ("run", ("",), ValueError, "thread_id is empty"),
        ("run", ("t1", ""), ValueError, "assistant_id is empty"),
        ("run", ("t1", None, 7), TypeError, "thread_options must be a ThreadRunOptions"),
        ("run", ("t1", None, {"temperature": "hot"}), ValueError, "thread_options: temperature"),
        ("run_messages", ([],), ValueError, "messages is empty"),
        ("run_messages", (["text"], ""), ValueError, "thread_id is empty"),
        ("run_messages_stream", ([7],), TypeError, r"messages\[0\] must be a Messages"),
        ("rerun_messages", ("",), ValueError, "thread_id is empty"),
        ("rerun_messages_stream", (None,), TypeError, "thread_id must be text"),
        ("get_run", ("",), ValueError, "thread_id is empty"),
    ],
)
def test_what_is_refused(
    world: World, method: str, arguments: tuple[Any, ...], kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind, match=text):
        ask(world, f"threads.{method}", *arguments)
    assert world.requests == []


def test_the_callers_objects_stay_as_they_are(world: World) -> None:
    options = models.ThreadRunOptions.model_validate({"temperature": 0.5, "stream": True, "new": 1})
    message = models.Messages(role=models.MessagesRole.USER, content="Привет")
    world.answers.append(Answer(COMPLETION))
    ask(world, "threads.run_messages", [message], thread_options=options)
    assert body(world) == {"temperature": 0.5, "new": 1, "model": "GigaChat", "messages": [SAID]}
    assert options.model_dump(exclude_unset=True) == {"temperature": 0.5, "stream": True, "new": 1}
    assert message.model_fields_set == {"role", "content"}


def test_the_async_client() -> None:
    world = World("async")
    world.answers.append(Answer(THREAD))
    assert plainly(world, "threads.create_thread") == "t1"


def test_the_classes_of_0_2(world: World) -> None:
    giga = world.client()
    world.answers.append(Answer(THREAD))
    if world.mode == "blocking":
        assert ThreadsSyncClient(giga).create_thread() == "t1"
        return
    assert inspect.iscoroutinefunction(ThreadsAsyncClient.get_threads)
    assert not inspect.iscoroutinefunction(ThreadsAsyncClient.run_stream)
    assert asyncio.run(ThreadsAsyncClient(base_client=giga).create_thread()) == "t1"
