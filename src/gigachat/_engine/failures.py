"""Failures inside a response with status 200: `error_details`, or `finish_reason` `error` (reference, section 13)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gigachat.exceptions import GenerationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_ERROR = "error"
_EXCERPT = 200  # characters of the details shown in an error's text


def failure_text(details: Mapping[str, Any] | None, finish_reasons: Iterable[str | None] = ()) -> str | None:
    """Return what is known about a failure that a response reports; None if it reports none.

    Args:
        details: The field `error_details`.
        finish_reasons: Each `finish_reason` of the response.
    """
    if not details:
        return f"the service failed to respond (finish_reason {_ERROR!r})" if _ERROR in finish_reasons else None
    message = details.get("message")
    text = message if isinstance(message, str) and message else json.dumps(details, ensure_ascii=False)
    text = " ".join(text.split())
    return f"the service failed to respond: {text if len(text) <= _EXCERPT else text[:_EXCERPT] + '…'}"


def error_of_details(body: Any) -> GenerationError | None:
    """Return the error of a body that cannot be read, if it has `error_details`."""
    details = body.get("error_details") if isinstance(body, dict) else None
    text = failure_text(details) if isinstance(details, dict) else None
    return None if text is None else GenerationError(text)
