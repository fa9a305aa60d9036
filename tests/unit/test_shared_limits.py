"""Limits that processes share: without Redis each one limits itself, tokens of others are used, nothing is shown."""

from __future__ import annotations

import asyncio
import base64
import copy
import gc
import logging
import os
import pickle
import socket
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from gigachat import APITimeoutError, AuthenticationError, ConfigurationError, GigaChat, QueueTimeoutError
from gigachat._engine.auth.shared_tokens import SharedIdentity
from gigachat._engine.limiter import Slot
from gigachat._engine.session import run
from gigachat._engine.shared_limits import SharedLimiter, SharedLimitsAwayError
from gigachat._engine.signals import Signal
from gigachat._engine.transport import clock
from gigachat._redis import RedisLimits
from gigachat._redis import leases as leases_module
from gigachat._redis.leases import RedisLeases
from gigachat._transport.transport import AsyncTransport, BlockingTransport
from gigachat.settings import Settings
from tests.support.programs import run_program
from tests.support.systems import needs_fork, needs_trio
from tests.support.waiting import until
from tests.unit.world import World, error

PASSWORD = "secret-mark"


@pytest.fixture
def away() -> Iterator[str]:
    """The address of a Redis that does not run: its port is taken, and nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"redis://:{PASSWORD}@127.0.0.1:{taken.getsockname()[1]}/0"


def key() -> str:
    return base64.b64encode(uuid.uuid4().bytes).decode()


# Without Redis.


@needs_trio
def test_without_redis_slots_are_those_of_the_process(away: str, caplog: pytest.LogCaptureFixture) -> None:
    limiter = RedisLimits(away).limiter(key())
    blocking, awaiting = BlockingTransport(Settings()), AsyncTransport(Settings())
    first = run(limiter.acquire(blocking, 2, 60))

    async def both() -> None:
        second = await limiter.acquire(awaiting, 2, 60)
        assert second is not None
        assert await limiter.acquire(awaiting, 2, 0.05) is None
        second.release()
        third = await limiter.acquire(awaiting, 2, 60)
        assert third is not None
        third.release()

    asyncio.run(both())
    trio.run(both)
    assert first is not None
    del first
    gc.collect()
    slots = [run(limiter.acquire(blocking, 2, 60)) for _ in range(2)]
    assert all(slots)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "cannot be reached (ConnectionError" in warnings[0]
    assert PASSWORD not in warnings[0]


def test_redis_is_not_said_to_be_back_while_nothing_is_asked(
    away: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases_module, "_RECONNECT", 0.01)
    shared = RedisLimits(away)
    limiter = shared.limiter(key())
    for _ in range(10):
        slot = run(limiter.acquire(BlockingTransport(Settings()), 1, 60))
        assert slot is not None
        slot.release()
        until(lambda: not any(known.leases for known in shared.leases._credentials.values()))
        until(lambda: clock() > shared.leases._reconnect_at)
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1
    assert shared.leases._seconds_to_next(None) > 1.0  # the thread does not run for nothing


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no Unix sockets")
def test_a_unix_socket_is_connected(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    limiter = RedisLimits(f"unix://{tmp_path}/no.sock?db=0").limiter(key())
    assert run(limiter.acquire(BlockingTransport(Settings()), 1, 60)) is not None
    assert "ConnectionError" in caplog.text


def test_calls_go_on_without_redis(away: str, world: World, caplog: pytest.LogCaptureFixture) -> None:
    giga = world.client(credentials=key(), limits=away, max_concurrency=1, share_token=True)
    transport = BlockingTransport(Settings()) if world.blocking else AsyncTransport(Settings())
    world.wait = transport.wait  # type: ignore[method-assign]
    for _ in range(3):
        assert world.chat(giga, "x").choices
    assert len(world.sign_in_requests) == 1
    assert PASSWORD not in caplog.text
    assert "this process signs in itself" in caplog.text


@needs_fork
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_process_has_leases_of_its_own(away: str) -> None:
    limiter = RedisLimits(away).limiter(key())
    blocking = BlockingTransport(Settings())
    held = run(limiter.acquire(blocking, 1, 60))
    child = os.fork()
    if child == 0:
        slot = run(limiter.acquire(blocking, 1, 30))
        os._exit(0 if slot is not None else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert held is not None
    assert run(limiter.acquire(blocking, 1, 0.05)) is None


# The limiter and its leases.


class Leases:
    """Leases that a test gives."""

    def __init__(self) -> None:
        self.wanted: list[tuple[Slot, Signal]] = []
        self.looks = 0

    def want(self, credential: str, slot: Slot, limit: int) -> Signal:
        self.wanted.append((slot, Signal()))
        return self.wanted[-1][1]

    def look(self) -> None:
        self.looks += 1

    def cool_down(self, credential: str, seconds: float) -> None:
        raise AssertionError

    def cooling(self, credential: str) -> float:
        return 0.0


def test_a_call_that_waits_too_long_for_a_lease_frees_its_slot() -> None:
    leases = Leases()
    limiter = SharedLimiter().bind(leases, "a")
    blocking = BlockingTransport(Settings())
    assert run(limiter.acquire(blocking, 1, 0.01)) is None
    assert leases.wanted[0][0].released
    assert limiter.taken() == 0
    with pytest.raises(QueueTimeoutError, match="queue_timeout"):
        run(
            limiter.acquire_in_time(
                blocking, 1, World("blocking").client(queue_timeout=0.01)._service.timeouts, None, str
            )
        )


def test_a_call_that_waits_too_long_is_told_of_the_other_processes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    leases = Leases()
    shared = SimpleNamespace(tokens=None, limiter=lambda name: SharedLimiter().bind(leases, name))
    monkeypatch.setattr("gigachat._redis.limits_at", lambda url: shared)
    transport = BlockingTransport(Settings()) if world.blocking else AsyncTransport(Settings())
    world.wait = transport.wait  # type: ignore[method-assign]
    giga = world.client(access_token="x", limits="redis://localhost", max_concurrency=1, queue_timeout=0.01)
    with pytest.raises(APITimeoutError, match="of the processes that share limits="):
        world.chat(giga, "x")


def test_a_call_that_is_cancelled_frees_its_slot() -> None:
    leases = Leases()
    limiter = SharedLimiter().bind(leases, "a")

    async def main() -> None:
        waiting = asyncio.create_task(limiter.acquire(AsyncTransport(Settings()), 1, 60))
        while not leases.wanted:
            await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())
    assert leases.wanted[0][0].released
    assert limiter.taken() == 0


def test_a_process_wants_no_more_leases_than_its_limit() -> None:
    leases = Leases()
    limiter = SharedLimiter().bind(leases, "a")
    blocking = BlockingTransport(Settings())
    done: list[Slot | None] = []

    def take() -> None:
        done.append(run(limiter.acquire(blocking, 2, 60)))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: len(leases.wanted) == 2)
    for expected in (3, 4, 4, 4):
        for slot, signal in list(leases.wanted):
            if not signal.is_set():
                signal.set()
                until(lambda slot=slot: slot in done)  # type: ignore[misc]
                slot.release()
                break
        until(lambda expected=expected: len(leases.wanted) == expected)  # type: ignore[misc]
    for thread in threads:
        thread.join()


class Exchanges:
    """A connection to a Redis that grants every slot and notes what it is told."""

    name = "redis://here"

    def __init__(self) -> None:
        self.released: list[str] = []
        self.held: list[str] = []

    @contextmanager
    def client(self) -> Iterator[Exchanges]:
        yield self

    def register_script(self, text: str) -> Any:
        return self._exchange

    def _exchange(self, keys: list[str], args: list[Any]) -> list[Any]:
        released, held, _ = args[4:7]
        members = args[7:]
        self.released += members[:released]
        self.held += members[released : released + held]
        return [1, -1, 0, "1", *members[released + held :]]

    def pubsub(self, **options: Any) -> Any:
        return self

    def subscribe(self, **handlers: Any) -> None:
        pass

    def get_message(self, timeout: float) -> None:
        pass

    def run_in_thread(self, **options: Any) -> Any:
        return self

    def is_alive(self) -> bool:
        return True

    def stop(self) -> None:
        pass

    def close(self) -> None:
        pass


def test_a_lease_is_renewed_while_other_calls_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases_module, "_RENEW", 0.2)
    exchanges: Any = Exchanges()
    limiter = SharedLimiter().bind(RedisLeases().bind(exchanges), "a")
    blocking = BlockingTransport(Settings())
    long = run(limiter.acquire(blocking, 2, 60))
    calls = 0

    def another_call() -> bool:
        nonlocal calls
        calls += 1
        short = run(limiter.acquire(blocking, 2, 60))
        assert short is not None
        short.release()
        return len(exchanges.held) >= 3

    until(another_call)
    assert long is not None
    long.release()
    until(lambda: exchanges.held[0] in exchanges.released)
    until(lambda: len(exchanges.released) == calls + 1)
    assert len(set(exchanges.released)) == calls + 1


# Tokens.


class Store:
    """A store of tokens in memory, as all processes see it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.values: dict[tuple[str, str], tuple[dict[str, Any], float]] = {}
        self.leader: str | None = None
        self.away = False

    def read(self, identity: SharedIdentity, name: str) -> tuple[dict[str, Any], float] | None:
        if self.away:
            raise SharedLimitsAwayError("it is away")
        value, until = self.values.get((identity.name, name), ({}, 0.0))
        return (value, until - self._world.time) if until > self._world.time else None

    def write(self, identity: SharedIdentity, name: str, value: dict[str, Any], seconds: float) -> None:
        if self.away:
            raise SharedLimitsAwayError("it is away")
        self.values[identity.name, name] = value, self._world.time + seconds

    def lead(self, identity: SharedIdentity, leader: str, seconds: float) -> bool:
        if self.leader is not None:
            return False
        self.leader = leader
        return True

    def leave(self, identity: SharedIdentity, leader: str) -> None:
        assert self.leader == leader
        self.leader = None


