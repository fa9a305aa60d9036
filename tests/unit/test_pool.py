"""A pool of credentials: which one a call uses, which ones are in cooldown, and what the caller sees of it."""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import pickle
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from typing import Any

import pytest

from gigachat import (
    APIConnectionError,
    APITimeoutError,
    AsyncGigaChat,
    AuthenticationError,
    ConfigurationError,
    Credential,
    ForbiddenError,
    GigaChat,
    NotFoundError,
    Observer,
    RateLimitError,
    ResponseError,
    TotalTimeoutError,
)
from gigachat._engine.account_ids import AccountIds
from gigachat._engine.limiter import Slot
from gigachat._engine.shared_limits import SharedLimiter
from gigachat._engine.signals import Signal
from gigachat._engine.transport import Stage
from gigachat._transport.transport import AsyncTransport
from gigachat.context import authorization_cvar
from gigachat.observers import Attempt, ObservedCall
from gigachat.settings import Settings
from tests.unit.test_stream import FIRST, LAST
from tests.unit.world import COMPLETION, Answer, World, error, lost

FILE = "0f2e9c5b-9d5c-4d0c-8f4e-6f6b8a3f5a01"
OTHER_FILE = "1f2e9c5b-9d5c-4d0c-8f4e-6f6b8a3f5a02"


def key() -> str:
    return base64.b64encode(uuid.uuid4().bytes).decode()


@contextmanager
def without_authorization() -> Iterator[None]:
    """A context without the authorization of somebody else."""
    mark = authorization_cvar.set(None)
    yield
    authorization_cvar.reset(mark)


def uploaded(file_id: str) -> Answer:
    return Answer(
        {"id": file_id, "object": "file", "bytes": 1, "created_at": 1, "filename": "a.txt", "purpose": "general"}
    )


class Pooled:
    """A client with several credentials over a world.

    Args:
        world: The world.
        count: How many credentials.
        options: Of the client.
    """

    def __init__(self, world: World, count: int = 2, **options: Any) -> None:
        self.world = world
        self.keys = [key() for _ in range(count)]
        pool = [Credential(one, name="abc"[place]) for place, one in enumerate(self.keys)]
        self.giga = world.client(pool=pool, **options)

    @property
    def used(self) -> str:
        """The names of the credentials of the requests so far."""
        tokens: dict[str, str] = {}
        names = []
        for request in self.world.requests:
            authorization = request.headers["authorization"]
            if request.sign_in:
                tokens[f"Bearer token-{len(tokens) + 1}"] = authorization.removeprefix("Basic ")
            else:
                names.append("abc"[self.keys.index(tokens[authorization])])
        return "".join(names)

    def chat(self, **fields: Any) -> Any:
        return self.world.chat(self.giga, "x", **fields)


def test_calls_take_turns(world: World) -> None:
    pooled = Pooled(world, 3)
    for _ in range(6):
        pooled.chat()
    assert pooled.used == "abcabc"
    assert len(world.sign_in_requests) == 3


@pytest.mark.parametrize("status", [402, 403, 429])
def test_a_refused_credential_is_in_cooldown_and_the_call_goes_to_the_next_one(world: World, status: int) -> None:
    pooled = Pooled(world, 2)
    world.answers = [error(status)]
    for _ in range(3):
        assert pooled.chat().choices
    assert pooled.used == "abbb"
    assert world.sleeps == []
    world.time += 700
    pooled.chat()
    pooled.chat()
    assert set(pooled.used[4:]) == {"a", "b"}


def test_a_credential_whose_tokens_are_refused_is_in_cooldown(world: World) -> None:
    pooled = Pooled(world, 2)
    world.answers = [error(401), error(401)]
    for _ in range(2):
        assert pooled.chat().choices
    assert [request.headers["authorization"][7:] for request in world.api_requests] == [
        "token-1",
        "token-2",  # one refresh, as without a pool
        "token-3",
        "token-3",
    ]


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_key_that_the_sign_in_refuses_is_in_cooldown(world: World, status: int) -> None:
    pooled = Pooled(world, 2)
    world.sign_ins = [error(status)]
    for _ in range(3):
        assert pooled.chat().choices
    assert len(world.sign_in_requests) == 2


