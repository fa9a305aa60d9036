"""`gigachat chat --mcp`: a model that calls the functions of an MCP server."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from gigachat.server import GigaChatServer
from tests.support.commands import COMMAND, Installed

SERVER = Path(__file__).with_name("official_server.py")


@pytest.mark.slow
def test_a_chat_with_the_functions_of_a_server(server: GigaChatServer, tmp_path: Path) -> None:
    gigachat = Installed(tmp_path, server)
    command = shlex.join([sys.executable, str(SERVER)])
    server.reply_call("add", {"a": 2, "b": 3})
    server.reply("Пять")
    done = gigachat.run("chat", "--mcp", command, "2 + 3?", command=[sys.executable, "-m", "gigachat"])
    assert (done.status, done.out) == (0, "Пять\n")
    assert "→ add " in done.err
    body = server.requests_to("/chat/completions")[-1].json
    assert "5" in body["messages"][-1]["content"]
    assert "add" in [function["name"] for function in body["functions"]]


def test_a_server_that_does_not_start(server: GigaChatServer, tmp_path: Path) -> None:
    done = Installed(tmp_path, server).run("chat", "--mcp", "no-such-program", "x", command=COMMAND)
    assert (done.status, done.out) == (5, "")
    [line] = done.err.splitlines()
    assert "no-such-program" in line
