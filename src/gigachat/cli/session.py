"""The session of `gigachat chat` in a terminal: a conversation, line by line."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from gigachat.cli.answers import show_stream
from gigachat.cli.files import path_of, uploaded
from gigachat.cli.lines import QUOTES, lines_of_terminal, read_message
from gigachat.cli.status import OK
from gigachat.cli.streams import error_text, print_note
from gigachat.exceptions import GigaChatException

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gigachat import GigaChat

_HELP = f"""\
/model [NAME]    show or change the model      /system [TEXT]   show or change the system message
/tools           list the functions            /tokens          show the tokens so far
/undo            remove the last turn          /retry           ask the last question again
/save FILE       write the conversation        /load FILE       read a conversation
/file FILE       attach a file to the next message
/help            show this                     /quit            leave, as Ctrl-D does
A text of several lines is written between lines of {QUOTES}, or with Alt-Enter. Ctrl-C stops an answer.
A space before / makes it a message."""
_LEAVING = ("quit", "exit")


class _Memory:
    """The storage of a conversation without a file. A new conversation with another model continues it."""

    def __init__(self) -> None:
        self._lines: Sequence[Mapping[str, Any]] = ()

    def load(self) -> Sequence[Mapping[str, Any]]:
        """Return the lines that were saved last."""
        return self._lines

    def save(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Keep the lines of a conversation."""
        self._lines = lines


class ChatSession:
    """A session.

    Args:
        giga: The client.
        fields: Options of the conversation.
        model: Model of the client.
        api: Version of the API.
        plain: Whether Markdown is printed as it is.
    """

    def __init__(self, giga: GigaChat, fields: dict[str, Any], *, model: str, api: str, plain: bool) -> None:
        self._giga = giga
        self._api = api
        self._plain = plain
        self._name_of_model = model
        self._fields = {"storage": _Memory(), **fields}
        self._conversation = self._begun(self._fields)
        self._files: list[Any] = []
        self._asked: tuple[str, list[Any]] | None = None
        self._answered = False
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

    def run(self, files: Sequence[str]) -> int:
        """Talk until the user leaves.

        Args:
            files: Paths to attach to the first message.
        """
        for path in files:
            self._file(path)
        print_note(f"{self._status()}. /help lists the commands, Ctrl-D leaves.")
        lines = lines_of_terminal([f"/{name}" for name in (*self._commands, *_LEAVING)], self._status)
        while True:
            try:
                text = read_message(lines)
                if text.startswith("/") and text[1:].partition(" ")[0].strip() in _LEAVING:
                    return OK
                if text.strip():
                    self._obey(text)
            except EOFError:
                print_note("")
                return OK
            except UnicodeError:
                print_note("error: this is not text in UTF-8")
            except KeyboardInterrupt:  # which drops a line
                print_note("")

    def _obey(self, text: str) -> None:
        try:
            if text.startswith("/") and "\n" not in text:
                self._command(text)
            else:
                self._ask(text.strip(), self._files)
        except KeyboardInterrupt:
            print_note("\n(stopped; /retry asks again)")
        except BrokenPipeError:  # of the output
            raise
        except (GigaChatException, OSError, ValueError, TypeError) as error:
            print_note(f"error: {error_text(error)}")

    def _command(self, text: str) -> None:
        name, _, argument = text[1:].partition(" ")
        command = self._commands.get(name)
        if command is None:
            print_note(f"There is no command /{name}; /help lists them. A space before / makes it a message.")
        else:
            command(argument.strip())

    def _ask(self, text: str, files: list[Any]) -> None:
        self._asked, self._answered = (text, files), False
        self._files = []
        began = time.monotonic()
        with self._conversation.stream(text, files) as stream:
            result = show_stream(stream, plain=self._plain)
        if result is not None:
            self._answered = True
            print_note(f"({_speed(result.usage, time.monotonic() - began)})")

    def _status(self) -> str:
        total = self._conversation.usage.total_tokens or 0
        return f"{self._name_of_model}, {total} tokens" if total else self._name_of_model

    def _begun(self, fields: dict[str, Any]) -> Any:
        giga: Any = self._giga
        return giga.conversation(api=self._api, **fields)

    def _continue(self, **changed: str) -> None:
        """Continue with other options."""
        fields = {**self._fields, **changed}
        self._conversation = self._begun(fields)
        self._fields = fields

    def _model(self, name: str) -> None:
        if name:
            self._continue(model=name)
            self._name_of_model = name
        print_note(f"The model is {self._name_of_model}.")

    def _system(self, text: str) -> None:
        if text:
            self._continue(system=text)
        systems = [message for message in self._conversation.messages if message.role == "system"]
        print_note(_text_of(systems[0]) if systems else "There is no system message.")

    def _tools(self, _: str) -> None:
        names = [tool.name for tool in self._fields.get("tools", ())]
        print_note(", ".join(names) or "There are no functions: gigachat chat --tool MODULE:NAME adds one.")

    def _tokens(self, _: str) -> None:
        messages = len(self._conversation.messages)
        print_note(f"{self._conversation.usage.total_tokens or 0} tokens so far, {messages} messages in the history")

    def _undo(self, _: str) -> None:
        removed = self._conversation.undo()
        self._answered = False
        print_note(f"{len(removed)} messages are removed." if removed else "There is no turn to remove.")

    def _retry(self, _: str) -> None:
        if self._asked is None:
            print_note("There is no question yet.")
            return
        if self._answered:
            self._conversation.undo()
        self._ask(*self._asked)

    def _save(self, path: str) -> None:
        if not path:
            raise ValueError("/save needs the name of a file")
        self._conversation.save(path_of(path))
        print_note(f"The conversation is in {path}.")

    def _load(self, path: str) -> None:
        if not path:
            raise ValueError("/load needs the name of a file")
        self._conversation.load(path_of(path))
        self._asked, self._answered = None, False
        print_note(f"{len(self._conversation.messages)} messages are loaded.")

    def _file(self, path: str) -> None:
        if not path:
            raise ValueError("/file needs the name of a file")
        self._files.append(uploaded(self._giga, path))
        print_note(f"{path} is uploaded, for the next message.")


def _speed(usage: Any, seconds: float) -> str:
    """Return the tokens of an answer and how fast they came."""
    made = getattr(usage, "completion_tokens", None) or getattr(usage, "output_tokens", None) or 0
    speed = f", {made / seconds:.0f} tokens/s" if made and seconds > 0 else ""
    return f"{usage.total_tokens or 0} tokens, {seconds:.1f} s{speed}"


def _text_of(message: Any) -> str:
    content = message.content
    return content if isinstance(content, str) else "".join(part.text or "" for part in content)
