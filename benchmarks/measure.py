"""One client under measurement, in a process and an environment of its own.

`python -m benchmarks.measure KIND ADDRESS` tells the versions of its libraries, then answers each line `CASE REPEATS`
with the seconds of CPU that one repetition took, and ends with its standard input. Our client and the published one go
through the very same lines, so nothing that only one environment has may be imported before it is needed.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import json
import sys
import time
from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

from benchmarks.server import CROWD, DIMENSIONS, EVENTS, TEXTS, recorded, vectors
from benchmarks.table import PUBLISHED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

TEXT = "Какие факторы влияют на стоимость страховки на дом?"
BATCH = [f"{TEXT} {number}" for number in range(TEXTS)]
TOKEN = "token"


class GigaChatClient:
    """The installed `gigachat`, whichever it is."""

    def __init__(self, address: str) -> None:
        from gigachat import GigaChat

        self.client: Any = GigaChat(base_url=address, access_token=TOKEN, model="GigaChat")

    def chat(self) -> None:
        assert self.client.chat(TEXT).choices[0].message.content

    async def achat(self) -> None:
        assert (await self.client.achat(TEXT)).choices[0].message.content

    async def crowd(self) -> None:
        await asyncio.gather(*(self.achat() for _ in range(CROWD)))

    def stream(self) -> None:
        assert sum(1 for chunk in self.client.stream(TEXT) if chunk.choices) == EVENTS

    async def astream(self) -> None:
        assert sum([1 async for chunk in self.client.astream(TEXT) if chunk.choices]) == EVENTS

    def embeddings(self) -> None:
        assert len(self.client.embeddings(BATCH).data[-1].embedding) == DIMENSIONS

    async def aembeddings(self) -> None:
        assert len((await self.client.aembeddings(BATCH)).data[-1].embedding) == DIMENSIONS


class ToolRuns(GigaChatClient):
    """A run of two steps: the model calls a tool, then answers."""

    def __init__(self, address: str) -> None:
        from gigachat import tool

        @tool
        def add(a: int, b: int) -> int:
            """Add two numbers."""
            return a + b

        super().__init__(address)
        self.add: Any = add

    def run(self) -> None:
        assert self.client.chat_run(TEXT, tools=[self.add]).text


class TwoChats(ToolRuns):
    """The two chats of such a run, without the loop: the same tool is given, and the same bodies are sent."""

    def run(self) -> None:
        asked: list[Any] = [{"role": "user", "content": TEXT}]
        call = self.chat_with_tool(asked)
        result = json.dumps({"result": self.add(**call.function_call.arguments)}, separators=(",", ":"))
        asked += [call, {"role": "function", "name": "add", "content": result}]
        assert self.chat_with_tool(asked).content

    def chat_with_tool(self, messages: list[Any]) -> Any:
        return self.client.chat(messages, functions=[self.add], function_call="auto").choices[0].message


class WithoutNetwork(GigaChatClient):
    """The installed `gigachat` over an HTTP client whose transport has the vectors ready: reading them counts."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        body = vectors()

        def answer(_: object) -> Any:
            return http.Response(200, content=body, headers={"content-type": "application/json"})

        published = metadata.version("gigachat") == PUBLISHED
        http: Any = import_module("httpx" if published else "httpx2")
        own = http.Client(base_url=address, transport=http.MockTransport(answer))
        if published:
            self.client._client_instance = own
        else:
            self.client = type(self.client)(base_url=address, access_token=TOKEN, http_client=own)


