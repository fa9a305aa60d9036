"""The calls of one answer: checked and approved one after the other, then run side by side.

The error of a call is sent to the model as `{"error": "..."}`, or raised by choice. A call that needs approval runs
only if it was approved.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass, field, replace
from functools import partial
from inspect import isawaitable, iscoroutinefunction
from typing import TYPE_CHECKING, Any

from gigachat._engine.side_by_side import OverdueError
from gigachat._validation import class_and_text
from gigachat.exceptions import McpError, ToolArgumentsError, ToolError, ToolNotFoundError
from gigachat.tools import ToolContext, result_json
from gigachat.tools.runs import ToolCall, ToolStep

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gigachat._engine.observation import RunObservation
    from gigachat._engine.transport import Transport
    from gigachat.tools import Tool
    from gigachat.tools.definition import Approval, OnError

_log = logging.getLogger("gigachat")
_NOT_APPROVED = "the call was not approved"
_MCP_FAILED = "the MCP server of the tool has failed"
_MOST_ERROR_TEXT = 10_000  # characters


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Options of a run.

    Attributes:
        max_steps: Most answers of the model.
        approve: Asked before each call of a tool that has no approval of its own.
        deps: `deps` of the context given to tools.
        tool_timeout: Longest time of a call in seconds, for tools without a timeout of their own.
        parallel: Most tools that run at once.
        max_repeats: How often the model may make the same call in a row.
        on_error: Whether errors of calls are sent to the model or raised, for tools without their own `on_error`.
    """

    max_steps: int = 8
    approve: Approval | None = None
    deps: Any = field(default=None, repr=False)
    tool_timeout: float | None = None
    parallel: int = 8
    max_repeats: int = 3
    on_error: OnError = "tell"

    def __post_init__(self) -> None:
        for name in ("max_steps", "parallel", "max_repeats"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} must be a whole number, 1 or more")
        timeout: Any = self.tool_timeout
        is_number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
        if timeout is not None and not (is_number and timeout > 0):
            raise ValueError("tool_timeout must be a number of seconds above 0")
        if self.approve is not None and not callable(self.approve):
            raise TypeError("approve= takes a function, which gets a ToolCall")
        if self.on_error not in ("tell", "raise"):
            raise ValueError("on_error is 'tell' or 'raise'")


