"""The other face of gpt2giga's server: the `anthropic` package on our client."""
# mypy: disable-error-code="import-not-found"
# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from gigachat.server import GigaChatServer
from tests.clients.gpt2giga.conftest import Proxy

MODEL = "GigaChat-2-Max"
MESSAGES: Any = [{"role": "user", "content": "Какая погода в Пскове?"}]
TOOLS: Any = [
    {
        "name": "weather",
        "description": "Узнать погоду в городе.",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
]


@pytest.fixture(params=["v1", "v2"])
def version(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture
def client(proxy: Proxy, version: str) -> Iterator[anthropic.Anthropic]:
    # The package adds /v1 itself; gpt2giga reads /v2/v1 as the second version.
    base_url = proxy.origin if version == "v1" else f"{proxy.origin}/v2"
    with anthropic.Anthropic(base_url=base_url, api_key="any", timeout=30, max_retries=0) as client:
        yield client


def test_a_message(client: anthropic.Anthropic, version: str, server: GigaChatServer) -> None:
    server.reply("Минус три.")
    answer = client.messages.create(model=MODEL, max_tokens=50, system="Отвечай кратко.", messages=MESSAGES)
    assert [block.text for block in answer.content if block.type == "text"] == ["Минус три."]
    assert answer.stop_reason == "end_turn"
    assert answer.usage.output_tokens > 0
    [request] = server.requests_to(f"/{version}/chat/completions")
    assert [message["role"] for message in request.json["messages"]] == ["system", "user"]


def test_a_stream(client: anthropic.Anthropic, version: str, server: GigaChatServer) -> None:
    text = "В Пскове сегодня минус три, ветер северный, снег."
    server.reply(text)
    with client.messages.stream(model=MODEL, max_tokens=50, messages=MESSAGES) as stream:
        pieces = list(stream.text_stream)
    assert len(pieces) > 2
    assert "".join(pieces) == text
    [request] = server.requests_to(f"/{version}/chat/completions")
    assert request.json["stream"] is True


def test_a_tool_and_back(client: anthropic.Anthropic, version: str, server: GigaChatServer) -> None:
    server.reply({"function_call": {"name": "weather", "arguments": {"city": "Псков"}}})
    server.reply("В Пскове минус три.")
    first = client.messages.create(model=MODEL, max_tokens=50, messages=MESSAGES, tools=TOOLS)
    [asked] = [block for block in first.content if block.type == "tool_use"]
    assert (asked.name, asked.input) == ("weather", {"city": "Псков"})
    result = {"type": "tool_result", "tool_use_id": asked.id, "content": '{"t": -3}'}
    history = [*MESSAGES, {"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    second = client.messages.create(model=MODEL, max_tokens=50, messages=history, tools=TOOLS)
    assert [block.text for block in second.content if block.type == "text"] == ["В Пскове минус три."]
    assert len(server.requests_to(f"/{version}/chat/completions")) == 2


def test_tokens_are_counted(client: anthropic.Anthropic, server: GigaChatServer) -> None:
    assert client.messages.count_tokens(model=MODEL, messages=MESSAGES).input_tokens > 0
    assert server.requests_to("/tokens/count")
