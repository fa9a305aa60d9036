"""The answer to a chat, as far as both versions share it: parts, cost, history, streams."""

from __future__ import annotations

import asyncio
import time
import uuid
from abc import ABC, abstractmethod
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from gigachat.server.chat.usage import PromptUsage, answer_tokens, prompt_usage
from gigachat.server.engine import FunctionCall, Reasoning, Spent, Stop, ToolUse
from gigachat.server.orders.replies import BESIDE, Part, one_by_one, read_order
from gigachat.server.state.records import StoredFile
from gigachat.server.state.state import new_state_id
from gigachat.server.wire.errors import Refusal
from gigachat.server.wire.responses import EventStream, answer, api_headers, unless_disconnected

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from gigachat.server.chat.validation import CheckedRequest
    from gigachat.server.engine import MadeFile, Piece, Source
    from gigachat.server.orders.replies import Ordered
    from gigachat.server.service import Service


@dataclass
class Answer(ABC):
    """One answer in progress; each version adds the shapes of its bodies and events.

    Args:
        asked: The checked request.
        service: Its engine generates the answer.
        client_id: `X-Client-ID` of the request: the user that may read the generated files.
        prompt: The cost of the prompt.
        created: Unix time in seconds.
        state_id: State id of the messages that have none of their own.
        reason: Why the answer ended.
        completion: Tokens generated, once it has ended.
        order: The answer that a test has ordered; None for one of the engine.
    """

    asked: CheckedRequest
    service: Service
    client_id: str | None
    prompt: PromptUsage
    created: int = field(default_factory=lambda: int(time.time()))
    state_id: str | None = None
    reason: str = "stop"
    completion: int = 0
    order: Ordered | None = None

    always_cached: ClassVar[int]
    """Tokens of the frame that are in the cache of every account."""

    @classmethod
    async def begin(cls, asked: CheckedRequest, service: Service, client_id: str | None = None) -> Self:
        """Start the answer to a request; a prompt beyond the balance or the context window is refused.

        Args:
            asked: The checked request.
            service: Its engine answers.
            client_id: `X-Client-ID` of the request.

        Raises:
            Refusal: See `prompt_usage`.
        """
        usage = await prompt_usage(asked.chat, service.state, always_cached=cls.always_cached)
        return cls(asked, service, client_id, usage)

    # Written by each version

    @abstractmethod
    def body(self, parts: Sequence[Part]) -> dict[str, Any]:
        """Return the body of an answer of these parts."""

    @abstractmethod
    def messages(self, parts: Sequence[Part]) -> Sequence[Mapping[str, Any]]:
        """Return the messages of the answer, for the history: one or more."""

    @abstractmethod
    async def delta(self, part: Part) -> bytes:
        """Return the event of a part that is no function call."""

    @abstractmethod
    async def end(self, parts: Sequence[Part]) -> Sequence[bytes]:
        """Return the events that end the stream of these parts; the calls among them come now, and whole."""

    @abstractmethod
    def error(self, body: Mapping[str, Any]) -> bytes:
        """Return the last event of a stream whose engine has failed."""

    # Shared by both versions

    async def respond(self, request: Request) -> Response:
        """Return the response: a body, or a stream if the request asks for one.

        Raises:
            Refusal: As the service would refuse it.
        """
        if self.asked.stream:
            return await self._stream(request)
        return answer(request, await unless_disconnected(request.receive, self.whole()))

    async def whole(self) -> dict[str, Any]:
        """Return the body of the answer, also for a line of a batch.

        Raises:
            Refusal: As the service would refuse it.
        """
        parts = [part async for part in self._parts()]
        self._keep(parts)
        return self.body(parts)

    async def _stream(self, request: Request) -> Response:
        headers = api_headers(request.headers)
        literal = self.service.orders.stream()
        if literal is not None:
            sent = one_by_one(literal.events)
            return EventStream(sent, headers, pace=self.service.pace, keep_open=literal.keep_open)
        events = self.events()
        # Made before the headers are sent, so that its error is still an ordinary response.
        first = await unless_disconnected(request.receive, anext(events))
        pace = max(self.service.pace, self.asked.update_interval)
        return EventStream(self._until_refused(first, events), headers, pace=pace)

    async def events(self) -> AsyncGenerator[bytes, None]:
        """Yield the events of the stream."""
        parts: list[Part] = []
        async with aclosing(_joined(self._parts(), self._chunk_size())) as joined:
            async for part in joined:
                parts.append(part)
                if "function_call" not in part.fields:
                    yield await self.delta(part)
        # Kept before the end is sent: the next request may come at once.
        self._keep(parts)
        for event in await self.end(parts):
            yield event

    async def _until_refused(self, first: bytes, events: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        async with aclosing(events):
            yield first
            try:
                async for one in events:
                    yield one
            except Refusal as refused:
                yield self.error(refused.body())

    async def pieces(self) -> AsyncGenerator[Piece | Part, None]:
        """Open the history and return the pieces of the answer, those that were ordered or the engine's."""
        rule = self.service.orders.reply(self.asked.chat.options)
        if rule is not None:
            await asyncio.sleep(rule.after)
        self.asked.history.open(self.asked.chat.model, self.service.state)
        if rule is None:
            return self.service.engine.complete(self.asked.chat)
        self.order = read_order(rule.answer)
        self.state_id = self.order.state_id
        return one_by_one(self.order.pieces)

    async def _parts(self) -> AsyncGenerator[Part, None]:
        """Yield the pieces as content parts, then record their cost."""
        said: list[Part] = []
        spent: Spent | None = None
        sources: list[Source] = []
        held: Part | None = None
        """A text held back while it may be the last, to which the sources of a search belong."""
        async with aclosing(await self.pieces()) as pieces:
            async for piece in pieces:
                match piece:
                    case Stop():
                        self.reason = piece.reason
                    case Spent():
                        spent = piece
                    case ToolUse():
                        self.state_id = self.state_id or new_state_id()
                        sources += piece.sources
                        for file in piece.files:
                            yield Part("assistant", {"files": [self._keep_file(file)]})
                    case _:
                        part = _part(piece)
                        said.append(part)
                        if "function_call" in part.fields:
                            self._owe(part)
                        if not (sources and isinstance(piece, str)):
                            yield part
                            continue
                        if held is not None:
                            yield held
                        held = part
        await self._pay(said, spent)
        if sources:
            numbered = {str(number): {"url": one.url, "title": one.title} for number, one in enumerate(sources, 1)}
            fields = held.fields if held is not None else {"text": ""}
            yield Part("assistant", {**fields, "inline_data": {"images": [], "sources": numbered}})

    def _owe(self, part: Part) -> None:
        """Record that a part is a call, whose result must come next."""
        self.reason = "function_call"
        self.state_id = self.state_id or new_state_id()
        self.service.state.calls.add(self.state_of(part) or self.state_id)

    def state_of(self, part: Part) -> str | None:
        """Return the state id of the message that a part belongs to."""
        return part.state_id or self.state_id

    @property
    def beside(self) -> dict[str, Any]:
        """The fields of an order beside its message, those that both versions have."""
        envelope = self.order.envelope if self.order is not None else {}
        return {name: envelope[name] for name in BESIDE if name in envelope}

    def _keep_file(self, file: MadeFile) -> dict[str, str]:
        """Keep a file that a built-in tool made and return its description."""
        kept = StoredFile(file.name, file.content, file.mime, client_id=self.client_id)
        return {"id": self.service.state.files.put(kept).id, "mime": file.mime, "target": file.target}

    async def _pay(self, parts: Sequence[Part], spent: Spent | None) -> None:
        """Record the cost of prompt and answer, reported by the engine or counted, and subtract it from the balance."""
        if spent is not None:
            self.prompt, self.completion = PromptUsage.of(spent), spent.completion
        else:
            text = "".join(part.fields.get("text") or "" for part in parts)
            calls = [part.fields["function_call"] for part in parts if "function_call" in part.fields]
            self.completion = await answer_tokens(text, calls)
        self.service.state.pay(self.asked.chat.model, self.prompt.charged + self.completion)

    def _keep(self, parts: Sequence[Part]) -> None:
        """Add the request and the messages of the answer to the history."""
        self.asked.history.keep(self.asked.new_messages, self.messages(parts), self.reason)

    def _chunk_size(self) -> int | None:
        """Return how many phrases go into a chunk: those of `update_interval` seconds; None for all."""
        pace = self.service.pace
        if self.asked.update_interval <= 0:
            return 1
        return max(1, round(self.asked.update_interval / pace)) if pace > 0 else None


def _part(piece: str | Reasoning | FunctionCall | Part) -> Part:
    match piece:
        case str():
            return Part("assistant", {"text": piece})
        case Reasoning():
            return Part("reasoning", {"text": piece.text})
        case FunctionCall():
            call = {"name": piece.name, "arguments": piece.arguments, "id": piece.id or str(uuid.uuid4())}
            return Part("assistant", {"function_call": call})
    return piece


def are_joined(before: Part, after: Part) -> bool:
    """Whether two neighbouring parts are texts of one message."""
    of_one = (before.role, before.state_id) == (after.role, after.state_id)
    return of_one and before.fields.keys() == {"text"} and "text" in after.fields


def as_one(texts: Sequence[Part]) -> Part:
    """Return neighbouring texts as one part, with the other fields of the last; a single part of any kind as it is."""
    if len(texts) == 1:
        return texts[0]
    text = "".join(part.fields["text"] for part in texts)
    return replace(texts[-1], fields={**texts[-1].fields, "text": text})


async def _joined(parts: AsyncGenerator[Part, None], size: int | None) -> AsyncGenerator[Part, None]:
    """Yield the parts with `size` neighbouring texts of one speaker as one; None joins all."""
    waiting: list[Part] = []
    async with aclosing(parts):
        async for part in parts:
            if waiting and not are_joined(waiting[-1], part):
                yield as_one(waiting)
                waiting = []
            waiting.append(part)
            if "text" not in part.fields or len(waiting) == size:
                yield as_one(waiting)
                waiting = []
    if waiting:
        yield as_one(waiting)
