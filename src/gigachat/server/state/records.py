"""The records that clients create: files, batches, assistants, threads.

Each kind has a collection, in memory or also in a `Store`.
"""

from __future__ import annotations

import logging
import time
import uuid
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

from gigachat._service import FILE_KINDS
from gigachat.server.wire.errors import Refusal, invalid_params

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from gigachat.server.state.store import Store

_log = logging.getLogger("gigachat.server")


@dataclass(kw_only=True)
class Record:
    """Base of all records. Times are Unix times in seconds."""

    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    created_at: int = field(default_factory=lambda: int(time.time()))


@dataclass(kw_only=True)
class Changing(Record):
    """A record that changes after it was made."""

    updated_at: int = field(default_factory=lambda: int(time.time()))

    def touch(self) -> None:
        """Set the time of the last change to now."""
        self.updated_at = int(time.time())


@dataclass
class StoredFile(Record):
    """A file. Only the user `client_id` may read it, if set, as for generated images."""

    filename: str
    content: bytes = field(repr=False)
    mime: str
    purpose: str = "general"
    client_id: str | None = None

    def card(self) -> dict[str, Any]:
        """Return the file as the service shows it (reference, section 9.1)."""
        kind = FILE_KINDS.get(self.mime)
        return {
            "id": self.id,
            "object": "file",
            "bytes": len(self.content),
            "created_at": self.created_at,
            "filename": self.filename,
            "purpose": self.purpose,
            "access_policy": "private",
            # The reference knows null and `["image"]`; what a text gets is not known.
            "modalities": [kind.name] if kind is not None and kind.name != "text" else None,
        }


@dataclass
class Batch(Changing):
    """A batch: its requests until all are answered, the counts, and then the file of the answers."""

    method: str
    total: int
    requests: Sequence[tuple[str, dict[str, Any]]] = ()
    completed: int = 0
    failed: int = 0
    status: Literal["created", "in_progress", "completed"] = "created"
    output_file_id: str | None = None

    def card(self) -> dict[str, Any]:
        """Return the batch as the service shows it: counts once it has begun, the file once it is complete."""
        counts = {"total": self.total}
        if self.status != "created":
            counts |= {"completed": self.completed, "failed": self.failed}
        shown: dict[str, Any] = {"id": self.id, "method": self.method, "request_counts": counts, "status": self.status}
        if self.output_file_id is not None:
            shown["output_file_id"] = self.output_file_id
        return shown | {"created_at": self.created_at, "updated_at": self.updated_at}


@dataclass
class Assistant(Changing):
    """An assistant. `instructions` are its system message, `functions` those it may call."""

    model: str
    name: str | None = None
    description: str | None = None
    instructions: str | None = None
    file_ids: list[str] = field(default_factory=list)
    metadata: Mapping[str, Any] | None = None
    functions: Sequence[Mapping[str, Any]] = ()


@dataclass
class ThreadMessage(Record):
    """A message of a thread: as it came, with the model and why an answer ended."""

    message: Mapping[str, Any]
    model: str
    finish_reason: str | None = None

    @property
    def role(self) -> str:
        """Its author."""
        return str(self.message.get("role", ""))


@dataclass
class Thread(Changing):
    """A conversation. It is locked while a run is in progress."""

    # The sample threads all name a model, also those made by an empty request; which one that is, is not known.
    model: str = "GigaChat"
    assistant_id: str | None = None
    metadata: Mapping[str, Any] | None = None
    status: Literal["in_progress", "ready", "failed", "deleted"] = "ready"
    messages: list[ThreadMessage] = field(default_factory=list)

    @property
    def run_lock(self) -> bool:
        """Whether a run is in progress."""
        return self.status == "in_progress"

    def append(
        self, messages: Iterable[Mapping[str, Any]], finish_reason: str | None = None, message_id: str | None = None
    ) -> list[ThreadMessage]:
        """Add messages and return their records.

        Args:
            messages: Messages of either version of the chat.
            finish_reason: Why the answer ended, when the message is one.
            message_id: Id already given to the caller, when there is only one message.
        """
        ids: dict[str, Any] = {} if message_id is None else {"id": message_id}
        added = [ThreadMessage(dict(one), self.model, finish_reason, **ids) for one in messages]
        self.messages += added
        self.touch()
        return added


# Collections

_R = TypeVar("_R", bound=Record)


