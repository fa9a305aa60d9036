"""Files written to disk: whole or not at all. Nothing here knows where their bytes come from."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LONGEST_NAME = 255  # bytes, as most file systems have it
_NO_NAME = re.compile(r'[<>:"|?*\x00-\x1f]')


def is_directory(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a directory, so that the file in it needs a name.

    Raises:
        ValueError: Nothing can be written there.
    """
    if not os.fspath(path) or "\0" in str(path):
        raise ValueError("the path of the file is empty, or has a null character")
    if os.path.isdir(path):
        return True
    directory = os.path.dirname(os.fspath(path)) or "."
    if not os.path.isdir(directory):
        raise ValueError(f"there is no directory {directory!r}")
    return False


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Give a file to write that takes its place when it is whole; until then, and if that fails, the old one stays.

    A device or a pipe, such as /dev/null, is written itself, and a link stays a link.

    Raises:
        OSError: It cannot be written.
    """
    import uuid  # deferred: it loads what asks for the platform

    path = path.resolve()
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
        return
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with part.open("xb") as file:
            yield file
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def safe_name(name: str) -> str:
    """Return a name that others chose as the name of a file in a directory; empty if nothing is left of it."""
    name = _NO_NAME.sub("_", re.split(r"[/\\]", name)[-1])
    # The end of a long name is kept, for the type is there.
    return name.encode()[-_LONGEST_NAME:].decode("utf-8", "ignore").strip(". ")
