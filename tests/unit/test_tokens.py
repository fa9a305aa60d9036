"""The one refresh that all callers of a key share: who leads it, and who does when the leader is gone."""

from __future__ import annotations

import asyncio
import base64
import gc
import uuid
from typing import TYPE_CHECKING, Any
from weakref import ref

import pytest

from gigachat import APITimeoutError, ServerError, TotalTimeoutError
from gigachat._engine.auth.tokens import Authorization, TokenEntry, _Outcome, _Refresh
from gigachat._engine.transport import Failure, Stage
from tests.unit.world import Answer, World, error, finish

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from gigachat import GigaChat
    from gigachat._engine.transport import Request


@pytest.fixture
def many() -> World:
    return World("async")


def shared_key() -> dict[str, Any]:
    """Options of clients that share a token with each other and with no other test."""
    return {"credentials": base64.b64encode(uuid.uuid4().bytes).decode(), "share_token": True}


def entry_of(giga: GigaChat) -> TokenEntry:
    authorization = giga._service.authorization
    assert isinstance(authorization, Authorization)
    return authorization._entry


def begun(coroutine: Coroutine[Any, Any, Any], steps: int = 1) -> Any:
    """Resume a call so many times by hand; see `finish`."""
    for _ in range(steps):
        coroutine.send(None)
    return coroutine


def tokens_used(world: World) -> list[str]:
    return [request.headers["Authorization"].removeprefix("Bearer ") for request in world.api_requests]


# The leader ends without an outcome.


def test_a_leader_that_is_dropped_hands_over(many: World) -> None:
    giga = many.client()
    leader = begun(giga.achat("leads"))
    waiting = [begun(giga.achat("waits")), begun(giga.achat("waits too"))]
    assert len(many.sign_in_requests) == 1
    del leader
    assert [finish(call).choices[0].message.content for call in waiting] == ["Hello."] * 2
    assert len(many.sign_in_requests) == 2
    assert tokens_used(many) == ["token-1"] * 2


@pytest.mark.parametrize("problem", [asyncio.CancelledError, KeyboardInterrupt, RuntimeError])
def test_a_leader_that_is_interrupted_hands_over_though_its_traceback_is_kept(
    many: World, problem: type[BaseException]
) -> None:
    giga = many.client()
    leader = begun(giga.achat("leads"))
    waiting = begun(giga.achat("waits"))
    with pytest.raises(problem) as kept:
        leader.throw(problem)
    finish(waiting)
    finish(giga.achat("comes later"))
    assert kept.tb is not None
    assert len(many.sign_in_requests) == 2
    assert tokens_used(many) == ["token-1"] * 2


@pytest.mark.parametrize("began", ["never", "before"])
def test_a_leader_that_left_without_a_word_is_replaced(many: World, began: str) -> None:
    """As by an exception of a signal handler between two instructions, where no `finally` is passed."""
    giga = many.client()
    entry = entry_of(giga)
    refresh = _Refresh(_Outcome())
    entry.refresh = ref(refresh)
    if began == "never":
        del refresh
        finish(giga.achat("leads"))
    else:
        waiting = begun(giga.achat("waits"), 10)
        assert many.sign_in_requests == []
        del refresh
        finish(waiting)
        assert many.time < 1000 + 2  # who waits looks once a second
    assert len(many.sign_in_requests) == 1
    assert tokens_used(many) == ["token-1"]


def test_who_waits_does_not_keep_the_refresh_of_a_leader(many: World) -> None:
    giga = many.client()
    refresh = _Refresh(_Outcome())
    entry_of(giga).refresh = ref(refresh)
    waiting = [begun(giga.achat("waits"), 10) for _ in range(3)]
    known = ref(refresh)
    gc.disable()
    try:
        del refresh
        assert known() is None
    finally:
        gc.enable()
    for call in waiting:
        finish(call)
    assert len(many.sign_in_requests) == 1


def test_a_refresh_that_failed_is_over_though_a_traceback_keeps_it(many: World) -> None:
    giga = many.client()
    finish(giga.achat("x"))
    many.time += 1800 - 50
    kept = []

    def refuse(request: Request) -> Answer:
        known = entry_of(giga).refresh
        assert known is not None
        kept.append(known())
        return error(500)

    many.sign_ins = [refuse, refuse]
    for _ in range(2):
        finish(giga.achat("x"))
        many.time += 6
    assert len(kept) == 2


