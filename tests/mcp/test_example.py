"""`examples/mcp_agent.py`, with servers of both transports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gigachat.server import GigaChatServer
from tests.mcp.support import OFFICIAL
from tests.support.programs import environment

EXAMPLE = Path(__file__).parents[2] / "examples" / "mcp_agent.py"
STDIO = f'"{sys.executable}" "{OFFICIAL}"'


def ran(server: GigaChatServer, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(EXAMPLE), *arguments],
        env={"PYTHONUTF8": "1", **environment(server)},
        input=stdin,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )


def test_the_agent_asks_before_it_calls_tools_of_both_servers(server: GigaChatServer, url: str) -> None:
    server.reply_calls(("s1_add", {"a": 1}), ("s2_add", {"a": 2}), ("s1_die", {}))
    server.reply("Три и четыре.")
    done = ran(server, "Сколько?", STDIO, url, stdin="y\ny\nn\n")
    assert (done.returncode, done.stderr) == (0, "")
    asked = "s1_add({'a': 1})? [y/n] s2_add({'a': 2})? [y/n] s1_die({})? [y/n] "
    assert done.stdout == "\n".join(
        [
            asked + '[s1_add -> {"result":3}]',
            '[s2_add -> {"result":4}]',
            '[s1_die -> {"error": "пользователь не разрешил этот вызов"}]',
            "Три и четыре.\n",
        ]
    )


@pytest.mark.slow
def test_the_agent_says_what_is_wrong_with_a_server(server: GigaChatServer) -> None:
    done = ran(server, "Сколько?", "no-such-program-4711")
    assert (done.returncode, done.stderr) == (
        1,
        "MCP server no-such-program-4711: there is no such program or folder\n",
    )
