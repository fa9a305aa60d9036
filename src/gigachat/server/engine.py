"""The protocol of an engine: the requests it gets and the pieces it yields.

An engine knows neither HTTP nor API versions nor accounts. The requests it gets are checked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from gigachat.server.catalogue import Model


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the conversation, as every engine understands it.

    A function's result is a message of role `function`: its `name` is the function, its `content` a JSON
    document, `call_id` the id of its call. `files` are the ids of attached files, `state_id` is what the message
    carried back from an earlier answer.
    """

    role: str
    content: str = ""
    name: str | None = None
    calls: Sequence[FunctionCall] = ()
    files: Sequence[str] = ()
    state_id: str | None = None
    call_id: str | None = None


@dataclass(frozen=True, slots=True)
class AttachedFile:
    """A file attached to a message."""

    name: str
    mime: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """A function call requested by the model. The server adds an id if it has none."""

    name: str
    arguments: dict[str, Any]
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Reasoning:
    """A piece of reasoning, sent apart from the answer (reference, section 7)."""

    text: str


@dataclass(frozen=True, slots=True)
class Source:
    """A page a search found."""

    url: str
    title: str


@dataclass(frozen=True, slots=True)
class MadeFile:
    """A file a built-in tool made; the server keeps it and names its id in the answer."""

    content: bytes
    name: str
    mime: str = "image/jpeg"
    target: str = "image"


@dataclass(frozen=True, slots=True)
class ToolUse:
    """The use of a built-in tool; it precedes the text that is based on it."""

    name: str
    files: Sequence[MadeFile] = ()
    sources: Sequence[Source] = ()


@dataclass(frozen=True, slots=True)
class Stop:
    """The reason why the answer ended, unless it is a complete text or a function call."""

    reason: str


@dataclass(frozen=True, slots=True)
class Spent:
    """The tokens used, as reported by the engine. Without it, the server counts them.

    Args:
        prompt: Tokens of the prompt with all its frames, those found in a cache included.
        cached: Tokens of the prompt found in the model's cache.
        completion: Tokens generated.
    """

    prompt: int
    cached: int
    completion: int


Piece = str | Reasoning | FunctionCall | ToolUse | Stop | Spent


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A checked chat request.

    `functions` holds only those that may be called now: none when calls are switched off; the same holds for `tools`,
    names of built-in ones. `attached` are the files of the last user's message. `must_call` names functions of which at
    least one must be called, `preset` are arguments given for a single one, `forced_tool` is the built-in tool to use.
    `several_calls` says that one answer may hold more than one call. `schema` is the JSON Schema the answer must obey,
    `pattern` the regular expression it must match, `effort` how much to reason (any text, mostly `low`, `medium`,
    `high`), `reasoning_tokens` the most tokens of reasoning. `options` is the request as it came, for engines that know
    more fields.
    """

    model: Model
    messages: Sequence[Message]
    attached: Sequence[AttachedFile] = ()
    functions: Sequence[Mapping[str, Any]] = ()
    must_call: Sequence[str] = ()
    preset: Mapping[str, Any] = field(default_factory=dict)
    several_calls: bool = False
    tools: Sequence[str] = ()
    forced_tool: str | None = None
    schema: Mapping[str, Any] | None = None
    pattern: str | None = None
    effort: str | None = None
    reasoning_tokens: int | None = None
    max_tokens: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


class Engine(Protocol):
    """Generates the answers to chats."""

    def complete(self, request: ChatRequest) -> AsyncGenerator[Piece, None]:
        """Yield the answer in pieces: reasoning, phrases of text, function calls; then `Stop` if it ended early and
        `Spent` if the engine knows what it cost.

        The generator is closed when the caller goes away.

        Raises:
            Refusal: Before the first piece, for a request this engine can't take.
        """
        ...


Embedder = Callable[[str, int], "Sequence[float]"]
"""Returns the vector of a text, of so many values. It is called from threads."""
