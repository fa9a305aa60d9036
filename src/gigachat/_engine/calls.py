"""A call as a value: what to send, how to parse the response, whether it may be retried. It does no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar
from urllib.parse import quote

from gigachat._advice import HALF_A_PAIR
from gigachat._engine.parsing import read_model
from gigachat._engine.transport import Timeouts
from gigachat._headers import checked_headers
from gigachat._secret import hidden

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pydantic import BaseModel

    from gigachat._engine.transport import Upload
    from gigachat.models import APIResponse
    from gigachat.models.answer_files import FileReader
    from gigachat.settings import Options, Timeout

    AnswerT = TypeVar("AnswerT", bound=APIResponse)

T = TypeVar("T")
ChunkT = TypeVar("ChunkT")
CompletionT = TypeVar("CompletionT")
TakenT = TypeVar("TakenT", contravariant=True)
MadeT = TypeVar("MadeT", covariant=True)


@dataclass(slots=True)
class Call(Generic[T]):
    """One request to the API, and how its response is parsed.

    Attributes:
        method: HTTP method.
        path: Path under the base address, or a full address.
        read: Makes the result of the body and headers of the response.
        json: Body as JSON: a mapping, or a model, whose fields that are None are left out; or
        content: body as bytes; or
        upload: body as a file.
        headers: Headers of this call, their names in lower case.
        query: Query parameters; a list repeats one.
        file_reader_factory: Makes what reads the files of a completion; None if the result is no completion.
        v2: Whether the path is one of API v2, whose address may have to be found.
        repeatable: Whether it only reads, so that it may be retried when the service may have received it.
        chat: Whether its body is a chat, whose model fallback models may replace.
    """

    method: str
    path: str
    read: Callable[[bytes, Mapping[str, str]], T]
    json: Mapping[str, Any] | BaseModel | None = field(default=None, repr=False)
    content: bytes | None = field(default=None, repr=False)
    upload: Upload | None = None
    headers: Mapping[str, str] | None = field(default=None, repr=False)
    query: Mapping[str, str | Sequence[str]] | None = field(default=None, repr=False)
    file_reader_factory: Callable[[], FileReader] | None = None
    repeatable: bool = False
    v2: bool = False
    chat: bool = False


class Accumulator(Protocol[TakenT, MadeT]):
    """Joins the chunks of one stream as they come."""

    def add(self, chunks: Sequence[TakenT]) -> Iterable[int]:
        """Take chunks in order; yield the index of each that is more than text to append, when it is taken.

        The chunks behind the index at which the caller stops are not taken.
        """
        ...

    def text(self) -> str:
        """Return the whole text so far."""
        ...

    def completion(self) -> MadeT:
        """Return the completion so far.

        Raises:
            APIResponseValidationError: The chunks do not fit together.
        """
        ...


@dataclass(slots=True)
class StreamCall(Generic[ChunkT, CompletionT]):
    """A call whose response is a stream of events.

    Attributes:
        call: The request. Its `read` is not used.
        read: Appends the chunks of events to a list, up to the end mark; takes the name and the data of the events, and
            headers of the response. It raises at the first event that is not a chunk.
        completes: Whether the stream may end after this chunk without an end mark.
        text: The text of a chunk.
        accumulator: Makes what joins the chunks.
        failure: Returns what is known about a failure that a chunk reports; None if it reports none.
        answer: Returns why the answer of a completion ended, and its text.
        ends: Whether a chunk is itself the end mark; None if no chunk is.
        sums_usage: Whether each chunk reports only the tokens of its own.
    """

    call: Call[Any]
    read: Callable[[str | None, Sequence[bytes], dict[str, str | None], list[ChunkT]], None]
    completes: Callable[[ChunkT], bool]
    text: Callable[[ChunkT], str]
    accumulator: Callable[[], Accumulator[ChunkT, CompletionT]]
    failure: Callable[[ChunkT], str | None]
    answer: Callable[[CompletionT], tuple[str | None, str]]
    ends: Callable[[ChunkT], bool] | None = None
    sums_usage: bool = False


@dataclass(slots=True, eq=False)
class RequestOptions:
    """The options that a view of a client adds to its requests; see `with_options`. Header names are in lower case."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Mapping[str, Any] = field(default_factory=dict, repr=False)
    timeouts: Timeouts | None = None
    max_retries: int | None = None
    fallback_models: tuple[str, ...] | None = None

    def with_more(self, more: RequestOptions) -> RequestOptions:
        """Return these options with others over them."""
        return RequestOptions(
            {**self.headers, **more.headers},
            {**self.query, **more.query},
            {**self.body, **more.body},
            more.timeouts or self.timeouts,
            self.max_retries if more.max_retries is None else more.max_retries,
            self.fallback_models if more.fallback_models is None else more.fallback_models,
        )


NO_OPTIONS = RequestOptions()


def checked_options(
    settings: Options,
    *,
    extra_headers: Mapping[str, str] | None,
    extra_query: Mapping[str, str] | None,
    extra_body: Mapping[str, Any] | None,
    timeout: Timeout | None,
    max_retries: int | None,
    session_id: str | None,
    fallback_models: Sequence[str] | None,
) -> RequestOptions:
    """Return the options of a view; the arguments are those of `with_options`.

    Raises:
        TypeError, ValueError: One is invalid.
    """
    from gigachat._option_values import model_names, timeouts_of  # here, for it loads pydantic

    extra_headers, extra_query = hidden(extra_headers, "extra_headers"), hidden(extra_query, "extra_query")
    if max_retries is not None and (type(max_retries) is not int or max_retries < 0):
        raise ValueError("max_retries must be a whole number, 0 or more")
    timeouts = None
    if timeout is not None:
        timeouts = Timeouts(*timeouts_of(timeout), settings.queue_timeout, settings.total_timeout)
    models = None
    if fallback_models is not None:
        try:
            models = model_names(fallback_models)
        except ValueError as error:
            raise ValueError(f"fallback_models: {error}") from None
    session = {"x-session-id": session_id} if session_id else None
    return RequestOptions(
        {**checked_headers(session, "session_id"), **checked_headers(extra_headers, "extra_headers")},
        extra_query or {},
        hidden(extra_body, "extra_body") or {},
        timeouts,
        max_retries,
        models,
    )


def get(path: str, model: type[AnswerT]) -> Call[AnswerT]:
    """Return a call that only reads."""
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
    try:
        return quote(value, safe=":")  # of names such as `GigaChat:latest`
    except UnicodeEncodeError:
        raise ValueError(HALF_A_PAIR) from None
