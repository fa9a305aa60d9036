"""Does the engine over any OpenAI-compatible server understand a real one, llama.cpp's?"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gigachat import GigaChat
from gigachat.server import GigaChatServer
from gigachat.server.engines.llama import Llama
from gigachat.server.engines.upstream import Upstream
from tests.llm.check_llama import COOL, OCEAN, WEATHER, City
from tests.llm.conftest import client


@pytest.fixture
def upstream(llama: Llama) -> Iterator[GigaChat]:
    engine = Upstream(llama.url, api_key=llama.api_key, seed=7)
    with GigaChatServer(engine=engine) as server, client(server) as giga:
        yield giga


def test_a_chat_and_a_stream(upstream: GigaChat) -> None:
    completion = upstream.chat(OCEAN, **COOL, max_tokens=60)
    said = completion.choices[0].message.content
    assert "Pacific" in said
    assert completion.usage.completion_tokens > 5
    texts = [chunk.choices[0].delta.content for chunk in upstream.stream(OCEAN, **COOL, max_tokens=60)]
    assert len(texts) > 5
    assert "Pacific" in "".join(text or "" for text in texts)


def test_length(upstream: GigaChat) -> None:
    completion = upstream.chat("Tell me a long story.", max_tokens=5)
    assert completion.choices[0].finish_reason == "length"
    assert completion.usage.completion_tokens == 5


def test_functions_and_results_are_understood(upstream: GigaChat) -> None:
    """The runtime refuses messages and tools that are not of its contract; what a small model says is its affair."""
    question = {"role": "user", "content": "Weather in London?"}
    arguments = {"city": "London", "unit": "celsius", "days": 1}
    call = {"role": "assistant", "content": "", "function_call": {"name": "weather", "arguments": arguments}}
    result = {"role": "function", "name": "weather", "content": '{"temperature": -3}'}
    messages = {"messages": [question, call, result]}
    answered = upstream.chat(messages, functions=[WEATHER], function_call="auto", **COOL, max_tokens=40)
    assert answered.choices[0].finish_reason in ("stop", "length", "function_call")
    assert answered.usage.completion_tokens > 0


def test_structured_answers(upstream: GigaChat) -> None:
    _, city = upstream.chat.parse("Tell me about Rome.", response_format=City, model_options=COOL)
    assert isinstance(city, City)
