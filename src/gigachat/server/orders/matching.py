"""Received chat requests, parsed for tests, and the conditions on them.

A request that cannot be parsed is no chat.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import PlainValidator

from gigachat.models import chat as v1
from gigachat.models import chat_completions as v2
from gigachat.server.orders.checks import Order
from gigachat.server.wire.errors import Refusal, invalid_shape
from gigachat.server.wire.messages import v1_message, v2_messages
from gigachat.server.wire.requests import read_object
from gigachat.server.wire.shapes import check_shape

if TYPE_CHECKING:
    from gigachat.server.engine import Message
    from gigachat.server.state.requests import Received

_CHATS = "/chat/completions"
_CHAT = {
    "model": str | None,
    "messages": list[dict[str, Any]],
    "functions": list[v1.Function] | None,
    "tools": list[v2.ChatTool] | None,
}
_LONGEST = 200
_MOST = 20
_CLOSE = 0.6


@dataclass(frozen=True, slots=True)
class ReceivedChat:
    """One chat request, of either version. Its text names model, functions and last message, nothing else.

    Args:
        messages: The messages: `role`, `content`, `name`, `calls`, `files` of each.
        model: The requested model; None without one.
        functions: Names of the functions and built-in tools offered.
        stream: Whether a stream was requested.
        body: The whole body as received.
    """

    messages: Sequence[Message]
    model: str | None
    functions: Sequence[str]
    stream: bool
    body: Mapping[str, Any] = field(repr=False)

    @property
    def last_message(self) -> Message:
        """The last message, which the chat asks to answer."""
        return self.messages[-1]

    def __str__(self) -> str:
        offered = f", functions {', '.join(self.functions)}" if self.functions else ""
        last = self.last_message
        content = last.content if len(last.content) <= _LONGEST else last.content[: _LONGEST - 1] + "…"
        return f"{self.model or 'no model'}{offered}: {last.role} {content!r}"


When: TypeAlias = str | re.Pattern[str] | Callable[[ReceivedChat], object]
"""A condition on a chat: a text that its last message contains, ignoring case; an expression that is found in it; or a
function of the whole chat."""


def read_chat(body: Mapping[str, Any]) -> ReceivedChat:
    """Parse a chat request.

    Raises:
        Refusal: The request has the wrong shape.
    """
    check_shape(body, _CHAT)
    messages: list[Message] = []
    for raw in body["messages"]:
        messages += v2_messages(raw) if isinstance(raw.get("content"), list) else [v1_message(raw)]
    if not messages:
        raise invalid_shape("messages is empty.")
    names = [one["name"] for one in body.get("functions") or ()]
    for tool in body.get("tools") or ():
        functions = tool.get("functions") or {}
        names += [one["name"] for one in functions.get("specifications") or ()]
        names += [name for name in tool if name != "functions"]
    return ReceivedChat(tuple(messages), body.get("model"), tuple(names), body.get("stream") is True, body)


def read_chats(requests: Sequence[Received]) -> list[ReceivedChat]:
    """Return the chats among requests; those that cannot be parsed are omitted."""
    chats: list[ReceivedChat] = []
    for request in requests:
        if request.path.endswith(_CHATS):
            try:
                chats.append(read_chat(read_object(request.body)))
            except Refusal:
                continue
    return chats


def asks_for_stream(request: Received) -> bool:
    """Return whether a request asks for a stream."""
    if b'"stream"' not in request.body:
        return False
    try:
        return read_object(request.body).get("stream") is True
    except Refusal:
        return False


def _checked_when(when: object) -> object:
    if when is None or isinstance(when, str) or callable(when):
        return when
    if isinstance(when, re.Pattern) and isinstance(when.pattern, str):
        return when
    raise ValueError(f"write a text, a compiled expression of text or a function, not {type(when).__name__}")


class Condition(Order):
    """A condition on chats. A field that is None matches all of them.

    Attributes:
        when: The condition on its content.
        role: Role of the last message.
        model: Model the chat asks for.
        function: A function that is offered, or whose result is the last message.
    """

    when: Annotated[When | None, PlainValidator(_checked_when)] = None
    role: str | None = None
    model: str | None = None
    function: str | None = None

    def fits(self, chat: ReceivedChat) -> bool:
        """Return whether a chat meets the condition."""
        last = chat.last_message
        if self.role not in (None, last.role) or self.model not in (None, chat.model):
            return False
        # A result is about its own function, any other message about all that are offered.
        about = (last.name,) if last.role == "function" else chat.functions
        if self.function is not None and self.function not in about:
            return False
        match self.when:
            case None:
                return True
            case str():
                return self.when.casefold() in last.content.casefold()
            case re.Pattern():
                return self.when.search(last.content) is not None
            case _:
                return bool(self.when(chat))

    def __str__(self) -> str:
        match self.when:
            case None:
                words = "anything"
            case str():
                words = repr(self.when)
            case re.Pattern():
                words = f"something like {self.when.pattern!r}"
            case _:
                words = f"what {getattr(self.when, '__name__', 'the function')} says"
        to = "" if self.model is None else f" of {self.model}"
        offering = "" if self.function is None else f" with function {self.function}"
        return f"{words}{to}{offering}"


def describe(chats: Sequence[ReceivedChat], requests: Sequence[Received], sought: When | None = None) -> str:
    """Return what was asked, a line for each chat, and how the closest one differs from a text that was sought."""
    if not chats:
        others = ", ".join(dict.fromkeys(f"{one.method} {one.path}" for one in requests))
        return "no chat came" + (f"; other requests: {others}" if others else ", nor any other request")
    lines = ["what was asked:"]
    lines += [f"  {number}. {chat}" for number, chat in enumerate(chats[:_MOST], 1)]
    if len(chats) > _MOST:
        lines.append(f"  … and {len(chats) - _MOST} more")
    if isinstance(sought, str):
        texts = [chat.last_message.content for chat in chats]
        for closest in difflib.get_close_matches(sought, texts, 1, _CLOSE):
            lines.append("the closest (+) differs from what was sought (-):")
            lines += [f"  {line.rstrip()}" for line in difflib.ndiff(sought.splitlines(), closest.splitlines())]
    return "\n".join(lines)
