"""A session sends calls: one service, one mode, one set of options. `run` drives it for blocking callers.

A call holds at most one slot of the limiter, from before its first attempt until its body is read or its stream closed.
"""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

from gigachat._engine.attempts import send_with_retries
from gigachat._engine.calls import NO_OPTIONS
from gigachat._engine.fallback import Fallback
from gigachat._engine.requests import build_request, context_headers, has_authorization
from gigachat._engine.transport import Failure
from gigachat.exceptions import APIResponseValidationError, GenerationError, GigaChatException, ResponseError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence

    from gigachat._engine.calls import Call, RequestOptions
    from gigachat._engine.limiter import Slot
    from gigachat._engine.observation import CallObservation, RunObservation
    from gigachat._engine.service import Service
    from gigachat._engine.transport import Response, Transport

T = TypeVar("T")

logger = logging.getLogger("gigachat")

_UNOBSERVED = nullcontext()
_SUBJECTS = ("model", "tool", "function", "thread", "assistant", "file")  # of a 404 that API v2 itself may answer


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends, because every await in it blocks."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    coroutine.close()
    raise RuntimeError("a blocking client awaited something that suspends")


class Session:
    """Sends calls in one mode, with the options of one view of a client.

    Args:
        service: What the client is configured with.
        transport: Sends requests in the mode of the session.
        options: What the view adds to its requests.
    """

    def __init__(self, service: Service, transport: Transport, options: RequestOptions = NO_OPTIONS) -> None:
        self.service = service
        self.transport = transport
        self.options = options
        self.bounded = bool(service.limiter or service.pool or service.timeouts.total is not None)

    def with_options(self, more: RequestOptions) -> Session:
        """Return a session whose requests have more options."""
        return Session(self.service, self.transport, self.options.with_more(more))

    def observe(
        self, call: Call[Any], context: Mapping[str, str], *, stream: bool = False, run: RunObservation | None = None
    ) -> CallObservation | None:
        """Begin to tell observers and the log of a call; None without observers and with the log off.

        Args:
            call: The call.
            context: Headers of the context in which the caller made it.
            stream: Whether the response is a stream.
            run: The run that makes the call.
        """
        if not self.service.observers and not logger.isEnabledFor(logging.INFO):
            return None
        from gigachat._engine.observation import observe_call  # here: few clients need it

        return observe_call(self, call, context, stream=stream, run=run)

    def observe_run(self, tools: Sequence[str], *, stream: bool) -> RunObservation | None:
        """Begin to tell observers and the log of a run; None without observers and with the log off.

        Args:
            tools: Names of its tools.
            stream: Whether its answers are streamed.
        """
        if not self.service.observers and not logger.isEnabledFor(logging.INFO):
            return None
        from gigachat._engine.observation import observe_run

        return observe_run(self, tools, stream=stream)

    async def send(self, call: Call[T], run: RunObservation | None = None) -> T:
        """Send a call and return its parsed response.

        Args:
            call: The call.
            run: What tells of the run that makes the call.

        Raises:
            GigaChatException: The request failed.
        """
        context = context_headers()
        with self.observe(call, context, run=run) or _UNOBSERVED as observation:
            slot, deadline = await self.begin() if self.bounded else (None, None)
            try:
                response = await self.respond(call, context, deadline, observation, slot)
                content = await response.read(self.service.max_response_bytes)
            except Failure as failure:
                raise failure.error from None
            finally:
                if slot is not None:
                    slot.release()
            try:
                answer = call.read(content, response.headers)
            except APIResponseValidationError as error:
                if error.completion is None:
                    error.args = (f"{error} ({self.service.address(call)})",)
                raise
            except GenerationError as error:
                self.service.usage.count(error.completion)
                raise
            if call.method == "POST":
                self.service.usage.count(answer)
            if observation is not None:
                observation.took(answer)
            if call.file_reader_factory is not None:
                # Its slot: see `models.answer_files`.
                object.__setattr__(answer, "_reader_factory", call.file_reader_factory)
            return answer

    @asynccontextmanager
    async def open(self, call: Call[Any]) -> AsyncIterator[Response]:
        """Send a call and give its response, whose body is read piece by piece; it is closed at the end.

        Raises:
            GigaChatException: The request failed, or the body is not complete.
        """
        context = context_headers()
        with self.observe(call, context) or _UNOBSERVED as observation:
            slot, deadline = await self.begin()
            try:
                response = await self.respond(call, context, deadline, observation, slot)
                try:
                    yield response
                finally:
                    await response.close()
            except Failure as failure:
                raise failure.error from None
            finally:
                if slot is not None:
                    slot.release()

    async def begin(self) -> tuple[Slot | None, float | None]:
        """Wait for a slot, if the client has a limit; return it and the deadline of the call.

        Raises:
            QueueTimeoutError, TotalTimeoutError: No slot became free in time.
        """
        service = self.service
        timeouts = self.options.timeouts or service.timeouts
        deadline = None if timeouts.total is None else self.transport.now() + timeouts.total
        if service.pool is not None:
            return service.pool.slot(), deadline  # one of a credential is taken when that is chosen
        return None if service.limiter is None else await self.take_slot(service, deadline), deadline

    async def take_slot(self, service: Service, deadline: float | None) -> Slot | None:
        """Wait for a slot of a service, if it has a limit.

        Raises:
            QueueTimeoutError, TotalTimeoutError: No slot became free in time.
        """
        timeouts = self.options.timeouts or service.timeouts
        limiter, limit = service.limiter, service.settings.max_concurrency
        if limiter is None or limit is None:
            return None

        sharers = " of the processes that share limits=" if service.settings.limits else ""

        def problem() -> str:
            whose = (
                "this thread or task holds an open stream itself: close it first"
                if limiter.holds_stream()
                else f"other requests or open streams{sharers} hold all of them"
            )
            return f"max_concurrency={limit} requests are in progress and {whose}"

        return await limiter.acquire_in_time(self.transport, limit, timeouts, deadline, problem)

    async def respond(
        self,
        call: Call[Any],
        context: Mapping[str, str],
        deadline: float | None,
        observation: CallObservation | None = None,
        slot: Slot | None = None,
    ) -> Response:
        """Send a call and return its response, whose body has not been read.

        Args:
            call: The call.
            context: Headers of the context in which the caller made it.
            deadline: Time on the engine's clock at which the call must have ended.
            observation: What tells of the attempts.
            slot: What `begin` returned.

        Raises:
            GigaChatException: The request failed; with fallback models, with each of them.
        """
        service = self.service
        policy = service.policy
        if self.options.max_retries is not None:
            policy = policy._replace(max_retries=self.options.max_retries)
        if policy.refused is not None and has_authorization(self.options, call, context):
            policy = policy._replace(refused=None)
        urls = service.v2_urls if call.v2 else ("",)
        fallback: Fallback | None = None
        model: str | None = None
        while True:
            try:
                if service.pool is not None:
                    response = await service.pool.send(
                        self, call, context, urls[0], model, policy, deadline, observation, slot
                    )
                else:
                    request, authorize = build_request(service, self.options, call, context, urls[0], model)
                    request.deadline = deadline
                    authorization = service.authorization if authorize else None
                    response = await send_with_retries(
                        self.transport, request, policy, call.repeatable, authorization, observation
                    )
            except ResponseError as error:
                urls = urls[1:]
                if urls and _is_elsewhere(error):
                    continue
                if not call.chat:
                    raise
                fallback = fallback or Fallback(service, self.options, call)
                failure = fallback.after(error)
                if failure is error:
                    raise
                if failure is not None:
                    raise failure from None
                model = fallback.model
                if observation is not None:
                    observation.asks_fallback(model)
                urls = service.v2_urls if call.v2 else ("",)
            except GigaChatException as error:
                if fallback is not None:
                    fallback.note(error)
                raise
            else:
                if call.v2:
                    service.v2_urls = urls[:1]
                return response


def _is_elsewhere(error: ResponseError) -> bool:
    """Whether API v2 is not at the address: a page, or a 404 that is about nothing the call asked for."""
    if error.status_code in (400, 403, 405):
        return (error.content or b"").lstrip().startswith(b"<")
    if error.status_code != 404:
        return False
    message = error.message.lower()
    return not isinstance(error.body, dict) or not any(subject in message for subject in _SUBJECTS)
