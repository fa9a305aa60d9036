"""Failures inside a response with status 200: `error_details`, or `finish_reason` `error` (reference, section 13)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from gigachat._engine.parsing import json_object, read_model
from gigachat.exceptions import APIResponseValidationError, GenerationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from gigachat.models import APIResponse

    AnswerT = TypeVar("AnswerT", bound=APIResponse)

_EXCERPT = 200  # characters of the details shown in an error's text


def failure_text(details: Mapping[str, Any] | None, reasons: Iterable[str | None] = ()) -> str | None:
    """Return what is known about a failure; None if there is none.

    Args:
        details: The field `error_details`.
        reasons: Each `finish_reason` of the response.
    """
    if details:
        message = details.get("message")
        text = message if isinstance(message, str) and message else json.dumps(details, ensure_ascii=False)
        text = " ".join(text.split())
        return f"the service failed to respond: {text if len(text) <= _EXCERPT else text[:_EXCERPT] + '…'}"
    return "the service failed to respond (finish_reason 'error')" if "error" in reasons else None


def error_of_details(body: Mapping[str, Any]) -> GenerationError | None:
    """Return the error of a body that is no completion but has `error_details`."""
    details = body.get("error_details")
    text = failure_text(details) if isinstance(details, dict) else None
    return None if text is None else GenerationError(text)


def read_completion(
    model: type[AnswerT], failure: Callable[[AnswerT], str | None], has_content: Callable[[AnswerT], bool]
) -> Callable[[bytes, Mapping[str, str]], AnswerT]:
    """Return a function that parses a completion, and raises `GenerationError` for a failed one without content.

    Args:
        model: Class of the completion.
        failure: Returns what is known about the failure of a completion; None if it has not failed.
        has_content: Whether a completion has text or a call.
    """
    read = read_model(model)

    def read_or_raise(content: bytes, headers: Mapping[str, str]) -> AnswerT:
        try:
            completion = read(content, headers)
        except APIResponseValidationError as error:
            invalid = error
        else:
            text = failure(completion)
            if text is None or has_content(completion):
                return completion
            raise GenerationError(text, completion=completion)
        try:
            failed = error_of_details(json_object(content))
        except APIResponseValidationError:
            failed = None
        raise failed or invalid

    return read_or_raise
