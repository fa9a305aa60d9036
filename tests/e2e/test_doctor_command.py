"""The command `gigachat doctor`, in a process of its own: pipes, terminals, encodings, exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from gigachat.server import GigaChatServer
from tests.support.programs import environment
from tests.support.systems import needs_own_roots

pytestmark = pytest.mark.costly

needs_terminal = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals of this kind")
COMMAND = [sys.executable, "-W", "error", "-m", "gigachat", "doctor"]


def doctor(variables: Mapping[str, str], *arguments: str, **more: Any) -> subprocess.CompletedProcess[Any]:
    """Run the command to its end."""
    given: dict[str, Any] = {"capture_output": True, "text": True, "encoding": "utf-8", **more}
    variables = {"PYTHONIOENCODING": "utf-8", **variables}
    return subprocess.run([*COMMAND, *arguments], env=variables, timeout=120, check=False, **given)


@needs_own_roots
@pytest.mark.parametrize(("language", "word"), [("en", "ok"), ("ru", "ок")])
def test_all_is_well(language: str, word: str, server: GigaChatServer) -> None:
    done = doctor(environment(server), "--language", language)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(line.startswith(word) for line in done.stdout.splitlines())
    assert len(done.stdout.splitlines()) == 13


@needs_own_roots
def test_json_for_programs(server: GigaChatServer) -> None:
    done = doctor(environment(server), "--json", "--model", "no-such-model")
    report = json.loads(done.stdout)
    assert (done.returncode, report["ok"]) == (1, False)
    assert [one["code"] for one in report["findings"] if one["verdict"] == "failed"] == ["no_such_model"]


@needs_own_roots
@pytest.mark.parametrize("encoding", ["cp866", "cp1251", "ascii"])
def test_a_console_of_windows(encoding: str, server: GigaChatServer) -> None:
    variables = {**environment(server), "PYTHONIOENCODING": encoding, "GIGACHAT_MODEL": "no-such-model"}
    done = doctor(variables, "--language", "ru", encoding=encoding)
    assert (done.returncode, done.stderr) == (1, "")
    assert ("Задайте в model=" in done.stdout) is (encoding != "ascii")
    done = doctor(variables, "--language", "ru", "--json", encoding=encoding)
    assert "Задайте в model=" in json.loads(done.stdout)["findings"][9]["advice"]


@pytest.mark.parametrize(
    ("variables", "seen"),
    [
        ({"GIGACHAT_BASE_URL": "no-address"}, "environment variable GIGACHAT_BASE_URL: give a full address"),
        ({"GIGACHAT_TIMEOUT": "soon"}, "environment variable GIGACHAT_TIMEOUT: give a number of seconds"),
        ({"GIGACHAT_CA_BUNDLE_FILE": "/no/such/file"}, "environment variable GIGACHAT_CA_BUNDLE_FILE: no such file"),
        ({"GIGACHAT_USER": "user"}, "GIGACHAT_USER) is set without password"),
        ({"GIGACHAT_PROXY": "ftp://u:s3cr3t@h"}, "environment variable GIGACHAT_PROXY: give a proxy address"),
        ({"HTTPS_PROXY": "ftp://u:s3cr3t@h"}, "HTTPS_PROXY: give a proxy address"),
    ],
)
def test_invalid_settings_are_a_finding(variables: dict[str, str], seen: str, server: GigaChatServer) -> None:
    given = {name: value for name, value in environment(server).items() if not name.startswith("GIGACHAT_")}
    done = doctor({**given, "GIGACHAT_CREDENTIALS": "a2V5", **variables}, "--json", "--language", "en")
    assert (done.returncode, done.stderr) == (1, "")
    assert "s3cr3t" not in done.stdout
    findings = json.loads(done.stdout)["findings"]
    assert findings[1]["code"] == "settings_invalid"
    assert seen.lower() in findings[1]["seen"].lower()  # Windows has no case in names of variables
    assert {finding["verdict"] for finding in findings[2:]} == {"skipped"}


def test_a_misspelled_variable_is_named(server: GigaChatServer) -> None:
    variables = environment(server)
    variables["GIGACHAT_CREDENTAILS"] = variables.pop("GIGACHAT_CREDENTIALS")
    done = doctor(variables, "--language", "en")
    assert done.returncode == 1
    assert "no key, token or client certificate is set" in done.stdout
    assert "Rename it to GIGACHAT_CREDENTIALS." in done.stdout


@pytest.mark.parametrize("arguments", [["--language", "de"], ["--timeout", "0"], ["--timeout", "x"], ["more"]])
def test_wrong_arguments(arguments: list[str], server: GigaChatServer) -> None:
    done = doctor(environment(server), *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


@needs_own_roots
@needs_terminal
@pytest.mark.parametrize(
    ("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)], ids=str
)
def test_colours_and_line_breaks_on_a_terminal(
    variables: dict[str, str], coloured: bool, server: GigaChatServer
) -> None:
    import fcntl
    import pty
    import struct
    import termios

    main, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 70, 0, 0))
    given = {**environment(server), "TERM": "xterm", "PYTHONIOENCODING": "utf-8", **variables}
    given["GIGACHAT_MODEL"] = "no-such-model"
    with subprocess.Popen([*COMMAND, "--language", "en"], env=given, stdout=terminal, stderr=terminal) as process:
        os.close(terminal)
        shown = b""
        try:
            while piece := os.read(main, 65536):
                shown += piece
        except OSError:  # Linux ends so
            pass
        os.close(main)
    assert process.returncode == 1
    assert (b"\x1b[32mok\x1b[0m" in shown) is coloured
    plain = shown.replace(b"\x1b[32m", b"").replace(b"\x1b[31m", b"").replace(b"\x1b[90m", b"").replace(b"\x1b[0m", b"")
    assert max(map(len, plain.decode().splitlines())) <= 70
