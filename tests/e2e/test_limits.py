"""Limits over real sockets: slots of a credential, connections of a client, and patience with 429; in both modes."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from gigachat import APITimeoutError, GigaChat, QueueTimeoutError, RateLimitError, ServerError, StreamInterruptedError
from gigachat._engine import registry
from gigachat._engine.auth.tokens import Authorization
from gigachat.server import GigaChatServer
from tests.support.callers import Caller, Mode, options
from tests.support.programs import LEFT_OPEN
from tests.support.raw_servers import Gate, raw_server
from tests.support.waiting import begun, until

LONG = "Расскажи о себе"


@contextmanager
def gated(**more: Any) -> Iterator[tuple[dict[str, Any], Gate]]:
    """How to reach a gate, without signing in, with a credential of its own."""
    gate = Gate()
    with raw_server(gate.answer) as (origin, _):
        try:
            yield {"base_url": f"{origin}/v1", "access_token": uuid.uuid4().hex, "max_retries": 0, **more}, gate
        finally:
            gate.open(1000)


def waiting(giga: GigaChat) -> int:
    """How many wait for a slot of the client's credential."""
    limiter = giga._service.limiter
    assert limiter is not None
    return len(limiter._queue)


class Opened:
    """A stream with its first chunk taken, in the caller's mode."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self.stream = caller.method("stream")(LONG)
        self.step()

    def step(self) -> None:
        self._caller.next(self.stream)

    def read_on(self) -> int:
        if self._caller.mode == "blocking":
            return len(list(self.stream))

        async def rest() -> int:
            return len([chunk async for chunk in self.stream])

        return int(self._caller.run(rest()))

    def close(self) -> None:
        if self._caller.mode == "blocking":
            self.stream.close()
        else:
            self._caller.run(self.stream.close())


# Slots: at most so many requests of a credential at once.


def test_no_more_than_permitted_are_in_work_at_once(mode: Mode) -> None:
    with gated(max_concurrency=3) as (reach, gate), Caller(mode, reach) as caller:
        answers: list[Any] = []
        done = begun(lambda: answers.extend(caller.together(12, "x")))
        for count in range(3, 13):
            gate.wait_for(count)
            gate.open()
        gate.open(2)
        done.join(20)
        assert [answer for answer in answers if isinstance(answer, Exception)] == []
        assert (gate.most, len(answers)) == (3, 12)


def test_the_order_of_arrival_holds_across_threads_tasks_loops_and_clients() -> None:
    with gated(max_concurrency=1) as (reach, gate):
        clients = [GigaChat(**reach) for _ in range(2)]
        loops = [asyncio.new_event_loop() for _ in range(2)]
        turning = [begun(loop.run_forever) for loop in loops]
        begun_so_far: list[Any] = []
        for number in range(12):
            giga = clients[number % 2]
            if number % 3 == 0:
                begun_so_far.append(begun(partial(giga.chat, str(number))))
            else:
                begun_so_far.append(
                    asyncio.run_coroutine_threadsafe(giga.achat(str(number)), loops[number % 3 - 1]),
                )
            if number == 0:
                gate.wait_for(1)
            until(lambda number=number: waiting(clients[0]) == number)  # type: ignore[misc]
        gate.open(12)
        for one in begun_so_far:
            one.join(20) if isinstance(one, threading.Thread) else one.result(20)
        assert gate.arrived == [str(number) for number in range(12)]
        assert gate.most == 1
        for loop, thread in zip(loops, turning, strict=True):
            asyncio.run_coroutine_threadsafe(clients[0].aclose(), loop).result(10)
            asyncio.run_coroutine_threadsafe(clients[1].aclose(), loop).result(10)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()


def test_waiting_for_a_slot_has_a_timeout_of_its_own(mode: Mode) -> None:
    with gated(max_concurrency=1, queue_timeout=0.05) as (reach, gate), Caller(mode, reach) as caller:
        first = begun(lambda: GigaChat(**reach).chat("first"))
        gate.wait_for(1)
        with pytest.raises(QueueTimeoutError, match=r"queue_timeout=0\.05 s: max_concurrency=1 .* other requests"):
            caller.chat("second")
        gate.open()
        first.join(10)
        gate.open()
        assert caller.chat("third").choices
        assert gate.arrived == ["first", "third"]


def test_sign_in_takes_no_slot(server: GigaChatServer, mode: Mode) -> None:
    one_slot = {**options(server), "max_concurrency": 1, "queue_timeout": 0.05, "share_token": False}
    with Caller(mode, one_slot) as caller, Caller(mode, one_slot) as another:
        opened = Opened(caller)
        assert another.do("get_token").access_token
        with pytest.raises(APITimeoutError):
            another.chat("x")
        opened.close()
        assert another.chat("x").choices
    assert len(server.requests_to("oauth")) == 2


def test_other_credentials_have_slots_of_their_own(mode: Mode) -> None:
    with gated(max_concurrency=1, queue_timeout=0.05) as (reach, gate), Caller(mode, reach) as caller:
        first = begun(lambda: GigaChat(**{**reach, "access_token": "another"}).chat("first"))
        gate.wait_for(1)
        gate.open(2)
        assert caller.chat("second").choices
        first.join(10)


def test_clients_of_different_limits_share_one_counter_and_nobody_overtakes(mode: Mode) -> None:
    """Each waits while the count is at its own limit, and behind those who came before."""
    with gated(queue_timeout=20) as (reach, gate):
        with (
            Caller(mode, {**reach, "max_concurrency": 3}) as many,
            Caller(mode, {**reach, "max_concurrency": 1}) as one,
        ):
            wide, narrow = many.giga, one.giga
            threads = [begun(lambda: wide.chat("a")), begun(lambda: wide.chat("b"))]
            gate.wait_for(2)
            threads.append(begun(lambda: narrow.chat("narrow")))
            until(lambda: waiting(wide) == 1)
            threads.append(begun(lambda: wide.chat("late")))
            until(lambda: waiting(wide) == 2)
            gate.open()
            threads[0].join(0.01)
            assert len(gate.arrived) == 2
            gate.open()
            gate.wait_for(4)  # the late one is let in beside the narrow one: two are fewer than three
            gate.open(2)
            for thread in threads:
                thread.join(20)
            assert sorted(gate.arrived[:2]) == ["a", "b"]
            assert sorted(gate.arrived[2:]) == ["late", "narrow"]
            assert gate.most == 2


# Streams keep their slot.


@pytest.mark.filterwarnings(LEFT_OPEN)
@pytest.mark.parametrize("end", ["read", "closed", "collected"])
def test_a_stream_keeps_its_slot_until_it_ends(server: GigaChatServer, mode: Mode, end: str) -> None:
    with Caller(mode, {**options(server), "max_concurrency": 1, "queue_timeout": 0.05}) as caller:
        opened = Opened(caller)
        assert "other requests or open streams hold all of them" in str(caller.together(1, "x")[0])
        if end == "read":
            assert opened.read_on() > 1
        elif end == "closed":
            opened.close()
        else:
            del opened
            gc.collect()
        assert caller.chat("x").choices
    assert len(server.requests_to("chat/completions")) == 2


@pytest.mark.parametrize("fault", ["cut", "error", "refused"])
def test_a_stream_that_breaks_gives_its_slot_back(server: GigaChatServer, mode: Mode, fault: str) -> None:
    with Caller(mode, {**options(server), "max_concurrency": 1, "queue_timeout": 5, "max_retries": 0}) as caller:
        if fault == "cut":
            server.cut(after_events=2)
        elif fault == "error":
            server.stream_events([{"status": 500, "message": "broken"}])
        else:
            server.fail(500, path="chat/completions")
        with pytest.raises((StreamInterruptedError, ServerError)):
            caller.read("x")
        assert caller.chat("x").choices


def test_a_stream_held_by_the_one_who_asks_is_named(server: GigaChatServer, mode: Mode) -> None:
    with Caller(mode, {**options(server), "max_concurrency": 1, "queue_timeout": 0.05}) as caller:
        named = "this thread or task holds an open stream itself"
        if mode == "blocking":
            stream = caller.giga.stream("x")
            next(stream)
            with pytest.raises(APITimeoutError, match=named):
                caller.giga.chat("x")
            stream.close()
            return

        async def main() -> None:
            stream = caller.giga.astream("x")
            await anext(stream)
            with pytest.raises(APITimeoutError, match=named):
                await caller.giga.achat("x")
            await stream.close()

        caller.run(main())


def test_a_stream_of_a_thread_or_task_that_has_ended_is_not_held_by_the_next(
    server: GigaChatServer, mode: Mode
) -> None:
    """Numbers of threads and addresses of tasks are used again."""
    with Caller(mode, {**options(server), "max_concurrency": 1, "queue_timeout": 0.01}) as caller:
        streams: list[Any] = []

        async def in_task() -> None:
            streams.append(caller.giga.astream("x"))
            await anext(streams[0])

        def in_thread() -> None:
            streams.append(caller.giga.stream("x"))
            next(streams[0])

        if mode == "hybrid":
            caller.run(in_task())
        else:
            begun(in_thread).join(20)
        for _ in range(5):
            assert "other requests or open streams" in str(caller.together(1, "x")[0])
        if mode == "hybrid":
            caller.run(streams[0].close())
        else:
            streams[0].close()


# Those who wait and go.


def test_a_cancelled_waiter_leaves_its_place_to_the_next() -> None:
    with gated(max_concurrency=1, queue_timeout=20) as (reach, gate), Caller("hybrid", reach) as caller:

        async def main() -> None:
            tasks = [asyncio.create_task(caller.giga.achat(str(number))) for number in range(4)]
            while waiting(caller.giga) < 3:
                await asyncio.sleep(0)
            await asyncio.to_thread(gate.wait_for, 1)
            tasks[1].cancel()
            with pytest.raises(asyncio.CancelledError):
                await tasks[1]
            gate.open()
            await tasks[0]
            # Cancelled with the slot in its hands, and on its way to the server.
            await asyncio.to_thread(gate.wait_for, 2)
            tasks[2].cancel()
            gate.open(2)
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert [isinstance(outcome, BaseException) for outcome in outcomes] == [False, True, True, False]

        caller.run(main())
        assert gate.arrived == ["0", "2", "3"]


def test_a_waiter_whose_loop_died_passes_its_slot_on() -> None:
    with gated(max_concurrency=1, queue_timeout=20) as (reach, gate):
        giga = GigaChat(**reach)
        first = begun(lambda: giga.chat("first"))
        gate.wait_for(1)
        loop = asyncio.new_event_loop()
        dead: Any = loop.create_task(giga.achat("dead"))
        while not waiting(giga):
            loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        last = begun(lambda: giga.chat("last"))
        until(lambda: waiting(giga) == 2)
        gate.open(2)
        first.join(20)
        last.join(20)
        assert gate.arrived == ["first", "last"]
        dead._log_destroy_pending = False  # it is dropped on purpose
        dead.get_coro().close()
        giga.close()


# The table of what is in use.


def test_a_counter_in_use_is_never_replaced(server: GigaChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many other credentials the process has seen meanwhile."""
    monkeypatch.setattr(registry, "_REMEMBERED", 3)
    one = {**options(server), "max_concurrency": 1, "queue_timeout": 0.01}
    holder = GigaChat(**one)
    stream = holder.stream("x")
    next(stream)
    others = [
        GigaChat(base_url=server.base_url, access_token=f"token-{number}", max_concurrency=1) for number in range(9)
    ]
    with pytest.raises(APITimeoutError, match="max_concurrency=1"):
        GigaChat(**one).chat("x")
    stream.close()
    assert GigaChat(**one).chat("x").choices
    for giga in (holder, *others):
        giga.close()