class Collection(Generic[_R]):
    """Records of one kind by id, oldest first. Only the server's event loop uses them, so they need no lock.

    Args:
        store: Where they are kept beyond the server's life; its records are loaded. Memory alone when None.
    """

    unknown: ClassVar[str]
    """The message of the 404 for an unknown id."""
    make: Callable[..., _R | None]
    """Makes a record of its stored fields; None to leave it out."""
    not_stored: ClassVar[frozenset[str]] = frozenset()
    """Fields that are not part of the stored record."""

    def __init__(self, store: Store | None = None) -> None:
        self._store = store
        self._kind = type(self).__name__.lower()
        loaded = store.read(self._kind, self.make) if store is not None else ()
        self._records: dict[str, _R] = {record.id: record for record in loaded if record is not None}

    def put(self, record: _R) -> _R:
        """Add or update a record and return it."""
        self._records[record.id] = record
        if self._store is not None:
            fields = {name: value for name, value in asdict(record).items() if name not in self.not_stored}
            self._store.save(self._kind, record.id, fields)
        return record

    def known(self, record_id: str) -> bool:
        """Return whether there is a record with this id."""
        return record_id in self._records

    def get(self, record_id: str) -> _R:
        """Return the record with this id.

        Raises:
            Refusal: 404 when there is none.
        """
        found = self._records.get(record_id)
        if found is None:
            raise Refusal(404, self.unknown)
        return found

    def all(self) -> list[_R]:
        """Return all records, newest first."""
        return list(reversed(self._records.values()))

    def delete(self, record_id: str) -> None:
        """Delete the record with this id.

        Raises:
            Refusal: 404 when there is none.
        """
        if self._records.pop(record_id, None) is None:
            raise Refusal(404, self.unknown)
        if self._store is not None:
            self._store.delete(self._kind, record_id)


class Files(Collection[StoredFile]):
    """The files. Their contents are stored as plain files."""

    unknown = "No such file"
    not_stored = frozenset({"content"})

    def make(self, **fields: Any) -> StoredFile | None:
        """Return a stored file with its content; None if that is missing."""
        assert self._store is not None
        content = self._store.content(fields["id"])
        if content is None:
            _log.warning("file %s is left out: its content is missing from %s", fields["id"], self._store.folder)
            return None
        return StoredFile(**fields, content=content)

    def put(self, record: StoredFile) -> StoredFile:
        """Add a file and return it."""
        if self._store is not None:
            self._store.save_content(record.id, record.content)
        return super().put(record)

    def delete(self, record_id: str) -> None:
        """Delete a file.

        Raises:
            Refusal: 404 when there is none.
        """
        super().delete(record_id)
        if self._store is not None:
            self._store.delete_content(record_id)

    def content(self, file_id: str, client_id: str | None = None) -> bytes:
        """Return the bytes of a file.

        Args:
            file_id: The file.
            client_id: `X-Client-ID` of the request that reads.

        Raises:
            Refusal: 404 for an unknown id, and for an image made for another user.
        """
        found = self.get(file_id)
        if found.client_id not in (None, client_id):
            raise Refusal(404, self.unknown)
        return found.content

    def attached(self, file_ids: Iterable[str]) -> list[dict[str, str]]:
        """Return files as assistants and threads show them; deleted ones are left out."""
        known = [self.get(one) for one in file_ids if self.known(one)]
        return [{"file_id": one.id, "name": one.filename} for one in known]


class Batches(Collection[Batch]):
    """The batches. Those an earlier server has not finished are `unfinished`."""

    unknown = "Batch task not found"
    make = Batch

    def __init__(self, store: Store | None = None) -> None:
        super().__init__(store)
        self.unfinished = [batch for batch in self._records.values() if batch.requests]


class Assistants(Collection[Assistant]):
    """The assistants."""

    unknown = "No such assistant"
    make = Assistant


class Threads(Collection[Thread]):
    """The threads."""

    unknown = "No such thread"

    def make(self, **fields: Any) -> Thread:
        """Return a stored thread; a run that the end of the server has interrupted has failed."""
        fields["messages"] = [ThreadMessage(**message) for message in fields["messages"]]
        if fields["status"] == "in_progress":
            fields["status"] = "failed"
        return Thread(**fields)

    def unlocked(self, thread_id: str) -> Thread:
        """Return the thread with this id, to be changed; what the service says of a locked one is not known.

        Raises:
            Refusal: 404 when there is none, 422 while a run is in progress.
        """
        thread = self.get(thread_id)
        if thread.run_lock:
            raise invalid_params("the thread is locked by a run")
        return thread
