"""Signing in: when, how often, with what, and who shares it."""

from __future__ import annotations

import asyncio
import base64
import copy
import pickle
import threading
from typing import Any

import pytest

from gigachat import (
    APIConnectionError,
    APIResponseValidationError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    GigaChat,
    RateLimitError,
    ServerError,
)
from gigachat._engine.transport import Stage
from gigachat.context import session_id_cvar
from tests.unit.world import KEY, Answer, World, error, lost


def used(world: World) -> list[str]:
    """The tokens of the API requests, in order."""
    return [request.headers["Authorization"].removeprefix("Bearer ") for request in world.api_requests]


def test_the_first_request_signs_in_by_itself(world: World) -> None:
    giga = world.client()
    world.chat(giga, "x")
    world.chat(giga, "x")
    (sign_in,) = world.sign_in_requests
    assert sign_in.method == "POST"
    assert sign_in.url == "https://ngw.devices.sberbank.ru:9443/api/v2/oauth"
    assert sign_in.headers["Authorization"] == f"Basic {KEY}"
    assert sign_in.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert len(sign_in.headers["RqUID"]) == 36
    assert sign_in.content == b"scope=GIGACHAT_API_PERS"
    assert used(world) == ["token-1", "token-1"]


def test_a_pair_makes_the_same_key(world: World) -> None:
    world.chat(world.client(client_id="айди", client_secret="s:cret"), "x")
    basic = world.sign_in_requests[0].headers["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(basic).decode() == "айди:s:cret"


def test_user_and_password_sign_in_at_the_api(world: World) -> None:
    world.sign_ins = [Answer({"tok": "tok-1", "exp": int(world.unix + 86400)}, headers={"Date": world.date()})]
    giga = world.client(user="me", password="пароль")
    for _ in range(3):
        world.chat(giga, "x")
        world.time += 3600
    (sign_in,) = world.sign_in_requests  # `exp` is in seconds: the token lives for a day
    assert sign_in.url == "https://gigachat.devices.sberbank.ru/api/v1/token"
    assert sign_in.content == b""
    assert base64.b64decode(sign_in.headers["Authorization"].removeprefix("Basic ")).decode() == "me:пароль"
    assert "RqUID" not in sign_in.headers
    assert set(used(world)) == {"tok-1"}


def test_a_ready_token_is_used_as_it_is(world: World) -> None:
    giga = world.client(access_token="ready", credentials=KEY)
    world.chat(giga, "x")
    token = world.do(giga, "get_token")
    assert (token.access_token, token.expires_at) == ("ready", 0)
    assert len(world.requests) == 1
    assert used(world) == ["ready"]
    world.answers = [error(401, "Unauthorized")]
    with pytest.raises(AuthenticationError):
        world.chat(giga, "x")
    assert world.sign_in_requests == []


def test_get_token_signs_in_ahead_once(world: World) -> None:
    giga = world.client()
    token = world.do(giga, "get_token")
    assert token.access_token == "token-1"
    assert token.expires_at == (world.unix + 1800) * 1000
    assert world.do(giga, "get_token").access_token == "token-1"
    world.chat(giga, "x")
    assert len(world.sign_in_requests) == 1


def test_get_token_gives_none_where_none_is_used(world: World) -> None:
    giga = world.client(credentials=None, base_url="https://gateway.example/v1")
    assert world.do(giga, "get_token") is None


def test_a_token_is_renewed_ahead_of_its_expiry(world: World) -> None:
    giga = world.client()
    world.chat(giga, "x")
    world.time += 1800 - 61
    world.chat(giga, "x")
    world.time += 2
    world.chat(giga, "x")
    assert used(world) == ["token-1", "token-1", "token-2"]


def test_a_buffer_longer_than_the_life_of_a_token_does_not_renew_each_time(world: World) -> None:
    world.token_lifetime = 30
    giga = world.client(token_expiry_buffer_ms=60_000)
    world.chat(giga, "x")
    world.time += 14
    world.chat(giga, "x")
    assert used(world) == ["token-1", "token-1"]


@pytest.mark.parametrize("failure", [error(500), error(429), error(400), lost(Stage.CONNECTING), Answer(b"<html>")])
def test_while_renewal_fails_a_valid_token_is_used(world: World, failure: Any) -> None:
    giga = world.client()
    world.chat(giga, "x")
    world.time += 1800 - 50
    world.sign_ins = [failure] * 100
    for _ in range(5):
        world.chat(giga, "x")
    assert used(world) == ["token-1"] * 6
    # It is asked for in one attempt, and not again with each request.
    assert len(world.sign_in_requests) == 2
    world.time += 6
    world.chat(giga, "x")
    assert len(world.sign_in_requests) == 3
    world.time += 50
    with pytest.raises((ServerError, RateLimitError, BadRequestError, APIConnectionError, APIResponseValidationError)):
        world.chat(giga, "x")


@pytest.mark.parametrize("shift", [-3600, 3600, -86400 * 365])
def test_a_wrong_clock_of_ours_changes_nothing(world: World, monkeypatch: pytest.MonkeyPatch, shift: int) -> None:
    monkeypatch.setattr("time.time", lambda: world.unix + shift)
    giga = world.client()
    for passed in (0, 1700, 60):
        world.time += passed
        world.chat(giga, "x")
    assert used(world) == ["token-1", "token-1", "token-2"]


@pytest.mark.parametrize(
    ("expires", "valid_after", "expired_after"),
    [
        (lambda now: int(now + 1800), 1700, 1750),  # seconds
        (lambda now: int(now + 1800) * 1000, 1700, 1750),  # milliseconds
        (lambda now: str(int(now + 1800)), 1700, 1750),
        (lambda now: 4102444800000, 86_000, 86_400),  # the year 2100: clamped to a day
        (lambda now: 0, 20, 60),  # absurd: for a minute
        (lambda now: int(now - 10), 20, 60),
        (lambda now: None, 20, 60),
        (lambda now: "soon", 20, 60),
    ],
)
def test_expiry_is_understood(world: World, expires: Any, valid_after: int, expired_after: int) -> None:
    giga = world.client()
    body = {"access_token": "first", "expires_at": expires(world.unix)}
    world.sign_ins = [Answer(body, headers={"Date": world.date()})]
    world.chat(giga, "x")
    world.time += valid_after
    world.chat(giga, "x")
    world.time += expired_after - valid_after
    world.chat(giga, "x")
    assert used(world) == ["first", "first", "token-1"]


def test_a_refused_token_is_renewed_once_and_the_request_repeated_once(world: World) -> None:
    giga = world.client()
    world.chat(giga, "x")
    world.answers = [error(401, "Token has expired")]
    world.chat(giga, "x")
    assert used(world) == ["token-1", "token-1", "token-2"]


def test_a_permanent_401_is_not_hammered(world: World) -> None:
    giga = world.client()
    world.answers = [error(401)] * 100
    for _ in range(10):
        with pytest.raises(AuthenticationError):
            world.chat(giga, "x")
    assert len(world.sign_in_requests) == 2
    assert len(world.api_requests) == 11
    world.time += 61
    with pytest.raises(AuthenticationError):
        world.chat(giga, "x")
    assert len(world.sign_in_requests) == 3
    world.answers = []
    world.chat(giga, "x")  # and it recovers by itself


def test_a_wrong_key_is_the_oauth_error_with_advice(world: World) -> None:
    world.sign_ins = [Answer({"code": 6, "message": "credentials doesn't match db data"}, 401)]
    with pytest.raises(AuthenticationError, match="make a new one") as raised:
        world.chat(world.client(), "x")
    assert raised.value.code == 6
    assert KEY not in str(raised.value)
    assert len(world.requests) == 1


def test_oauth_is_tried_again_where_it_may_help(world: World) -> None:
    world.sign_ins = [error(429), error(503), lost(Stage.WAITING)]
    world.chat(world.client(), "x")
    assert len(world.sign_in_requests) == 4


def test_sign_in_carries_nothing_of_a_context(world: World) -> None:
    token = session_id_cvar.set("tenant\nbad")
    try:
        giga = world.client()
        world.do(giga, "get_token")
        with pytest.raises(ValueError, match="x-session-id"):
            world.chat(giga, "x")
    finally:
        session_id_cvar.reset(token)
    assert "X-Session-ID" not in world.sign_in_requests[0].headers


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("ваш_ключ", "placeholder"),
        ("<your key>", "placeholder"),
        ("YOUR_KEY", "is a placeholder from an example"),
        ("your-authorization-key", "is a placeholder from an example"),
        ("your key", "is a placeholder from an example"),
        ("...", "is a placeholder from an example"),
        ("***", "is a placeholder from an example"),
        ("xxx", "is a placeholder from an example"),
        ("XXXX", "is a placeholder from an example"),
        ("a2V5a2V5a2V5a", "base64"),
        ("7f3b1c1e-9a41-4a7e-8a52-0d6a5d3a9f11", "UUID"),
        ("eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.c2ln", "access_token="),
        ("id:secret", "client_id="),
        ("ab\ncd", "line break"),
    ],
)
def test_what_surely_is_no_key_is_refused_before_any_request(world: World, key: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as raised:
        world.chat(world.client(credentials=key), "x")
    assert key not in str(raised.value).replace("pass client_id", "")
    assert world.requests == []


def test_a_key_copied_with_its_scheme_is_understood(world: World) -> None:
    world.chat(world.client(credentials=f" 'Basic {KEY}'\n"), "x")
    assert world.sign_in_requests[0].headers["Authorization"] == f"Basic {KEY}"


@pytest.mark.parametrize("token", ["токен", "two words", "line\nbreak"])
def test_what_surely_is_no_access_token_is_refused(world: World, token: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        world.client(access_token=token)
    assert token not in str(raised.value)


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b"{}", b'{"access_token":5}', b'{"access_token":"a\\nb"}', b'{"access_token":"a b"}']
)
def test_a_sign_in_without_a_token_is_our_error(world: World, body: bytes) -> None:
    world.sign_ins = [Answer(body)]
    with pytest.raises(APIResponseValidationError):
        world.chat(world.client(), "x")
    assert world.api_requests == []


