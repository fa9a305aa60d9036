"""The start of a run: its tools, its options and the fields of its chats, checked before any request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields as fields_of
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel

from gigachat.api.arguments import refuse_repeated_names
from gigachat.api.tool_run.calls import RunOptions
from gigachat.api.tool_run.loop import ToolRun
from gigachat.api.tool_run.streams import AsyncRunStream, RunStream
from gigachat.api.tool_run.versions import V1, V2, Version
from gigachat.tools import Tool, as_tool, is_callable_tool

if TYPE_CHECKING:
    from gigachat import models
    from gigachat._engine.endpoint import Resource
    from gigachat._engine.session import Session

CompletionT = TypeVar("CompletionT")
MessageT = TypeVar("MessageT")
UsageT = TypeVar("UsageT")

_OPTIONS = tuple(option.name for option in fields_of(RunOptions))


class RunInBothModes(Generic[CompletionT, MessageT, UsageT]):
    """A run that has not begun.

    Args:
        resource: The client, or its namespace of chats.
        version: The requests of the run.
        tools: The functions that can be called, by name.
        described: Names of functions that the model may call and that the caller runs.
        options: Options of the run.
        stream: Whether the answers are streamed.
    """

    def __init__(
        self,
        resource: Resource[Any],
        version: Version[CompletionT, Any, MessageT, UsageT],
        tools: Mapping[str, Tool[..., Any]],
        described: frozenset[str],
        options: RunOptions,
        *,
        stream: bool,
    ) -> None:
        self._resource = resource
        self._arguments = version, tools, described, options
        self._streams = stream

    def begin(self, session: Session) -> ToolRun[CompletionT, MessageT, UsageT]:
        """Return the run over a session."""
        attribute = getattr(self._resource, "_attribute", None)  # of a namespace: its client, and its name there
        client = self._resource if attribute is None else attribute[0]
        return ToolRun(session, *self._arguments, client, stream=self._streams)

    def blocking(self) -> RunStream[CompletionT, MessageT, UsageT]:
        """Return the stream of its events for blocking callers."""
        return RunStream(self.begin(self._resource._blocking))

    def awaited(self) -> AsyncRunStream[CompletionT, MessageT, UsageT]:
        """Return the stream of its events for async callers."""
        return AsyncRunStream(self.begin(self._resource._async))


def start_v1(
    resource: Resource[Any], payload: Any, fields: Mapping[str, Any], *, stream: bool
) -> RunInBothModes[models.ChatCompletion, models.Messages, models.Usage]:
    """Return a run by chats v1.

    Raises:
        TypeError, ValueError: An argument is invalid.
    """
    options, transcript, tools, rest = _split(fields, "functions")
    version = V1(resource, payload, {**rest, "functions": tools or None}, stream=stream)
    return _start(resource, version, tools, options, transcript, stream=stream)


def start_v2(
    resource: Resource[Any], payload: Any, fields: Mapping[str, Any], *, stream: bool
) -> RunInBothModes[models.ChatCompletionResponse, models.ChatMessage, models.ChatUsage]:
    """Return a run by chats v2.

    Raises:
        TypeError, ValueError: An argument is invalid.
    """
    options, transcript, tools, rest = _split(fields, None)
    version = V2(resource, payload, {**rest, "tools": tools or None}, stream=stream)
    return _start(resource, version, tools, options, transcript, stream=stream)


def _start(
    resource: Resource[Any],
    version: Version[CompletionT, Any, MessageT, UsageT],
    tools: Sequence[Any],
    options: RunOptions,
    transcript: list[Any] | None,
    *,
    stream: bool,
) -> RunInBothModes[CompletionT, MessageT, UsageT]:
    callable_tools = {tool.name: tool for tool in tools if isinstance(tool, Tool)}
    names = version.function_names()
    refuse_repeated_names(names)
    described = frozenset(names) - callable_tools.keys()
    if transcript is not None:
        transcript[:] = version.messages
        version.use(transcript)
    return RunInBothModes(resource, version, callable_tools, described, options, stream=stream)


def _split(fields: Mapping[str, Any], other_name: str | None) -> tuple[RunOptions, Any, list[Any], dict[str, Any]]:
    """Return the options of a run, its transcript, its tools, and the fields of its chats."""
    rest = dict(fields)
    options = RunOptions(**{name: rest.pop(name) for name in _OPTIONS if name in rest})
    transcript, tools = rest.pop("transcript", None), rest.pop("tools", None)
    if transcript is not None and not isinstance(transcript, list):
        raise TypeError("transcript= takes a list, which receives the messages")
    if tools is None:
        raise TypeError("a run needs tools=[...]")
    if isinstance(tools, str | Mapping) or not isinstance(tools, Sequence):
        raise TypeError("tools= takes a list of tools")
    if rest.get("storage"):
        raise TypeError("a run keeps the conversation itself: storage= cannot be given")
    if other_name is not None and rest.get(other_name) is not None:
        raise TypeError(f"a run takes its functions as tools=[...], not as {other_name}=")
    return options, transcript, [_checked(tool, f"tools[{index}]") for index, tool in enumerate(_flat(tools))], rest


def _checked(tool: Any, place: str) -> Any:
    """Return a tool of a run: a function as a `Tool`, a description as it is.

    Raises:
        TypeError, ValueError: It is neither.
    """
    if is_callable_tool(tool):
        made = as_tool(tool)
        made.refuse_unbound()
        return made
    if isinstance(tool, type):
        raise TypeError(f"{place} must be a function, a tool or a description, not the class {tool.__name__}")
    if not isinstance(tool, str | Mapping | BaseModel):
        raise TypeError(f"{place} must be a function, a tool or a description, not {type(tool).__name__}")
    return tool


def _flat(tools: Sequence[Any]) -> Iterator[Any]:
    """Yield tools, also those of sequences among them."""
    for tool in tools:
        if isinstance(tool, Sequence) and not isinstance(tool, str | bytes):
            yield from tool
        else:
            yield tool
