"""Messages of both chat versions, parsed into the form engines understand, and the rules of their order.

Reference, sections 4.2, 5.2 and 5.5.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gigachat.models import chat as v1
from gigachat.models import chat_completions as v2
from gigachat.server.engine import FunctionCall, Message
from gigachat.server.wire.errors import Refusal, invalid_params, invalid_shape
from gigachat.server.wire.shapes import STATE_NAMES, check_shape

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

_ROLES = frozenset({"system", "user", "assistant", "function", "search_result", "function_in_progress"})
_V2_ROLES = frozenset({"system", "user", "assistant", "tool", "function", "reasoning"})
RESULT_ROLES = ("function", "tool")
"""Roles of function results in v2; in v1 it is always `function`."""
_PART_KEYS = frozenset(
    {"text", "files", "function_call", "function_result", "inline_data", "tool_execution", "logprobs"}
)


def v1_message(raw: Any) -> Message:
    """Parse a message of API v1.

    Raises:
        Refusal: 400 if the message has a wrong shape.
    """
    check_shape(raw, v1.Messages)
    role = raw["role"]
    if role not in _ROLES:
        raise invalid_shape(f"The role of a message must be one of: {', '.join(sorted(_ROLES))}.")
    call = raw.get("function_call")
    calls = () if call is None else (_call(call),)
    files = tuple(raw.get("attachments") or ())
    return Message(role, raw.get("content") or "", raw.get("name"), calls, files, raw.get("functions_state_id"))


def v2_messages(raw: Any, result_role: str | None = None) -> list[Message]:
    """Return the messages of a v2 message: one, or one for each function result in it.

    Args:
        raw: The message as it came.
        result_role: The only role of function results; both when None.

    Raises:
        Refusal: 400 for a wrong shape, and for a result that is a text but not JSON.
    """
    check_shape(raw, v2.ChatMessage)
    role, parts, state_id = raw["role"], raw["content"], state_of(raw)
    roles = set(_V2_ROLES) if result_role is None else set(_V2_ROLES) - set(RESULT_ROLES) | {result_role}
    if role not in roles:
        raise invalid_shape(f"The role of a message must be one of: {', '.join(sorted(roles))}.")
    if not all(_PART_KEYS & part.keys() for part in parts):
        raise invalid_shape(f"Each part of content must have one of: {', '.join(sorted(_PART_KEYS))}.")
    results = [_v2_result(part["function_result"], state_id) for part in parts if part.get("function_result")]
    if role in RESULT_ROLES:
        if not results:
            raise invalid_shape(f"A message of the role {role} must have a part with function_result.")
        return results
    text = "".join(part.get("text") or "" for part in parts)
    calls = tuple(_call(part["function_call"]) for part in parts if part.get("function_call"))
    files = tuple(file["id"] for part in parts for file in part.get("files") or ())
    return [Message(role, text, None, calls, files, state_id)]


def _call(raw: Mapping[str, Any]) -> FunctionCall:
    return FunctionCall(raw["name"], raw.get("arguments") or {}, raw.get("id"))


def _v2_result(raw: Mapping[str, Any], state_id: str | None) -> Message:
    name, result = raw["name"], raw["result"]
    if isinstance(result, str):
        check_result(name, result, 400)
    else:
        result = json.dumps(result, ensure_ascii=False)
    return Message("function", result, name, state_id=state_id, call_id=raw.get("id"))


def state_of(raw: Mapping[str, Any]) -> str | None:
    """Return the state id of a v2 message under any of its names."""
    return next((raw[name] for name in STATE_NAMES if raw.get(name) is not None), None)


def check_order(messages: Sequence[Message], calls: Container[str], *, several: bool = False) -> list[Message]:
    """Check the order of the messages, and return them with every result named after its call.

    The results of a call, or of the state id of one, must come next, and there must be no more of
    them than calls. A result with an id must be that of a call with this id.

    Args:
        messages: The whole conversation.
        calls: State ids given out with function calls.
        several: Whether one answer may have several messages, whose results follow all of them.

    Raises:
        Refusal: 422 for a broken rule.
    """
    owed = 0
    any_number = False
    waiting = OpenCalls()
    named: list[Message] = []
    for number, message in enumerate(messages):
        if message.role == "system" and number > 0:
            raise invalid_params("system message must be the first message")
        if message.role == "function":
            if owed <= 0 and not any_number:
                raise _unasked()
            try:
                call = waiting.take(message)
            except LookupError:
                raise _unasked() from None
            owed -= 1
            named.append(message if message.name or call is None else replace(message, name=waiting.calls[call].name))
            continue
        named.append(message)
        of_one = several and message.role in _OF_ANSWERS and number > 0 and messages[number - 1].role in _OF_ANSWERS
        if not of_one or owed <= 0:
            if owed > 0:
                raise _unanswered()
            owed, any_number, waiting = 0, False, OpenCalls()
        if message.role == "assistant" and message.calls:
            owed += len(message.calls)
            waiting.add(message.calls)
        elif message.role == "assistant" and message.state_id is not None:
            # The calls themselves were left out, so the caller decides how many results there are. A text with a
            # state id that was not given out here is that of a built-in tool.
            known = message.state_id in calls
            owed += known
            any_number = any_number or known or not message.content
    if owed > 0:
        raise _unanswered()
    return named


_OF_ANSWERS = ("assistant", "reasoning")
"""Roles of the messages of one answer."""


class OpenCalls:
    """Calls that wait for their results. Taking one costs the same however many there are."""

    def __init__(self) -> None:
        self.calls: list[FunctionCall] = []
        """All calls that were added."""
        self._taken: set[int] = set()
        self._without_id = 0
        self._queues: dict[tuple[str | None, str | None], deque[int]] = {}  # by id, by name, by both and by neither

    def add(self, calls: Sequence[FunctionCall]) -> None:
        """Add the calls of a message."""
        for number, call in enumerate(calls, len(self.calls)):
            ids = (None,) if call.id is None else (None, call.id)
            for key in [(one, name) for one in ids for name in (None, call.name)]:
                self._queues.setdefault(key, deque()).append(number)
            self._without_id += call.id is None
        self.calls += calls

    def _first(self, call_id: str | None, name: str | None) -> int | None:
        queue = self._queues.get((call_id, name), deque())
        while queue and queue[0] in self._taken:
            queue.popleft()
        return queue[0] if queue else None

    def take(self, result: Message) -> int | None:
        """Take the call of a result: by its id, by its name, or the first one.

        Returns:
            The index of the call in `calls`; None if none is left.

        Raises:
            LookupError: The result has an id, which none of the calls has.
        """
        call_id = result.call_id
        if call_id is not None and self._first(call_id, None) is None:
            if not self._without_id and len(self._taken) < len(self.calls):
                raise LookupError
            call_id = None
        number = self._first(call_id, result.name or None)
        if number is None:
            if call_id is not None:
                raise LookupError
            number = self._first(None, None)
        if number is not None:
            self._taken.add(number)
            self._without_id -= self.calls[number].id is None
        return number


def check_result(name: str, text: str, status: int) -> None:
    """Check that a function result is JSON.

    Args:
        name: The function.
        text: Its result.
        status: Status of the refusal: 422 in v1, 400 in v2 (reference, section 15).

    Raises:
        Refusal: The result is not JSON.
    """
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        raise Refusal(
            status,
            f"invalid function result for function {name} json string {text}, "
            f"error: JSON parse error at line {error.lineno} column {error.colno}",
        ) from None
    except (ValueError, RecursionError):
        raise invalid_shape(f"The result of the function {name} is not JSON that can be read.") from None


def _unasked() -> Refusal:
    return invalid_params("every assistant function result must have an assistant function call in history")


def _unanswered() -> Refusal:
    return invalid_params("every assistant function call must have a result in history")
