"""Observers: what they are told of calls, streams, retries and tokens, and what they cannot break."""

from __future__ import annotations

import asyncio
import copy
import gc
import logging
import pickle
from datetime import date
from functools import partial
from typing import Any
from unittest import mock
from weakref import ref

import pytest

from gigachat import (
    APIConnectionError,
    AsyncGigaChat,
    BadRequestError,
    ConfigurationError,
    GenerationError,
    GigaChat,
    Observer,
    RateLimitError,
    ResponseError,
    StreamInterruptedError,
)
from gigachat._engine.transport import Failure, Stage
from gigachat.catalogue import Price
from gigachat.context import request_id_cvar
from gigachat.observers import Attempt, ObservedCall, ObservedRun, ObservedTool, TokenRenewal
from gigachat.usage import TokenCounts
from tests.support.payloads import DONE, sse
from tests.support.programs import LEFT_OPEN
from tests.unit.world import COMPLETION, Answer, World, error, finish, lost

EVENTS = [name for name in vars(Observer) if not name.startswith("_") and name != "reads_content"]
CHUNK = {"choices": [{"delta": {"content": "При"}, "index": 0}], "created": 1, "model": "GigaChat:2.0.28.2"}
LAST = {
    "choices": [{"delta": {"content": "вет"}, "index": 0, "finish_reason": "stop"}],
    "created": 1,
    "model": "GigaChat:2.0.28.2",
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7, "precached_prompt_tokens": 1},
}
EMBEDDINGS = {
    "object": "list",
    "model": "Embeddings",
    "data": [
        {"embedding": [0.1], "usage": {"prompt_tokens": 3}, "index": 0},
        {"embedding": [0.2], "usage": {"prompt_tokens": 4}, "index": 1},
    ],
}


