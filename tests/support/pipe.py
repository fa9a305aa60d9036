"""A file that can be read once and not rewound, such as a pipe."""

from __future__ import annotations

import io
from typing import Any

__all__ = ["Pipe"]


class Pipe(io.RawIOBase):
    """Content that goes by.

    Args:
        content: What is read.
    """

    def __init__(self, content: bytes) -> None:
        self._rest = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._rest.readinto(buffer)