def test_clients_of_one_key_share_its_token_and_others_do_not(world: World) -> None:
    key = base64.b64encode(f"shared in {world.mode}:key".encode()).decode()
    shared: dict[str, Any] = {"share_token": True, "credentials": key}
    for _ in range(5):
        world.chat(world.client(**shared), "x")
    assert len(world.sign_in_requests) == 1
    for different in (
        {"scope": "GIGACHAT_API_CORP"},
        {"credentials": f"b3Ro{key}"},
        {"auth_url": "https://other.example/oauth"},
        {"verify_ssl_certs": False},
        {"proxy": "http://proxy.example:3128"},
        {"share_token": False},
    ):
        before = len(world.sign_in_requests)
        world.chat(world.client(**{**shared, **different}), "x")
        assert len(world.sign_in_requests) == before + 1, different


def test_only_the_token_that_was_used_is_discarded(world: World) -> None:
    giga = world.client()
    world.chat(giga, "x")
    authorization = giga._service.authorization
    assert authorization is not None

    def renewed_meanwhile(_: object) -> Answer:
        # Somebody else has its request refused and signs in while this request is under way.
        token = authorization.fresh(world.time)
        assert token is not None
        assert authorization.invalidate(token, world.time)
        other = World("blocking")
        other._tokens = 1
        other.started_at, other.time = world.started_at, world.time
        giga._start(giga._service, other, other)
        giga.get_token()
        giga._start(giga._service, world, world)
        return error(401)

    world.answers = [renewed_meanwhile]
    world.chat(giga, "x")
    assert used(world) == ["token-1", "token-1", "token-2"]
    assert len(world.sign_in_requests) == 1


