"""The cache of responses: an SQLite file that several processes share. Its keys are hashes of requests."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

if TYPE_CHECKING:
    import os

_WAIT = 60.0  # seconds for another process that writes


class Cache:
    """Responses by request.

    Args:
        path: The file; it is created if it is missing.

    Raises:
        ValueError: The file cannot be opened, or belongs to another program.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = open_database(path, "cache", "responses (request BLOB PRIMARY KEY, response BLOB)")

    def get(self, request: bytes) -> dict[str, Any] | None:
        """Return the response to a request; None if the cache has none."""
        found = self._file.execute("SELECT response FROM responses WHERE request = ?", (request,)).fetchone()
        return None if found is None else json.loads(found[0])

    def put(self, request: bytes, response: dict[str, Any]) -> None:
        """Store the response to a request."""
        self._file.execute("INSERT OR REPLACE INTO responses VALUES (?, ?)", (request, to_json(response)))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def open_database(path: str | os.PathLike[str], option: str, table: str) -> sqlite3.Connection:
    """Open an SQLite file for several processes at once.

    Args:
        path: The file; it is created if it is missing.
        option: Name of the option, for messages.
        table: Definition of its table, which is created if it is missing.

    Raises:
        ValueError: The file cannot be opened, or belongs to another program.
    """
    with ExitStack() as closing_file:
        try:
            # Each statement is a transaction of its own: a killed process loses nothing.
            file = sqlite3.connect(path, timeout=_WAIT, isolation_level=None, check_same_thread=False)
            closing_file.callback(file.close)
            file.execute("PRAGMA journal_mode=WAL")
            file.execute("PRAGMA synchronous=NORMAL")
            file.execute(f"CREATE TABLE IF NOT EXISTS {table}")
            name = table.partition(" ")[0]
            found = file.execute("SELECT sql FROM sqlite_master WHERE name = ?", (name,)).fetchone()
        except sqlite3.Error as error:
            raise ValueError(f"{option}: {path} cannot be used: {error}") from None
        if found[0] != f"CREATE TABLE {table}":
            raise ValueError(f"{option}: {path} is of another program: give another file")
        closing_file.pop_all()
    return file


def digest(*parts: Any, **options: Any) -> bytes:
    """Return a hash of values.

    Args:
        *parts: The values.
        **options: Of `pydantic_core.to_json`.
    """
    try:
        written = to_json(parts, inf_nan_mode="constants", **options)
    except ValueError:  # half of a surrogate pair
        written = repr(parts).encode("utf-8", "surrogatepass")
    return hashlib.sha256(written).digest()
