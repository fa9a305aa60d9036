"""What langchain-gigachat has from 0.5.2a1 on: chats v2, a session, several calls at once, reasoning budgets."""
# mypy: disable-error-code="import-not-found,misc,untyped-decorator"
# pyright: reportMissingImports=false, reportFunctionMemberAccess=false

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.tools import tool
from langchain_gigachat import GigaChat
from pydantic import BaseModel

from gigachat.server import GigaChatServer

CHAT = "/v2/chat/completions"
QUESTION = "Какая погода в Пскове?"
CALL = {"function_call": {"name": "weather", "arguments": {"city": "Псков"}}}


class Weather(BaseModel):
    """Погода в городе."""

    city: str
    celsius: float


@tool
def weather(city: str) -> str:
    """Узнать погоду в городе."""
    return json.dumps({"city": city, "t": -3}, ensure_ascii=False)


def model(**options: Any) -> Any:
    return GigaChat(model="GigaChat-2-Max", use_api_v2=True, **options)


def sent(server: GigaChatServer) -> list[Any]:
    """The bodies of the chats the service received."""
    return [request.json for request in server.requests_to(CHAT)]


def test_a_chat(call: Callable[..., Any], server: GigaChatServer) -> None:
    server.reply("Минус три.")
    answer = call(model(), "invoke", [SystemMessage("Отвечай кратко."), HumanMessage(QUESTION)])
    assert answer.text == "Минус три."
    assert answer.usage_metadata["output_tokens"] > 0
    [request] = sent(server)
    assert [message["role"] for message in request["messages"]] == ["system", "user"]


def test_a_stream(read: Callable[..., list[Any]], server: GigaChatServer) -> None:
    server.reply("Один, два, три, четыре, пять, шесть, семь.")
    chunks = read(model(streaming=True), "stream", QUESTION)
    assert len(chunks) > 3
    assert "".join(chunk.text for chunk in chunks) == "Один, два, три, четыре, пять, шесть, семь."
    assert sent(server)[0]["stream"] is True


def test_a_tool_and_back(call: Callable[..., Any], server: GigaChatServer) -> None:
    server.reply(CALL)
    server.reply("В Пскове минус три.")
    bound = model(parallel_tool_calls=False).bind_tools([weather])
    history: list[Any] = [HumanMessage(QUESTION)]
    asked = call(bound, "invoke", history)
    assert [(one["name"], one["args"]) for one in asked.tool_calls] == [("weather", {"city": "Псков"})]
    answer = call(bound, "invoke", [*history, asked, weather.invoke(asked.tool_calls[0])])
    assert answer.text == "В Пскове минус три."
    first, second = sent(server)
    assert first["model_options"]["parallel_tool_calls"] is False
    assert first["tools"][0]["functions"]["specifications"][0]["name"] == "weather"
    assert len(second["messages"]) == 3


def test_structured_output(call: Callable[..., Any], server: GigaChatServer) -> None:
    made = call(model().with_structured_output(Weather, method="json_schema"), "invoke", QUESTION)
    assert isinstance(made, Weather)
    assert sent(server)[0]["model_options"]["response_format"]["schema"] == Weather.model_json_schema()


def test_reasoning(call: Callable[..., Any], server: GigaChatServer) -> None:
    call(model(reasoning_effort="low", reasoning_max_tokens=100), "invoke", QUESTION)
    assert sent(server)[0]["model_options"]["reasoning"] == {"effort": "low", "max_tokens": 100}


@pytest.mark.parametrize("second", [True, False])
def test_a_session(call: Callable[..., Any], server: GigaChatServer, second: bool) -> None:
    chat = GigaChat(session_id="conversation-17", use_api_v2=second)
    call(chat, "invoke", QUESTION)
    call(chat, "invoke", QUESTION)
    received = server.requests_to("/chat/completions")
    assert [request.headers["x-session-id"] for request in received] == ["conversation-17"] * 2
    assert all("x-session-id" not in request.headers for request in server.requests_to("/oauth"))
