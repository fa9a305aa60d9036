"""Structured answers, v1 or v2: the text of an answer as an instance of a pydantic model."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any, TypeVar

from gigachat._engine.calls import Call
from gigachat.api.arguments import problem, validated
from gigachat.exceptions import (
    APIResponseValidationError,
    ContentFilterFinishReasonError,
    GenerationError,
    LengthFinishReasonError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import BaseModel

    FormatT = TypeVar("FormatT", bound=BaseModel)

T = TypeVar("T")

_CODE_FENCE = re.compile(r"\s*```\w*\n(.*?)\n?\s*```\s*", re.DOTALL)


def refuse_class(response_format: Any, method: str) -> None:
    """Refuse a class where a format is wanted.

    Raises:
        TypeError: It is a class.
    """
    if inspect.isclass(response_format):
        raise TypeError(f"response_format= takes a schema here; for a class use {method}(..., response_format=...)")


def format_of(kind: type[FormatT], response_format: Any, strict: bool) -> FormatT:
    """Return the format that asks for instances of a class.

    Args:
        kind: Class of the format.
        response_format: The class.
        strict: Whether the service keeps exactly to the schema.

    Raises:
        TypeError: It is not a pydantic model class.
        ValueError: It has no JSON Schema.
    """
    if not inspect.isclass(response_format) or not hasattr(response_format, "model_validate_json"):
        raise TypeError("response_format= takes a pydantic model class")
    return validated(kind, {"schema": response_format, "strict": strict})


def parsing_call(
    call: Call[T],
    response_format: Any,
    answer: Callable[[T], tuple[str | None, str]],
    failure: Callable[[T], str | None],
) -> Call[tuple[T, Any]]:
    """Return a call that gives its completion and an instance of a class made of it.

    Args:
        call: The call that gives the completion.
        response_format: The class.
        answer: Returns why the answer of a completion ended, and its text.
        failure: Returns what is known about the failure of a completion; None if it has not failed.
    """
    read = call.read

    def read_both(content: bytes, headers: Mapping[str, str]) -> tuple[T, Any]:
        completion = read(content, headers)
        failed = failure(completion)
        if failed is not None:
            raise GenerationError(failed, completion=completion)
        reason, text = answer(completion)
        if reason == "length":
            raise LengthFinishReasonError(completion)
        if reason is not None and (reason.endswith("blacklist") or reason.startswith("request_")):
            raise ContentFilterFinishReasonError(completion)
        if not text:
            raise APIResponseValidationError("the answer has no text", completion=completion)
        return completion, _instance(response_format, text, completion)

    return Call(call.method, call.path, read_both, json=call.json, v2=call.v2)


def _instance(kind: Any, text: str, completion: Any) -> Any:
    """Parse a text, perhaps inside code fences, as an instance of a class."""
    fenced = _CODE_FENCE.fullmatch(text)
    try:
        return kind.model_validate_json(fenced[1] if fenced else text)
    except ValueError as error:
        reason = problem(error)
    raise APIResponseValidationError(f"the answer does not fit {kind.__name__}: {reason}", completion=completion)
