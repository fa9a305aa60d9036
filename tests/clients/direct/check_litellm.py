"""litellm's own provider of GigaChat on the local server: it signs in itself, chats, streams, calls, embeds."""
# mypy: disable-error-code="import-not-found"
# pyright: reportMissingImports=false

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import litellm
import pytest
from litellm.llms.gigachat import authenticator
from pydantic import BaseModel

from gigachat.server import GigaChatServer
from tests.clients.conftest import bounded

# Its own types of answers, when it loads the first of its providers.
pytestmark = pytest.mark.filterwarnings("ignore:Items? .* using the `ReadOnly` qualifier:UserWarning")

MODEL = "gigachat/GigaChat-2-Max"
MESSAGES: Any = [{"role": "user", "content": "Какая погода в Пскове?"}]
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PHOTOS = {"blocking": PIXEL, "async": PIXEL.replace("AAABCA", "AAACCA")}
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Узнать погоду в городе.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]


class Weather(BaseModel):
    """Погода в городе."""

    city: str
    celsius: float


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, _only_our_environment: None) -> Iterator[GigaChatServer]:
    """A lenient server: litellm leaves OpenAI's `tool_call_id` in the result of a tool."""
    with GigaChatServer() as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture(autouse=True)
def _litellm(server: GigaChatServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Its settings for the service, with the certificate, and none of its clients and tokens of another check."""
    monkeypatch.setenv("GIGACHAT_API_BASE", server.base_url)
    monkeypatch.setenv("SSL_CERT_FILE", str(server.ca_bundle_file))
    monkeypatch.setattr(litellm, "num_retries", 0)
    litellm.in_memory_llm_clients_cache.flush_cache()
    authenticator._token_cache.flush_cache()
    yield
    litellm.in_memory_llm_clients_cache.flush_cache()


def awaited(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine of litellm, whose clients outlive their event loop unless they are closed in it."""

    async def closed() -> Any:
        try:
            return await work
        finally:
            await litellm.close_litellm_async_clients()

    return bounded(closed())


@pytest.fixture
def ask(mode: str) -> Callable[..., Any]:
    """Complete a chat in one of the two ways."""

    def ask(messages: Any = MESSAGES, **options: Any) -> Any:
        if mode == "blocking":
            return litellm.completion(model=MODEL, messages=messages, **options)
        return awaited(litellm.acompletion(model=MODEL, messages=messages, **options))

    return ask


def chats(server: GigaChatServer) -> list[Any]:
    """The bodies of the chats the service received."""
    return [request.json for request in server.requests_to("/chat/completions")]


def test_it_is_the_published_package(unchanged: Callable[[str], None]) -> None:
    unchanged("litellm")


def test_a_chat(ask: Callable[..., Any], server: GigaChatServer) -> None:
    server.reply("Минус три.")
    answer = ask(temperature=0.4, max_tokens=60)
    [choice] = answer.choices
    assert (choice.message.content, choice.finish_reason) == ("Минус три.", "stop")
    assert answer.usage.completion_tokens > 0
    [request] = chats(server)
    assert request["model"] == "GigaChat-2-Max"
    assert request["messages"] == MESSAGES
    assert (request["temperature"], request["max_tokens"]) == (0.4, 60)
    [signing_in] = server.requests_to("/oauth")
    assert signing_in.headers["authorization"] == f"Basic {server.credentials}"


def test_a_stream(mode: str, server: GigaChatServer) -> None:
    text = "В Пскове сегодня минус три, ветер северный, снег, видимость плохая."
    server.reply(text)

    async def read() -> list[Any]:
        return [chunk async for chunk in await litellm.acompletion(model=MODEL, messages=MESSAGES, stream=True)]

    if mode == "blocking":
        chunks = list(litellm.completion(model=MODEL, messages=MESSAGES, stream=True))
    else:
        chunks = awaited(read())
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks]
    assert len(pieces) > 3
    assert "".join(pieces) == text
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert chats(server)[0]["stream"] is True


def test_a_tool_and_back(ask: Callable[..., Any], server: GigaChatServer) -> None:
    server.reply({"function_call": {"name": "weather", "arguments": {"city": "Псков"}}})
    server.reply("В Пскове минус три.")
    first = ask(tools=TOOLS)
    [asked] = first.choices[0].message.tool_calls
    assert (asked.function.name, json.loads(asked.function.arguments)) == ("weather", {"city": "Псков"})
    history = [
        *MESSAGES,
        first.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": asked.id, "name": "weather", "content": '{"t": -3}'},
    ]
    assert ask(history, tools=TOOLS).choices[0].message.content == "В Пскове минус три."
    one, two = chats(server)
    assert one["functions"][0]["name"] == "weather"
    assert [message["role"] for message in two["messages"]] == ["user", "assistant", "function"]


def test_structured_output(ask: Callable[..., Any], server: GigaChatServer) -> None:
    answer = ask(response_format=Weather)
    assert isinstance(Weather.model_validate_json(answer.choices[0].message.content), Weather)


def test_an_image(ask: Callable[..., Any], mode: str, server: GigaChatServer) -> None:
    """It remembers what it uploaded by the digest of the address, in each check."""
    content = [
        {"type": "text", "text": "Что на картинке?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PHOTOS[mode]}"}},
    ]
    ask([{"role": "user", "content": content}])
    [request] = chats(server)
    assert len(request["messages"][0]["attachments"]) == 1
    assert len(server.requests_to("/files")) == 1


def test_embeddings(mode: str, server: GigaChatServer) -> None:
    texts = ["Москва — столица России.", "Псков стоит на реке Великой."]
    options = {"model": "gigachat/Embeddings", "input": texts}
    answer = litellm.embedding(**options) if mode == "blocking" else awaited(litellm.aembedding(**options))
    assert [len(one["embedding"]) for one in answer.data] == [1024, 1024]
    [request] = server.requests_to("/embeddings")
    assert request.json == {"model": "Embeddings", "input": texts}


def test_refusals(ask: Callable[..., Any], server: GigaChatServer) -> None:
    ask()
    server.fail(429)
    with pytest.raises(litellm.RateLimitError):
        ask()
    server.fail(422, "Invalid params: all bad")
    with pytest.raises(litellm.BadRequestError, match="all bad"):
        ask()
