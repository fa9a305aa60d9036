"""Request bodies: JSON objects, and fields of a JSON type.

A wrong shape is refused with 400 (reference, section 13); null counts as absent.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gigachat.server.wire.errors import invalid_shape

if TYPE_CHECKING:
    from collections.abc import Mapping

NUMBER = (int, float)


def read_json(body: bytes) -> Any:
    """Return the JSON document of a body.

    Raises:
        Refusal: 400 when it is not one.
    """
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise invalid_shape() from None


def read_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a body.

    Raises:
        Refusal: 400 when it is anything else.
    """
    read = read_json(body)
    if not isinstance(read, dict):
        raise invalid_shape()
    return read


def typed(body: Mapping[str, Any], name: str, kind: Any) -> Any:
    """Return a field of this JSON type; null counts as absent.

    Raises:
        Refusal: 400 for another type.
    """
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise invalid_shape()
    return value


def needed(body: Mapping[str, Any], name: str, kind: Any) -> Any:
    """Return a field of this JSON type that must be there.

    Raises:
        Refusal: 400 for another type or none.
    """
    value = typed(body, name, kind)
    if value is None:
        raise invalid_shape()
    return value


def list_of(body: Mapping[str, Any], name: str, kind: Any) -> list[Any]:
    """Return a field that is an array of this JSON type; an empty list when it is absent.

    Raises:
        Refusal: 400 for another type.
    """
    values: list[Any] = typed(body, name, list) or []
    if not all(isinstance(value, kind) for value in values):
        raise invalid_shape()
    return values


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