def test_no_secret_is_shown_and_no_token_pickled(world: World) -> None:
    giga = world.client(credentials="c2VjcmV0OmtleQ==")
    world.chat(giga, "x")
    pickled = pickle.dumps(giga)
    assert b"token-1" not in pickled
    assert pickle.loads(pickled)._settings == giga._settings
    assert copy.deepcopy(giga)._settings == giga._settings
    assert "c2VjcmV0OmtleQ==" not in repr(giga) + repr(giga._settings) + repr(giga._service.authorization.__dict__)


# Several callers at once: the async mode here; threads over real sockets.


@pytest.fixture
def many() -> World:
    return World("async")


def test_one_sign_in_serves_all_who_wait(many: World) -> None:
    giga = many.client()

    async def main() -> None:
        await asyncio.gather(*(giga.achat("x") for _ in range(40)))

    asyncio.run(main())
    assert len(many.sign_in_requests) == 1
    assert set(used(many)) == {"token-1"}


def test_a_failure_is_shared_by_all_who_waited(many: World) -> None:
    giga = many.client(max_retries=0)
    many.sign_ins = [error(500, "down")]

    async def main() -> Any:
        return await asyncio.gather(*(giga.achat("x") for _ in range(10)), return_exceptions=True)

    errors = asyncio.run(main())
    assert [type(each) for each in errors] == [ServerError] * 10
    assert len({id(each) for each in errors}) == 10  # each its own, with a traceback of its own
    assert len(many.sign_in_requests) == 1


