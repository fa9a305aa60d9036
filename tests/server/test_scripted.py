"""The script engine over another engine: closing its response closes that of the other engine too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from gigachat.server import ChatRequest, Message, Piece
from gigachat.server.catalogue import find_model
from gigachat.server.engines.echo import Echo
from gigachat.server.engines.script import Scripted


class Noting(Echo):
    """Tells when its answer has been closed."""

    closed = False

    async def complete(self, request: ChatRequest) -> AsyncGenerator[Piece, None]:
        try:
            yield "a"
            yield "b"
        finally:
            self.closed = True


def test_closing_its_answer_closes_that_of_the_other_engine() -> None:
    engine = Noting()

    async def main() -> None:
        pieces = Scripted([], engine).complete(ChatRequest(find_model("GigaChat"), [Message("user", "?")]))
        assert await anext(pieces) == "a"
        await pieces.aclose()
        assert engine.closed

    asyncio.run(main())
