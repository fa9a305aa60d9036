"""Text that must not be shown."""

from __future__ import annotations

__all__ = ["Secret"]


class Secret(str):
    """Text that is sent as it is and not shown where objects are printed, as in a log or a traceback with variables."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'**********'"
