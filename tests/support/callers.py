"""A client driven in one mode over real sockets."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal, Self

from gigachat import AsyncGigaChat, GigaChat

if TYPE_CHECKING:  # the unit suite also runs where the server's dependencies cannot be installed
    from gigachat.server import GigaChatServer

__all__ = ["MODES", "Caller", "Mode", "chunks_of", "hybrid_name", "options", "whole"]

Mode = Literal["blocking", "async", "hybrid"]
MODES: tuple[Mode, ...] = ("blocking", "async", "hybrid")
"""`GigaChat`, `AsyncGigaChat`, and the `a...` names of `GigaChat`."""


class Caller:
    """A client in one mode, with an event loop of its own that lives as long as the caller.

    Args:
        mode: The mode.
        options: Of the client.
        **more: Other options.
    """

    def __init__(self, mode: Mode, options: dict[str, Any], **more: Any) -> None:
        self.mode = mode
        self.giga: Any = AsyncGigaChat(**options, **more) if mode == "async" else GigaChat(**options, **more)
        self.noise: list[dict[str, Any]] = []  # what the event loop complained of
        self._runner = asyncio.Runner()
        if mode != "blocking":
            self._runner.get_loop().set_exception_handler(lambda _, context: self.noise.append(context))

    @property
    def transport(self) -> Any:
        """The client's transport in this mode."""
        return (self.giga._blocking if self.mode == "blocking" else self.giga._async).transport

    def method(self, name: str, giga: Any = None) -> Any:
        """The method of a blocking name in this mode."""
        return attrgetter(hybrid_name(name) if self.mode == "hybrid" else name)(giga or self.giga)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine in the caller's loop, with the context variables of now."""
        return self._runner.run(work, context=contextvars.copy_context())

    def do(self, name: str, *arguments: Any, giga: Any = None, **options: Any) -> Any:
        """Call a method and return its answer."""
        method = self.method(name, giga)
        if self.mode == "blocking":
            return method(*arguments, **options)

        async def awaited() -> Any:
            return await method(*arguments, **options)

        return self.run(awaited())

    def chat(self, *arguments: Any, **options: Any) -> Any:
        return self.do("chat", *arguments, **options)

    def read(
        self, *arguments: Any, method: str = "stream", giga: Any = None, into: list[Any] | None = None, **options: Any
    ) -> list[Any]:
        """Read a stream to its end; what came before an error is in `into`."""
        return chunks_of(self.method(method, giga)(*arguments, **options), self.run, into)

    def next(self, stream: Any) -> Any:
        """Take the next chunk of a stream."""

        async def awaited() -> Any:
            return await anext(stream)

        return next(stream) if self.mode == "blocking" else self.run(awaited())

    def together(self, count: int, *arguments: Any) -> list[Any]:
        """Chat so many times at once, in threads or tasks; errors are returned."""
        chat = self.method("chat")
        if self.mode != "blocking":

            async def main() -> list[Any]:
                return await asyncio.gather(*(chat(*arguments) for _ in range(count)), return_exceptions=True)

            return list(self.run(main()))
        results: list[Any] = [None] * count
        barrier = threading.Barrier(count)

        def call(number: int) -> None:
            barrier.wait(60)
            try:
                results[number] = chat(*arguments)
            except Exception as error:
                results[number] = error

        threads = [threading.Thread(target=call, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        return results

    def close(self) -> None:
        if self.mode == "blocking":
            self.giga.close()
        else:
            self.run(self.giga.aclose())
        self._runner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def hybrid_name(method: str) -> str:
    """Return the name of the async form of a method on the hybrid client."""
    return f"a_{method}" if method.startswith(("assistants.", "threads.")) else f"a{method}"


def chunks_of(stream: Any, run: Callable[[Coroutine[Any, Any, Any]], Any], into: list[Any] | None = None) -> list[Any]:
    """Read a stream to its end; what came before an error is in `into`.

    Args:
        stream: The stream.
        run: Runs a coroutine, where it is awaited.
        into: Where the chunks go.
    """
    chunks: list[Any] = [] if into is None else into
    if hasattr(stream, "__next__"):
        for chunk in stream:
            chunks.append(chunk)  # noqa: PERF402 - one by one, to keep what came before an error
        return chunks

    async def awaited() -> None:
        async for chunk in stream:
            chunks.append(chunk)

    run(awaited())
    return chunks


def whole(stream: Any, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> tuple[list[str], str, Any]:
    """Read a stream by its texts; return them, the final text and the final completion.

    Args:
        stream: The stream.
        run: Runs a coroutine, where it is awaited.
    """
    if hasattr(stream, "__next__"):
        with stream:
            return [*stream.text_stream], stream.get_final_text(), stream.get_final_completion()

    async def awaited() -> tuple[list[str], str, Any]:
        async with stream:
            texts = [text async for text in stream.text_stream]
            return texts, await stream.get_final_text(), await stream.get_final_completion()

    texts: tuple[list[str], str, Any] = run(awaited())
    return texts


def options(server: GigaChatServer) -> dict[str, Any]:
    """How to reach a server; each test has tokens of its own, because each server has an address of its own."""
    reach = {"base_url": server.base_url, "auth_url": server.auth_url, "credentials": server.credentials}
    return {**reach, "ca_bundle_file": server.ca_bundle_file} if server.origin.startswith("https") else reach
