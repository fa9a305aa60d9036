"""The commands of the pages: those of `gigachat` have valid arguments, extras exist, the first ones run as printed."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from gigachat.cli import program
from gigachat.server import GigaChatServer
from tests.docs.pages import PAGES, READMES, ROOT, python_blocks, read
from tests.support.programs import environment

FIRST_STEPS = (*READMES, "docs/start.md", "docs/start.ru.md")
INSTALLS = ("pip", "python3", "source")
"""Programs of commands that set the environment up, which the environment of the tests has been."""
EXTRAS = set(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"])


def commands(page: str) -> list[str]:
    """Return the command lines of a page."""
    blocks = [block.text for block in read(page).blocks if block.language == "bash"]
    return [line for text in blocks for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def ours(line: str) -> list[list[str]]:
    """Return the arguments of each command `gigachat` in a line, which may be a pipe or an argument of another one."""
    found: list[list[str]] = []
    for part in re.split(r"\s(?:\||&&)\s", line):
        words = shlex.split(part, comments=True)
        found += [words[at + 1 :] for at, word in enumerate(words) if word == "gigachat"]
    return found


@pytest.mark.parametrize("page", PAGES)
def test_commands_have_valid_arguments(page: str) -> None:
    for line in commands(page):
        for name, *arguments in filter(None, ours(line)):
            if name.startswith("-"):
                continue
            parser = program.parser_of(name, import_module(program.COMMANDS[name].module))
            with contextlib.redirect_stderr(io.StringIO()) as printed:
                try:
                    parser.parse_args(arguments)
                except SystemExit:
                    pytest.fail(f"{page}: {line}\n{printed.getvalue()}")


@pytest.mark.parametrize("page", PAGES)
def test_extras_that_are_installed_exist(page: str) -> None:
    for line in commands(page):
        for extras in re.findall(r"pip install .*\.\[([\w,]+)\]", line):
            assert set(extras.split(",")) <= EXTRAS, line


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the commands are of a POSIX shell")
@pytest.mark.parametrize("page", FIRST_STEPS)
def test_the_first_steps_run_as_printed(page: str, tmp_path: Path) -> None:
    first = python_blocks(page)[0]
    (tmp_path / "first.py").write_text(first.text, "utf-8")
    with GigaChatServer() as server:
        variables = environment(server)
        bin_folder = str(Path(sys.executable).parent)
        variables |= {"PATH": f"{bin_folder}:{variables.get('PATH', '/usr/bin:/bin')}", "HOME": str(tmp_path)}
        variables |= {"XDG_CONFIG_HOME": str(tmp_path), "PYTHONUTF8": "1"}
        for line in commands(page):
            if line.startswith(INSTALLS):
                continue
            filled = line.replace("your-authorization-key", server.credentials)
            done = subprocess.run(
                ["/bin/sh", "-c", filled],
                env=variables,
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
            if not line.startswith("export"):
                assert done.stdout.strip(), line
