"""The command `llm` with the models that this package adds to it: chats, streams, functions, schemas, vectors."""
# mypy: disable-error-code="import-not-found"
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import llm
from gigachat.server import GigaChatServer
from tests.clients.conftest import bounded

MODEL = "gigachat/GigaChat-2-Max"
PIXEL = (
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\6\0\0\0\x1f\x15\xc4\x89\0\0\0\rIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\0\5"
    b"\0\1\xff\x89\x99=\x1d\0\0\0\0IEND\xaeB`\x82"
)


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))


@pytest.fixture(autouse=True)
def _server(server: GigaChatServer) -> None:
    """Let the environment of each check name the server."""


@pytest.fixture
def ask(mode: str) -> Callable[..., Any]:
    """Ask in one of the two ways, and return the response, read to its end."""

    def ask(prompt: str, **options: Any) -> Any:
        if mode == "blocking":
            response = llm.get_model(MODEL).prompt(prompt, **options)
            response.text()
            return response

        async def awaited() -> Any:
            response = llm.get_async_model(MODEL).prompt(prompt, **options)
            await response.text()
            return await response.to_sync_response()

        return bounded(awaited())

    return ask


def chats(server: GigaChatServer) -> list[Any]:
    return [request.json for request in server.requests_to("/chat/completions")]


def test_it_is_the_published_package(unchanged: Callable[[str], None]) -> None:
    unchanged("llm")


@pytest.mark.parametrize("stream", [True, False])
def test_a_chat(stream: bool, ask: Callable[..., Any], server: GigaChatServer) -> None:
    server.reply("Минус три.")
    response = ask("Погода?", system="Кратко", stream=stream, temperature=0.5)
    assert response.text() == "Минус три."
    assert response.input_tokens > 0
    [body] = chats(server)
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert (body["model"], body["temperature"], body.get("stream", False)) == ("GigaChat-2-Max", 0.5, stream)


def test_a_function_and_back(server: GigaChatServer) -> None:
    def weather(city: str) -> str:
        """Узнать погоду."""
        return f"{city}: -3"

    server.reply_call("weather", {"city": "Псков"})
    server.reply("Холодно")
    assert llm.get_model(MODEL).chain("Погода?", tools=[weather]).text() == "Холодно"
    first, second = chats(server)
    assert first["functions"][0]["name"] == "weather"
    _, called, result = second["messages"]
    assert called["function_call"] == {"name": "weather", "arguments": {"city": "Псков"}}
    assert called["functions_state_id"]
    assert (result["role"], json.loads(result["content"])) == ("function", {"result": "Псков: -3"})


def test_a_schema_and_a_picture(ask: Callable[..., Any], server: GigaChatServer) -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    response = ask("Кто?", schema=schema, attachments=[llm.Attachment(type="image/png", content=PIXEL)])
    assert isinstance(json.loads(response.text())["name"], str)
    assert len(chats(server)[0]["messages"][0]["attachments"]) == 1


def test_a_conversation(server: GigaChatServer) -> None:
    conversation = llm.get_model(MODEL).conversation()
    conversation.prompt("раз").text()
    conversation.prompt("два").text()
    assert [message["role"] for message in chats(server)[1]["messages"]] == ["user", "assistant", "user"]


def test_vectors() -> None:
    model = llm.get_embedding_model("gigachat/Embeddings")
    assert [len(vector) for vector in model.embed_multi(["раз", "два"])] == [1024, 1024]


def test_an_error_is_one_of_llm(
    ask: Callable[..., Any], server: GigaChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.fail(402)
    with pytest.raises(llm.ModelError, match="402 Payment Required"):
        ask("x")
    monkeypatch.delenv("GIGACHAT_CREDENTIALS")
    with pytest.raises(llm.ModelError, match="carried no key"):
        ask("x")


def test_the_key_of_llm_wins(server: GigaChatServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GIGACHAT_CREDENTIALS", "d3Jvbmc6a2V5")
    (tmp_path / "keys.json").write_text(json.dumps({"gigachat": server.credentials}))
    assert llm.get_model(MODEL).prompt("x").text()
    assert llm.get_model(MODEL).prompt("x", key=server.credentials).text()


def test_the_command_lists_and_asks() -> None:
    command = [sys.executable, "-m", "llm"]
    listed = subprocess.run([*command, "models"], capture_output=True, text=True, check=True, timeout=120).stdout
    assert f"{MODEL}\n" in listed
    asked = subprocess.run([*command, "-m", MODEL, "Привет"], capture_output=True, text=True, check=True, timeout=120)
    assert "«Привет»" in asked.stdout


def test_loading_it_loads_nothing_of_the_client() -> None:
    program = "import sys, gigachat.llm_plugin; print(*(name for name in sys.modules if name.startswith('gigachat')))"
    names = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert not {"gigachat.client", "gigachat.models", "gigachat.settings", "gigachat._engine"} & {*names.stdout.split()}
