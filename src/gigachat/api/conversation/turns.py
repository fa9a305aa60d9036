"""A conversation without a mode: what its turns send, and what its history is after them.

The history changes only when a turn has ended well. A turn that fails, is closed or cancelled leaves it as it was; its
messages can be sent again, so that tools that ran do not run twice. A storage that fails does not undo a turn.
"""

from __future__ import annotations

import threading
import uuid
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from gigachat import catalogue
from gigachat._engine.calls import RequestOptions
from gigachat._headers import checked_headers
from gigachat._usage import summed
from gigachat.api.conversation.history import History, is_result
from gigachat.api.conversation.storage import FileStorage, checked_header, header, loaded_lines, storage_of
from gigachat.api.embeddings import prompt_tokens
from gigachat.api.tool_run.loop import OneReader
from gigachat.exceptions import ConversationFormatError, GigaChatException

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from pydantic import BaseModel

    from gigachat._engine.session import Session
    from gigachat.api.conversation.storage import ConversationStorage
    from gigachat.api.conversation.versions import ConversationVersion
    from gigachat.api.tool_run.loop import ToolRun
    from gigachat.tools.runs import RunEvent, RunResult

CompletionT = TypeVar("CompletionT")
MessageT = TypeVar("MessageT", bound="BaseModel")
UsageT = TypeVar("UsageT", bound="BaseModel")

_WINDOW = 32_000  # of a model that the catalogue does not know
_ANSWER = 4_096  # tokens reserved for an answer without max_tokens
_SUMMARY = "Summary of the earlier conversation:"
_SUMMARIZE = (
    "Summarize the conversation so far. Keep names, numbers, decisions, open questions and the wishes of the user. "
    "Write the summary only, in the language of the conversation."
)
_STORED_LATER = "the turn is in conversation.messages, and is stored with the next one"
_TOOLS_RAN = "tools ran in this turn: send(conversation.unfinished) continues it without running them again"


