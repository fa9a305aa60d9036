"""The command `gigachat serve`, in a process of its own."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gigachat import GigaChat, RateLimitError, ServerError, UnprocessableEntityError, __version__
from gigachat.__main__ import main
from gigachat.server import GigaChatServer, cli

pytestmark = pytest.mark.costly

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="the printed lines are for another shell there")


@contextmanager
def serving(
    *arguments: str, stopped_by: int = signal.SIGINT, cwd: Path | None = None, who: str = ""
) -> Iterator[dict[str, Any]]:
    """Run the command on a free port; give the environment it prints."""
    last = "export GIGACHAT_SCOPE" if "--no-tls" in arguments else "export GIGACHAT_CA_BUNDLE_FILE"
    command = [sys.executable, "-W", "error", "-m", "gigachat", "serve", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            printed = [process.stdout.readline()]
            while not printed[-1].startswith(last):
                assert printed[-1], process.stderr.read()
                printed.append(process.stdout.readline())
            assert f": {who}" in printed[0]
            yield dict(shlex.split(line)[1].split("=", 1) for line in printed if line.startswith("export "))
        finally:
            process.send_signal(stopped_by)
            _, said = process.communicate(timeout=60)
        assert process.returncode == 0
        # On a busy machine asyncio's debug mode remarks that a step took long.
        said = "".join(line for line in said.splitlines(keepends=True) if not line.startswith("Executing <"))
        assert said == (
            "Warning: without TLS keys, tokens and messages travel in the clear.\n" * ("--no-tls" in arguments)
        )


def start(*arguments: str) -> list[str]:
    """Return the lines that the command prints on start, through a pipe."""
    command = [sys.executable, "-W", "error", "-m", "gigachat", "serve", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
        assert process.stdout is not None
        printed: list[str] = []
        while not printed or "Ctrl-C" not in printed[-1]:
            printed.append(process.stdout.readline().rstrip("\n"))
            assert printed[-1], printed
        process.terminate()
        process.communicate(timeout=60)
    return printed


def client(environment: dict[str, Any]) -> GigaChat:
    return GigaChat(**{name.removeprefix("GIGACHAT_").lower(): value for name, value in environment.items()})


def values(line: str) -> dict[str, str]:
    """Return the variables that a line of PowerShell sets."""
    pairs = re.findall(r"\$env:(\w+) = '((?:[^']|'')*)'(?:; |$)", line)
    assert "; ".join(f"$env:{name} = '{value}'" for name, value in pairs) == line
    return {name: value.replace("''", "'") for name, value in pairs}


@needs_posix
def test_the_start_says_where_it_is_and_what_to_set(tmp_path: Path) -> None:
    printed = start("--state", str(tmp_path / "it's mine"))
    address, page, certificate, elsewhere, *exports, label, powershell, stop = printed
    assert len(printed) == 12
    origin = re.fullmatch(r"# Local GigaChat at (https://localhost:\d+): an echo answers, no model\.", address)
    assert origin is not None
    assert page == f"# Page with a chat and a log of requests: {origin[1]}/"
    assert "warns of the certificate" in certificate
    assert "in another terminal" in elsewhere
    in_bash = dict(shlex.split(line)[1].split("=", 1) for line in exports)
    assert in_bash["GIGACHAT_BASE_URL"] == f"{origin[1]}/api/v1"
    assert in_bash["GIGACHAT_CA_BUNDLE_FILE"] == str(tmp_path / "it's mine" / "certificates" / "ca.pem")
    assert label == "# In PowerShell:"
    assert values(powershell) == in_bash
    assert stop == "# Ctrl-C stops the server."


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--no-tls"], "a page"),
        (["--host", "127.0.0.2"], "a page and a warning"),
        (["--host", "0.0.0.0"], "a page and a warning"),
        (["--mtls"], "no page"),
    ],
)
@needs_posix
def test_the_start_names_the_page_where_a_browser_can_open_it(arguments: list[str], said: str) -> None:
    text = "\n".join(start(*arguments))
    assert ("# Page " in text) is (said != "no page")
    assert ("Your browser warns" in text) is (said == "a page and a warning")


def test_windows_has_its_own_shell_first(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Stopped(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            return True

    monkeypatch.setattr(cli, "threading", SimpleNamespace(Event=Stopped))
    monkeypatch.setattr(cli, "sys", SimpleNamespace(platform="win32", stderr=sys.stderr))
    assert main(["serve", "--port", "0", "--no-tls"]) == 0
    lines = capsys.readouterr().out.splitlines()
    powershell = {name: value for line in lines if line.startswith("$env:") for name, value in values(line).items()}
    [bash] = [line for line in lines if line.startswith("export ")]
    assert dict(word.split("=", 1) for word in shlex.split(bash.replace("; ", " ")) if word != "export") == powershell
    assert set(powershell) >= {"GIGACHAT_BASE_URL", "GIGACHAT_CREDENTIALS"}


@needs_posix
def test_a_changed_address_is_told(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gigachat", "serve", "--port", "0", "--state", str(tmp_path)]
    with GigaChatServer(state=tmp_path) as server:
        port = int(server.origin.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert f":{port}:" not in process.stdout.readline()
            process.terminate()
            _, said = process.communicate(timeout=60)
    assert said == "Warning: the port of the last start is taken, the address has changed.\n"


@needs_posix
def test_unknown_fields_are_refused_if_wanted() -> None:
    request = {"model": "GigaChat", "messages": [{"role": "user", "content": "Привет"}], "foo": 1}
    with serving("--no-tls", "--strict") as environment, client(environment) as giga:
        with pytest.raises(UnprocessableEntityError, match="unknown field foo"):
            giga.chat(request)


@needs_posix
def test_batches_are_a_bare_list_if_wanted() -> None:
    with serving("--no-tls", "--bare-batches") as environment, client(environment) as giga:
        assert giga.request("GET", "/batches").json() == []


@needs_posix
@pytest.mark.parametrize(
    ("arguments", "stopped_by"),
    [
        (["--pace", "0"], signal.SIGTERM),
        pytest.param(["--no-tls"], signal.SIGINT, marks=pytest.mark.slow),
        pytest.param(["--mtls"], signal.SIGTERM, marks=pytest.mark.slow),
        (["--pace", "0"], getattr(signal, "SIGHUP", signal.SIGTERM)),
    ],
)
def test_it_serves_until_a_signal_and_leaves_nothing(arguments: list[str], stopped_by: int) -> None:
    with serving(*arguments, stopped_by=stopped_by) as environment, client(environment) as giga:
        assert ("GIGACHAT_CREDENTIALS" in environment) == ("--mtls" not in arguments)
        assert giga.get_models().data
        files = [Path(value) for name, value in environment.items() if name.endswith("_FILE")]
        assert all(file.exists() for file in files)
    assert not any(file.parent.exists() for file in files)


@needs_posix
@pytest.mark.parametrize("before", [signal.SIG_IGN, signal.SIG_DFL])
def test_a_hangup_is_ignored_where_it_was_ignored(before: signal.Handlers, monkeypatch: pytest.MonkeyPatch) -> None:
    while_it_runs: list[bool] = []

    class Stopped(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            while_it_runs.append(signal.getsignal(signal.SIGHUP) == before)
            return True

    monkeypatch.setattr(cli, "threading", SimpleNamespace(Event=Stopped))
    own = signal.signal(signal.SIGHUP, before)
    try:
        assert main(["serve", "--port", "0", "--no-tls"]) == 0
        assert while_it_runs == [before == signal.SIG_IGN]
        assert signal.getsignal(signal.SIGHUP) == before
    finally:
        signal.signal(signal.SIGHUP, own)


RULES = """
- when: {message: погода, function: get_weather, role: user}
  call: {name: get_weather, arguments: {city: Москва}}
