"""A local server between the tested program and the real service: it records its answers, or gives them again.

Sign-ins are answered here in both cases, so that the program never holds a real token. While it gives recorded answers
nothing leaves the machine. It must not know pytest.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from gigachat._engine.transport import Failure
from gigachat.exceptions import GigaChatException
from gigachat.server import GigaChatServer
from gigachat.server.wire.responses import JSON_TYPE, EventStream, break_off, compact
from gigachat.testing.account_service import AccountService, RecordingError, api_path
from gigachat.testing.recording import (
    Scrubber,
    differences,
    digest,
    pieces,
    read_file,
    shown_answer,
    shown_body,
    write_file,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
    from pathlib import Path

    from starlette.types import ASGIApp, Receive, Scope, Send

    from gigachat._engine.transport import Response as ServiceResponse

__all__ = ["Recorder", "RecordingError", "RecordingServer"]

_SIGN_INS = ("/oauth", "/token")
_NOT_RECORDED = 501
"""A status that no client repeats."""
_UNREACHED = 502
_PATIENCE = 5.0
"""Seconds that responses may take to end after the test."""
_MOST_DIFFERENCES = 3


@dataclass(slots=True, eq=False)
class _Exchange:
    """What is noted of a request while it is answered."""

    request: dict[str, Any]
    status: int = 0
    headers: Mapping[str, str] | None = None
    body: bytes = b""
    cut: bool = True


class Recorder:
    """The recording of one test.

    Attributes:
        path: Its file.
        recording: Whether the real service is asked, and the file written when the test ends.
    """

    def __init__(self, module: Path, nodeid: str, *, recording: bool) -> None:
        self.path = module.parent / "recordings" / f"{module.stem}.{_file_name(nodeid)}.json"
        self.recording = recording
        self._nodeid = nodeid
        self._scrubber = Scrubber()
        self._problems: list[str] = []
        self._changed = threading.Condition()
        self._working = 0
        self._exchanges: list[_Exchange] = []
        self._service = AccountService(self._scrubber) if recording else None
        self._recorded: list[dict[str, Any]] = []
        if not recording and self.path.exists():
            try:
                self._recorded = read_file(self.path)
            except ValueError as error:
                raise RecordingError(f"{error}; {self._again}") from None
        self._unused = list(self._recorded)

    def hide(self, *what: str | re.Pattern[str]) -> None:
        """Have texts and what expressions match replaced by `***` in the file and in requests looked up in it.

        For personal data of your own, and for what differs each time, such as a date in a prompt. Keys, tokens and
        passwords are hidden without it.

        Args:
            what: Texts of four characters or more, and compiled expressions.
        """
        self._scrubber.add(*what)

    def finish(self) -> list[str]:
        """End the test: write the file if there is something new, and return what went wrong."""
        if self._service is not None and self._exchanges and not self._problems:
            exchanges = [
                {
                    "request": one.request,
                    "answer": shown_answer(one.status, one.headers, one.body, cut=one.cut),
                }
                for one in self._exchanges
                if one.headers is not None
            ]
            write_file(self.path, [self._scrubber.clean(one) for one in exchanges])
        elif self._service is not None and self._problems:
            self._problems.append(f"recordings/{self.path.name} was not written")
        return list(dict.fromkeys(self._problems))

    @property
    def _again(self) -> str:
        return f'record it with the key of a real account: pytest --gigachat-record "{self._nodeid}"'

    async def _answer(self, request: Request, receive: Receive, send: Send) -> None:
        with self._changed:
            self._working += 1
        try:
            asked = await _read(request)
            if self._service is None:
                await self._replay(asked, request, receive, send)
            else:
                await self._record(asked, self._service, request, receive, send)
        except ClientDisconnect:
            return
        finally:
            with self._changed:
                self._working -= 1
                self._changed.notify_all()

    # Giving again

    async def _replay(self, asked: dict[str, Any], request: Request, receive: Receive, send: Send) -> None:
        wanted = self._scrubber.clean(asked)
        found = next((one for one in self._unused if one["request"] == wanted), None)
        if found is None:
            problem = self._unknown(wanted)
            self._problems.append(problem)
            await _refusal(_NOT_RECORDED, problem)(request.scope, receive, send)
            return
        self._unused.remove(found)
        answer = found["answer"]
        body = pieces(answer)
        if answer["status"] == 200 and ("events" in answer or answer.get("cut")):
            events = _one_by_one(body, request if answer.get("cut") else None)
            response: Response = EventStream(events, answer["headers"], pace=0.0)
        else:
            response = Response(b"".join(body), answer["status"], answer["headers"])
        await response(request.scope, receive, send)

    def _unknown(self, asked: Mapping[str, Any]) -> str:
        """Say why there is no answer."""
        name = f"{asked['method']} {asked['path']}"
        file = f"recordings/{self.path.name}"
        if not self._recorded:
            return f"{name}: there is no {file}; {self._again}"
        same = [one["request"] for one in self._recorded if one["request"] == asked]
        if same:
            times = "once" if len(same) == 1 else f"{len(same)} times"
            return f"{name} was recorded {times} in {file} and is asked once more; {self._again}"
        alike = [
            list(differences(asked, one["request"]))
            for one in self._unused or self._recorded
            if (one["request"]["method"], one["request"]["path"]) == (asked["method"], asked["path"])
        ]
        if not alike:
            known = ", ".join(
                dict.fromkeys(f"{one['request']['method']} {one['request']['path']}" for one in self._recorded)
            )
            return f"{name} is not in {file}, which has {known}; {self._again}"
        closest = min(alike, key=len)
        shown = "; ".join(closest[:_MOST_DIFFERENCES])
        if len(closest) > _MOST_DIFFERENCES:
            shown += f"; and {len(closest) - _MOST_DIFFERENCES} more"
        return f"{name} is not what was recorded in {file}: {shown}. To continue, {self._again}"

    # Recording

    async def _record(
        self, asked: dict[str, Any], service: AccountService, request: Request, receive: Receive, send: Send
    ) -> None:
        exchange = _Exchange(asked)
        self._exchanges.append(exchange)
        try:
            async with service.open(request, await request.body()) as answer:
                exchange.status, exchange.headers = answer.status, answer.headers
                if answer.stream is not None and "event-stream" in answer.headers.get("content-type", ""):
                    events = EventStream(_passed(answer.stream, exchange, request), _kept(exchange), pace=0.0)
                    await events(request.scope, receive, send)
                    return
                exchange.body = answer.body if answer.stream is None else await answer.stream.read(service.most_bytes)
                exchange.cut = False
        except GigaChatException as error:
            exchange.headers = None
            await self._unreached(asked, error, request, receive, send)
            return
        await Response(exchange.body, exchange.status, _kept(exchange))(request.scope, receive, send)

    async def _unreached(
        self, asked: Mapping[str, Any], error: Exception, request: Request, receive: Receive, send: Send
    ) -> None:
        problem = f"{asked['method']} {asked['path']} could not be recorded: {error}"
        self._problems.append(problem)
        await _refusal(_UNREACHED, problem)(request.scope, receive, send)

    def _settle(self) -> None:
        """Wait for what is still being answered: a stream ends for its reader before its connection does."""
        with self._changed:
            self._changed.wait_for(lambda: not self._working, _PATIENCE)

    async def _close(self) -> None:
        if self._service is not None:
            await self._service.close()


class RecordingServer(GigaChatServer):
    """The server of all recordings of a session; it answers for one test at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._recorder: Recorder | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @contextlib.contextmanager
    def playing(self, recorder: Recorder) -> Iterator[None]:
        """Answer for a test."""
        recorder.hide(self.credentials, self.account.client_secret)
        self._recorder = recorder
        try:
            yield
        finally:
            recorder._settle()
            self._recorder = None
            if self._loop is not None:
                asyncio.run_coroutine_threadsafe(recorder._close(), self._loop).result(_PATIENCE)

    def _application(self) -> ASGIApp:
        local = super()._application()

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or scope["path"].endswith(_SIGN_INS):
                await local(scope, receive, send)
                return
            self._loop = asyncio.get_running_loop()
            recorder = self._recorder
            if recorder is None:
                await _refusal(_NOT_RECORDED, "no test with gigachat_recorder is running")(scope, receive, send)
                return
            await recorder._answer(Request(scope, receive), receive, send)

        return application


