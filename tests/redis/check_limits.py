"""Slots and access tokens that processes share through a real Redis."""

from __future__ import annotations

import json
import logging
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis as redis_library

from gigachat import (
    APITimeoutError,
    AuthenticationError,
    Credential,
    GigaChat,
    GigaChatException,
    RateLimitError,
    bulk,
)
from gigachat._redis.scripts import LEASE
from gigachat.server import GigaChatServer
from tests.redis.servers import PASSWORD, Counting, Redis
from tests.support.programs import environment
from tests.support.waiting import begun, until

ROOT = Path(__file__).parents[2]


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    with Redis(tmp_path) as running:
        yield running


@pytest.fixture
def engine() -> Counting:
    return Counting(0.03)


@pytest.fixture
def server(engine: Counting) -> Iterator[GigaChatServer]:
    with GigaChatServer(engine=engine) as running:
        yield running


class Workers:
    """Processes that call the server with shared limits."""

    def __init__(self, server: GigaChatServer, redis: Redis) -> None:
        self._environment = {
            **environment(server),
            "GIGACHAT_LIMITS": redis.url,
            "GIGACHAT_MAX_CONCURRENCY": "3",
            "PYTHONPATH": str(ROOT),
        }
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, mode: str, calls: int, side_by_side: int = 1, **variables: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.redis.worker", mode, str(calls), str(side_by_side)],
            env={**self._environment, **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self.processes.append(process)
        return process

    def go(self, *processes: subprocess.Popen[str]) -> None:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", process.communicate()[1]
        for process in processes:
            assert process.stdin is not None
            print(file=process.stdin, flush=True)

    def seconds(self, process: subprocess.Popen[str]) -> list[float]:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        self.log = err
        return list(json.loads(out))


@pytest.fixture
def workers(server: GigaChatServer, redis: Redis) -> Iterator[Workers]:
    started = Workers(server, redis)
    yield started
    for process in started.processes:
        process.kill()
        process.communicate()


class Killed:
    """A call that waits for the slots of a process that was killed."""

    def __init__(self, giga: GigaChat, began: float) -> None:
        self._giga = giga
        self._began = began
        self.seconds: float | None = None
        self.waiter = threading.Thread(target=self._wait, daemon=True)
        self.waiter.start()

    def _wait(self) -> None:
        with suppress(GigaChatException):  # no test waits for it, and the server is gone
            self._giga.chat("x")
            self.seconds = time.monotonic() - self._began


@pytest.fixture(scope="module", autouse=True)
def killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killed]:
    """The slots of a killed process: a lease takes half a minute, so that the other tests run at the same time."""
    with Redis(tmp_path_factory.mktemp("redis")) as redis, GigaChatServer(engine=Counting(0.0)) as server:
        workers = Workers(server, redis)
        holder = workers.start("hold", 3)
        workers.go(holder)
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(APITimeoutError, match="max_concurrency=3"):
            client(server, redis, queue_timeout=0.5).chat("x")
        holder.kill()
        with client(server, redis) as giga:
            yield Killed(giga, time.monotonic())
        holder.communicate()


def client(server: GigaChatServer, redis: Redis, **options: Any) -> GigaChat:
    return GigaChat(**{**server.client_options, "limits": redis.url, "max_concurrency": 3, **options})


def test_six_processes_never_exceed_the_limit_and_wait_equally(
    workers: Workers, server: GigaChatServer, engine: Counting
) -> None:
    started = [workers.start(mode, 40, 4) for mode in ("threads", "asyncio", "trio") * 2]
    workers.go(*started)
    seconds = [workers.seconds(process) for process in started]
    assert all(len(each) == 40 for each in seconds)
    assert engine.answered == 240
    assert engine.most == 3
    waits = [statistics.mean(each) - engine.seconds for each in seconds]
    print("mean waits", [f"{wait:.3f}" for wait in waits], f"{max(waits) / min(waits):.3f}")
    assert max(waits) / min(waits) < 1.2
    assert len(server.requests_to("/oauth")) == 1


def test_bulk_jobs_of_three_processes_share_the_limit(workers: Workers, engine: Counting) -> None:
    started = [workers.start("bulk", 30) for _ in range(3)]
    workers.go(*started)
    assert [len(workers.seconds(process)) for process in started] == [30] * 3
    assert engine.answered == 90
    assert engine.most == 3


