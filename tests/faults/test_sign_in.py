"""Signing in over real sockets: faults on that way, renewal by crowds, wrong clocks, other people's headers."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from gigachat import (
    APIConnectionError,
    APITimeoutError,
    AsyncGigaChat,
    AuthenticationError,
    BadRequestError,
    GigaChat,
    GigaChatException,
    ResponseError,
    ServerError,
)
from gigachat.context import authorization_cvar, custom_headers_cvar, session_id_cvar
from tests.faults.faults import FAULTS, Ends, Fault, status_answer
from tests.faults.operations import Operation, named
from tests.faults.rules import MAX_RETRIES, RATE_LIMIT_TIMEOUT, Expected, expected
from tests.faults.skipped import SkippedTime
from tests.support.callers import MODES, Caller, Mode
from tests.support.payloads import grant, http
from tests.support.servers import KEY, Act, Peer, Received, Server
from tests.support.waiting import PATIENCE, patiently

PATIENT: dict[str, Any] = {
    "max_retries": MAX_RETRIES,
    "retry_backoff_factor": 0,
    "rate_limit_timeout": RATE_LIMIT_TIMEOUT,
    "retry_timeout": 1000,
    "max_concurrency": 1,
    "share_token": False,
}
SIGN_IN = Operation(
    "get_token",
    "get_token",
    "reads",
    "POST",
    lambda request: request.body == b"scope=GIGACHAT_API_PERS",
    json.dumps({"access_token": "token-1", "expires_at": 4_000_000_000_000}).encode(),
    lambda result, _: result.access_token == "token-1",
    lambda folder: ((), {}),
)
CHAT = named("chat")[0]
WAYS = (SIGN_IN, *named("chat", "stream", "v2-create", "get_models", "upload-once"))


def combinations() -> Iterator[Any]:
    """Every fault on the way to a token, in what needs the token, in turn in every mode."""
    for number, fault in enumerate(FAULTS):
        for place, operation in enumerate(WAYS):
            if operation is not SIGN_IN and (number + place) % 4:
                continue
            for times in (1, None):
                repeated = expected(SIGN_IN, fault, None, renews=False).attempts > 1
                if (times is None and not repeated) or (times is not None and fault.silent and repeated):
                    continue
                mode = MODES[(number + place + (times is None)) % len(MODES)]
                often = "always" if times is None else "once"
                yield pytest.param(fault, operation, times, mode, id=f"{fault}-{often}-{operation}-{mode}")


@pytest.mark.parametrize(("fault", "operation", "times", "mode"), list(combinations()))
def test_a_fault_on_the_way_to_a_token(
    fault: Fault,
    operation: Operation,
    times: int | None,
    mode: Mode,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(random, "uniform", lambda low, high: high)
    if fault.silent:
        patiently(lambda seconds: _meet(fault, operation, times, mode, tmp_path, seconds))
    else:
        _meet(fault, operation, times, mode, tmp_path, None)


def _meet(
    fault: Fault, operation: Operation, times: int | None, mode: Mode, folder: Path, timeout: float | None
) -> None:
    rule = expected(SIGN_IN, fault, times, renews=False)
    patience = PATIENT | ({} if timeout is None else {"timeout": (10, timeout)})
    with Server(operation.good_answer, listening=fault.ends is not Ends.REFUSED) as server:
        with Caller(mode, server.options | patience) as caller:
            skipped = SkippedTime(caller.transport)
            if fault.ends is Ends.REFUSED:
                skipped.before = server.listen if times is not None else None
            elif fault.greeting is not None:
                server.greetings.extend([fault.greeting] * (times or 0))
                server.greeting_for_ever = None if times else fault.greeting
            else:
                server.sign_in_script.extend([fault.act(SIGN_IN)] * (times or 0))
                server.sign_in_for_ever = None if times else fault.act(SIGN_IN)
            error: Exception | None = None
            try:
                assert operation.good(operation.perform(caller, folder), folder)
            except GigaChatException as raised:
                error = raised
            _check_error(error, rule)
            assert skipped.pauses == rule.pauses
            unseen = rule.attempts if times is None else times
            unseen = unseen if fault.ends is Ends.REFUSED or fault.greeting is not None else 0
            assert server.wait_until(lambda known: len(known.sign_ins) >= rule.attempts - unseen)
            assert len(server.sign_ins) == rule.attempts - unseen
            assert all(SIGN_IN.sends(request) for request in server.sign_ins)
            assert {request.headers["authorization"] for request in server.sign_ins} <= {f"Basic {KEY}"}
            calls = int(rule.error is None and operation is not SIGN_IN)
            assert [request.headers["authorization"] for request in server.requests] == ["Bearer token-1"] * calls

            # And it recovers by itself.
            if not fault.silent:
                server.sign_in_script.clear()
                server.sign_in_for_ever = server.greeting_for_ever = None
                server.listen()
                assert operation.good(operation.perform(caller, folder), folder)
                assert len(server.sign_ins) == rule.attempts - unseen + (rule.error is not None)
        assert server.wait_for_connections(0)
        assert caller.noise == []


def _check_error(error: Exception | None, rule: Expected) -> None:
    if error is not None and type(error) is not rule.error:
        raise error
    assert type(error) is (rule.error or type(None))
    if error is not None:
        assert "\n" not in str(error)
        assert KEY not in str(error)
        assert "token-" not in str(error)
        assert all(says in str(error) for says in rule.says if says != "cannot be read as")
        assert error.__cause__ is None  # its traceback is ours alone
        assert (getattr(error, "cause", None) is not None) == rule.cause


# Clocks.


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("unit", [1, 1000], ids=["seconds", "milliseconds"])
@pytest.mark.parametrize("clock", [-3600.0, 0.0, 3600.0])
def test_a_clock_that_is_wrong_by_an_hour(mode: Mode, unit: int, clock: float, tmp_path: Path) -> None:
    (operation,) = named("chat")
    with Server(operation.good_answer) as server, Caller(mode, server.options, share_token=False) as caller:
        numbers = itertools.count(1)

        def sign_in(peer: Peer, _: Received) -> None:
            peer.send(grant(f"token-{next(numbers)}", 1800.0, clock=clock, unit=unit))

        server.sign_in_for_ever = sign_in
        skipped = SkippedTime(caller.transport)
        for passed in (0.0, 1600.0, 300.0):
            skipped.pauses.append(passed)
            operation.perform(caller, tmp_path)
        tokens = [request.headers["authorization"] for request in server.requests]
        assert tokens == ["Bearer token-1", "Bearer token-1", "Bearer token-2"]
        expires = caller.do("get_token").expires_at / 1000 - time.time()
        assert clock + 1700 < expires < clock + 1900  # as the server says it, in milliseconds


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("expires_at", [0, 1, 1_000_000_000, None, "soon", -5, 1e400, 10**40])
def test_an_expiry_that_is_absurd(mode: Mode, expires_at: Any, tmp_path: Path) -> None:
    (operation,) = named("chat")
    with Server(operation.good_answer) as server, Caller(mode, server.options, share_token=False) as caller:
        numbers = itertools.count(1)

        def sign_in(peer: Peer, _: Received) -> None:
            body = json.dumps({"access_token": f"token-{next(numbers)}", "expires_at": expires_at})
            peer.send(http(body.encode()))

        server.sign_in_for_ever = sign_in
        skipped = SkippedTime(caller.transport)
        for passed in (0.0, 10.0, 10.0, 90_000.0):
            skipped.pauses.append(passed)
            operation.perform(caller, tmp_path)
        tokens = [request.headers["authorization"] for request in server.requests]
        assert tokens == ["Bearer token-1"] * 3 + ["Bearer token-2"]


@pytest.mark.parametrize("mode", MODES)
def test_a_token_still_good_is_used_while_a_renewal_hangs(mode: Mode, tmp_path: Path) -> None:
    patiently(lambda seconds: _renewal_hangs(mode, tmp_path, seconds))


def _renewal_hangs(mode: Mode, folder: Path, timeout: float) -> None:
    options = {"share_token": False, "timeout": (10, timeout), "max_retries": 5, "retry_backoff_factor": 0}
    with Server(CHAT.good_answer) as server, Caller(mode, server.options | options) as caller:
        caller.giga = caller.giga.with_options(timeout=10)  # the sign-in's is short
        caller.do("get_token")
        skipped = SkippedTime(caller.transport)
        skipped.pauses.append(1760.0)  # the renewal is due
        server.sign_in_for_ever = lambda peer, _: peer.stay_silent()
        for _ in range(3):
            assert CHAT.good(CHAT.perform(caller, folder), folder)
        assert server.wait_until(lambda known: len(known.sign_ins) >= 2)
        assert len(server.sign_ins) == 2  # one attempt, and not again with each request
        assert {request.headers["authorization"] for request in server.requests} == {"Bearer token-1"}


@pytest.mark.parametrize("mode", MODES)
def test_a_server_that_refuses_every_token_is_not_hammered(mode: Mode) -> None:
    with Server() as server, ExitStack() as stack:
        server.for_ever = lambda peer, _: peer.send(status_answer(401))
        callers = [stack.enter_context(Caller(mode, server.options)) for _ in range(4)]
        for caller in callers * 3:
            with pytest.raises(AuthenticationError):
                caller.do("chat", "x")
        assert len(server.sign_ins) == 2
        assert len(server.requests) == 13  # one repetition in all


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("another", [True, False], ids=["another token each time", "the same token"])
def test_a_source_of_tokens_is_asked_once_more_after_a_401(mode: Mode, another: bool) -> None:
    numbers = itertools.count(1)
    with Server() as server:
        server.for_ever = lambda peer, _: peer.send(status_answer(401))
        options = {"credentials": None, "access_token_provider": lambda: f"token-{next(numbers) if another else 1}"}
        with Caller(mode, server.options | options) as caller:
            with pytest.raises(AuthenticationError):
                caller.do("chat", "x")
        tokens = [request.headers["authorization"] for request in server.requests]
        assert tokens == (["Bearer token-1", "Bearer token-2"] if another else ["Bearer token-1"])
        assert server.sign_ins == []


# Crowds. Blocking threads, and event loops with many tasks each, of several clients of one key.


class Crowd:
    """Calls made at once by threads and by tasks of several loops, on several clients.

    Args:
        server: Whom they call.
        threads: How many threads call.
        loops: How many event loops there are.
        tasks: How many tasks call in each.
        options: Of the clients.
    """

    def __init__(self, server: Server, threads: int = 6, loops: int = 3, tasks: int = 8, **options: Any) -> None:
        self.size = threads + loops * tasks
        self.answers: list[Any] = []
        self._clients = [GigaChat(**server.options, **options) for _ in range(3)]
        self._async_clients = [AsyncGigaChat(**server.options, **options) for _ in range(2)]
        self._loops = loops
        self._tasks = tasks
        self._threads = threads

    def call(self) -> list[Any]:
        """Let all call, and return their answers or errors."""
        self.answers = []
        running = [threading.Thread(target=self._block, args=(number,)) for number in range(self._threads)]
        running += [threading.Thread(target=self._run, args=(number,)) for number in range(self._loops)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        assert len(self.answers) == self.size
        return self.answers

    def _block(self, number: int) -> None:
        try:
            self.answers.append(self._clients[number % 3].chat("x"))
        except Exception as error:
            self.answers.append(error)

    def _run(self, number: int) -> None:
        asyncio.run(self._gather(number))

    async def _gather(self, number: int) -> None:
        calls = [self._clients[number % 3].achat, self._async_clients[number % 2].chat]
        made = (calls[task % 2]("x") for task in range(self._tasks))
        self.answers += await asyncio.gather(*made, return_exceptions=True)

    def close(self) -> None:
        for client in self._clients:
            client.close()

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _only(token: str, gate: Callable[[], None] = lambda: None) -> Act:
    """Answer those who come with a token, and refuse others once the gate is open."""

    def act(peer: Peer, request: Received) -> None:
        if request.headers["authorization"] == f"Bearer {token}":
            peer.send(CHAT.good_answer)
        else:
            gate()
            peer.send(status_answer(401))

    return act


def test_a_crowd_that_comes_without_a_token_signs_in_once() -> None:
    with Server(CHAT.good_answer) as server, Crowd(server) as crowd:

        def slowly(peer: Peer, _: Received) -> None:
            peer.send(grant("token-1", 1800))

        server.sign_in_for_ever = slowly
        assert all(CHAT.good(answer, Path()) for answer in crowd.call())
        assert len(server.sign_ins) == 1
        assert len(server.requests) == crowd.size


def test_a_crowd_with_a_revoked_token_renews_it_once() -> None:
    with Server(CHAT.good_answer) as server, Crowd(server) as crowd:
        crowd.call()

        def all_are_here() -> None:
            assert server.wait_until(lambda known: len(known.requests) >= 2 * crowd.size)

        server.for_ever = _only("token-2", all_are_here)
        assert all(CHAT.good(answer, Path()) for answer in crowd.call())
        assert len(server.sign_ins) == 2
        assert len(server.requests) == 3 * crowd.size  # the first round, the refusals, the repetitions


def test_a_crowd_shares_a_failure() -> None:
    """The first sign-in is answered when everybody waits for it: then nobody asks a second time."""
    with Server(CHAT.good_answer) as server, Crowd(server, max_retries=0) as crowd:
        waiting = threading.Semaphore(0)
        for client in (*crowd._clients, *crowd._async_clients):
            _announce_waits(client, waiting)

        def refuse(peer: Peer, _: Received) -> None:
            for _waiter in range(crowd.size - 1):
                assert waiting.acquire(timeout=PATIENCE)
            peer.send(status_answer(400, words="no such scope"))

        server.sign_in_for_ever = refuse
        errors = crowd.call()
        assert {type(error) for error in errors} == {BadRequestError}
        assert len({id(error) for error in errors}) == crowd.size  # each its own, with a traceback of its own
        assert len(server.sign_ins) == 1
        assert server.requests == []


def _announce_waits(client: Any, waiting: threading.Semaphore) -> None:
    for session in (client._blocking, client._async):

        def announced(signal: Any, timeout: Any, wait: Any = session.transport.wait) -> Any:
            waiting.release()
            return wait(signal, timeout)

        session.transport.wait = announced


@pytest.mark.parametrize("ends", ["cancelled", "with its loop", "timed out"])
def test_a_crowd_survives_its_leader(ends: str) -> None:
    """The task that signs in goes away while everybody waits for it."""
    with Server(CHAT.good_answer) as server, Crowd(server) as crowd:
        waiting = threading.Semaphore(0)
        for client in (*crowd._clients, *crowd._async_clients):
            _announce_waits(client, waiting)
        asked = threading.Event()
        all_wait = threading.Event()

        def silent(peer: Peer, _: Received) -> None:
            asked.set()
            peer.stay_silent()

        server.sign_in_script.append(silent)

        def lead() -> None:
            async def main() -> None:
                client = GigaChat(**server.options)
                leader = asyncio.create_task(client.achat("leads"))
                assert await asyncio.to_thread(all_wait.wait, PATIENCE)
                if ends == "cancelled":
                    leader.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await leader
                elif ends == "timed out":
                    with pytest.raises(TimeoutError):
                        await asyncio.wait_for(leader, 0.001)

            asyncio.run(main())

        def watch() -> None:
            for _waiter in range(crowd.size):
                assert waiting.acquire(timeout=PATIENCE)
            all_wait.set()

        leading = threading.Thread(target=lead)
        watching = threading.Thread(target=watch)
        leading.start()
        assert asked.wait(PATIENCE)
        watching.start()
        assert all(CHAT.good(answer, Path()) for answer in crowd.call())
        leading.join(PATIENCE)
        watching.join(PATIENCE)
        assert not leading.is_alive()
        assert len(server.sign_ins) == 2
        assert {request.headers["authorization"] for request in server.requests} == {"Bearer token-1"}


def test_a_crowd_meets_an_oauth_that_is_down_and_comes_back() -> None:
    with Server(CHAT.good_answer) as server, Crowd(server, max_retries=0) as crowd:
        server.sign_in_for_ever = lambda peer, _: peer.send(status_answer(503))
        assert {type(answer) for answer in crowd.call()} == {ServerError}
        assert len(server.sign_ins) <= crowd.size
        before = len(server.sign_ins)
        server.sign_in_for_ever = None
        assert all(CHAT.good(answer, Path()) for answer in crowd.call())
        assert len(server.sign_ins) == before + 1


# Other people's headers.


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("source", ["authorization", "custom", "extra", "request"])
def test_a_tenants_bad_token_touches_nobody_elses(mode: Mode, source: str) -> None:
    def tenants(caller: Caller, view: Any) -> None:
        if source == "request":
            caller.do("request", "POST", "/chat/completions", json={}, headers=theirs)
        else:
            caller.do("chat", "x", giga=view)

    theirs = {"Authorization": "Bearer theirs"}
    with Server(CHAT.good_answer) as server, Caller(mode, server.options) as caller:
        server.for_ever = _only("token-1")
        caller.do("chat", "x")
        for _ in range(3):
            set_authorization = authorization_cvar.set(theirs["Authorization"] if source == "authorization" else None)
            set_custom = custom_headers_cvar.set(theirs if source == "custom" else None)
            view = caller.giga.with_options(extra_headers=theirs) if source == "extra" else caller.giga
            try:
                with pytest.raises(AuthenticationError):
                    tenants(caller, view)
            finally:
                authorization_cvar.reset(set_authorization)
                custom_headers_cvar.reset(set_custom)
            caller.do("chat", "x")
        tokens = [request.headers["authorization"].removeprefix("Bearer ") for request in server.requests]
        assert tokens == ["token-1", *["theirs", "token-1"] * 3]
        assert len(server.sign_ins) == 1


def test_tenants_side_by_side_each_keep_their_own() -> None:
    """Tasks of one client, each in a context of its own; every second tenant's token is refused."""
    with Server(CHAT.good_answer) as server:
        server.for_ever = _only("token-1")

        async def main() -> list[Any]:
            async with AsyncGigaChat(**server.options) as giga:

                async def tenant(number: int) -> Any:
                    session_id_cvar.set(f"session-{number}")
                    if number % 2:
                        authorization_cvar.set(f"Bearer tenant-{number}")
                    return await giga.chat("x")

                return await asyncio.gather(*map(tenant, range(20)), return_exceptions=True)

        answers = asyncio.run(main())
        for number, answer in enumerate(answers):
            assert isinstance(answer, AuthenticationError) if number % 2 else CHAT.good(answer, Path())
        for request in server.requests:
            number = int(request.headers["x-session-id"].removeprefix("session-"))
            assert request.headers["authorization"] == (f"Bearer tenant-{number}" if number % 2 else "Bearer token-1")
        assert len(server.requests) == 20
        (sign_in,) = server.sign_ins
        assert not any(name.startswith("x-") for name in sign_in.headers)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("error", [APIConnectionError, APITimeoutError, ResponseError])
def test_an_error_of_the_sign_in_says_where_it_happened(mode: Mode, error: type[Exception]) -> None:
    acts: dict[Any, Act] = {
        APIConnectionError: lambda peer, _: peer.cut(),
        APITimeoutError: lambda peer, _: peer.stay_silent(),
        ResponseError: lambda peer, _: peer.send(status_answer(409)),
    }
    with Server() as server:
        server.sign_in_for_ever = acts[error]
        patience = 0.05 if error is APITimeoutError else 10  # what is answered may take its time on a busy machine
        options = {"max_retries": 0, "timeout": (10, patience), "share_token": False}
        with Caller(mode, server.options | options) as caller:
            with pytest.raises(error, match=server.origin.removeprefix("http://")):
                caller.do("chat", "x")
