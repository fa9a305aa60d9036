"""Old import path of 0.2 for the types of uploads. Nothing new belongs here."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import IO, TypeAlias

__all__ = ["FileContent", "FileTypes"]

FileContent: TypeAlias = IO[bytes] | bytes | str | PathLike[str]
FileTypes: TypeAlias = (
    FileContent
    | tuple[str | None, FileContent]
    | tuple[str | None, FileContent, str | None]
    | tuple[str | None, FileContent, str | None, Mapping[str, str]]
)
