"""The engine that answers by rules. The echo answers a chat that no rule matches."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from gigachat.server.engines.echo import Echo
from gigachat.server.orders.matching import ReceivedChat
from gigachat.server.orders.queue import Queue
from gigachat.server.orders.replies import Part, read_order

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from gigachat.server.engine import ChatRequest, Piece
    from gigachat.server.orders.rules import Rule


class Scripted:
    """An engine that follows rules.

    Args:
        rules: Tried in their order; see `rules_from_file`.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules: Queue[Rule] = Queue()
        for rule in rules:
            self._rules.add(rule, rule.times)
        self._echo = Echo()

    async def complete(self, request: ChatRequest) -> AsyncGenerator[Piece, None]:
        """Yield the answer of the first rule that matches."""
        names = [str(one["name"]) for one in request.functions]
        chat = ReceivedChat(request.messages, request.model.id, names, False, request.options)
        rule = self._rules.take(lambda rule: rule.fits(chat))
        if rule is not None:
            for piece in read_order(rule.answer).pieces:
                if not isinstance(piece, Part):  # parts of v2 are for tests
                    yield piece
            return
        async with aclosing(self._echo.complete(request)) as pieces:
            async for piece in pieces:
                yield piece
