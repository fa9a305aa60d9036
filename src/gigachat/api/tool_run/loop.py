"""The loop of a run: ask the model, run the tools that it calls, tell it the results, until it answers.

State rules of `ToolRun`: it asks, perhaps over a stream. Then it either ends, or runs the calls of the answer and asks
again. No slot and no connection is held while tools run. An answer is added to the conversation together with the
results of its calls. So the conversation can be sent at any moment. An interrupted call has a result that says so. Only
calls that the caller runs have no result, and end the run. The loop never suspends in blocking mode, and iterates no
async generator. The results of one answer are events together. Otherwise tools would have to run between two reads,
where no task group can stay open to stop them.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import ref

from gigachat._engine.event_stream import EventStream
from gigachat._engine.failures import is_restricted
from gigachat._engine.requests import context_headers
from gigachat.api.tool_run.calls import Calls, RunOptions, error_content
from gigachat.exceptions import GenerationError, GigaChatException
from gigachat.tools.runs import (
    RunCall,
    RunDone,
    RunReasoning,
    RunResult,
    RunText,
    RunToolResult,
    Stop,
    ToolCall,
    ToolStep,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gigachat._engine.observation import RunObservation
    from gigachat._engine.session import Session
    from gigachat.api.tool_run.versions import Answer, Version
    from gigachat.observers import Outcome
    from gigachat.tools import Tool
    from gigachat.tools.runs import RunEvent

CompletionT = TypeVar("CompletionT")
MessageT = TypeVar("MessageT")
UsageT = TypeVar("UsageT")

_INVALID_CALL = "function_call_error"
_ENDED = {"length": "the answer was cut", "refused": "the topic is restricted"}
_INTERRUPTED = error_content("the run was interrupted: whether the call had an effect is not known")
_NOT_RUN = error_content("not run: the run was interrupted")


class OneReader:
    """Lets one thread or task at a time read a run. A read that was aborted never blocks the next one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reading: ref[_Reading] | None = None

    def reading(self) -> _Reading:
        """Begin a read, which ends with the context.

        Raises:
            GigaChatException: Another one is in progress.
        """
        reading = _Reading(self)
        with self._lock:
            if self._reading is not None and self._reading() is not None:
                raise GigaChatException("the run is already being read by another thread or task")
            self._reading = ref(reading)
        return reading

    def end(self) -> None:
        """End the read."""
        self._reading = None


class _Reading:
    """One call that reads a run."""

    __slots__ = ("__weakref__", "_owner")

    def __init__(self, owner: OneReader) -> None:
        self._owner = owner

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        self._owner.end()


