"""Recorded exchanges as a file: requests and answers in readable JSON, secrets taken out, and how two requests differ.

It must not send or serve anything.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from gigachat.server.wire.responses import compact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["Scrubber", "differences", "pieces", "read_file", "shown_answer", "shown_body", "write_file"]

HIDDEN = "***"
_FORMAT = 1
_WIDTH = 116
_SHORTEST = 4
_SECRET_NAMES = frozenset(
    {"access_token", "api_key", "authorization", "client_id", "client_secret", "cookie", "credentials", "password"}
    | {"rquid", "secret", "token"}
)
_TOKEN = re.compile(r"\beyJ[\w-]{8,}(?:\.[\w-]*)+|\b(?:Bearer|Basic) [\w.+/=~-]{16,}")
_HEADERS = ("content-type", "content-disposition", "retry-after", "x-request-id")
"""What is kept of an answer; the ids of clients and sessions, cookies and the rest are not."""
_EVENT = re.compile(r"(?:event: (?P<name>[^\r\n]*)\n)?data: (?P<data>[^\r\n]*)\n\n")


class Scrubber:
    """Removes secrets from recordings: known ones everywhere, and values that look like one or have such a name."""

    def __init__(self, secrets: Iterable[str | re.Pattern[str]] = ()) -> None:
        self._texts: set[str] = set()
        self._patterns: list[re.Pattern[str]] = [_TOKEN]
        self.add(*secrets)

    def add(self, *secrets: str | re.Pattern[str]) -> None:
        """Take these out too; texts shorter than four characters are left, they would be found everywhere."""
        for secret in secrets:
            if isinstance(secret, re.Pattern):
                self._patterns.append(secret)
            elif len(secret) >= _SHORTEST:
                self._texts |= {secret, quote(secret, safe=""), *_halves(secret)}

    def clean(self, value: Any) -> Any:
        """Return a JSON value without secrets."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, dict):
            return {
                self._text(name): self._secret(one) if name.lower() in _SECRET_NAMES else self.clean(one)
                for name, one in value.items()
            }
        if isinstance(value, list):
            return [self.clean(one) for one in value]
        return value

    def _secret(self, value: Any) -> Any:
        """Return what is named as a secret is; parameters of a query are lists of texts."""
        if isinstance(value, list):
            return [self._secret(one) for one in value]
        return HIDDEN if isinstance(value, str) else self.clean(value)

    def _text(self, text: str) -> str:
        # The longest first: a key may hold another secret.
        for secret in sorted(self._texts, key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        for pattern in self._patterns:
            text = pattern.sub(HIDDEN, text)
        return text


def _halves(secret: str) -> list[str]:
    """Return client id and client secret, if this is an authorization key made of them."""
    try:
        halves = base64.b64decode(secret, validate=True).decode().split(":")
    except (binascii.Error, ValueError):
        return []
    return [half for half in halves if len(half) >= _SHORTEST] if len(halves) == 2 else []


def shown_body(content_type: str, body: bytes) -> dict[str, Any]:
    """Return a body as it is kept: JSON, text, or nothing but size and digest of what is neither."""
    if not body:
        return {}
    text = _decoded(body)
    if text is None:
        return {"bytes": digest(body)}
    parsed = _json(text) if "json" in content_type else None
    return {"text": text} if parsed is None else {"json": parsed}


def shown_answer(status: int, headers: Mapping[str, str], body: bytes, *, cut: bool) -> dict[str, Any]:
    """Return an answer as it is kept: whole, as it has to be given again.

    Args:
        status: Its status.
        headers: Its headers, names in lower case.
        body: Its body.
        cut: Whether it broke off, or its caller went away before its end.
    """
    kept = {name: headers[name] for name in _HEADERS if name in headers}
    content_type = kept.get("content-type", "")
    shown: dict[str, Any] = {"status": status, "headers": kept}
    text = _decoded(body)
    events = _events(text) if text and "event-stream" in content_type else None
    if events is not None:
        shown["events"] = events
    elif text is None:
        shown["base64"] = base64.b64encode(body).decode()
    else:
        shown |= shown_body(content_type, body)
    if cut:
        shown["cut"] = True
    return shown


def pieces(answer: Mapping[str, Any]) -> list[bytes]:
    """Return the body of a kept answer, in pieces."""
    if "events" in answer:
        return [_event(one) for one in answer["events"]]
    if "json" in answer:
        return [compact(answer["json"])]
    if "base64" in answer:
        return [base64.b64decode(answer["base64"])]
    return [answer["text"].encode()] if "text" in answer else []


def digest(content: bytes) -> dict[str, Any]:
    """Return what is recorded for the content of a file."""
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def differences(asked: Any, recorded: Any, path: str = "") -> Iterator[str]:
    """Yield in words where a request differs from a recorded one."""
    if isinstance(asked, dict) and isinstance(recorded, dict):
        for name in dict.fromkeys((*asked, *recorded)):
            place = f"{path}.{name}" if path else str(name)
            if name not in recorded:
                yield f"{place} was not there"
            elif name not in asked:
                yield f"{place} is missing"
            else:
                yield from differences(asked[name], recorded[name], place)
    elif isinstance(asked, list) and isinstance(recorded, list):
        if len(asked) != len(recorded):
            yield f"{path} has {len(asked)} items, recorded were {len(recorded)}"
        for number, (one, other) in enumerate(zip(asked, recorded, strict=False)):
            yield from differences(one, other, f"{path}[{number}]")
    elif asked != recorded:
        yield f"{path} is {_short(asked)}, recorded was {_short(recorded)}"


def read_file(path: Path) -> list[dict[str, Any]]:
    """Return the exchanges of a file.

    Raises:
        ValueError: The file is not a recording; the message names it.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not a recording: {error}") from None
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise ValueError(f"{path} is not a recording that this version of gigachat reads")
    exchanges: list[dict[str, Any]] = content["exchanges"]
    return exchanges


def write_file(path: Path, exchanges: Sequence[Mapping[str, Any]]) -> None:
    """Write exchanges, replacing the file."""
    text = _pretty({"format": _FORMAT, "exchanges": list(exchanges)}, 0) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    # Half of a surrogate pair is written as its escape, as in JSON.
    new.write_bytes(text.encode("utf-8", "backslashreplace"))
    new.replace(path)


def _decoded(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def _json(text: str) -> Any:
    """Return an object or array; None for anything else."""
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, (dict, list)) else None


def _events(text: str) -> list[dict[str, Any]] | None:
    """Return the events of a stream; None if it is written in another way than the service writes it."""
    events: list[dict[str, Any]] = []
    place = 0
    while place < len(text):
        match = _EVENT.match(text, place)
        if match is None:
            return None
        place = match.end()
        parsed = _json(match["data"])
        one = {} if match["name"] is None else {"event": match["name"]}
        events.append({**one, "data": match["data"] if parsed is None else parsed})
    return events


def _event(one: Mapping[str, Any]) -> bytes:
    data = one["data"]
    name = f"event: {one['event']}\n".encode() if "event" in one else b""
    return name + b"data: " + (data.encode() if isinstance(data, str) else compact(data)) + b"\n\n"


def _pretty(value: Any, depth: int) -> str:
    """Return JSON with a line for each thing that fits into one."""
    flat = json.dumps(value, ensure_ascii=False)
    numbers = isinstance(value, list) and all(isinstance(one, (int, float)) for one in value)
    if not value or not isinstance(value, (dict, list)) or numbers or len(flat) + depth <= _WIDTH:
        return flat
    space = " " * (depth + 1)
    if isinstance(value, list):
        lines = [space + _pretty(one, depth + 1) for one in value]
        return "[\n" + ",\n".join(lines) + "\n" + " " * depth + "]"
    lines = [f"{space}{json.dumps(name, ensure_ascii=False)}: {_pretty(one, depth + 1)}" for name, one in value.items()]
    return "{\n" + ",\n".join(lines) + "\n" + " " * depth + "}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"
