"""What gpt2giga does to our client beyond calling it: hooks, settings and clients of its own for each key."""
# mypy: disable-error-code="import-not-found,misc,untyped-decorator"
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from gpt2giga.models.config import GigaChatCLI, ProxyConfig
from gpt2giga.providers.gigachat.client import create_gigachat_client
from gpt2giga.providers.gigachat.request_options import GigaRequestOptions, gigachat_request_options

from gigachat import GigaChat
from gigachat.server import GigaChatServer
from tests.clients.conftest import bounded
from tests.clients.gpt2giga.conftest import proxy_of

QUESTION = "Какая погода в Пскове?"
MESSAGES: Any = [{"role": "user", "content": QUESTION}]
OPTIONS = GigaRequestOptions(
    headers={"x-trace-id": "trace-17"},
    query=(("tag", "весна"), ("part", "a&b")),
    body={"repetition_penalty": 1.2},
)


def serving(monkeypatch: pytest.MonkeyPatch, strict: bool) -> Iterator[GigaChatServer]:
    with GigaChatServer(strict=strict) as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, _only_our_environment: None) -> Iterator[GigaChatServer]:
    """A service of each check's own."""
    yield from serving(monkeypatch, strict=True)


@pytest.fixture
def lenient(monkeypatch: pytest.MonkeyPatch, _only_our_environment: None) -> Iterator[GigaChatServer]:
    """One that takes query parameters that the service does not know."""
    yield from serving(monkeypatch, strict=False)


@pytest.mark.parametrize("method", ["achat", "astream", "achat.create", "achat.stream"])
def test_its_hook_adds_query_and_fields(lenient: GigaChatServer, method: str) -> None:
    body = {"disable_filter": True} if "." in method else {"repetition_penalty": 1.2}
    options = GigaRequestOptions(headers=OPTIONS.headers, query=OPTIONS.query, body=body)

    async def work() -> None:
        async with GigaChat(model="GigaChat-2") as client:
            async with gigachat_request_options(client, options):
                if method == "achat":
                    await client.achat(QUESTION)
                elif method == "astream":
                    assert [chunk async for chunk in client.astream(QUESTION)]
                elif method == "achat.create":
                    await client.achat.create(QUESTION)
                else:
                    assert [event async for event in client.achat.stream(QUESTION)]
            await client.achat("Без всего.")

    bounded(work())
    adorned, plain = lenient.requests_to("/chat/completions")
    assert adorned.query == dict(OPTIONS.query)
    assert adorned.json.items() >= {"model": "GigaChat-2", **body}.items()
    assert adorned.headers["content-length"] == str(len(adorned.body))
    assert adorned.headers["x-trace-id"] == "trace-17"
    assert plain.query == {}
    assert not body.keys() & plain.json.keys()
    assert "x-trace-id" not in plain.headers
    [signing_in] = lenient.requests_to("/oauth")
    assert signing_in.query == {}
    assert "x-trace-id" not in signing_in.headers


def test_its_hook_and_requests_without_json(lenient: GigaChatServer) -> None:
    """A request without a body gets the query; an upload keeps its body."""

    async def work() -> None:
        async with GigaChat() as client:
            async with gigachat_request_options(client, OPTIONS):
                await client.aget_models()
                await client.aupload_file(("заметка.txt", b"text"))

    bounded(work())
    [models] = lenient.requests_to("/models")
    assert models.query == dict(OPTIONS.query)
    assert models.body == b""
    [upload] = lenient.requests_to("/files")
    assert upload.query == dict(OPTIONS.query)
    assert b"repetition_penalty" not in upload.body


def test_its_hook_holds_in_every_loop(lenient: GigaChatServer) -> None:
    client = GigaChat()

    async def work() -> None:
        async with gigachat_request_options(client, OPTIONS):
            await client.achat(QUESTION)

    bounded(work())
    bounded(work())
    bounded(client.aclose())
    assert [request.query for request in lenient.requests_to("/chat/completions")] == [dict(OPTIONS.query)] * 2


