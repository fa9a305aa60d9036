"""The command in a pseudo-terminal: sessions, Markdown, keys that are pressed."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gigachat.server import GigaChatServer
from tests.support.commands import COMMAND, Installed
from tests.support.waiting import PATIENCE

if sys.platform == "win32":
    pytest.skip("Windows has no pseudo-terminals of this kind", allow_module_level=True)

import fcntl
import pty
import struct
import termios

pytestmark = pytest.mark.slow  # each test starts commands

_SEQUENCE = re.compile(r"\x1b\][^\x07]*\x07|\x1b[\[(?][0-9;?]*[a-zA-Z]|\x1b[=>78]")
_WHERE_IS_THE_CURSOR = b"\x1b[6n"
_WITHOUT = (
    "import sys; sys.modules['prompt_toolkit'] = sys.modules['rich'] = None; "
    "from gigachat.__main__ import main; sys.exit(main())"
)
CTRL_C, CTRL_D = "\x03", "\x04"


class Terminal:
    """A terminal in which a command runs.

    Args:
        gigachat: The user.
        command: The command.
    """

    def __init__(self, gigachat: Installed, command: list[str]) -> None:
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.chdir(gigachat.home)
            os.execve(command[0], command, {"TERM": "xterm", **gigachat.environment})
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.raw = b""
        self._read = 0
        self._ended = False

    def until(self, text: str, *, again: str = "") -> str:
        """Read until the terminal shows a text, and return what it showed from the end of the last call up to there.

        Args:
            text: The text.
            again: Key that is pressed in each second without output: CPython's readline can overlook a Ctrl-C.
        """
        end = time.monotonic() + PATIENCE
        while True:
            shown = _SEQUENCE.sub("", self.raw.decode(errors="replace")).replace("\r", "")[self._read :]
            if text in shown:
                length = shown.index(text) + len(text)
                self._read += length
                return shown[:length]
            assert time.monotonic() < end, f"{text!r} was not shown: {shown}"
            size = len(self.raw)
            assert self._more(), f"it ended, and {text!r} was not shown: {shown}"
            if again and len(self.raw) == size:
                self.type(again, enter="")

    def _more(self) -> bool:
        if not select.select([self._fd], [], [], 1)[0]:
            return True
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # as Linux says that it has ended
            return False
        if _WHERE_IS_THE_CURSOR in data:
            os.write(self._fd, b"\x1b[1;1R")
        self.raw += data
        return bool(data)

    def type(self, text: str, enter: str = "\r") -> None:
        """Press keys."""
        os.write(self._fd, os.fsencode(text + enter))

    def ended(self, *, again: str = "") -> int:
        """Return the exit status of the command, which must end.

        Args:
            again: Key that is pressed in each second without output: between two prompts the terminal takes Ctrl-D.
        """
        end, size = time.monotonic() + PATIENCE, len(self.raw)
        while self._more():
            assert time.monotonic() < end, f"it did not end: {self.raw[-500:]!r}"
            if again and len(self.raw) == size:
                self.type(again, enter="")
            size = len(self.raw)
        self._ended = True
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def close(self) -> None:
        if not self._ended:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._fd)


@pytest.fixture
def gigachat(server: GigaChatServer, tmp_path: Path) -> Installed:
    return Installed(tmp_path, server)


@contextmanager
def terminal(gigachat: Installed, *arguments: str, command: list[str] = COMMAND) -> Iterator[Terminal]:
    opened = Terminal(gigachat, [*command, *arguments])
    try:
        yield opened
    finally:
        opened.close()


def chats(server: GigaChatServer) -> list[list[str]]:
    """Return the texts of the messages of each chat that was received."""
    bodies = [request.json for request in server.requests_to("/completions")]
    return [[message["content"] for message in body["messages"]] for body in bodies]


def test_a_session_is_refused_without_a_key(tmp_path: Path) -> None:
    with terminal(Installed(tmp_path), "chat") as opened:
        shown = opened.until("needs none.")
        assert opened.ended() == 2
    error, note = shown.splitlines()
    assert error.startswith("gigachat: no authorization: ")
    assert "gigachat login" in note


def test_a_session_of_a_local_server_without_a_key_begins(tmp_path: Path) -> None:
    reach = {"GIGACHAT_BASE_URL": "http://127.0.0.1:1/v1"}
    with terminal(Installed(tmp_path, variables=reach), "chat") as opened:
        opened.until("/help lists the commands")


@pytest.mark.parametrize("kind", ["as installed", "without the extra", "dumb"])
def test_a_session(kind: str, gigachat: Installed, server: GigaChatServer) -> None:
    command = [sys.executable, "-c", _WITHOUT] if kind == "without the extra" else COMMAND
    if kind == "dumb":
        gigachat.variables["TERM"] = "dumb"
    (gigachat.home / "a.txt").write_text("x")
    for number in range(1, 7):
        server.reply(f"ответ-{number}")
    with terminal(gigachat, "chat", command=command) as session:
        session.until("/help lists the commands")
        session.type("Первый")
        assert "ответ-1" in session.until("tokens/s)")
        session.type("/model GigaChat-2-Pro")
        session.until("The model is GigaChat-2-Pro")
        session.type("/system Кратко")
        session.until("Кратко\n")
        session.type("/file a.txt")
        session.until("a.txt is uploaded")
        session.type("Второй")
        session.until("tokens/s)")
        session.type("/retry")
        assert "ответ-3" in session.until("tokens/s)")
        session.type("/tokens")
        session.until("5 messages in the history")
        session.type("/save kept.jsonl")
        session.until("The conversation is in kept.jsonl")
        session.type("/undo")
        session.until("2 messages are removed")
        session.type("/undo")
        session.until("2 messages are removed")
        session.type("/undo")
        session.until("There is no turn to remove")
        session.type('"""раз')
        session.until(".")
        session.type('два"""')
        session.until("tokens/s)")
        session.type("/load missing")
        session.until("missing: No such file or directory")
        session.type("/load kept.jsonl")
        session.until("5 messages are loaded")
        session.type(" /etc - что это?")
        session.until("tokens/s)")
        session.type("/nonsense")
        session.until("There is no command /nonsense")
        session.type("/save")
        session.until("/save needs the name of a file")
        session.type("/help")
        session.until("makes it a message.\n")
        session.until(">")
        session.type("забытая строка", enter="")
        session.until("строка")
        session.type(CTRL_C, enter="")
        session.until("\n", again=CTRL_C)
        assert session.ended(again=CTRL_D) == 0
    assert chats(server) == [
        ["Первый"],
        ["Кратко", "Первый", "ответ-1", "Второй"],
        ["Кратко", "Первый", "ответ-1", "Второй"],
        ["Кратко", "раз\nдва"],
        ["Кратко", "Первый", "ответ-1", "Второй", "ответ-3", "/etc - что это?"],
    ]
    one, two, again, *_ = (request.json for request in server.requests_to("/completions"))
    assert "model" not in one or one["model"] == "GigaChat"
    assert (two["model"], again["model"]) == ("GigaChat-2-Pro", "GigaChat-2-Pro")
    assert two["messages"][-1]["attachments"] == again["messages"][-1]["attachments"]
    assert len({request.headers["x-session-id"] for request in server.requests_to("/completions")[:3]}) == 1


