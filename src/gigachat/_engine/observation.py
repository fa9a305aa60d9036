"""Tells observers of calls, runs and tools. It is loaded when there are observers, or when calls are logged.

Rules: what an observer raises is logged once and changes nothing, except exceptions of signals. Calls that an observer
makes while it is told something are not observed. A record has one end, which is told once. What happens while the same
thread tells something, as by the garbage collector, is told afterwards: an observer is never entered twice by a thread.
"""

from __future__ import annotations

import json
import logging
import re
from collections import deque
from collections.abc import Sequence
from contextvars import ContextVar
from inspect import isasyncgenfunction, iscoroutine, iscoroutinefunction
from itertools import count
from typing import TYPE_CHECKING, Any, Self

from gigachat._engine.totals import requested_model, tokens_of
from gigachat._logs import CallLog
from gigachat.exceptions import ConfigurationError, GigaChatException
from gigachat.observers import Attempt, ObservedCall, ObservedRun, ObservedTool, Observer, TokenRenewal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gigachat._engine.auth.methods import Grant
    from gigachat._engine.calls import Call
    from gigachat._engine.session import Session
    from gigachat._engine.transport import Response
    from gigachat.observers import Outcome

logger = logging.getLogger("gigachat")

_EVENTS = tuple(name for name in vars(Observer) if not name.startswith("_") and name != "reads_content")
_log = CallLog()
_numbers = count(1)
_telling: ContextVar[bool] = ContextVar("_telling", default=False)
_later: deque[tuple[Audience, str, tuple[Any, ...]]] = deque()
_PARAMETERS = ("temperature", "top_p", "max_tokens")
_SYNC = "the methods of an observer are plain functions: start a task of your own for what must be awaited"


class Audience:
    """The observers of a client, and the log.

    Args:
        observers: The observers.

    Raises:
        ConfigurationError: They are no list of observers.
    """

    def __init__(self, observers: Sequence[Observer] = ()) -> None:
        given: object = observers
        if isinstance(given, str) or not isinstance(given, Sequence):
            raise ConfigurationError(
                f"observers= takes a list of objects of gigachat.Observer, not {type(observers).__name__}"
            )
        self._observers = tuple(observers)
        self._reported: set[tuple[int, str]] = set()
        for index, observer in enumerate(self._observers):
            if not isinstance(observer, Observer):
                what = f"the class {observer.__name__}" if isinstance(observer, type) else type(observer).__name__
                raise ConfigurationError(f"observers[{index}] must be an object of gigachat.Observer, not {what}")
            for event in _EVENTS:
                method = getattr(observer, event)
                if iscoroutinefunction(method) or isasyncgenfunction(method):
                    raise ConfigurationError(f"observers[{index}].{event} is async: {_SYNC}")
        self.reads_content = any(observer.reads_content for observer in self._observers)

    def tell(self, event: str, *arguments: Any) -> None:
        """Call a method of each observer."""
        if _telling.get():
            _later.append((self, event, arguments))
            return
        try:
            _telling.set(True)
            self._tell(event, arguments)
            while _later:
                audience, event, arguments = _later.popleft()
                audience._tell(event, arguments)
        finally:
            _telling.set(False)

    def _tell(self, event: str, arguments: tuple[Any, ...]) -> None:
        if logger.isEnabledFor(logging.INFO):
            getattr(_log, event)(*arguments)
        for index, observer in enumerate(self._observers):
            if event == "content" and not observer.reads_content:
                continue
            try:
                result = getattr(observer, event)(*arguments)
                if iscoroutine(result):
                    result.close()
                    raise TypeError(_SYNC)
            except Exception:
                if (index, event) not in self._reported:
                    self._reported.add((index, event))
                    name = type(observer).__name__
                    logger.warning("the observer %s failed in %s; it is logged once", name, event, exc_info=True)


