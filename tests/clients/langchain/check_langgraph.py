"""Agents of LangGraph on langchain-gigachat: two tools, both really called, in one run."""
# mypy: disable-error-code="import-not-found,misc,untyped-decorator"
# pyright: reportMissingImports=false

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import BaseTool, tool
from langchain_gigachat import GigaChat
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, create_react_agent, tools_condition

from gigachat.server import GigaChatServer

QUESTION = "Сколько градусов в Пскове, если пересчитать в градусы Фаренгейта?"


class Tools:
    """Two tools that note how they were called."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

        @tool
        def weather(city: str) -> str:
            """Узнать температуру в городе, в градусах Цельсия."""
            self.calls.append(("weather", city))
            return json.dumps({"t": -3})

        @tool
        def fahrenheit(celsius: float) -> float:
            """Пересчитать градусы Цельсия в градусы Фаренгейта."""
            self.calls.append(("fahrenheit", celsius))
            return celsius * 9 / 5 + 32

        self.all: list[BaseTool] = [weather, fahrenheit]


@pytest.fixture
def tools() -> Tools:
    return Tools()


def of_langchain(tools: Tools) -> Any:
    return create_agent(GigaChat(model="GigaChat-2-Max"), tools.all, system_prompt="Ты метеоролог.")


def by_hand(tools: Tools, choice: str | None = None) -> Any:
    model = GigaChat(model="GigaChat-2-Max").bind_tools(tools.all, tool_choice=choice)

    def ask(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    async def aask(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("model", RunnableLambda(ask, aask))
    graph.add_node("tools", ToolNode(tools.all))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", tools_condition, {"tools": "tools", END: END})
    graph.add_edge("tools", "model")
    return graph.compile()


def ready_made(tools: Tools) -> Any:
    with pytest.warns(DeprecationWarning, match="create_react_agent"):
        return create_react_agent(GigaChat(model="GigaChat-2-Max"), tools.all)


@pytest.mark.parametrize("build", [of_langchain, by_hand, ready_made])
def test_an_agent_with_two_tools(
    build: Callable[[Tools], Any], tools: Tools, call: Callable[..., Any], server: GigaChatServer
) -> None:
    server.reply({"function_call": {"name": "weather", "arguments": {"city": "Псков"}}})
    server.reply({"function_call": {"name": "fahrenheit", "arguments": {"celsius": -3}}})
    server.reply("Примерно 26,6 градуса.")
    messages = call(build(tools), "invoke", {"messages": [HumanMessage(QUESTION)]})["messages"]
    assert tools.calls == [("weather", "Псков"), ("fahrenheit", -3.0)]
    assert [type(message) for message in messages] == [
        HumanMessage, AIMessage, ToolMessage, AIMessage, ToolMessage, AIMessage,
    ]  # fmt: skip
    assert messages[-1].content == "Примерно 26,6 градуса."
    first, second, third = (request.json for request in server.requests_to("/chat/completions"))
    assert {one["name"] for one in first["functions"]} == {"weather", "fahrenheit"}
    assert first["functions"] == second["functions"] == third["functions"]
    history = [message for message in third["messages"] if message["role"] != "system"]
    assert [message["role"] for message in history] == ["user", "assistant", "function", "assistant", "function"]
    assert [message.get("functions_state_id") for message in history if message["role"] == "assistant"] == [
        messages[1].additional_kwargs["functions_state_id"],
        messages[3].additional_kwargs["functions_state_id"],
    ]
    assert [json.loads(message["content"]) for message in history if message["role"] == "function"] == [
        {"t": -3},
        26.6,
    ]
    assert len(server.requests_to("/oauth")) == 1


def test_an_agent_that_the_server_drives(tools: Tools, call: Callable[..., Any], server: GigaChatServer) -> None:
    """The local server calls the tool the question names, fills its arguments and quotes the result."""
    agent = by_hand(tools, "auto")
    messages = call(agent, "invoke", {"messages": [HumanMessage("Спроси weather про город Псков")]})["messages"]
    assert [name for name, _ in tools.calls] == ["weather"]
    assert '{"t": -3}' in messages[-1].content


def test_an_agent_that_remembers(tools: Tools, call: Callable[..., Any], server: GigaChatServer) -> None:
    server.reply({"function_call": {"name": "weather", "arguments": {"city": "Псков"}}})
    server.reply("Минус три.")
    server.reply("В Пскове.")
    agent = create_agent(GigaChat(), tools.all, checkpointer=InMemorySaver())
    thread = {"configurable": {"thread_id": "1"}}
    call(agent, "invoke", {"messages": [HumanMessage("Какая погода в Пскове?")]}, thread)
    messages = call(agent, "invoke", {"messages": [HumanMessage("Где?")]}, thread)["messages"]
    assert messages[-1].content == "В Пскове."
    assert tools.calls == [("weather", "Псков")]
    last = server.requests_to("/chat/completions")[-1].json
    assert [message["role"] for message in last["messages"]] == ["user", "assistant", "function", "assistant", "user"]


def test_the_text_of_an_agent_as_it_comes(tools: Tools, read: Callable[..., list[Any]], server: GigaChatServer) -> None:
    server.reply({"function_call": {"name": "weather", "arguments": {"city": "Псков"}}})
    server.reply("В Пскове сегодня минус три градуса, ветер и снег.")
    agent = create_agent(GigaChat(streaming=True), tools.all)
    question = {"messages": [HumanMessage("Какая погода в Пскове?")]}
    pieces = read(agent, "stream", question, stream_mode="messages")
    said = [piece.content for piece, where in pieces if where["langgraph_node"] == "model" and piece.content]
    assert len(said) > 2
    assert "".join(said) == "В Пскове сегодня минус три градуса, ветер и снег."
    assert tools.calls == [("weather", "Псков")]
    assert all(request.json["stream"] for request in server.requests_to("/chat/completions"))
