"""Messages of both chat versions, parsed into the form engines understand, and the rules of their order.

Reference, sections 4.2, 5.2 and 5.5.
"""

from __future__ import annotations

import json
import math
from collections import Counter, deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gigachat.server.engine import FunctionCall, Message
from gigachat.server.wire.errors import Refusal, invalid_params, invalid_shape
from gigachat.server.wire.requests import list_of, needed, typed

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence


_ROLES = frozenset({"system", "user", "assistant", "function", "search_result", "function_in_progress"})
_V2_ROLES = frozenset({"system", "user", "assistant", "tool", "function", "reasoning"})
RESULT_ROLES = ("function", "tool")
"""Roles of function results in v2; in v1 it is always `function`."""
STATE_NAMES = ("tool_state_id", "tools_state_id", "functions_state_id")
"""The state id of v2 under all the names it was seen with (reference, section 15)."""
_PART_KEYS = frozenset(
    {"text", "files", "function_call", "function_result", "inline_data", "tool_execution", "logprobs"}
)


def v1_message(raw: Any) -> Message:
    """Return a message of v1.

    Raises:
        Refusal: 400 for a wrong shape.
    """
    if not isinstance(raw, dict):
        raise invalid_shape()
    role = typed(raw, "role", str)
    if role not in _ROLES:
        raise invalid_shape()
    content = typed(raw, "content", str)
    files = tuple(list_of(raw, "attachments", str))
    call = typed(raw, "function_call", dict)
    calls = () if call is None else (FunctionCall(needed(call, "name", str), typed(call, "arguments", dict) or {}),)
    return Message(role, content or "", typed(raw, "name", str), calls, files, typed(raw, "functions_state_id", str))


def v2_messages(raw: Any, result_role: str | None = None) -> list[Message]:
    """Return the messages of a v2 message: one, or one for each function result in it.

    Args:
        raw: The message as it came.
        result_role: The only role of function results; both when None.

    Raises:
        Refusal: 400 for a wrong shape, and for a result that is a text but not JSON.
    """
    if not isinstance(raw, dict):
        raise invalid_shape()
    role = typed(raw, "role", str)
    if role not in _V2_ROLES:
        raise invalid_shape()
    if result_role is not None and role in RESULT_ROLES and role != result_role:
        raise invalid_shape()
    typed(raw, "message_id", str)
    state_id = state_of(raw)
    texts: list[str] = []
    files: list[str] = []
    calls: list[FunctionCall] = []
    results: list[Message] = []
    parts = needed(raw, "content", list)
    for part in parts:
        if not isinstance(part, dict) or not _PART_KEYS & part.keys():
            raise invalid_shape()
        texts.append(typed(part, "text", str) or "")
        files += [needed(one, "id", str) for one in list_of(part, "files", dict)]
        call = typed(part, "function_call", dict)
        if call is not None:
            typed(call, "id", str)
            calls.append(FunctionCall(needed(call, "name", str), typed(call, "arguments", dict) or {}))
        result = typed(part, "function_result", dict)
        if result is not None:
            results.append(_v2_result(result, state_id))
        for name in ("inline_data", "tool_execution"):
            typed(part, name, dict)
        list_of(part, "logprobs", dict)
    if role in RESULT_ROLES:
        if not results:
            raise invalid_shape()
        return results
    return [Message(role, "".join(texts), None, tuple(calls), tuple(files), state_id)]


def state_of(raw: Mapping[str, Any]) -> str | None:
    """Return the state id of a v2 message, or of a v2 request, under any of its names.

    Raises:
        Refusal: 400 when it is not a text.
    """
    ids: list[str] = [one for name in STATE_NAMES if (one := typed(raw, name, str)) is not None]
    return ids[0] if ids else None


def check_order(messages: Sequence[Message], calls: Container[str]) -> list[Message]:
    """Check who may follow whom, and return the messages with every result named after its call.

    The results of a call, or of the state id of one, must come next, and there must be no more of
    them than calls.

    Args:
        messages: The whole conversation.
        calls: State ids given out with function calls.

    Raises:
        Refusal: 422 for a broken rule.
    """
    owed = 0
    allowed: float = 0
    for number, message in enumerate(messages):
        if message.role == "system" and number > 0:
            raise invalid_params("system message must be the first message")
        if message.role == "function":
            if allowed <= 0:
                raise invalid_params("every assistant function result must have an assistant function call in history")
            allowed -= 1
            owed -= 1
            continue
        if owed > 0:
            raise _unanswered()
        owed, allowed = 0, 0
        if message.role == "assistant" and message.calls:
            owed = len(message.calls)
            allowed = owed
        elif message.role == "assistant" and message.state_id is not None:
            # The calls themselves were left out, so how many results there are is the caller's word. A text with a
            # state id that was not given out here is that of a built-in tool.
            owed = 1 if message.state_id in calls else 0
            allowed = math.inf if owed or not message.content else 0
    if owed > 0:
        raise _unanswered()
    return name_results(messages)


def check_result(name: str, text: str, status: int) -> None:
    """Check that a function result is JSON.

    Args:
        name: The function.
        text: Its result.
        status: Status of the refusal: 422 in v1, 400 in v2 (reference, section 15).

    Raises:
        Refusal: It is not.
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
        raise invalid_shape() from None


def _v2_result(raw: Mapping[str, Any], state_id: str | None) -> Message:
    name = needed(raw, "name", str)
    result = raw.get("result")
    if isinstance(result, str):
        check_result(name, result, 400)
        return Message("function", result, name, state_id=state_id)
    if not isinstance(result, (dict, list)):
        raise invalid_shape()
    return Message("function", json.dumps(result, ensure_ascii=False), name, state_id=state_id)


def name_results(messages: Sequence[Message]) -> list[Message]:
    """Give results without a name that of the call they answer, in the order of the calls."""
    found: list[Message] = []
    calls: deque[str] = deque()
    answered: Counter[str] = Counter()  # named results, whose calls are still in the queue
    for message in messages:
        if message.role != "function":
            calls, answered = deque(call.name for call in message.calls), Counter()
        elif message.name:
            answered[message.name] += 1
        else:
            while calls and answered[calls[0]] > 0:
                answered[calls.popleft()] -= 1
            if calls:
                found.append(replace(message, name=calls.popleft()))
                continue
        found.append(message)
    return found


def _unanswered() -> Refusal:
    return invalid_params("every assistant function call must have a result in history")