def test_a_token_in_use_is_never_forgotten(server: GigaChatServer, mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_REMEMBERED", 3)
    with Caller(mode, options(server)) as caller:
        caller.chat("x")
        reach = options(server)
        others = [GigaChat(**{**reach, "scope": f"scope-{number}"}) for number in range(9)]
        with Caller(mode, options(server)) as another:
            another.chat("x")
            server.revoke_tokens()
            another.chat("x")
        caller.chat("x")
        for giga in others:
            giga.close()
    assert len(server.requests_to("oauth")) == 2


# Connections of a client.


def test_one_long_stream_on_the_only_connection_makes_others_wait(server: GigaChatServer, mode: Mode) -> None:
    reach = {**options(server), "max_connections": 1, "max_retries": 0, "timeout": 20}
    with Caller(mode, {**reach, "queue_timeout": 0.05}) as caller:
        opened = Opened(caller)
        with pytest.raises(QueueTimeoutError, match=r"queue_timeout=0\.05 s: all of max_connections .* streams"):
            caller.chat("x")
        assert opened.read_on() > 1
        assert caller.chat("x").choices

    with Caller(mode, {**reach, "queue_timeout": 20}) as caller:
        if mode == "blocking":
            stream = caller.giga.stream(LONG)
            next(stream)
            answers: list[Any] = []
            threads = [begun(lambda: answers.append(caller.giga.chat("x"))) for _ in range(3)]
            assert len(list(stream)) > 1
            for thread in threads:
                thread.join(20)
            assert len(answers) == 3
            return

        async def main() -> None:
            stream = caller.giga.astream(LONG)
            await anext(stream)
            asking = [asyncio.create_task(caller.giga.achat("x")) for _ in range(3)]
            for _ in range(20):
                await asyncio.sleep(0)
            assert len([chunk async for chunk in stream]) > 1
            assert all(answer.choices for answer in await asyncio.gather(*asking))

        caller.run(main())


def test_sign_in_does_not_wait_for_the_only_connection(server: GigaChatServer, mode: Mode) -> None:
    with Caller(mode, {**options(server), "max_connections": 1, "queue_timeout": 0.05}) as caller:
        opened = Opened(caller)
        server.revoke_tokens()
        authorization = caller.giga._service.authorization
        assert isinstance(authorization, Authorization)
        token = authorization.valid(caller.transport.now())
        assert token is not None
        authorization.invalidate(token, caller.transport.now())
        assert caller.do("get_token").access_token != token.value
        opened.close()


# 429: patience, not failure.


@pytest.fixture
def pauses(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, each as long as it can be; none is waited for."""
    taken: list[float] = []

    async def sleep(seconds: float) -> None:
        taken.append(seconds)

    monkeypatch.setattr(caller.transport, "sleep", sleep)
    monkeypatch.setattr(random, "uniform", lambda _, high: high)
    return taken


def with_policy(caller: Caller, **changes: Any) -> None:
    service = caller.giga._service
    service.policy = service.policy._replace(**changes)


@pytest.mark.parametrize("asked", ["chat", "stream"])
def test_429_is_waited_out_with_growing_pauses_whatever_the_retries(
    server: GigaChatServer, caller: Caller, pauses: list[float], asked: str
) -> None:
    with_policy(caller, max_retries=1)
    server.fail(429, path="chat/completions", times=6)
    assert caller.chat("x").choices if asked == "chat" else caller.read("x")
    assert pauses == [0.5, 1, 2, 4, 8, 16]
    assert len(server.requests_to("chat/completions")) == 7


def test_429_and_failures_are_counted_apart(server: GigaChatServer, caller: Caller, pauses: list[float]) -> None:
    with_policy(caller, max_retries=1)
    for status in (429, 500, 429):
        server.fail(status, path="chat/completions")
    assert caller.chat("x").choices
    for status in (429, 500, 429, 503):
        server.fail(status, path="chat/completions")
    with pytest.raises(ServerError):
        caller.chat("x")
    assert len(pauses) == 6


def test_patience_with_429_ends_with_rate_limit_timeout(
    server: GigaChatServer, caller: Caller, pauses: list[float]
) -> None:
    with_policy(caller, rate_limit_timeout=3.0)
    server.fail(429, path="chat/completions", times=100)
    with pytest.raises(RateLimitError, match="max_concurrency"):
        caller.chat("x")
    assert pauses == [0.5, 1, 1.5]  # the last one is what is left
    assert len(server.requests_to("chat/completions")) == 4


def test_retry_after_longer_than_the_patience_raises_at_once(
    server: GigaChatServer, caller: Caller, pauses: list[float]
) -> None:
    with_policy(caller, rate_limit_timeout=3.0)
    server.fail(429, path="chat/completions", headers={"Retry-After": "4"})
    with pytest.raises(RateLimitError) as raised:
        caller.chat("x")
    assert raised.value.retry_after == 4
    server.fail(429, path="chat/completions", headers={"Retry-After": "2"})
    assert caller.chat("x").choices
    assert pauses == [2.5]


@pytest.mark.parametrize("changes", [{"max_retries": 0}, {"on_status_codes": frozenset({500})}])
def test_429_that_is_not_to_be_retried_raises_at_once(
    server: GigaChatServer, caller: Caller, pauses: list[float], changes: dict[str, Any]
) -> None:
    with_policy(caller, **changes)
    server.fail(429, path="chat/completions")
    with pytest.raises(RateLimitError):
        caller.chat("x")
    assert pauses == []
    assert len(server.requests_to("chat/completions")) == 1


def test_a_slot_is_kept_while_429_is_waited_out(server: GigaChatServer, mode: Mode) -> None:
    """One slot, one request: whoever waits for the service does not make room for others to be refused as well."""
    with Caller(mode, {**options(server), "max_concurrency": 1, "queue_timeout": 0.01}) as caller:
        seen: list[Any] = []

        async def sleep(seconds: float) -> None:
            with pytest.raises(APITimeoutError, match="other requests"):
                await asyncio.to_thread(lambda: GigaChat(**one).chat("y")) if mode == "hybrid" else join()
            seen.append(seconds)

        def join() -> None:
            raised: list[Any] = []

            def ask() -> None:
                try:
                    GigaChat(**one).chat("y")
                except APITimeoutError as error:
                    raised.append(error)

            begun(ask).join(20)
            raise raised[0]

        one = {**options(server), "max_concurrency": 1, "queue_timeout": 0.01}
        caller.transport.sleep = sleep
        server.fail(429, path="chat/completions")
        assert caller.chat("x").choices
        assert len(seen) == 1
