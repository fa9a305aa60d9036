"""The forms in which a text contains a secret: as it is, escaped, percent-encoded, or within base64."""

from __future__ import annotations

import base64
import json
import re
from functools import cache, lru_cache
from html.entities import codepoint2name
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["forms"]

_SHORTEST_BASE64 = 8
"""Shorter parts of base64 could be parts of words."""
_OTHERWISE = {"+": "-", "/": "_", " ": "+"}
"""Base64 of URLs, and the space of forms."""


@lru_cache(256)
def forms(secret: str) -> tuple[re.Pattern[str], ...]:
    """Return expressions that match a secret in all its forms.

    Letters and digits are matched as they are: no encoding changes them, and the search for them is fast.
    """
    content = secret.encode("utf-8", "surrogatepass")
    quoted = (quote(content), quote(content, safe=""), quote_plus(content), json.dumps(secret)[1:-1])
    contents = dict.fromkeys((content, base64.b64encode(content), *map(str.encode, quoted)))
    parts = dict.fromkeys(part for one in contents for part in _base64_parts(one))
    rest = r"(?:[\w+/=-]|%(?:25)*(?i:2b|2f|3d))*"
    return tuple(map(re.compile, (_escaped(secret), *(_escaped(part) + rest for part in parts))))


def _base64_parts(content: bytes) -> Iterator[str]:
    """Yield what base64 makes of a content whatever is before and after it."""
    for before, first in enumerate((0, 2, 3)):
        encoded = base64.b64encode(bytes(before) + content).decode()
        part = encoded[first : (before + len(content)) * 8 // 6]
        if len(part) >= _SHORTEST_BASE64:
            yield part


def _escaped(text: str) -> str:
    """Return an expression that matches a text with any of its characters escaped. Trailing `=` are optional."""
    start = text.rstrip("=")
    return "".join(map(_character, start)) + f"{_character('=')}?" * (len(text) - len(start))


@cache
def _character(char: str) -> str:
    """Return an expression that matches a character and its escapes."""
    if char.isascii() and char.isalnum():
        return char
    utf8, utf16 = char.encode("utf-8", "surrogatepass"), char.encode("utf-16-be", "surrogatepass").hex()
    literal = {char, json.dumps(char)[1:-1], utf8.decode("latin-1")}  # a header is decoded as latin-1
    literal |= {f"&{codepoint2name[ord(char)]};"} if ord(char) in codepoint2name else set()
    literal |= {_OTHERWISE[char]} if char in _OTHERWISE else set()
    expressions = [
        *sorted(map(re.escape, literal)),
        "".join(f"%(?:25)*{byte:02x}" for byte in utf8),
        "".join(rf"\\{{1,8}}x{byte:02x}" for byte in utf8),
        "".join(rf"\\{{1,8}}u{utf16[at : at + 4]}" for at in range(0, len(utf16), 4)),
        f"&#0*{ord(char)};",
        f"&#x0*{ord(char):x};",
    ]
    return rf"(?i:\\{{0,8}}(?:{'|'.join(expressions)}))"
