"""Failures inside a response with status 200 (reference, section 13).

The service reports a failure by `error_details` or `finish_reason` `error`, a restricted topic by other reasons.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gigachat.exceptions import GenerationError

if TYPE_CHECKING:
    from collections.abc import Mapping

ERROR = "error"
"""The `finish_reason` of a failure."""
_EXCERPT = 200  # characters of the details shown in an error's text


def failure_text(details: Mapping[str, Any] | None) -> str:
    """Return what is known about a failure.

    Args:
        details: The field `error_details`; if it is empty, the `finish_reason` says that there is a failure.
    """
    if not details:
        return f"the service failed to respond (finish_reason {ERROR!r})"
    message = details.get("message")
    text = message if isinstance(message, str) and message else json.dumps(details, ensure_ascii=False)
    # JSON may have half a surrogate pair, which cannot be printed.
    text = " ".join(text.split()).encode("utf-8", "replace").decode()
    return f"the service failed to respond: {text if len(text) <= _EXCERPT else text[:_EXCERPT] + '…'}"


def is_restricted(finish_reason: str) -> bool:
    """Whether an answer with this `finish_reason` ended because the service restricted the topic."""
    return finish_reason.endswith("blacklist") or finish_reason.startswith("request_")


def error_of_details(body: Any) -> GenerationError | None:
    """Return the error of a body that cannot be read, if it has `error_details`."""
    details = body.get("error_details") if isinstance(body, dict) else None
    return GenerationError(failure_text(details)) if details and isinstance(details, dict) else None
