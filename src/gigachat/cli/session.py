"""The session of `gigachat chat` in a terminal: a conversation, line by line."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from gigachat.cli.answers import show_stream
from gigachat.cli.keys import directory
from gigachat.cli.status import OK
from gigachat.cli.streams import print_note, shows_colours
from gigachat.exceptions import GigaChatException

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gigachat import GigaChat

_QUOTES = '"""'
_HELP = f"""\
/model [NAME]    show or change the model      /system [TEXT]   show or change the system message
/tools           list the functions            /tokens          show the tokens so far
/undo            remove the last turn          /retry           ask the last question again
/save FILE       write the conversation        /load FILE       read a conversation
/file FILE       attach a file to the next message
/help            show this                     /quit            leave, as Ctrl-D does
A text of several lines stands between lines of {_QUOTES}. Ctrl-C stops an answer."""


class _Memory:
    """Keeps a conversation while its options change."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def load(self) -> Sequence[Mapping[str, Any]]:
        return self.lines

    def save(self, lines: Sequence[Mapping[str, Any]]) -> None:
        self.lines = [dict(line) for line in lines]


class ChatSession:
    """A session.

    Args:
        giga: The client.
        fields: Options of the conversation.
        api: Version of the API.
        plain: Whether Markdown is printed as it is.
        files: Paths to attach to the first message.
    """

    def __init__(self, giga: GigaChat, fields: dict[str, Any], *, api: str, plain: bool, files: list[str]) -> None:
        self._giga = giga
        self._fields = fields
        self._api = api
        self._plain = plain
        self._paths = list(files)
        self._last: str | None = None
        self._conversation: Any = giga.conversation(api=api, **fields)  # type: ignore[call-overload]
        self._commands: dict[str, Callable[[str], object]] = {
            "model": self._model,
            "system": self._system,
            "tools": self._tools,
            "tokens": self._tokens,
            "undo": self._undo,
            "retry": self._retry,
            "save": self._save,
            "load": self._load,
            "file": self._file,
            "help": lambda _: print_note(_HELP),
        }

    def run(self) -> int:
        """Talk until the user leaves."""
        print_note(f"Model {self._model_name}. /help lists the commands, Ctrl-D leaves.")
        read = _reader(self._commands)
        while True:
            try:
                text = read()
            except EOFError:
                print_note("")
                return OK
            except KeyboardInterrupt:
                print_note("")
                continue
            if not text.strip():
                continue
            if text.strip() in ("/quit", "/exit"):
                return OK
            self._guarded(text)

    def _guarded(self, text: str) -> None:
        try:
            if text.startswith("/") and "\n" not in text:
                self._command(text)
            else:
                self._ask(text)
        except KeyboardInterrupt:
            print_note("\n(stopped)")
        except GigaChatException as error:
            print_note(f"error: {error}")
        except (OSError, ValueError, TypeError) as error:
            print_note(f"error: {' '.join(str(error).split())}")

    def _command(self, text: str) -> None:
        name, _, argument = text[1:].partition(" ")
        command = self._commands.get(name)
        if command is None:
            print_note(f"There is no command /{name}; /help lists them.")
        else:
            command(argument.strip())

    def _ask(self, text: str) -> None:
        files = [self._giga.upload_file(path) for path in self._paths]
        self._last, self._paths = text, []
        began = time.monotonic()
        with self._conversation.stream(text, files) as stream:
            result = show_stream(stream, plain=self._plain)
        if result is not None and result.usage is not None:
            self._report(result.usage, time.monotonic() - began)

    def _report(self, usage: Any, seconds: float) -> None:
        made = getattr(usage, "completion_tokens", None)
        if made is None:
            made = getattr(usage, "output_tokens", None) or 0
        speed = f", {made / seconds:.0f} tokens/s" if seconds > 0 else ""
        print_note(f"({usage.total_tokens} tokens{speed})")

    @property
    def _model_name(self) -> str:
        return str(self._fields.get("model") or self._giga.settings.model or "GigaChat")

    def _renew(self, **changed: Any) -> None:
        """Change options of the conversation, and keep its messages."""
        memory = _Memory()
        if self._conversation.messages:
            kept = _Memory()
            self._copy_to(kept)
            memory.lines = kept.lines
        self._fields = {**self._fields, **changed}
        if "system" in changed and memory.lines:
            memory.lines[0]["system"] = changed["system"]
        fields = {name: value for name, value in self._fields.items() if name != "storage" and value is not None}
        self._conversation = self._giga.conversation(api=self._api, storage=memory, **fields)  # type: ignore[call-overload]

    def _copy_to(self, memory: _Memory) -> None:
        import json
        import tempfile
        from pathlib import Path

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "conversation.jsonl"
            self._conversation.save(path)
            memory.save([json.loads(line) for line in path.read_text("utf-8").splitlines()])

    def _model(self, name: str) -> None:
        if name:
            self._renew(model=name)
        print_note(f"Model {self._model_name}.")

    def _system(self, text: str) -> None:
        if text:
            self._renew(system=text)
        print_note(self._fields.get("system") or "There is no system message.")

    def _tools(self, _: str) -> None:
        names = [getattr(tool, "__name__", str(tool)) for tool in self._fields.get("tools", [])]
        print_note(", ".join(names) or "There are no functions; gigachat chat --tool module:function adds one.")

    def _tokens(self, _: str) -> None:
        usage = self._conversation.usage
        print_note(f"{usage.total_tokens or 0} tokens, {len(self._conversation.messages)} messages")

    def _undo(self, _: str) -> None:
        removed = self._conversation.undo()
        print_note(f"{len(removed)} messages removed.")

    def _retry(self, _: str) -> None:
        if self._last is None:
            print_note("There is no question yet.")
            return
        self._conversation.undo()
        self._ask(self._last)

    def _save(self, path: str) -> None:
        if not path:
            print_note("/save needs the name of a file.")
            return
        self._conversation.save(path)
        print_note(f"The conversation is in {path}.")

    def _load(self, path: str) -> None:
        if not path:
            print_note("/load needs the name of a file.")
            return
        self._conversation.load(path)
        print_note(f"{len(self._conversation.messages)} messages.")

    def _file(self, path: str) -> None:
        self._paths.append(path)
        print_note(f"{path} goes with the next message.")


def _reader(commands: Mapping[str, object]) -> Callable[[], str]:
    """Return what reads a message: prompt_toolkit with a history if it is installed, else `input`."""
    if shows_colours():
        try:
            from prompt_toolkit import PromptSession
            from prompt_toolkit.completion import WordCompleter
            from prompt_toolkit.history import FileHistory
        except ImportError:
            pass
        else:
            folder = directory()
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            completer = WordCompleter([f"/{name}" for name in commands], sentence=True)
            session: Any = PromptSession(history=FileHistory(str(folder / "history")), completer=completer)
            return lambda: _whole(lambda prompt: str(session.prompt(prompt)))
    if sys.platform != "win32":
        import readline

        readline.set_auto_history(True)
    return lambda: _whole(input)


def _whole(read: Callable[[str], str]) -> str:
    """Read a line, or the lines up to the closing quotes."""
    line = read("> ")
    if not line.lstrip().startswith(_QUOTES):
        return line
    lines = [line.lstrip().removeprefix(_QUOTES)]
    while not lines[-1].rstrip().endswith(_QUOTES):
        lines.append(read(". "))
    lines[-1] = lines[-1].rstrip().removesuffix(_QUOTES)
    return "\n".join(lines).strip("\n")
