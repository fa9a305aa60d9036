"""Header fields, whose names have no case: every mapping of them in the SDK has lower-case names.

Mappings of fields are merged as dictionaries, `{**one, **other}`: the later one wins.
"""

from __future__ import annotations

import math
import re
import time
from typing import TYPE_CHECKING, Any

from gigachat._secret import Secret, hidden

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Headers(dict[str, str]):
    """Fields of a response, looked up in any case."""

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())

    def get(self, name: str, default: Any = None) -> Any:
        """Return a field's value, or the default."""
        return dict.get(self, name.lower(), default)


def checked_headers(headers: Mapping[Any, Any] | None, source: str) -> dict[str, str]:
    """Return the fields given by a caller, ready to be sent and hidden in reprs.

    Args:
        headers: What the caller gave.
        source: Named in errors, with the field's name and never its value.

    Raises:
        TypeError: They are not a mapping, or a value is not text.
        ValueError: A name or value is not valid in HTTP.
    """
    given: Mapping[Any, Any] = hidden(headers, source) or {}
    del headers  # tools print the variables of frames
    checked: dict[str, str] = {}
    for name, value in given.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(f"{source}: {name!r} is not a header name")
        if not isinstance(value, str):
            raise TypeError(f"{source}: the value of {name} must be text, not {type(value).__name__}")
        if not value.isascii() or not value.isprintable():
            raise ValueError(f"{source}: the value of {name} contains a line break or non-ASCII characters")
        checked[name.lower()] = Secret(value.strip())
    return checked


def retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds of a response's `Retry-After` header, given as seconds or as a date; 0 without one."""
    value = headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        moment = _http_date(value)
        seconds = 0.0 if moment is None else moment - server_time(headers)
    return seconds if seconds > 0 and not math.isnan(seconds) else 0.0


def server_time(headers: Mapping[str, str]) -> float:
    """Return the Unix time of a response's `Date` header, or of the local clock without one, in seconds."""
    moment = _http_date(headers.get("date", ""))
    return time.time() if moment is None else moment


def _http_date(value: str) -> float | None:
    from datetime import UTC
    from email.utils import parsedate_to_datetime  # deferred: it takes a fifth of the time of the SDK's import

    try:
        moment = parsedate_to_datetime(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
