"""A call as a value: what to send, how to read the answer, whether it may be repeated. It does no I/O."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import quote

from gigachat._secret import hidden
from gigachat.exceptions import APIResponseValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pydantic import BaseModel, TypeAdapter

    from gigachat._engine.io import Timeouts, Upload
    from gigachat._engine.sse import Event
    from gigachat.exceptions import ResponseError
    from gigachat.models import APIResponse

    AnswerT = TypeVar("AnswerT", bound=APIResponse)

__all__ = [
    "NO_OPTIONS",
    "Call",
    "RequestOptions",
    "StreamCall",
    "get",
    "json_object",
    "parse",
    "post",
    "read_list",
    "read_model",
    "segment",
    "x_headers",
]

T = TypeVar("T")
ChunkT = TypeVar("ChunkT")
CompletionT = TypeVar("CompletionT")


@dataclass(slots=True)
class Call(Generic[T]):
    """One request to the API and the reading of its answer.

    Attributes:
        method: HTTP method.
        path: Path under the base address, or a full address.
        read: Makes the result of the answer's body and headers.
        json: Body as JSON: a mapping, or a model, whose fields that are None are left out; or
        content: body as bytes; or
        upload: body as a file.
        headers: Headers of this call.
        query: Query parameters; several values repeat one.
        repeatable: Whether it only reads, so that it may be sent again when it is not known to have been received.
        otherwise: What to send instead after a refusal, if anything may help.
        answered: Called when a good answer has come, to remember what worked.
    """

    method: str
    path: str
    read: Callable[[bytes, Mapping[str, str]], T]
    json: Mapping[str, Any] | BaseModel | None = field(default=None, repr=False)
    content: bytes | None = field(default=None, repr=False)
    upload: Upload | None = None
    headers: Mapping[str, str] | None = field(default=None, repr=False)
    query: Mapping[str, str | Sequence[str]] | None = field(default=None, repr=False)
    repeatable: bool = False
    otherwise: Callable[[ResponseError], Call[T] | None] | None = None
    answered: Callable[[], object] | None = None


@dataclass(slots=True)
class StreamCall(Generic[ChunkT, CompletionT]):
    """A call that is answered by a stream of events.

    Attributes:
        call: The request; it reads what comes instead of a stream.
        read: Makes a chunk of an event and the answer's headers.
        completes: Whether the stream may end after this chunk without an end mark.
        text: The text of a chunk.
        accumulate: Makes the whole of all chunks.
        ends: Whether a chunk is itself the end mark; None if no chunk is.
    """

    call: Call[Any]
    read: Callable[[Event, dict[str, str | None]], ChunkT]
    completes: Callable[[ChunkT], bool]
    text: Callable[[ChunkT], str]
    accumulate: Callable[[list[ChunkT]], CompletionT]
    ends: Callable[[ChunkT], bool] | None = None


@dataclass(frozen=True, slots=True)
class RequestOptions:
    """What one view of a client adds to its requests; see `with_options`."""

    extra_headers: Mapping[str, str] | None = field(default=None, repr=False)
    extra_query: Mapping[str, str] | None = field(default=None, repr=False)
    extra_body: Mapping[str, Any] | None = field(default=None, repr=False)
    timeouts: Timeouts | None = None
    max_retries: int | None = None

    def with_more(self, more: RequestOptions) -> RequestOptions:
        """Return these options with others over them."""
        headers = self.extra_headers
        if headers and more.extra_headers:
            # The same header in another case is the same header.
            given = {name.lower() for name in more.extra_headers}
            headers = {name: value for name, value in headers.items() if name.lower() not in given}
        return RequestOptions(
            hidden(_merged(headers, more.extra_headers)),
            hidden(_merged(self.extra_query, more.extra_query)),
            _merged(self.extra_body, more.extra_body),
            more.timeouts or self.timeouts,
            self.max_retries if more.max_retries is None else more.max_retries,
        )


def _merged(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return {**(one or {}), **(other or {})} or None


NO_OPTIONS = RequestOptions()
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # some gateways write one before JSON


def get(path: str, model: type[AnswerT]) -> Call[AnswerT]:
    """Return a call that reads."""
    return Call("GET", path, read_model(model), repeatable=True)


def post(path: str, json: Mapping[str, Any], model: type[AnswerT], *, repeatable: bool = False) -> Call[AnswerT]:
    """Return a call that sends JSON."""
    return Call("POST", path, read_model(model), json=json, repeatable=repeatable)


def segment(value: str) -> str:
    """Quote a value as one segment of a path.

    Raises:
        ValueError: The value is empty, `.` or `..`, and would change the path.
        TypeError: The value is not text.
    """
    if not isinstance(value, str):
        raise TypeError(f"expected a name or id as text, got {type(value).__name__}")
    if value in ("", ".", ".."):
        raise ValueError(f"{value!r} is not a name or id")
    return quote(value, safe=":")  # of names such as `GigaChat:latest`


def read_model(model: type[AnswerT]) -> Callable[[bytes, Mapping[str, str]], AnswerT]:
    """Return the reading of an answer that is one object."""

    def read(content: bytes, headers: Mapping[str, str]) -> AnswerT:
        answer = parse(model, content)
        answer.x_headers = x_headers(headers)
        return answer

    return read


def read_list(kind: type[list[AnswerT]]) -> Callable[[bytes, Mapping[str, str]], list[AnswerT]]:
    """Return the reading of an answer that is a bare array of objects."""

    def read(content: bytes, headers: Mapping[str, str]) -> list[AnswerT]:
        try:
            answers: list[AnswerT] = _adapter(kind).validate_json(content.removeprefix(_BYTE_ORDER_MARK))
        except ValueError as error:
            raised = _unreadable(error, content, "a list")
        else:
            known = x_headers(headers)
            for answer in answers:
                answer.x_headers = known
            return answers
        raise raised

    return read


@lru_cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def parse(model: type[AnswerT], content: bytes) -> AnswerT:
    """Read JSON into a model.

    Raises:
        APIResponseValidationError: The bytes are not JSON, or not of this shape.
    """
    try:
        # The validator itself: a fifth faster than the method before it.
        answer: AnswerT = model.__pydantic_validator__.validate_json(content.removeprefix(_BYTE_ORDER_MARK))
        return answer
    except ValueError as error:
        raised = _unreadable(error, content, model.__name__)
    raise raised


def _unreadable(error: Any, content: bytes, what: str) -> APIResponseValidationError:
    # Raised outside the handler by those who call this: the original error holds the text.
    first = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    reason = f"{place}: {first['msg']}" if place else first["msg"]
    return APIResponseValidationError(f"the answer cannot be read as {what}: {reason}", content=content)


def json_object(content: bytes) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        APIResponseValidationError: The bytes are not a JSON object.
    """
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise APIResponseValidationError("the answer is not a JSON object", content=content)
    return value


_X_HEADERS = ("x-request-id", "x-session-id", "x-client-id")


def x_headers(headers: Mapping[str, str]) -> dict[str, str | None]:
    """Return the headers an answer is known by (reference, section 2.2)."""
    return {name: headers.get(name) for name in _X_HEADERS}
