"""Recordings of the real service, a server that plays them back, and the public client in its three modes.

The server answers requests in the order of a recording with the recorded bytes; it decides nothing and checks
nothing. What it was asked is kept for the test to look at.
"""

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
from tests.support.callers import Caller, Mode
from tests.support.payloads import chunk, head, http
from tests.support.servers import Received, Server, says

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

FOLDERS = [Path(__file__).parent / name for name in ("recorded", "documented")]


@dataclass(frozen=True)
class Exchange:
    """One recorded request and its answer."""

    endpoint: str
    method: str
    path: str
    request_headers: Mapping[str, str]
    request_body: Any
    status: int
    headers: Mapping[str, str]
    body: bytes
    date: str

    @property
    def json(self) -> Any:
        """The answer's body as JSON."""
        return json.loads(self.body)

    @property
    def events(self) -> list[bytes]:
        """The data of a stream's events, the end mark left out."""
        lines = [line.removeprefix(b"data: ") for line in self.body.split(b"\n") if line]
        assert lines.pop() == b"[DONE]"
        return lines

    @property
    def named_events(self) -> list[tuple[str, bytes]]:
        """The names and data of the events of a chat v2, whose last one is the end mark."""
        events = [event.split(b"\n") for event in self.body.removesuffix(b"\n\n").split(b"\n\n")]
        return [(name.removeprefix(b"event: ").decode(), data.removeprefix(b"data: ")) for name, data in events]

    @property
    def x_headers(self) -> dict[str, str | None]:
        """The headers an answer is known by."""
        return {name: self.headers.get(name) for name in ("x-request-id", "x-session-id", "x-client-id")}


@dataclass
class Replay:
    """A recording being played back."""

    server: Server
    exchanges: Sequence[Exchange]

    @property
    def origin(self) -> str:
        return self.server.origin

    @property
    def received(self) -> list[Received]:
        return self.server.requests

    @property
    def base_url(self) -> str:
        """Address of the API, with the prefix of the recording."""
        prefix, _, _ = self.exchanges[-1].path.replace("/v2/", "/v1/").partition("/v1/")
        return f"{self.origin}{prefix}/v1"

    @property
    def auth_url(self) -> str:
        """Address of the sign-in."""
        return f"{self.origin}/api/v2/oauth"


def recordings() -> list[str]:
    """Return the names of all recorded and documented exchanges there are."""
    return sorted(path.stem for folder in FOLDERS for path in folder.glob("*.json"))


def _file(name: str) -> Path:
    return next(path for folder in FOLDERS if (path := folder / f"{name}.json").exists())


def recording(name: str) -> list[Exchange]:
    """Return the exchanges of a recording, sign-in first."""
    return [
        Exchange(
            endpoint=one["endpoint"],
            method=one["request"]["method"],
            path=one["request"]["path"],
            request_headers=one["request"]["headers"],
            request_body=one["request"]["body"],
            status=one["response"]["status"],
            headers=one["response"]["headers"],
            body=one["response"]["body"].encode(),
            # The recordings keep the moment but not the header; without it April's tokens would have expired long ago.
            date=format_datetime(datetime.fromisoformat(one["recorded_at"]), usegmt=True),
        )
        for one in json.loads(_file(name).read_bytes())
    ]


@contextmanager
def replaying(exchanges: Sequence[Exchange]) -> Iterator[Replay]:
    """Serve the exchanges, each once and in their order, on a free port of the loopback."""
    with Server(http(b"", status="599 nothing more is recorded")) as server:
        server.script.extend(says(_answer(exchange)) for exchange in exchanges)
        yield Replay(server, exchanges)


def _answer(exchange: Exchange) -> bytes:
    headers: dict[str, str | int] = {"date": exchange.date, **exchange.headers}
    if "content-length" in headers:
        headers["content-length"] = len(exchange.body)  # a body that a test changed has another length
    begin = head(exchange.status, *headers.items())
    if exchange.headers.get("transfer-encoding") != "chunked":
        return begin + exchange.body
    pieces = (exchange.body[start : start + 1000] for start in range(0, len(exchange.body), 1000))
    return begin + b"".join(map(chunk, pieces)) + chunk(b"")


def call(
    mode: Mode,
    options: Mapping[str, Any],
    method: str,
    *arguments: Any,
    heard: list[httpx2.Response] | None = None,
    **fields: Any,
) -> Any:
    """Call a method of a new client in a mode and return its result; of a stream, the list of its chunks.

    A method of a namespace is named with it: `threads.run`. With `heard`, the answers are put into it as they came.
    """

    def hear(response: httpx2.Response) -> None:
        response.read()
        assert heard is not None
        heard.append(response)

    async def ahear(response: httpx2.Response) -> None:
        await response.aread()
        assert heard is not None
        heard.append(response)

    own: dict[str, Any] = {}
    if heard is not None and mode == "blocking":
        own["http_client"] = httpx2.Client(event_hooks={"response": [hear]})
    elif heard is not None:
        own["async_http_client"] = httpx2.AsyncClient(event_hooks={"response": [ahear]})
    with Caller(mode, {**options, **own}) as caller, ExitStack() as stack:
        if mode == "blocking" and own:
            stack.enter_context(own["http_client"])
        elif own:
            stack.callback(lambda: caller.run(own["async_http_client"].aclose()))
        if method.endswith("stream"):
            return caller.read(*arguments, method=method, **fields)
        return caller.do(method, *arguments, **fields)
