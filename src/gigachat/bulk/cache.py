"""The cache of responses: an SQLite file that several processes share. Its keys are hashes of requests."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

_WAIT = 60.0  # seconds for another process that writes


class Cache:
    """Responses by request.

    Args:
        path: The file; it is created if it is missing.

    Raises:
        ValueError: The file cannot be opened, or belongs to another program.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = Database(path, "cache", "responses (request BLOB PRIMARY KEY, response BLOB)")

    def get(self, request: bytes) -> dict[str, Any] | None:
        """Return the response to a request; None if the cache has none that can be read."""
        found = self._file.execute("SELECT response FROM responses WHERE request = ?", (request,)).fetchone()
        if found is None:
            return None
        try:
            response = json.loads(found[0])
        except (ValueError, TypeError):
            return None
        return response if isinstance(response, dict) and "result" in response else None

    def put(self, request: bytes, response: dict[str, Any]) -> None:
        """Store the response to a request."""
        self._file.execute("INSERT OR REPLACE INTO responses VALUES (?, ?)", (request, to_json(response)))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Database:
    """An SQLite file for several processes at once.

    Args:
        path: The file; it is created if it is missing.
        option: Name of the option, for messages.
        table: Definition of its table, which is created if it is missing.

    Raises:
        ValueError: The file cannot be opened, or belongs to another program.
    """

    def __init__(self, path: str | os.PathLike[str], option: str, table: str) -> None:
        self._name = f"{option}: {path}"
        try:
            # Each statement is a transaction of its own: a killed process loses nothing.
            self._file = sqlite3.connect(path, timeout=_WAIT, isolation_level=None, check_same_thread=False)
            try:
                self._prepare(table)
            except BaseException:
                self._file.close()
                raise
        except sqlite3.Error as error:
            raise ValueError(f"{self._name} cannot be used: {error}") from None

    def _prepare(self, table: str) -> None:
        self._file.execute("PRAGMA journal_mode=WAL")
        self._file.execute("PRAGMA synchronous=NORMAL")
        self._file.execute(f"CREATE TABLE IF NOT EXISTS {table}")
        name = table.partition(" ")[0]
        found = self._file.execute("SELECT sql FROM sqlite_master WHERE name = ?", (name,)).fetchone()
        if found[0] != f"CREATE TABLE {table}":
            raise ValueError(f"{self._name} is of another program: give another file")

    def execute(self, statement: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Execute a statement.

        Raises:
            OSError: It cannot be executed: the disk is full, or another program keeps the file locked.
        """
        try:
            return self._file.execute(statement, values)
        except sqlite3.Error as error:
            raise OSError(f"{self._name} cannot be used: {error}") from None

    def close(self) -> None:
        """Close the file."""
        self._file.close()


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