def test_a_bulk_job_with_a_pool_waits_for_what_another_client_was_refused(
    server: GigaChatServer, engine: Counting, redis: Redis
) -> None:
    pool = [Credential(server.credentials)]
    with client(server, redis, credentials=None, pool=pool) as giga, client(server, redis, max_retries=0) as other:
        giga.chat("x")
        server.fail(429, path="/chat/completions", retry_after=1)
        with pytest.raises(RateLimitError):
            other.chat("x")
        results = list(bulk.iterate(["a"] * 30, giga=giga, retries=0))
    assert [result.error for result in results] == [None] * 30


def test_redis_that_stops_and_starts_in_between_loses_nothing(
    workers: Workers, server: GigaChatServer, engine: Counting, redis: Redis
) -> None:
    started = [workers.start(mode, 100, 3) for mode in ("threads", "asyncio", "trio")]
    workers.go(*started)
    until(lambda: engine.answered > 30)
    redis.stop()
    until(lambda: engine.answered > 90)  # each process limits itself alone
    redis.start()
    until(lambda: stored(redis, "processes", lambda client, name: client.zcard(name)) == 3)
    until(lambda: engine.now <= 3)
    engine.most = 0
    seconds = [workers.seconds(process) for process in started]
    assert all(len(each) == 100 for each in seconds)
    assert engine.answered == 300
    assert engine.most == 3
    assert "cannot be reached" in workers.log
    assert "can be reached again" in workers.log
    assert PASSWORD not in workers.log


