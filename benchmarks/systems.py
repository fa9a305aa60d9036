"""The clients of GigaChat and of OpenAI that are compared, each behind the same methods.

A method is a case: it makes one operation and checks that the answer is whole. A class that lacks a method does not
take part in that case. Constructors import the library, so that this module loads in each environment. Only public
names are used, and options are the defaults, but for the timeout and the connections of 1,000 streams.
"""

from __future__ import annotations

import json
import tempfile
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.answers import DIMENSIONS, FILE_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TEXT = "Какие факторы влияют на стоимость страховки на дом?"
TOKEN = "token"
FILE_NAME, FILE_TYPE = "data.bin", "application/octet-stream"


class System:
    """One client.

    Args:
        url: Address and first part of the path.
        connections: Most connections, if the client's default does not suffice.

    Attributes:
        optional: Whether it is left out, with a word, where it cannot be made.
    """

    optional = False

    def __init__(self, url: str, connections: int | None = None) -> None:
        self.url = url
        self.connections = connections

    async def close(self) -> None:
        """Close what blocking and async calls have opened."""


class GigaChatClient(System):
    """The installed `gigachat`, whichever it is."""

    transport: str | None = None

    def __init__(self, url: str, connections: int | None = None) -> None:
        from gigachat import GigaChat

        super().__init__(url, connections)
        if self.transport and "transport" not in signature(GigaChat).parameters:
            raise TypeError("this version has one transport")
        # 0.2.3 gives a call up when it has waited 30 s for a connection, as one of 1,000 at once may.
        options: dict[str, Any] = {"timeout": 300, **({"transport": self.transport} if self.transport else {})}
        if connections:
            options["max_connections"] = connections
        self.client: Any = GigaChat(base_url=f"{url}/v1", access_token=TOKEN, model="GigaChat", **options)

    async def close(self) -> None:
        self.client.close()
        await self.client.aclose()

    def chat(self) -> None:
        assert self.client.chat(TEXT).choices[0].message.content

    async def achat(self) -> None:
        assert (await self.client.achat(TEXT)).choices[0].message.content

    def stream(self) -> int:
        return sum(1 for _ in self.client.stream(TEXT))

    def stream_v2(self) -> int:
        return sum(1 for _ in self.client.chat.stream(self._v2()))

    async def astream(self) -> int:
        return sum([1 async for _ in self.client.astream(TEXT)])

    async def astream_v2(self) -> int:
        return sum([1 async for _ in self.client.achat.stream(self._v2())])

    def _v2(self) -> dict[str, Any]:
        return {"model": "GigaChat", "messages": [{"role": "user", "content": [{"text": TEXT}]}]}

    async def open_stream(self) -> object:
        stream = self.client.astream(TEXT)
        await anext(stream)
        return stream

    def embeddings(self, texts: int) -> Any:
        vectors = self.client.embeddings([TEXT] * texts)
        assert sum(len(one.embedding) for one in vectors.data) == DIMENSIONS * texts  # each one is read
        return vectors

    def embed(self, texts: int) -> Any:
        """Return an array, which is what most programs need."""
        import numpy

        vectors = numpy.array([one.embedding for one in self.client.embeddings([TEXT] * texts).data], numpy.float32)
        assert vectors.shape == (texts, DIMENSIONS)
        return vectors

    def upload(self, path: Path) -> None:
        with path.open("rb") as file:
            assert self.client.upload_file((FILE_NAME, file, FILE_TYPE)).id_

    def download_in_memory(self) -> None:
        assert len(self.client.get_image("1").content) > FILE_BYTES

    def agent(self) -> None:
        """Call a function that the model asks for, by hand."""
        messages: list[Any] = [{"role": "user", "content": TEXT}]
        call = self._ask(messages)
        result = add(**call.function_call.arguments)
        messages += [
            call,
            {"role": "function", "name": "add", "content": json.dumps({"result": result}, separators=(",", ":"))},
        ]
        assert self._ask(messages).content

    def _ask(self, messages: list[Any]) -> Any:
        return self.client.chat({"messages": messages, "functions": [ADD], "function_call": "auto"}).choices[0].message

    def client_per_message(self, auth_url: str) -> None:
        from gigachat import GigaChat

        options: dict[str, Any] = {"transport": self.transport} if self.transport else {}
        options |= {"auth_url": auth_url, "credentials": "a2V5OnNlY3JldA=="}
        with GigaChat(base_url=f"{self.url}/v1", model="GigaChat", **options) as client:
            assert client.chat(TEXT).choices[0].message.content