def test_a_cancelled_leader_hands_over(many: World) -> None:
    giga = many.client()

    async def main() -> Any:
        leader = asyncio.create_task(giga.achat("leads"))
        await asyncio.sleep(0)
        others = [asyncio.create_task(giga.achat("waits")) for _ in range(5)]
        await asyncio.sleep(0)
        leader.cancel()
        answers = await asyncio.gather(*others)
        with pytest.raises(asyncio.CancelledError):
            await leader
        return answers

    assert len(asyncio.run(main())) == 5
    assert len(many.sign_in_requests) == 2


def test_a_leader_that_never_ends_is_replaced(many: World, monkeypatch: pytest.MonkeyPatch) -> None:
    giga = many.client()

    async def main() -> None:
        never = asyncio.get_running_loop().create_future()

        async def stuck(_: object) -> None:
            monkeypatch.undo()
            await never

        monkeypatch.setattr(many, "send", stuck)
        leader = asyncio.create_task(giga.achat("leads"))
        await asyncio.sleep(0)
        await asyncio.gather(giga.achat("waits"), giga.achat("waits too"))
        leader.cancel()

    asyncio.run(main())
    assert used(many) == ["token-1", "token-1"]


def test_those_with_a_valid_token_do_not_wait_for_its_renewal(many: World) -> None:
    giga = many.client()

    async def main() -> None:
        await giga.achat("x")
        many.time += 1800 - 30
        renewing = asyncio.create_task(giga.achat("renews"))
        await asyncio.sleep(0)
        await giga.achat("does not wait")
        await renewing

    asyncio.run(main())
    assert used(many) == ["token-1", "token-1", "token-2"]


