"""The other side, in a process of its own: the local GigaChat, obeying an order in each request's header, and a second
door to it through a bad network.

`python -m tests.soak.server SEED` prints a line of JSON that says how to reach it, then answers each line `report` with
one about what came, and ends with its standard input. It checks nothing but how many requests are in work at once.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import socket
import struct
import sys
import threading
import time
import zlib
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

from gigachat.server import GigaChatServer
from tests.soak.faults import HEADER, Fault, decoded

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

TOKEN_LIFETIME = 4.0
PACE = 0.002
FLAKY = "/flaky"
_FORGET = 300.0  # seconds for which the arrivals of a request are remembered
_SILENCE = 5.0  # longest wait for a caller to lose patience
_RST = struct.pack("ii", 1, 0)
_ENDS = (b"[DONE]", b"response.message.done")
_PAGE = b"<html><body>Bad gateway</body></html>"
_MOST_PIECES = 300  # of an answer that drips: a long stream would take a slow machine minutes
_GARBAGE = b'\xff\xfe{"choices":[[['


class Desk:
    """What happened, noted before it is done; looked at from another thread."""

    def __init__(self) -> None:
        self.arrivals: OrderedDict[str, tuple[float, list[tuple[str, int, str]]]] = OrderedDict()
        self.changed: dict[str, None] = {}
        self.counts: Counter[str] = Counter()
        self.in_work: Counter[str] = Counter()
        self.peaks: Counter[str] = Counter()
        self.errors: list[str] = []
        self._lock = threading.Lock()

    def attempts(self, request_id: str) -> int:
        known = self.arrivals.get(request_id)
        return len(known[1]) if known else 0

    def note(self, request_id: str, kind: str, status: int, how: str) -> None:
        now = time.monotonic()
        with self._lock:
            _, arrivals = self.arrivals.setdefault(request_id, (now, []))
            arrivals.append((kind, status, how))
            self.changed[request_id] = None
            while self.arrivals and next(iter(self.arrivals.values()))[0] < now - _FORGET:
                self.arrivals.popitem(last=False)

    def report(self) -> dict[str, Any]:
        with self._lock:
            changed, self.changed = self.changed, {}
            arrivals = {one: list(self.arrivals[one][1]) for one in changed if one in self.arrivals}
        counts, peaks = self.counts.copy(), self.peaks.copy()
        return {"arrivals": arrivals, "counts": counts, "peaks": peaks, "errors": self.errors[:5]}


class Obedient:
    """The application with orders obeyed."""

    def __init__(self, app: Any, desk: Desk, chance: random.Random) -> None:
        self._app = app
        self._desk = desk
        self._chance = chance
        self._served: OrderedDict[str, list[float]] = OrderedDict()
        self._revoked: OrderedDict[str, None] = OrderedDict()

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}
        order = headers.get(HEADER.lower())
        if scope["path"].startswith(FLAKY):
            await self._sign_in({**scope, "path": scope["path"].removeprefix(FLAKY)}, receive, send)
        elif order is None:
            await self._app(scope, receive, send)
        else:
            request_id, tag, fault = decoded(order)
            if self._desk.attempts(request_id) >= fault.times:
                fault = Fault()
            token = headers.get("authorization", "")
            await _Request(self, scope, receive, send, request_id, tag, token).serve(fault)

    async def _sign_in(self, scope: Any, receive: Receive, send: Send) -> None:
        kind = self._chance.choice(("none", "none", "none", "none", "slow", "status", "page", "garbage", "reset"))
        self._desk.counts[f"sign-in {kind}"] += kind != "none"
        if kind == "slow":
            await asyncio.sleep(self._chance.uniform(0.05, 0.3))
        if kind == "status":
            await _answer(send, self._chance.choice((400, 401, 429, 500, 503)), b'{"code":6,"message":"no"}')
        elif kind in ("page", "garbage"):
            await _answer(send, 200, _PAGE if kind == "page" else _GARBAGE)
        elif kind == "reset":
            await _break(scope, receive, self._chance.choice(("fin", "rst")))
        else:
            await self._app(scope, receive, send)

    def serve(self, token: str) -> None:
        """Note that a token brought a good answer."""
        self._served.setdefault(token, []).append(time.monotonic())
        _bound(self._served)

    def revoke(self, token: str) -> bool:
        """Revoke a token that surely has served: one that never did is taken for a wrong key by its client."""
        times = self._served.get(token, [])
        if token in self._revoked or len(times) < 5 or times[4] > time.monotonic() - 0.5:
            return False
        self._revoked[token] = None
        _bound(self._revoked)
        return True

    def is_revoked(self, token: str) -> bool:
        return token in self._revoked


def _bound(table: OrderedDict[str, Any]) -> None:
    if len(table) > 1000:
        table.popitem(last=False)


class _Request:
    """One arrival."""

    def __init__(
        self, desk: Obedient, scope: Any, receive: Receive, send: Send, request_id: str, tag: str, token: str
    ) -> None:
        self._server = desk
        self._desk = desk._desk
        self._scope = scope
        self._receive = receive
        self._send = send
        self._id = request_id
        self._tag = tag
        self._token = token
        self._in_work = False
        self._fault = Fault()
        self._sent = 0  # bytes or events
        self._pieces = 0
        self._over = False
        self._good = False
        self._packer: Any = None

    async def serve(self, fault: Fault) -> None:
        self._count(1)
        try:
            await self._serve(fault)
        finally:
            self._count(-1)

    async def _serve(self, fault: Fault) -> None:
        kind = fault.kind
        self._desk.counts[kind] += 1
        if kind == "reset" and fault.after % 2:
            self._note("reset")  # before the body is read
            await _break(self._scope, self._receive, fault.how)
            return
        body = bytearray()
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._note("gone")
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        if kind == "reset":
            self._note("reset")
            await _break(self._scope, self._receive, fault.how)
        elif kind == "silence":
            self._note("silence")
            await _gone(self._receive)
            await _break(self._scope, self._receive, fault.how)
        elif kind == "status":
            self._note("answer", fault.status)
            await _answer(self._send, fault.status, _refusal(fault), fault.retry_after)
        elif kind == "refused" or (kind == "revoke" and self._server.revoke(self._token)):
            self._note("answer", 401)
            await _answer(self._send, 401, b'{"status":401,"message":"Unauthorized"}\n')
        elif kind in ("garbage", "page"):
            self._note(kind)
            await _answer(self._send, 200, _PAGE if kind == "page" else _GARBAGE)
        elif self._server.is_revoked(self._token):
            self._note("answer", 401)
            await _answer(self._send, 401, b'{"status":401,"message":"Token has expired"}\n')
        else:
            if kind == "slow":
                await asyncio.sleep(fault.after / 1000)
            self._fault = fault
            await self._server._app(self._scope, self._replay(bytes(body)), self._spoil)

    def _note(self, kind: str, status: int = 0, *, ended: bool = True) -> None:
        self._desk.note(self._id, kind, status, self._fault.how)
        if ended:
            self._count(-1)

    def _count(self, change: int) -> None:
        if self._tag and (change > 0) is not self._in_work:
            self._in_work = change > 0
            self._desk.in_work[self._tag] += change
            self._desk.peaks[self._tag] = max(self._desk.peaks[self._tag], self._desk.in_work[self._tag])

    def _replay(self, body: bytes) -> Receive:
        unread = True

        async def replay() -> Message:
            nonlocal unread
            if unread:
                unread = False
                return {"type": "http.request", "body": body, "more_body": False}
            return await self._receive()

        return replay

    async def _spoil(self, message: Message) -> None:
        """Send what the application sends, in the manner of the fault."""
        if self._over:
            return
        fault = self._fault
        if message["type"] == "http.response.start":
            status = message["status"]
            self._good = status < 300
            spoiled = self._good and fault.kind in ("cut", "stall", "event", "unended")
            shown = fault.status if spoiled and fault.kind == "event" else status
            self._note(fault.kind if spoiled else "answer", shown, ended=False)
            if self._good and not spoiled:
                self._server.serve(self._token)
            if self._good and fault.kind == "gzip":
                self._packer = zlib.compressobj(wbits=31)
                kept = [header for header in message["headers"] if header[0].lower() != b"content-length"]
                message = {**message, "headers": [*kept, (b"content-encoding", b"gzip")]}
            await self._send(message)
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        if not more or any(mark in body for mark in _ENDS):
            self._count(-1)  # from here on, the caller may know that it is over
        if not self._good:
            await self._send(message)
        elif fault.kind in ("cut", "stall") and self._sent + len(body) > fault.after:
            await self._send({**message, "body": body[: fault.after - self._sent], "more_body": True})
            self._over = True
            self._count(-1)
            if fault.kind == "stall":
                await _gone(self._receive)
            await _break(self._scope, self._receive, fault.how)
        elif fault.kind in ("event", "unended") and self._sent_events(body) and more:
            self._over = True
            self._count(-1)
            error = json.dumps({"status": fault.status, "message": "on order"}).encode()
            name = b"event: error\n" if fault.after % 2 else b""
            last = b"%bdata: %b\n\n" % (name, error) if fault.kind == "event" else b""
            await self._send({"type": "http.response.body", "body": last, "more_body": False})
        elif fault.kind == "drip" and body and self._pieces < _MOST_PIECES:
            size = max(1, len(body) // 100)
            for start in range(0, len(body), size):
                piece = body[start : start + size]
                last_one = start + size >= len(body)
                self._pieces += 1
                await self._send({**message, "body": piece, "more_body": more or not last_one})
                await asyncio.sleep(0)
        elif self._packer is not None:
            packed = self._packer.compress(body) + self._packer.flush(zlib.Z_SYNC_FLUSH if more else zlib.Z_FINISH)
            await self._send({**message, "body": packed})
        else:
            self._sent += len(body)
            await self._send(message)

    def _sent_events(self, body: bytes) -> bool:
        """Whether all events before the fault have gone out; otherwise this one does."""
        if self._sent >= self._fault.after:
            return True
        self._sent += 1 - len(body)  # the length is added again
        return False


def _refusal(fault: Fault) -> bytes:
    if fault.body == "json":
        return b'{"status":%d,"message":"on order"}\n' % fault.status
    return {"page": _PAGE, "nothing": b"", "garbage": _GARBAGE}[fault.body]


async def _answer(send: Send, status: int, body: bytes, retry_after: str | None = None) -> None:
    kind = b"text/html" if body == _PAGE else b"application/json"
    headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
    if retry_after is not None:
        headers.append((b"retry-after", retry_after.encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _gone(receive: Receive) -> None:
    """Wait for the caller to go, which he does when he loses patience."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_SILENCE):
            while (await receive())["type"] != "http.disconnect":
                pass


