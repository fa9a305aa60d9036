"""The three modes of a caller under the same awaited names: blocking, asyncio, trio. A test is written once for all.

In the blocking mode nothing that is awaited here suspends. Nothing here knows more of the SDK than its public names.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import httpx2
import pytest
import trio

from gigachat import AsyncGigaChat, GigaChat
from tests.support.systems import needs_trio
from tests.support.waiting import PATIENCE

__all__ = ["EACH_ASYNC_MODE", "EACH_MODE", "MODES", "Giga", "Mode", "driven", "with_client"]

T = TypeVar("T")


def driven(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        value: T = done.value
        return value
    coroutine.close()
    raise AssertionError("a blocking test awaited something that suspends")


class Giga:
    """A client in one mode.

    Args:
        mode: The mode.
        hybrid: Whether it is the client of both modes, called by the names with an `a` where it is awaited.
        **options: Of the client.
    """

    def __init__(self, mode: Mode, *, hybrid: bool = False, **options: Any) -> None:
        self.mode = mode
        self._prefix = "a" if hybrid and mode.is_async else ""
        self.client: Any = GigaChat(**options) if hybrid or not mode.is_async else AsyncGigaChat(**options)

    async def do(self, name: str, *arguments: Any, **fields: Any) -> Any:
        """Call a method and return its answer."""
        answer = getattr(self.client, self._prefix + name)(*arguments, **fields)
        return await answer if self.mode.is_async else answer

    async def chat(self, question: str = "x") -> str:
        """Return the text of an answer."""
        text: str = (await self.do("chat", question)).choices[0].message.content
        return text

    def stream(self, question: str = "x") -> Any:
        """Return a stream that is not yet begun."""
        return getattr(self.client, f"{self._prefix}stream")(question)

    async def next(self, stream: Any) -> str:
        """Return the text of a stream's next chunk."""
        chunk = await anext(stream) if self.mode.is_async else next(stream)
        text: str = chunk.choices[0].delta.content
        return text

    async def read(self, stream: Any = None, *, into: list[str] | None = None) -> list[str]:
        """Read a stream to its end; what came before an error is in `into`."""
        texts: list[str] = [] if into is None else into
        stream = self.stream() if stream is None else stream
        if self.mode.is_async:
            async for chunk in stream:
                texts.append(chunk.choices[0].delta.content)
        else:
            for chunk in stream:
                texts.append(chunk.choices[0].delta.content)
        return texts

    async def leave(self, stream: Any) -> None:
        """Close a stream."""
        closing = stream.close()
        if self.mode.is_async:
            await closing

    async def close(self) -> None:
        closing = getattr(self.client, f"{self._prefix}close")()
        if self.mode.is_async:
            await closing

    def hook(self, kind: str, act: Callable[[Any], None]) -> None:
        """Put a hook on the HTTP client of a hybrid client."""

        async def awaited(subject: Any) -> None:
            act(subject)

        client = self.client._aclient if self.mode.is_async else self.client._client
        client.event_hooks[kind].append(awaited if self.mode.is_async else act)


class Mode:
    """How a caller waits."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_async = name != "blocking"

    def __str__(self) -> str:
        return self.name

    def run(self, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a test's program to its end."""
        if self.name == "trio":

            async def in_trio() -> T:
                with trio.fail_after(PATIENCE):
                    return await main()

            return trio.run(in_trio)
        if self.name == "asyncio":

            async def in_asyncio() -> T:
                async with asyncio.timeout(PATIENCE):
                    return await main()

            return asyncio.run(in_asyncio())
        return driven(main())

    @asynccontextmanager
    async def giga(self, *, own: bool = False, hybrid: bool = False, **options: Any) -> AsyncIterator[Giga]:
        """Give a client, closed at the end.

        Args:
            own: Whether its HTTP client is one that the user brings.
            hybrid: Whether it is the client of both modes.
            **options: Of the client.
        """
        brought: Any = None
        if own:
            kind: Any = httpx2.AsyncClient if self.is_async else httpx2.Client
            brought = kind(verify=False, trust_env=False)
            options = {**options, "async_http_client" if self.is_async else "http_client": brought}
        giga = Giga(self, hybrid=hybrid, **options)
        try:
            yield giga
        finally:
            await giga.close()
            if brought is not None:
                closing = brought.aclose if self.is_async else brought.close
                await closing() if self.is_async else closing()

    async def pause(self, seconds: float) -> None:
        """Let time pass, where that is what is tested."""
        if self.name == "trio":
            await trio.sleep(seconds)
        elif self.name == "asyncio":
            await asyncio.sleep(seconds)
        else:
            time.sleep(seconds)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something is true."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, "it did not come true"
            await self.pause(0.001)

    async def together(self, *works: Callable[[], Coroutine[Any, Any, Any]]) -> list[Any]:
        """Do things at once, in tasks or threads; return what each returned or raised."""
        results: list[Any] = [None] * len(works)

        async def noted(number: int) -> None:
            try:
                results[number] = await works[number]()
            except (Exception, pytest.fail.Exception) as error:
                results[number] = error

        if self.name == "trio":
            async with trio.open_nursery() as nursery:
                for number in range(len(works)):
                    nursery.start_soon(noted, number)
        elif self.name == "asyncio":
            await asyncio.gather(*map(noted, range(len(works))))
        else:
            threads = [threading.Thread(target=lambda n=number: driven(noted(n))) for number in range(len(works))]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(PATIENCE)
                assert not thread.is_alive()
        return results

    async def cancelled_at(self, step: int, work: Callable[[], Coroutine[Any, Any, object]]) -> bool:
        """Do something and cancel it where it suspends for the so-manieth time; whether it suspended so often."""
        if self.name == "trio":
            steps = _Steps(step)
            trio.lowlevel.add_instrument(steps)
            try:
                with steps.scope:
                    await work()
            finally:
                trio.lowlevel.remove_instrument(steps)
            return steps.count >= step
        counted = _Counted(work(), step)
        try:
            await counted
        except asyncio.CancelledError:
            task = asyncio.current_task()
            assert task is not None
            task.uncancel()
        return counted.count >= step


class _Steps(trio.abc.Instrument):
    """Cancels the task that makes it at one of its steps."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.count = 0
        self.scope = trio.CancelScope()
        self._task = trio.lowlevel.current_task()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self._task:
            self.count += 1
            if self.count == self.at:
                self.scope.cancel()


class _Counted:
    """Something awaited, whose task is cancelled at one of its steps."""

    def __init__(self, work: Coroutine[Any, Any, object], at: int) -> None:
        self._work = work
        self._at = at
        self.count = 0

    def __await__(self) -> Generator[Any, Any, None]:
        sent: Any = None
        raised: BaseException | None = None
        while True:
            try:
                step = self._work.send(sent) if raised is None else self._work.throw(raised)
            except StopIteration:
                return
            self.count += 1
            if self.count == self._at:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            sent = raised = None
            try:
                sent = yield step
            except BaseException as error:
                raised = error


MODES = (Mode("blocking"), Mode("asyncio"), Mode("trio"))
EACH_MODE = [pytest.param(one, id=one.name, marks=[needs_trio] if one.name == "trio" else []) for one in MODES]
"""Parameters of a test or a fixture."""
EACH_ASYNC_MODE = EACH_MODE[1:]


def with_client(mode: Mode, options: dict[str, Any], work: Callable[[Giga], Any], *, own: bool = False) -> Any:
    """Do something with a client and close it."""

    async def main() -> Any:
        async with mode.giga(own=own, **options) as giga:
            return await work(giga)

    return mode.run(main)
