"""Standard input, output and error: their encodings, and texts that a terminal shows as they are.

Each of the three may be closed; it is None then.
"""

from __future__ import annotations

import io
import os
import re
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import BaseModel

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters but tab and newline, and those that change the direction of text: a terminal would obey them."""

_COMMANDS = {
    "get_models() lists": "`gigachat models` lists",
    "get_files() lists": "`gigachat files` lists",
    "get_batches() lists": "`gigachat batch` lists",
}
"""What the command says instead of the advice in Python that the client gives."""


def prepare_streams() -> None:
    r"""Write characters that the encoding of the output lacks as `\N{...}` or `\u....`, instead of an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not _is_utf_8(stream):
            stream.reconfigure(errors="backslashreplace")


def discard_output() -> None:
    """Write the rest of the output nowhere, so that the interpreter can flush it when it exits."""
    _discard(sys.stdout)


def flush_notes() -> None:
    """Write what is left of standard error; nowhere if that fails."""
    if sys.stderr is not None:
        try:
            sys.stderr.flush()
        except OSError:
            _discard(sys.stderr)


def _discard(stream: TextIO | None) -> None:
    if stream is not None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _is_utf_8(stream: TextIO | None) -> bool:
    return stream is not None and (stream.encoding or "").lower().replace("-", "") == "utf8"


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a stream is a terminal."""
    if stream is None or not stream.isatty():
        return False
    if sys.platform == "win32" and stream is not sys.stdin:  # NUL claims to be a terminal, but has no size
        try:
            os.get_terminal_size(stream.fileno())
        except OSError:
            return False
    return True


def draws() -> bool:
    """Whether standard output is a terminal on which text can be drawn anew."""
    return is_terminal(sys.stdout) and os.environ.get("TERM") != "dumb"


def printable(text: str) -> str:
    """Return text of the service without control characters if standard output is a terminal."""
    return _CONTROL.sub("", text) if is_terminal(sys.stdout) else text


def print_json(value: Any) -> None:
    """Write a value as JSON on one line; not ASCII only if the encoding of the output is UTF-8."""
    import json

    print(json.dumps(value, ensure_ascii=not _is_utf_8(sys.stdout)), flush=True)


def print_model(value: BaseModel) -> None:
    """Write an object of the service as JSON on one line, with the names that the service uses."""
    print_json(value.model_dump(mode="json", by_alias=True, exclude={"x_headers"}, exclude_none=True))


def print_error(error: Exception | str) -> None:
    """Write an error to standard error, on one line."""
    print_note(f"gigachat: {error if isinstance(error, str) else error_text(error)}")


def error_text(error: Exception) -> str:
    """Return the text of an error on one line: without the number of an OSError, with commands instead of methods."""
    from gigachat._advice import HALF_A_PAIR, WITHOUT_ACCOUNT

    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    text = " ".join(str(error).split())
    if HALF_A_PAIR in text:
        return "an argument or a file has text that is not UTF-8"
    for method, command in _COMMANDS.items():
        text = text.replace(method, command)
    return text.removesuffix(WITHOUT_ACCOUNT) or type(error).__name__


def print_note(text: str, end: str = "\n") -> None:
    """Write what is not part of the result to standard error, if it is open and has a reader."""
    if sys.stderr is not None:  # print() would write to standard output instead
        with suppress(OSError):  # flush_notes() discards it
            print(_CONTROL.sub(" ", text), end=end, file=sys.stderr, flush=True)


def read_input() -> str:
    """Return the whole of standard input: UTF-8, or else in the encoding of the system. It is empty if it is closed.

    Raises:
        ValueError: It is not text.
    """
    return "" if sys.stdin is None else _decoded(sys.stdin.buffer.read(), "standard input")


def read_file(path: Path) -> str:
    """Return the text of a file, decoded as `read_input` does.

    Raises:
        ValueError: It is not text.
        OSError: It cannot be read.
    """
    return _decoded(path.read_bytes(), str(path))


def _decoded(content: bytes, name: str) -> str:
    if b"\0" in content and not content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ValueError(f"{name} is not text")
    encodings = ["utf-8-sig", (sys.stdin and sys.stdin.encoding) or "utf-8"]
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):  # as Windows PowerShell writes files
        encodings = ["utf-16"]
    for encoding in encodings:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            pass
    raise ValueError(f"{name} is not text in UTF-8")
