"""The files of conversations that have a name. One process at a time uses each."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gigachat.cli.keys import made_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import IO


@contextmanager
def conversation_file(name: str, api: str) -> Iterator[Path]:
    """Give the file of a conversation, which no other process uses until the end of the block.

    Args:
        name: Name of the conversation.
        api: Version of the API; each has its own conversations.

    Raises:
        ValueError: The name is invalid, or another process uses the conversation.
        OSError: The file cannot be written.
    """
    if not name.replace("-", "").replace("_", "").isalnum():
        raise ValueError(f"{name!r} is not a name of a conversation: it has letters, digits, - and _")
    path = made_directory("conversations") / f"{name}{'.v2' if api == 'v2' else ''}.jsonl"
    with open(path.with_suffix(".lock"), "wb") as file:
        if not _locked(file):
            raise ValueError(f"the conversation {name!r} is in use by another process: choose one by --conversation")
        yield path


if sys.platform == "win32":
    import msvcrt

    def _locked(file: IO[bytes]) -> bool:
        """Lock a file until it is closed; whether it was free."""
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _locked(file: IO[bytes]) -> bool:
        """Lock a file until it is closed; whether it was free."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
