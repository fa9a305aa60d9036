"""Context variables: headers of the requests made inside a context, and of no others."""

from __future__ import annotations

import asyncio
import base64
import contextvars
import json
import threading
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from gigachat import context
from gigachat.context import (
    agent_id_cvar,
    authorization_cvar,
    chat_completions_url_cvar,
    chat_url_cvar,
    client_id_cvar,
    custom_headers_cvar,
    operation_id_cvar,
    request_id_cvar,
    service_id_cvar,
    session_id_cvar,
    trace_id_cvar,
)
from tests.support.payloads import DONE
from tests.unit.world import Answer, World

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES: dict[str, contextvars.ContextVar[str | None]] = {
    "Authorization": authorization_cvar,
    "X-Session-ID": session_id_cvar,
    "X-Request-ID": request_id_cvar,
    "X-Service-ID": service_id_cvar,
    "X-Operation-ID": operation_id_cvar,
    "X-Client-ID": client_id_cvar,
    "X-Trace-ID": trace_id_cvar,
    "X-Agent-ID": agent_id_cvar,
}


@contextmanager
def having(variable: contextvars.ContextVar[Any], value: Any) -> Iterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def sent(world: World, number: int = -1) -> dict[str, str]:
    """Return the headers of a request, names in lower case; none is there twice."""
    headers = world.api_requests[number].headers
    lowered = {name.lower(): value for name, value in headers.items()}
    assert len(lowered) == len(headers)
    return lowered


def test_every_variable_is_tested() -> None:
    others = {custom_headers_cvar, chat_url_cvar, chat_completions_url_cvar}
    assert {getattr(context, name) for name in context.__all__} == {*NAMES.values(), *others}


@pytest.mark.parametrize("name", NAMES)
def test_a_variable_is_a_header(world: World, name: str) -> None:
    giga = world.client()
    world.chat(giga, "x")
    assert name == "Authorization" or name.lower() not in sent(world)
    with having(NAMES[name], "value of mine"):
        world.chat(giga, "x")
        world.do(giga, "get_models")
        world.answers = [Answer(pieces=[DONE])]
        world.read(giga, "x")
    assert [sent(world, number)[name.lower()] for number in (-3, -2, -1)] == ["value of mine"] * 3
    world.chat(giga, "x")
    assert sent(world).get(name.lower()) != "value of mine"
    assert not any("value of mine" in request.headers.values() for request in world.sign_in_requests)


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_variable_is_no_header(world: World, name: str) -> None:
    with having(NAMES[name], ""):
        world.chat(world.client(), "x")
    assert sent(world).get(name.lower()) in (None, "Bearer token-1")


def test_the_session_of_the_client_is_the_last_choice(world: World) -> None:
    giga = world.client(session_id="client")
    world.chat(giga, "x")
    assert sent(world)["x-session-id"] == "client"
    assert all("x-session-id" not in request.headers for request in world.sign_in_requests)
    world.chat(world.client(session_id="client", default_headers={"X-Session-ID": "default"}), "x")
    assert sent(world)["x-session-id"] == "default"
    with having(session_id_cvar, "context"):
        world.chat(giga, "x")
        assert sent(world)["x-session-id"] == "context"
        world.chat(giga.with_options(extra_headers={"x-session-id": "view"}), "x")
        assert sent(world)["x-session-id"] == "view"


@pytest.mark.parametrize(
    ("options", "session"),
    [
        ([{"session_id": "view"}], "view"),
        ([{"session_id": ""}], "custom"),
        ([{"session_id": "view", "extra_headers": {"X-Session-ID": "header"}}], "header"),
        ([{"session_id": "outer"}, {"session_id": "view"}], "view"),
        ([{"session_id": "view"}, {"timeout": 5}], "view"),
        ([{"extra_headers": {"X-Session-ID": "header"}}, {"session_id": "view"}], "view"),
    ],
)
def test_a_view_has_its_own_session(world: World, options: list[dict[str, Any]], session: str) -> None:
    view = world.client(session_id="client")
    for more in options:
        view = view.with_options(**more)
    with having(session_id_cvar, "context"), having(custom_headers_cvar, {"X-Session-ID": "custom"}):
        world.chat(view, "x")
    assert sent(world)["x-session-id"] == session


@pytest.mark.parametrize(("session", "kind"), [(5, TypeError), ("a\nb", ValueError)])
def test_a_session_that_is_no_header_is_refused(world: World, session: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=r"^session_id: "):
        world.client().with_options(session_id=session)