class Calls:
    """Runs the calls of a run's answers.

    Args:
        transport: Waits and runs functions in the mode of the caller.
        tools: The tools by name.
        options: Options of the run.
        client: The client, for the context of tools.

    Attributes:
        observation: What tells of the run.
    """

    def __init__(self, transport: Transport, tools: Mapping[str, Tool[..., Any]], options: RunOptions, client: Any):
        self._transport = transport
        self._tools = tools
        self._options = options
        self._client = client
        self.observation: RunObservation | None = None
        self._last: str | None = None
        self._repeats = 0
        for tool in tools.values():
            if tool.approve is True and options.approve is None:
                raise ValueError(f"tool {tool.name!r} needs approval: give approve=")

    async def run(self, calls: Sequence[ToolCall], messages: Sequence[Any], done: dict[int, ToolStep]) -> None:
        """Run calls side by side.

        Args:
            calls: The calls of one answer.
            messages: The conversation before them, for the context of tools.
            done: Receives the outcome of each call by its place, also if this raises.
        """
        ready: dict[int, Callable[[], Any]] = {}
        for index, call in enumerate(calls):
            try:
                ready[index] = await self._checked(call, messages)
            except _Failed as refused:
                self._fail(call, refused.error, done, index, text=refused.text)
        if len(ready) == 1:
            for index, function in ready.items():
                await self._observed(calls[index], function, done, index)
            return
        tasks = [partial(self._observed, calls[index], function, done, index) for index, function in ready.items()]
        for outcome in await self._transport.gather(tasks, self._options.parallel):
            if isinstance(outcome, Exception):
                raise outcome

    async def _checked(self, call: ToolCall, messages: Sequence[Any]) -> Callable[[], Any]:
        """Return the function that runs a call whose arguments are valid and that is approved."""
        tool = self._tools.get(call.name)
        if tool is None:
            known = ", ".join(self._tools) or "none"
            raise _Failed(ToolNotFoundError(f"there is no function {call.name!r}; the functions are: {known}"))
        self._refuse_repeated(call)
        context = ToolContext(
            deps=self._options.deps,
            client=self._client,
            step=call.step,
            messages=list(messages),
            call_id=call.id,
        )
        try:
            arguments = tool.validated(call.arguments)
        except ToolArgumentsError as error:
            raise _Failed(error) from None
        function = tool.bind_valid(arguments, context)
        approve = self._options.approve if tool.approve is None or tool.approve is True else tool.approve
        if approve:
            await self._ask(approve, replace(call, arguments=tool.as_json(arguments)))
        return function

    def _refuse_repeated(self, call: ToolCall) -> None:
        called = json.dumps([call.name, call.arguments], sort_keys=True, default=str)  # 1 is not True there
        self._repeats = self._repeats + 1 if called == self._last else 1
        self._last = called
        if self._repeats > self._options.max_repeats:
            raise _Failed(
                ToolError(
                    f"not run: the same call was made {self._repeats} times in a row; "
                    "use the results above, change the arguments, or answer"
                )
            )

    async def _ask(self, approve: Approval, call: ToolCall) -> None:
        """Ask whether a call may run; anything but True refuses it."""
        try:
            verdict = await self._call(partial(approve, call), None, awaited=_is_async(approve))
        except Exception as error:
            _log.warning("approval of tool %r failed: %s", call.name, class_and_text(error))
            raise _Failed(error, _NOT_APPROVED) from None
        if verdict is not True:
            raise _Failed(ToolError(verdict if isinstance(verdict, str) and verdict else _NOT_APPROVED))

    async def _observed(
        self, call: ToolCall, function: Callable[[], Any], done: dict[int, ToolStep], index: int
    ) -> None:
        if self.observation is None:
            await self._finished(call, function, done, index)
            return
        with self.observation.tool(call.name, call.id) as tool:
            await self._finished(call, function, done, index)
            tool.error = done[index].error

    async def _finished(
        self, call: ToolCall, function: Callable[[], Any], done: dict[int, ToolStep], index: int
    ) -> None:
        tool, now = self._tools[call.name], self._transport.now
        timeout = self._options.tool_timeout if tool.timeout is None else tool.timeout
        began = now()
        try:
            if tool.is_async:
                value = await self._call(function, timeout, awaited=True)
                content = result_json(value)
            else:
                value, content = await self._called(function, timeout)
        except OverdueError:
            overdue = ToolError(f"the function did not return within {timeout:g} seconds")
            self._fail(call, overdue, done, index, now() - began)
        except _Failed as failed:
            self._fail(call, failed.error, done, index, now() - began)
        except Exception as error:
            self._fail(call, error, done, index, now() - began)
        else:
            done[index] = ToolStep(call, content, value, seconds=now() - began)

    async def _called(self, function: Callable[[], Any], timeout: float | None) -> tuple[Any, str]:
        """Call a sync function; return its value and the JSON, which is made in its thread: the value may be lazy."""

        def with_json() -> tuple[Any, str | None]:
            try:
                value = function()
            except StopIteration as error:  # a coroutine cannot raise it
                raise _Failed(error) from None
            except asyncio.CancelledError as error:  # nothing has cancelled the run
                raise RuntimeError("the function was cancelled") from error
            return value, None if isawaitable(value) else result_json(value)

        value, content = await self._transport.call(with_json, timeout, awaited=False)
        if content is None:
            value = await self._transport.call(lambda: value, timeout, awaited=True)
            content = result_json(value)
        return value, content

    async def _call(self, function: Callable[[], Any], timeout: float | None, *, awaited: bool) -> Any:
        value = await self._transport.call(function, timeout, awaited=awaited)
        if isawaitable(value):
            value = await self._transport.call(lambda: value, timeout, awaited=True)
        return value

    def _fail(
        self,
        call: ToolCall,
        error: Exception,
        done: dict[int, ToolStep],
        index: int,
        seconds: float = 0.0,
        text: str | None = None,
    ) -> None:
        """Note the outcome of a call that failed.

        Raises:
            Exception: The error, if errors are raised.
        """
        done[index] = ToolStep(call, error_content(text or _text_of(error)), error=error, seconds=seconds)
        tool = self._tools.get(call.name)
        choice = self._options.on_error if tool is None or tool.on_error is None else tool.on_error
        if choice == "raise":
            raise error


class _Failed(Exception):
    """A call that failed or is not run."""

    def __init__(self, error: Exception, text: str | None = None) -> None:
        super().__init__(error)
        self.error = error
        self.text = text


def error_content(text: str) -> str:
    """Return what the model is told of a call that failed."""
    if len(text) > _MOST_ERROR_TEXT:
        text = f"{text[:_MOST_ERROR_TEXT]}... The text is cut: it has {len(text)} characters."
    text = text.encode(errors="replace").decode()  # half a surrogate pair cannot be sent
    return json.dumps({"error": text}, ensure_ascii=False)


def _text_of(error: Exception) -> str:
    if isinstance(error, McpError):
        return _MCP_FAILED  # the error's text contains stderr of a program on this machine
    name = type(error).__name__
    try:
        text = str(error)
    except Exception:
        return name
    if isinstance(error, ToolError | ToolArgumentsError | ToolNotFoundError):
        return text or "the tool failed"
    return f"{name}: {text}"


def _is_async(function: Any) -> bool:
    return iscoroutinefunction(function) or iscoroutinefunction(type(function).__call__)
