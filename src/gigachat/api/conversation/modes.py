"""Conversations in each mode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Never, TypeVar

from gigachat._engine.session import run
from gigachat.api.conversation.storage import FileStorage
from gigachat.api.conversation.turns import Turn, Turns
from gigachat.api.conversation.versions import V1, V2
from gigachat.api.tool_run.streams import AsyncRunStream, RunStream

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from pydantic import BaseModel

    from gigachat._engine.endpoint import Resource
    from gigachat._engine.session import Session
    from gigachat.api.attachments import Attached
    from gigachat.api.conversation.versions import ConversationVersion
    from gigachat.tools.runs import RunResult

CompletionT = TypeVar("CompletionT")
MessageT = TypeVar("MessageT", bound="BaseModel")
UsageT = TypeVar("UsageT", bound="BaseModel")


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

    def undo(self) -> list[MessageT]:
        """Remove the last turn from the history and return its messages; its tokens stay counted.

        Raises:
            GigaChatException: A turn is in progress.
        """
        return self._turns.undo()

    def _turn(self, message: Any, files: Sequence[Any], *, stream: bool) -> Turn[CompletionT, MessageT, UsageT]:
        return Turn(self._turns, self._version.given(message, files), self._session, stream=stream)

    def __getstate__(self) -> Never:
        raise TypeError("a conversation cannot be pickled or copied: save it to a file, and load it from there")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} by API {self._version.api}: {len(self._turns.history.messages)} messages>"


class Conversation(_Conversation[CompletionT, MessageT, UsageT]):
    """A conversation for blocking callers. One turn is in progress at a time."""

    def send(
        self, message: str | MessageT | Mapping[str, Any], files: Sequence[Attached] = ()
    ) -> RunResult[CompletionT, MessageT, UsageT]:
        """Send a message and return the model's answer. Before it, the model may call tools.

        If it fails, the history stays as it was.

        Args:
            message: Text of the user, or a message.
            files: Files of `attach` or `upload_file`, or their ids.
        """
        return run(self._turn(message, files, stream=False).finish())

    def stream(
        self, message: str | MessageT | Mapping[str, Any], files: Sequence[Attached] = ()
    ) -> RunStream[CompletionT, MessageT, UsageT]:
        """Send a message and return the answer as a stream of events, as `chat_run_stream` does.

        The turn is added to the history at the end of the stream.

        Args:
            message: Text of the user, or a message.
            files: Files of `attach` or `upload_file`, or their ids.
        """
        return RunStream(self._turn(message, files, stream=True))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the conversation to a file in JSON Lines.

        Raises:
            OSError: The file cannot be written.
        """
        FileStorage(path).save(self._turns.lines())

    def load(self, path: str | os.PathLike[str]) -> None:
        """Replace the history by that of a file that `save` wrote.

        Raises:
            ConversationFormatError: The file does not hold a conversation by this version of the API.
            OSError: The file cannot be read.
        """
        self._turns.read(FileStorage(path).load_saved())


class AsyncConversation(_Conversation[CompletionT, MessageT, UsageT]):
    """A conversation for async callers. One turn is in progress at a time."""

    async def send(
        self, message: str | MessageT | Mapping[str, Any], files: Sequence[Attached] = ()
    ) -> RunResult[CompletionT, MessageT, UsageT]:
        """Send a message and return the model's answer. Before it, the model may call tools.

        If it fails or is cancelled, the history stays as it was.

        Args:
            message: Text of the user, or a message.
            files: Files of `attach` or `upload_file`, or their ids.
        """
        return await self._turn(message, files, stream=False).finish()

    def stream(
        self, message: str | MessageT | Mapping[str, Any], files: Sequence[Attached] = ()
    ) -> AsyncRunStream[CompletionT, MessageT, UsageT]:
        """Send a message and return the answer as a stream of events, as `chat_run_stream` does.

        The turn is added to the history at the end of the stream.

        Args:
            message: Text of the user, or a message.
            files: Files of `attach` or `upload_file`, or their ids.
        """
        return AsyncRunStream(self._turn(message, files, stream=True))

    async def save(self, path: str | os.PathLike[str]) -> None:
        """Write the conversation to a file in JSON Lines.

        Raises:
            OSError: The file cannot be written.
        """
        lines = self._turns.lines()
        await self._session.transport.call(lambda: FileStorage(path).save(lines), None, awaited=False)

    async def load(self, path: str | os.PathLike[str]) -> None:
        """Replace the history by that of a file that `save` wrote.

        Raises:
            ConversationFormatError: The file does not hold a conversation by this version of the API.
            OSError: The file cannot be read.
        """
        self._turns.read(await self._session.transport.call(FileStorage(path).load_saved, None, awaited=False))


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
        compact = bool(rest.pop("compact", False))
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