def test_a_renewal_that_fails_does_not_bring_back_a_token_refused_meanwhile(
    many: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    giga = many.client()
    authorization = giga._service.authorization
    assert authorization is not None

    async def main() -> None:
        await giga.achat("x")
        many.time += many.token_lifetime - 30
        many.answers = [error(401, "Unauthorized")]

        async def fails_late(_: object) -> None:
            monkeypatch.undo()
            while authorization.valid(many.now()):
                await asyncio.sleep(0)
            raise lost(Stage.CONNECTING)

        monkeypatch.setattr(many, "send", fails_late)
        await asyncio.gather(giga.achat("renews"), giga.achat("is refused"))

    asyncio.run(main())
    assert used(many) == ["token-1", "token-1", "token-2", "token-2"]


def test_get_token_knows_the_headers_of_the_sign_in(world: World) -> None:
    body = {"tok": "tok-1", "exp": int(world.unix + 86400)}
    world.sign_ins = [Answer(body, headers={"X-Request-Id": "r-1", "Date": world.date()})]
    token = world.do(world.client(user="me", password="p"), "get_token")
    assert token.x_headers == {"x-request-id": "r-1", "x-session-id": None, "x-client-id": None}


def test_a_password_given_as_an_argument_is_taken_to_the_letter(world: World) -> None:
    world.chat(world.client(user="me", password=" 'quoted' "), "x")
    basic = world.sign_in_requests[0].headers["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(basic).decode() == "me: 'quoted' "


def test_quotes_around_a_password_in_the_environment_are_those_of_a_shell(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIGACHAT_PASSWORD", "'plain'\n")
    world.chat(world.client(user="me"), "x")
    basic = world.sign_in_requests[0].headers["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(basic).decode() == "me:plain"


@pytest.mark.parametrize("body", [b"<html>Log in to the network</html>", b"{}"])
def test_a_page_in_the_place_of_a_token_says_where_to_look(world: World, body: bytes) -> None:
    world.sign_ins = [Answer(body)]
    with pytest.raises(APIResponseValidationError, match=r"auth_url=.*proxy") as raised:
        world.chat(world.client(), "x")
    assert raised.value.content is None  # it may hold a token after all


# Tokens of the user's own function.


def test_a_provider_is_asked_before_each_attempt_and_its_token_never_kept(world: World) -> None:
    tokens = iter(["one", "Bearer two", "three", "four"])
    giga = world.client(access_token_provider=lambda: next(tokens))
    assert giga.token is None
    world.chat(giga, "x")
    world.answers = [error(500)]
    world.chat(giga, "x")
    assert used(world) == ["one", "two", "three"]
    assert world.do(giga, "get_token").access_token == "four"
    assert giga.token is None
    assert world.sign_in_requests == []


def test_a_refused_token_of_a_provider_is_replaced_once(world: World) -> None:
    tokens = iter(["old", "new"])
    giga = world.client(access_token_provider=lambda: next(tokens))
    world.answers = [error(401, "Token has expired")]
    world.chat(giga, "x")
    assert used(world) == ["old", "new"]


def test_a_provider_that_has_no_other_token_is_not_hammered_with(world: World) -> None:
    giga = world.client(access_token_provider=lambda: "same")
    world.answers = [error(401, "Unauthorized")]
    with pytest.raises(AuthenticationError):
        world.chat(giga, "x")
    assert used(world) == ["same"]


def test_an_async_provider_serves_async_calls_only(world: World) -> None:
    async def provide() -> str:
        await asyncio.sleep(0)
        return "awaited"

    giga = world.client(access_token_provider=provide)
    if world.mode == "async":
        world.chat(giga, "x")
        assert used(world) == ["awaited"]
    else:
        with pytest.raises(ConfigurationError, match="AsyncGigaChat"):
            world.chat(giga, "x")
        assert world.requests == []


class Promise:
    """Something that can be awaited and is no coroutine."""

    def __await__(self) -> Any:
        yield from asyncio.sleep(0).__await__()
        return "promised"


def test_a_provider_may_give_anything_that_can_be_awaited(world: World) -> None:
    giga = world.client(access_token_provider=Promise)
    if world.mode == "async":
        world.chat(giga, "x")
        assert used(world) == ["promised"]
    else:
        with pytest.raises(ConfigurationError, match="AsyncGigaChat"):
            world.chat(giga, "x")


@pytest.mark.parametrize("given", ["", None, 5, "to ken", "токен"])
def test_what_a_provider_gives_must_be_a_token(given: Any, world: World) -> None:
    giga = world.client(access_token_provider=lambda: given)
    with pytest.raises(ConfigurationError, match="access_token_provider=") as caught:
        world.chat(giga, "x")
    assert "токен" not in str(caught.value)
    assert world.requests == []


def test_what_a_provider_raises_passes_through(world: World) -> None:
    def provide() -> str:
        raise LookupError("the vault is closed")

    with pytest.raises(LookupError, match="vault"):
        world.chat(world.client(access_token_provider=provide), "x")
    assert world.requests == []


def test_a_provider_switches_off_the_environment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIGACHAT_ACCESS_TOKEN", "env")
    monkeypatch.setenv("GIGACHAT_CREDENTIALS", KEY)
    giga = world.client(access_token_provider=lambda: "mine")
    world.chat(giga, "x")
    assert used(world) == ["mine"]


@pytest.mark.parametrize("other", [{"access_token": "ready"}, {"credentials": KEY}, {"user": "u", "password": "p"}])
def test_a_provider_and_another_way_exclude_each_other(other: dict[str, str], world: World) -> None:
    with pytest.raises(ConfigurationError, match="not both"):
        world.client(access_token_provider=lambda: "mine", **other)


def test_a_provider_that_is_no_function_is_refused_at_once(world: World) -> None:
    given: Any = "hush-hush"
    with pytest.raises(ConfigurationError, match=r"^access_token_provider= takes a function, not str$"):
        world.client(access_token_provider=given)


def _token_of_a_module() -> str:
    return "of-the-module"


def test_copies_of_a_client_ask_the_same_provider() -> None:
    giga = GigaChat(access_token_provider=_token_of_a_module)
    for other in (copy.deepcopy(giga), pickle.loads(pickle.dumps(giga)), giga.with_options(timeout=1)):
        token = other.get_token()
        assert token is not None
        assert token.access_token == "of-the-module"


def test_a_deep_copy_shares_a_provider_that_cannot_be_copied() -> None:
    class Vault:
        def __init__(self) -> None:
            self._lock = threading.Lock()

        def token(self) -> str:
            with self._lock:
                return "of-the-vault"

    giga = GigaChat(access_token_provider=Vault().token)
    token = copy.deepcopy([giga])[0].get_token()
    assert token is not None
    assert token.access_token == "of-the-vault"


def test_the_token_that_is_there_can_be_looked_at(world: World) -> None:
    giga = world.client()
    assert giga.token is None
    assert giga._access_token is None
    world.chat(giga, "x")
    assert giga.token == "token-1"
    assert giga._access_token is not None
    assert giga._access_token.expires_at == (world.started_at + world.token_lifetime) * 1000
    world.time += 1801
    assert giga.token is None
    assert world.client(access_token="ready").token == "ready"
    assert len(world.requests) == 2