def test_custom_headers_win_whatever_their_case(world: World) -> None:
    custom = {"x-session-id": "custom", "X-New": "1", "user-agent": "mine", "AUTHORIZATION": "Basic mine"}
    with (
        having(session_id_cvar, "plain"),
        having(authorization_cvar, "Bearer plain"),
        having(custom_headers_cvar, custom),
    ):
        world.chat(world.client(default_headers={"X-Default": "d", "x-new": "0"}), "x")
    headers = sent(world)
    assert headers["x-session-id"] == "custom"
    assert headers["x-new"] == "1"
    assert headers["user-agent"] == "mine"
    assert headers["authorization"] == "Basic mine"
    assert headers["x-default"] == "d"
    assert world.sign_in_requests == []
    assert custom == {"x-session-id": "custom", "X-New": "1", "user-agent": "mine", "AUTHORIZATION": "Basic mine"}


def test_what_a_call_cannot_do_without_wins_over_custom_headers(world: World) -> None:
    with having(custom_headers_cvar, {"accept": "application/json", "content-type": "text/plain"}):
        world.answers = [Answer(pieces=[DONE])]
        world.read(world.client(), "x")
        assert (sent(world)["accept"], sent(world)["content-type"]) == ("text/event-stream", "application/json")
        world.do(world.client(), "get_models")
        assert sent(world)["accept"] == "application/json"
        world.chat(world.client().with_options(extra_headers={"Content-Type": "application/x-json"}), "x")
        assert sent(world)["content-type"] == "application/x-json"


def test_extra_headers_of_a_view_win_over_the_context(world: World) -> None:
    view = world.client().with_options(extra_headers={"x-session-id": "view"})
    with having(session_id_cvar, "context"):
        world.chat(view, "x")
    assert sent(world)["x-session-id"] == "view"


def test_a_token_of_the_context_stands_in_for_the_clients(world: World) -> None:
    giga = world.client(access_token="operator")
    with having(authorization_cvar, "Bearer tenant"):
        world.chat(giga, "x")
    world.chat(giga, "x")
    assert [sent(world, number)["authorization"] for number in (0, 1)] == ["Bearer tenant", "Bearer operator"]


def test_no_token_is_fetched_where_the_context_has_one(world: World) -> None:
    giga = world.client()
    with having(authorization_cvar, "Bearer theirs"):
        assert world.do(giga, "get_token") is None
    assert world.sign_in_requests == []
    assert world.do(giga, "get_token").access_token == "token-1"
    with having(authorization_cvar, "Bearer theirs"):
        assert world.do(giga, "get_token").access_token == "token-1"


def test_a_variable_is_read_when_the_request_is_made(world: World) -> None:
    giga = world.client()
    with having(session_id_cvar, "outer"):
        world.chat(giga, "x")
        with having(session_id_cvar, "inner"):
            world.chat(giga, "x")
        world.chat(giga, "x")
    assert [sent(world, number)["x-session-id"] for number in range(3)] == ["outer", "inner", "outer"]