async def _break(scope: Any, receive: Receive, how: str) -> None:
    transport = scope["state"]["transport"]
    with suppress(OSError, AttributeError):  # gone already; asyncio's TLS then knows no socket
        if how == "rst":
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
            transport.abort()
        else:
            transport.close()
            await _gone(receive)
            transport.abort()  # if the other side has not said goodbye
    await _gone(receive)


class Server(GigaChatServer):
    """The local server behind the desk."""

    def __init__(self, desk: Desk, chance: random.Random) -> None:
        super().__init__(pace=PACE, token_lifetime=TOKEN_LIFETIME, password_token_lifetime=TOKEN_LIFETIME)
        self._desk = desk
        self._chance = chance

    def _application(self) -> Any:
        return Obedient(super()._application(), self._desk, self._chance)

    @property
    def open_connections(self) -> int:
        return self._thread.open_connections if self._thread is not None else 0


class BadNetwork:
    """A door that passes bytes on, mostly: each connection has its fate, and now and then all break at once."""

    FATES = ("good", "good", "good", "good", "refused", "hung", "cut", "cut", "corrupt", "drip", "stall")

    def __init__(self, port: int, chance: random.Random, counts: Counter[str]) -> None:
        self._port = port
        self._chance = chance
        self._counts = counts
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> int:
        """Open the door and return its port."""
        self._server = await asyncio.start_server(lambda *streams: self._start(self._pass(*streams)), "127.0.0.1", 0)
        self._start(self._storm())
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        """Shut the door and break all connections."""
        assert self._server is not None
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _storm(self) -> None:
        while True:
            await asyncio.sleep(self._chance.uniform(4, 12))
            self._counts["network storm"] += 1
            for writer in tuple(self._writers):
                _reset(writer)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fate = self._chance.choice(self.FATES)
        after = int(10 ** self._chance.uniform(1, 5))
        self._counts[f"network {fate}"] += fate != "good"
        self._writers.add(writer)
        there: asyncio.StreamWriter | None = None
        try:
            if fate == "refused":
                return
            if fate == "hung":
                await asyncio.sleep(self._chance.uniform(0.1, 4))
                return
            back, there = await asyncio.open_connection("127.0.0.1", self._port)
            self._writers.add(there)
            unlucky = self._chance.choice((0, 1))  # which direction suffers; the other one is cut with it
            ways = ((reader, there), (back, writer))
            async with asyncio.TaskGroup() as group:
                for number, (source, target) in enumerate(ways):
                    group.create_task(self._copy(source, target, fate if number == unlucky else "good", after))
        except* (OSError, _Broken):
            pass
        finally:
            for one in (writer, there):
                if one is not None:
                    self._writers.discard(one)
                    if fate in ("refused", "cut") and after % 2:
                        _reset(one)
                    one.close()

    async def _copy(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, fate: str, after: int) -> None:
        passed = 0
        while data := await source.read(65536):
            reached = passed + len(data) > after
            if fate == "drip":
                for start in range(0, min(len(data), 400), 4):
                    target.write(data[start : start + 4])
                    await asyncio.sleep(0)
                data = data[400:]
            elif reached and fate == "corrupt":
                place = after - passed
                data = data[:place] + bytes([data[place] ^ 0x20]) + data[place + 1 :]
                fate = "good"
            elif reached and fate in ("cut", "stall"):
                target.write(data[: after - passed])
                await target.drain()
                if fate == "stall":
                    await asyncio.sleep(self._chance.uniform(1, 6))
                raise _Broken
            passed += len(data)
            target.write(data)
            await target.drain()
        raise _Broken