- when: {function: get_weather, role: function}
  reply: В Москве тепло
- when: {pattern: '^\\d+$'}
  reply: Это число
- when: {message: сломайся}
  times: 1
  fail: {status: 500, message: Сломалось}
- when: {model: GigaChat-2-Pro}
  reply: Я другая модель
  finish_reason: length
"""

WEATHER = {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}


@needs_posix
def test_a_script_answers_by_its_rules(tmp_path: Path) -> None:
    script = tmp_path / "rules.yaml"
    script.write_text(RULES, "utf-8")
    with serving("--engine", "script", "--script", str(script)) as environment, client(environment) as giga:
        called = giga.chat("Какая Погода?", functions=[WEATHER], function_call="auto").choices[0].message.function_call
        assert called is not None
        assert (called.name, called.arguments) == ("get_weather", {"city": "Москва"})
        result = {"role": "function", "name": "get_weather", "content": '{"t": 25}'}
        asked = {"role": "user", "content": "погода"}
        call = {"role": "assistant", "content": "", "function_call": {"name": "get_weather", "arguments": {}}}
        told = giga.chat([asked, call, result], functions=[WEATHER])
        assert told.choices[0].message.content == "В Москве тепло"
        assert giga.stream("42").get_final_text() == "Это число"
        with pytest.raises(ServerError, match="Сломалось"):
            giga.with_options(max_retries=0).chat("сломайся")
        assert "сломайся" in giga.chat("сломайся").choices[0].message.content
        other = giga.chat("x", model="GigaChat-2-Pro").choices[0]
        assert (other.message.content, other.finish_reason) == ("Я другая модель", "length")


@pytest.mark.slow
@needs_posix
def test_faults_of_a_file_and_a_folder_for_the_state(tmp_path: Path) -> None:
    faults = tmp_path / "faults.json"
    faults.write_text(json.dumps([{"path": "/chat/completions", "status": 429}]), "utf-8")
    arguments = ("--faults", str(faults), "--state", "state")
    with serving(*arguments, cwd=tmp_path) as environment, client(environment) as giga:
        with pytest.raises(RateLimitError):
            giga.with_options(max_retries=0).chat("x")
        giga.chat("x")
        file = giga.upload_file(("a.txt", b"a")).id_
        key = environment["GIGACHAT_CREDENTIALS"]
        assert environment["GIGACHAT_CA_BUNDLE_FILE"] == str(tmp_path / "state" / "certificates" / "ca.pem")
    with serving(*arguments, cwd=tmp_path) as environment, client(environment) as giga:
        assert environment["GIGACHAT_CREDENTIALS"] == key
        assert giga.get_file(file).filename == "a.txt"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--engine", "script"), "this engine needs --script FILE"),
        (("--engine", "llama"), "this engine needs --model-file MODEL.gguf"),
        (
            ("--engine", "llama", "--model-file", "nowhere.gguf"),
            "there is no model file nowhere.gguf; give the path of",
        ),
        (("--engine", "upstream"), "this engine needs --upstream URL"),
        (("--engine", "script", "--script", "nowhere.yaml"), "nowhere.yaml: "),
        (("--faults", "nowhere.yaml"), "nowhere.yaml: "),
        (("--upstream", "http://localhost:1"), "--upstream is of --engine upstream"),
        (("--upstream-model", "m"), "--upstream-model is of --engine upstream"),
        (("--model-file", "m.gguf", "--engine", "script"), "--model-file is of --engine llama"),
        (("--script", "s.yaml"), "--script is of --engine script"),
        (("--port", "0", "--name", "a b"), "no certificate can name 'a b': "),
        (("--port", "0", "--name", ""), "no certificate can name '': "),
        (("--mtls", "--no-tls"), "mtls needs tls"),
        (("--faults", "."), ".: "),
        (("--engine", "script", "--script", "."), ".: "),
        (("--engine", "llama", "--model-file", "."), ".: "),
        (("--engine", "upstream", "--upstream", "localhost"), "an address must begin with http:// or"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gigachat", "serve", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(said)


@pytest.mark.parametrize("host", ["192.0.2.1", "1.2.3.999", "http://localhost", "a" * 80 + ".example"])
def test_a_host_that_is_none_of_this_machine_is_named(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--host", host]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"Can't listen on {host}:8443: ")
    assert line.endswith("; --host is an address or a name of this machine")


@pytest.mark.parametrize("place", ["file", "file/in"])
def test_a_file_where_a_folder_is_wanted_is_named(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("x")
    assert main(["serve", "--state", str(tmp_path / place)]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"the state cannot be kept in {tmp_path / place}: ")
    assert line.endswith("it is a file, name a folder") is (place == "file")
    assert "Errno" not in line


@pytest.mark.slow
def test_a_state_that_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gigachat", "serve", "--port", "0", "--state", str(tmp_path)]
    (tmp_path / "records.sqlite3").write_text("x" * 1000)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith(f"the state cannot be kept in {tmp_path}: ")
    (tmp_path / "records.sqlite3").unlink()
    (tmp_path / "certificates" / "client.key").mkdir()
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert str(tmp_path / "certificates" / "client.key") in done.stderr
    assert "listen" not in done.stderr


@pytest.mark.slow
@needs_posix
def test_a_password_in_an_address_is_not_printed() -> None:
    with serving(
        "--engine", "upstream", "--upstream", "http://me:geheim@localhost:1", who="http://localhost:1 answers"
    ):
        pass


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        command = [sys.executable, "-m", "gigachat", "serve", "--port", port]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    reason = os.strerror(errno.EADDRINUSE)
    assert done.stderr == f"Can't listen on 127.0.0.1:{port}: {reason}; --port 0 takes a free port\n"


@pytest.mark.parametrize(
    "argument",
    [
        *("--pace=-1", "--pace=x", "--pace=nan", "--pace=1e300", "--pace="),
        *("--port=70000", "--port=-1", "--port=x", "--port=1.5"),
        *("--token-lifetime=0", "--token-lifetime=inf", "--token-lifetime=-5", "--token-lifetime=1e300"),
        *("--rate=0", "--rate=-1", "--rate=x", "--rate=1.5", "--rate=" + "9" * 30),
        *("--seed=-1", "--seed=x", "--seed=" + "9" * 30),
        *("--state=", "--faults=", "--script=", "--model-file=", "--host=", "--upstream=", "--upstream-model="),
        *("--engine=x", "--account=x", "--embeddings=x"),
    ],
)
def test_nonsense_is_refused(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["serve", argument])
    assert left.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert argument.partition("=")[0] in last
    assert "_" not in last  # a name of ours


def test_ctrl_c_is_heard_where_a_wait_cannot_be_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows."""
    waits: list[float | None] = []

    class Waiting(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout)
            return len(waits) > 1

    monkeypatch.setattr(cli, "threading", SimpleNamespace(Event=Waiting))
    assert main(["serve", "--port", "0", "--no-tls"]) == 0
    assert waits == [1.0, 1.0]


def test_without_the_extra_it_says_what_to_install() -> None:
    program = "import sys; sys.modules['uvicorn'] = None; from gigachat.__main__ import main; sys.exit(main())"
    for arguments in (["serve"], ["serve", "--port", "0"]):
        command = [sys.executable, "-c", program, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert 'pip install ".[server]"' in done.stderr
        assert "Traceback" not in done.stderr


def test_the_command_is_installed() -> None:
    script = Path(sys.executable).with_name("gigachat.exe" if os.name == "nt" else "gigachat")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("gigachat 0.2.")


def test_the_version_names_another_command_of_the_name(tmp_path: Path) -> None:
    described = tmp_path / "gigachat_cli-2.5.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: gigachat-cli\nVersion: 2.5.0\n")
    (described / "entry_points.txt").write_text("[console_scripts]\ngigachat = giga.cli:main\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "gigachat", "--version"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    version, hint = done.stdout.splitlines()
    assert version == f"gigachat {__version__}"
    assert hint == "gigachat-cli 2.5.0 also installs a command gigachat; python -m gigachat is always this package"


def test_the_version_alone() -> None:
    command = [sys.executable, "-m", "gigachat", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == f"gigachat {__version__}\n"
