"""Faults: errors and damaged answers on demand, written in a header, a file or code."""

from __future__ import annotations

import asyncio
import re
import secrets
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from gigachat.server.orders.checks import Order, read_list, reason
from gigachat.server.wire.responses import break_off

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from starlette.types import Message, Send

HEADER = "x-gigachat-fault"
_OF_ERRORS = ("message", "code", "body", "retry_after")
_WHOSE = {"path", "times", "probability"}


def _number_as_text(value: object) -> object:
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def _text_as_bytes(value: object) -> object:
    return value.encode() if isinstance(value, str) else value


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("a header has no control characters")
    return value


_Count = Annotated[int, Field(ge=0)]
_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_HeaderName = Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]
_HeaderValue = Annotated[str, AfterValidator(_printable)]


class Fault(Order):
    """One fault: an error instead of a response, or a damaged response. `GigaChatServer.fail` describes the fields.

    `retry_after` is the value of the header `Retry-After`.
    """

    path: str | None = None
    times: Annotated[int, Field(ge=1)] | None = 1
    probability: Annotated[float, Field(ge=0, le=1)] = 1.0
    delay: _Seconds | None = None
    status: Annotated[int, Field(ge=200, le=599)] | None = None
    message: str | None = None
    code: int | None = None
    body: Annotated[bytes | None, BeforeValidator(_text_as_bytes)] = None
    headers: dict[_HeaderName, _HeaderValue] = Field(default_factory=dict)
    retry_after: Annotated[_HeaderValue | None, BeforeValidator(_number_as_text)] = None
    """The header of that name: seconds or a date."""
    expired_token: bool = False
    cut_bytes: _Count | None = None
    cut_events: _Count | None = None
    drip: _Seconds | None = None
    garbage: bool = False
    content_type: _HeaderValue | None = None

    @model_validator(mode="after")
    def _has_effect(self) -> Fault:
        """Refuse fields without effect, and translate the short forms into the long ones."""
        if self.expired_token:
            if self.status is not None or self.message is not None:
                raise ValueError("expired_token has its own status and message; leave them out")
            self.status, self.message = 401, "Token has expired"
        for name in _OF_ERRORS:
            if self.status is None and getattr(self, name) is not None:
                raise ValueError(f"{name} belongs to an error: add status, such as status=500")
        if not self.model_dump(exclude=_WHOSE, exclude_defaults=True):
            raise ValueError("nothing would happen: add what to do, such as status=500 or delay=1")
        for name in ("retry_after", "content_type"):
            if getattr(self, name) is not None:
                self.headers = {**self.headers, name.replace("_", "-"): getattr(self, name)}
        return self


def faults_from_file(path: Path) -> list[Fault]:
    """Return the faults of a YAML or JSON file: a list of objects with the fields of `Fault`.

    Raises:
        ValueError: It cannot be read; the text names the file and the place.
    """
    return read_list(path, Fault)


def fault_from_header(value: str) -> Fault | None:
    """Return the fault in the header of a request, such as `status=503; retry_after=2`; None without fields.

    Raises:
        ValueError: The header is invalid.
    """
    fields: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in value.split(";"))):
        name, given, text = part.partition("=")
        fields[name.strip().replace("-", "_")] = text.strip() if given else "true"
    if not fields:
        return None
    if "times" in fields:
        raise ValueError(f"{HEADER}: times counts requests, and a header is of one request; leave it out")
    try:
        return Fault.model_validate(fields, strict=False)
    except ValidationError as error:
        separate = "" if ";" in value or value.count("=") < 2 else "; a semicolon separates two fields"
        raise ValueError(f"{HEADER}: {reason(error)}{separate}") from None


class DamagingSend:
    """An ASGI `send` that damages the response.

    Args:
        fault: The fault to apply.
        send: The `send` that gets the damaged response.
        transport: Closed where the response is cut.
    """

    def __init__(self, fault: Fault, send: Send, transport: asyncio.Transport | None) -> None:
        self._fault = fault
        self._send = send
        self._transport = transport
        self._length = 0
        self._events = 0
        self._before = b""
        self._cuts = fault.cut_bytes is not None or fault.cut_events is not None
        self._over = False

    async def __call__(self, message: Message) -> None:
        """Send a message of the application, damaged."""
        if self._over:
            return
        if message["type"] == "http.response.body":
            await self._body(message)
        else:
            await self._send({**message, "headers": self._headers(message.get("headers", ()))})

    def _headers(self, headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        replaced = {name.lower().encode(): value.encode() for name, value in self._fault.headers.items()}
        return [*(pair for pair in headers if pair[0].lower() not in replaced), *replaced.items()]

    async def _body(self, message: Message) -> None:
        piece = message.get("body", b"")
        room = self._room(piece)
        if self._fault.garbage:
            piece = secrets.token_bytes(len(piece))
        last = not message.get("more_body", False)
        # If the body ends before the cut, its end is not sent.
        self._over = room is not None or (last and self._cuts)
        if self._fault.drip is not None:
            for at in range(len(piece[:room])):
                await asyncio.sleep(self._fault.drip)
                await self._send({"type": message["type"], "body": piece[at : at + 1], "more_body": True})
            piece = b""
        await self._send({"type": message["type"], "body": piece[:room], "more_body": self._over or not last})
        if self._over:
            break_off(self._transport)

    def _room(self, piece: bytes) -> int | None:
        """Return how many bytes of a piece precede the cut; None if the cut is not in this piece."""
        rooms = []
        if self._fault.cut_bytes is not None:
            rooms.append(self._fault.cut_bytes - self._length)
            self._length += len(piece)
        if self._fault.cut_events is not None:
            # An event may end between two pieces.
            ends = [0, *(found.end() - len(self._before) for found in re.finditer(rb"\n\n", self._before + piece))]
            self._before = b"" if ends[-1] == len(piece) else piece[-1:]
            wanted = self._fault.cut_events - self._events
            self._events += len(ends) - 1
            if wanted < len(ends):
                rooms.append(ends[wanted])
        return min((room for room in rooms if room <= len(piece)), default=None)