class Ours(GigaChatClient):
    """This client over its default transport."""

    def __init__(self, url: str, connections: int | None = None) -> None:
        from gigachat import tool

        super().__init__(url, connections)
        self.add: Any = tool(add)

    def embed(self, texts: int) -> Any:
        vectors = self.client.embed([TEXT] * texts, batch_size=texts)
        assert vectors.shape == (texts, DIMENSIONS)
        return vectors

    def download(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            assert self.client.download_file("1", Path(folder) / "file").stat().st_size == FILE_BYTES

    def agent_run(self) -> None:
        """Let the client run the function."""
        assert self.client.chat_run(TEXT, tools=[self.add]).text


class OursFast(Ours):
    """This client over the fast transport."""

    optional = True
    transport = "pyreqwest"


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


ADD = {
    "name": "add",
    "description": "Add two numbers.",
    "parameters": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
        "additionalProperties": False,
    },
}


class OpenAI(System):
    """The package `openai`."""

    def __init__(self, url: str, connections: int | None = None) -> None:
        import openai

        super().__init__(url, connections)
        options: Any = {"base_url": f"{url}/v1", "api_key": TOKEN}
        self.client: Any = openai.OpenAI(**options)
        self.aclient: Any = openai.AsyncOpenAI(**options)
        self.asked: Any = {"model": "GigaChat", "messages": [{"role": "user", "content": TEXT}]}

    async def close(self) -> None:
        self.client.close()
        await self.aclient.close()

    def chat(self) -> None:
        assert self.client.chat.completions.create(**self.asked).choices[0].message.content

    async def achat(self) -> None:
        assert (await self.aclient.chat.completions.create(**self.asked)).choices[0].message.content

    def stream(self) -> int:
        return sum(1 for _ in self.client.chat.completions.create(**self.asked, stream=True))

    async def astream(self) -> int:
        return sum([1 async for _ in await self.aclient.chat.completions.create(**self.asked, stream=True)])

    async def open_stream(self) -> object:
        stream = await self.aclient.chat.completions.create(**self.asked, stream=True)
        await anext(stream)
        return stream

    def embeddings(self, texts: int) -> Any:
        vectors = self.client.embeddings.create(input=[TEXT] * texts, model="Embeddings", encoding_format="float")
        assert sum(len(one.embedding) for one in vectors.data) == DIMENSIONS * texts
        return vectors

    def upload(self, path: Path) -> None:
        with path.open("rb") as file:
            assert self.client.files.create(file=(FILE_NAME, file, FILE_TYPE), purpose="assistants").id

    def download(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "file"
            with self.client.files.with_streaming_response.content("1") as response:
                response.stream_to_file(path)
            assert path.stat().st_size == FILE_BYTES

    def download_in_memory(self) -> None:
        assert len(self.client.files.content("1").read()) == FILE_BYTES


class LiteLLM(System):
    """The gigachat provider of `litellm`."""

    def __init__(self, url: str, connections: int | None = None) -> None:
        super().__init__(url, connections)
        self.litellm: Any = import_module("litellm")
        self.asked: Any = {
            "model": "gigachat/GigaChat",
            "messages": [{"role": "user", "content": TEXT}],
            "api_base": f"{url}/v1",
        }

    def chat(self) -> None:
        assert self.litellm.completion(**self.asked).choices[0].message.content

    async def achat(self) -> None:
        assert (await self.litellm.acompletion(**self.asked)).choices[0].message.content

    def stream(self) -> int:
        return sum(1 for _ in self.litellm.completion(**self.asked, stream=True))

    async def astream(self) -> int:
        return sum([1 async for _ in await self._stream()])

    async def _stream(self) -> AsyncIterator[object]:
        stream: AsyncIterator[object] = await self.litellm.acompletion(**self.asked, stream=True)
        return stream