@pytest.fixture
def store(world: World, monkeypatch: pytest.MonkeyPatch) -> Store:
    found = Store(world)
    monkeypatch.setattr("gigachat._redis.RedisTokens", lambda connection: found)
    return found


def processes(world: World, **options: Any) -> tuple[GigaChat, GigaChat]:
    """Two clients with one credential that share nothing in this process."""
    shared = {"credentials": key(), "limits": "redis://localhost", "share_token": True, **options}
    return world.client(**shared), world.client(**shared, trust_russian_ca=False)


def test_the_token_of_one_process_is_used_by_another(world: World, store: Store) -> None:
    one, other = processes(world)
    world.chat(one, "x")
    world.time += 100
    world.chat(other, "x")
    assert len(world.sign_in_requests) == 1
    world.time += 1600  # due for one, which has refreshed it before it is for the other
    world.chat(one, "x")
    world.chat(other, "x")
    world.time += 60
    world.chat(other, "x")
    assert len(world.sign_in_requests) == 2
    assert store.leader is None


def test_a_rejected_token_is_replaced_once(world: World, store: Store) -> None:
    one, other = processes(world)
    world.chat(one, "x")
    world.chat(other, "x")
    world.answers = [error(401)]
    world.chat(one, "x")
    world.answers = [error(401)]
    world.chat(other, "x")
    assert len(world.sign_in_requests) == 2
    assert [request.headers["authorization"][-1] for request in world.api_requests] == ["1", "1", "1", "2", "1", "2"]


