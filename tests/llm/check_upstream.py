"""Does the engine over any OpenAI-compatible server understand a real one, llama.cpp's, in its native way too?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pytest

from gigachat import GigaChat
from gigachat.server import GigaChatServer
from gigachat.server.catalogue import find_model
from gigachat.server.engines.llama import Llama
from gigachat.server.engines.upstream import Upstream
from tests.llm.check_llama import COOL, OCEAN, WEATHER, City, check_arguments
from tests.llm.conftest import client


@pytest.fixture(params=["native", "schema"])
def upstream(request: pytest.FixtureRequest, llama: Llama) -> Iterator[GigaChat]:
    engine = Upstream(llama.url, api_key=llama.api_key, tools=request.param, seed=7)
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


def test_a_forced_function(llama: Llama) -> None:
    """By constrained generation: this model knows no other way."""
    engine = Upstream(llama.url, api_key=llama.api_key, tools="schema", seed=7)
    with GigaChatServer(engine=engine) as server, client(server) as giga:
        mode = {"name": "weather"}
        completion = giga.chat("Weather in London?", functions=[WEATHER], function_call=mode, **COOL, max_tokens=120)
    [choice] = completion.choices
    assert choice.finish_reason == "function_call"
    assert choice.message.function_call is not None
    assert choice.message.function_call.name == "weather"
    check_arguments(choice.message.function_call.arguments or {})


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


@pytest.fixture(scope="module")
def embedder(model_file: Path) -> Iterator[str]:
    """The same weights once more, started to make vectors."""
    xllamacpp = import_module("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = str(model_file)
    params.n_ctx = 256
    params.embedding = True
    params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    params.cpuparams.n_threads = 1
    params.verbosity = -1
    params.ui = False
    running = xllamacpp.Server(params)
    yield running.listening_address
    del running


def test_embeddings(embedder: str) -> None:
    engine = Upstream(embedder, embeddings_model="any")
    texts = ["A cat sits on the window.", "The cat is sitting on the window.", "Prices of oil went up."]
    made = asyncio.run(engine.embed(texts, find_model("Embeddings")))
    assert [len(one.vector) for one in made] == [1024] * 3
    assert all(one.tokens > 3 for one in made)
    near, far = (sum(x * y for x, y in zip(a.vector, b.vector, strict=True)) for a, b in pairwise(made))
    assert near > far
