"""`openai_client()`: the package `openai` itself against the local server, signed in by this project's client."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextvars import copy_context
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx2
import openai
import pytest

from gigachat import AsyncGigaChat, BadRequestError, ConfigurationError, GigaChat
from gigachat.context import authorization_cvar, custom_headers_cvar
from gigachat.server import GigaChatServer
from tests.support.callers import options
from tests.support.systems import needs_listed_roots

MESSAGES: Any = [{"role": "user", "content": "Какая погода в Пскове?"}]
OPENAI = {
    "OPENAI_API_KEY": "sk-secret",
    "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
    "OPENAI_ORG_ID": "org-secret",
    "OPENAI_PROJECT_ID": "proj-secret",
    "OPENAI_CUSTOM_HEADERS": "X-Foo: header-secret\nx-team: header-secret\nAuthorization: Bearer header-secret",
}
"""Variables of OpenAI's own account, which do not concern the service."""


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in OPENAI.items():
        monkeypatch.setenv(name, value)


class Chats:
    """The `openai` package in one mode."""

    def __init__(self, mode: str, giga: Any) -> None:
        self.mode = mode
        self.giga = giga
        self._runner = asyncio.Runner()
        self.client: Any = giga.aopenai_client() if mode == "hybrid" else giga.openai_client()

    def run(self, value: Any) -> Any:
        """Return a value, awaited where it must be."""
        return self._runner.run(_awaited(value), context=copy_context()) if asyncio.iscoroutine(value) else value

    def chat(self, **fields: Any) -> Any:
        return self.run(self.client.chat.completions.create(model="GigaChat-2-Max", messages=MESSAGES, **fields))

    def close(self) -> None:
        self.run(self.client.close())
        closing = self.giga.close() if self.mode == "blocking" else self.giga.aclose()
        self.run(closing)
        self._runner.close()


async def _awaited(value: Any) -> Any:
    return await value