@pytest.mark.parametrize("method", ["stream", "chat.stream"])
def test_streams_fail_over_before_their_first_chunk(world: World, method: str) -> None:
    if method == "chat.stream":
        done = b'event: response.message.done\ndata: {"finish_reason": "stop"}\n\n'
        pieces = [b'event: response.message.delta\ndata: {"messages": []}\n\n', done]
    else:
        pieces = [FIRST, LAST]
    pooled = Pooled(world, 2, max_concurrency=1)
    world.answers = [error(429), Answer(pieces=pieces), Answer(pieces=pieces)]
    assert len(world.read(pooled.giga, "x", method=method)) == 2
    assert len(world.read(pooled.giga, "x", method=method)) == 2
    assert len(world.api_requests) == 3


@pytest.mark.parametrize("pause", ["inf", "1e9", formatdate(4e9, usegmt=True)])
def test_a_cooldown_takes_ten_minutes_at_most(world: World, pause: str) -> None:
    pooled = Pooled(world, 1, max_retries=0)
    world.answers = [error(429, retry_after=pause)]
    with pytest.raises(RateLimitError):
        pooled.chat()
    world.time += 599
    with pytest.raises(RateLimitError):
        pooled.chat()
    world.time += 2
    assert pooled.chat().choices


def test_while_all_rest_a_call_waits_for_the_first_one(world: World) -> None:
    pooled = Pooled(world, 2)
    world.answers = [error(429, retry_after="20"), error(429, retry_after="5")]
    assert pooled.chat().choices
    assert pooled.used == "abb"
    assert len(world.sleeps) == 1
    assert 5 <= world.sleeps[0] <= 6.25


def test_a_call_waits_no_longer_than_it_may(world: World) -> None:
    pooled = Pooled(world, 2, rate_limit_timeout=10)
    world.answers = [error(429, "busy", retry_after="20"), error(429, "busy too", retry_after="30")]
    with pytest.raises(RateLimitError, match=r"429.*busy \(") as raised:
        pooled.chat()
    assert world.sleeps == []
    assert raised.value.__notes__ == [
        "credential a of the pool was refused (429) and is in cooldown for 20 s",
        "credential b of the pool was refused (429) and is in cooldown for 30 s",
    ]
    assert not any(one in f"{raised.value} {raised.value.__notes__}" for one in pooled.keys)
    with pytest.raises(RateLimitError):  # nothing is sent
        pooled.chat()
    assert len(world.api_requests) == 2


def test_waits_of_a_call_are_bounded_in_sum(world: World) -> None:
    pooled = Pooled(world, 1, rate_limit_timeout=60)
    world.answers = [error(429, retry_after="20")] * 10
    with pytest.raises(RateLimitError):
        pooled.chat()
    assert 40 <= sum(world.sleeps) <= 60
    assert len(world.api_requests) in (3, 4)


def test_without_retries_no_call_waits(world: World) -> None:
    pooled = Pooled(world, 2, max_retries=0)
    world.answers = [error(429), error(429)]
    with pytest.raises(RateLimitError):
        pooled.chat()
    assert pooled.used == "ab"
    assert world.sleeps == []


def test_the_total_timeout_bounds_the_wait(world: World) -> None:
    pooled = Pooled(world, 1, total_timeout=3)
    world.answers = [error(429, retry_after="20")]
    with pytest.raises(TotalTimeoutError, match="all credentials of the pool are in cooldown"):
        pooled.chat()


def test_pauses_after_429_double(world: World) -> None:
    pooled = Pooled(world, 1)
    world.answers = [error(429)] * 5
    pooled.chat()
    assert len(world.sleeps) == 5
    assert 4 <= world.sleeps[-1] <= 10


def test_what_is_used_up_is_so_for_a_model(world: World) -> None:
    pooled = Pooled(world, 2)
    world.answers = [error(402)]
    pooled.chat(model="GigaChat-Max")
    pooled.chat(model="GigaChat-Max")
    pooled.chat(model="GigaChat")
    pooled.chat(model="GigaChat")
    assert pooled.used[:3] == "abb"
    assert set(pooled.used[3:]) == {"a", "b"}


def test_what_is_forbidden_is_so_at_an_endpoint(world: World) -> None:
    pooled = Pooled(world, 2)
    world.answers = [error(403), error(403)]
    with pytest.raises(ForbiddenError):
        world.do(pooled.giga, "get_balance")
    assert pooled.chat().choices


