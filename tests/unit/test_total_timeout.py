"""`total_timeout`: one time for the whole call, from the wait for a slot to the last byte."""

from __future__ import annotations

import asyncio
import base64
import uuid
from typing import Any

import pytest

from gigachat import APITimeoutError, AuthenticationError, ServerError, TotalTimeoutError
from gigachat._engine.errors import total_timeout_error
from gigachat._engine.transport import Failure, Request, Stage
from tests.support.payloads import DONE
from tests.unit.test_stream import FIRST, texts
from tests.unit.world import Answer, World, error, finish, lost


def deadlines(world: World) -> list[float | None]:
    return [request.deadline for request in world.requests]


def taking(world: World, seconds: float, answer: Answer | Exception) -> Any:
    """An answer that takes its time."""

    def answered(_: Request) -> Answer:
        world.time += seconds
        if isinstance(answer, Exception):
            raise answer
        return answer

    return answered


def limited(world: World, monkeypatch: pytest.MonkeyPatch, **options: Any) -> tuple[Any, list[Any]]:
    """A client of one slot, which is taken; and the holder of the slot, to be released while somebody waits."""
    key = base64.b64encode(uuid.uuid4().bytes).decode()
    giga = world.client(credentials=key, max_concurrency=1, **options)
    limiter = giga._service.limiter
    assert limiter is not None
    held: list[Any] = []

    async def wait(signal: Any, timeout: float | None) -> bool:
        await world.pass_over()
        world.time += timeout or 0.0
        while held and callable(held[-1]) and held[-1]():
            held.clear()
        return bool(signal.is_set())

    monkeypatch.setattr(world, "wait", wait)
    held.append(finish(limiter.acquire(world, 1, 1)))
    return giga, held


def test_without_it_no_call_has_an_end(world: World) -> None:
    giga = world.client()
    world.chat(giga, "x")
    assert deadlines(world) == [None, None]
    assert world.requests[0].timeouts.total is None


def test_all_requests_of_a_call_end_at_the_same_time_and_the_next_call_later(world: World) -> None:
    giga = world.client(total_timeout=30)
    world.sign_ins = [taking(world, 2, world.token())]
    world.answers = [error(503), taking(world, 1, error(401)), Answer({"choices": []})]
    world.chat(giga, "x")
    assert deadlines(world) == [1030] * len(world.requests)
    assert len(world.sign_in_requests) == 2
    assert len(world.api_requests) == 3
    world.time = 1100.0
    world.chat(giga, "x")
    assert deadlines(world)[-1] == 1130
    assert world.requests[-1].timeouts.total == 30


def test_a_view_with_another_timeout_keeps_it(world: World) -> None:
    view = world.client(total_timeout=30).with_options(timeout=(1, 2), max_retries=0)
    world.chat(view, "x")
    assert deadlines(world) == [1030, 1030]
    request = world.api_requests[0]
    assert (request.timeouts.connect, request.timeouts.read, request.timeouts.total) == (1, 2, 30)


def test_the_other_address_of_a_chat_v2_is_sought_within_it(world: World) -> None:
    giga = world.client(total_timeout=30)
    world.answers = [taking(world, 5, Answer(b"<html>", 404)), Answer({"messages": []})]
    if world.mode == "blocking":
        giga.chat.create("x")
    else:

        async def main() -> None:
            await giga.achat.create("x")

        asyncio.run(main())
    assert len(world.api_requests) == 2
    assert set(deadlines(world)) == {1030}


# Pauses.


def test_pauses_take_no_longer_and_what_was_answered_is_named(world: World) -> None:
    giga = world.client(total_timeout=5, max_retries=100, retry_backoff_factor=1)
    world.answers = [error(503, "busy") for _ in range(100)]
    with pytest.raises(APITimeoutError, match=r"longer than total_timeout=5 s: .*busy") as raised:
        world.chat(giga, "x")
    assert 1 < len(world.api_requests) < 100
    assert sum(world.sleeps) == pytest.approx(world.time - 1000)
    assert world.time < 1005
    assert str(raised.value).count("total_timeout") == 1


