"""The records that clients create: files, batches, assistants, threads.

Each kind has a collection, in memory or also in a `Store`.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Protocol, TypeVar

from gigachat._service import FILE_KINDS
from gigachat.server.wire.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from gigachat.server.state.store import Store


class Identified(Protocol):
    """Any dataclass with an id."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def id(self) -> str:
        """What it is asked for by."""
        ...


_log = logging.getLogger("gigachat.server")
_Thing = TypeVar("_Thing", bound=Identified)


class Shelf(Generic[_Thing]):
    """Records of one kind by id, oldest first. Safe to use from any thread.

    Args:
        store: Where they are kept beyond the server's life; its records are loaded. Memory alone when None.
    """

    unknown: str
    """The message of the 404 for an unknown id."""
    made: Callable[..., _Thing]
    """Makes a record of its fields."""
    passing: ClassVar[frozenset[str]] = frozenset()
    """Fields that are not written to the store."""

    def __init__(self, store: Store | None = None) -> None:
        self._lock = threading.Lock()
        self._store = store
        self._kind = type(self).__name__.lower()
        loaded = store.read(self._kind, self._read) if store is not None else ()
        self._things: dict[str, _Thing] = {thing.id: thing for thing in loaded if thing is not None}

    def _read(self, **fields: Any) -> _Thing | None:
        """Return a record of its stored fields; None to leave it out."""
        return type(self).made(**fields)

    def put(self, thing: _Thing) -> _Thing:
        """Add or update a record and return it."""
        with self._lock:
            self._things[thing.id] = thing
        if self._store is not None:
            fields = {name: value for name, value in asdict(thing).items() if name not in self.passing}
            self._store.save(self._kind, thing.id, fields)
        return thing

    def known(self, thing_id: str) -> bool:
        """Tell whether there is a thing with this id."""
        with self._lock:
            return thing_id in self._things

    def get(self, thing_id: str) -> _Thing:
        """Return the thing with this id.

        Raises:
            Refusal: 404 when there is none.
        """
        with self._lock:
            found = self._things.get(thing_id)
        if found is None:
            raise Refusal(404, self.unknown)
        return found

    def all(self) -> list[_Thing]:
        """Return everything, newest first."""
        with self._lock:
            return list(reversed(self._things.values()))

    def delete(self, thing_id: str) -> None:
        """Forget the thing with this id.

        Raises:
            Refusal: 404 when there is none.
        """
        with self._lock:
            if self._things.pop(thing_id, None) is None:
                raise Refusal(404, self.unknown)
        if self._store is not None:
            self._store.delete(self._kind, thing_id)


