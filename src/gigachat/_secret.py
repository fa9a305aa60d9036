"""Text that must not be shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Secret(str):
    """Text that is sent as it is and not shown where objects are printed, as in a log or a traceback with variables."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'**********'"


def hidden(values: Mapping[str, Any] | None, name: str) -> dict[str, Any] | None:
    """Return a mapping whose texts are not shown, alone or in lists; None if there is nothing.

    Raises:
        TypeError: It is not a mapping. The error contains `name`.
    """
    if not values:
        return None
    if not isinstance(values, Mapping):
        raise TypeError(f"{name} must be a mapping, not {type(values).__name__}")
    return {key: _hidden(value) for key, value in values.items()}


def _hidden(value: Any) -> Any:
    if isinstance(value, str):
        return Secret(value)
    if isinstance(value, list | tuple):
        return [Secret(item) if isinstance(item, str) else item for item in value]
    return value
