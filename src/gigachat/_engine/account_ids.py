"""The ids that belong to one account: of files, threads, batches, states. Which credential of a pool has returned each.

Bodies are JSON as text. Only places that name such ids are searched: a message may contain any text, also ids. It has
no lock: operations on its dictionary are atomic.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from gigachat._engine.transport import Response

OwnerT = TypeVar("OwnerT")

_REMEMBERED = 20_000
_SCANNED = 256 * 1024  # longest body of a response that is searched, in bytes
_OVERLAP = 256  # bytes of a stream that are searched again with the next piece

_UUID = rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_ID = re.compile(_UUID, re.IGNORECASE)
_VALUE = re.compile(rb'(?<!\\)"(%s)"' % _UUID, re.IGNORECASE)
# Inside of texts, quotes are escaped.
_FILES = re.compile(rb'(?<!\\)"(?:attachments|files|file_ids)":\s?\[[^\]]*\]|(?<!\\)"(?:input_)?file_id":\s?"[^"]*"')
_STATES = re.compile(rb'(?<!\\)"(?:functions_state_id|tools_state_id|thread_id|assistant_id)":\s?"[^"]*"')
_MARKS = re.compile(rb'src=\\"(%s)\\"' % _UUID, re.IGNORECASE)


class AccountIds(Generic[OwnerT]):
    """Ids and their owners. The first owner of an id stays."""

    def __init__(self) -> None:
        self._owners: dict[bytes, OwnerT] = {}

    def __bool__(self) -> bool:
        return bool(self._owners)

    def note(self, content: bytes, owner: OwnerT, *, chat: bool) -> None:
        """Remember the ids in the body of a response.

        Args:
            content: The body.
            owner: To whom they belong.
            chat: Whether it is the answer of a model, which may repeat ids from its prompt.
        """
        if len(content) > _SCANNED:
            return
        if chat:
            places = b" ".join([*_FILES.findall(content), *_STATES.findall(content)])
            found = [*_ID.findall(places), *_MARKS.findall(content)]
        else:
            found = _VALUE.findall(content)
        for one in found:
            self._owners.setdefault(one.lower(), owner)
        if len(self._owners) > 2 * _REMEMBERED:
            for oldest in list(islice(self._owners, _REMEMBERED)):
                self._owners.pop(oldest, None)

    def owners(self, path: str, content: bytes) -> list[OwnerT]:
        """Return the owners of the ids that a request names: those of its address and files, else that of its state.

        Args:
            path: Path of the address.
            content: The body.
        """
        files = b" ".join([path.encode(), *_FILES.findall(content)])
        states = b" ".join(_STATES.findall(content))
        return self._known(_ID.findall(files)) or self._known(_ID.findall(states))[-1:]

    def _known(self, ids: list[bytes]) -> list[OwnerT]:
        known = [self._owners.get(one.lower()) for one in ids]
        return list(dict.fromkeys(owner for owner in known if owner is not None))


def names_id(path: str) -> bool:
    """Whether a path contains an id."""
    return _ID.search(path.encode()) is not None


def without_ids(path: str) -> str:
    """Return a path without its ids."""
    return _ID.sub(b"", path.encode()).decode()


class NotedResponse(Generic[OwnerT]):
    """A response whose ids are remembered when it is read.

    Args:
        response: The response.
        ids: Where they are remembered.
        owner: To whom they belong.
        chat: Whether it is the answer of a model.
    """

    def __init__(self, response: Response, ids: AccountIds[OwnerT], owner: OwnerT, *, chat: bool) -> None:
        self._response = response
        self._ids = ids
        self._owner = owner
        self._chat = chat
        self._end = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._response, name)

    async def read(self, limit: int, option: str = "max_response_bytes=") -> bytes:
        """Return the whole body."""
        content = await self._response.read(limit, option)
        self._ids.note(content, self._owner, chat=self._chat)
        return content

    async def receive(self) -> bytes:
        """Return the next piece of the body."""
        piece = await self._response.receive()
        self._end += piece
        self._ids.note(self._end, self._owner, chat=self._chat)
        self._end = self._end[-_OVERLAP:]
        return piece
