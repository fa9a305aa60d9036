"""Request bodies, parsed as JSON objects of the right shape (reference, section 13)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gigachat.server.wire.errors import invalid_shape
from gigachat.server.wire.shapes import check_shape

if TYPE_CHECKING:
    from starlette.requests import Request

    from gigachat.server.wire.shapes import Shape


async def read_body(request: Request, shape: Shape, *, strict: bool) -> dict[str, Any]:
    """Return the body of a request, an object of a shape.

    Raises:
        Refusal: See `read_object` and `check_shape`.
    """
    body = read_object(await request.body())
    check_shape(body, shape, strict=strict)
    return body


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