def test_its_settings_build_our_client(server: GigaChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIGACHAT_MODEL", "GigaChat-2-Pro")
    monkeypatch.setenv("GIGACHAT_MAX_RETRIES", "1")
    monkeypatch.setenv("GIGACHAT_TIMEOUT", "20")
    settings = GigaChatCLI()
    assert settings.credentials == server.credentials
    client = create_gigachat_client(settings)
    assert client._settings.model_dump() == GigaChat()._settings.model_dump()
    assert client._settings.model == "GigaChat-2-Pro"
    bounded(client.achat(QUESTION))
    bounded(client.aclose())
    [request] = server.requests_to("/chat/completions")
    assert request.json["model"] == "GigaChat-2-Pro"


def test_its_command_line_sets_our_options(server: GigaChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["gpt2giga", "--gigachat.model", "GigaChat-2-Max", "--gigachat.profanity-check", "false"]
    monkeypatch.setattr("sys.argv", [*arguments, "--gigachat.max-connections", "7", "--gigachat.timeout", "12.5"])
    settings = ProxyConfig().gigachat_settings
    assert settings.model == "GigaChat-2-Max"
    assert settings.profanity_check is False
    assert settings.max_connections == 7
    assert settings.timeout == 12.5
    assert settings.base_url == server.base_url


def test_a_key_with_each_request(server: GigaChatServer, tmp_path: Path) -> None:
    """gpt2giga can take the GigaChat key from its callers: a client of ours for each key."""
    with proxy_of(server, tmp_path, PASS_TOKEN="true") as proxy:
        for key in (
            f"giga-cred-{server.credentials}:{server.scope}",
            f"giga-user-{server.account.user}:{server.account.password}",
        ):
            with openai.OpenAI(base_url=f"{proxy.origin}/v1", api_key=key, max_retries=0, timeout=30) as client:
                answer = client.chat.completions.create(model="GigaChat-2", messages=MESSAGES)
                assert QUESTION in (answer.choices[0].message.content or "")
        wrong = "giga-auth-not-a-token-of-this-service"
        with openai.OpenAI(base_url=f"{proxy.origin}/v1", api_key=wrong, max_retries=0, timeout=30) as client:
            with pytest.raises(openai.AuthenticationError):
                client.chat.completions.create(model="GigaChat-2", messages=MESSAGES)
    assert len(server.requests_to("/oauth")) == 1
    assert len(server.requests_to("/token")) == 1


def test_secrets_it_does_not_know_stay_out_of_its_log(server: GigaChatServer, tmp_path: Path) -> None:
    """It writes our settings to its log at the start and leaves out the secrets of 0.2.3 only."""
    environment = {name: value for name, value in server.environment.items() if name != "GIGACHAT_CREDENTIALS"}
    environment |= {
        "GIGACHAT_CLIENT_ID": server.account.client_id,
        "GIGACHAT_CLIENT_SECRET": server.account.client_secret,
    }
    environment |= {"GIGACHAT_DEFAULT_HEADERS": '{"X-Gateway-Key": "gateway-key-17"}'}
    with proxy_of(server, tmp_path, environment=environment) as proxy:
        with openai.OpenAI(base_url=f"{proxy.origin}/v1", api_key="any", max_retries=0, timeout=30) as client:
            assert client.chat.completions.create(model="GigaChat-2", messages=MESSAGES).choices
    assert "GigaChat settings" in proxy.output
    for secret in (server.account.client_secret, server.credentials, "gateway-key-17"):
        assert secret not in proxy.output
        assert all(secret not in log.read_text() for log in tmp_path.glob("*.log"))
    [signing_in] = server.requests_to("/oauth")
    assert signing_in.headers["authorization"] == f"Basic {server.credentials}"
    [request] = server.requests_to("/chat/completions")
    assert request.headers["x-gateway-key"] == "gateway-key-17"