class EngineAlone(GigaChatClient):
    """Our client over a transport that answers at once: all that lies between the caller and the HTTP library."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        headers_, body = recorded("chat_simple")

        class Answer:
            status_code = 200
            headers = headers_

            async def read(self, limit: int) -> bytes:
                return body

        class Instant:
            now = staticmethod(time.monotonic)
            answer = Answer()

            async def send(self, request: object) -> Answer:
                return self.answer

        transport: Any = Instant()
        self.client._start(self.client._service, transport, transport)


class JustJSON:
    """What no client can do without: the request as JSON, and the answer as our models."""

    def __init__(self, address: str) -> None:
        from pydantic_core import to_json

        from gigachat import models

        _, self.answer = recorded("chat_simple")
        models.ChatCompletion.model_validate_json(self.answer)
        self.read = models.ChatCompletion.__pydantic_validator__.validate_json
        self.write = to_json

    def chat(self) -> None:
        self.write({"model": "GigaChat", "messages": [{"role": "user", "content": TEXT}]})
        self.read(self.answer)

    async def achat(self) -> None:
        self.chat()


class BareHTTP:
    """httpcore2 by itself: as little as anybody can write to get the same out of the service."""

    def __init__(self, address: str) -> None:
        import httpcore2

        self.headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        self.chats = f"{address}/chat/completions"
        self.vectors = f"{address}/embeddings"
        self.pool = httpcore2.ConnectionPool(max_connections=None)
        self.apool = httpcore2.AsyncConnectionPool(max_connections=None)

    def _sent(self, url: str, body: bytes, **more: str) -> dict[str, Any]:
        return {"method": "POST", "url": url, "content": body, "headers": {**self.headers, **more}}

    def chat(self) -> None:
        assert _text(self.pool.request(**self._sent(self.chats, _chat_body())).content)

    async def achat(self) -> None:
        assert _text((await self.apool.request(**self._sent(self.chats, _chat_body()))).content)

    async def crowd(self) -> None:
        await asyncio.gather(*(self.achat() for _ in range(CROWD)))

    def stream(self) -> None:
        with self.pool.stream(**self._sent(self.chats, _chat_body(stream=True), Accept=_EVENTS)) as response:
            pieces = list(response.iter_stream())
        assert _events(pieces) == EVENTS

    async def astream(self) -> None:
        async with self.apool.stream(**self._sent(self.chats, _chat_body(stream=True), Accept=_EVENTS)) as response:
            pieces = [piece async for piece in response.aiter_stream()]
        assert _events(pieces) == EVENTS

    def embeddings(self) -> None:
        response = self.pool.request(**self._sent(self.vectors, _embeddings_body()))
        assert len(json.loads(response.content)["data"][-1]["embedding"]) == DIMENSIONS

    async def aembeddings(self) -> None:
        response = await self.apool.request(**self._sent(self.vectors, _embeddings_body()))
        assert len(json.loads(response.content)["data"][-1]["embedding"]) == DIMENSIONS


_EVENTS = "text/event-stream"


def _events(pieces: list[bytes]) -> int:
    return sum(1 for line in b"".join(pieces).splitlines() if line.startswith(b"data: {") and json.loads(line[6:]))


def _chat_body(**more: Any) -> bytes:
    body = {"model": "GigaChat", "messages": [{"role": "user", "content": TEXT}], **more}
    return json.dumps(body, ensure_ascii=False).encode()


def _embeddings_body() -> bytes:
    return json.dumps({"input": BATCH, "model": "Embeddings"}, ensure_ascii=False).encode()


def _text(content: bytes) -> Any:
    return json.loads(content)["choices"][0]["message"]["content"]


KINDS = {
    "gigachat": GigaChatClient,
    "engine": EngineAlone,
    "json": JustJSON,
    "tool-runs": ToolRuns,
    "two-chats": TwoChats,
    "without-network": WithoutNetwork,
    "httpcore2": BareHTTP,
}


def cpu(action: Callable[[], object], repeats: int) -> float:
    """Return the CPU seconds of one repetition of an action."""
    gc.collect()
    started = time.process_time()
    for _ in range(repeats):
        action()
    return (time.process_time() - started) / repeats


async def acpu(action: Callable[[], Awaitable[object]], repeats: int) -> float:
    """Return the CPU seconds of one repetition of an async action."""
    gc.collect()
    started = time.process_time()
    for _ in range(repeats):
        await action()
    return (time.process_time() - started) / repeats


def libraries() -> dict[str, str]:
    """Return the versions of what is at work here."""
    found = {}
    for name in ("gigachat", "httpcore2", "httpx2", "httpx", "pydantic"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def main(kind: str, address: str) -> None:
    client = KINDS[kind](address)
    print(json.dumps(libraries()), flush=True)
    with asyncio.Runner() as runner:
        for line in sys.stdin:
            case, repeats = line.split()
            action = getattr(client, case)
            if inspect.iscoroutinefunction(action):
                seconds = runner.run(acpu(action, int(repeats)))
            else:
                seconds = cpu(action, int(repeats))
            print(seconds, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