def test_threads_do_not_see_each_others_variables() -> None:
    world = World("blocking")
    giga = world.client(access_token="ready")  # in this world nobody waits for another's sign-in

    def work(name: str) -> None:
        session_id_cvar.set(name)
        giga.chat(name)

    workers = [threading.Thread(target=work, args=(str(number),)) for number in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    asked = {}
    for request in world.api_requests:
        asked[json.loads(request.content or b"")["messages"][0]["content"]] = request.headers["X-Session-ID"]
    assert asked == {str(number): str(number) for number in range(8)}


def test_tasks_do_not_see_each_others_variables() -> None:
    world = World("async")
    giga = world.client()

    async def work(name: str) -> None:
        session_id_cvar.set(name)
        await giga.achat(name)

    async def all_work() -> None:
        await giga.achat("first, to sign in")
        await asyncio.gather(*(work(str(number)) for number in range(8)))

    asyncio.run(all_work())
    asked = {}
    for request in world.api_requests[1:]:
        asked[json.loads(request.content or b"")["messages"][0]["content"]] = request.headers["X-Session-ID"]
    assert asked == {str(number): str(number) for number in range(8)}


@pytest.mark.parametrize("path", ["/other/completions", "other/completions"])
def test_the_address_of_the_chat_moves_chats_only(world: World, path: str) -> None:
    giga = world.client(base_url="https://host/prefix/v1")
    with having(chat_url_cvar, path):
        world.chat(giga, "x")
        world.do(giga, "get_models")
        world.answers = [Answer(pieces=[DONE])]
        world.read(giga, "x")
    world.chat(giga, "x")
    assert [request.url for request in world.api_requests] == [
        "https://host/prefix/v1/other/completions",
        "https://host/prefix/v1/models",
        "https://host/prefix/v1/other/completions",
        "https://host/prefix/v1/chat/completions",
    ]


def test_defaults() -> None:
    assert chat_url_cvar.get() == "/chat/completions"
    others: list[contextvars.ContextVar[Any]] = [*NAMES.values(), custom_headers_cvar, chat_completions_url_cvar]
    assert [variable.get() for variable in others] == [None] * len(others)


# When it is read.


def read_all(world: World, stream: Any) -> None:
    if world.mode == "blocking":
        list(stream)
        return

    async def main() -> None:
        async for _ in stream:
            pass

    asyncio.run(main())


def test_a_stream_has_the_context_it_was_asked_for_in(world: World) -> None:
    giga = world.client()
    world.answers = [Answer(pieces=[DONE])]
    with having(session_id_cvar, "asked"), having(custom_headers_cvar, {"X-Team": "red"}):
        stream = giga.stream("x") if world.mode == "blocking" else giga.astream("x")
    with having(session_id_cvar, "read"), having(client_id_cvar, "later"):
        read_all(world, stream)
    headers = sent(world)
    assert (headers["x-session-id"], headers["x-team"], headers.get("x-client-id")) == ("asked", "red", None)


def test_a_coroutine_has_the_context_it_is_started_in() -> None:
    world = World("async")
    giga = world.client()

    async def main() -> None:
        with having(session_id_cvar, "made"):
            call = giga.achat("x")
            task = asyncio.create_task(giga.achat("y"))
        with having(session_id_cvar, "awaited"):
            await call
        await task

    asyncio.run(main())
    asked = {}
    for request in world.api_requests:
        asked[json.loads(request.content or b"")["messages"][0]["content"]] = request.headers["x-session-id"]
    assert asked == {"x": "awaited", "y": "made"}


def test_an_attempt_more_has_the_same_headers(world: World) -> None:
    giga = world.client(retry_backoff_factor=0)
    custom = {"X-Team": "red"}

    def changed(_: object) -> Answer:
        custom["X-Team"] = "blue"
        return Answer({"message": "busy"}, 503)

    world.answers = [changed, Answer({"message": "no"}, 401)]
    with having(custom_headers_cvar, custom):
        world.chat(giga, "x")
    assert [sent(world, number)["x-team"] for number in range(3)] == ["red"] * 3
    assert [sent(world, number)["authorization"] for number in range(3)] == ["Bearer token-1"] * 2 + ["Bearer token-2"]


MISTAKES: list[tuple[contextvars.ContextVar[Any], Any, str, type[Exception]]] = [
    (session_id_cvar, "tenant\nbad", "x-session-id", ValueError),
    (trace_id_cvar, "строка", "x-trace-id contains a line break or non-ASCII characters", ValueError),
    (agent_id_cvar, 5, "x-agent-id must be text, not int", TypeError),
    (custom_headers_cvar, {"two words": "x"}, "'two words' is not a header name", ValueError),
    (custom_headers_cvar, {"X-Team": None}, "X-Team must be text, not NoneType", TypeError),
]


@pytest.mark.parametrize(("variable", "value", "text", "kind"), MISTAKES)
def test_a_mistake_is_raised_where_the_call_is_made(
    world: World, variable: contextvars.ContextVar[Any], value: Any, text: str, kind: type[Exception]
) -> None:
    giga = world.client()
    with having(variable, value):
        for method, arguments in (("chat", ["x"]), ("get_models", [])):
            with pytest.raises(kind, match=f"context variables: .*{text}"):
                world.do(giga, method, *arguments)
        with pytest.raises(kind, match=text):  # although nothing of it is read yet
            giga.stream("x") if world.mode == "blocking" else giga.astream("x")
        with pytest.raises(kind, match=text):
            giga.chat.stream("x") if world.mode == "blocking" else giga.achat.stream("x")
    assert world.requests == []


def test_a_mistake_takes_no_slot(world: World) -> None:
    giga = world.client(max_concurrency=1, credentials=base64.b64encode(uuid.uuid4().bytes).decode())
    with having(session_id_cvar, "tenant\nbad"):
        for _ in range(2):
            with pytest.raises(ValueError, match="x-session-id"):
                world.chat(giga, "x")
    assert world.chat(giga, "x").choices