CHUNK = {"choices": [{"delta": {"content": "начало", "role": "assistant"}, "index": 0}], "object": "chat.completion"}


def test_ctrl_c_stops_the_answer_and_not_the_session(gigachat: Installed, server: GigaChatServer) -> None:
    server.reply("первый ответ")
    with terminal(gigachat, "chat", "-c") as session:
        session.until("Ctrl-D leaves")
        session.type("раз")
        session.until("tokens/s)")
        server.stream_events([CHUNK], keep_open=True)
        session.type("два")
        session.until("начало")
        session.type(CTRL_C, enter="")
        session.until("(stopped; /retry asks again)")
        server.fail(500, path="/chat/completions")
        session.type("/retry")
        session.until("error: 500 ")
        server.reply("второй ответ")
        session.type("/retry")
        session.until("tokens/s)")
        session.type("/quit")
        assert session.ended() == 0
    history = ["раз", "первый ответ", "два"]
    assert chats(server) == [["раз"], history, history, history]
    lines = (gigachat.files / "conversations" / "last.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["content"] for line in lines[1:]] == [*history, "второй ответ"]


def test_the_history_of_lines_is_kept(gigachat: Installed) -> None:
    for _ in range(2):
        with terminal(gigachat, "chat", command=[sys.executable, "-c", _WITHOUT]) as session:
            session.until("Ctrl-D leaves")
            session.type("Привет, память")
            session.until("tokens/s)")
            assert session.ended(again=CTRL_D) == 0
    file = gigachat.files / "lines"
    assert file.stat().st_mode & 0o77 == 0
    assert "память" in file.read_text("utf-8")


@pytest.mark.parametrize("plain", [True, False])
def test_a_terminal_obeys_no_character_of_the_model(plain: bool, gigachat: Installed, server: GigaChatServer) -> None:
    server.reply("раз\x1b]0;title\x07 два\x9b2J три\x08\r \u202eчетыре [пять](http://a.example)")
    with terminal(gigachat, "chat", *(["--plain"] if plain else []), "x") as shown:
        assert shown.ended() == 0
    assert "title" in shown.raw.decode()
    assert "http://a.example" in shown.raw.decode()
    assert not re.search("\x1b\\]|\x07|\x9b|\x08|\u202e", shown.raw.decode())


def test_markdown_is_drawn_with_rich(gigachat: Installed, server: GigaChatServer) -> None:
    pytest.importorskip("rich")
    text = "# Города\n\n1. Псков\n\n```python\nx = 1\n\ny = 2\n```\n\n**Конец**"
    for plain, variables in ((False, {}), (False, {"NO_COLOR": "1"}), (True, {})):
        server.reply(text)
        gigachat.variables = dict(variables)
        with terminal(gigachat, "chat", *(["--plain"] if plain else []), "x") as shown:
            assert shown.ended() == 0
        output = _SEQUENCE.sub("", shown.raw.decode())
        assert ("```" in output, "**" in output) == (plain, plain)
        assert output.index("Города") < output.index("Псков") < output.index("x = 1") < output.rindex("Конец")
        colours = re.findall(rb"\x1b\[[0-9;]*3[0-8][0-9;]*m", shown.raw)
        assert not colours or not (plain or variables)


@pytest.mark.parametrize(("key", "ran"), [("y", True), ("n", False), ("", False)])
def test_the_user_is_asked_before_a_call(key: str, ran: bool, gigachat: Installed, server: GigaChatServer) -> None:
    (gigachat.home / "tools.py").write_text('def erase() -> str:\n    open("ran", "w")\n    return "gone"\n')
    server.reply_call("erase", {})
    server.reply("готово")
    with terminal(gigachat, "chat", "--tool", "tools:erase", "--approve", "x") as shown:
        shown.until("Run erase {}? [y/N] ")
        shown.type(key)
        shown.until("готово")
        assert shown.ended() == 0
    assert (gigachat.home / "ran").exists() is ran


def test_the_user_sees_all_arguments_of_a_call(gigachat: Installed, server: GigaChatServer) -> None:
    (gigachat.home / "tools.py").write_text('def erase(path: str) -> str:\n    return "gone"\n')
    server.reply_call("erase", {"path": "a" * 300 + "/important"})
    server.reply("готово")
    with terminal(gigachat, "chat", "--tool", "tools:erase", "--approve", "x") as shown:
        shown.until('/important"}? [y/N] ')
        shown.type("n")
        assert shown.ended() == 0


_TOOLS = """
from functools import partial
from gigachat import tool
class Weather:
    def __call__(self, city: str) -> str:
        return city
callable_object = tool(Weather(), name="weather", description="Weather.")
part = tool(partial(Weather().__call__, "Псков"), name="here", description="Weather.")
"""


def test_functions_of_each_kind_are_listed(gigachat: Installed) -> None:
    (gigachat.home / "tools.py").write_text(_TOOLS, "utf-8")
    with terminal(gigachat, "chat", "--tool", "tools:callable_object", "--tool", "tools:part") as session:
        session.until("Ctrl-D leaves")
        session.type("/tools")
        session.until("weather, here\n")
        session.type("/quit")
        assert session.ended() == 0


def test_the_home_of_a_user_that_does_not_exist(gigachat: Installed) -> None:
    with terminal(gigachat, "chat") as session:
        session.until("Ctrl-D leaves")
        for command, reason in (
            ("/file", "there is no such file"),
            ("/save", "the folder of the conversation does not exist"),
            ("/load", "the folder of the conversation does not exist"),
        ):
            session.type(f"{command} ~nouser/x")
            assert "~nouser" in session.until(reason)
        session.type("/quit")
        assert session.ended() == 0


def test_ctrl_c_at_one_question(gigachat: Installed, server: GigaChatServer) -> None:
    server.stream_events([CHUNK], keep_open=True)
    with terminal(gigachat, "chat", "x") as shown:
        shown.until("начало")
        shown.type(CTRL_C, enter="")
        assert shown.ended() == 130
    assert b"Traceback" not in shown.raw


def test_sigterm_ends_a_session(gigachat: Installed) -> None:
    with terminal(gigachat, "chat") as session:
        session.until("Ctrl-D leaves")
        os.kill(session.pid, signal.SIGTERM)
        assert session.ended() == -signal.SIGTERM
    assert b"Traceback" not in session.raw


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_a_session_leaves_no_file_of_its_own(number: int, gigachat: Installed, server: GigaChatServer) -> None:
    place = gigachat.home / "temporary"
    place.mkdir()
    gigachat.variables["TMPDIR"] = str(place)
    server.reply("ответ")
    with terminal(gigachat, "chat") as session:
        session.until("Ctrl-D leaves")
        session.type("вопрос")
        session.until("tokens/s)")
        os.kill(session.pid, number)
        assert session.ended() == -number
    assert list(place.iterdir()) == []


def test_words_behind_quit_change_nothing(gigachat: Installed) -> None:
    with terminal(gigachat, "chat") as session:
        session.until("Ctrl-D leaves")
        session.type("/quit now")
        assert session.ended() == 0


def test_the_key_is_asked_for_without_an_echo(gigachat: Installed, server: GigaChatServer) -> None:
    key = server.credentials
    gigachat.variables = {"GIGACHAT_CREDENTIALS": ""}
    with terminal(gigachat, "login", "--store", "file") as shown:
        shown.until("Authorization key: ")
        shown.type(key)
        assert shown.ended() == 0
    assert key.encode() not in shown.raw
    with terminal(gigachat, "login", "--store", "file") as shown:
        shown.until("Authorization key: ")
        shown.type(CTRL_D, enter="")
        assert shown.ended() == 2
    assert gigachat.run("chat", "x").status == 0


@pytest.mark.parametrize("word", ["tokens", "embed"])
def test_texts_are_not_awaited_from_a_terminal(word: str, gigachat: Installed) -> None:
    with terminal(gigachat, word) as shown:
        assert shown.ended() == 2
    assert "no text was given" in shown.raw.decode()


def test_the_installed_script_completes(gigachat: Installed) -> None:
    pytest.importorskip("argcomplete")
    script = Path(sys.executable).with_name("gigachat")
    lines = {"gigachat mod": "models", "gigachat embed --mod": "--model", "gigachat chat --v": "--v2"}
    for line, expected in lines.items():
        gigachat.variables = {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_TYPE": "9"}
        done = gigachat.run(command=["bash", "-c", f"exec '{script}' 8>&1 9>&2 1>/dev/null"])
        assert (done.status, done.out.strip()) == (0, expected)