class CallObservation:
    """Tells of one call. As a context manager it tells the end of a call that is not a stream.

    Args:
        audience: Whom to tell.
        session: Sends the call.
        call: The call.
        context: Headers of the context in which the caller made it.
        stream: Whether the response is a stream.
        run: The run that makes the call.
    """

    def __init__(
        self,
        audience: Audience,
        session: Session,
        call: Call[Any],
        context: Mapping[str, str],
        *,
        stream: bool,
        run: RunObservation | None,
    ) -> None:
        service, options = session.service, session.options
        url = _without_query(service.address(call))
        model = options.body.get("model") or requested_model(call.json)
        headers = {**service.headers, **context, **(call.headers or {}), **options.headers}
        path = re.sub(r"^[\w+.-]+://[^/]*", "", url)
        self.call = ObservedCall(
            next(_numbers),
            call.method,
            path,
            url,
            _operation(path),
            model if isinstance(model, str) else None,
            _version(path),
            stream,
            None if run is None else run.record,
            session_id=_shown(headers.get("x-session-id")),
            parameters=_parameters({**_fields(call.json), **options.body}),
            request_id=_shown(headers.get("x-request-id")),
        )
        if run is not None:
            run.asks(self.call)
        self._tell = audience.tell
        self._service = service
        self._now = session.transport.now
        self._body = call.json if audience.reads_content else None
        self._completion: Any = None
        self._attempt: Attempt | None = None
        self._attempt_began = 0.0
        self._answered = False
        self._began = self._now()
        self._tell("call_started", self.call)

    @property
    def reads_content(self) -> bool:
        """Whether the whole completion is of use."""
        return self._body is not None

    def sent(self) -> None:
        """Note the begin of an attempt."""
        self._attempt_began = self._now()

    def attempted(self, response: Response | None, error: GigaChatException | None = None) -> None:
        """Tell the outcome of an attempt."""
        call = self.call
        call.attempts += 1
        status, request_id = None, None
        if response is not None:
            status, request_id = response.status_code, response.headers.get("x-request-id")
            call.status, call.request_id = status, request_id or call.request_id
            call.session_id = response.headers.get("x-session-id") or call.session_id
        seconds = self._now() - self._attempt_began
        kind = None if error is None else type(error)
        self._attempt = Attempt(call.attempts, seconds, status, request_id, kind)
        self._tell("attempt", call, self._attempt)

    def retrying(self, pause: float) -> None:
        """Tell that another attempt follows."""
        self._tell("retry", self.call, self._attempt, pause)

    def asks_fallback(self, model: str | None) -> None:
        """Tell that another model is asked."""
        self.call.model = model
        self.retrying(0.0)

    def took(self, answer: Any) -> None:
        """Note an answer, or a chunk of one."""
        call = self.call
        call.usage = tokens_of(answer) or call.usage
        model = getattr(answer, "model", None)
        call.response_model = model if isinstance(model, str) else call.response_model
        call.finish_reason = _finish_reason(answer) or call.finish_reason
        if not call.stream and self.reads_content:
            self._completion = answer

    def chunk_came(self) -> None:
        """Note the first chunk of a stream."""
        if self.call.first_chunk_seconds is None:
            self.call.first_chunk_seconds = self._now() - self._began

    def stream_began(self) -> None:
        """Tell that the response of a stream begins."""
        self._answered = True
        self._tell("answered", self.call)

    def stream_ended(self, outcome: Outcome, error: BaseException | None = None, completion: Any = None) -> None:
        """Tell the end of a stream, unless it was told."""
        if self.call.outcome is not None:
            return
        self._completion = completion
        if error is not None:
            self._failed(error)
        else:
            self._end(outcome)
            self._tell("stream_ended", self.call, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is not None:
            self._failed(error)
        else:
            self._end("answered")
            self._tell("answered", self.call)

    def _failed(self, error: BaseException) -> None:
        completion = getattr(error, "completion", None)
        if completion is not None:
            self.took(completion)
        self._end(_outcome(error))
        self._tell("stream_ended" if self._answered else "failed", self.call, error)

    def _end(self, outcome: Outcome) -> None:
        """Set how the call ended."""
        call = self.call
        call.seconds, call.outcome = self._now() - self._began, outcome
        if self.reads_content:
            self._tell("content", call, self._json(self._body), self._json(self._completion))
            self._body = self._completion = None

    def _json(self, value: Any) -> Any:
        try:
            read = None if value is None else json.loads(self._service.dumps(value))
        except ValueError:
            read = None
        return read if isinstance(read, dict) else None


class RunObservation:
    """Tells of one run.

    Args:
        session: Sends its requests.
        audience: Whom to tell.
        tools: Names of its tools.
        stream: Whether its answers are streamed.
    """

    def __init__(self, session: Session, audience: Audience, tools: Sequence[str], *, stream: bool) -> None:
        self.record = ObservedRun(next(_numbers), tuple(tools), stream)
        self._tell = audience.tell
        self._now = session.transport.now
        self._began = self._now()
        self._tell("run_started", self.record)

    def asks(self, call: ObservedCall) -> None:
        """Note a request of the run."""
        self.record.model = self.record.model or call.model

    def tool(self, name: str, call_id: str | None) -> ToolObservation:
        """Return what tells of a tool."""
        return ToolObservation(self._tell, self._now, ObservedTool(next(_numbers), self.record, name, call_id))

    def ended(self, outcome: Outcome, error: BaseException | None, *, steps: int, stop: str | None) -> None:
        """Tell the end of the run, unless it was told."""
        run = self.record
        if run.outcome is None:
            run.steps, run.stop = steps, stop
            run.seconds = self._now() - self._began
            run.outcome = outcome if error is None else _outcome(error)
            self._tell("run_ended", run, error)


class ToolObservation:
    """Tells of one tool, as a context manager.

    Args:
        tell: Calls a method of the observers.
        now: Returns seconds.
        tool: What is told.
    """

    def __init__(self, tell: Callable[..., None], now: Callable[[], float], tool: ObservedTool) -> None:
        self.error: BaseException | None = None
        self._tell = tell
        self._now = now
        self._tool = tool

    def __enter__(self) -> Self:
        self._began = self._now()
        self._tell("tool_started", self._tool)
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        error, self.error = error or self.error, None
        self._tool.seconds = self._now() - self._began
        self._tool.outcome = "answered" if error is None else _outcome(error)
        self._tell("tool_ended", self._tool, error)


def observe_call(
    session: Session, call: Call[Any], context: Mapping[str, str], *, stream: bool, run: RunObservation | None
) -> CallObservation | None:
    """Return what tells of a call; None if an observer makes it."""
    if _telling.get():
        return None
    return CallObservation(session.service.observers or _LOG_ONLY, session, call, context, stream=stream, run=run)


def observe_run(session: Session, tools: Sequence[str], *, stream: bool) -> RunObservation | None:
    """Return what tells of a run; None if an observer makes it."""
    if _telling.get():
        return None
    return RunObservation(session, session.service.observers or _LOG_ONLY, tools, stream=stream)


def tell_renewal(audience: Audience | None, url: str, seconds: float, grant: Grant) -> None:
    """Tell of a new access token."""
    request_id = grant.x_headers.get("x-request-id")
    (audience or _LOG_ONLY).tell(
        "token_renewed", TokenRenewal(_without_query(url), seconds, grant.lifetime, request_id)
    )


_LOG_ONLY = Audience()


def _outcome(error: BaseException) -> Outcome:
    return "failed" if isinstance(error, Exception) else "cancelled"


def _without_query(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//", re.split(r"[?#]", url, maxsplit=1)[0])


def _shown(value: str | None) -> str | None:
    return None if value is None else str(value)  # without the mark that hides it


def _fields(body: Any) -> dict[str, Any]:
    """Return the fields of a request among which the parameters are."""
    fields = body if isinstance(body, dict) else {name: getattr(body, name, None) for name in _PARAMETERS}
    options = fields.get("model_options") if isinstance(body, dict) else getattr(body, "model_options", None)
    return {**fields, **(_fields(options) if options is not None else {})}


def _parameters(fields: Mapping[str, Any]) -> dict[str, float]:
    values = ((name, fields.get(name)) for name in _PARAMETERS)
    return {name: value for name, value in values if isinstance(value, int | float)}


def _version(path: str) -> str:
    found = re.search(r"/(v\d+)/", path)
    return found[1] if found else ""


_WORDS = frozenset(
    (
        *("ai", "assistants", "balance", "batches", "chat", "check", "content", "convert", "count", "delete"),
        *("embeddings", "files", "filter", "functions", "messages", "models", "modify", "rerun", "retrieve", "run"),
        *("threads", "tokens", "validate"),
    )
)


def _operation(path: str) -> str:
    """Return the words of a path, without versions and ids."""
    parts = re.sub(r"^.*?/v\d+/", "", path).split("/")
    return ".".join(part for part in parts if part in _WORDS) or "request"


def _finish_reason(answer: Any) -> str | None:
    for part in (answer, *(getattr(answer, "choices", None) or ())):
        reason = getattr(part, "finish_reason", None)
        if isinstance(reason, str):
            return reason
    return None