@pytest.mark.parametrize("asked", ["5", "5.5"])
def test_a_pause_that_would_end_too_late_is_not_begun(world: World, asked: str) -> None:
    giga = world.client(total_timeout=5)
    world.answers = [error(503, "busy", Retry_After=asked)]
    with pytest.raises(APITimeoutError, match="total_timeout=5 s"):
        world.chat(giga, "x")
    assert world.sleeps == []
    assert len(world.api_requests) == 1


def test_a_pause_that_ends_in_time_is_made(world: World) -> None:
    giga = world.client(total_timeout=5)
    world.answers = [error(503, "busy", Retry_After="3"), Answer({"choices": []})]
    assert world.chat(giga, "x").choices == []
    assert 3 <= world.sleeps[0] < 5


def test_pauses_for_429_count_too(world: World) -> None:
    giga = world.client(total_timeout=5, rate_limit_timeout=60)
    world.answers = [error(429, "too many", Retry_After="2") for _ in range(10)]
    with pytest.raises(APITimeoutError, match=r"total_timeout=5 s: .*too many"):
        world.chat(giga, "x")
    assert 1 < len(world.api_requests) < 4
    assert world.time < 1005


def test_what_is_not_tried_again_is_its_own_error(world: World) -> None:
    giga = world.client(total_timeout=5, max_retries=0)
    world.answers = [taking(world, 4.5, error(503, "busy"))]
    with pytest.raises(ServerError, match="busy"):
        world.chat(giga, "x")


@pytest.mark.parametrize("stage", [Stage.CONNECTING, Stage.WAITING])
def test_a_request_that_took_all_the_time_is_not_sent_again_and_its_error_says_so_once(
    world: World, stage: Stage
) -> None:
    giga = world.client(total_timeout=5)
    failure = Failure(stage, total_timeout_error(5, "host did not answer"))
    world.answers = [taking(world, 5, failure)]
    with pytest.raises(APITimeoutError, match="total_timeout=5 s: host did not answer") as raised:
        world.do(giga, "get_models")
    assert len(world.api_requests) == 1
    assert world.sleeps == []
    assert str(raised.value).count("total_timeout") == 1


def test_a_request_that_failed_before_the_end_is_sent_again_in_time(world: World) -> None:
    giga = world.client(total_timeout=5)
    world.answers = [taking(world, 2, lost(Stage.CONNECTING)), Answer({"choices": []})]
    assert world.chat(giga, "x").choices == []
    assert deadlines(world)[-1] == 1005


# Sign-in.


def test_a_sign_in_that_takes_all_the_time_ends_the_call(world: World) -> None:
    giga = world.client(total_timeout=5)
    failure = Failure(Stage.WAITING, total_timeout_error(5, "the sign-in did not answer"))
    world.sign_ins = [taking(world, 5, failure)]
    with pytest.raises(APITimeoutError, match="total_timeout=5 s: the sign-in did not answer") as raised:
        world.chat(giga, "x")
    assert world.api_requests == []
    assert len(world.sign_in_requests) == 1
    assert str(raised.value).count("total_timeout") == 1


def test_a_token_of_the_callers_function_that_comes_too_late_ends_the_call(world: World) -> None:
    def provide() -> str:
        world.time += 7
        return "t"

    giga = world.client(total_timeout=5, access_token_provider=provide)
    with pytest.raises(TotalTimeoutError, match="total_timeout=5 s: the access token came too late"):
        world.chat(giga, "x")
    assert world.requests == []


def test_pauses_of_the_sign_in_count_too(world: World) -> None:
    giga = world.client(total_timeout=5, max_retries=100, retry_backoff_factor=1)
    world.sign_ins = [error(503, "busy") for _ in range(100)]
    with pytest.raises(APITimeoutError, match=r"total_timeout=5 s: .*busy"):
        world.chat(giga, "x")
    assert 1 < len(world.sign_in_requests) < 100
    assert world.time < 1005
    assert world.api_requests == []


