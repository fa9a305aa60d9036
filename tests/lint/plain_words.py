"""Phrases that plain technical English does not need: metaphors, and words that have a field term."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["banned_phrases"]

INSTEAD = {
    "at work": "in progress",
    "under way": "in progress",
    "goes on": "continues",
    "gets on": "its status, its progress",
    "worked off": "processed",
    "no good answer": "the request failed",
    "is no more": "is deleted, is closed",
    "surely": "leave it out",
    "who leaves": "name the caller, the client or the reader",
    "whoever": "name the caller, the client or the reader",
    "nobody": "name who does not, or use the passive",
    "stands for": "means, is",
    "in vain": "say what fails",
    "comes to lie": "is stored",
    "business of": "say what the module does",
    "of one's own": "own",
    "meanwhile": "at the same time, or say when",
}
"""What to write instead of each phrase."""
_PHRASES = re.compile(rf"\b({'|'.join(INSTEAD)})\b", re.IGNORECASE)


def banned_phrases(*files: Path) -> Iterator[tuple[Path, int, str]]:
    """Yield the file, the line number and the problem of each banned phrase."""
    for file in files:
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
            for found in _PHRASES.finditer(line):
                yield file, number, f"{found[0]!r}: write {INSTEAD[found[0].lower()]!r}"
