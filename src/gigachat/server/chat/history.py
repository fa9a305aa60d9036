"""Histories the server keeps: the field `storage` of both chat versions, and assistants.

Reference, sections 4.1, 5.1 and 12. The threads are those of `endpoints.threads`.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gigachat.server.engine import Message
from gigachat.server.state.records import Thread
from gigachat.server.wire.errors import invalid_params
from gigachat.server.wire.limits import check_limits
from gigachat.server.wire.messages import check_order, v1_message, v2_messages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gigachat.server.catalogue import Model
    from gigachat.server.state.records import Assistant, ThreadMessage, Threads
    from gigachat.server.state.state import State


@dataclass(slots=True)
class History:
    """The messages before a request, and whether the new ones are stored.

    Args:
        kept: Whether the server stores the messages.
        thread: The thread that is continued; None for a new one.
        assistant: The assistant that answers.
        limit: Number of messages sent to the model, without the system message; None for all.
        metadata: New metadata of the thread; None leaves it as it is.
        message_id: Id of the answer.
        threads: The collection of the thread, once the request is being answered.
    """

    kept: bool = False
    thread: Thread | None = None
    assistant: Assistant | None = None
    limit: int | None = None
    metadata: Mapping[str, Any] | None = None
    message_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    threads: Threads | None = None

    @property
    def model(self) -> str | None:
        """The model to take when the request names none."""
        if self.thread is not None:
            return self.thread.model
        return self.assistant.model if self.assistant is not None else None

    @property
    def past(self) -> Sequence[ThreadMessage]:
        """The messages before the request."""
        return self.thread.messages if self.thread is not None else ()

    @property
    def functions(self) -> Sequence[Mapping[str, Any]]:
        """The functions of the assistant."""
        return self.assistant.functions or () if self.assistant is not None else ()

    def conversation(self, new: Sequence[Message], state: State, *, several: bool = False) -> list[Message]:
        """Return the messages for the model: instructions, the history up to the limit, the new messages.

        Args:
            new: The new messages.
            state: Its open calls.
            several: Whether one answer may have several messages.

        Raises:
            Refusal: 422 when an order rule is broken.
        """
        whole = [*kept_messages(self.past), *new]
        instructions = self.assistant.instructions if self.assistant is not None else None
        if instructions and whole[0].role != "system":
            whole.insert(0, Message("system", instructions))
        whole = check_order(whole, state.calls, several=several)
        return whole if self.limit is None else latest(whole, max(self.limit, len(new)))

    def open(self, model: Model, state: State) -> None:
        """Create the thread if needed; called when the request will be answered."""
        if not self.kept:
            return
        self.threads = state.threads
        if self.thread is None:
            assistant_id = self.assistant.id if self.assistant is not None else None
            self.thread = state.threads.put(Thread(model.id, assistant_id, self.metadata))
        elif self.metadata is not None:
            self.thread.metadata = self.metadata
        self.thread.model = model.id

    def keep(self, new: Sequence[Mapping[str, Any]], answers: Sequence[Mapping[str, Any]], reason: str) -> None:
        """Append the new messages to the thread.

        Args:
            new: Messages of the request as they came.
            answers: The messages of the answer.
            reason: Why the answer ended.
        """
        if self.kept and self.thread is not None:
            self.thread.append(new)
            self.thread.append(answers[:-1])
            self.thread.append(answers[-1:], finish_reason=reason, message_id=self.message_id)
            if self.threads is not None and self.threads.known(self.thread.id):  # not deleted since
                self.threads.put(self.thread)


def latest(messages: Sequence[Message], limit: int) -> list[Message]:
    """Return the last `limit` messages, the system message before them, and the calls their results answer."""
    system = [one for one in messages[:1] if one.role == "system"]
    others = messages[len(system) :]
    start = max(len(others) - limit, 0)
    while start > 0 and others[start].role == "function":
        start -= 1
    return [*system, *others[start:]]


def v1_history(options: Mapping[str, Any], state: State) -> History:
    """Return the history that `storage` and `assistant_id` of a v1 request name.

    Raises:
        Refusal: 404 for an unknown thread or assistant, 422 for what excludes each other.
    """
    storage: Mapping[str, Any] = options.get("storage") or {"is_stateful": False}
    if options.get("assistant_id") is not None:
        return _history(options, storage, "assistant_id", options["assistant_id"], state)
    return _history(options, storage, "storage.assistant_id", storage.get("assistant_id"), state)


def v2_history(options: Mapping[str, Any], state: State) -> History:
    """Return the history that `storage` and `assistant_id` of a v2 request name. Any `storage` keeps it.

    Raises:
        Refusal: See `v1_history`.
    """
    storage = options.get("storage")
    stored = {**(storage or {}), "is_stateful": storage is not None}
    return _history(options, stored, "assistant_id", options.get("assistant_id"), state)


def _history(
    options: Mapping[str, Any], storage: Mapping[str, Any], name: str, assistant_id: str | None, state: State
) -> History:
    """Return the history of a `storage`; `name` is the field that names the assistant."""
    thread_id = storage.get("thread_id")
    if assistant_id is not None and options.get("model") is not None:
        raise invalid_params(f"{name} can't be used together with model")
    if assistant_id is not None and thread_id is not None:
        raise invalid_params(f"{name} can't be used together with storage.thread_id")
    check_limits(storage, {"limit": "(0, +inf)"}, "storage.")
    thread = state.threads.unlocked(thread_id) if thread_id is not None else None
    if thread is not None and state.assistants.known(thread.assistant_id or ""):
        assistant_id = thread.assistant_id
    assistant = state.assistants.get(assistant_id) if assistant_id is not None else None
    return History(storage["is_stateful"], thread, assistant, storage.get("limit"), storage.get("metadata"))


def kept_messages(kept: Sequence[ThreadMessage]) -> list[Message]:
    """Return the messages of a thread, which may be of either chat version."""
    messages: list[Message] = []
    for one in kept:
        if isinstance(one.message.get("content"), list):
            messages += v2_messages(one.message)
        else:
            messages.append(v1_message(one.message))
    return messages
