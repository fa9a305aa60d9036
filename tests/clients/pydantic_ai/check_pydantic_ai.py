"""pydantic-ai-gigachat: agents that answer, stream, call tools and give structured output."""
# mypy: disable-error-code="import-not-found,misc,untyped-decorator"
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, capture_run_messages
from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai_gigachat import GigaChatModel, GigaChatProvider

import gigachat
from gigachat import GigaChat
from gigachat.server import GigaChatServer
from tests.clients.conftest import bounded

QUESTION = "Какая погода в Пскове?"


class Weather(BaseModel):
    """Погода в городе."""

    city: str
    celsius: float


def sent(server: GigaChatServer) -> list[Any]:
    """The bodies of the chats the service received."""
    return [request.json for request in server.requests_to("/chat/completions")]


@asynccontextmanager
async def model_of(server: GigaChatServer, name: str = "GigaChat-2-Max") -> AsyncIterator[GigaChatModel]:
    """A model of the package, closed afterwards. The package takes everything but the address from the environment."""
    provider = GigaChatProvider(base_url=server.base_url)
    try:
        yield GigaChatModel(name, provider=provider)
    finally:
        await provider.aclose()


def run(server: GigaChatServer, work: Callable[[GigaChatModel], Coroutine[Any, Any, Any]]) -> Any:
    async def whole() -> Any:
        async with model_of(server) as model:
            return await work(model)

    return bounded(whole())


def test_it_is_the_published_package(unchanged: Callable[[str], None]) -> None:
    unchanged("pydantic-ai-gigachat")


def test_an_agent_answers(server: GigaChatServer) -> None:
    server.reply("Минус три.")

    async def work(model: GigaChatModel) -> Any:
        agent = Agent(model, instructions="Отвечай кратко.")
        return await agent.run(QUESTION, model_settings={"temperature": 0.2, "max_tokens": 50, "top_p": 0.5})

    result = run(server, work)
    assert result.output == "Минус три."
    response = result.all_messages()[-1]
    assert isinstance(response, ModelResponse)
    assert response.finish_reason == "stop"
    assert response.model_name is not None
    assert response.model_name.startswith("GigaChat-2-Max:")
    assert response.provider_url == server.base_url
    assert result.usage.output_tokens > 0
    assert result.usage.input_tokens > 0
    [request] = sent(server)
    assert {"role": "user", "content": QUESTION} in request["messages"]
    assert {name: request[name] for name in request if name != "messages"} == {
        "model": "GigaChat-2-Max",
        "temperature": 0.2,
        "max_tokens": 50,
        "top_p": 0.5,
    }
    [signing_in] = server.requests_to("/oauth")
    assert signing_in.headers["authorization"] == f"Basic {server.credentials}"


def test_an_agent_in_blocking_code(server: GigaChatServer) -> None:
    # pydantic-ai takes the thread's event loop and leaves it to its owner.
    with asyncio.Runner() as runner, GigaChat() as client:
        asyncio.set_event_loop(runner.get_loop())
        agent = Agent(GigaChatModel("GigaChat", provider=GigaChatProvider(client=client)))
        answer = agent.run_sync(QUESTION)
        runner.run(client.aclose())
    asyncio.set_event_loop(None)
    assert f"«{QUESTION}»" in answer.output
    assert sent(server)[0]["model"] == "GigaChat"


def test_a_conversation(server: GigaChatServer) -> None:
    server.reply("Минус три.")
    server.reply("В Пскове.")

    async def work(model: GigaChatModel) -> Any:
        agent = Agent(model)
        first = await agent.run(QUESTION)
        return await agent.run("Где?", message_history=first.all_messages())

    assert run(server, work).output == "В Пскове."
    assert sent(server)[1]["messages"] == [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": "Минус три."},
        {"role": "user", "content": "Где?"},
    ]


def test_an_agent_streams(server: GigaChatServer) -> None:
    text = "В Пскове сегодня минус три, ветер северный, снег, видимость плохая."
    server.reply(text)

    async def work(model: GigaChatModel) -> Any:
        async with Agent(model).run_stream(QUESTION) as result:
            pieces = [piece async for piece in result.stream_text(delta=True, debounce_by=None)]
            return pieces, await result.get_output(), result.usage

    pieces, output, usage = run(server, work)
    assert len(pieces) > 3
    assert "".join(pieces) == output == text
    assert usage.output_tokens > 0
    assert sent(server)[0]["stream"] is True


@pytest.mark.filterwarnings("ignore:an async stream was left open:ResourceWarning")  # the package closes none
def test_a_stream_left_early(server: GigaChatServer) -> None:
    async def work(model: GigaChatModel) -> Any:
        async with Agent(model).run_stream(QUESTION) as result:
            async for _ in result.stream_text(delta=True, debounce_by=None):
                break
        return (await Agent(model).run("И снова?")).output

    assert "«И снова?»" in run(server, work)


