"""The reading of a stream without a socket, and its floor: pydantic reads the same events as one array."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from benchmarks.answers import chunks, dumped
from benchmarks.systems import TEXT, TOKEN, System

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENTS = 100
PIECES = 200  # of 100 events each, so that what the call itself costs is lost among them


class Chunks(System):
    """This client over a transport that has the bytes in memory, 100 events in each piece."""

    def __init__(self, url: str, connections: int | None = None) -> None:
        import httpx2

        from gigachat import GigaChat

        super().__init__(url, connections)
        *inner, last = chunks(EVENTS + 1)
        piece = b"".join(b"data: " + dumped(chunk) + b"\n\n" for chunk in inner)
        end = b"data: " + dumped(last) + b"\n\ndata: [DONE]\n\n"

        def body() -> Iterator[bytes]:
            yield from [piece] * PIECES
            yield end

        def answer(_: httpx2.Request) -> httpx2.Response:
            return httpx2.Response(200, content=body(), headers={"content-type": "text/event-stream"})

        self.http = httpx2.Client(transport=httpx2.MockTransport(answer))
        self.client = GigaChat(base_url="http://service/v1", access_token=TOKEN, http_client=self.http)

    async def close(self) -> None:
        self.client.close()
        self.http.close()

    def parse(self) -> int:
        assert sum(1 for _ in self.client.stream(TEXT)) == EVENTS * PIECES + 1
        return PIECES


class OneArray(System):
    """One `validate_json` over an array of the same events with the same model."""

    def __init__(self, url: str, connections: int | None = None) -> None:
        from pydantic import TypeAdapter

        from gigachat.models import ChatCompletionChunk

        super().__init__(url, connections)
        self.array = json.dumps(chunks(EVENTS + 1)[:-1], ensure_ascii=False, separators=(",", ":")).encode()
        self.adapter = TypeAdapter(list[ChatCompletionChunk])

    def parse(self) -> int:
        for _ in range(PIECES):
            assert len(self.adapter.validate_json(self.array)) == EVENTS
        return PIECES