def test_without_redis_a_process_limits_itself_and_says_so(
    server: GigaChatServer, engine: Counting, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    redis.stop()
    with client(server, redis) as giga:
        threads = [begun(lambda: giga.chat("x")) for _ in range(9)]
        for thread in threads:
            thread.join()
        with pytest.raises(AuthenticationError):
            client(server, redis, credentials="YTpi").chat("x")
    assert engine.most == 3
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert sum("cannot be reached" in warning for warning in warnings) == 1
    assert f"redis://127.0.0.1:{redis.port}/0" in warnings[-1] + warnings[0]
    assert PASSWORD not in "".join(warnings)


def test_a_wrong_password_is_said_and_not_shown(
    server: GigaChatServer, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    with client(server, redis, limits=redis.url.replace(PASSWORD, "wrong-secret")) as giga:
        assert giga.chat("x").choices
    assert "AuthenticationError" in caplog.text
    assert "wrong-secret" not in caplog.text


def test_a_unix_socket_is_the_same_redis(
    server: GigaChatServer, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    with client(server, redis, limits=redis.socket_url) as giga:
        assert giga.chat("x").choices
    assert stored(redis, "state", lambda connected, name: connected.hget(name, "number")) == b"1"
    assert not caplog.records


@pytest.mark.parametrize("page", ["security.md", "security.ru.md"])
def test_the_acl_of_the_page_suffices(
    server: GigaChatServer, redis: Redis, caplog: pytest.LogCaptureFixture, page: str
) -> None:
    paragraph = next(part for part in (ROOT / "docs" / page).read_text().split("\n* ") if "`~gigachat:*`" in part)
    rules = [rule for rule in re.findall("`([^`]+)`", paragraph) if rule[0] in "~&@+"]
    with redis_library.Redis.from_url(redis.url) as connected:
        allowed = [f"+{rule}" if rule.startswith("@") else rule for rule in rules]
        connected.execute_command("ACL", "SETUSER", "limited", "on", ">secret", *allowed)
        with client(server, redis, limits=f"redis://limited:secret@127.0.0.1:{redis.port}/0") as giga:
            assert giga.chat("x").choices
        assert connected.acl_log() == []
    assert not caplog.records


def test_redis_has_no_secret_in_clear(server: GigaChatServer, redis: Redis) -> None:
    with client(server, redis) as giga:
        giga.chat("x")
        token = token_of(giga)
    with client(server, redis, **_password_options(server)) as giga:
        giga.chat("x")
        password_token = token_of(giga)
    with pytest.raises(AuthenticationError):
        client(server, redis, credentials="YTpi").chat("x")
    dump = b""
    with redis_library.Redis.from_url(redis.url) as connected:
        names = list(connected.scan_iter())
        for name in names:
            text = connected.get(name) if connected.type(name) == b"string" else b""
            dump += name + (connected.dump(name) or b"") + (text or b"")
            assert 0 < connected.pttl(name) <= 24 * 3600 * 1000
    assert sum(name.endswith(b":token") for name in names) == 2
    assert sum(name.endswith(b":refusal") for name in names) == 1
    account = server.account
    for secret in (token, password_token, server.credentials, account.client_secret, account.password):
        assert secret.encode() not in dump


def stored(redis: Redis, name: str, read: Callable[[redis_library.Redis, bytes], Any]) -> Any:
    """Read the key of this name in Redis; None if there is none."""
    with redis_library.Redis.from_url(redis.url) as connected:
        return next((read(connected, key) for key in connected.scan_iter(f"*:{name}")), None)


def token_of(giga: GigaChat) -> str:
    token = giga.get_token()
    assert token is not None
    return token.access_token


def _password_options(server: GigaChatServer) -> dict[str, Any]:
    return {"credentials": None, "user": server.account.user, "password": server.account.password}


def test_a_revoked_token_is_replaced_once_for_all(workers: Workers, server: GigaChatServer) -> None:
    started = [workers.start("threads", 5, 2) for _ in range(3)]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    server.revoke_tokens()
    for process in started:
        assert process.stdin is not None
        print(file=process.stdin, flush=True)
    assert all(len(workers.seconds(process)) == 5 for process in started)
    assert len(server.requests_to("/oauth")) == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [("token", "текст"), ("token", b"\xff"), ("token", ["a list"]), ("refusal", "текст"), ("state", "текст")],
)
def test_values_of_others_under_our_names_end_no_call(
    workers: Workers, server: GigaChatServer, redis: Redis, name: str, value: Any
) -> None:
    with client(server, redis) as giga:
        token_of(giga)
    with redis_library.Redis.from_url(redis.url, encoding="utf-8") as connected:
        [token] = connected.scan_iter("*:token")
        key = token.removesuffix(b"token") + name.encode()
        connected.delete(token, key)
        if isinstance(value, list):
            connected.rpush(key, *value)
        else:
            connected.set(key, value)
    worker = workers.start("threads", 1)
    workers.go(worker)
    assert len(workers.seconds(worker)) == 1


def test_a_refused_key_is_asked_for_once(workers: Workers, server: GigaChatServer, redis: Redis) -> None:
    with pytest.raises(AuthenticationError, match="doesn't match"):
        client(server, redis, credentials="YTpi").chat("x")
    worker = workers.start("threads", 1, GIGACHAT_CREDENTIALS="YTpi")
    assert "doesn't match" in worker.communicate(timeout=60)[1]
    assert len(server.requests_to("/oauth")) == 1


def test_a_process_that_ends_gives_its_slots_back_at_once(workers: Workers) -> None:
    began = time.monotonic()
    for _ in range(2):
        workers.go(process := workers.start("threads", 1, GIGACHAT_MAX_CONCURRENCY="1"))
        assert workers.seconds(process)[0] < LEASE / 2
    assert time.monotonic() - began < LEASE


def test_what_one_process_is_refused_no_process_asks_for(
    workers: Workers, server: GigaChatServer, engine: Counting, redis: Redis
) -> None:
    refused, other = workers.start("threads", 1), workers.start("threads", 1)
    server.fail(429, path="/chat/completions", retry_after=2)
    workers.go(refused)
    until(lambda: len(server.requests_to("/chat/completions")) == 1)
    began = time.monotonic()
    until(lambda: stored(redis, "cooldown", lambda client, name: client.exists(name)))
    workers.go(other)
    workers.seconds(other)
    assert engine.begun[0] - began > 1.5
    workers.seconds(refused)


def test_a_pool_over_processes(workers: Workers, server: GigaChatServer, engine: Counting, redis: Redis) -> None:
    first = Credential(server.credentials, max_concurrency=1)
    second = Credential(user=server.account.user, password=server.account.password, max_concurrency=2)
    with client(server, redis, credentials=None, pool=[first, second]) as giga:
        threads = [begun(lambda: giga.chat("x")) for _ in range(20)]
        worker = workers.start("threads", 10, 3, GIGACHAT_MAX_CONCURRENCY="1")
        workers.go(worker)
        assert len(workers.seconds(worker)) == 10
        for thread in threads:
            thread.join()
    assert engine.answered == 30
    assert engine.most <= 3


def test_the_slots_of_a_killed_process_are_free_within_their_lease(killed: Killed) -> None:
    killed.waiter.join()
    assert killed.seconds is not None
    print(f"free after {killed.seconds:.1f} s")
    assert killed.seconds < LEASE + 1.0
