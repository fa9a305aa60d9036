"""Batches and query parameters through gpt2giga, which its release keeps shut: see `opened`."""
# mypy: disable-error-code="import-not-found"
# pyright: reportMissingImports=false

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from gigachat.server import GigaChatServer
from tests.clients.gpt2giga.conftest import OPENED, Proxy, proxy_of

MODEL = "GigaChat-2-Max"
MESSAGES: Any = [{"role": "user", "content": "Какая погода в Пскове?"}]


@pytest.fixture(scope="module")
def running(service: GigaChatServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with proxy_of(service, tmp_path_factory.mktemp("gpt2giga"), OPENED) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: Proxy) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{proxy.origin}/v1", api_key="any", timeout=30, max_retries=0) as client:
        yield client


def finished(client: openai.OpenAI, batch_id: str) -> Any:
    end = time.monotonic() + 30
    while True:
        batch = client.batches.retrieve(batch_id)
        if batch.status == "completed":
            return batch
        assert batch.status in ("validating", "in_progress")
        assert time.monotonic() < end


def test_a_batch_of_chats(client: openai.OpenAI, server: GigaChatServer) -> None:
    lines = [
        {
            "custom_id": f"номер-{number}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": MODEL, "messages": [{"role": "user", "content": f"Вопрос {number}"}], "max_tokens": 90},
        }
        for number in range(3)
    ]
    content = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines).encode()
    source = client.files.create(file=("вопросы.jsonl", content), purpose="batch")
    made = client.batches.create(
        input_file_id=source.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"a": "b"}
    )
    assert made.status in ("validating", "in_progress", "completed")
    assert made.metadata == {"a": "b"}
    [creation] = [request for request in server.requests_to("/batches") if request.method == "POST"]
    assert creation.query == {"method": "chat_completions"}
    assert creation.headers["content-type"] == "application/octet-stream"
    assert [json.loads(line) for line in creation.body.splitlines()] == [
        {
            "id": f"номер-{number}",
            "request": {
                "model": MODEL,
                "messages": [{"role": "user", "content": f"Вопрос {number}"}],
                "max_tokens": 90,
            },
        }
        for number in range(3)
    ]
    batch = finished(client, made.id)
    assert batch.id in [one.id for one in client.batches.list()]
    assert batch.request_counts.total == 3
    assert batch.request_counts.completed == 3
    results = [json.loads(line) for line in client.files.content(batch.output_file_id).read().splitlines()]
    assert sorted(one["custom_id"] for one in results) == ["номер-0", "номер-1", "номер-2"]
    for one in results:
        assert one["error"] is None
        assert one["response"]["status_code"] == 200
        body = one["response"]["body"]
        assert f"«Вопрос {one['custom_id'][-1]}»" in body["choices"][0]["message"]["content"]
        assert body["usage"]["completion_tokens"] > 0


def test_a_batch_of_chats_in_which_a_tool_was_called(client: openai.OpenAI, server: GigaChatServer) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Псков"}'}}
    messages = [
        *MESSAGES,
        {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": '{"t": -3}'},
    ]
    body = {"model": MODEL, "messages": messages}
    line = {"custom_id": "один", "method": "POST", "url": "/v1/chat/completions", "body": body}
    source = client.files.create(file=("один.jsonl", json.dumps(line).encode()), purpose="batch")
    made = client.batches.create(input_file_id=source.id, endpoint="/v1/chat/completions", completion_window="24h")
    [creation] = [request for request in server.requests_to("/batches") if request.method == "POST"]
    assert creation.json["request"]["messages"] == [
        MESSAGES[0],
        {"role": "assistant", "content": "", "function_call": {"name": "weather", "arguments": {"city": "Псков"}}},
        {"role": "function", "name": "weather", "content": '{"t": -3}'},
    ]
    [result] = client.files.content(finished(client, made.id).output_file_id).read().splitlines()
    assert json.loads(result)["error"] is None


def test_a_batch_of_embeddings(client: openai.OpenAI, server: GigaChatServer) -> None:
    lines = [
        {"custom_id": name, "method": "POST", "url": "/v1/embeddings", "body": {"model": "Embeddings-2", "input": name}}
        for name in ("Москва", "Псков")
    ]
    content = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines).encode()
    source = client.files.create(file=("тексты.jsonl", content), purpose="batch")
    made = client.batches.create(input_file_id=source.id, endpoint="/v1/embeddings", completion_window="24h")
    [creation] = [request for request in server.requests_to("/batches") if request.method == "POST"]
    assert creation.query == {"method": "embedder"}
    batch = finished(client, made.id)
    results = [json.loads(line) for line in client.files.content(batch.output_file_id).read().splitlines()]
    vectors = {one["custom_id"]: one["response"]["body"]["data"][0]["embedding"] for one in results}
    assert {name: len(vector) for name, vector in vectors.items()} == {"Москва": 1024, "Псков": 1024}
    assert vectors["Москва"] != vectors["Псков"]


def test_extra_query_reaches_the_service(client: openai.OpenAI, server: GigaChatServer) -> None:
    query = {"tag": "весна", "part": "a&b", "another": "no"}
    client.chat.completions.create(model=MODEL, messages=MESSAGES, extra_query=query, extra_body={"top_p": 0.2})
    [request] = server.requests_to("/chat/completions")
    assert request.query == {"tag": "весна", "part": "a&b"}
    assert request.json["top_p"] == 0.2
    client.files.list(extra_query={"tag": "лето"})
    [listing] = server.requests_to("/files")
    assert listing.query == {"tag": "лето"}
    client.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert server.requests_to("/chat/completions")[-1].query == {}
    assert all(signing_in.query == {} for signing_in in server.requests_to("/oauth"))
