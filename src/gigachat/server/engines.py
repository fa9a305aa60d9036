"""The port behind which a model would sit: what an engine is asked and what it gives back.

Engines know nothing of HTTP, of the two versions of the chat contract or of accounts. They must not check
requests: what reaches them has been checked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from gigachat.server.catalogue import Model


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the conversation, as every engine understands it."""

    role: str
    content: str = ""
    name: str | None = None
    function_call: FunctionCall | None = None


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """A call the model asks the caller to make."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reasoning:
    """A piece of the model's thoughts, sent beside the answer (reference, section 7)."""

    text: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Why the answer ended, when it is neither a full text nor a function call."""

    reason: str


Piece = str | Reasoning | FunctionCall | Stop


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A checked chat request.

    `functions` holds only those that may be called now: none when calls are switched off. `forced` names
    the function whose arguments must be generated, `preset` are arguments given for it. `schema` is the
    JSON Schema the answer must obey. `options` is the request as it came, for engines that know more
    fields.
    """

    model: Model
    messages: Sequence[Message]
    functions: Sequence[Mapping[str, Any]] = ()
    forced: str | None = None
    preset: Mapping[str, Any] = field(default_factory=dict)
    schema: Mapping[str, Any] | None = None
    max_tokens: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Embedding:
    """A vector of half-precision values and the tokens its text cost."""

    vector: Sequence[float]
    tokens: int


class Engine(Protocol):
    """What stands behind the server."""

    def complete(self, request: ChatRequest) -> AsyncGenerator[Piece, None]:
        """Yield the answer in pieces: phrases of text, or one function call; `Stop` last if it ended early.

        The generator is closed when the caller goes away.

        Raises:
            Refusal: Before the first piece, for a request this engine can't take.
        """
        ...

    def embed(self, text: str, model: Model) -> Embedding:
        """Return the vector of one text, of the model's dimensions."""
        ...

    def count(self, text: str) -> int:
        """Return the number of tokens in a text."""
        ...
