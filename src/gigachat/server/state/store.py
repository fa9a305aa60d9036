"""The folder of `--state`: records in SQLite, contents of uploaded files as plain files.

The folder holds keys, so only the user can read what is in it. Every write is atomic: a process killed at any moment
leaves the old content or the new one.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_T = TypeVar("_T")
_DATABASE = "records.sqlite3"
_OWN = frozenset({_DATABASE, f"{_DATABASE}-journal", "files", "certificates"})
_TABLE = """
CREATE TABLE IF NOT EXISTS records (
    number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, id TEXT NOT NULL, record BLOB NOT NULL,
    UNIQUE (kind, id)
)
"""


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only the user can read, whole or not at all.

    Raises:
        OSError: The file cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    with open(part, "xb", opener=_private) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


class Store:
    """A state folder, created if missing. One server uses it at a time.

    Args:
        folder: Path of the folder. An existing one becomes private too, unless it holds files of others.

    Raises:
        ValueError: The folder cannot be used, or another server uses it.
    """

    def __init__(self, folder: Path) -> None:
        # The server prints its paths, and programs read them in other working directories.
        self.folder = folder.absolute()
        self._contents = self.folder / "files"
        self.certificates = self.folder / "certificates"
        self._lock = threading.Lock()
        self._open: sqlite3.Connection | None = None
        self.open()

    def open(self) -> None:
        """Lock the folder for this server. Harmless when repeated.

        Raises:
            ValueError: The folder cannot be used, or another server uses it.
        """
        if self._open is not None:
            return
        try:
            self._prepare()
            # Autocommit: each statement is a transaction.
            database = self.folder / _DATABASE
            self._open = sqlite3.connect(database, check_same_thread=False, timeout=0, isolation_level=None)
            # Held until closed: two servers over one folder would each miss the changes of the other.
            self._open.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._open.execute("PRAGMA synchronous = NORMAL")
            self._open.execute("BEGIN EXCLUSIVE")
            self._open.execute(_TABLE)
            self._open.execute("COMMIT")
        except (OSError, ValueError, sqlite3.Error) as error:
            self.close()
            problem = getattr(error, "strerror", error)
            if os.path.isfile(self.folder):
                problem = "it is a file, name a folder"
            elif getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
                problem = "another server uses it"
            raise ValueError(f"the state cannot be kept in {self.folder}: {problem}") from None

    def _prepare(self) -> None:
        """Create the folders, and make them and the files in them private."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            os.close(_private(str(self.folder / _DATABASE), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        if all(path.name in _OWN for path in self.folder.iterdir()):
            self.folder.chmod(0o700)
        for name in (_DATABASE, f"{_DATABASE}-journal"):
            with suppress(FileNotFoundError):
                (self.folder / name).chmod(0o600)
        for folder in (self._contents, self.certificates):
            folder.mkdir(mode=0o700, exist_ok=True)
            folder.chmod(0o700)

    @property
    def _records(self) -> sqlite3.Connection:
        if self._open is None:
            raise RuntimeError("the server has been stopped")
        return self._open

    def read(self, kind: str, make: Callable[..., _T]) -> list[_T]:
        """Return the records of a kind, oldest first.

        Args:
            kind: The kind.
            make: Called with the fields of each record.

        Raises:
            ValueError: The database is damaged, or `make` does not take the fields of a record.
        """
        query = "SELECT id, record FROM records WHERE kind = ? ORDER BY number"
        try:
            rows: list[tuple[str, bytes]] = self._records.execute(query, (kind,)).fetchall()
        except sqlite3.Error as error:
            raise ValueError(f"the state cannot be read ({error}): {self.folder}") from None
        made: list[_T] = []
        for record_id, record in rows:
            try:
                made.append(make(**json.loads(record)))
            except (TypeError, ValueError, LookupError, AttributeError, RecursionError) as error:
                problem = f"{kind} {record_id} is damaged or of another version ({error})"
                raise ValueError(f"the state cannot be read, {problem}: {self.folder}") from None
        return made

    def save(self, kind: str, record_id: str, fields: Mapping[str, Any]) -> None:
        """Write a record, replacing an older one of the same id."""
        # As ASCII: a lone surrogate can be sent in JSON but not encoded in UTF-8.
        record = json.dumps(fields).encode()
        with self._lock:
            self._records.execute(
                "INSERT INTO records (kind, id, record) VALUES (?, ?, ?) "
                "ON CONFLICT (kind, id) DO UPDATE SET record = excluded.record",
                (kind, record_id, record),
            )

    def delete(self, kind: str, record_id: str) -> None:
        """Delete a record."""
        with self._lock:
            self._records.execute("DELETE FROM records WHERE kind = ? AND id = ?", (kind, record_id))

    def save_content(self, file_id: str, content: bytes) -> None:
        """Write the content of a file."""
        write_private(self._contents / file_id, content)

    def content(self, file_id: str) -> bytes | None:
        """Return the content of a file; None when it is missing."""
        try:
            return (self._contents / file_id).read_bytes()
        except FileNotFoundError:
            return None

    def delete_content(self, file_id: str) -> None:
        """Delete the content of a file."""
        (self._contents / file_id).unlink(missing_ok=True)

    def close(self) -> None:
        """Unlock the folder."""
        with self._lock:
            if self._open is not None:
                self._open.close()
            self._open = None


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
