"""deepagents with the profile of deepagents-gigachat: an agent that writes a file and reads it again."""
# mypy: disable-error-code="import-not-found"
# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from deepagents import create_deep_agent
from deepagents.backends import FilesystemBackend
from deepagents_gigachat import build_system_prompt
from langchain_gigachat import GigaChat

from gigachat.server import GigaChatServer

QUESTION = "Запиши погоду в файл погода.txt."


@pytest.fixture
def agent(server: GigaChatServer, tmp_path: Path) -> Any:
    backend = FilesystemBackend(root_dir=tmp_path, virtual_mode=True)
    return create_deep_agent(model=GigaChat(model="GigaChat-2-Max"), backend=backend)


def chats(server: GigaChatServer) -> list[Any]:
    """The bodies of the chats the service received."""
    return [request.json for request in server.requests_to("/chat/completions")]


@pytest.mark.parametrize("name", ["deepagents-gigachat", "langchain-gigachat"])
def test_it_is_the_published_package(unchanged: Callable[[str], None], name: str) -> None:
    unchanged(name)


def test_an_agent_writes_a_file(call: Callable[..., Any], agent: Any, server: GigaChatServer, tmp_path: Path) -> None:
    arguments = {"file_path": "погода.txt", "content": "минус три"}
    server.reply({"function_call": {"name": "write_file", "arguments": arguments}})
    server.reply({"function_call": {"name": "read_file", "arguments": {"file_path": "погода.txt"}}})
    server.reply("Готово.")
    messages = call(agent, "invoke", {"messages": [{"role": "user", "content": QUESTION}]})["messages"]
    assert messages[-1].content == "Готово."
    assert (tmp_path / "погода.txt").read_text("utf-8") == "минус три"
    first, second, third = chats(server)
    assert {"write_file", "read_file", "think"} <= {function["name"] for function in first["functions"]}
    assert first["functions"] == second["functions"] == third["functions"]
    roles = [message["role"] for message in third["messages"] if message["role"] != "system"]
    assert roles[-4:] == ["assistant", "function", "assistant", "function"]
    assert "минус три" in third["messages"][-1]["content"]
    assert len(server.requests_to("/oauth")) == 1


def test_its_profile_is_used(agent: Any, server: GigaChatServer) -> None:
    server.reply("Готово.")
    agent.invoke({"messages": [{"role": "user", "content": QUESTION}]})
    [request] = chats(server)
    assert request["messages"][0]["role"] == "system"
    assert build_system_prompt().splitlines()[0] in request["messages"][0]["content"]


def test_the_text_as_it_comes(read: Callable[..., list[Any]], server: GigaChatServer) -> None:
    server.reply("В Пскове сегодня минус три, ветер северный.")
    agent = create_deep_agent(model=GigaChat(streaming=True))
    pieces = read(agent, "stream", {"messages": [{"role": "user", "content": QUESTION}]}, stream_mode="messages")
    said = [piece.content for piece, where in pieces if where["langgraph_node"] == "model" and piece.content]
    assert len(said) > 2
    assert "".join(said) == "В Пскове сегодня минус три, ветер северный."
