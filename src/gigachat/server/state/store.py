"""The folder in which a server keeps what callers left with it: records in SQLite, contents of files as plain files.

It knows records as JSON by kind and id, and must not know what they mean.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Store"]

_TABLE = """
CREATE TABLE IF NOT EXISTS records (
    number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, id TEXT NOT NULL, record BLOB NOT NULL,
    UNIQUE (kind, id)
)
"""


class Store:
    """A folder, made if it is not there; only this user can read it, for it holds keys.

    Args:
        folder: Where.

    Raises:
        ValueError: The folder cannot be used, or another server uses it.
    """

    def __init__(self, folder: Path) -> None:
        # Its paths are told to others, who may be elsewhere.
        self.folder = folder.absolute()
        self._contents = folder / "files"
        self._lock = threading.Lock()
        self._open: sqlite3.Connection | None = None
        self.open()

    def open(self) -> None:
        """Take the folder for this server alone; harmless when repeated.

        Raises:
            ValueError: The folder cannot be used, or another server uses it.
        """
        if self._open is not None:
            return
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._contents.mkdir(mode=0o700, exist_ok=True)
            self._open = sqlite3.connect(self.folder / "records.sqlite3", check_same_thread=False, timeout=0)
            # Held until the end: two servers over one folder would each miss what the other is told.
            self._open.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._open.execute("PRAGMA synchronous = NORMAL")
            with self._open:
                self._open.execute("BEGIN EXCLUSIVE")
                self._open.execute(_TABLE)
        except (OSError, sqlite3.Error) as error:
            self.close()
            raise ValueError(f"the state cannot be kept in {self.folder}: {error}") from None

    @property
    def _records(self) -> sqlite3.Connection:
        if self._open is None:
            raise RuntimeError("the server has been stopped")
        return self._open

    def all(self, kind: str) -> Iterator[bytes]:
        """Yield the records of a kind, oldest first."""
        rows = self._records.execute("SELECT record FROM records WHERE kind = ? ORDER BY number", (kind,)).fetchall()
        for (record,) in rows:
            yield record

    def save(self, kind: str, record_id: str, record: bytes) -> None:
        """Keep a record, in the place of an older one with its id."""
        with self._lock, self._records:
            self._records.execute(
                "INSERT INTO records (kind, id, record) VALUES (?, ?, ?) "
                "ON CONFLICT (kind, id) DO UPDATE SET record = excluded.record",
                (kind, record_id, record),
            )

    def delete(self, kind: str, record_id: str) -> None:
        """Forget a record."""
        with self._lock, self._records:
            self._records.execute("DELETE FROM records WHERE kind = ? AND id = ?", (kind, record_id))

    def save_content(self, file_id: str, content: bytes) -> None:
        """Keep the content of a file; it is there whole or not at all."""
        path = self._contents / file_id
        beside = path.with_suffix(".part")
        beside.write_bytes(content)
        os.replace(beside, path)

    def content(self, file_id: str) -> bytes:
        """Return the content of a file."""
        return (self._contents / file_id).read_bytes()

    def delete_content(self, file_id: str) -> None:
        """Forget the content of a file."""
        (self._contents / file_id).unlink(missing_ok=True)

    def close(self) -> None:
        """Let others use the folder."""
        with self._lock:
            if self._open is not None:
                self._open.close()
            self._open = None
