"""Requests and responses in the form in which they are stored: readable JSON without secrets."""

from __future__ import annotations

import base64
import copy
import json
import re
from collections import deque
from typing import TYPE_CHECKING, Any

from gigachat._engine.sse import EventSplitter
from gigachat.exceptions import APIResponseValidationError
from gigachat.testing.secret_forms import forms

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["HIDDEN", "Scrubber", "kept_headers", "pieces", "shown_answer", "shown_body"]

HIDDEN = "***"
_PIECE = 65536
_DEEPEST = 100
"""Levels of JSON that is kept as JSON: what is deeper is kept as text, since it cannot be searched or read again."""
_SECRET_NAMES = frozenset(
    {"accesstoken", "apikey", "authkey", "authorization", "clientid", "clientsecret", "cookie", "credentials"}
    | {"idtoken", "passwd", "password", "privatekey", "proxyauthorization", "refreshtoken", "rquid", "secret"}
    | {"secretkey", "setcookie", "token", "xapikey"}
)
"""Names of fields, in lower case and without `-` and `_`."""
_TOKEN = re.compile(
    r"\beyJ[\w-]{8,}(?:\.[\w-]*)+"
    # With a digit or very long: the word after "Basic" may be an ordinary one.
    r"|\b(?:Bearer|Basic) (?:(?=[A-Za-z.+/=~_-]*[0-9])[\w.+/=~-]{16,}|[\w.+/=~-]{40,})"
)
_HEADERS = ("content-type", "content-disposition", "retry-after", "x-request-id")
"""Headers of a response that are stored. Others, such as ids of clients and sessions, are not."""


