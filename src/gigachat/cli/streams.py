"""Standard input, output and error: their encodings, and texts that a terminal shows as they are."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from typing import Any, TextIO

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Control characters but tab and newline: a terminal would obey them."""


def prepare_streams() -> None:
    r"""Let no character stop the output: one that the encoding lacks is written as `\N{...}` or `\u....`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not _is_utf_8(stream):
            stream.reconfigure(errors="backslashreplace")


def _is_utf_8(stream: TextIO) -> bool:
    return (stream.encoding or "").lower().replace("-", "") == "utf8"


def is_terminal(stream: TextIO) -> bool:
    """Whether a stream is a terminal."""
    return stream.isatty()


def shows_colours() -> bool:
    """Whether standard output shows colours (https://no-color.org)."""
    return is_terminal(sys.stdout) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def printable(text: str) -> str:
    """Return text of the service without control characters if standard output is a terminal."""
    return _CONTROL.sub("", text) if is_terminal(sys.stdout) else text


def print_json(value: Any) -> None:
    """Write a value as JSON on one line; not ASCII only if the encoding of the output is UTF-8."""
    print(json.dumps(value, ensure_ascii=not _is_utf_8(sys.stdout)), flush=True)


def print_error(text: str) -> None:
    """Write an error to standard error."""
    print(f"gigachat: {_CONTROL.sub(' ', text)}", file=sys.stderr)


def print_note(text: str) -> None:
    """Write what is not part of the result to standard error."""
    print(_CONTROL.sub(" ", text), file=sys.stderr, flush=True)


def read_input() -> str:
    """Return the whole of standard input: UTF-8, or else in the encoding of the system.

    Raises:
        ValueError: It is text in neither.
    """
    content = sys.stdin.buffer.read()
    for encoding in ("utf-8-sig", sys.stdin.encoding or "utf-8"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            pass
    raise ValueError("standard input is not text in UTF-8")
