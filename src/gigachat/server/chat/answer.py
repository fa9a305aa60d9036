"""The common parts of answers of both chat versions: pieces, cost, history, streams."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from gigachat.server.chat.usage import PromptUsage, answer_tokens, prompt_usage
from gigachat.server.orders.replies import Ordered, Part, one_by_one, read_order
from gigachat.server.state.records import StoredFile
from gigachat.server.state.state import new_state_id
from gigachat.server.wire.errors import Refusal
from gigachat.server.wire.responses import EventStream, api_headers, started, unless_gone

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from gigachat.server.chat.validation import CheckedRequest
    from gigachat.server.engine import FunctionCall, MadeFile, Piece, Spent
    from gigachat.server.orders.rules import Rule
    from gigachat.server.service import Service


@dataclass(slots=True)
class Answer(ABC):
    """One answer in progress; each version adds the shapes of its bodies.

    Args:
        asked: The checked request.
        service: Its engine answers.
        client_id: `X-Client-ID` of the request: the user who may read the files made for it.
        prompt: What the prompt costs.
        created: Unix time in seconds.
        state_id: Id of a call or of a built-in tool's work.
        reason: Why the answer ended.
        completion: Tokens generated, once it has ended.
    """

    asked: CheckedRequest
    service: Service
    client_id: str | None
    prompt: PromptUsage
    created: int = field(default_factory=lambda: int(time.time()))
    state_id: str | None = None
    reason: str = "stop"
    completion: int = 0

    @classmethod
    async def begin(cls, asked: CheckedRequest, service: Service, client_id: str | None, always_cached: int) -> Self:
        """Return the answer to a request whose prompt can be paid and is not too long.

        Args:
            asked: The checked request.
            service: Its engine answers.
            client_id: `X-Client-ID` of the request.
            always_cached: Tokens of the frame that are in the cache of every account.

        Raises:
            Refusal: See `prompt_usage`.
        """
        usage = await prompt_usage(asked.chat, service.state, always_cached=always_cached)
        return cls(asked, service, client_id, usage)

    def pieces(self, rule: Rule | None) -> AsyncGenerator[Piece | Part, None]:
        """Open the history and return the pieces of the answer, of a rule or from the engine."""
        self.asked.history.open(self.asked.chat.model, self.service.state)
        if rule is None:
            return self.service.engine.complete(self.asked.chat)
        order = read_order(rule.answer)
        self.state_id = order.state_id
        self.obey(order)
        return one_by_one(order.pieces)

    @abstractmethod
    def obey(self, order: Ordered) -> None:
        """Copy the fields of an order that are not pieces."""

    def owe(self) -> None:
        """Note that the answer holds a call, whose result must come next."""
        self.reason = "function_call"
        self.state_id = self.state_id or new_state_id()
        self.service.state.calls.add(self.state_id)

    def keep_file(self, file: MadeFile) -> str:
        """Keep a file that a built-in tool made and return its id."""
        kept = StoredFile(file.name, file.content, file.mime, client_id=self.client_id)
        return self.service.state.files.put(kept).id

    async def pay(self, text: str, calls: Sequence[FunctionCall], spent: Spent | None) -> None:
        """Note what prompt and answer cost, by the engine or by its count, and take it off the balance."""
        if spent is not None:
            self.prompt, self.completion = PromptUsage.of(spent), spent.completion
        else:
            self.completion = await answer_tokens(text, calls)
        self.service.state.pay(self.asked.chat.model, self.prompt.charged + self.completion)

    def keep(self, message: Mapping[str, Any]) -> None:
        """Add the request and a message of the answer to the history."""
        self.asked.history.keep(self.asked.new_messages, message, self.reason)

    def chunk_size(self) -> int | None:
        """Return how many phrases go into a chunk: those of `update_interval` seconds; None for all."""
        pace = self.service.pace
        if self.asked.update_interval <= 0:
            return 1
        return max(1, round(self.asked.update_interval / pace)) if pace > 0 else None


async def event_stream(
    request: Request,
    asked: CheckedRequest,
    service: Service,
    events: Callable[[Rule | None], AsyncGenerator[bytes, None]],
    error: Callable[[dict[str, Any]], bytes],
) -> Response:
    """Answer a chat request of either version with a stream; a literal stream has precedence.

    Args:
        request: The request, to notice when its client disconnects.
        asked: The same, checked.
        service: What answers it.
        events: Makes the events, of the answer that was ordered or of the engine's.
        error: Makes the last event of a stream whose engine fails.

    Raises:
        Refusal: As the service would refuse it.
    """
    headers = api_headers(request.headers)
    literal = service.script.stream()
    if literal is not None:
        sent = one_by_one(literal.events)
        return EventStream(sent, headers, pace=service.pace, keep_open=literal.keep_open)
    rule = service.script.reply(asked.chat.options)

    async def begun() -> AsyncGenerator[bytes, None]:
        if rule is not None:
            await asyncio.sleep(rule.after)
        return await started(events(rule))

    sent = _until_refused(await unless_gone(request.receive, begun()), error)
    return EventStream(sent, headers, pace=max(service.pace, asked.update_interval))


async def _until_refused(
    events: AsyncGenerator[bytes, None], error: Callable[[dict[str, Any]], bytes]
) -> AsyncGenerator[bytes, None]:
    async with aclosing(events):
        try:
            async for one in events:
                yield one
        except Refusal as refused:
            yield error(refused.body())
