"""Reports of a run: the calls of tools and their outcome, the events, and the result."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from gigachat._notebook import NotebookResult, Shown, tokens
from gigachat._usage import total_usage

CompletionT = TypeVar("CompletionT", covariant=True)
MessageT = TypeVar("MessageT")
UsageT = TypeVar("UsageT", covariant=True)

Stop: TypeAlias = Literal["answer", "max_steps", "call", "length", "refused"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool, as the model asked for it.

    Attributes:
        name: Name of the tool.
        arguments: Its arguments as the model wrote them: an object, or text if it wrote something else. A function
            that approves calls gets the validated values.
        id: Id of the call, if the service gave one.
        step: Number of the model's answer that asks for it, from 1.
    """

    name: str
    arguments: dict[str, Any] | str = field(repr=False)
    id: str | None = None
    step: int = 1


@dataclass(frozen=True, slots=True)
class ToolStep:
    """A call and its outcome.

    Attributes:
        call: The call.
        content: What the model was told, as JSON.
        value: What the tool returned; None if it failed.
        error: Why the call failed or was not run; None if it succeeded.
        seconds: How long the tool ran.
    """

    call: ToolCall
    content: str = field(repr=False)
    value: Any = field(default=None, repr=False)
    error: Exception | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class RunResult(NotebookResult, Generic[CompletionT, MessageT, UsageT]):
    """The result of a run.

    Attributes:
        completion: The last answer of the model.
        text: Its text.
        messages: The whole conversation, the answer included; the messages of the next request begin with them.
        steps: The calls of tools, in order.
        stop: Why the run ended: `answer`; `max_steps`, with all calls answered; `call`, if the model calls a function
            that was given as a description only, so that the caller adds its result to the messages; `length`, if the
            token limit cut the answer; `refused`, if the service restricted the topic.
        completions: All answers of the model.
        no_usage: The usage if no answer reports any.
    """

    completion: CompletionT = field(repr=False)
    text: str
    messages: list[MessageT] = field(repr=False)
    steps: list[ToolStep]
    stop: Stop
    completions: list[CompletionT] = field(repr=False)
    no_usage: UsageT = field(repr=False, compare=False)

    @cached_property
    def usage(self) -> UsageT:
        """Tokens of all answers of this run."""
        usage: UsageT | None = total_usage(self.completions)
        return self.no_usage if usage is None else usage

    def _shown(self) -> Shown:
        rows = [(step.call.name, step.call.arguments, step.error or step.content) for step in self.steps]
        count = getattr(self.usage, "total_tokens", None)
        return Shown(self.text, [("tool", "arguments", "result"), *rows], (self.stop, tokens(count)))


@dataclass(frozen=True, slots=True)
class RunText:
    """A piece of the model's text."""

    text: str


@dataclass(frozen=True, slots=True)
class RunReasoning:
    """A piece of the model's reasoning."""

    text: str


@dataclass(frozen=True, slots=True)
class RunCall:
    """The model calls a tool, which has not run yet."""

    call: ToolCall


@dataclass(frozen=True, slots=True)
class RunToolResult:
    """The result of a call; the results of one answer follow when all its calls have ended."""

    step: ToolStep


@dataclass(frozen=True, slots=True)
class RunDone(Generic[CompletionT, MessageT, UsageT]):
    """The run ended; the last event."""

    result: RunResult[CompletionT, MessageT, UsageT]


RunEvent: TypeAlias = RunText | RunReasoning | RunCall | RunToolResult | RunDone[CompletionT, MessageT, UsageT]
