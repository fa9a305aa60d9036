"""Structured answers, v1 or v2: the text of an answer as an instance of a pydantic model."""

from __future__ import annotations

import inspect
import re
from typing import Any

from gigachat.api.arguments import problem
from gigachat.exceptions import APIResponseValidationError

__all__ = ["check_class", "instance_of", "refuse_class"]

_CODE_FENCE = re.compile(r"\s*```\w*\n(.*?)\n?\s*```\s*", re.DOTALL)


def check_class(response_format: Any) -> None:
    """Check the class that responses are parsed into.

    Raises:
        TypeError: It is not a pydantic model class.
    """
    if not inspect.isclass(response_format) or not hasattr(response_format, "model_validate_json"):
        raise TypeError("response_format= takes a pydantic model class")


def refuse_class(response_format: Any, method: str) -> None:
    """Refuse a class where a format is wanted.

    Raises:
        TypeError: It is a class.
    """
    if inspect.isclass(response_format):
        raise TypeError(f"response_format= takes a schema here; for a class use {method}(..., response_format=...)")


def instance_of(kind: Any, text: str, completion: Any) -> Any:
    """Parse a text, perhaps inside code fences, as an instance of a class.

    Raises:
        APIResponseValidationError: The text does not fit; the error holds the completion.
    """
    fenced = _CODE_FENCE.fullmatch(text)
    try:
        return kind.model_validate_json(fenced[1] if fenced else text)
    except ValueError as error:
        reason = problem(error)
    raise APIResponseValidationError(f"the answer does not fit {kind.__name__}: {reason}", completion=completion)
