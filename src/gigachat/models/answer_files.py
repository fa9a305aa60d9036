"""Files of an answer: the marks in a text that stand for files, and reading and saving (reference, section 6).

A completion has two slots: `_reader_factory`, set by the engine, which makes the reader of its files, and `_marks`, the
marks found in its text. A slot is no field: dumps, copies, pickles and comparisons do not have it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pydantic import ConfigDict, Field

from gigachat.models.base import APIResponse, WireModel, read_only

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

__all__ = ["AnswerFile"]

_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# A tag contains no `<`: an attempt ends where the next one begins, so the search takes linear time.
_TAG = re.compile(r"<(img|video|div)\s([^<>]*)>", re.IGNORECASE)
_ATTRIBUTE = re.compile(rf"""(?<![\w-])(src|cover|data-model-id)\s?=\s?(["']?)({_ID})\2(?![\w-])""", re.IGNORECASE)
_TARGETS = {
    ("img", "src"): "image",
    ("video", "src"): "video",
    ("video", "cover"): "cover",
    ("div", "data-model-id"): "3dmodel",
}


class FileReader(Protocol):
    """Reads the files of answers, for the client that requested them."""

    def read(self, file: AnswerFile, client_id: str | None) -> bytes:
        """Return the content of a file."""
        ...

    async def aread(self, file: AnswerFile, client_id: str | None) -> bytes:
        """Return the content of a file."""
        ...

    def save(self, file: AnswerFile, path: str | os.PathLike[str], client_id: str | None) -> Path:
        """Write the content of a file to disk."""
        ...

    async def asave(self, file: AnswerFile, path: str | os.PathLike[str], client_id: str | None) -> Path:
        """Write the content of a file to disk."""
        ...


class AnswerFile(WireModel):
    """A file that the model made.

    It is read and saved by the client that requested the answer. Copies, pickles and dumps have no client.
    """

    __slots__ = ("_origin",)
    model_config = ConfigDict(populate_by_name=True)

    id_: str = Field(alias="id", description="Id of the file.")
    target: str | None = Field(default=None, description="Kind of a file made: `image`, `audio`, `3dmodel` or newer.")
    mime: str | None = Field(default=None, description="MIME type of a file made.")

    @read_only
    def id(self) -> str:
        """The same as `id_`."""
        return self.id_

    @read_only
    def is_image(self) -> bool:
        """Whether it is an image."""
        return (self.mime or "").startswith("image/") if self.target is None else self.target == "image"

    def read(self) -> bytes:
        """Return the content, held in memory (reference, section 9.5).

        Raises:
            GigaChatException: The request failed.
            ValueError: The file has no client, or one that is only awaited; nothing is sent.
        """
        reader, client_id = self._origin_or_error()
        return reader.read(self, client_id)

    async def aread(self) -> bytes:
        """Return the content, held in memory; `read` for async callers."""
        reader, client_id = self._origin_or_error()
        return await reader.aread(self, client_id)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the content to disk piece by piece, as `download_file` does (reference, section 9.5).

        Args:
            path: Where to; in a directory, the file gets the name that the service knows.

        Returns:
            The path that was written.

        Raises:
            GigaChatException: The request failed.
            ValueError: There is no such directory, or the file has no client, or one that is only awaited; nothing is
                sent.
            OSError: It cannot be written.
        """
        reader, client_id = self._origin_or_error()
        return reader.save(self, path, client_id)

    async def asave(self, path: str | os.PathLike[str]) -> Path:
        """Write the content to disk piece by piece; `save` for async callers."""
        reader, client_id = self._origin_or_error()
        return await reader.asave(self, path, client_id)

    def _origin_or_error(self) -> tuple[FileReader, str | None]:
        """Return the reader of the file, and the `X-Client-ID` of the request that made it.

        Raises:
            ValueError: The file has no client.
        """
        origin: tuple[FileReader, str | None] | None = _in_slot(self, "_origin")
        if origin is None:
            raise ValueError("this file has no client, as a copy has none: giga.download_file(file.id, path)")
        return origin


FileT = TypeVar("FileT", bound=AnswerFile)


def with_reader(completion: APIResponse, files: Iterable[FileT]) -> list[FileT]:
    """Return files of a completion that its reader reads, each id once.

    They are read with the `X-Client-ID` of the request that made them: the service demands it.
    """
    by_id: dict[str, FileT] = {}
    for file in files:
        by_id.setdefault(file.id_, file)
    reader_factory = _reader_factory(completion)
    if reader_factory is not None:
        origin = reader_factory(), (completion.x_headers or {}).get("x-client-id")
        for file in by_id.values():
            object.__setattr__(file, "_origin", origin)
    return [*by_id.values()]


def _reader_factory(completion: APIResponse) -> Callable[[], FileReader] | None:
    """Return what the engine has set; None for a completion that no client requested."""
    factory: Callable[[], FileReader] | None = _in_slot(completion, "_reader_factory")
    return factory


def _in_slot(owner: object, name: str) -> Any:
    """Return what a slot has, and never a field of the response that has its name."""
    try:
        return object.__getattribute__(owner, name)
    except AttributeError:
        return None


def marked_files(completion: APIResponse, text: str, kind: type[FileT]) -> list[FileT]:
    """Return the files that the text of a completion has marks of; ids that are no UUID are not the service's.

    Args:
        completion: Keeps the marks, so that a text is searched once.
        text: Its text.
        kind: Class of the files.
    """
    searched: tuple[str, list[dict[str, str]]] | None = _in_slot(completion, "_marks")
    if searched is None or searched[0] != text:
        searched = text, [*_marks(text)]
        object.__setattr__(completion, "_marks", searched)
    return [kind.model_validate(mark) for mark in searched[1]]


def _marks(text: str) -> Iterator[dict[str, str]]:
    for tag in _TAG.finditer(text):
        for attribute in _ATTRIBUTE.finditer(tag[2]):
            target = _TARGETS.get((tag[1].lower(), attribute[1].lower()))
            if target is not None:
                yield {"id": attribute[3], "target": target}
