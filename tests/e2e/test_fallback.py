"""Fallback models against the local server: every kind of chat, in both modes and versions."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from gigachat import (
    GigaChatException,
    NotFoundError,
    RateLimitError,
    StreamInterruptedError,
    TotalTimeoutError,
)
from gigachat.server import GigaChatServer
from tests.support.callers import Caller, Mode, options, whole
from tests.support.fixtures import VERSIONS, Version, each_of

CHATS = "/chat/completions"
MODELS: dict[str, Any] = {"model": "GigaChat-9", "fallback_models": ["GigaChat-2-Pro", "GigaChat-2-Max"]}


version = each_of(VERSIONS)


@pytest.fixture
def caller(mode: Mode, server: GigaChatServer) -> Iterator[Caller]:
    with Caller(mode, options(server), max_retries=0, **MODELS) as calling:
        yield calling


def asked(server: GigaChatServer) -> list[str]:
    """Return the models of the chats that the server received."""
    return [json.loads(request.body)["model"] for request in server.requests_to(CHATS)]


def name(version: Version, v1: str, v2: str) -> str:
    return v1 if version == "v1" else v2


def test_a_model_that_does_not_exist_is_replaced(caller: Caller, server: GigaChatServer, version: Version) -> None:
    server.reply("Да.")
    completion = caller.do(name(version, "chat", "chat.create"), "Ты тут?")
    assert completion.model.startswith("GigaChat-2-Pro")
    assert asked(server) == ["GigaChat-9", "GigaChat-2-Pro"]


@pytest.mark.parametrize("status", [402, 413, 423, 429, 500, 503])
def test_a_fault_of_the_first_models_is_passed_over(
    caller: Caller, server: GigaChatServer, version: Version, status: int
) -> None:
    server.fail(status, path=CHATS, times=2)
    server.reply("Да.")
    completion = caller.do(name(version, "chat", "chat.create"), "Ты тут?", model="GigaChat-2")
    assert completion.model.startswith("GigaChat-2-Max")
    assert asked(server) == ["GigaChat-2", "GigaChat-2-Pro", "GigaChat-2-Max"]


def test_a_stream_is_of_the_fallback_model(caller: Caller, server: GigaChatServer, version: Version) -> None:
    server.fail(503, path=CHATS)
    server.reply("Жили-были дед да баба.")
    stream = caller.method(name(version, "stream", "chat.stream"))("Сказку!")
    texts, text, completion = whole(stream, caller.run)
    assert "".join(texts) == text == "Жили-были дед да баба."
    assert completion.model.startswith("GigaChat-2-Pro")
    assert asked(server) == ["GigaChat-9", "GigaChat-2-Pro"]


def test_a_stream_that_breaks_off_is_not_begun_again(caller: Caller, server: GigaChatServer, version: Version) -> None:
    server.fail(cut_events=2, path=CHATS)
    chunks: list[Any] = []
    with pytest.raises(StreamInterruptedError):
        caller.read("Сказку!", method=name(version, "stream", "chat.stream"), into=chunks, model="GigaChat-2")
    assert chunks
    assert asked(server) == ["GigaChat-2"]


@pytest.mark.parametrize("fault", [{"cut_bytes": 0}, {"cut_bytes": 20}, {"garbage": True}])
def test_a_response_that_is_lost_may_be_billed(
    caller: Caller, server: GigaChatServer, version: Version, fault: dict[str, Any]
) -> None:
    server.fail(path=CHATS, **fault)
    with pytest.raises(GigaChatException):
        caller.do(name(version, "chat", "chat.create"), "Ты тут?", model="GigaChat-2")
    assert asked(server) == ["GigaChat-2"]


def test_structured_answers_runs_and_conversations_too(
    caller: Caller, server: GigaChatServer, version: Version
) -> None:
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    server.reply('{"value": [1, 2]}')
    _, values = caller.do(name(version, "chat_parse", "chat.parse"), "Один и два", into=list[int])
    assert values == [1, 2]

    server.reply_call("add", {"a": 1, "b": 2})
    server.reply("Три.")
    result = caller.do(name(version, "chat_run", "chat.run"), "1 + 2?", tools=[add])
    assert (result.text, len(result.completions)) == ("Три.", 2)

    server.reply("Здравствуйте!", "До свидания!")
    conversation: Any = caller.method("conversation")(api=version)
    for greeting, expected in (("Привет", "Здравствуйте!"), ("Пока", "До свидания!")):
        reply = conversation.send(greeting)
        assert (caller.run(reply) if asyncio.iscoroutine(reply) else reply).text == expected
    assert asked(server) == ["GigaChat-9", "GigaChat-2-Pro"] * 5


def test_all_models_fail_with_the_error_of_the_first(caller: Caller, server: GigaChatServer, version: Version) -> None:
    server.fail(429, path=CHATS, times=None)
    with pytest.raises(RateLimitError) as raised:
        caller.do(name(version, "chat", "chat.create"), "Ты тут?")
    assert [note.partition(":")[0] for note in raised.value.__notes__] == [
        "fallback model 'GigaChat-2-Pro'",
        "fallback model 'GigaChat-2-Max'",
    ]
    assert asked(server) == ["GigaChat-9", "GigaChat-2-Pro", "GigaChat-2-Max"]


def test_a_view_may_switch_it_on_and_off(caller: Caller, server: GigaChatServer, version: Version) -> None:
    method = name(version, "chat", "chat.create")
    with pytest.raises(NotFoundError):
        caller.do(method, "x", giga=caller.giga.with_options(fallback_models=[]))
    answer = caller.do(method, "x", giga=caller.giga.with_options(fallback_models=["GigaChat-2"]))
    assert answer.model.startswith("GigaChat-2:")


def test_the_total_time_bounds_all_of_it(mode: Mode, server: GigaChatServer) -> None:
    server.fail(503, path=CHATS)
    server.fail(path=CHATS, delay=60)
    with Caller(mode, options(server), total_timeout=1, max_retries=0, **MODELS) as caller:
        with pytest.raises(TotalTimeoutError):
            caller.chat("x")


def test_a_slot_is_kept_for_all_models(mode: Mode, server: GigaChatServer) -> None:
    with Caller(mode, options(server), max_concurrency=1, **MODELS) as caller:
        for _ in range(2):
            assert caller.chat("x").model.startswith("GigaChat-2-Pro")


@pytest.mark.parametrize("mode", ["blocking", "async"])
def test_an_own_http_client_falls_back(mode: Mode, server: GigaChatServer, version: Version) -> None:
    trusted = ssl.create_default_context(cafile=server.ca_bundle_file)
    client: Any = (httpx2.Client if mode == "blocking" else httpx2.AsyncClient)(verify=trusted)
    own = {"http_client" if mode == "blocking" else "async_http_client": client}
    seen: list[str] = []

    def look(request: httpx2.Request) -> None:
        if request.url.path.endswith(CHATS):
            seen.append(json.loads(request.content)["model"])

    async def alook(request: httpx2.Request) -> None:
        look(request)

    client.event_hooks = {"request": [look if mode == "blocking" else alook]}
    with Caller(mode, options(server), **own, **MODELS) as caller:
        assert caller.do(name(version, "chat", "chat.create"), "x").model.startswith("GigaChat-2-Pro")
        assert seen == ["GigaChat-9", "GigaChat-2-Pro"]
        if mode == "blocking":
            client.close()
        else:
            caller.run(client.aclose())
