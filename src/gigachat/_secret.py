"""Text that must not be shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class Secret(str):
    """Text that is sent as it is and not shown where objects are printed, as in a log or a traceback with variables."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'**********'"


def hidden(values: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return a mapping whose texts are not shown, alone or in lists; None if there is nothing."""
    return {name: _hidden(value) for name, value in values.items()} if values else None


def _hidden(value: Any) -> Any:
    if isinstance(value, str):
        return Secret(value)
    if isinstance(value, list | tuple):
        return [Secret(item) if isinstance(item, str) else item for item in value]
    return value
