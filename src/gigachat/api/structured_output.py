"""Structured answers, v1 or v2: the text of an answer as a value of a type."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gigachat._usage import total_usage
from gigachat.api.arguments import field_of, validated
from gigachat.exceptions import (
    APIResponseValidationError,
    ContentFilterFinishReasonError,
    GenerationError,
    GigaChatException,
    InvalidJSONError,
    LengthFinishReasonError,
    RefusalError,
    SchemaMismatchError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import BaseModel

    from gigachat._engine.calls import Call
    from gigachat._engine.session import Session
    from gigachat._engine.value_type import ValueType


@dataclass(frozen=True, slots=True)
class Form:
    """How completions of one version of the API are read.

    Attributes:
        response_format: Class of the format.
        message: Class of a message.
        answer: Returns why the answer of a completion ended, and its text.
        failure: Returns what is known about the failure of a completion; None if it has not failed.
    """

    response_format: type[BaseModel]
    message: type[BaseModel]
    answer: Callable[[Any], tuple[str | None, str]]
    failure: Callable[[Any], str | None]


def wanted(
    form: Form, into: Any, response_format: Any, *, strict: bool, simplify: bool
) -> tuple[ValueType, dict[str, Any]]:
    """Return the type of an answer's value, and the fields of the request that ask for it.

    Args:
        form: Version of the API.
        into: The type, or its `TypeAdapter`.
        response_format: A pydantic model class, in place of `into`.
        strict: Whether the service keeps exactly to the schema.
        simplify: Whether the flat form of the schema is sent.

    Raises:
        TypeError: It is no type, or both are given, or none.
        ValueError: It has no JSON Schema.
    """
    from gigachat._engine.value_type import ValueType, value_type
    from gigachat.models.response_format import json_schema
    from gigachat.schema import simplify as simplified

    if into is not None:
        if response_format is not None:
            raise TypeError("give into= or response_format=, not both")
        kind = value_type(into)
    else:
        if response_format is None:
            raise TypeError("give into= with the type of the value; response_format= takes a pydantic model class")
        if not inspect.isclass(response_format) or not hasattr(response_format, "model_validate_json"):
            raise TypeError("response_format= takes a pydantic model class; into= takes any type")
        model: Any = response_format
        kind = ValueType(model.__name__, model.model_validate_json, model)
    schema = simplified(json_schema(kind.schema)) if simplify else kind.schema
    asked = validated(form.response_format, {"schema": schema, "strict": strict})
    return kind, {"response_format": asked}


_REPAIRED = (RefusalError, InvalidJSONError, SchemaMismatchError)
_RAISED = (APIResponseValidationError, GenerationError, LengthFinishReasonError, ContentFilterFinishReasonError)


async def parsed(session: Session, call: Call[Any], kind: ValueType, form: Form, repair: int) -> tuple[Any, Any]:
    """Send a call; return its completion and the value in it.

    Args:
        session: Sends the call.
        call: The call that returns the completion.
        kind: Type of the value.
        form: Version of the API.
        repair: How often the model may be asked again, with what is wrong with its last answer. The usage of the
            completion is then the sum of all.
    """
    from gigachat._engine.value_type import read_value

    _check_repair(repair, call)
    earlier: list[Any] = []
    asked, problem = call, None
    while True:
        try:
            completion = await session.send(asked)
        except GigaChatException as error:
            if problem is None:
                raise
            if isinstance(error, _RAISED):
                error.completions[:0] = earlier
            raise error from problem  # which has the completions that were paid for
        reason, text = form.answer(completion)
        try:
            value = read_value(kind, completion, form.failure(completion), reason, text)
        except _RAISED as error:
            error.completions[:0] = earlier
            if not isinstance(error, _REPAIRED) or len(earlier) >= repair:
                raise
            problem = error.with_traceback(None)
        else:
            if earlier:
                completion.usage = total_usage([*earlier, completion])
            return completion, value
        earlier.append(completion)
        asked = _again(call, form, text, problem.problems)


def _check_repair(repair: Any, call: Call[Any]) -> None:
    if not isinstance(repair, int) or isinstance(repair, bool) or repair < 0:
        raise ValueError("repair= is how often the model may be asked again: 0 or more")
    if repair and field_of(call.json, "storage"):
        raise ValueError("repair= sends the messages again, but storage= keeps them at the service: omit one of them")


def _again(call: Call[Any], form: Form, text: str, problems: list[str]) -> Call[Any]:
    """Return a call with the last answer and what is wrong with it behind the messages."""
    wrong = "\n".join(f"- {problem}" for problem in problems)
    said = f"Your answer does not fit the JSON schema:\n{wrong}\nWrite it again, corrected. Write the JSON only."
    messages: list[Any] = [
        validated(form.message, {"role": "assistant", "content": text}),
        validated(form.message, {"role": "user", "content": said}),
    ]
    body: Any = call.json
    if isinstance(body, Mapping):
        messages = [one.model_dump(exclude_none=True, by_alias=True) for one in messages]
        return replace(call, json={**body, "messages": [*body["messages"], *messages]})
    return replace(call, json=body.model_copy(update={"messages": [*body.messages, *messages]}))
