"""A client driven in one mode over real sockets."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, Literal, Self

from gigachat import GigaChat
from gigachat.server import GigaChatServer

Mode = Literal["blocking", "async"]


class Caller:
    """A client, blocking, or async in an event loop of its own that lives as long as the caller."""

    def __init__(self, mode: Mode, options: dict[str, Any]) -> None:
        self.mode = mode
        self.giga = GigaChat(**options)
        self._runner = asyncio.Runner()

    def do(self, method: str, *arguments: Any, **options: Any) -> Any:
        if self.mode == "blocking":
            return getattr(self.giga, method)(*arguments, **options)

        async def awaited() -> Any:
            return await getattr(self.giga, f"a{method}")(*arguments, **options)

        return self._runner.run(awaited())

    def chat(self, *arguments: Any, **options: Any) -> Any:
        return self.do("chat", *arguments, **options)

    def read(self, *arguments: Any, into: list[Any] | None = None, **options: Any) -> list[Any]:
        """Read a stream to its end; what came before an error is in `into`."""
        chunks: list[Any] = [] if into is None else into
        if self.mode == "blocking":
            for chunk in self.giga.stream(*arguments, **options):
                chunks.append(chunk)  # noqa: PERF402 - one by one, to keep what came before an error
            return chunks

        async def awaited() -> None:
            async for chunk in self.giga.astream(*arguments, **options):
                chunks.append(chunk)

        self._runner.run(awaited())
        return chunks

    def together(self, count: int, *arguments: Any) -> list[Any]:
        """Chat so many times at once, in threads or tasks; errors are returned."""
        if self.mode == "async":

            async def main() -> list[Any]:
                calls = (self.giga.achat(*arguments) for _ in range(count))
                return list(await asyncio.gather(*calls, return_exceptions=True))

            return self._runner.run(main())
        results: list[Any] = [None] * count
        barrier = threading.Barrier(count)

        def call(number: int) -> None:
            barrier.wait(60)
            try:
                results[number] = self.giga.chat(*arguments)
            except Exception as error:
                results[number] = error

        threads = [threading.Thread(target=call, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        return results

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine in the caller's event loop."""
        return self._runner.run(work)

    @property
    def transport(self) -> Any:
        """The client's transport in this mode."""
        return (self.giga._blocking if self.mode == "blocking" else self.giga._async).transport

    def close(self) -> None:
        self.giga.close()
        self._runner.run(self.giga.aclose())
        self._runner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def options(server: GigaChatServer) -> dict[str, Any]:
    """How to reach a server; each test has tokens of its own, because each server has an address of its own."""
    reach = {"base_url": server.base_url, "auth_url": server.auth_url, "credentials": server.credentials}
    return {**reach, "ca_bundle_file": server.ca_bundle_file} if server.origin.startswith("https") else reach
