"""Request bodies as JSON; what is no JSON object is refused with 400 (reference, section 13)."""

from __future__ import annotations

import json
from typing import Any

from gigachat.server.wire.errors import invalid_shape


def read_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a body.

    Raises:
        Refusal: 400 when it is anything else.
    """
    try:
        read = json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise invalid_shape() from None
    if not isinstance(read, dict):
        raise invalid_shape()
    return read


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