class _Broken(Exception):
    """This connection is over."""


def _reset(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
    writer.transport.abort()


class _Errors(logging.Handler):
    def __init__(self, desk: Desk) -> None:
        super().__init__(logging.ERROR)
        self._desk = desk

    def emit(self, record: logging.LogRecord) -> None:
        self._desk.errors.append(logging.Formatter().format(record))


async def _run(seed: str) -> None:
    desk = Desk()
    for name in ("gigachat.server", "asyncio"):
        logging.getLogger(name).addHandler(_Errors(desk))
    with Server(desk, random.Random(f"{seed}/sign-in")) as server:
        network = BadNetwork(int(server.origin.rpartition(":")[2]), random.Random(f"{seed}/network"), desk.counts)
        port = await network.open()
        reach = {
            "origin": server.origin,
            "bad_origin": f"https://localhost:{port}",
            "credentials": server.credentials,
            "user": server.account.user,
            "password": server.account.password,
            "ca_bundle_file": server.ca_bundle_file,
        }
        print(json.dumps(reach), flush=True)
        loop = asyncio.get_running_loop()
        while await loop.run_in_executor(None, sys.stdin.readline):
            server.clear()
            report = {**desk.report(), "open": server.open_connections, "accepted": server.connections}
            print(json.dumps(report), flush=True)
        await network.close()


if __name__ == "__main__":
    asyncio.run(_run(sys.argv[1]))
