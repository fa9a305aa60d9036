"""Observers are told of the calls of a client: for logs, metrics and traces.

A call is told by `call_started`, by `attempt` and `retry` for each of its requests, and by `answered` or `failed`. A
stream that was answered ends with `stream_ended`, also if it is closed early or garbage-collected. The records contain
neither content nor secrets nor exceptions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gigachat.usage import TokenCounts

__all__ = ["Attempt", "ObservedCall", "ObservedRun", "ObservedTool", "Observer", "Outcome", "TokenRenewal"]

Outcome: TypeAlias = Literal["answered", "failed", "cancelled", "closed", "abandoned"]
"""How a call ended: `closed` is a stream that was closed before its end, `abandoned` one that was garbage-collected."""


@dataclass(slots=True, eq=False, weakref_slot=True)
class ObservedRun:
    """A run of tools. One object for the whole run; attributes are set as they become known.

    Attributes:
        id: Number of the run. Runs, calls and tools of a process have different numbers.
        tools: Names of its tools.
        stream: Whether its answers are streamed.
        model: Model of its first request.
        steps: Number of the model's answers, set at its end.
        stop: Why it ended, as in `RunResult`; None if it failed or was closed.
        seconds: How long it took; None while it is in progress.
        outcome: How it ended; None while it is in progress.
    """

    id: int
    tools: tuple[str, ...]
    stream: bool
    model: str | None = None
    steps: int = 0
    stop: str | None = None
    seconds: float | None = None
    outcome: Outcome | None = None


@dataclass(slots=True, eq=False, weakref_slot=True)
class ObservedTool:
    """A call of a tool that runs. One object for the whole call.

    Attributes:
        id: Number of the call. Runs, calls and tools of a process have different numbers.
        run: Its run.
        name: Name of the tool.
        call_id: Id of the call, if the service gave one.
        seconds: How long it took; None while it is in progress.
        outcome: How it ended; None while it is in progress.
    """

    id: int
    run: ObservedRun
    name: str
    call_id: str | None
    seconds: float | None = None
    outcome: Outcome | None = None


@dataclass(slots=True, eq=False, weakref_slot=True)
class ObservedCall:
    """A call of the API with all its attempts. One object for the whole call; attributes are set as they become known.

    Attributes:
        id: Number of the call. Runs, calls and tools of a process have different numbers.
        method: HTTP method.
        path: Path of the address, without its query.
        url: Address without its query.
        operation: What the call does, made of its path: `chat`, `embeddings`, `models`, `files.content`.
        model: Model in the request, if it names one; of fallback models, the one that is asked.
        version: Version of the API, such as `v1`.
        stream: Whether the response is a stream.
        run: The run that makes the call, if any.
        session_id: `x-session-id` of the last response, or of the request.
        parameters: `temperature`, `top_p` and `max_tokens` of the request.
        attempts: Number of attempts so far.
        status: HTTP status of the last response.
        request_id: `x-request-id` of the last response; before one, that of the request, if it has any.
        response_model: Model that answered, with its version.
        finish_reason: Why the answer ended.
        usage: Token counts, if the service reports them.
        first_chunk_seconds: Seconds from the start of a stream to its first chunk.
        seconds: How long the call took; None while it is in progress.
        outcome: How it ended; None while it is in progress.
    """

    id: int
    method: str
    path: str
    url: str
    operation: str
    model: str | None
    version: str
    stream: bool
    run: ObservedRun | None = field(default=None, repr=False)
    session_id: str | None = None
    parameters: Mapping[str, float] = field(default_factory=dict)
    attempts: int = 0
    status: int | None = None
    request_id: str | None = None
    response_model: str | None = None
    finish_reason: str | None = None
    usage: TokenCounts | None = None
    first_chunk_seconds: float | None = None
    seconds: float | None = None
    outcome: Outcome | None = None


@dataclass(slots=True, frozen=True)
class Attempt:
    """One attempt of a call: a request and its response, or the failure of the connection.

    Attributes:
        number: Number of the attempt, from 1.
        seconds: Time until the headers of the response were received, or until the failure.
        status: HTTP status; None if no response came.
        request_id: `x-request-id` of the response.
        error: Class of the error if no response came.
    """

    number: int
    seconds: float
    status: int | None = None
    request_id: str | None = None
    error: type[BaseException] | None = None


@dataclass(slots=True, frozen=True)
class TokenRenewal:
    """A sign-in that succeeded.

    Attributes:
        url: Address that issued the token.
        seconds: How long the sign-in took, with its retries.
        lifetime: Seconds for which the new token is valid.
        request_id: `x-request-id` of the response.
    """

    url: str
    seconds: float
    lifetime: float
    request_id: str | None = None


class Observer:
    """Base class of observers: `GigaChat(observers=[...])`. Override the methods you need.

    The methods are called in the thread or task of the call, for blocking and async calls alike, so they must be plain
    functions that return soon. Their exceptions are logged once and change nothing for the caller. Calls that a method
    makes are not observed. One observer may serve several clients.

    `stream_ended` and `run_ended` may be called by the garbage collector, at any point of a program. A lock that such a
    method takes must be reentrant.
    """

    reads_content: bool = False
    """Whether `content` is called."""

    def call_started(self, call: ObservedCall) -> None:
        """Called before the first attempt of a call; for a stream when it is first read or entered."""

    def attempt(self, call: ObservedCall, attempt: Attempt) -> None:
        """Called when an attempt has a response, or has failed."""

    def retry(self, call: ObservedCall, attempt: Attempt, pause: float) -> None:
        """Called before another attempt.

        Args:
            call: The call.
            attempt: The attempt that failed.
            pause: Seconds until the next one.
        """

    def answered(self, call: ObservedCall) -> None:
        """Called when a call has its result; for a stream when its response begins."""

    def failed(self, call: ObservedCall, error: BaseException) -> None:
        """Called when a call ends without a result; the error may be a cancellation."""

    def stream_ended(self, call: ObservedCall, error: BaseException | None) -> None:
        """Called when a stream that was answered ends.

        Args:
            call: The call.
            error: Why the stream failed, or the cancellation; None if it ended or was closed.
        """

    def token_renewed(self, renewal: TokenRenewal) -> None:
        """Called when a call of this client has got an access token for all callers of its key."""

    def run_started(self, run: ObservedRun) -> None:
        """Called before the first request of a run of tools."""

    def run_ended(self, run: ObservedRun, error: BaseException | None) -> None:
        """Called when a run ends.

        Args:
            run: The run.
            error: Why it failed, or the cancellation; None if it ended or was closed.
        """

    def tool_started(self, tool: ObservedTool) -> None:
        """Called before a tool runs. Context variables set here are seen by the tool."""

    def tool_ended(self, tool: ObservedTool, error: BaseException | None) -> None:
        """Called when a tool ends, in the thread or task of `tool_started`.

        Args:
            tool: The call of the tool.
            error: Why it failed, or the cancellation; None if it succeeded.
        """

    def content(
        self, call: ObservedCall, request: Mapping[str, Any] | None, response: Mapping[str, Any] | None
    ) -> None:
        """Called before the end of a call is told, if `reads_content` is true. Everything here is content.

        Args:
            call: The call.
            request: The JSON that was sent; None if it was no JSON object.
            response: The completion as JSON; None if there is none.
        """
