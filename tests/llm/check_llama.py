"""Does a real model answer through our client and server, token by token, in the forms asked for?"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Literal

import httpx2
import pytest
from pydantic import BaseModel

from gigachat import AsyncGigaChat, GigaChat, RequestEntityTooLargeError
from gigachat.exceptions import ResponseError
from gigachat.server import GigaChatServer
from gigachat.server.engines.llama import Llama
from tests.llm.conftest import CONTEXT, Runtime

COOL: dict[str, Any] = {"temperature": 0.01}
OCEAN = "What is the largest ocean on Earth?"
WEATHER = {
    "name": "weather",
    "description": "Current weather in a city",
    "parameters": {
        "type": "object",
        "properties": {
            "city": {"type": "string", "maxLength": 20},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            "days": {"type": "integer", "minimum": 1, "maximum": 9},
        },
        "required": ["city", "unit", "days"],
    },
}


class City(BaseModel):
    name: str
    country: Literal["France", "Italy", "Russia"]
    population: int
    river: str | None = None


def gone_idle(runtime: Runtime, seconds: float = 20.0) -> bool:
    until = time.monotonic() + seconds
    while runtime.busy():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def check_arguments(arguments: dict[str, Any]) -> None:
    assert set(arguments) == {"city", "unit", "days"}
    assert isinstance(arguments["city"], str)
    assert len(arguments["city"]) <= 20
    assert arguments["unit"] in ("celsius", "fahrenheit")
    assert arguments["days"] in range(1, 10)


def test_a_chat_is_generated(giga: GigaChat, runtime: Runtime) -> None:
    completion = giga.chat(OCEAN, **COOL, max_tokens=60)
    assert "Pacific" in completion.choices[0].message.content
    assert completion.choices[0].finish_reason == "stop"
    usage = completion.usage
    prompt = runtime.prompt_tokens({"role": "user", "content": OCEAN})
    assert usage.prompt_tokens + (usage.precached_prompt_tokens or 0) == prompt
    # The end of the answer is a token too.
    assert usage.completion_tokens == runtime.tokens(completion.choices[0].message.content) + 1
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_a_stream_comes_token_by_token(giga: GigaChat, runtime: Runtime) -> None:
    texts: list[str] = []
    times: list[float] = []
    chunks = []
    for chunk in giga.stream("Tell me a story about a cat.", **COOL, max_tokens=48):
        chunks.append(chunk)
        text = chunk.choices[0].delta.content
        if text:
            texts.append(text)
            times.append(time.perf_counter())
    # One token can be half a letter, so there may be some pieces less than tokens.
    assert 40 <= len(texts) <= 48
    assert times[-1] - times[0] > 0.05
    assert chunks[-1].choices[0].finish_reason == "length"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 48
    assert abs(runtime.tokens("".join(texts)) - 48) <= 1


def test_async_streams_run_side_by_side(server: GigaChatServer) -> None:
    async def main() -> list[str]:
        async with AsyncGigaChat(
            **server.client_options,
            timeout=120,
        ) as giga:

            async def told(question: str) -> str:
                return "".join([text async for text in giga.stream(question, **COOL, max_tokens=16).text_stream])

            return list(await asyncio.gather(told(OCEAN), told("Who wrote Romeo and Juliet?")))

    ocean, play = asyncio.run(main())
    assert "Pacific" in ocean
    assert "Shakespeare" in play


def test_the_same_answer_in_both_contracts(giga: GigaChat) -> None:
    first = giga.chat(OCEAN, **COOL, max_tokens=30).choices[0].message.content
    second = giga.chat.create(OCEAN, model_options={"temperature": 0.01, "max_tokens": 30})
    [message] = second.messages or []
    assert message.content is not None
    assert message.content[0].text == first
    assert second.usage is not None
    assert second.usage.output_tokens is not None
    assert second.usage.output_tokens > 5


def test_max_tokens_is_kept(giga: GigaChat) -> None:
    completion = giga.chat("Tell me a long story.", max_tokens=7)
    assert completion.choices[0].finish_reason == "length"
    assert completion.usage.completion_tokens == 7


def test_a_forced_function_is_called_with_valid_arguments(giga: GigaChat) -> None:
    question = "What will the weather be in London for 3 days, in celsius?"
    completion = giga.chat(question, functions=[WEATHER], function_call={"name": "weather"}, **COOL)
    [choice] = completion.choices
    assert choice.finish_reason == "function_call"
    assert choice.message.content == ""
    call = choice.message.function_call
    assert call is not None
    assert call.name == "weather"
    assert call.arguments is not None
    check_arguments(call.arguments)
    assert "London" in call.arguments["city"]


def test_given_arguments_are_kept(giga: GigaChat) -> None:
    mode = {"name": "weather", "partial_arguments": {"city": "Псков"}}
    call = (
        giga.chat("Weather, please.", functions=[WEATHER], function_call=mode, **COOL).choices[0].message.function_call
    )
    assert call is not None
    assert call.arguments is not None
    assert call.arguments["city"] == "Псков"
    check_arguments(call.arguments)


def test_the_model_chooses_between_a_function_and_an_answer(giga: GigaChat) -> None:
    """Which it chooses is its own affair: whatever comes must be whole, and over several tries both come."""
    chosen: set[str] = set()
    for number in range(60):  # this model answers one greeting of eight
        question = (
            f"Hello! My name is Bob {number}. Say hello to me."
            if "call" in chosen
            else f"What is the weather in the city number {number}? Call the function weather."
        )
        completion = giga.chat(question, functions=[WEATHER], function_call="auto", temperature=1.5, max_tokens=60)
        [choice] = completion.choices
        call = choice.message.function_call
        if call is not None:
            assert choice.finish_reason == "function_call"
            assert call.arguments is not None
            check_arguments(call.arguments)
            chosen.add("call")
        elif choice.finish_reason == "stop":
            assert choice.message.content
            assert not choice.message.content.startswith("{")
            chosen.add("answer")
        if len(chosen) == 2:
            break
    assert chosen == {"call", "answer"}


def test_an_answer_beside_functions_is_streamed(giga: GigaChat) -> None:
    """The model writes JSON; what arrives is its text, in pieces, as far as it came."""
    for number in range(12):
        question = f"Hello! My name is Bob {number}. Say hello to me."
        chunks = list(giga.stream(question, functions=[WEATHER], function_call="auto", temperature=1.2, max_tokens=60))
        texts = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices[0].delta.content]
        if len(texts) > 3:
            break
    else:
        pytest.fail("the model never answered in words")
    assert not "".join(texts).startswith(("{", '"'))


def test_a_result_is_answered(giga: GigaChat) -> None:
    question = {"role": "user", "content": "What is the weather in London?"}
    arguments = {"city": "London", "unit": "celsius", "days": 1}
    call = {"role": "assistant", "content": "", "function_call": {"name": "weather", "arguments": arguments}}
    result = {"role": "function", "name": "weather", "content": json.dumps({"temperature": -3, "sky": "snow"})}
    completion = giga.chat({"messages": [question, call, result]}, **COOL, max_tokens=60)
    assert completion.choices[0].message.content


def test_structured_answers_are_valid(giga: GigaChat) -> None:
    completion, city = giga.chat.parse("Tell me about Rome.", response_format=City, model_options=COOL)
    assert isinstance(city, City)
    assert completion.finish_reason == "stop"
    _, again = giga.chat_parse("Tell me about Rome.", response_format=City, **COOL)
    assert again == city


def test_a_schema_the_runtime_can_not_obey_is_refused(giga: GigaChat) -> None:
    wanted = {"type": "json_schema", "schema": {"type": "nonsense"}}
    with pytest.raises(ResponseError) as caught:
        giga.chat("Hello", response_format=wanted)
    assert caught.value.status_code == 422
    assert "nonsense" in str(caught.value)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_a_prompt_too_long_is_refused(giga: GigaChat, stream: bool) -> None:
    prompt = "word " * (CONTEXT + 100)
    with pytest.raises(RequestEntityTooLargeError, match="context"):
        list(giga.stream(prompt)) if stream else giga.chat(prompt)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_who_goes_away_stops_the_generation(server: GigaChatServer, runtime: Runtime, stream: bool) -> None:
    """The answer asked for would take minutes; the caller leaves, and the runtime is idle within seconds."""

    async def main() -> None:
        async with AsyncGigaChat(
            **server.client_options,
            timeout=120,
        ) as giga:
            if stream:
                async with giga.stream("Count to a million.", max_tokens=1900) as chunks:
                    async for _ in chunks:
                        break
                return
            asking = asyncio.create_task(giga.chat("Count to a million.", max_tokens=1900))
            while not await asyncio.to_thread(runtime.busy):
                assert not asking.done()
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    assert gone_idle(runtime)
    asyncio.run(main())
    assert gone_idle(runtime)


def test_built_in_tools_are_not_there(giga: GigaChat) -> None:
    with pytest.raises(ResponseError) as caught:
        giga.chat.create(
            "Draw", tools=["image_generate"], tool_config={"mode": "forced", "tool_name": "image_generate"}
        )
    assert caught.value.status_code == 422


def test_a_runtime_needs_its_key(llama: Llama) -> None:
    with httpx2.Client(base_url=llama.url, trust_env=False) as http:
        body = {"messages": [{"role": "user", "content": "hello"}]}
        assert http.post("/v1/chat/completions", json=body).status_code == 401


def test_a_broken_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "wrong.gguf"
    file.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ValueError, match=r"can't load .*wrong\.gguf"):
        Llama(file)


def test_a_process_ends_while_its_model_speaks(model_file: Path) -> None:
    program = """
import asyncio, sys
from gigachat.server import ChatRequest, Message
from gigachat.server.catalogue import find_model
from gigachat.server.engines.llama import Llama

async def main():
    engine = Llama(sys.argv[1], context=2048)
    answer = engine.complete(ChatRequest(find_model("GigaChat"), [Message("user", "Count to a million.")]))
    print(await anext(answer))
    sys.exit(3)

asyncio.run(main())
"""
    ended = subprocess.run([sys.executable, "-c", program, str(model_file)], timeout=60, capture_output=True, text=True)
    assert ended.returncode == 3, ended.stderr
    assert ended.stdout.strip()