def test_a_token_brought_by_another_ends_the_wait(many: World) -> None:
    giga = many.client()
    leader = begun(giga.achat("leads"))
    waiting = begun(giga.achat("waits"), 50)
    finish(leader)
    finish(waiting)
    assert many.time == 1000  # it was woken
    assert len(many.sign_in_requests) == 1


def test_a_refresh_under_way_is_forgotten_by_a_child_process(many: World) -> None:
    giga = many.client()
    leader = begun(giga.achat("leads"))
    entry_of(giga).reset()
    finish(giga.achat("the child's"))
    assert len(many.sign_in_requests) == 2
    leader.close()


# Each caller's own time.


def test_what_ends_the_leaders_time_is_not_the_error_of_who_waits(many: World) -> None:
    options = shared_key()
    hasty, patient = many.client(**options, total_timeout=2), many.client(**options)

    def slow(request: Request) -> Answer:
        assert request.deadline == 1002
        many.time = 1002
        raise Failure(Stage.WAITING, APITimeoutError("no answer"))

    many.sign_ins = [slow]
    leader = begun(hasty.achat("leads"))
    waiting = begun(patient.achat("waits"))
    with pytest.raises(APITimeoutError, match=r"total_timeout=2 s.*no answer"):
        finish(leader)
    assert finish(waiting).choices
    assert [request.deadline for request in many.sign_in_requests] == [1002, None]
    assert tokens_used(many) == ["token-1"]


def test_a_pause_the_leader_has_no_time_for_is_not_the_error_of_who_waits(many: World) -> None:
    options = shared_key()
    hasty, patient = many.client(**options, total_timeout=2), many.client(**options)
    many.sign_ins = [error(503, "busy", Retry_After="5")]
    leader = begun(hasty.achat("leads"))
    waiting = begun(patient.achat("waits"))
    with pytest.raises(APITimeoutError, match=r"total_timeout=2 s.*busy"):
        finish(leader)
    assert many.time == 1000  # there was no sense in waiting
    assert finish(waiting).choices
    assert [request.deadline for request in many.sign_in_requests] == [1002, None]


def test_an_error_that_is_not_about_the_leaders_time_is_shared(many: World) -> None:
    options = {**shared_key(), "max_retries": 0}
    hasty, patient = many.client(**options, total_timeout=2), many.client(**options)
    many.sign_ins = [error(503, "busy")]
    leader = begun(hasty.achat("leads"))
    waiting = begun(patient.achat("waits"))
    for call in (leader, waiting):
        with pytest.raises(ServerError, match="busy"):
            finish(call)
    assert len(many.sign_in_requests) == 1


def test_who_waits_is_not_kept_longer_than_its_own_time(many: World) -> None:
    options = shared_key()
    patient, hasty = many.client(**options), many.client(**options, total_timeout=2.5)
    leader = begun(patient.achat("leads"))
    waiting = hasty.achat("waits")
    with pytest.raises(APITimeoutError, match=r"total_timeout=2.5 s.*sign-in of another caller"):
        finish(waiting)
    assert many.time == 1002.5
    assert finish(leader).choices  # the sign-in goes on
    assert len(many.sign_in_requests) == 1
    assert tokens_used(many) == ["token-1"]


def test_a_valid_token_is_used_while_its_refresh_takes_the_leaders_time(many: World) -> None:
    options = shared_key()
    hasty, patient = many.client(**options, total_timeout=2), many.client(**options)
    finish(patient.achat("signs in"))
    many.time += many.token_lifetime - 30

    def slow(_: object) -> Answer:
        many.time += 3
        raise Failure(Stage.WAITING, APITimeoutError("no answer"))

    many.sign_ins = [slow]
    leader = begun(hasty.achat("refreshes"))
    assert finish(patient.achat("does not wait")).choices
    with pytest.raises(TotalTimeoutError):
        finish(leader)
    assert finish(patient.achat("goes on")).choices
    assert tokens_used(many) == ["token-1"] * 3
