"""Storage of conversations: JSON Lines, with a line about the conversation and a line for each message."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any, Protocol

from gigachat.exceptions import ConversationFormatError

_FORMAT = "gigachat.conversation"
_VERSION = 1


class ConversationStorage(Protocol):
    """Storage of one conversation. Its methods may block."""

    def load(self) -> Sequence[Mapping[str, Any]]:
        """Return the lines that were saved last; an empty sequence if none were saved.

        It is called in the thread that creates the conversation, also by an async client.
        """
        ...

    def save(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Save a conversation: a line about it, then its messages.

        Async conversations call it in a thread.
        """
        ...


class FileStorage:
    """A file in JSON Lines. It is replaced as a whole: a process that is killed leaves the old one or the new one.

    Args:
        path: Its path; a missing file is an empty conversation.

    Raises:
        FileNotFoundError: Its folder is missing.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(os.path.realpath(path))  # a link stays one, and a change of the directory changes nothing
        if not self._path.parent.is_dir():
            raise FileNotFoundError(
                errno.ENOENT, "the folder of the conversation does not exist", str(self._path.parent)
            )

    def load(self) -> list[dict[str, Any]]:
        """Return the lines; none if the file is missing.

        Raises:
            ConversationFormatError: A line is not a JSON object.
            OSError: The file cannot be read.
        """
        try:
            return self._lines()
        except FileNotFoundError:
            return []

    def load_saved(self) -> list[dict[str, Any]]:
        """Return the lines of a file that must hold a conversation.

        Raises:
            ConversationFormatError: The file is empty, or a line is not a JSON object.
            OSError: The file is missing or cannot be read.
        """
        lines = self._lines()
        if not lines:
            raise ConversationFormatError(f"{self._path} is not a conversation: it is empty")
        return lines

    def _lines(self) -> list[dict[str, Any]]:
        try:
            text = self._path.read_text("utf-8")
        except UnicodeDecodeError:
            raise ConversationFormatError(f"{self._path} is not a conversation: it is not UTF-8") from None
        lines: list[dict[str, Any]] = []
        for number, line in enumerate(filter(str.strip, text.split("\n")), start=1):
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                value = None
            if not isinstance(value, dict):
                raise ConversationFormatError(f"{self._path}, line {number} is not a JSON object")
            lines.append(value)
        return lines

    def save(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Write the lines to a new file, which then replaces the old one. A device or a pipe is written itself.

        Raises:
            OSError: The file cannot be written.
        """
        text = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)
        try:
            if self._path.exists() and not self._path.is_file():
                self._path.write_text(text, "utf-8", newline="\n")
            else:
                self._replace(text)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from error  # not the name of the new file

    def _replace(self, text: str) -> None:
        handle, name = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=self._path.parent)
        try:
            with open(handle, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
            os.replace(name, self._path)
        except BaseException:
            os.unlink(name)
            raise


def storage_of(storage: str | os.PathLike[str] | ConversationStorage | None) -> ConversationStorage | None:
    """Return the storage that a caller gives as a path or an object.

    Raises:
        FileNotFoundError: The folder of the file is missing.
        TypeError: It is neither.
    """
    if storage is None:
        return None
    if isinstance(storage, str | os.PathLike):
        return FileStorage(storage)
    methods = [getattr(storage, name, None) for name in ("load", "save")]
    if not all(map(callable, methods)):
        raise TypeError("storage= takes the path of a file, or an object with the methods load() and save(lines)")
    if any(map(iscoroutinefunction, methods)):
        raise TypeError("load() and save() of a storage must not be coroutine functions: save() is called in a thread")
    return storage


def loaded_lines(storage: ConversationStorage) -> Sequence[Mapping[str, Any]]:
    """Return what a storage loads.

    Raises:
        ConversationFormatError: It is not a sequence of mappings.
    """
    loaded: Any = storage.load()
    if loaded is None:
        return ()
    if not isinstance(loaded, Sequence) or not all(isinstance(line, Mapping) for line in loaded):
        raise ConversationFormatError("load() of the storage must return a sequence of mappings")
    return loaded


def header(api: str, session_id: str) -> dict[str, Any]:
    """Return the line about a conversation."""
    return {"format": _FORMAT, "version": _VERSION, "api": api, "session_id": session_id}


def checked_header(line: Mapping[str, Any], api: str) -> str | None:
    """Return the session id of a line about a conversation.

    Raises:
        ConversationFormatError: It is of another format, or of the other version of the API.
    """
    if line.get("format") != _FORMAT or line.get("version") != _VERSION:
        raise ConversationFormatError("this is not a conversation that was saved by this version of the SDK")
    if line.get("api") != api:
        raise ConversationFormatError(f"the conversation is one by API {line.get('api')}: give api={line.get('api')!r}")
    session_id = line.get("session_id")
    return session_id if isinstance(session_id, str) and session_id else None