def test_a_model_that_is_switched_off_is_no_fault_of_a_credential(world: World) -> None:
    pooled = Pooled(world, 2)
    world.answers = [error(403, "The model is temporarily unavailable due to technical reasons")]
    with pytest.raises(ForbiddenError):
        pooled.chat()
    assert len(world.api_requests) == 1


def test_other_credentials_are_asked_before_other_models(world: World) -> None:
    pooled = Pooled(world, 2, model="GigaChat-Max", fallback_models=["GigaChat"])
    world.answers = [error(402), error(402)]
    assert pooled.chat().choices
    models = [json.loads(request.content or b"")["model"] for request in world.api_requests]
    assert models == ["GigaChat-Max", "GigaChat-Max", "GigaChat"]


def test_errors_of_the_service_are_no_fault_of_a_credential(world: World) -> None:
    pooled = Pooled(world, 2)
    world.answers = [error(500)] * 3
    with pytest.raises(ResponseError, match="500"):
        pooled.chat()
    assert pooled.used == "aaa"


def test_a_token_of_the_caller_is_no_fault_of_a_credential(world: World) -> None:
    pooled = Pooled(world, 2)
    world.answers = [error(401)]
    mark = authorization_cvar.set("Bearer of-a-tenant")
    try:
        with pytest.raises(AuthenticationError):
            pooled.chat()
    finally:
        authorization_cvar.reset(mark)
    pooled.chat()
    pooled.chat()
    assert len(world.api_requests) == 3


@pytest.fixture
def tenant() -> Iterator[None]:
    """A context with the authorization of somebody else."""
    mark = authorization_cvar.set("Bearer of-a-tenant")
    yield
    authorization_cvar.reset(mark)


@pytest.mark.usefixtures("tenant")
def test_with_a_token_of_the_caller_cooldowns_do_not_matter(world: World) -> None:
    pooled = Pooled(world, 2, max_retries=0)
    with without_authorization():
        world.answers = [error(429, retry_after="50"), error(429, retry_after="50")]
        with pytest.raises(RateLimitError):
            pooled.chat()
    assert pooled.chat().choices
    assert world.sleeps == []
    assert world.api_requests[-1].headers["authorization"] == "Bearer of-a-tenant"


@pytest.mark.usefixtures("tenant")
def test_with_a_token_of_the_caller_429_is_retried_as_without_a_pool(world: World) -> None:
    pooled = Pooled(world, 2)
    world.answers = [error(429, retry_after="5")]
    assert pooled.chat().choices
    assert len(world.sleeps) == 1


@pytest.mark.usefixtures("tenant")
def test_ids_of_the_caller_are_of_no_credential(world: World) -> None:
    pooled = Pooled(world, 2)
    world.answers = [uploaded(FILE), uploaded(OTHER_FILE)]
    for name in ("a.txt", "b.txt"):
        world.do(pooled.giga, "upload_file", (name, b"x"))
    assert pooled.chat(files=[FILE, OTHER_FILE]).choices
    world.answers = [error(404)]
    with pytest.raises(NotFoundError):
        world.do(pooled.giga, "get_file", FILE)
    assert len(world.api_requests) == 4