def test_a_refusal_of_the_key_is_its_own_error(world: World) -> None:
    giga = world.client(total_timeout=5)
    world.sign_ins = [taking(world, 4, error(401, "no such key"))]
    with pytest.raises(AuthenticationError, match="no such key"):
        world.chat(giga, "x")


def test_the_next_call_signs_in_with_time_of_its_own(world: World) -> None:
    giga = world.client(total_timeout=5)
    world.sign_ins = [taking(world, 5, Failure(Stage.WAITING, total_timeout_error(5, "no answer")))]
    with pytest.raises(APITimeoutError):
        world.chat(giga, "x")
    assert world.chat(giga, "x").choices
    assert [request.deadline for request in world.sign_in_requests] == [1005, 1010]


# Slots.


def test_a_slot_is_not_waited_for_any_longer(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    giga, held = limited(world, monkeypatch, total_timeout=2.5)
    with pytest.raises(APITimeoutError, match=r"total_timeout=2.5 s: max_concurrency=1 .*other requests"):
        world.chat(giga, "x")
    assert world.time == 1002.5
    assert world.requests == []
    held[0].release()
    assert world.chat(giga, "x").choices


@pytest.mark.parametrize(("total", "named"), [(3, "queue_timeout=2 s"), (2, "total_timeout=2 s"), (1, "total_timeout")])
def test_the_error_names_the_setting_that_ended_the_wait(
    world: World, monkeypatch: pytest.MonkeyPatch, total: float, named: str
) -> None:
    giga, held = limited(world, monkeypatch, total_timeout=total, queue_timeout=2)
    with pytest.raises(APITimeoutError, match=named):
        world.chat(giga, "x")
    assert world.time == 1000 + min(total, 2)
    assert held


def test_the_wait_for_a_slot_is_a_part_of_the_call(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    giga, held = limited(world, monkeypatch, total_timeout=5)
    slot = held[0]

    def released() -> bool:
        if world.time >= 1002:
            slot.release()
            return True
        return False

    held.append(released)
    assert world.chat(giga, "x").choices
    assert world.time == 1002
    assert deadlines(world) == [1005, 1005]


# Streams.


def read_all(world: World, stream: Any, into: list[Any]) -> None:
    if world.mode == "blocking":
        into.extend(stream)
        return

    async def main() -> None:
        async for chunk in stream:
            into.append(chunk)

    asyncio.run(main())


def test_a_stream_begins_when_it_is_read(world: World) -> None:
    giga = world.client(total_timeout=5)
    world.answers = [Answer(pieces=[FIRST, DONE])]
    stream: Any = giga.stream("x") if world.mode == "blocking" else giga.astream("x")
    world.time += 100
    came: list[Any] = []
    read_all(world, stream, came)
    assert texts(came) == ["При"]
    assert deadlines(world) == [1105, 1105]


def test_a_stream_that_takes_longer_is_a_timeout_behind_what_came(world: World) -> None:
    giga = world.client(total_timeout=5)
    failure = Failure(Stage.READING, total_timeout_error(5, "host sent nothing more"))
    answer = Answer(pieces=[FIRST, failure])
    world.answers = [answer]
    came: list[Any] = []
    with pytest.raises(APITimeoutError, match="total_timeout=5 s: host sent nothing more"):
        world.read(giga, "x", into=came)
    assert texts(came) == ["При"]
    assert answer.state == "closed"
    assert len(world.api_requests) == 1


def test_a_stream_waits_for_its_slot_no_longer(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    giga, held = limited(world, monkeypatch, total_timeout=2)
    with pytest.raises(APITimeoutError, match=r"total_timeout=2 s: max_concurrency=1"):
        world.read(giga, "x")
    assert world.time == 1002
    assert world.requests == []
    assert held