@pytest.fixture(params=["blocking", "async", "hybrid"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def chats(mode: str, server: GigaChatServer) -> Iterator[Chats]:
    kind = AsyncGigaChat if mode == "async" else GigaChat
    made = Chats(mode, kind(**options(server)))
    yield made
    made.close()


def test_it_is_the_published_class(chats: Chats) -> None:
    assert isinstance(chats.client, openai.OpenAI if chats.mode == "blocking" else openai.AsyncOpenAI)


def test_a_chat_is_signed_in_over_tls(chats: Chats, server: GigaChatServer) -> None:
    assert server.base_url.startswith("https:")
    server.reply("Минус три.")
    completion = chats.chat(temperature=0.4)
    assert completion.choices[0].message.content == "Минус три."
    (request,) = server.requests_to("/chat/completions")
    assert request.json == {"model": "GigaChat-2-Max", "messages": MESSAGES, "temperature": 0.4}
    sent = str({**request.headers})
    assert "secret" not in sent
    assert request.headers["authorization"].startswith("Bearer ")
    assert len(server.requests_to("/oauth")) == 1


def test_a_stream(chats: Chats, server: GigaChatServer) -> None:
    server.reply("Жили-были дед да баба.")
    stream = chats.chat(stream=True)
    if chats.mode == "blocking":
        chunks = list(stream)
    else:

        async def read() -> list[Any]:
            return [chunk async for chunk in stream]

        chunks = chats.run(read())
    assert (
        "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Жили-были дед да баба."
    )


def test_the_token_is_the_clients_and_is_refreshed(chats: Chats, server: GigaChatServer) -> None:
    chats.run(chats.giga.chat("x") if chats.mode != "hybrid" else chats.giga.achat("x"))
    chats.chat()
    assert len(server.requests_to("/oauth")) == 1
    server.fail(expired_token=True, path="/chat/completions")
    chats.chat()
    assert len(server.requests_to("/oauth")) == 2
    server.fail(expired_token=True, path="/chat/completions", times=2)
    with pytest.raises(openai.AuthenticationError):
        chats.chat()


@pytest.mark.parametrize(("status", "error"), [(429, openai.RateLimitError), (500, openai.InternalServerError)])
def test_nothing_is_repeated(chats: Chats, server: GigaChatServer, status: int, error: Any) -> None:
    server.fail(status, path="/chat/completions", times=None)
    with pytest.raises(error):
        chats.chat()
    assert len(server.requests_to("/chat/completions")) == 1


def test_a_failed_sign_in_is_the_cause(chats: Chats, server: GigaChatServer) -> None:
    server.fail(400, path="/oauth", times=None)
    with pytest.raises((BadRequestError, openai.APIConnectionError)) as raised:
        chats.chat()
    assert isinstance(raised.value.__cause__ or raised.value, BadRequestError)


def test_headers_queries_and_timeouts_of_the_client_and_its_view(server: GigaChatServer) -> None:
    with GigaChat(
        **options(server), default_headers={"X-Team": "a"}, default_query={"q": "1"}, session_id="s1", timeout=5
    ) as giga:
        view = giga.with_options(extra_headers={"X-Other": "b"}, extra_query={"r": "2"}, timeout=(1.5, 2.5))
        with view.openai_client() as client:
            client.chat.completions.create(model="GigaChat", messages=MESSAGES)
            assert client.timeout == httpx2.Timeout(600.0, connect=1.5, read=2.5, write=2.5)
        with giga.openai_client() as client:
            assert client.timeout == httpx2.Timeout(600.0, connect=5, read=5, write=5)
            assert client.max_retries == 0
    (request,) = server.requests_to("/chat/completions")
    named = ("x-team", "x-other", "x-session-id", "user-agent")
    assert [request.headers[name] for name in named] == ["a", "b", "s1", "GigaChat-python-lib"]
    assert request.query == {"q": "1", "r": "2"}


@pytest.mark.parametrize("kind", ["token", "provider", "header", "none"])
def test_each_kind_of_authorization(server: GigaChatServer, kind: str) -> None:
    reach = options(server)
    with GigaChat(**reach) as giga:
        known = giga.get_token()
    assert known is not None
    del reach["credentials"]
    ways: dict[str, dict[str, Any]] = {
        "token": {"access_token": known.access_token},
        "provider": {"access_token_provider": lambda: known.access_token},
    }
    with GigaChat(**reach, **ways.get(kind, {})) as giga:
        view = giga
        if kind == "header":
            view = giga.with_options(extra_headers={"Authorization": f"Bearer {known.access_token}"})
        with view.openai_client() as client:
            if kind == "none":  # a gateway may add it; the local server is none
                with pytest.raises(openai.AuthenticationError):
                    client.chat.completions.create(model="GigaChat", messages=MESSAGES)
            else:
                assert client.chat.completions.create(model="GigaChat", messages=MESSAGES).choices
    (request,) = server.requests_to("/chat/completions")
    assert request.headers.get("authorization") == (None if kind == "none" else f"Bearer {known.access_token}")


def test_the_authorization_of_the_context_is_that_of_the_requests(chats: Chats, server: GigaChatServer) -> None:
    """A gateway must not bill its own account for a tenant."""
    tenant = authorization_cvar.set("Bearer tenant")
    try:
        with pytest.raises(openai.AuthenticationError):
            chats.chat()
        custom = custom_headers_cvar.set({"Authorization": "Bearer other"})
        try:
            with pytest.raises(openai.AuthenticationError):
                chats.chat()
        finally:
            custom_headers_cvar.reset(custom)
    finally:
        authorization_cvar.reset(tenant)
    assert chats.chat().choices
    first, second, third = (request.headers["authorization"] for request in server.requests_to("/chat/completions"))
    assert (first, second) == ("Bearer tenant", "Bearer other")
    assert third not in (first, second)
    assert len(server.requests_to("/oauth")) == 1


def test_a_client_without_authorization_takes_that_of_the_context() -> None:
    with GigaChat(base_url="https://api.giga.chat/v1") as giga:
        tenant = authorization_cvar.set("Bearer tenant")
        try:
            client = giga.openai_client()
        finally:
            authorization_cvar.reset(tenant)
        with client, pytest.raises(ConfigurationError, match="no authorization"):
            client.chat.completions.create(model="GigaChat", messages=MESSAGES)


@needs_listed_roots
def test_the_russian_root_is_trusted_for_the_vendors_hosts() -> None:
    from gigachat._transport.tls import context_for

    with GigaChat(credentials="dGVzdDp0ZXN0", base_url="https://api.giga.chat/v1") as giga:
        issuers = {str(one["subject"]) for one in context_for(giga._settings, "api.giga.chat").get_ca_certs()}
        assert any("Russian Trusted Root CA" in issuer for issuer in issuers)
        with giga.openai_client() as client:
            assert str(client.base_url) == "https://api.giga.chat/v1/"


def test_the_vendors_hosts_get_no_request_without_authorization() -> None:
    with GigaChat() as giga, pytest.raises(ConfigurationError, match="no authorization"):
        giga.openai_client()


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with (
        GigaChat(access_token="t") as giga,
        pytest.raises(ConfigurationError, match='pip install "openai>=3"') as raised,
    ):
        giga.openai_client()
    assert "not installed" in str(raised.value)
    old = ModuleType("openai")
    old.__version__ = "2.54.0"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "openai", old)
    with pytest.raises(ConfigurationError, match="an old version"):
        AsyncGigaChat(access_token="t").openai_client()


def test_an_own_http_client_is_refused() -> None:
    with httpx2.Client() as own, GigaChat(access_token="t", http_client=own) as giga:
        with pytest.raises(ConfigurationError, match="http_client="):
            giga.openai_client()


def test_importing_the_client_does_not_load_it(tmp_path: Path) -> None:
    code = "import sys; from gigachat import GigaChat; GigaChat(access_token='t'); print('openai' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.strip() == "False"
