"""The npm packages `gigachat` and `langchain-gigachat` on the local server, with its certificate."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gigachat.server import GigaChatServer

HERE = Path(__file__).parent
CALL = {"function_call": {"name": "weather", "arguments": {"city": "Псков"}}}
STREAM = "В Пскове сегодня минус три, ветер северный, снег, видимость плохая."


@pytest.fixture
def server(server: GigaChatServer) -> GigaChatServer:
    """The service with the replies that both programs expect."""
    server.reply("Минус три.")
    server.reply(STREAM)
    server.reply(CALL)
    server.reply("В Пскове минус три.")
    return server


def printed(program: str) -> dict[str, Any]:
    """Run a program of this folder among the packages of the environment and read what it prints."""
    command = ["node", "--input-type=module"]
    source = (HERE / program).read_bytes()
    done = subprocess.run(command, input=source, cwd=sys.prefix, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def check_chats(said: dict[str, Any]) -> None:
    """Check what both programs do alike."""
    assert said["text"] == "Минус три."
    assert len(said["pieces"]) > 3
    assert "".join(said["pieces"]) == STREAM
    assert said["call"].items() >= CALL["function_call"].items()  # the server adds an id
    assert said["after"] == "В Пскове минус три."
    assert said["vectors"] == [1024, 1024]


@pytest.mark.parametrize("name", ["gigachat", "langchain-gigachat"])
def test_it_is_the_published_package(name: str) -> None:
    """`npm ci` has compared the digests; the versions are those of package.json."""
    asked = json.loads((HERE / "package.json").read_text("utf-8"))["dependencies"]
    found = json.loads((Path(sys.prefix) / "node_modules" / name / "package.json").read_text("utf-8"))
    assert found["version"] == asked[name]


def test_gigachat(server: GigaChatServer) -> None:
    said = printed("gigachat.mjs")
    check_chats(said)
    chats = server.requests_to("/chat/completions")
    assert chats[0].json["temperature"] == 0.4
    assert said["request_id"]
    assert [message["role"] for message in chats[3].json["messages"]] == ["user", "assistant", "function"]
    assert said["tokens"] > 0
    assert "GigaChat-2-Max" in said["models"]
    assert said["files"] == ["notes.txt"]
    assert said["deleted"] is True
    assert said["image"] > 100
    assert said["error"] == "ResponseError"
    assert len(server.requests_to("/oauth")) == 1


def test_langchain(server: GigaChatServer) -> None:
    check_chats(printed("langchain.mjs"))
    chats = server.requests_to("/chat/completions")
    assert chats[2].json["functions"][0]["name"] == "weather"
    assert [message["role"] for message in chats[3].json["messages"]] == ["user", "assistant", "function"]
