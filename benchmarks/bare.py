"""HTTP libraries by themselves with `json`: as little as anybody can write to get the same out of the service."""

from __future__ import annotations

import json
import ssl
import tempfile
from http import client as standard
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from benchmarks.answers import DIMENSIONS, FILE_BYTES
from benchmarks.systems import FILE_NAME, FILE_TYPE, TEXT, TOKEN, System

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping
    from pathlib import Path

HEADERS: Mapping[Any, str] = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
CHATS, VECTORS, FILES, CONTENT = "/v1/chat/completions", "/v1/embeddings", "/v1/files", "/v1/files/1/content"
PIECE = 1 << 16


def chat_body(**more: Any) -> bytes:
    body = {"model": "GigaChat", "messages": [{"role": "user", "content": TEXT}], **more}
    return json.dumps(body, ensure_ascii=False).encode()


def text(content: bytes) -> str:
    found: str = json.loads(content)["choices"][0]["message"]["content"]
    return found


class Events:
    """Counts the events in pieces of a stream, each read as JSON."""

    def __init__(self) -> None:
        self.count = 0
        self._rest = b""

    def add(self, piece: bytes) -> None:
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            if line.startswith(b"data: {"):
                json.loads(line[6:])
                self.count += 1


class Bare(System):
    """A library without async calls."""

    def post(self, path: str, body: bytes) -> bytes:
        raise NotImplementedError

    def pieces(self, method: str, path: str, body: bytes) -> Iterator[bytes]:
        raise NotImplementedError

    def chat(self) -> None:
        assert text(self.post(CHATS, chat_body()))

    def stream(self, path: str = CHATS) -> int:
        events = Events()
        for piece in self.pieces("POST", path, chat_body(stream=True)):
            events.add(piece)
        return events.count

    def stream_v2(self) -> int:
        return self.stream("/v2/chat/completions")

    def embeddings(self, texts: int) -> Any:
        body = json.dumps({"input": [TEXT] * texts, "model": "Embeddings"}, ensure_ascii=False).encode()
        vectors = json.loads(self.post(VECTORS, body))
        assert sum(len(one["embedding"]) for one in vectors["data"]) == DIMENSIONS * texts
        return vectors

    def embed(self, texts: int) -> Any:
        import numpy

        return numpy.array([one["embedding"] for one in self.embeddings(texts)["data"]], numpy.float32)

    def download(self) -> None:
        size = 0
        with tempfile.TemporaryFile() as file:
            for piece in self.pieces("GET", CONTENT, b""):
                size += file.write(piece)
        assert size == FILE_BYTES


class AsyncBare(Bare):
    """A library with both."""

    async def apost(self, path: str, body: bytes) -> bytes:
        raise NotImplementedError

    def apieces(self, path: str, body: bytes) -> AsyncIterator[bytes]:
        raise NotImplementedError

    async def achat(self) -> None:
        assert text(await self.apost(CHATS, chat_body()))

    async def astream(self) -> int:
        events = Events()
        async for piece in self.apieces(CHATS, chat_body(stream=True)):
            events.add(piece)
        return events.count

    async def open_stream(self) -> object:
        pieces = self.apieces(CHATS, chat_body(stream=True))
        await anext(pieces)
        return pieces


class HTTPCore2(AsyncBare):
    def __init__(self, url: str, connections: int | None = None) -> None:
        import httpcore2

        super().__init__(url, connections)
        self.pool = httpcore2.ConnectionPool(max_connections=None)
        self.apool = httpcore2.AsyncConnectionPool(max_connections=None)

    async def close(self) -> None:
        self.pool.close()
        await self.apool.aclose()

    def post(self, path: str, body: bytes) -> bytes:
        return self.pool.request("POST", self.url + path, headers=HEADERS, content=body).content

    def pieces(self, method: str, path: str, body: bytes) -> Iterator[bytes]:
        with self.pool.stream(method, self.url + path, headers=HEADERS, content=body) as response:
            yield from response.iter_stream()

    async def apost(self, path: str, body: bytes) -> bytes:
        return (await self.apool.request("POST", self.url + path, headers=HEADERS, content=body)).content

    async def apieces(self, path: str, body: bytes) -> AsyncIterator[bytes]:
        async with self.apool.stream("POST", self.url + path, headers=HEADERS, content=body) as response:
            async for piece in response.aiter_stream():
                yield piece

    context: ClassVar[ssl.SSLContext | None] = None

    def client_per_message(self, auth_url: str) -> None:
        import httpcore2

        if HTTPCore2.context is None:
            HTTPCore2.context = ssl.create_default_context()
        with httpcore2.ConnectionPool(ssl_context=HTTPCore2.context) as pool:
            assert text(pool.request("POST", self.url + CHATS, headers=HEADERS, content=chat_body()).content)

    def upload(self, path: Path) -> None:
        headers = {**HEADERS, "Content-Type": FILE_TYPE, "Content-Length": str(FILE_BYTES)}
        with path.open("rb") as file:
            content = iter(lambda: file.read(PIECE), b"")
            assert self.pool.request("POST", self.url + FILES, headers=headers, content=content).status == 200