async def _read(request: Request) -> dict[str, Any]:
    """Return a request as it is kept: no headers, and of files only the digest."""
    asked: dict[str, Any] = {"method": request.method, "path": api_path(request)}
    if request.query_params:
        asked["query"] = {name: request.query_params.getlist(name) for name in request.query_params}
    body = await request.body()
    content_type = request.headers.get("content-type", "")
    if not content_type.startswith("multipart/form-data"):
        return {**asked, **shown_body(content_type, body)}
    form: dict[str, Any] = {}
    async with request.form() as parts:
        for name, value in parts.multi_items():
            if isinstance(value, UploadFile):
                kept = digest(await value.read())
                form[name] = {"filename": value.filename, "type": value.content_type, **kept}
            else:
                form[name] = value
    return {**asked, "form": form}


def _kept(exchange: _Exchange) -> dict[str, str]:
    """Return the headers of an answer that are kept: the program sees the same when it is recorded."""
    kept: dict[str, str] = shown_answer(exchange.status, exchange.headers or {}, b"", cut=False)["headers"]
    return kept


async def _passed(answer: ServiceResponse, exchange: _Exchange, request: Request) -> AsyncGenerator[bytes, None]:
    """Yield the pieces of a stream and keep them; where it breaks off, break off too."""
    while True:
        try:
            piece = await answer.receive()
        except Failure:
            break_off(request.scope["state"]["transport"])
            return
        if not piece:
            exchange.cut = False
            return
        exchange.body += piece
        yield piece


async def _one_by_one(body: Sequence[bytes], cut: Request | None) -> AsyncGenerator[bytes, None]:
    """Yield pieces, and break off the request that is cut."""
    for piece in body:
        yield piece
    if cut is not None:
        break_off(cut.scope["state"]["transport"])


def _refusal(status: int, message: str) -> Response:
    return Response(compact({"status": status, "message": message}), status, {"content-type": JSON_TYPE})


def _file_name(nodeid: str) -> str:
    """Return the part of a test's id that names the test, as a file may be called."""
    name = nodeid.partition("::")[2] or nodeid
    readable = re.sub(r"[^\w.-]+", "-", name.replace("::", ".")).strip("-")
    # Two parameters may differ in nothing that a file name keeps.
    same = readable == name.replace("::", ".").replace("[", "-").replace("]", "")
    return readable if same and len(readable) < 100 else f"{readable[:90]}-{digest(name.encode())['sha256'][:8]}"