class ToolRun(Generic[CompletionT, MessageT, UsageT]):
    """One run.

    Args:
        session: Sends the requests, in the mode of the caller.
        version: The requests of the run.
        tools: The functions that can be called, by name.
        described: Names of functions that the model may call and that the caller runs.
        options: Options of the run.
        client: The client, for the context of tools.
        stream: Whether the answers are streamed.
    """

    def __init__(
        self,
        session: Session,
        version: Version[CompletionT, Any, MessageT, UsageT],
        tools: Mapping[str, Tool[..., Any]],
        described: frozenset[str],
        options: RunOptions,
        client: Any,
        *,
        stream: bool,
    ) -> None:
        self.messages = version.messages
        self.result: RunResult[CompletionT, MessageT, UsageT] | None = None
        self._session = session
        self._version = version
        self._described = described
        self._options = options
        self._calls = Calls(session.transport, tools, options, client)
        self._context = context_headers() if stream else {}  # a request without a stream reads them itself
        self._streams = stream
        self._source: EventStream[Any, CompletionT] | None = None
        self._waiting: list[ToolCall] = []
        self._completions: list[CompletionT] = []
        self._text = ""
        self._steps: list[ToolStep] = []
        self._over = False
        self._one_reader = OneReader()
        self._tools = [*tools, *described]
        self._observation: RunObservation | None = None
        self._begun = False

    async def advance(self) -> Sequence[RunEvent[CompletionT, MessageT, UsageT]]:
        """Run until there are events, and return them; none at the end.

        Raises:
            GigaChatException: A request failed, or the service failed to generate.
            Exception: A tool failed, if its errors are raised.
        """
        with self._one_reader.reading():
            return await self._next_events()

    async def finish(self) -> RunResult[CompletionT, MessageT, UsageT]:
        """Run to the end and return the result.

        Raises:
            GigaChatException: The run failed, or was closed before its end.
        """
        with self._one_reader.reading():
            while self.result is None and await self._next_events():
                pass
        if self.result is None:
            raise GigaChatException("the run failed, or was closed, before its end")
        return self.result

    async def _next_events(self) -> Sequence[RunEvent[CompletionT, MessageT, UsageT]]:
        events: Sequence[RunEvent[CompletionT, MessageT, UsageT]] = ()
        try:
            if not self._begun:
                self._begin()
            while not events and not self._over:
                if self._waiting:
                    events = await self._run_tools()
                elif self._streams:
                    events = await self._stream()
                else:
                    events = self._take(await self._session.send(self._version.call(), self._observation))
        except BaseException as error:
            self._over = True
            self._tell_end("failed", error)
            raise
        if self.result is not None:
            self._tell_end("answered")
        return events

    def _begin(self) -> None:
        self._begun = True
        if self._tools:  # a turn of a conversation may have none
            self._observation = self._session.observe_run(self._tools, stream=self._streams)
            self._calls.observation = self._observation

    def _tell_end(self, outcome: Outcome, error: BaseException | None = None) -> None:
        observation = self._observation
        if observation is not None:
            stop = None if self.result is None else self.result.stop
            observation.ended(outcome, error, steps=len(self._completions), stop=stop)

    async def close(self) -> None:
        """Release what a stream holds; no event follows. Tools that run are not stopped."""
        self._over = True
        source, self._source = self._source, None
        if source is not None:
            await source.close()
        self._tell_end("closed")

    def abandon(self) -> bool:
        """Release what a stream holds from a finalizer; whether it was open in this process."""
        was_open = self._source is not None and self._source.abandon()
        self._tell_end("abandoned")
        return was_open

    async def _stream(self) -> Sequence[RunEvent[CompletionT, MessageT, UsageT]]:
        if self._source is None:
            self._source = EventStream(self._session, self._version.stream_call(), self._context, self._observation)
        source = self._source
        chunks = await source.next_chunks()
        if chunks:
            events: list[RunEvent[CompletionT, MessageT, UsageT]] = []
            for chunk in chunks:
                if reasoning := self._version.reasoning(chunk):
                    events.append(RunReasoning(reasoning))
                if text := source.call.text(chunk):
                    events.append(RunText(text))
            return events
        self._source = None
        if self._over:
            return ()  # closed by another thread or task
        return self._take(source.completion())

    def _take(self, completion: CompletionT) -> Sequence[RunEvent[CompletionT, MessageT, UsageT]]:
        """Take an answer of the model: it ends the run, or its calls are to be run."""
        self._completions.append(completion)
        answer = self._version.answer(completion)
        self._text = answer.text
        failure = self._version.failure(completion)
        if failure is None and answer.finish_reason == _INVALID_CALL:
            failure = "the model called a function with arguments that are not valid JSON"
        if failure is not None:
            raise GenerationError(failure, completion=completion)
        stop = _stop(answer)
        if stop is not None:
            not_run = error_content(f"not run: {_ENDED[stop]}") if answer.calls else None
            self._version.add_answer(completion, [not_run] * len(answer.calls))
            return self._end(stop)
        step = len(self._completions)
        calls = [ToolCall(name, arguments, id_, step) for name, arguments, id_ in answer.calls]
        own = [call for call in calls if call.name not in self._described]
        if not own:
            self._version.add_answer(completion, [None] * len(calls))
            return self._end("call")
        self._waiting = calls
        return [RunCall(call) for call in own]

    async def _run_tools(self) -> Sequence[RunEvent[CompletionT, MessageT, UsageT]]:
        calls, self._waiting = self._waiting, []
        own = [call for call in calls if call.name not in self._described]
        done: dict[int, ToolStep] = {}
        of_caller: str | None = _NOT_RUN
        try:
            await self._calls.run(own, self.messages, done)
            if not self._over:
                of_caller = None
        finally:
            steps = [done.get(index) or ToolStep(call, _INTERRUPTED) for index, call in enumerate(own)]
            self._steps += steps
            told = iter(steps)
            results = [of_caller if call.name in self._described else next(told).content for call in calls]
            self._version.add_answer(self._completions[-1], results)
        if self._over:
            return ()  # closed by another thread or task
        events: list[RunEvent[CompletionT, MessageT, UsageT]] = [RunToolResult(step) for step in steps]
        if len(own) < len(calls):
            events += self._end("call")
        elif len(self._completions) >= self._options.max_steps:
            events += self._end("max_steps")
        return events

    def _end(self, stop: Stop) -> Sequence[RunEvent[CompletionT, MessageT, UsageT]]:
        self._over = True
        self.result = RunResult(
            self._completions[-1],
            self._text,
            self.messages,
            self._steps,
            stop,
            self._completions,
            self._version.no_usage,
        )
        return [RunDone(self.result)]


def _stop(answer: Answer) -> Stop | None:
    """Return why an answer ends its run; None if its calls are to be run."""
    reason = answer.finish_reason or ""
    if reason == "length":
        return "length"
    if is_restricted(reason):
        return "refused"
    return None if answer.calls else "answer"