@pytest.mark.usefixtures("tenant")
@pytest.mark.parametrize("count", [0, 2])
def test_what_the_caller_is_refused_is_not_told_to_other_processes(
    world: World, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    limits = Cooling(0.0)
    monkeypatch.setattr("gigachat._redis.limits_at", lambda url: limits)
    options: dict[str, Any] = {"limits": "redis://localhost", "max_concurrency": 1}
    giga = Pooled(world, count, **options).giga if count else world.client(**options)
    world.answers = [error(429)]
    assert world.chat(giga, "x").choices
    assert limits.told == []


def test_access_tokens_can_be_pooled(world: World) -> None:
    giga = world.client(pool=[Credential(access_token="one"), Credential(access_token="two")])
    world.answers = [error(401)]
    for _ in range(2):
        world.chat(giga, "x")
    assert [request.headers["authorization"] for request in world.api_requests] == [
        "Bearer one",
        "Bearer two",
        "Bearer two",
    ]


def test_one_refusal_of_calls_at_once_counts() -> None:
    world = World("async")
    pooled = Pooled(world, 1)
    world.answers = [error(429, retry_after="5"), error(429, retry_after="4")]

    async def main() -> None:
        await asyncio.gather(pooled.giga.achat("x"), pooled.giga.achat("x"))

    asyncio.run(main())
    assert len(world.api_requests) == 4
    assert max(world.sleeps) <= 6.25


def test_a_call_that_waits_for_a_slot_leaves_a_refused_credential() -> None:
    world = World("async")
    pooled = Pooled(world, 2, max_concurrency=1)
    real = AsyncTransport(Settings())
    world.wait = real.wait  # type: ignore[method-assign]
    world.answers = [error(429, retry_after="50")]

    async def main() -> None:
        await asyncio.gather(*(pooled.giga.achat("x") for _ in range(6)))

    asyncio.run(main())
    assert len(pooled.used) == 7
    assert pooled.used.count("a") == 1
    assert world.sleeps == []


def test_cooldowns_that_are_remembered_are_bounded(world: World) -> None:
    pooled = Pooled(world, 2)
    for number in range(150):
        world.answers = [error(402)]
        assert pooled.chat(model=f"m{number}").choices
    pool = pooled.giga._service.pool
    assert pool is not None
    assert all(len(member._cooldowns) <= 102 for member in pool._members)


def test_a_failure_leaves_the_credential(world: World) -> None:
    pooled = Pooled(world, 1, max_concurrency=1)
    world.answers = [lost(Stage.READING)]
    with pytest.raises(APIConnectionError):
        pooled.chat()
    assert pooled.chat().choices
    pool = pooled.giga._service.pool
    assert pool is not None
    assert pool._members[0].calls == {}


def test_waits_are_observed(world: World) -> None:
    pauses: list[float] = []

    class Retries(Observer):
        def retry(self, call: ObservedCall, attempt: Attempt, pause: float) -> None:
            pauses.append(pause)

    pooled = Pooled(world, 2, observers=[Retries()])
    world.answers = [error(429, retry_after="5"), error(429, retry_after="50")]
    assert pooled.chat().choices
    assert len(pauses) == 2
    assert pauses[0] == 0.0
    assert 5 <= pauses[1] <= 6.25


class Cooling:
    """Shared limits of a credential that another process has found refused."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.told: list[float] = []
        self.tokens = None

    def limiter(self, credential: str) -> SharedLimiter:
        return SharedLimiter().bind(self, credential)

    def want(self, credential: str, slot: Slot, limit: int) -> Signal:
        signal = Signal()
        signal.set()
        return signal

    def look(self) -> None:
        pass

    def cool_down(self, credential: str, seconds: float) -> None:
        self.told.append(seconds)

    def cooling(self, credential: str) -> float:
        return self.seconds


def test_what_another_process_was_refused_is_in_cooldown_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Cooling(100.0)
    monkeypatch.setattr("gigachat._redis.limits_at", lambda url: limits)
    pooled = Pooled(world, 1, limits="redis://localhost", max_concurrency=1)
    with pytest.raises(APITimeoutError, match=r"to other processes; the first one is in cooldown for 100\.0 s"):
        pooled.chat()
    assert world.api_requests == []


def test_refusals_are_told_to_other_processes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Cooling(0.0)
    monkeypatch.setattr("gigachat._redis.limits_at", lambda url: limits)
    pooled = Pooled(world, 2, limits="redis://localhost", max_concurrency=1)
    world.answers = [error(429, retry_after="7"), error(402)]
    assert pooled.chat().choices
    assert limits.told == [7.0]
    alone = world.client(limits="redis://localhost", max_concurrency=1)
    world.answers = [error(429), error(500)]
    assert world.chat(alone, "x").choices
    assert limits.told == [7.0, 0.5]


# Ids.


def test_calls_that_name_an_id_use_the_credential_that_returned_it(world: World) -> None:
    pooled = Pooled(world, 3)
    world.answers = [uploaded(FILE)]
    file = world.do(pooled.giga, "upload_file", ("a.txt", b"x"))
    world.answers = [uploaded(FILE)]
    world.do(pooled.giga, "get_file", file.id_)
    pooled.chat(files=[file.id_])
    world.chat(pooled.giga, [{"role": "user", "content": "x", "attachments": [file.id_]}])
    assert pooled.used == "aaaa"


def test_such_a_call_waits_for_its_credential(world: World) -> None:
    pooled = Pooled(world, 2)
    world.answers = [uploaded(FILE), error(429, retry_after="7")]
    file = world.do(pooled.giga, "upload_file", ("a.txt", b"x"))
    world.chat(pooled.giga, [{"role": "user", "content": "x", "attachments": [file.id_]}])
    assert pooled.used == "aaa"
    assert 7 <= world.sleeps[0] <= 8.75


def test_an_unknown_id_is_asked_of_each_credential(world: World) -> None:
    pooled = Pooled(world, 3)
    world.answers = [error(404, "No such file"), uploaded(FILE)]
    world.do(pooled.giga, "get_file", FILE)
    world.answers = [uploaded(FILE)]
    world.do(pooled.giga, "get_file", FILE)
    assert pooled.used == "acc"
    world.answers = [error(404), error(404), error(404)]
    with pytest.raises(NotFoundError):
        world.do(pooled.giga, "get_file", OTHER_FILE)
    assert sorted(pooled.used[3:]) == ["a", "b", "c"]


def test_ids_of_two_accounts_do_not_go_together(world: World) -> None:
    pooled = Pooled(world, 2)
    world.answers = [uploaded(FILE), uploaded(OTHER_FILE)]
    for _ in range(2):
        world.do(pooled.giga, "upload_file", ("a.txt", b"x"))
    with pytest.raises(ValueError, match="ids of several accounts, of the credentials a and b"):
        world.chat(pooled.giga, [{"role": "user", "content": "x", "attachments": [FILE, OTHER_FILE]}])


def test_ids_in_pieces_of_a_stream_are_remembered(world: World) -> None:
    pooled = Pooled(world, 2)
    chunk = b'data: {"choices": [{"delta": {"content": "<img src=\\"%s\\"/>"}, "index": 0}]}\n\n' % FILE.encode()
    cut = chunk.index(FILE.encode()) + 20
    world.answers = [Answer(pieces=[chunk[:cut], chunk[cut:], LAST])]
    world.read(pooled.giga, "x")
    world.answers = [Answer(b"picture")]
    world.do(pooled.giga, "get_image", FILE)
    assert pooled.used == "aa"


def answer(content: str, **message: Any) -> Answer:
    completion: dict[str, Any] = COMPLETION
    choice = {**completion["choices"][0], "message": {"role": "assistant", "content": content, **message}}
    return Answer({**completion, "choices": [choice]})


def test_ids_in_texts_and_arguments_bind_no_call(world: World) -> None:
    pooled = Pooled(world, 2)
    call = {"name": "f", "arguments": {"order": OTHER_FILE}}
    world.answers = [answer(f'It is {FILE}, or {{"id": "{FILE}"}}.'), answer("", function_call=call)]
    pooled.chat()
    pooled.chat()
    for _ in range(2):
        messages = [{"role": "user", "content": f"{FILE} {OTHER_FILE}"}, {"role": "user", "content": FILE}]
        world.chat(pooled.giga, messages)
    assert sorted(pooled.used) == ["a", "a", "b", "b"]


def test_a_state_binds_the_next_call(world: World) -> None:
    pooled = Pooled(world, 2)
    world.answers = [answer("Hello.", functions_state_id=FILE)]
    message = pooled.chat().choices[0].message
    assert message.functions_state_id == FILE
    for _ in range(2):
        world.chat(pooled.giga, [{"role": "user", "content": "x"}, message, {"role": "user", "content": "y"}])
    assert pooled.used == "aaa"


# Slots.


def test_each_credential_has_its_own_slots() -> None:
    world = World("async")
    in_progress: dict[str, int] = {}
    most: dict[str, int] = {}

    async def main() -> None:
        send = world.send

        async def counting(request: Any) -> Any:
            if request.sign_in:
                return await send(request)
            name = request.headers["authorization"]
            in_progress[name] = in_progress.get(name, 0) + 1
            most[name] = max(most.get(name, 0), in_progress[name])
            for _ in range(3):
                await asyncio.sleep(0)
            response = await send(request)
            in_progress[name] -= 1
            return response

        world.send = counting  # type: ignore[method-assign]
        giga = world.client(pool=[Credential(key(), max_concurrency=1), Credential(key())], max_concurrency=2)
        await asyncio.gather(*(giga.achat("x") for _ in range(30)))

    asyncio.run(main())
    assert sorted(most.values()) == [1, 2]
    assert len(world.api_requests) == 30


def test_the_least_busy_credential_is_used() -> None:
    world = World("blocking")
    pooled = Pooled(world, 2)
    world.answers = [Answer(pieces=[FIRST, LAST])]
    stream = pooled.giga.stream("x")
    next(stream)
    for _ in range(3):
        pooled.chat()
    assert pooled.used == "abbb"
    stream.close()
    pooled.chat()
    pooled.chat()
    assert "a" in pooled.used[4:]


def test_a_stream_that_is_no_longer_referenced_leaves_its_credential() -> None:
    world = World("blocking")
    pooled = Pooled(world, 1, max_concurrency=1)
    world.answers = [Answer(pieces=[FIRST, LAST])]
    stream = pooled.giga.stream("x")
    next(stream)
    del stream
    assert pooled.chat().choices


# What is given.


@pytest.mark.parametrize("kind", [GigaChat, AsyncGigaChat])
@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"pool": []}, "pool= is empty"),
        ({"pool": ["YTpi"]}, "list of gigachat.Credential"),
        ({"pool": 5}, "list of gigachat.Credential"),
        ({"pool": Credential("YTpi")}, "list of gigachat.Credential"),
        (
            {"pool": [Credential("YTpi", name="a"), Credential("YTpi", max_concurrency=2)]},
            r"pool\[1\] is .* pool\[0\] ag",
        ),
        (
            {"pool": [Credential("YTpi", name="a"), Credential("YTpj", name="a")]},
            r"pool\[1\] has the name of pool\[0\]",
        ),
        ({"pool": [Credential("YTpi")], "credentials": "YTpi"}, "either pool= or credentials=, not both"),
        ({"pool": [Credential("YTpi")], "user": "a", "password": "b"}, "either pool= or user=, not both"),
        ({"pool": [Credential("YTpi")], "access_token_provider": str}, "either pool= or access_token_provider="),
    ],
)
def test_a_pool_that_cannot_be_used_is_refused(kind: Any, options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        kind(**options)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"credentials": ""},
        {"client_id": "a"},
        {"password": "secret-mark"},
        {"credentials": "secret-mark", "access_token": "secret-mark"},
        {"credentials": 5},
        {"credentials": "secret-mark", "name": "a\nsecret-mark"},
        {"credentials": "secret-mark\ud800"},
        {"credentials": "secret-mark", "max_concurrency": 0},
        {"credentials": "secret-mark", "max_concurrency": "3"},
    ],
)
def test_a_credential_that_cannot_be_used_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"^Credential: ") as raised:
        Credential(**options)
    assert "secret-mark" not in str(raised.value)


def test_the_environment_gives_a_pool_no_credential(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    monkeypatch.setenv("GIGACHAT_CREDENTIALS", "YTpi")
    pooled = Pooled(world, 2)
    pooled.chat()
    pooled.chat()
    assert pooled.used == "ab"


def test_a_credential_shows_no_secret() -> None:
    shown = [
        repr(Credential("secret-mark", name="first")),
        repr(Credential(client_id="id", client_secret="secret-mark")),
        repr(Credential(user="me", password="secret-mark").settings()),
    ]
    assert "secret-mark" not in "".join(shown)
    assert "first" in shown[0]


def test_a_client_with_a_pool_is_copied_and_pickled() -> None:
    giga = GigaChat(pool=[Credential("YTpi", name="a"), Credential("YTpj", scope="GIGACHAT_API_CORP")])
    for other in (copy.copy(giga), copy.deepcopy(giga), pickle.loads(pickle.dumps(giga)), giga.with_options()):
        pool = other._service.pool
        assert pool is not None
        assert [member.name for member in pool._members] == ["a", "pool[1]"]
        assert pool._members[1].service.settings.scope == "GIGACHAT_API_CORP"


def test_ids_that_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gigachat._engine.account_ids._REMEMBERED", 10)
    ids: AccountIds[str] = AccountIds()
    for _ in range(100):
        ids.note(b'{"id": "%s"}' % str(uuid.uuid4()).encode(), "a", chat=False)
    assert 10 <= len(ids._owners) <= 20
