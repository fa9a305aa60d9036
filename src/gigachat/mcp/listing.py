"""The last list of tools that a server sent, as it came: errors of the package mcp contain only positions in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import TracebackType


class ListingStream:
    """A stream of the messages of a server, which keeps the last list of tools.

    Args:
        stream: The stream of the package mcp.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._tools: Any = ()

    def name_at(self, place: tuple[int | str, ...]) -> str | None:
        """Return the name of the tool at a place of the result; None if there is none."""
        match place:
            case ("tools", int(position), *_):
                match self._tools[position : position + 1]:
                    case [{"name": str() as name}]:
                        return name
        return None

    @property
    def last_context(self) -> Any:
        """The context of the last message's sender."""
        return getattr(self._stream, "last_context", None)

    async def receive(self) -> Any:
        """Return the next message."""
        return self._kept(await self._stream.receive())

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        return self._kept(await self._stream.__anext__())

    async def __aenter__(self) -> Self:
        await self._stream.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        exited: bool | None = await self._stream.__aexit__(kind, error, traceback)
        return exited

    def _kept(self, item: Any) -> Any:
        result = getattr(getattr(item, "message", None), "result", None)
        if isinstance(result, dict) and isinstance(result.get("tools"), list):
            self._tools = result["tools"]
        return item
