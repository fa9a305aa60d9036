"""A scripted transport: answers from a list, time that passes only when slept, no sockets.

Each test runs in both modes. In the async one every await of the transport really suspends.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterable, Sequence
from email.utils import formatdate
from operator import attrgetter
from typing import Any, Literal

from gigachat import GigaChat
from gigachat._engine.signals import Signal
from gigachat._engine.transport import Failure, Request, Stage
from gigachat._headers import Headers
from gigachat._transport.modes import AsyncMode, BlockingMode
from gigachat.exceptions import APIConnectionError, APIResponseValidationError
from tests.support.callers import chunks_of, hybrid_name

Mode = Literal["blocking", "async"]

KEY = "dGVzdDp0ZXN0"
COMPLETION = {
    "choices": [{"message": {"content": "Hello.", "role": "assistant"}, "index": 0, "finish_reason": "stop"}],
    "created": 1768996171,
    "model": "GigaChat:2.0.28.2",
    "object": "chat.completion",
    "usage": {"prompt_tokens": 17, "completion_tokens": 3, "total_tokens": 20, "precached_prompt_tokens": 2},
}
MODELS: dict[str, Any] = {"object": "list", "data": []}
_STARTED = 1000.0


class Answer:
    """What the world answers to one request: a status with a body, in pieces where it is a stream."""

    def __init__(
        self,
        body: Any = None,
        status: int = 200,
        headers: dict[str, str] | None = None,
        pieces: Sequence[bytes | Failure] | None = None,
    ) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        kind = "text/event-stream" if pieces is not None else "application/json"
        named = {name.lower(): value for name, value in (headers or {}).items()}
        self.status_code = status
        self.headers = Headers({"content-type": kind, **named})
        self.pieces: list[bytes | Failure] = list(pieces) if pieces is not None else [content]
        self.state = "open"


class _Response:
    def __init__(self, world: World, answer: Answer) -> None:
        self._world = world
        self._answer = answer
        self._pieces = list(answer.pieces)
        self.status_code = answer.status_code
        self.headers = answer.headers

    async def read(self, limit: int, option: str = "max_response_bytes=") -> bytes:
        content = b""
        while piece := await self.receive():
            content += piece
        if len(content) > limit:
            self._answer.state = "closed"
            raise APIResponseValidationError(f"the response is longer than max_response_bytes={limit}")
        self._answer.state = "read"
        return content

    async def receive(self) -> bytes:
        await self._world.pass_over()
        piece = self._pieces.pop(0) if self._pieces else b""
        if isinstance(piece, Failure):
            raise piece
        return piece

    async def finish(self) -> None:
        self._answer.state = "finished"

    async def close(self) -> None:
        self._answer.state = "closed"

    async def interrupt(self) -> None:
        self._answer.state = "interrupted"

    def abandon(self) -> bool:
        self._answer.state = "abandoned"
        return True


class World:
    """The port of one test, and the clients over it."""

    def __init__(self, mode: Mode) -> None:
        self.mode = mode
        self.time = _STARTED
        self.started_at = 1_790_000_000.0  # Unix time of the service when the test begins
        self.requests: list[Request] = []
        self.sleeps: list[float] = []
        self.answers: list[Answer | Exception | Callable[[Request], Answer]] = []
        self.sign_ins: list[Answer | Exception | Callable[[Request], Answer]] = []
        self.token_lifetime = 1800.0
        self._tokens = 0

    # The port.

    @property
    def blocking(self) -> bool:
        return self.mode == "blocking"

    def now(self) -> float:
        return self.time

    async def pass_over(self) -> None:
        if self.mode == "async":
            await asyncio.sleep(0)

    async def send(self, request: Request) -> _Response:
        assert all(name == name.lower() for name in request.headers)
        sent = (request.method, request.url, Headers(request.headers), request.content, request.timeouts)
        self.requests.append(Request(*sent, request.query, request.upload, request.sign_in, request.deadline))
        await self.pass_over()
        queue: list[Any] = self.sign_ins if request.sign_in else self.answers
        if queue:
            answer = queue.pop(0)
        elif request.sign_in:
            answer = self.token()
        else:
            answer = Answer(COMPLETION if request.method == "POST" else MODELS)
        if isinstance(answer, Exception):
            raise answer
        return _Response(self, answer if isinstance(answer, Answer) else answer(request))

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.time += seconds
        await self.pass_over()

    async def wait(self, signal: Signal, timeout: float | None) -> bool:
        assert self.mode == "async", "a blocking caller waits, and nobody else is there"
        for _ in range(1000):
            if signal.is_set():
                return True
            await asyncio.sleep(0)
        self.time += timeout or 0.0
        return False

    async def gather(self, tasks: Iterable[Callable[[], Coroutine[Any, Any, Any]]], limit: int) -> list[Any]:
        return await (BlockingMode if self.blocking else AsyncMode)().gather(tasks, limit)

    async def call(self, function: Callable[[], Any], timeout: float | None, *, awaited: bool) -> Any:
        return await (BlockingMode if self.blocking else AsyncMode)().call(function, timeout, awaited=awaited)

    async def close(self) -> None:
        pass

    # What a test says.

    @property
    def unix(self) -> float:
        """The service's clock."""
        return self.started_at + self.time - _STARTED

    def date(self) -> str:
        return formatdate(self.unix, usegmt=True)

    def token(self) -> Answer:
        """The answer of a good sign-in, with a token of its own."""
        self._tokens += 1
        expires_at = int((self.unix + self.token_lifetime) * 1000)
        return Answer(
            {"access_token": f"token-{self._tokens}", "expires_at": expires_at}, headers={"Date": self.date()}
        )

    def client(self, **options: Any) -> GigaChat:
        """A client over this world. Its token is its own unless the test is about sharing."""
        if not {"access_token", "access_token_provider", "user", "client_id", "pool"} & options.keys():
            options.setdefault("credentials", KEY)
        giga = GigaChat(**{"share_token": False, **options})
        idle = _Idle(self)
        transports: Any = (self, idle) if self.mode == "blocking" else (idle, self)
        giga._start(giga._service, *transports)
        return giga

    def method(self, giga: GigaChat, name: str) -> Any:
        """The method of a blocking name in the mode of the test."""
        return attrgetter(name if self.mode == "blocking" else hybrid_name(name))(giga)

    def do(self, giga: GigaChat, method: str, /, *arguments: Any, **options: Any) -> Any:
        """Call a method in the mode of the test."""
        found = self.method(giga, method)
        if self.mode == "blocking":
            return found(*arguments, **options)

        async def awaited() -> Any:
            return await found(*arguments, **options)

        return asyncio.run(awaited())

    def chat(self, giga: GigaChat, *arguments: Any, **options: Any) -> Any:
        return self.do(giga, "chat", *arguments, **options)

    def read(
        self, giga: GigaChat, *arguments: Any, method: str = "stream", into: list[Any] | None = None, **options: Any
    ) -> list[Any]:
        """Read a stream to its end in the mode of the test; what came before an error is in `into`."""
        return chunks_of(self.method(giga, method)(*arguments, **options), asyncio.run, into)

    @property
    def api_requests(self) -> list[Request]:
        return [request for request in self.requests if not request.sign_in]

    @property
    def sign_in_requests(self) -> list[Request]:
        return [request for request in self.requests if request.sign_in]


class _Idle:
    """The port of the other mode, which knows the time and nothing else."""

    def __init__(self, world: World) -> None:
        self.now = world.now
        self.blocking = not world.blocking


def finish(coroutine: Any) -> Any:
    """Resume a coroutine by hand until it ends: what suspends in this world needs no event loop."""
    try:
        for _ in range(10_000):
            coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it does not come to an end")


def lost(stage: Stage) -> Failure:
    """A connection that fails at a stage."""
    return Failure(stage, APIConnectionError(f"lost while {stage.name.lower()}"))


def error(status: int, message: str = "no", **headers: str) -> Answer:
    """An error as the API answers it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer({"status": status, "message": message}, status, named)
