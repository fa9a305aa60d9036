"""Refusals: one exception and the texts of the service (reference, section 13).

There are two shapes, the API's `{"status","message"}` and the OAuth gateway's `{"code","message"}`.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

INVALID_JSON = "Your request contains invalid JSON syntax."
NO_SUCH_MODEL = "No such model"

_MESSAGES = {
    400: INVALID_JSON,
    403: "Permission denied",
    413: "Payload too large",
    422: "Unprocessable Entity",
    429: "Too many requests",
}
"""The texts of the service where they are not the standard phrases."""


def default_message(status: int) -> str:
    """Return the service's text for a status, or the standard phrase if its text is not known."""
    try:
        return _MESSAGES.get(status) or HTTPStatus(status).phrase
    except ValueError:
        return f"Status {status}"


class Refusal(Exception):
    """A request that the service refuses.

    Args:
        status: HTTP status of the response.
        message: Text of the response; by default that of the status.
        code: Number of the OAuth gateway's error shape; None means the API's shape.
        detail: What the service does not say; only the web page shows it.
    """

    def __init__(
        self, status: int, message: str | None = None, *, code: int | None = None, detail: str | None = None
    ) -> None:
        self.status = status
        self.message = default_message(status) if message is None else message
        self.code = code
        self.detail = detail
        super().__init__(f"{status} {self.message}")

    def body(self) -> dict[str, Any]:
        """Return the JSON body in the shape of the host that refuses (reference, section 1.3 and 13)."""
        if self.code is not None:
            return {"code": self.code, "message": self.message}
        return {"status": self.status, "message": self.message}


def invalid_shape(detail: str) -> Refusal:
    """Return the refusal of a body that can't be parsed or whose fields have the wrong JSON type.

    Args:
        detail: What is wrong with it, for the web page: the service does not say.
    """
    return Refusal(400, INVALID_JSON, detail=detail)


def invalid_params(text: str) -> Refusal:
    """Return the refusal of a well-formed body with values or an order the service doesn't take."""
    return Refusal(422, f"Invalid params: {text}")
