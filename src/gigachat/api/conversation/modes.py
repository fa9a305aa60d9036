"""Conversations in each mode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Never, TypeVar

from gigachat._engine.session import run
from gigachat.api.conversation.turns import Turn, Turns
from gigachat.api.conversation.versions import V1, V2
from gigachat.api.tool_run.streams import AsyncRunStream, RunStream

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from typing import TypeAlias

    from pydantic import BaseModel

    from gigachat._engine.endpoint import Resource
    from gigachat._engine.session import Session
    from gigachat.api.attachments import FileReference
    from gigachat.api.conversation.versions import ConversationVersion
    from gigachat.tools.runs import RunResult

CompletionT = TypeVar("CompletionT")
MessageT = TypeVar("MessageT", bound="BaseModel")
UsageT = TypeVar("UsageT", bound="BaseModel")

if TYPE_CHECKING:
    Given: TypeAlias = str | MessageT | Mapping[str, Any] | Sequence[str | MessageT | Mapping[str, Any]]


class _Conversation(Generic[CompletionT, MessageT, UsageT]):
    """A conversation without the methods that need a mode."""

    def __init__(
        self,
        turns: Turns[CompletionT, MessageT, UsageT],
        version: ConversationVersion[CompletionT, MessageT, UsageT],
        session: Session,
    ) -> None:
        self._turns = turns
        self._version = version
        self._session = session

    @property
    def messages(self) -> list[MessageT]:
        """The history, the system message first; a new list."""
        return self._turns.history.all()

    @property
    def usage(self) -> UsageT:
        """Tokens of all turns together."""
        return self._turns.usage

    @property
    def session_id(self) -> str:
        """`X-Session-ID` of all requests: the service keeps the beginning of the conversation in its cache."""
        return self._turns.session_id

    @property
    def unfinished(self) -> list[MessageT]:
        """What the last turn sent, with its calls and results, if it failed, was cancelled or closed; a new list.

        `send(conversation.unfinished)` continues the turn: tools that ran do not run again.
        """
        return self._turns.unfinished()

    def _turn(self, message: Any, files: Sequence[Any], *, stream: bool) -> Turn[CompletionT, MessageT, UsageT]:
        return Turn(self._turns, self._version.given(message, files), self._session, stream=stream)

    def __getstate__(self) -> Never:
        raise TypeError("a conversation cannot be pickled or copied: save it to a file, and load it from there")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} by API {self._version.api}: {len(self._turns.history.messages)} messages>"


class Conversation(_Conversation[CompletionT, MessageT, UsageT]):
    """A conversation for blocking callers. One turn is in progress at a time."""

    def send(
        self, message: Given[MessageT], files: Sequence[FileReference] = ()
    ) -> RunResult[CompletionT, MessageT, UsageT]:
        """Send a message and return the model's answer. Before it, the model may call tools.

        If it fails, the history stays as it was, and `unfinished` has the messages.

        Args:
            message: Text of the user, a message, or messages in a list.
            files: Files of `attach` or `upload_file`, or their ids.

        Raises:
            GigaChatException: It failed, or the model waits for the result of a function.
            Exception: The storage failed. The history has the answer, and the next turn stores it.
        """
        return run(self._turn(message, files, stream=False).finish())

    def stream(
        self, message: Given[MessageT], files: Sequence[FileReference] = ()
    ) -> RunStream[CompletionT, MessageT, UsageT]:
        """Send a message and return the answer as a stream of events, as `chat_run_stream` does.

        The turn is added to the history at the end of the stream.

        Args:
            message: Text of the user, a message, or messages in a list.
            files: Files of `attach` or `upload_file`, or their ids.
        """
        return RunStream(self._turn(message, files, stream=True))

    def undo(self) -> list[MessageT]:
        """Remove the last turn from the history and return its messages; its tokens stay counted.

        Raises:
            GigaChatException: A turn is in progress.
            Exception: The storage failed. The next save writes the conversation without the turn.
        """
        return run(self._turns.undo(self._session))

    def save(self, path: str | os.PathLike[str] | None = None) -> None:
        """Write the conversation to a file in JSON Lines; without a path, to its storage.

        Raises:
            GigaChatException: A turn is in progress, and will be stored at its end.
            OSError: The file cannot be written.
        """
        run(self._turns.save(path, self._session))

    def load(self, path: str | os.PathLike[str]) -> None:
        """Replace the history by that of a file that `save` wrote, also in the storage.

        Raises:
            ConversationFormatError: The file does not hold a conversation by this version of the API.
            GigaChatException: A turn is in progress.
            OSError: The file cannot be read.
        """
        run(self._turns.load(path, self._session))


class AsyncConversation(_Conversation[CompletionT, MessageT, UsageT]):
    """A conversation for async callers. One turn is in progress at a time."""

    async def send(
        self, message: Given[MessageT], files: Sequence[FileReference] = ()
    ) -> RunResult[CompletionT, MessageT, UsageT]:
        """Send a message and return the model's answer. Before it, the model may call tools.

        If it fails or is cancelled, the history stays as it was, and `unfinished` has the messages.

        Args:
            message: Text of the user, a message, or messages in a list.
            files: Files of `attach` or `upload_file`, or their ids.

        Raises:
            GigaChatException: It failed, or the model waits for the result of a function.
            Exception: The storage failed. The history has the answer, and the next turn stores it.
        """
        return await self._turn(message, files, stream=False).finish()

    def stream(
        self, message: Given[MessageT], files: Sequence[FileReference] = ()
    ) -> AsyncRunStream[CompletionT, MessageT, UsageT]:
        """Send a message and return the answer as a stream of events, as `chat_run_stream` does.

        The turn is added to the history at the end of the stream.

        Args:
            message: Text of the user, a message, or messages in a list.
            files: Files of `attach` or `upload_file`, or their ids.
        """
        return AsyncRunStream(self._turn(message, files, stream=True))

    async def undo(self) -> list[MessageT]:
        """Remove the last turn from the history and return its messages; its tokens stay counted.

        Raises:
            GigaChatException: A turn is in progress.
            Exception: The storage failed. The next save writes the conversation without the turn.
        """
        return await self._turns.undo(self._session)

    async def save(self, path: str | os.PathLike[str] | None = None) -> None:
        """Write the conversation to a file in JSON Lines; without a path, to its storage.

        Raises:
            GigaChatException: A turn is in progress, and will be stored at its end.
            OSError: The file cannot be written.
        """
        await self._turns.save(path, self._session)

    async def load(self, path: str | os.PathLike[str]) -> None:
        """Replace the history by that of a file that `save` wrote, also in the storage.

        Raises:
            ConversationFormatError: The file does not hold a conversation by this version of the API.
            GigaChatException: A turn is in progress.
            OSError: The file cannot be read.
        """
        await self._turns.load(path, self._session)


_OWN = ("system", "session_id", "storage", "window")


class ConversationInBothModes:
    """A conversation that has not begun.

    Args:
        resource: The client.
        api: Version of the API.
        fields: Options of the conversation, options of its runs, and fields of its chats.

    Raises:
        TypeError, ValueError: An argument is invalid.
    """

    def __init__(self, resource: Resource[Any], api: str, fields: Mapping[str, Any]) -> None:
        if api not in ("v1", "v2"):
            raise ValueError("api= is 'v1' or 'v2'")
        for name in ("messages", "transcript"):
            if fields.get(name) is not None:
                raise TypeError(f"a conversation has its messages itself: {name}= cannot be given")
        if fields.get("files") is not None:
            raise TypeError("files= belong to a message of a conversation: send(text, files=[...])")
        rest = dict(fields)
        own: dict[str, Any] = {name: rest.pop(name, None) for name in _OWN}
        compact = rest.pop("compact", None) or False
        if not isinstance(compact, bool):
            raise TypeError(f"compact= is True or False, not {type(compact).__name__}")
        rest["tools"] = rest.get("tools") or []
        self._resource = resource
        self._version: ConversationVersion[Any, Any, Any] = V1(resource) if api == "v1" else V2(resource)
        model = rest.get("model") or resource._service.model
        self._turns: Turns[Any, Any, Any] = Turns(self._version, model=model, fields=rest, compact=compact, **own)

    def blocking(self) -> Conversation[Any, Any, Any]:
        """Return it for blocking callers."""
        return Conversation(self._turns, self._version, self._resource._blocking)

    def awaited(self) -> AsyncConversation[Any, Any, Any]:
        """Return it for async callers."""
        return AsyncConversation(self._turns, self._version, self._resource._async)