def test_a_refused_credential_is_not_asked_for_again_at_once(world: World, store: Store) -> None:
    one, other = processes(world)
    world.sign_ins = [error(401, "revoked")]
    for giga in (one, other):
        with pytest.raises(AuthenticationError, match="revoked"):
            world.chat(giga, "x")
    assert len(world.sign_in_requests) == 1
    world.time += 11
    assert world.chat(other, "x").choices


def test_the_sign_in_of_another_process_is_waited_for(world: World, store: Store) -> None:
    one, _ = processes(world)
    store.leader = "another process, which was killed"
    world.chat(one, "x")
    assert 19 <= sum(world.sleeps) <= 22
    assert len(world.sleeps) < 40  # a thousand processes may wait
    assert len(world.sign_in_requests) == 1


def test_who_finds_a_refusal_when_its_turn_comes_ends_its_turn(world: World, store: Store) -> None:
    one, other = processes(world)
    lead = store.lead

    def refused(identity: SharedIdentity, leader: str, seconds: float) -> bool:
        store.write(identity, "refusal", {"url": "https://sign-in", "status": 401, "content": "revoked"}, 10)
        return lead(identity, leader, seconds)

    store.lead = refused  # type: ignore[method-assign]
    with pytest.raises(AuthenticationError):
        world.chat(one, "x")
    store.lead = lead  # type: ignore[method-assign]
    world.time += 11
    world.chat(other, "x")
    assert world.sleeps == []