class Scrubber:
    """Replaces secrets by `***`: known ones in every form, and values with the look or the name of a secret.

    Args:
        secrets: Texts, and expressions that match them.
    """

    def __init__(self, secrets: Iterable[str | re.Pattern[str]] = ()) -> None:
        self._known: frozenset[str | re.Pattern[str]] = frozenset()
        self._patterns: tuple[re.Pattern[str], ...] = (_TOKEN,)
        self.add(*secrets)

    def add(self, *secrets: str | re.Pattern[str]) -> None:
        """Replace these too."""
        for secret in secrets:
            if secret and secret not in self._known:
                self._known |= {secret}
                # A new tuple: another thread may be searching.
                self._patterns += forms(secret) if isinstance(secret, str) else (secret,)

    def clean(self, value: Any) -> Any:
        """Return a JSON value without secrets."""
        if isinstance(value, str):
            return self._hide([value])[0]
        if isinstance(value, list):
            return [self.clean(one) for one in value]
        if not isinstance(value, dict):
            return value
        cleaned: dict[str, Any] = {}
        for name, one in value.items():
            shown = self.clean(name)
            while shown in cleaned:
                shown += HIDDEN
            cleaned[shown] = self._field(name, one, value)
        return cleaned

    def clean_bytes(self, content: bytes) -> bytes:
        """Return any bytes without secrets."""
        text: str = self.clean(content.decode("utf-8", "surrogateescape"))
        return text.encode("utf-8", "surrogateescape")

    def _field(self, name: str, value: Any, siblings: Mapping[str, Any]) -> Any:
        simple = name.lower().replace("-", "").replace("_", "")
        if simple in _SECRET_NAMES and "logprob" not in siblings:
            return self._secret(value)
        if "status" in siblings and name == "base64":
            return base64.b64encode(self.clean_bytes(base64.b64decode(value))).decode()
        if "status" in siblings and name == "events":
            return self._events(value)
        return self.clean(value)

    def _secret(self, value: Any) -> Any:
        """Return what is named as a secret is; parameters of a query are lists of texts."""
        if isinstance(value, list):
            return [self._secret(one) for one in value]
        return self.clean(value) if value is None or isinstance(value, (bool, dict)) else HIDDEN

    def _events(self, events: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Return events without secrets, also those that the stream has cut into texts of several events."""
        joined = copy.deepcopy(list(events))
        places: dict[tuple[str | int, ...], list[tuple[Any, str | int]]] = {}
        for one in joined:
            for path, holder, key in _texts(one):
                places.setdefault(path, []).append((holder, key))
        for found in places.values():
            texts = [holder[key] for holder, key in found]
            if len(set(texts)) > 1:
                for (holder, key), text in zip(found, self._hide(texts), strict=True):
                    holder[key] = text
        return [self.clean(one) for one in joined]

    def _hide(self, pieces: Sequence[str]) -> list[str]:
        """Return the pieces of a text without secrets; of one in several pieces the first has the `***`."""
        text = "".join(pieces)
        spans: list[tuple[int, int]] = []
        for start, end in sorted(found.span() for pattern in self._patterns for found in pattern.finditer(text)):
            if spans and start < spans[-1][1]:
                spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
            elif start < end:
                spans.append((start, end))
        shown: list[str] = []
        first = 0
        waiting = deque(spans)
        for piece in pieces:
            last = first + len(piece)
            at, kept = first, ""
            while waiting and waiting[0][0] < last:
                start, end = waiting[0]
                kept += text[at : max(start, at)] + (HIDDEN if first <= start else "")
                at = min(end, last)
                if end > last:
                    break  # the rest of it is in the next piece
                waiting.popleft()
            shown.append(kept + text[at:last])
            first = last
        return shown


def _texts(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any, str | int]]:
    """Yield the path, the object or array, and the key or index of each text in a JSON value."""
    if isinstance(value, (dict, list)):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(one, str):
                yield (*path, key), value, key
            else:
                yield from _texts(one, (*path, key))


def shown_body(content_type: str, body: bytes) -> dict[str, Any]:
    """Return a body as it is kept: JSON, text, or base64 of what is neither."""
    if not body:
        return {}
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode()}
    parsed = _json(text) if "json" in content_type else None
    return {"text": text} if parsed is None else {"json": parsed}


def shown_answer(status: int, headers: Mapping[str, str], body: bytes, *, cut: bool) -> dict[str, Any]:
    """Return a response as it is kept: whole, as it has to be given again.

    Args:
        status: Its status.
        headers: Its headers, names in lower case.
        body: Its body.
        cut: Whether it broke off, or its caller went away before its end.
    """
    kept = kept_headers(headers)
    content_type = kept.get("content-type", "")
    shown: dict[str, Any] = {"status": status, "headers": kept}
    events = _events(body, cut=cut) if "event-stream" in content_type else None
    shown |= shown_body(content_type, body) if events is None else {"events": events}
    if cut:
        shown["cut"] = True
    return shown


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of a response that are kept; a program sees no others, also when it is recorded."""
    return {name: headers[name] for name in _HEADERS if name in headers}


def pieces(answer: Mapping[str, Any]) -> list[bytes]:
    """Return the body of a kept response, in pieces."""
    if "events" in answer:
        return [_event(one) for one in answer["events"]]
    if "json" in answer:
        return [_bytes(answer["json"])]
    if "base64" in answer:
        return [base64.b64decode(answer["base64"])]
    return [answer["text"].encode()] if "text" in answer else []


def _json(text: str) -> Any:
    """Return an object or array; None for anything else, for numbers that JSON does not have, and for deep nesting."""
    try:
        parsed = json.loads(text)
        json.dumps(parsed, allow_nan=False)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, (dict, list)) and not _is_deep(parsed) else None


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_DEEPEST):
        level = [
            inner
            for one in level
            if isinstance(one, (dict, list))
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
    return bool(level)


def _bytes(value: Any) -> bytes:
    # Half of a surrogate pair is written as its escape.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


def _events(body: bytes, *, cut: bool) -> list[dict[str, Any]] | None:
    """Return the events of a stream, without the incomplete last one of a cut stream; None without events."""
    splitter = EventSplitter()
    events = []
    try:
        for at in range(0, len(body), _PIECE):
            events += splitter.feed(body[at : at + _PIECE])
    except APIResponseValidationError:  # an event is too long
        return None
    if not cut:
        events += splitter.finish()
    if body and not events and not cut:
        return None
    shown: list[dict[str, Any]] = []
    for name, data in events:
        text = data.decode("utf-8", "surrogateescape")
        parsed = _json(text)
        shown.append({**({"event": name} if name else {}), "data": text if parsed is None else parsed})
    return shown


def _event(one: Mapping[str, Any]) -> bytes:
    data = one["data"]
    name = f"event: {one['event']}\n".encode() if "event" in one else b""
    content = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else _bytes(data)
    return name + b"".join(b"data: " + line + b"\n" for line in content.split(b"\n")) + b"\n"
