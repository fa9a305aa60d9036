"""The page on MCP: its files, written where a reader would write them, run against the local server."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from gigachat.server import GigaChatServer
from tests.docs.pages import python_blocks
from tests.mcp.support import official_over_http
from tests.support.programs import environment

pytestmark = pytest.mark.slow  # each test starts servers

PAGES = ("docs/mcp.md", "docs/mcp.ru.md")


def printed(folder: Path, name: str, server: GigaChatServer) -> str:
    done = subprocess.run(
        [sys.executable, name],
        cwd=folder,
        env={"PYTHONUTF8": "1", **environment(server)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("page", PAGES)
def test_the_files_of_the_page_run(page: str, tmp_path: Path) -> None:
    files = {block.text.partition("\n")[0].removeprefix("# "): block.text for block in python_blocks(page)}
    assert list(files) == ["server.py", "agent.py", "async_agent.py"]
    url = re.search(r'"(http://\S+)"', files["async_agent.py"])
    assert url is not None
    with GigaChatServer() as server, official_over_http() as running:
        for name, text in files.items():
            (tmp_path / name).write_text(text.replace(url[1], running), "utf-8")
        server.reply_call("weather", {"city": "Псков"})
        server.reply("Минус три.")
        server.reply_call("clothes", {"temperature": -3})
        server.reply("Шубу.")
        assert printed(tmp_path, "agent.py", server) == "['weather']\nМинус три.\nШубу.\n"
        server.reply_call("weather", {"place": {"city": "Псков"}})
        server.reply("Минус три.")
        assert printed(tmp_path, "async_agent.py", server) == "Минус три.\n"