def test_who_is_interrupted_when_its_turn_comes_ends_its_turn(world: World, store: Store) -> None:
    one, other = processes(world)
    read = store.read

    def interrupted(identity: SharedIdentity, name: str) -> tuple[dict[str, Any], float] | None:
        if store.leader is not None:
            raise KeyboardInterrupt
        return read(identity, name)

    store.read = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        world.chat(one, "x")
    store.read = read  # type: ignore[method-assign]
    world.chat(other, "x")
    assert world.sleeps == []


def test_a_store_that_goes_away_costs_nothing_but_a_warning(
    world: World, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = processes(world)
    store.away = True
    world.chat(one, "x")
    world.chat(other, "x")
    assert len(world.sign_in_requests) == 2
    assert caplog.text.count("this process signs in itself") == 2


def test_without_share_token_no_token_is_shared(world: World, store: Store) -> None:
    one, other = processes(world, share_token=False)
    world.chat(one, "x")
    world.chat(other, "x")
    assert len(world.sign_in_requests) == 2
    assert store.values == {}


def test_credentials_have_names_and_seals_of_their_own() -> None:
    from gigachat._engine.auth.choice import identity_of

    given: list[dict[str, Any]] = [
        {"credentials": "YTpi"},
        {"credentials": "YTpj"},
        {"credentials": "YTpi", "scope": "GIGACHAT_API_CORP"},
        {"credentials": "YTpi", "base_url": "https://other/v1"},
        {"credentials": "YTpi", "verify_ssl_certs": False},
        {"user": "a", "password": "b"},
        {"user": "a", "password": "c"},
        {"access_token": "YTpi"},
        {},
    ]
    made = [identity_of(Settings(**options)) for options in given]
    assert len({identity.name for identity in made}) == len(made)
    assert len({identity.seal for identity in made}) == len(made)
    assert identity_of(Settings(credentials="YTpi")) == identity_of(Settings(client_id="a", client_secret="b"))
    assert str(made[0].seal) not in repr(made[0])


# What is given.


def test_a_missing_package_is_named_when_the_client_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("redis", "cryptography"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, name, None)
            with pytest.raises(ConfigurationError, match=rf"{name}: pip install 'gigachat\[redis\]'"):
                GigaChat(limits="redis://localhost")


@pytest.mark.parametrize("password", ["a/b", "a?b", "a#b"])
def test_signs_that_a_password_must_not_have_are_named(password: str) -> None:
    with pytest.raises(ConfigurationError, match=r"with / [?] # % in the password written as %2F %3F %23 %25$"):
        GigaChat(limits=f"redis://:{password}@localhost/0")


def test_the_password_of_redis_is_not_shown(away: str) -> None:
    giga = GigaChat(limits=away, credentials=key(), max_concurrency=1)
    settings = giga._settings
    assert PASSWORD not in f"{giga!r} {settings!r} {settings} {settings.model_dump()}"
    for other in (copy.deepcopy(giga), pickle.loads(pickle.dumps(giga))):
        assert other._settings.limits == away
        assert other._service.limiter is giga._service.limiter


def test_redis_is_imported_by_the_first_call_only() -> None:
    program = (
        "import sys; from gigachat import GigaChat; plain = GigaChat(max_concurrency=1)\n"
        "assert not [name for name in sys.modules if 'redis' in name or 'pool' in name.split('.')]\n"
        "assert 'gigachat._engine.shared_limits' not in sys.modules\n"
        "GigaChat(limits='redis://localhost', credentials='YTpi', max_concurrency=1)\n"
        "assert 'redis' not in sys.modules and 'cryptography' not in sys.modules"
    )
    done = run_program(["-c", program])
    assert done.returncode == 0, done.stderr