class Turns(Generic[CompletionT, MessageT, UsageT]):
    """The turns of one conversation.

    Args:
        version: How chats of the version of the API are made and read.
        model: Name of the model, for its window.
        system: Text of the system message.
        fields: Fields of the chats and options of the runs.
        session_id: `X-Session-ID` of all requests.
        storage: Where the conversation is kept after each turn.
        window: Size of the window in tokens; that of the model if None.
        compact: Whether turns that are removed are summarized by the model.
    """

    def __init__(
        self,
        version: ConversationVersion[CompletionT, MessageT, UsageT],
        *,
        model: str,
        system: str | None,
        fields: Mapping[str, Any],
        session_id: str | None,
        storage: str | os.PathLike[str] | ConversationStorage | None,
        window: int | None,
        compact: bool,
    ) -> None:
        if window is not None and (isinstance(window, bool) or not isinstance(window, int)):
            raise TypeError(f"window= is a number of tokens, not {type(window).__name__}")
        if window is not None and window < 1:
            raise ValueError("window= is a number of tokens, 1 or more")
        if system is not None and not isinstance(system, str):
            raise TypeError(f"system= is the text of the system message, not {type(system).__name__}")
        self.history: History[MessageT] = History(None)
        self.usage = version.no_usage
        self.session_id = session_id or str(uuid.uuid4())
        self._version = version
        self._system = system
        self._summary: str | None = None
        self._fields = fields
        self._storage = storage_of(storage)
        self._saving = threading.Lock()
        self._newest: list[dict[str, Any]] | None = None
        self._window = window or catalogue.window(model) or _WINDOW
        self._compact = compact
        self._lock = threading.Lock()
        self._current: Turn[CompletionT, MessageT, UsageT] | None = None
        self.history.system = self._system_message(None)
        version.check(self._fields)
        checked_headers({"x-session-id": self.session_id}, "session_id")
        loaded = () if self._storage is None else loaded_lines(self._storage)
        if loaded:
            self.read(loaded)

    def _system_message(self, summary: str | None) -> MessageT | None:
        """Return the system message of the caller's text and a summary; None without both."""
        text = "\n\n".join(filter(None, [self._system, summary and f"{_SUMMARY}\n{summary}"]))
        return self._version.message("system", text) if text else None

    def unfinished(self) -> list[MessageT]:
        """Return the messages of the last turn, if it has not ended well."""
        turn = self._current
        return [] if turn is None or turn.kept or not turn.over else turn.own()

    async def undo(self, session: Session) -> list[MessageT]:
        """Remove the last turn, store the conversation and return the messages of the turn."""
        with self._lock:
            self.refuse_two()
            turns = self.history.turns()
            last = turns.pop() if turns else []
            self.history.messages = [message for turn in turns for message in turn]
        if last:
            await self.store(session)
        return last

    async def store(self, session: Session) -> None:
        """Save the conversation in its storage, if it has one."""
        if self._storage is not None:
            await self._save(self._storage, self.lines(), session)

    async def save(self, path: str | os.PathLike[str] | None, session: Session) -> None:
        """Save the conversation in a file; without a path in its storage.

        Raises:
            GigaChatException: A turn is in progress, and will be saved in the storage at its end.
            TypeError: There is neither a path nor a storage.
        """
        if path is not None:
            lines = self.lines()
            await session.transport.call(lambda: FileStorage(path).save(lines), None, awaited=False)
            return
        if self._storage is None:
            raise TypeError("save() needs the path of a file, since the conversation has no storage=")
        with self._lock:
            self.refuse_two()
        await self.store(session)

    async def load(self, path: str | os.PathLike[str], session: Session) -> None:
        """Replace the conversation by that of a file, and store it."""
        self.read(await session.transport.call(lambda: FileStorage(path).load_saved(), None, awaited=False))
        await self.store(session)

    def lines(self) -> list[dict[str, Any]]:
        """Return the conversation as lines of JSON."""
        return self._lines(self._summary, self.usage, self.history.messages)

    def _lines(self, summary: str | None, usage: UsageT, messages: Sequence[MessageT]) -> list[dict[str, Any]]:
        about = {**header(self._version.api, self.session_id), "system": self._system, "summary": summary}
        about["usage"] = self._version.dumped(usage)
        return [about, *map(self._version.dumped, messages)]

    def read(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Take the conversation that `lines` returned.

        Raises:
            ConversationFormatError: It is none, or of the other version of the API.
        """
        about, *messages = lines
        session_id = checked_header(about, self._version.api)
        read = [self._version.read_message(message) for message in messages]
        system, summary = about.get("system"), about.get("summary")
        if not all(value is None or isinstance(value, str) for value in (system, summary)):
            raise ConversationFormatError("the system message and the summary of a conversation are text")
        usage = self._version.read_usage(about.get("usage") or {})
        with self._lock:
            self.refuse_two()
            self.usage = usage
            self.session_id = session_id or self.session_id
            self._system, self._summary = self._system or system, summary
            self.history.messages = read
            self.history.system = self._system_message(self._summary)
            self._current = None

    def refuse_two(self) -> None:
        """Refuse a change while a turn is in progress.

        Raises:
            GigaChatException: One is.
        """
        if self._current is not None and not self._current.over:
            raise GigaChatException(
                "a turn of this conversation is in progress: wait for its end, read its stream to the end or close it"
            )

    async def begin(
        self, turn: Turn[CompletionT, MessageT, UsageT], session: Session, *, stream: bool
    ) -> ToolRun[CompletionT, MessageT, UsageT]:
        """Begin a turn, and cut the history that it sends to the window.

        Raises:
            GigaChatException: Another turn is in progress, the model waits for the result of a function, or the summary
                could not be made.
        """
        with self._lock:
            self.refuse_two()
            self._version.refuse_without_results(self.history.messages, turn.given)
            self._current = turn
        session = session.with_options(RequestOptions({"x-session-id": self.session_id}))
        max_tokens = self._fields.get("max_tokens")
        reserved = min(max_tokens if isinstance(max_tokens, int) else _ANSWER, self._window // 4)
        excess = self.history.excess(turn.given, self._window, reserved)
        if excess:
            turns = self.history.turns()
            removed, kept = turns[:excess], turns[excess:]
            turn.messages = [one for group in kept for one in group]
            if self._compact:
                turn.summary = await self._summarized([one for group in removed for one in group], turn, session)
        else:
            turn.messages = list(self.history.messages)
        system = self.history.system if turn.summary is None else self._system_message(turn.summary)
        sent = [*([] if system is None else [system]), *turn.messages, *turn.given]
        return self._version.start(sent, self._fields, stream=stream).begin(session)

    async def _summarized(
        self, removed: Sequence[MessageT], turn: Turn[CompletionT, MessageT, UsageT], session: Session
    ) -> str:
        system = self.history.system
        asked = self._version.message("user", _SUMMARIZE)
        sent = [*([] if system is None else [system]), *removed, asked]
        model = {"model": self._fields["model"]} if self._fields.get("model") else {}
        result = await self._version.start(sent, {**model, "tools": []}, stream=False).begin(session).finish()
        turn.usage.append(result.usage)
        if not result.text.strip():
            raise GigaChatException("the model wrote no summary of the conversation")
        return result.text

    async def end(
        self,
        turn: Turn[CompletionT, MessageT, UsageT],
        result: RunResult[CompletionT, MessageT, UsageT],
        session: Session,
    ) -> None:
        """Take the messages of a turn that ended well, and keep the conversation in its storage.

        Raises:
            Exception: The storage failed. The turn is taken nevertheless.
        """
        summary = self._summary if turn.summary is None else turn.summary
        system = self._system_message(summary)
        messages = list(result.messages[system is not None :])
        usage = summed([self.usage, *turn.usage, result.usage])
        failure: Exception | None = None
        if self._storage is not None:
            try:
                await self._save(self._storage, self._lines(summary, usage, messages), session)
            except Exception as error:
                failure = error
        if not turn.over:  # else closed by another thread or task
            self._summary, self.usage = summary, usage
            self.history.system, self.history.messages, turn.kept = system, messages, True
            self.history.learn(result.messages[:-1], prompt_tokens(result.completion))
            if failure is not None:
                failure.add_note(_STORED_LATER)
        if failure is not None:
            raise failure

    async def _save(self, storage: ConversationStorage, lines: list[dict[str, Any]], session: Session) -> None:
        """Save the conversation, after any save that a cancelled turn left behind."""

        def save() -> None:
            with self._saving:
                if self._newest is lines:
                    storage.save(lines)

        self._newest = lines
        try:
            await session.transport.call(save, None, awaited=False)
        except BaseException:
            self._newest = None
            raise


class Turn(Generic[CompletionT, MessageT, UsageT]):
    """One turn: a message of the user, and the run that answers it.

    Attributes:
        given: What the caller sends.
        messages: All messages so far, the history first.
        summary: Summary of turns that were removed for this one.
        usage: Tokens of the summary.
        over: Whether nothing follows.
        kept: Whether the history has the turn.

    Args:
        turns: The conversation.
        given: The message, or messages.
        session: Sends the requests.
        stream: Whether the answers are streamed.
    """

    def __init__(
        self,
        turns: Turns[CompletionT, MessageT, UsageT],
        given: list[MessageT],
        session: Session,
        *,
        stream: bool,
    ) -> None:
        self.given = given
        self.messages: list[MessageT] = []
        self.summary: str | None = None
        self.usage: list[UsageT] = []
        self.over = False
        self.kept = False
        self._turns = turns
        self._session = session
        self._streams = stream
        self._run: ToolRun[CompletionT, MessageT, UsageT] | None = None
        self._before = 0
        self._one_reader = OneReader()

    def own(self) -> list[MessageT]:
        """Return what the caller sent, and the calls and results so far."""
        if self._run is None:
            return list(self.given)
        own = self._run.messages[self._before :]
        while len(own) > len(self.given) and not is_result(own[-1]):
            own.pop()  # an answer that is not kept
        return own

    async def advance(self) -> Sequence[RunEvent[CompletionT, MessageT, UsageT]]:
        """Run until there are events, and return them; none at the end."""
        with self._one_reader.reading():
            try:
                return await self._advance()
            except BaseException as error:
                self.over = True
                if isinstance(error, Exception) and not self.kept and len(self.own()) > len(self.given):
                    error.add_note(_TOOLS_RAN)
                raise

    async def _advance(self) -> Sequence[RunEvent[CompletionT, MessageT, UsageT]]:
        if self._run is None and not self.over:
            run = await self._turns.begin(self, self._session, stream=self._streams)
            self._before = len(run.messages) - len(self.given)
            self._run, self.messages = run, run.messages
        if self._run is None or self.over:
            return ()
        events = await self._run.advance()
        if self._run.result is not None and not self.over:
            await self._turns.end(self, self._run.result, self._session)
            self.over = True
        return events

    async def finish(self) -> RunResult[CompletionT, MessageT, UsageT]:
        """Run to the end and return the result."""
        try:
            while await self.advance():
                pass
        except GigaChatException:
            raise  # perhaps since another thread reads the turn
        except BaseException:
            self.over = True  # a signal handler may raise between two reads
            raise
        if self._run is None or self._run.result is None:
            raise GigaChatException("the turn failed, or was closed, before its end")
        return self._run.result

    async def close(self) -> None:
        """Release what a stream holds; the conversation stays as it was before the turn."""
        self.over = True
        if self._run is not None:
            await self._run.close()

    def abandon(self) -> bool:
        """Release what a stream holds from a finalizer; whether it was open in this process."""
        self.over = True
        return self._run is not None and self._run.abandon()