class HTTPX2(AsyncBare):
    def __init__(self, url: str, connections: int | None = None) -> None:
        import httpx2

        super().__init__(url, connections)
        limits = httpx2.Limits(max_connections=None)
        self.client = httpx2.Client(limits=limits, timeout=60)
        self.aclient = httpx2.AsyncClient(limits=limits, timeout=60)

    async def close(self) -> None:
        self.client.close()
        await self.aclient.aclose()

    def post(self, path: str, body: bytes) -> bytes:
        return self.client.post(self.url + path, headers=HEADERS, content=body).content

    def pieces(self, method: str, path: str, body: bytes) -> Iterator[bytes]:
        with self.client.stream(method, self.url + path, headers=HEADERS, content=body) as response:
            yield from response.iter_bytes()

    async def apost(self, path: str, body: bytes) -> bytes:
        return (await self.aclient.post(self.url + path, headers=HEADERS, content=body)).content

    async def apieces(self, path: str, body: bytes) -> AsyncIterator[bytes]:
        async with self.aclient.stream("POST", self.url + path, headers=HEADERS, content=body) as response:
            async for piece in response.aiter_bytes():
                yield piece

    def upload(self, path: Path) -> None:
        with path.open("rb") as file:
            files = {"file": (FILE_NAME, file, FILE_TYPE)}
            headers = {"Authorization": HEADERS["Authorization"]}
            assert self.client.post(self.url + FILES, headers=headers, files=files).status_code == 200


class AIOHTTP(System):
    """It has async calls only."""

    session: Any = None

    def _session(self) -> Any:
        aiohttp: Any = import_module("aiohttp")

        if self.session is None:  # it wants a running loop
            self.session = aiohttp.ClientSession(headers=HEADERS, connector=aiohttp.TCPConnector(limit=0))
        return self.session

    async def close(self) -> None:
        if self.session is not None:
            await self.session.close()

    async def achat(self) -> None:
        async with self._session().post(self.url + CHATS, data=chat_body()) as response:
            assert text(await response.read())

    async def astream(self) -> int:
        events = Events()
        async with self._session().post(self.url + CHATS, data=chat_body(stream=True)) as response:
            async for piece in response.content.iter_any():
                events.add(piece)
        return events.count

    async def open_stream(self) -> object:
        response = await self._session().post(self.url + CHATS, data=chat_body(stream=True))
        await response.content.readany()
        return response


class Pyreqwest(AsyncBare):
    def __init__(self, url: str, connections: int | None = None) -> None:
        pyreqwest: Any = import_module("pyreqwest.client")

        super().__init__(url, connections)
        self.client = pyreqwest.SyncClientBuilder().build()
        self.aclient = pyreqwest.ClientBuilder().build()

    async def close(self) -> None:
        self.client.close()
        await self.aclient.close()

    def post(self, path: str, body: bytes) -> bytes:
        return bytes(self.client.post(self.url + path).headers(HEADERS).body_bytes(body).build().send().bytes())

    def pieces(self, method: str, path: str, body: bytes) -> Iterator[bytes]:
        request = self.client.request(method, self.url + path).headers(HEADERS).body_bytes(body)
        with request.streamed_read_buffer_limit(0).build_streamed() as response:  # else it waits for 64 KB
            while piece := response.body_reader.read_chunk():
                yield bytes(piece)

    async def apost(self, path: str, body: bytes) -> bytes:
        response = await self.aclient.post(self.url + path).headers(HEADERS).body_bytes(body).build().send()
        return bytes(await response.bytes())

    async def apieces(self, path: str, body: bytes) -> AsyncIterator[bytes]:
        request = self.aclient.post(self.url + path).headers(HEADERS).body_bytes(body)
        async with request.streamed_read_buffer_limit(0).build_streamed() as response:
            while piece := await response.body_reader.read_chunk():
                yield bytes(piece)


class StandardLibrary(Bare):
    """`http.client`."""

    def __init__(self, url: str, connections: int | None = None) -> None:
        super().__init__(url, connections)
        parts = urlsplit(url)
        self.path = parts.path
        self.connection = standard.HTTPConnection(parts.netloc)

    async def close(self) -> None:
        self.connection.close()

    def _send(self, method: str, path: str, body: Any, headers: Mapping[Any, str] = HEADERS) -> standard.HTTPResponse:
        self.connection.request(method, self.path + path, body=body, headers=headers)
        return self.connection.getresponse()

    def post(self, path: str, body: bytes) -> bytes:
        return self._send("POST", path, body).read()

    def pieces(self, method: str, path: str, body: bytes) -> Iterator[bytes]:
        response = self._send(method, path, body or None)
        while piece := response.read1(PIECE):
            yield piece
        response.read()  # else the next request is refused

    def upload(self, path: Path) -> None:
        headers = {**HEADERS, "Content-Type": FILE_TYPE, "Content-Length": str(FILE_BYTES)}
        with path.open("rb") as file:
            response = self._send("POST", FILES, file, headers)
            assert response.status == 200
            response.read()
