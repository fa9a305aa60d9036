"""A local server between the tested program and the real service: it records its responses, or replays them.

Sign-ins are answered here in both cases, so that the program never gets a real token. While it replays, nothing leaves
the machine. Nothing here depends on pytest.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from gigachat._engine.transport import Failure
from gigachat.exceptions import GigaChatException
from gigachat.server import GigaChatServer
from gigachat.server.wire.responses import JSON_TYPE, EventStream, break_off, compact
from gigachat.testing.account_service import AccountService, RecordingError
from gigachat.testing.kept_request import kept_request
from gigachat.testing.recording import Scrubber, kept_headers, pieces, shown_answer
from gigachat.testing.recording_file import differences, file_name, read_file, write_file

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
    from pathlib import Path

    from starlette.types import ASGIApp, Receive, Scope, Send

    from gigachat._engine.transport import Response as ServiceResponse
    from gigachat.settings import Options

__all__ = ["Recorder", "RecordingError", "RecordingServer"]

_SIGN_INS = ("/oauth", "/token")
_NOT_RECORDED = 501
"""A status that no client repeats."""
_UNREACHED = 502
_PATIENCE = 5.0
"""Seconds that responses may take to end after the test."""
_MOST_DIFFERENCES = 3
_SHORTEST = 4
_SECRET_NAME = re.compile(r"(?i)(?:auth|cookie|credentials?|key|password|secret|signature|token)(?![a-z])")
_RANDOM = re.compile(r"(?=\S*[0-9])(?=\S*[A-Za-z])\S{20,}")
_WORD = re.compile(r"[^\W\d_]{0,15}|.{0,5}", re.DOTALL)
"""Secrets that may be ordinary words of a prompt; recordings of them would make no sense."""


@dataclass(slots=True, eq=False)
class _Exchange:
    """A request, and its response as far as it is known."""

    request: dict[str, Any]
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    cut: bool = True
    done: bool = False


class Recorder:
    """The recording of one test.

    Attributes:
        path: Its file.
        recording: Whether the real service is asked, and the file written at the end.
        passed: Whether the test has passed so far; the file of another one is not written.
    """

    def __init__(self, module: Path, nodeid: str, *, recording: bool) -> None:
        self.path = module.parent / "recordings" / file_name(module.stem, nodeid)
        self.recording = recording
        self.passed = True
        self._advice = f'record it with the key of a real account: pytest --gigachat-record "{nodeid}"'
        self._scrubber = Scrubber()
        self._problems: list[str] = []
        self._changed = threading.Condition()
        self._working = 0
        self._exchanges: list[_Exchange] = []
        self._service = AccountService() if recording else None
        if self._service is not None:
            self._scrubber.add(*_secrets(self._service.settings))
        try:
            self._recorded = [] if recording else read_file(self.path)
        except ValueError as error:
            raise RecordingError(f"{error}; {self._advice}") from None
        self._unused = list(self._recorded)

    def hide(self, *what: str | re.Pattern[str]) -> None:
        """Replace texts, and matches of expressions, with `***` in the file and in requests looked up in it.

        For personal data of your own, and for what differs each time, such as a date in a prompt. Keys, tokens and
        passwords are hidden without it.

        Args:
            what: Texts of four characters or more, and compiled expressions.

        Raises:
            TypeError: A value is neither text nor an expression for text.
            ValueError: A text is too short: it would be found everywhere.
        """
        for one in what:
            if not isinstance(one.pattern if isinstance(one, re.Pattern) else one, str):
                raise TypeError(f"hide() takes str and re.Pattern[str], not {type(one).__name__}")
            if isinstance(one, str) and 0 < len(one) < _SHORTEST:
                raise ValueError(f"hide() takes texts of {_SHORTEST} characters or more, this one has {len(one)}")
        self._scrubber.add(*what)

    def finish(self) -> list[str]:
        """End the test and return what went wrong."""
        if self._service is not None:
            self._problems += [
                f"{_name(one.request)} was in progress at the end of the test"
                for one in self._exchanges
                if not one.done
            ]
            if self._problems:
                self._problems.append(f"{self._file} was not written")
        return list(dict.fromkeys(map(self._scrubber.clean, self._problems)))

    def unused(self) -> str:
        """Say which recorded exchanges the test did not use; empty if it used all of them."""
        if not self._unused or self._problems or not self.passed:
            return ""
        names = ", ".join(dict.fromkeys(_name(one["request"]) for one in self._unused))
        number = f"{len(self._unused)} of {len(self._recorded)} recorded exchanges"
        return f"the test did not use {number} of {self._file}: {names}; delete the file or {self._advice}"

    def save(self) -> str:
        """Write the file if there is something new; return why it cannot be written, or an empty text."""
        if not self._exchanges or self._problems or not self.passed:
            return ""
        exchanges = [
            {"request": one.request, "answer": shown_answer(one.status, one.headers, bytes(one.body), cut=one.cut)}
            for one in self._exchanges
        ]
        try:
            write_file(self.path, [self._scrubber.clean(one) for one in exchanges])
        except OSError as error:
            return f"{self._file} cannot be written: {error}"
        return ""

    @property
    def _file(self) -> str:
        return f"recordings/{self.path.name}"

    async def _answer(self, request: Request, receive: Receive, send: Send) -> None:
        with self._changed:
            self._working += 1
        try:
            self._scrubber.add(*_named_secrets(request.headers))
            asked = await kept_request(request, self._scrubber)
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

    # Replaying

    async def _replay(self, asked: dict[str, Any], request: Request, receive: Receive, send: Send) -> None:
        wanted = self._scrubber.clean(asked)
        found = next((one for one in self._unused if one["request"] == wanted), None) or next(
            (one for one in self._unused if not any(differences(wanted, one["request"]))), None
        )
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
        """Return why there is no recorded response."""
        name, file = _name(asked), self._file
        if not self._recorded:
            return f"{name}: there is no {file}; {self._advice}"
        same = [one for one in self._recorded if not any(differences(asked, one["request"]))]
        if same:
            times = "once" if len(same) == 1 else f"{len(same)} times"
            return f"{name} was recorded {times} in {file} and is asked once more; {self._advice}"
        alike = [
            list(differences(asked, one["request"]))
            for one in self._unused or self._recorded
            if _name(one["request"]) == _name(asked)
        ]
        if not alike:
            known = ", ".join(dict.fromkeys(_name(one["request"]) for one in self._recorded))
            return f"{name} is not in {file}, which has {known}; {self._advice}"
        closest = min(alike, key=len)
        shown = "; ".join(closest[:_MOST_DIFFERENCES])
        if len(closest) > _MOST_DIFFERENCES:
            shown += f"; and {len(closest) - _MOST_DIFFERENCES} more"
        return f"{name} is not what was recorded in {file}: {shown}. To continue, {self._advice}"

    # Recording

    async def _record(
        self, asked: dict[str, Any], service: AccountService, request: Request, receive: Receive, send: Send
    ) -> None:
        exchange = _Exchange(asked)
        self._exchanges.append(exchange)
        try:
            async with service.open(request, await request.body()) as answer:
                self._scrubber.add(*_long(service.token))
                exchange.status, exchange.headers = answer.status, kept_headers(answer.headers)
                if answer.stream is not None and "event-stream" in answer.headers.get("content-type", ""):
                    events = EventStream(_passed(answer.stream, exchange, request), exchange.headers, pace=0.0)
                    await events(request.scope, receive, send)
                    return
                exchange.body += answer.body if answer.stream is None else await answer.stream.read(service.most_bytes)
                exchange.cut = False
            response = Response(bytes(exchange.body), exchange.status, exchange.headers)
        except GigaChatException as error:
            problem = self._scrubber.clean(f"{_name(asked)} could not be recorded: {error}")
            self._problems.append(problem)
            response = _refusal(_UNREACHED, problem)
        finally:
            exchange.done = True
        await response(request.scope, receive, send)

    def _wait_for_responses(self) -> None:
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
            recorder._wait_for_responses()
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


def _name(request: Mapping[str, Any]) -> str:
    return f"{request['method']} {request['path']}"


def _secrets(settings: Options) -> Iterator[str]:
    """Yield the values that are never shown, the client id, and the keys that are made of them."""
    secrets = [settings.credentials, settings.access_token, settings.client_id, settings.key_file_password]
    pairs = [(settings.client_id, settings.client_secret), (settings.user, settings.password)]
    with contextlib.suppress(ValueError):
        client_id, _, client_secret = (
            base64.b64decode(settings.credentials or "", validate=True).decode().partition(":")
        )
        secrets.append(client_id)
        pairs.append((client_id, client_secret))
    for address in (settings.proxy, settings.base_url, settings.v2_base_url, settings.auth_url):
        parts = urlsplit(address or "")
        pairs.append((unquote(parts.username or ""), unquote(parts.password or "")))
    for name, password in pairs:
        if name and password:
            both = f"{name}:{password}"
            secrets += [password, both, base64.b64encode(both.encode()).decode()]
    for values in (settings.default_headers or {}, settings.default_query or {}):
        secrets += [value for value in values.values() if _RANDOM.fullmatch(value)]
        secrets += _named_secrets(values)
    yield from _long(*secrets)


def _named_secrets(values: Mapping[str, str]) -> Iterator[str]:
    """Yield the secrets of headers with such names: keys after a scheme, values of cookies."""
    for name, value in values.items():
        if _SECRET_NAME.search(name):
            parts = re.findall(r"[^\s;,]+", value)
            yield from _long(*parts, *(part.partition("=")[2] for part in parts))


def _long(*secrets: str | None) -> Iterator[str]:
    """Yield the values that are too long or too random to be ordinary words."""
    yield from (one for one in secrets if one and not _WORD.fullmatch(one))
