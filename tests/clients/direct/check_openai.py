"""The `openai` package on the local server itself, with an access token: the service's own chat is close enough."""
# mypy: disable-error-code="import-not-found"
# pyright: reportMissingImports=false

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import openai
import pytest

import gigachat
from gigachat.server import GigaChatServer

MODEL = "GigaChat-2-Max"
MESSAGES: Any = [{"role": "user", "content": "Какая погода в Пскове?"}]
WEATHER = {
    "name": "weather",
    "description": "Узнать погоду в городе.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@contextmanager
def opened(server: GigaChatServer) -> Iterator[openai.OpenAI]:
    """A client of the package: this project's client signs in, the package takes the token as its key."""
    with gigachat.GigaChat(**server.client_options) as giga:
        token = giga.get_token()
    assert token is not None
    trusted = httpx.Client(verify=ssl.create_default_context(cafile=server.ca_bundle_file))
    with openai.OpenAI(
        base_url=server.base_url, api_key=token.access_token, http_client=trusted, max_retries=0
    ) as client:
        yield client


@pytest.fixture
def client(server: GigaChatServer) -> Iterator[openai.OpenAI]:
    with opened(server) as client:
        yield client


def test_it_is_the_published_package(unchanged: Callable[[str], None]) -> None:
    unchanged("openai")


def test_a_chat(client: openai.OpenAI, server: GigaChatServer) -> None:
    server.reply("Минус три.")
    answer = client.chat.completions.create(model=MODEL, messages=MESSAGES, temperature=0.4, max_tokens=60)
    [choice] = answer.choices
    assert (choice.message.content, choice.message.role, choice.finish_reason) == ("Минус три.", "assistant", "stop")
    assert answer.usage is not None
    assert answer.usage.completion_tokens > 0
    [request] = server.requests_to("/chat/completions")
    assert request.json == {"model": MODEL, "messages": MESSAGES, "temperature": 0.4, "max_tokens": 60}


def test_a_stream(client: openai.OpenAI, server: GigaChatServer) -> None:
    text = "В Пскове сегодня минус три, ветер северный, снег, видимость плохая."
    server.reply(text)
    with client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True) as stream:
        chunks = list(stream)
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert len(pieces) > 3
    assert "".join(pieces) == text
    assert [one.choices[0].finish_reason for one in chunks if one.choices and one.choices[0].finish_reason] == ["stop"]


def test_a_function_and_back(client: openai.OpenAI, server: GigaChatServer) -> None:
    """The package still has the fields of functions from before tools, which are those of the service."""
    server.reply({"function_call": {"name": "weather", "arguments": {"city": "Псков"}}})
    server.reply("В Пскове минус три.")
    functions: Any = [WEATHER]
    first = client.chat.completions.create(model=MODEL, messages=MESSAGES, functions=functions, function_call="auto")
    called = first.choices[0].message.function_call
    assert called is not None
    assert called.name == "weather"
    arguments: Any = called.arguments  # the service sends an object where OpenAI sends a text
    assert arguments == {"city": "Псков"}
    history: Any = [
        *MESSAGES,
        {"role": "assistant", "content": "", "function_call": {"name": "weather", "arguments": arguments}},
        {"role": "function", "name": "weather", "content": '{"t": -3}'},
    ]
    second = client.chat.completions.create(model=MODEL, messages=history, functions=functions)
    assert second.choices[0].message.content == "В Пскове минус три."


def test_embeddings() -> None:
    """The package always asks for a format, which the reference does not list: a strict server refuses it."""
    texts = ["Москва — столица России.", "Псков стоит на реке Великой."]
    with GigaChatServer() as lenient, opened(lenient) as client:
        answer = client.embeddings.create(model="Embeddings", input=texts)
    assert [one.index for one in answer.data] == [0, 1]
    assert [len(one.embedding) for one in answer.data] == [1024, 1024]


def test_models(client: openai.OpenAI) -> None:
    assert MODEL in [model.id for model in client.models.list()]
    assert client.models.retrieve(MODEL).id == MODEL
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("No-Such-Model")


def test_files(client: openai.OpenAI) -> None:
    text = "Договор поставки № 7".encode()
    purpose: Any = "general"
    made = client.files.create(file=("договор.txt", text), purpose=purpose)
    assert (made.filename, made.bytes) == ("договор.txt", len(text))
    assert client.files.retrieve(made.id).id == made.id
    assert [file.id for file in client.files.list().data] == [made.id]
    assert client.files.content(made.id).read() == text


def test_refusals(client: openai.OpenAI, server: GigaChatServer) -> None:
    server.fail(422, "Invalid params: all bad")
    with pytest.raises(openai.UnprocessableEntityError, match="all bad"):
        client.chat.completions.create(model=MODEL, messages=MESSAGES)
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="another").chat.completions.create(model=MODEL, messages=MESSAGES)
