"""Response bodies as models, parsed from bytes in one step. Errors name the field that does not fit, not its value."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

from gigachat._engine.failures import error_of_details
from gigachat._engine.sse import END
from gigachat.exceptions import APIResponseValidationError, GenerationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pydantic import TypeAdapter

    from gigachat.models import APIResponse

    AnswerT = TypeVar("AnswerT", bound=APIResponse)

FunctionT = TypeVar("FunctionT", bound="Callable[..., Any]")

_ERROR_EVENTS = ("error", "response.error")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # some gateways write one before JSON


def _cached(function: FunctionT) -> FunctionT:
    # The type of `lru_cache` forgets which model the function is for.
    return cast("FunctionT", lru_cache(function))


@_cached
def read_model(model: type[AnswerT]) -> Callable[[bytes, Mapping[str, str]], AnswerT]:
    """Return a function that parses a response that is one object."""

    def read(content: bytes, headers: Mapping[str, str]) -> AnswerT:
        return parse(model, content, x_headers(headers))

    return read


@_cached
def read_completion(
    model: type[AnswerT], failure: Callable[[AnswerT], str | None], has_content: Callable[[AnswerT], bool]
) -> Callable[[bytes, Mapping[str, str]], AnswerT]:
    """Return a function that parses a completion, and raises `GenerationError` for a failed one without content.

    Args:
        model: Class of the completion.
        failure: Returns what is known about the failure of a completion; None if it has not failed.
        has_content: Whether a completion has text or a call.
    """

    def read(content: bytes, headers: Mapping[str, str]) -> AnswerT:
        completion = parse(model, content, x_headers(headers))
        text = failure(completion)
        if text is not None and not has_content(completion):
            raise GenerationError(text, completion=completion)
        return completion

    return read


@_cached
def read_chunks(
    model: type[AnswerT], refuse: Callable[[AnswerT, str | None, bytes], None] | None = None, unless: str = ""
) -> Callable[[str | None, Sequence[bytes], dict[str, str | None], list[AnswerT]], None]:
    """Return a function that appends the chunks of events of one name to a list, up to the end mark.

    It parses one after another: an array of them all is no faster, and it would hide which one is invalid.

    Args:
        model: Class of the chunks. Its field `event`, if it has one, takes the name.
        refuse: Raises for a chunk that is something else.
        unless: Field whose value, if there is any, leaves no doubt of a chunk.
    """
    named = "event" in model.model_fields

    def read(name: str | None, data: Sequence[bytes], x_headers: dict[str, str | None], chunks: list[AnswerT]) -> None:
        if name in _ERROR_EVENTS and data and data[0] != END:
            message = "the stream brought an error event that cannot be parsed"
            raise APIResponseValidationError(message, content=data[0])
        validate = model.__pydantic_validator__.validate_json  # a fifth faster than the method before it
        for content in data:
            try:
                chunk: Any = validate(content)
            except ValueError:
                if content == END:
                    return
                chunk = parse(model, content, x_headers)  # which tolerates more, or raises
            # Past pydantic's setter, which takes a fifth of the time of parsing.
            fields, known = chunk.__dict__, chunk.__pydantic_fields_set__
            fields["x_headers"] = x_headers
            known.add("x_headers")
            if named and fields["event"] is None:
                fields["event"] = name
                known.add("event")
            if refuse is not None and fields[unless] is None:
                refuse(chunk, name, content)
            chunks.append(chunk)

    return read


def read_list(kind: type[list[AnswerT]]) -> Callable[[bytes, Mapping[str, str]], list[AnswerT]]:
    """Return a function that parses a response that is a bare array of objects."""

    def read(content: bytes, headers: Mapping[str, str]) -> list[AnswerT]:
        try:
            answers: list[AnswerT] = _adapter(kind).validate_json(content.removeprefix(_BYTE_ORDER_MARK))
        except ValueError as error:
            raise _unreadable(error, content, "a list") from None
        known = x_headers(headers)
        for answer in answers:
            answer.x_headers = known
        return answers

    return read


@lru_cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def parse(model: type[AnswerT], content: bytes, x_headers: dict[str, str | None]) -> AnswerT:
    """Parse JSON as a model.

    Args:
        model: Class of the model.
        content: The JSON.
        x_headers: The value of the model's field of this name.

    Raises:
        APIResponseValidationError: The bytes are not JSON, or do not fit the model.
        GenerationError: They do not fit the model, but have the details of a failure.
    """
    try:
        # The validator itself: a fifth faster than the method before it.
        answer: AnswerT = model.__pydantic_validator__.validate_json(content.removeprefix(_BYTE_ORDER_MARK))
    except ValueError as error:
        raise _unreadable(error, content, model.__name__) from None
    vars(answer)["x_headers"] = x_headers  # pydantic's setter takes a fifth of the time of parsing
    answer.__pydantic_fields_set__.add("x_headers")
    return answer


def _unreadable(error: Any, content: bytes, what: str) -> APIResponseValidationError | GenerationError:
    try:
        failed = error_of_details(json.loads(content))
    except (ValueError, RecursionError):
        failed = None
    if failed is not None:
        return failed
    first = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    reason = page_advice(content) or (f"{place}: {first['msg']}" if place else first["msg"])
    return APIResponseValidationError(f"the response cannot be read as {what}: {reason}", content=content)


def page_advice(content: bytes) -> str:
    """Return what to check if a web page came in the place of a response; empty if it is none."""
    if not content.lstrip().startswith(b"<"):
        return ""
    return "it is a web page. Check base_url=, and whether a proxy or a login page of the network answered instead"


def json_object(content: bytes) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        APIResponseValidationError: The bytes are not a JSON object.
    """
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise APIResponseValidationError("the response is not a JSON object", content=content)
    return value


def x_headers(headers: Mapping[str, str]) -> dict[str, str | None]:
    """Return the headers by which a response is known (reference, section 2.2)."""
    return {
        "x-request-id": headers.get("x-request-id"),
        "x-session-id": headers.get("x-session-id"),
        "x-client-id": headers.get("x-client-id"),
    }