class Notes(Observer):
    """Notes every event: its name, the attributes of its record at that moment, and the error."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.calls: list[ObservedCall] = []
        self.attempts: list[Attempt] = []
        self.pauses: list[float] = []
        self.errors: list[BaseException | None] = []
        self.renewals: list[TokenRenewal] = []
        self.runs: list[ObservedRun] = []
        self.tools: list[ObservedTool] = []

    def call_started(self, call: ObservedCall) -> None:
        self.names.append("call_started")
        self.calls.append(call)

    def attempt(self, call: ObservedCall, attempt: Attempt) -> None:
        assert call is self.calls[-1]
        self.names.append("attempt")
        self.attempts.append(attempt)

    def retry(self, call: ObservedCall, attempt: Attempt, pause: float) -> None:
        assert attempt is self.attempts[-1]
        self.names.append("retry")
        self.pauses.append(pause)

    def answered(self, call: ObservedCall) -> None:
        self.names.append("answered")

    def failed(self, call: ObservedCall, error: BaseException) -> None:
        self.names.append("failed")
        self.errors.append(error)

    def stream_ended(self, call: ObservedCall, error: BaseException | None) -> None:
        self.names.append("stream_ended")
        self.errors.append(error)

    def token_renewed(self, renewal: TokenRenewal) -> None:
        self.names.append("token_renewed")
        self.renewals.append(renewal)

    def run_started(self, run: ObservedRun) -> None:
        self.names.append("run_started")
        self.runs.append(run)

    def run_ended(self, run: ObservedRun, error: BaseException | None) -> None:
        self.names.append("run_ended")
        self.errors.append(error)

    def tool_started(self, tool: ObservedTool) -> None:
        self.names.append("tool_started")
        self.tools.append(tool)

    def tool_ended(self, tool: ObservedTool, error: BaseException | None) -> None:
        self.names.append("tool_ended")
        self.errors.append(error)


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def giga(world: World, notes: Notes) -> GigaChat:
    return world.client(access_token="secret", observers=[notes])


def test_a_call_is_told_from_its_start_to_its_answer(world: World, notes: Notes, giga: GigaChat) -> None:
    world.answers = [Answer(COMPLETION, headers={"X-Request-ID": "abc"})]
    world.chat(giga, "Привет", model="GigaChat-2-Max")
    assert notes.names == ["call_started", "attempt", "answered"]
    (call,) = notes.calls
    assert (call.method, call.path, call.version) == ("POST", "/api/v1/chat/completions", "v1")
    assert call.url.endswith(call.path)
    assert (call.operation, call.model, call.response_model) == ("chat", "GigaChat-2-Max", "GigaChat:2.0.28.2")
    assert (call.status, call.request_id, call.attempts, call.stream) == (200, "abc", 1, False)
    assert call.usage == TokenCounts(17, 3, 2)
    assert (call.finish_reason, call.outcome, call.run) == ("stop", "answered", None)
    assert call.seconds is not None
    assert notes.attempts == [Attempt(1, notes.attempts[0].seconds, 200, "abc")]


def test_each_attempt_and_each_pause_is_told(world: World, notes: Notes) -> None:
    giga = world.client(access_token="t", observers=[notes], max_retries=2, retry_backoff_factor=1.0)
    world.answers = [error(503, x_request_id="one"), lost(Stage.CONNECTING), Answer(COMPLETION)]
    world.chat(giga, "x")
    assert notes.names == ["call_started", "attempt", "retry", "attempt", "retry", "attempt", "answered"]
    assert [(one.number, one.status, one.request_id, one.error) for one in notes.attempts] == [
        (1, 503, "one", None),
        (2, None, None, APIConnectionError),
        (3, 200, None, None),
    ]
    assert notes.pauses == world.sleeps
    assert notes.calls[0].seconds == pytest.approx(sum(world.sleeps))
    assert notes.calls[0].attempts == 3


def test_a_rejected_token_is_a_retry_and_its_renewal_is_told(world: World, notes: Notes) -> None:
    giga = world.client(observers=[notes])
    world.answers = [error(401), Answer(COMPLETION)]
    world.chat(giga, "x")
    assert notes.names == [
        *("call_started", "token_renewed", "attempt", "retry"),
        *("token_renewed", "attempt", "answered"),
    ]
    assert notes.pauses == [0.0]
    renewal = notes.renewals[0]
    assert renewal.url == giga._settings.auth_url
    assert renewal.lifetime == pytest.approx(1800, abs=2)
    assert "token-" not in repr(renewal)


def test_a_fallback_model_is_told(world: World, notes: Notes) -> None:
    giga = world.client(access_token="t", observers=[notes], fallback_models=["GigaChat-2"], max_retries=0)
    world.answers = [error(503), Answer(COMPLETION)]
    world.chat(giga, "x")
    assert notes.names == ["call_started", "attempt", "retry", "attempt", "answered"]
    assert notes.calls[0].model == "GigaChat-2"
    assert notes.pauses == [0.0]


def test_a_failure_is_told_with_its_error(world: World, notes: Notes, giga: GigaChat) -> None:
    world.answers = [error(400, x_request_id="bad")]
    with pytest.raises(BadRequestError) as raised:
        world.chat(giga, "x")
    assert notes.names == ["call_started", "attempt", "failed"]
    assert notes.errors == [raised.value]
    (call,) = notes.calls
    assert (call.outcome, call.status, call.request_id, call.usage) == ("failed", 400, "bad", None)


def test_a_failed_sign_in_fails_the_call(world: World, notes: Notes) -> None:
    world.sign_ins = [error(400)]
    with pytest.raises(BadRequestError):
        world.chat(world.client(observers=[notes]), "x")
    assert notes.names == ["call_started", "failed"]
    assert notes.calls[0].attempts == 0


def test_an_answer_without_content_is_a_failure_with_its_usage(world: World, notes: Notes, giga: GigaChat) -> None:
    choice = {"message": {"content": "", "role": "assistant"}, "index": 0, "finish_reason": "error"}
    world.answers = [Answer({**COMPLETION, "choices": [choice]})]
    with pytest.raises(GenerationError):
        world.chat(giga, "x")
    assert notes.names == ["call_started", "attempt", "failed"]
    assert notes.calls[0].usage == TokenCounts(17, 3, 2)
    assert giga.usage.output_tokens == 3


def test_a_stream_is_told_until_its_end(world: World, notes: Notes, giga: GigaChat) -> None:
    world.answers = [Answer(pieces=[sse(CHUNK), sse(LAST), DONE])]
    stream = world.method(giga, "stream")("x")
    assert notes.names == []
    if world.mode == "blocking":
        assert next(stream)
        assert notes.names == ["call_started", "attempt", "answered"]
        assert notes.calls[0].outcome is None
        list(stream)
    else:
        asyncio.run(_read(stream))
    assert notes.names == ["call_started", "attempt", "answered", "stream_ended"]
    (call,) = notes.calls
    assert (call.stream, call.outcome, call.finish_reason) == (True, "answered", "stop")
    assert call.usage == TokenCounts(5, 2, 1)
    assert call.first_chunk_seconds == 0.0
    assert notes.errors == [None]


async def _read(stream: Any, chunks: int = 100) -> None:
    async for _ in stream:
        chunks -= 1
        if not chunks:
            return


def _begin(world: World, stream: Any) -> None:
    """Read one chunk of a stream."""
    if world.mode == "blocking":
        next(stream)
    else:
        finish(anext(stream))


@pytest.mark.parametrize("end", ["close", "abandon", "break it"])
def test_a_stream_that_is_not_read_to_its_end_ends(world: World, notes: Notes, giga: GigaChat, end: str) -> None:
    broken = Failure(Stage.READING, APIConnectionError("cut"))
    world.answers = [Answer(pieces=[sse(CHUNK), broken])]
    stream = world.method(giga, "stream")("x")
    _begin(world, stream)
    if end == "close":
        if world.mode == "blocking":
            stream.close()
            stream.close()
        else:
            finish(stream.close())
            finish(stream.close())
    elif end == "abandon":
        warned: Any = pytest.warns(ResourceWarning) if world.mode == "async" else mock.patch.object(gc, "garbage", [])
        with warned:
            del stream
            gc.collect()
    else:
        with pytest.raises(StreamInterruptedError):
            _begin(world, stream)
        del stream
        gc.collect()
    assert notes.names == ["call_started", "attempt", "answered", "stream_ended"]
    outcome = {"close": "closed", "abandon": "abandoned", "break it": "failed"}[end]
    assert notes.calls[0].outcome == outcome
    assert [type(one) for one in notes.errors] == [StreamInterruptedError if end == "break it" else type(None)]
    assert giga.usage.models["GigaChat"].unknown == 1


@pytest.mark.filterwarnings(LEFT_OPEN)
@pytest.mark.parametrize("end", ["close", "abandon"])
def test_the_usage_that_came_behind_the_last_chunk_read_is_told(
    world: World, notes: Notes, giga: GigaChat, end: str
) -> None:
    world.answers = [Answer(pieces=[sse(CHUNK) * 100 + sse(LAST) + DONE])]
    stream = world.method(giga, "stream")("x")
    _begin(world, stream)
    if end == "close":
        closing = stream.close()
        if world.mode == "async":
            finish(closing)
    del stream
    gc.collect()
    assert (notes.calls[0].usage, notes.calls[0].finish_reason) == (TokenCounts(5, 2, 1), "stop")


def test_an_error_behind_good_chunks_is_told_when_it_arrives(world: World, notes: Notes, giga: GigaChat) -> None:
    world.answers = [Answer(pieces=[sse(CHUNK) + sse({"status": 429, "message": "no"})])]
    with pytest.raises(RateLimitError):
        world.read(giga, "x")
    assert notes.names == ["call_started", "attempt", "answered", "stream_ended"]
    assert isinstance(notes.errors[0], RateLimitError)


def test_a_stream_that_is_refused_is_a_failed_call(world: World, notes: Notes, giga: GigaChat) -> None:
    world.answers = [error(400)]
    with pytest.raises(BadRequestError):
        world.read(giga, "x")
    assert notes.names == ["call_started", "attempt", "failed"]
    assert giga.usage.calls == 0


def test_a_stream_that_was_never_read_is_not_told(world: World, notes: Notes, giga: GigaChat) -> None:
    stream = world.method(giga, "stream")("x")
    del stream
    gc.collect()
    assert notes.names == []


@pytest.mark.parametrize("streamed", [False, True])
def test_a_cancelled_call_ends(notes: Notes, streamed: bool) -> None:
    world = World("async")
    giga = world.client(access_token="t", observers=[notes])

    async def main() -> None:
        world.answers = [Answer(pieces=[sse(CHUNK)] * 100) if streamed else Answer(COMPLETION)]
        stream = giga.astream("x")
        task = asyncio.ensure_future(_read(stream) if streamed else giga.achat("x"))
        while not notes.attempts:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert notes.names[-1] == ("stream_ended" if streamed else "failed")
    assert notes.calls[0].outcome == "cancelled"
    assert isinstance(notes.errors[0], asyncio.CancelledError)


def test_a_coroutine_that_is_dropped_ends() -> None:
    notes, world = Notes(), World("async")
    coroutine: Any = world.client(access_token="t", observers=[notes]).achat("x")
    coroutine.send(None)
    coroutine.close()
    assert notes.names == ["call_started", "failed"]
    assert notes.calls[0].outcome == "cancelled"


@pytest.mark.parametrize(
    ("method", "arguments", "operation", "model"),
    [
        ("get_models", (), "models", None),
        ("get_model", ("GigaChat-2",), "models", None),
        ("get_balance", (), "balance", None),
        ("get_file_content", ("an-id",), "files.content", None),
        ("delete_file", ("an-id",), "files.delete", None),
        ("embeddings", (["a", "b"],), "embeddings", "Embeddings"),
        ("tokens_count", (["a"],), "tokens.count", "GigaChat"),
        ("chat.create", ("x",), "chat", "GigaChat"),
        ("request", ("GET", "/new/thing?secret=1"), "request", None),
    ],
)
def test_operations_are_named_by_their_path(
    world: World, notes: Notes, giga: GigaChat, method: str, arguments: Any, operation: str, model: str | None
) -> None:
    world.answers = [error(418)]
    with pytest.raises(ResponseError):
        world.do(giga, method, *arguments)
    (call,) = notes.calls
    assert (call.operation, call.model) == (operation, model)
    assert "secret" not in repr(call)


def test_no_record_has_content_or_secrets(world: World, notes: Notes) -> None:
    canary = "canary-" + "x" * 20
    giga = world.client(
        access_token=canary, observers=[notes], default_query={"key": canary}, default_headers={"x-key": canary}
    )
    answer = copy.deepcopy(COMPLETION)
    answer["choices"][0]["message"]["content"] = canary  # type: ignore[index]
    world.answers = [Answer(answer)]
    world.chat(giga, canary)
    assert notes.names[-1] == "answered"
    assert canary not in repr([vars(Notes) and getattr(notes, name) for name in vars(notes)])
    call = notes.calls[0]
    assert canary not in repr([getattr(call, name) for name in ObservedCall.__slots__ if name != "__weakref__"])


def test_the_callers_request_id_is_told_before_the_response(world: World, notes: Notes, giga: GigaChat) -> None:
    token = request_id_cvar.set("mine")
    try:
        world.answers = [lost(Stage.WAITING)]
        with pytest.raises(APIConnectionError):
            world.chat(giga, "x")
    finally:
        request_id_cvar.reset(token)
    assert notes.calls[0].request_id == "mine"


# What an observer cannot break


class Broken(Observer):
    """Raises from every method."""

    def __init__(self, error: BaseException) -> None:
        for event in EVENTS:
            setattr(self, event, partial(self._raise, error))

    def _raise(self, error: BaseException, *arguments: Any) -> None:
        raise error


def test_exceptions_of_observers_are_logged_once_and_swallowed(
    world: World, notes: Notes, caplog: pytest.LogCaptureFixture
) -> None:
    giga = world.client(observers=[Broken(ValueError("mine")), notes])
    for _ in range(3):
        world.answers = [error(503), Answer(COMPLETION)]
        assert world.chat(giga, "x").choices
    world.answers = [Answer(pieces=[sse(LAST), DONE])]
    assert world.read(giga, "x")
    expected = ["call_started", "token_renewed", "attempt", "retry", "answered", "stream_ended"]
    assert [record.getMessage() for record in caplog.records] == [
        f"the observer Broken failed in {event}; it is logged once" for event in expected
    ]
    assert notes.names.count("answered") == 4


@pytest.mark.parametrize("event", ["call_started", "attempt", "answered"])
@pytest.mark.parametrize("streamed", [False, True])
def test_an_exception_of_a_signal_passes_and_frees_everything(world: World, event: str, streamed: bool) -> None:
    observer = Observer()
    setattr(observer, event, mock.Mock(side_effect=[KeyboardInterrupt, None, None, None]))
    giga = world.client(access_token="t", observers=[observer], max_concurrency=1, queue_timeout=1.0)
    answer = Answer(pieces=[sse(LAST), DONE]) if streamed else Answer(COMPLETION)
    world.answers = [answer]
    with pytest.raises(KeyboardInterrupt):
        world.read(giga, "x") if streamed else world.chat(giga, "x")
    world.answers = [Answer(COMPLETION)]
    assert world.chat(giga, "x").choices  # the slot is free


def test_calls_of_an_observer_are_not_observed(world: World) -> None:
    class Calls(Notes):
        def answered(self, call: ObservedCall) -> None:
            super().answered(call)
            if world.mode == "blocking":
                client.get_models()

    notes = Calls()
    client = world.client(access_token="t", observers=[notes], max_concurrency=1, queue_timeout=1.0)
    world.chat(client, "x")
    world.chat(client, "x")
    assert notes.names == ["call_started", "attempt", "answered"] * 2
    assert len(world.api_requests) == (4 if world.mode == "blocking" else 2)


def test_a_run_of_an_observer_is_not_observed(notes: Notes) -> None:
    world = World("blocking")

    class Runs(Notes):
        def answered(self, call: ObservedCall) -> None:
            super().answered(call)
            world.answers = [Answer(CALLS_TOOL), Answer(COMPLETION)]
            client.chat_run("x", tools=[add])

    runs = Runs()
    client = world.client(access_token="t", observers=[runs])
    world.chat(client, "x")
    assert runs.names == ["call_started", "attempt", "answered"]
    assert client.usage.calls == 3


async def _awaitable(*arguments: Any) -> None: ...


async def _generator(*arguments: Any) -> Any:
    yield


class _Async(Observer):
    async def answered(self, call: ObservedCall) -> None:  # type: ignore[override]
        ...


def _with(**methods: Any) -> Observer:
    observer = Observer()
    for name, method in methods.items():
        setattr(observer, name, method)
    return observer


@pytest.mark.parametrize("kind", [GigaChat, AsyncGigaChat])
@pytest.mark.parametrize(
    ("observers", "message"),
    [
        ([_Async()], r"observers\[0\]\.answered is async: the methods of an observer are plain functions"),
        ([Observer(), _with(failed=_awaitable)], r"observers\[1\]\.failed is async"),
        ([_with(retry=_generator)], r"observers\[0\]\.retry is async"),
        ([Observer], r"observers\[0\] must be an object of gigachat\.Observer, not the class Observer"),
        ([print], r"observers\[0\] must be an object of gigachat\.Observer, not builtin_function_or_method"),
        (Observer(), r"observers= takes a list of objects of gigachat\.Observer, not Observer"),
        ("observer", r"observers= takes a list of objects of gigachat\.Observer, not str"),
        ({Observer()}, r"observers= takes a list of objects of gigachat\.Observer, not set"),
        ([None], r"observers\[0\] must be an object of gigachat\.Observer, not NoneType"),
    ],
)
def test_what_is_no_observer_is_refused(kind: Any, observers: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        kind(access_token="t", observers=observers)


@pytest.mark.parametrize("observers", [None, [], ()])
def test_no_observers_are_no_observers(world: World, observers: Any) -> None:
    giga = world.client(access_token="t", observers=observers)
    with mock.patch("gigachat._engine.observation.observe_call") as observe:
        assert world.chat(giga, "x").choices
    observe.assert_not_called()


def test_a_method_that_returns_a_coroutine_is_logged_and_closed(world: World, caplog: pytest.LogCaptureFixture) -> None:
    observer = _with(answered=lambda call: _awaitable())
    assert world.chat(world.client(access_token="t", observers=[observer]), "x").choices
    (record,) = caplog.records
    assert "failed in answered" in record.getMessage()
    assert "plain functions" in caplog.text


# Copies


def test_one_observer_serves_several_clients_and_views(world: World, notes: Notes, giga: GigaChat) -> None:
    other = world.client(access_token="t", observers=[notes])
    for client in (giga, other, giga.with_options(max_retries=0), copy.copy(giga)):
        world.do(client, "chat", "x")
    assert notes.names == ["call_started", "attempt", "answered"] * 4
    assert len({call.id for call in notes.calls}) == 4


def test_a_deep_copy_shares_the_observers(notes: Notes) -> None:
    observers = [notes]
    giga = copy.deepcopy(GigaChat(access_token="t", observers=observers))
    assert giga._observers is observers
    assert giga._service.observers is not None


class Named(Observer):
    """An observer that can be pickled."""


def test_observers_are_pickled_with_their_client() -> None:
    giga = pickle.loads(pickle.dumps(GigaChat(access_token="t", observers=[Named()])))
    (observer,) = giga._observers
    assert type(observer) is Named
    assert giga._service.observers is not None


def test_a_pickle_without_observers_has_none() -> None:
    giga = pickle.loads(pickle.dumps(GigaChat(access_token="t")))
    assert giga._service.observers is None


def test_a_list_that_changes_later_changes_nothing(world: World, notes: Notes) -> None:
    observers: list[Observer] = [notes]
    giga = world.client(access_token="t", observers=observers)
    observers.clear()
    world.chat(giga, "x")
    assert notes.names == ["call_started", "attempt", "answered"]


# Collection in the middle of an event


def test_what_is_collected_while_an_observer_is_told_is_told_afterwards(world: World) -> None:
    entered: list[str] = []

    class Collecting(Notes):
        def answered(self, call: ObservedCall) -> None:
            super().answered(call)
            if not call.stream:
                entered.append("in")
                left.clear()
                gc.collect()
                entered.append("out")

        def stream_ended(self, call: ObservedCall, error: BaseException | None) -> None:
            super().stream_ended(call, error)
            entered.append("stream")

    notes = Collecting()
    giga = world.client(access_token="t", observers=[notes])
    world.answers = [Answer(pieces=[sse(CHUNK), sse(LAST)])]
    left: list[Any] = [world.method(giga, "stream")("x")]
    _begin(world, left[0])
    warned: Any = pytest.warns(ResourceWarning) if world.mode == "async" else mock.patch.object(gc, "garbage", [])
    with warned:
        world.chat(giga, "x")
    assert entered == ["in", "out", "stream"]


def test_a_record_does_not_keep_the_exception(world: World, notes: Notes, giga: GigaChat) -> None:
    world.answers = [error(400)]
    with pytest.raises(BadRequestError):
        world.chat(giga, "x")
    (call,) = notes.calls
    assert not any(isinstance(getattr(call, name), BaseException) for name in call.__slots__ if name[0] != "_")


# Content


class Reads(Notes):
    """Asks for content."""

    reads_content = True

    def __init__(self) -> None:
        super().__init__()
        self.contents: list[tuple[Any, Any]] = []

    def content(self, call: ObservedCall, request: Any, response: Any) -> None:
        self.names.append("content")
        self.contents.append((request, response))


def test_content_is_told_to_those_who_ask_for_it(world: World) -> None:
    reads, other = Reads(), Reads()
    other.reads_content = False
    giga = world.client(access_token="t", observers=[other, reads])
    world.chat(giga, "Привет")
    assert reads.names == ["call_started", "attempt", "content", "answered"]
    ((request, response),) = reads.contents
    assert request["messages"] == [{"role": "user", "content": "Привет"}]
    assert response["choices"][0]["message"]["content"] == "Hello."
    assert other.contents == []


def test_content_of_a_stream_is_told_at_its_end(world: World) -> None:
    reads = Reads()
    giga = world.client(access_token="t", observers=[reads])
    world.answers = [Answer(pieces=[sse(CHUNK), sse(LAST), DONE])]
    world.read(giga, "x")
    assert reads.names == ["call_started", "attempt", "answered", "content", "stream_ended"]
    assert reads.contents[0][1]["choices"][0]["message"]["content"] == "Привет"


def test_a_body_that_cannot_be_sent_is_no_content(world: World) -> None:
    reads = Reads()
    with pytest.raises(ValueError, match="surrogate"):
        world.chat(world.client(access_token="t", observers=[reads]), "\ud83d")
    assert reads.names == ["call_started", "content", "failed"]
    assert reads.contents == [(None, None)]


def test_content_of_a_failure_is_what_was_sent(world: World) -> None:
    reads = Reads()
    giga = world.client(access_token="t", observers=[reads])
    world.answers = [error(400)]
    with pytest.raises(BadRequestError):
        world.chat(giga, "x")
    ((request, response),) = reads.contents
    assert request["messages"][0]["content"] == "x"
    assert response is None


# Usage


def test_usage_is_summed_by_model(world: World) -> None:
    giga = world.client(access_token="t")
    world.chat(giga, "x")
    world.chat(giga.with_options(max_retries=0), "x")
    world.answers = [Answer(EMBEDDINGS)]
    world.do(giga, "embeddings", ["a", "b"])
    world.do(giga, "get_models")
    usage = giga.usage
    assert set(usage.models) == {"GigaChat", "Embeddings"}
    assert (usage.calls, usage.input_tokens, usage.output_tokens, usage.cached_tokens) == (3, 41, 6, 4)
    assert usage.models["Embeddings"].input_tokens == 7
    assert usage.total.unknown == 0
    assert usage.cost() is None


def test_many_calls_are_counted(world: World) -> None:
    giga = world.client(access_token="t")
    for _ in range(250):
        world.chat(giga, "x")
    assert (giga.usage.calls, giga.usage.output_tokens) == (250, 750)
    assert giga.usage.models.keys() == {"GigaChat"}


def test_counting_does_not_wait_for_a_reader(world: World) -> None:
    giga = world.client(access_token="t")
    with giga._service.usage._lock:  # as a finalizer that runs while the sums are read
        for _ in range(150):
            world.chat(giga, "x")
    assert giga.usage.calls == 150


def test_an_answer_is_not_kept(world: World) -> None:
    giga = world.client(access_token="t", observers=[Notes()])
    kept = ref(world.chat(giga, "x"))
    world.answers = [Answer(pieces=[sse(LAST), DONE])]
    chunk = ref(world.read(giga, "x")[0])
    gc.collect()
    assert kept() is None
    assert chunk() is None


@pytest.mark.parametrize(
    ("reported", "counts"),
    [
        ({"input_tokens": 4, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 1}}, TokenCounts(4, 2, 1)),
        ({"input_tokens": 4}, TokenCounts(4, 0, 0)),
        ({"output_tokens": 2}, TokenCounts(0, 2, 0)),
        ({"total_tokens": 2}, None),
        (None, None),
    ],
)
def test_usage_of_chats_v2_is_counted(world: World, notes: Notes, reported: Any, counts: TokenCounts | None) -> None:
    giga = world.client(access_token="t", observers=[notes])
    world.answers = [Answer({"model": "GigaChat-2:1", "messages": [], "usage": reported})]
    world.do(giga, "chat.create", "x")
    assert notes.calls[0].usage == counts
    used = giga.usage.models["GigaChat-2"]
    assert (used.calls, used.unknown) == (1, int(counts is None))
    assert TokenCounts(used.input_tokens, used.output_tokens, used.cached_tokens) == (counts or TokenCounts(0))


def test_calls_that_generate_nothing_do_not_count(world: World) -> None:
    giga = world.client(access_token="t")
    world.answers = [Answer([{"object": "tokens", "tokens": 7, "characters": 36}])]
    world.do(giga, "tokens_count", ["a"])
    world.do(giga, "get_models")
    assert giga.usage.models == {}


def test_a_stream_counts_when_it_ends(world: World) -> None:
    giga = world.client(access_token="t")
    world.answers = [Answer(pieces=[sse(CHUNK), sse(LAST), DONE])]
    stream = world.method(giga, "stream")("x")
    _begin(world, stream)
    assert giga.usage.calls == 0
    if world.mode == "blocking":
        list(stream)
    else:
        asyncio.run(_read(stream))
    assert (giga.usage.calls, giga.usage.input_tokens, giga.usage.output_tokens) == (1, 5, 2)
    assert giga.usage.models.keys() == {"GigaChat"}


@pytest.mark.parametrize("method", ["chat", "chat.create"])
def test_an_answer_without_usage_is_a_call_with_unknown_tokens(world: World, method: str) -> None:
    giga = world.client(access_token="t")
    world.answers = [Answer({"choices": [], "messages": [], "model": "GigaChat-2:1"})]
    world.do(giga, method, "x")
    assert giga.usage.models["GigaChat-2"].unknown == giga.usage.calls == 1


def test_copies_begin_at_zero_and_views_share(world: World) -> None:
    giga = world.client(access_token="t")
    world.chat(giga, "x")
    assert copy.copy(giga).usage.calls == giga.with_options(max_retries=1).usage.calls == 1
    assert copy.deepcopy(giga).usage.calls == pickle.loads(pickle.dumps(giga)).usage.calls == 0


def _price(**changes: Any) -> Price:
    return Price(**{"input": 100.0, "output": 200.0, "date": date(2026, 1, 1), **changes})


@pytest.mark.parametrize(
    ("prices", "cost"),
    [
        (None, None),
        ({}, None),
        ({"GigaChat": _price()}, None),
        ({"GigaChat": _price(), "Embeddings": _price(input=10.0)}, 17 * 0.1 + 3 * 0.2 + 7 * 0.01),
        ({"GigaChat": _price(), "Embeddings": _price(currency="USD")}, None),
    ],
)
def test_the_cost_is_known_if_all_prices_are(world: World, prices: Any, cost: float | None) -> None:
    giga = world.client(access_token="t")
    assert giga.usage.cost() == 0.0
    world.chat(giga, "x")
    world.answers = [Answer(EMBEDDINGS)]
    world.do(giga, "embeddings", ["a", "b"])
    assert giga.usage.cost(prices) == (None if cost is None else pytest.approx(cost))


# Runs

CALLS_TOOL = {
    "choices": [
        {
            "message": {"role": "assistant", "content": "", "function_call": {"name": "add", "arguments": {"a": 1}}},
            "index": 0,
            "finish_reason": "function_call",
        }
    ],
    "created": 1,
    "model": "GigaChat:2.0.28.2",
    "object": "chat.completion",
    "usage": COMPLETION["usage"],
}


def add(a: int) -> int:
    """Add.

    Args:
        a: Number.
    """
    if a > 5:
        raise ValueError("too large")
    return a


def test_a_run_its_chats_and_its_tools_are_told(world: World, notes: Notes, giga: GigaChat) -> None:
    world.answers = [Answer(CALLS_TOOL), Answer(COMPLETION)]
    world.do(giga, "chat_run", "x", tools=[add])
    assert notes.names == [
        *("run_started", "call_started", "attempt", "answered"),
        *("tool_started", "tool_ended", "call_started", "attempt", "answered", "run_ended"),
    ]
    (run,) = notes.runs
    assert [call.run for call in notes.calls] == [run, run]
    assert (run.tools, run.model, run.steps, run.stop, run.outcome) == (("add",), "GigaChat", 2, "answer", "answered")
    (tool,) = notes.tools
    assert (tool.run, tool.name, tool.outcome) == (run, "add", "answered")


@pytest.mark.parametrize("on_error", ["tell", "raise"])
def test_the_error_of_a_tool_is_told(world: World, notes: Notes, giga: GigaChat, on_error: Any) -> None:
    called = copy.deepcopy(CALLS_TOOL)
    called["choices"][0]["message"]["function_call"]["arguments"] = {"a": 7}  # type: ignore[index]
    world.answers = [Answer(called), Answer(COMPLETION)]
    if on_error == "raise":
        with pytest.raises(ValueError, match="too large"):
            world.do(giga, "chat_run", "x", tools=[add], on_error=on_error)
        assert notes.names[-1] == "run_ended"
        assert notes.runs[0].outcome == "failed"
    else:
        world.do(giga, "chat_run", "x", tools=[add], on_error=on_error)
        assert notes.runs[0].outcome == "answered"
    assert isinstance(notes.errors[0], ValueError)
    assert notes.tools[0].outcome == "failed"


@pytest.mark.parametrize("end", ["close", "abandon"])
def test_a_run_that_is_given_up_ends(world: World, notes: Notes, giga: GigaChat, end: str) -> None:
    world.answers = [Answer(pieces=[sse(CHUNK), sse(LAST)])]
    events = world.method(giga, "chat_run_stream")("x", tools=[add])
    _begin(world, events)
    if end == "close":
        finish(events.close()) if world.mode == "async" else events.close()
    else:
        warned: Any = pytest.warns(ResourceWarning) if world.mode == "async" else mock.patch.object(gc, "garbage", [])
        with warned:
            del events
            gc.collect()
    assert notes.names[-2:] == ["stream_ended", "run_ended"]
    assert notes.runs[0].outcome == notes.calls[0].outcome == {"close": "closed", "abandon": "abandoned"}[end]


# The log


def test_calls_are_logged_with_their_request_ids(world: World, caplog: pytest.LogCaptureFixture) -> None:
    giga = world.client(credentials="c2VjcmV0OmNhbmFyeQ==", max_retries=1)
    world.answers = [error(503, x_request_id="one"), Answer(COMPLETION, headers={"x-request-id": "two"})]
    with caplog.at_level(logging.DEBUG, "gigachat"):
        world.chat(giga, "canary")
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 7
    assert lines[1].startswith("signing in at ")
    assert "request id one, next" not in lines[4]
    assert "failed (status 503, request id one), next attempt in" in lines[4]
    assert lines[6].endswith("200 in 0.000 s, 17+3 tokens, request id two") or "17+3 tokens, request id two" in lines[6]
    assert "canary" not in caplog.text
    assert "token-1" not in caplog.text


def test_at_info_each_call_is_one_line(world: World, caplog: pytest.LogCaptureFixture) -> None:
    giga = world.client(access_token="t")
    with caplog.at_level(logging.INFO, "gigachat"):
        world.chat(giga, "x")
        world.answers = [error(400, "canary", x_request_id="bad")]
        with pytest.raises(BadRequestError):
            world.chat(giga, "x")
        world.answers = [Answer(pieces=[sse(LAST), DONE])]
        world.read(giga, "x")
    assert [record.levelname for record in caplog.records] == ["INFO"] * 3
    failed = caplog.records[1].getMessage()
    assert "failed, BadRequestError" in failed
    assert failed.endswith("request id bad")
    assert "stream answered" in caplog.records[2].getMessage()
    assert "canary" not in caplog.text


def test_a_name_cannot_forge_a_line(world: World, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "gigachat"):
        world.chat(world.client(access_token="t"), "x", model="a\nINFO gigachat: forged")
    assert len(caplog.records) == 3
    assert all("\n" not in record.getMessage() for record in caplog.records)
    assert any("a\\nINFO" in record.getMessage() for record in caplog.records)


def test_without_a_level_nothing_is_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.chat(world.client(), "x")
    assert caplog.records == []
