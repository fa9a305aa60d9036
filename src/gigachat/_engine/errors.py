"""The errors of requests: of each HTTP status, and of a call that took too long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigachat._advice import CREDENTIALS
from gigachat._headers import Headers
from gigachat.exceptions import (
    AuthenticationError,
    BadRequestError,
    ForbiddenError,
    ModelUnavailableError,
    NotFoundError,
    PaymentRequiredError,
    RateLimitError,
    RequestEntityTooLargeError,
    ResponseError,
    ServerError,
    TotalTimeoutError,
    UnprocessableEntityError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_BY_STATUS: dict[int, type[ResponseError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: PaymentRequiredError,
    403: ForbiddenError,
    404: NotFoundError,
    413: RequestEntityTooLargeError,
    422: UnprocessableEntityError,
    423: ModelUnavailableError,
    429: RateLimitError,
}


def error_for_status(
    url: str,
    status_code: int,
    content: bytes | None,
    headers: Mapping[str, str] | None,
    *,
    authorization: str = CREDENTIALS,
) -> ResponseError:
    """Return the error for an HTTP status.

    Args:
        url: Address of the request.
        status_code: The status.
        content: Raw body of the response.
        headers: Headers of the response.
        authorization: Where that of the request came from; a constant of `_advice`.
    """
    kind = _BY_STATUS.get(status_code, ServerError if status_code >= 500 else ResponseError)
    error = kind(url, status_code, content, Headers(headers or {}))
    if authorization != CREDENTIALS:
        error._authorization = authorization
    return error


def total_timeout_error(seconds: float | None, reason: str) -> TotalTimeoutError:
    """Return the error for a call that took longer than `total_timeout`."""
    return TotalTimeoutError(f"the call took longer than total_timeout={seconds or 0:g} s: {reason}")