# Files


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file. `client_id` is the end user a generated image was made for: only he may read it."""

    filename: str
    content: bytes = field(repr=False)
    mime: str
    purpose: str = "general"
    client_id: str | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    created_at: int = field(default_factory=lambda: int(time.time()))

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


class Files(Shelf[StoredFile]):
    """The files kept."""

    unknown = "No such file"
    made = StoredFile
    passing = frozenset({"content"})

    def _read(self, **fields: Any) -> StoredFile | None:
        assert self._store is not None
        content = self._store.content(fields["id"])
        if content is None:
            _log.warning("file %s is left out: its content is missing from %s", fields["id"], self._store.folder)
            return None
        return StoredFile(**fields, content=content)

    def put(self, thing: StoredFile) -> StoredFile:
        """Keep a file and return it."""
        if self._store is not None:
            self._store.save_content(thing.id, thing.content)
        return super().put(thing)

    def delete(self, thing_id: str) -> None:
        """Forget a file.

        Raises:
            Refusal: 404 when there is none.
        """
        super().delete(thing_id)
        if self._store is not None:
            self._store.delete_content(thing_id)

    def add(
        self, filename: str, content: bytes, mime: str, purpose: str = "general", *, client_id: str | None = None
    ) -> dict[str, Any]:
        """Keep a file and return it as the service shows it, with its new `id`.

        Args:
            filename: A label, never a path.
            content: The bytes; they are kept as they are.
            mime: MIME type.
            purpose: What it is for: `general` or `assistant`.
            client_id: `X-Client-ID` of the request that made it, for a generated image: reading it demands the same.
        """
        return self.put(StoredFile(filename, content, mime, purpose, client_id)).card()

    def content(self, file_id: str, client_id: str | None = None) -> bytes:
        """Return the bytes of a file.

        Args:
            file_id: Which file.
            client_id: `X-Client-ID` of the request that reads.

        Raises:
            Refusal: 404 for an unknown id, and for an image made for another `X-Client-ID`.
        """
        found = self.get(file_id)
        if found.client_id not in (None, client_id):
            raise Refusal(404, self.unknown)
        return found.content

    def attached(self, file_ids: Iterable[str]) -> list[dict[str, str]]:
        """Return files as assistants and threads show them; those deleted meanwhile are left out."""
        known = [self.get(one) for one in file_ids if self.known(one)]
        return [{"file_id": one.id, "name": one.filename} for one in known]


# Batches


@dataclass(slots=True)
class Batch:
    """One task: its requests until all are answered, how many are, and then the file of the answers."""

    method: str
    total: int
    requests: Sequence[tuple[str, dict[str, Any]]] = ()
    completed: int = 0
    failed: int = 0
    status: Literal["created", "in_progress", "completed"] = "created"
    output_file_id: str | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    created_at: int = field(default_factory=lambda: int(time.time()))
    updated_at: int = field(default_factory=lambda: int(time.time()))

    def card(self) -> dict[str, Any]:
        """Return the task as the service shows it: counts once it has begun, the file once it is complete."""
        counts = {"total": self.total}
        if self.status != "created":
            counts |= {"completed": self.completed, "failed": self.failed}
        shown: dict[str, Any] = {"id": self.id, "method": self.method, "request_counts": counts, "status": self.status}
        if self.output_file_id is not None:
            shown["output_file_id"] = self.output_file_id
        return shown | {"created_at": self.created_at, "updated_at": self.updated_at}


class Batches(Shelf[Batch]):
    """The tasks taken."""

    unknown = "Batch task not found"
    made = Batch

    def __init__(self, store: Store | None = None) -> None:
        self.unfinished: list[Batch] = []  # those an earlier server was at
        super().__init__(store)

    def _read(self, **fields: Any) -> Batch:
        batch = Batch(**fields)
        if batch.requests:
            self.unfinished.append(batch)
        return batch


# Assistants


@dataclass(slots=True)
class Assistant:
    """One assistant. `functions` are those it may call, `instructions` its system message."""

    model: str
    name: str | None = None
    description: str | None = None
    instructions: str | None = None
    file_ids: list[str] = field(default_factory=list)
    metadata: Mapping[str, Any] | None = None
    functions: Sequence[Mapping[str, Any]] = ()
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    created_at: int = field(default_factory=lambda: int(time.time()))
    updated_at: int = field(default_factory=lambda: int(time.time()))


class Assistants(Shelf[Assistant]):
    """The assistants kept."""

    unknown = "No such assistant"
    made = Assistant


# Threads

# The sample threads all name a model, also those made by an empty request; which one that is, is not known.
DEFAULT_MODEL = "GigaChat"

Status = Literal["in_progress", "ready", "failed", "deleted"]


@dataclass(frozen=True, slots=True)
class ThreadMessage:
    """One message of a thread: as it came, with what the server notes of it."""

    message: Mapping[str, Any]
    model: str
    finish_reason: str | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    created_at: int = field(default_factory=lambda: int(time.time()))

    @property
    def role(self) -> str:
        """Who said it."""
        return str(self.message.get("role", ""))


@dataclass(slots=True)
class Thread:
    """One conversation. While a run is in progress it is locked."""

    model: str = DEFAULT_MODEL
    assistant_id: str | None = None
    metadata: Mapping[str, Any] | None = None
    status: Status = "ready"
    messages: list[ThreadMessage] = field(default_factory=list)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    created_at: int = field(default_factory=lambda: int(time.time()))
    updated_at: int = field(default_factory=lambda: int(time.time()))

    @property
    def run_lock(self) -> bool:
        """Whether a run is in progress."""
        return self.status == "in_progress"

    def append(
        self,
        messages: Iterable[Mapping[str, Any]],
        *,
        finish_reason: str | None = None,
        message_id: str | None = None,
    ) -> list[ThreadMessage]:
        """Add messages and return them as noted.

        Args:
            messages: Messages of either chat contract, kept as they are.
            finish_reason: Why the answer ended, when the message is one.
            message_id: Id given to the caller already, when there is only one message; a new one when None.
        """
        added = [
            ThreadMessage(dict(one), self.model, finish_reason, message_id or str(uuid.uuid4())) for one in messages
        ]
        self.messages += added
        self.touch()
        return added

    def touch(self) -> None:
        """Note that the thread has changed now."""
        self.updated_at = int(time.time())


class Threads(Shelf[Thread]):
    """The threads kept."""

    unknown = "No such thread"
    made = Thread

    def _read(self, **fields: Any) -> Thread:
        fields["messages"] = [ThreadMessage(**message) for message in fields["messages"]]
        if fields["status"] == "in_progress":  # interrupted by the end of the server
            fields["status"] = "failed"
        return Thread(**fields)

    def create(
        self,
        model: str | None = None,
        assistant_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Thread:
        """Make an empty thread and keep it."""
        return self.put(Thread(model or DEFAULT_MODEL, assistant_id, metadata))

    def append(
        self,
        thread_id: str,
        messages: Iterable[Mapping[str, Any]],
        *,
        finish_reason: str | None = None,
        message_id: str | None = None,
    ) -> list[ThreadMessage]:
        """Add messages to a thread, see `Thread.append`.

        Raises:
            Refusal: 404 for an unknown id.
        """
        thread = self.get(thread_id)
        added = thread.append(messages, finish_reason=finish_reason, message_id=message_id)
        self.put(thread)
        return added

    def messages(self, thread_id: str) -> list[ThreadMessage]:
        """Return the messages of a thread, oldest first.

        Raises:
            Refusal: 404 for an unknown id.
        """
        return list(self.get(thread_id).messages)
