"""The type that the text of an answer is parsed into.

A value whose JSON is not an object is asked for as `{"value": …}` and read from it. An array or an object is also read
without that object; text, numbers and other plain values are not, because any words would do.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gigachat._engine.failures import is_restricted
from gigachat._engine.json_text import pieces, problem
from gigachat._engine.requests import refuse_number
from gigachat._validation import class_and_text, message_of, path_of
from gigachat.exceptions import (
    APIResponseValidationError,
    ContentFilterFinishReasonError,
    GenerationError,
    InvalidJSONError,
    LengthFinishReasonError,
    RefusalError,
    SchemaMismatchError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigachat._engine.json_text import Piece

_MOST_PROBLEMS = 5
_LONGEST_REASON = 200


class ValueType:
    """A type, and how its values are read from text.

    Args:
        name: Its name in messages.
        validate: Makes a value of JSON; it may raise any exception of the type's own validators.
        schema: JSON Schema that asks for a value, or the pydantic model that has it.
        wrapped: Whether the value is the property `value` of the JSON.
    """

    def __init__(self, name: str, validate: Callable[[str], Any], schema: Any, wrapped: bool = False) -> None:
        self.name = name
        self._validate = validate
        self.schema = schema
        self.wrapped = wrapped

    def validate(self, text: str) -> Any:
        """Return the value in JSON.

        Raises:
            Exception: The JSON is invalid, or has NaN or an infinity, or does not fit; or of the type's own validator.
        """
        if "NaN" in text or "Infinity" in text:
            json.loads(text, parse_constant=refuse_number)
        return self._validate(text)

    def read(self, text: str, completion: Any) -> Any:
        """Return the value in the text of an answer.

        Raises:
            RefusalError, InvalidJSONError, SchemaMismatchError: There is none.
        """
        if not self.wrapped:
            with suppress(Exception):  # there may be words around the JSON
                return self.validate(text)
        found = list(pieces(text))
        problems: list[str] = []
        cause: Exception | None = None
        for written, place in self._candidates(found):
            try:
                return self.validate(written)
            except Exception as error:
                if not problems:
                    problems = _problems(error, place)
                    cause = None if isinstance(error, ValueError) else error
        if found:
            mismatch = self._error(SchemaMismatchError, problems or ["value: the property is missing"], completion)
            raise mismatch from cause
        reason = problem(text)
        if reason is None:
            raise self._error(RefusalError, ["it has no JSON"], completion)
        raise self._error(InvalidJSONError, [f"the JSON is invalid: {reason}"], completion)

    def _candidates(self, found: list[Piece]) -> list[tuple[str, str]]:
        """Return the JSON that may be the value, with its place: the property `value` goes before all else."""
        if not self.wrapped:
            return [(piece.text, "") for piece in found]
        inside, bare = [], []
        for text, value in found:
            if isinstance(value, dict) and "value" in value:
                inside.append((json.dumps(value["value"]), "value"))
            if isinstance(value, list) or (isinstance(value, dict) and value.keys() != {"value"}):
                bare.append((text, ""))
        return [*inside, *bare]

    def _error(
        self, kind: type[RefusalError | InvalidJSONError | SchemaMismatchError], problems: list[str], completion: Any
    ) -> Exception:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        message = f"the answer does not fit {self.name}: {problems[0]}{more}"
        return kind(message, completion=completion, problems=problems)


def value_type(into: Any) -> ValueType:
    """Return how values of a type, or of a `TypeAdapter`, are read.

    Raises:
        TypeError: It is neither.
        ValueError: It has no JSON Schema.
    """
    from gigachat.models.response_format import adapter_of, is_type, name_of, object_schema

    if not is_type(into):
        raise TypeError(f"into= takes a type or a TypeAdapter, not an object of class {type(into).__name__}")
    return ValueType(name_of(into), adapter_of(into).validate_json, *object_schema(into))


def read_value(kind: ValueType, completion: Any, failed: str | None, reason: str | None, text: str) -> Any:
    """Return the value that a completion holds.

    Args:
        kind: Type of the value.
        completion: The completion.
        failed: What is known about its failure; None if it has not failed.
        reason: Why the answer ended.
        text: Text of the answer.

    Raises:
        GenerationError, LengthFinishReasonError, ContentFilterFinishReasonError: There is no whole answer.
        APIResponseValidationError: The answer calls a function, or does not fit; see `ValueType.read`.
    """
    if failed is not None:
        raise GenerationError(failed, completion=completion)
    if reason == "length":
        raise LengthFinishReasonError(completion)
    if reason is not None and is_restricted(reason):
        raise ContentFilterFinishReasonError(completion)
    if not text:
        if reason == "function_call":
            raise APIResponseValidationError("the answer has no text: it calls a function", completion=completion)
        raise InvalidJSONError("the answer has no text", completion=completion, problems=["it has no text"])
    return kind.read(text, completion)


def _problems(error: Exception, place: str) -> list[str]:
    """Return the errors of a validation, each with its path, without the text of the answer."""
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        reason = str(error) if isinstance(error, ValueError) else class_and_text(error)[:_LONGEST_REASON]
        return [f"{place}: {reason}" if place else reason]
    found = []
    for one in error.errors(include_input=False, include_url=False)[:_MOST_PROBLEMS]:
        path = path_of([place, *one["loc"]] if place else one["loc"])
        reason = " ".join(message_of(one).split())[:_LONGEST_REASON]
        found.append(f"{path}: {reason}" if path else reason)
    return found