@pytest.mark.parametrize("streamed", [False, True])
def test_an_agent_calls_tools(server: GigaChatServer, streamed: bool) -> None:
    server.reply({"function_call": {"name": "celsius", "arguments": {"city": "Псков"}}})
    server.reply({"function_call": {"name": "fahrenheit", "arguments": {"celsius": -3}}})
    server.reply("Примерно 26,6 градуса.")
    calls: list[tuple[str, Any]] = []

    async def work(model: GigaChatModel) -> Any:
        agent = Agent(model)

        @agent.tool_plain
        def celsius(city: str) -> dict[str, float]:
            """Узнать температуру в городе."""
            calls.append(("celsius", city))
            return {"t": -3.0}

        @agent.tool_plain
        async def fahrenheit(celsius: float) -> str:
            """Пересчитать градусы."""
            calls.append(("fahrenheit", celsius))
            return json.dumps(celsius * 9 / 5 + 32)

        if not streamed:
            return (await agent.run(QUESTION)).output
        async with agent.run_stream(QUESTION) as result:
            return await result.get_output()

    assert run(server, work) == "Примерно 26,6 градуса."
    assert calls == [("celsius", "Псков"), ("fahrenheit", -3.0)]
    first, second, third = sent(server)
    assert [one["function_call"] for one in (first, second, third)] == ["auto"] * 3
    assert first["functions"] == third["functions"]
    assert first["functions"][0] == {
        "name": "celsius",
        "description": "Узнать температуру в городе.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    }
    assert third["messages"] == [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": "", "function_call": {"name": "celsius", "arguments": {"city": "Псков"}}},
        {"role": "function", "name": "celsius", "content": '{"t": -3.0}'},
        {"role": "assistant", "content": "", "function_call": {"name": "fahrenheit", "arguments": {"celsius": -3}}},
        {"role": "function", "name": "fahrenheit", "content": "26.6"},
    ]
    assert second["messages"] == third["messages"][:3]


def test_structured_output(server: GigaChatServer) -> None:
    server.reply({"function_call": {"name": "final_result", "arguments": {"city": "Псков", "celsius": -3}}})

    async def work(model: GigaChatModel) -> Any:
        return (await Agent(model, output_type=Weather).run(QUESTION)).output

    assert run(server, work) == Weather(city="Псков", celsius=-3)
    [request] = sent(server)
    assert request["function_call"] == "auto"
    [function] = request["functions"]
    assert function["name"] == "final_result"
    assert function["parameters"]["properties"]["celsius"]["type"] == "number"
    assert function["parameters"]["required"] == ["city", "celsius"]


def test_structured_output_that_the_service_makes_itself(server: GigaChatServer) -> None:
    async def work(model: GigaChatModel) -> Any:
        return (await Agent(model, output_type=Weather).run(QUESTION)).output

    assert isinstance(run(server, work), Weather)


def test_structured_output_in_a_stream(server: GigaChatServer) -> None:
    server.reply({"function_call": {"name": "final_result", "arguments": {"city": "Псков", "celsius": -3}}})

    async def work(model: GigaChatModel) -> Any:
        async with Agent(model, output_type=Weather).run_stream(QUESTION) as result:
            return await result.get_output()

    assert run(server, work) == Weather(city="Псков", celsius=-3)


def test_structured_output_asked_for_again(server: GigaChatServer) -> None:
    server.reply({"function_call": {"name": "final_result", "arguments": {"city": "Псков", "celsius": "мороз"}}})
    server.reply({"function_call": {"name": "final_result", "arguments": {"city": "Псков", "celsius": -3}}})

    async def work(model: GigaChatModel) -> Any:
        with capture_run_messages() as messages:
            output = (await Agent(model, output_type=Weather, retries=2).run(QUESTION)).output
        return output, messages

    output, messages = run(server, work)
    assert output == Weather(city="Псков", celsius=-3)
    asked = [part.args for one in messages for part in one.parts if isinstance(part, ToolCallPart)]
    assert asked == [{"city": "Псков", "celsius": "мороз"}, {"city": "Псков", "celsius": -3}]
    second = sent(server)[1]["messages"]
    assert [message["role"] for message in second] == ["user", "assistant", "function"]
    assert second[2]["name"] == "final_result"
    [problem] = json.loads(second[2]["content"])
    assert (problem["loc"], problem["input"]) == (["celsius"], "мороз")


def test_tokens_are_counted(server: GigaChatServer) -> None:
    async def work(model: GigaChatModel) -> Any:
        return await model.count_tokens([ModelRequest.user_text_prompt(QUESTION)], None, ModelRequestParameters())

    assert run(server, work).input_tokens > 0
    [request] = server.requests_to("/tokens/count")
    assert request.json == {"model": "GigaChat-2-Max", "input": [QUESTION]}


def test_fields_of_the_users_own(server: GigaChatServer) -> None:
    async def work(model: GigaChatModel) -> Any:
        settings: Any = {"extra_body": {"reasoning_effort": "low", "profanity_check": False}}
        return (await Agent(model).run(QUESTION, model_settings=settings)).all_messages()[-1]

    assert isinstance(run(server, work).parts[0], TextPart)
    [request] = sent(server)
    assert (request["reasoning_effort"], request["profanity_check"]) == ("low", False)


def test_errors_arrive_as_the_clients_own(server: GigaChatServer) -> None:
    async def work(model: GigaChatModel) -> Any:
        with pytest.raises(gigachat.exceptions.UnprocessableEntityError, match="all bad"):
            await Agent(model).run(QUESTION)

    server.fail(422, "Invalid params: all bad")
    run(server, work)
