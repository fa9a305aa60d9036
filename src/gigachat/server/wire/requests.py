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
    except UnicodeDecodeError:
        raise invalid_shape("The body is not UTF-8.") from None
    except RecursionError:
        raise invalid_shape("The body is nested too deeply.") from None
    except ValueError as error:
        raise invalid_shape(f"{error}.") from None
    if not isinstance(read, dict):
        raise invalid_shape("The body is not an object.")
    return read


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
