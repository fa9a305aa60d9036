"""A deterministic stand-in for the model's tokenizer: about one token per three or four characters.

It grows and shrinks as the real one does, so that usage, limits and the prompt cache behave.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

# Six Latin or four other letters make a token, as a rule of thumb (reference, section 8.2).
_TOKEN = re.compile(r"[A-Za-z]{1,6}|[^\W\d_]{1,4}|\d{1,3}|[^\w\s]|_")
# At most four words of at most forty characters, closed early by punctuation: a stream sends phrases (4.7).
_WORD = re.compile(r"\s*\S{1,40}")
_PHRASE_END = (".", ",", "!", "?", ":", ";", "»")


_LONG = 100_000
"""Characters that are counted in a thread: a request must not hold the event loop."""


def count_tokens(text: str) -> int:
    """Return the number of tokens in the text."""
    return sum(1 for _ in _TOKEN.finditer(text))  # `findall` would hold the GIL throughout a long text


async def count_all(texts: Sequence[str]) -> list[int]:
    """Return the numbers of tokens in texts of any length."""
    if sum(map(len, texts)) < _LONG:
        return list(map(count_tokens, texts))
    return await asyncio.to_thread(lambda: list(map(count_tokens, texts)))


def cut_tokens(text: str, limit: int) -> str:
    """Return the beginning of the text that holds at most `limit` tokens."""
    end = 0
    for number, match in enumerate(_TOKEN.finditer(text)):
        if number >= limit:
            return text[:end]
        end = match.end()
    return text


def phrases(text: str) -> Iterator[str]:
    """Cut a text into the pieces a stream would send; joined they are the text again."""
    piece = ""
    words = 0
    end = 0
    for match in _WORD.finditer(text):
        piece += match.group()
        words += 1
        end = match.end()
        if words == 4 or piece.endswith(_PHRASE_END):
            yield piece
            piece = ""
            words = 0
    rest = piece + text[end:]
    if rest:
        yield rest


def within(pieces: Iterable[str], limit: int) -> tuple[list[str], bool]:
    """Return the pieces that fit into `limit` tokens, and whether something had to be left out."""
    kept: list[str] = []
    for piece in pieces:
        size = count_tokens(piece)
        if size > limit:
            if limit > 0:
                kept.append(cut_tokens(piece, limit))
            return kept, True
        kept.append(piece)
        limit -= size
    return kept, False
