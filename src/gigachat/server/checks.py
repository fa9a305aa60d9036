"""What the service accepts as a v1 chat request, and with which words it refuses the rest.

Reference, sections 4.1, 4.2, 4.4, 4.6 and 13. Wrong JSON types are 400, wrong values and orders 422. Unknown
fields are ignored. It must not answer anything itself: it returns the checked request or raises.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gigachat.server.catalogue import Model, find_model
from gigachat.server.engines import ChatRequest, FunctionCall, Message
from gigachat.server.errors import Refusal, invalid_params, invalid_shape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gigachat.server.state import Calls

_ROLES = frozenset({"system", "user", "assistant", "function", "search_result", "function_in_progress"})
_FUNCTION_NAME = re.compile(r"[A-Za-z_.\-][A-Za-z0-9_.\-]*")


@dataclass(frozen=True, slots=True)
class V1Request:
    """A checked v1 request: what the engine needs, and how the answer is to be sent."""

    chat: ChatRequest
    stream: bool
    update_interval: float


def read_json(body: bytes) -> Any:
    """Return the JSON document of a body.

    Raises:
        Refusal: 400 when it is not one.
    """
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise invalid_shape() from None


def read_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a body.

    Raises:
        Refusal: 400 when it is anything else.
    """
    read = read_json(body)
    if not isinstance(read, dict):
        raise invalid_shape()
    return read


def read_model(body: Mapping[str, Any], kind: str | None) -> Model:
    """Return the model a body asks for; see `find_model`."""
    return find_model(typed(body, "model", str) or "", kind)


def typed(body: Mapping[str, Any], name: str, kind: Any) -> Any:
    """Return a field of this JSON type; null counts as absent.

    Raises:
        Refusal: 400 for another type.
    """
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise invalid_shape()
    return value


def check_chat(body: bytes, calls: Calls) -> V1Request:
    """Return the checked request of `POST /v1/chat/completions`.

    Args:
        body: The bytes received.
        calls: State ids given out with function calls.

    Raises:
        Refusal: As the service would refuse it.
    """
    options = read_object(body)
    model = read_model(options, "chat")
    stream = bool(typed(options, "stream", bool))
    messages = _messages(options, calls)
    max_tokens = _numbers(options)
    functions = _functions(options, model, messages[-1])
    forced, preset = _forced(options, functions)
    mode = options.get("function_call")
    schema = _schema(options)
    interval = typed(options, "update_interval", (int, float)) or 0.0
    if interval < 0:
        raise invalid_params("update_interval must be in range [0, +inf)")
    chat = ChatRequest(
        model=model,
        messages=messages,
        functions=functions if mode == "auto" or forced is not None else (),
        forced=forced,
        preset=preset,
        schema=schema,
        max_tokens=max_tokens,
        options=options,
    )
    return V1Request(chat, stream, float(interval))


def _numbers(options: Mapping[str, Any]) -> int | None:
    """Check the sampling numbers and return `max_tokens`."""
    for name in ("temperature", "repetition_penalty"):
        value = typed(options, name, (int, float))
        if value is not None and value <= 0:
            raise invalid_params(f"{name} must be in range (0, +inf)")
    top_p = typed(options, "top_p", (int, float))
    if top_p is not None and not 0 <= top_p <= 1:
        raise invalid_params("top_p must be in range [0, 1]")
    max_tokens: int | None = typed(options, "max_tokens", int)
    if max_tokens is not None and max_tokens <= 0:
        raise invalid_params("max_tokens must be in range (0, +inf)")
    return max_tokens


def _messages(options: Mapping[str, Any], calls: Calls) -> list[Message]:
    raw = typed(options, "messages", list)
    if not raw:
        raise invalid_params("messages must not be empty")
    messages: list[Message] = []
    owed = False
    """Whether the message before asks for a function result."""
    for number, one in enumerate(raw):
        message = _message(one)
        state_id = typed(one, "functions_state_id", str)
        if message.role == "system" and number > 0:
            raise invalid_params("system message must be the first message")
        if owed and message.role != "function":
            raise _unanswered()
        if message.role == "function":
            before = raw[number - 1] if number else {}
            called = before.get("role") == "assistant" and (
                before.get("function_call") is not None or before.get("functions_state_id") is not None
            )
            if not called:
                raise invalid_params("every assistant function result must have an assistant function call in history")
            call = messages[-1].function_call
            message = _result(message, call.name if call is not None else "")
        owed = message.role == "assistant" and (message.function_call is not None or state_id in calls)
        messages.append(message)
    if owed:
        raise _unanswered()
    return messages


def _unanswered() -> Refusal:
    return invalid_params("every assistant function call must have a result in history")


def _message(raw: Any) -> Message:
    if not isinstance(raw, dict):
        raise invalid_shape()
    role = typed(raw, "role", str)
    if role not in _ROLES:
        raise invalid_shape()
    content = typed(raw, "content", str)
    attachments = typed(raw, "attachments", list)
    if attachments is not None and not all(isinstance(one, str) for one in attachments):
        raise invalid_shape()
    call = None
    raw_call = typed(raw, "function_call", dict)
    if raw_call is not None:
        name = typed(raw_call, "name", str)
        arguments = typed(raw_call, "arguments", dict)
        if name is None:
            raise invalid_shape()
        call = FunctionCall(name, arguments or {})
    return Message(role, content or "", typed(raw, "name", str), call)


def _result(message: Message, called: str) -> Message:
    """Check that a function result holds JSON, and give it the name of the call when it has none."""
    name = message.name or called
    try:
        json.loads(message.content)
    except json.JSONDecodeError as error:
        raise Refusal(
            422,
            f"invalid function result for function {name} json string {message.content}, "
            f"error: JSON parse error at line {error.lineno} column {error.colno}",
        ) from None
    except (ValueError, RecursionError):
        raise invalid_shape() from None
    return Message(message.role, message.content, name)


def _functions(options: Mapping[str, Any], model: Model, last: Message) -> Sequence[Mapping[str, Any]]:
    functions = typed(options, "functions", list) or []
    names: list[str] = []
    for one in functions:
        if not isinstance(one, dict):
            raise invalid_shape()
        names.append(typed(one, "name", str) or "")
        typed(one, "parameters", dict)
    wrong = [name for name in names if not _FUNCTION_NAME.fullmatch(name)]
    if wrong:
        raise invalid_params(
            "Invalid function names. Only Latin letters (A-Z or a-z), underscore (_), hyphen (-), dot (.) "
            f"and digits (not leading) are allowed.: [{' '.join(wrong)}]"
        )
    if functions and model.third_generation and last.role not in ("user", "function"):
        raise Refusal(
            422,
            "INVALID_PARAMS: functions or thinking_functions should only appeal in user, function messages "
            "or random role messages",
        )
    return functions


def _forced(options: Mapping[str, Any], functions: Sequence[Mapping[str, Any]]) -> tuple[str | None, Mapping[str, Any]]:
    """Return the name of the function that must be called, if any, and its preset arguments."""
    mode = options.get("function_call")
    if mode in (None, "none", "auto"):
        return None, {}
    if isinstance(mode, str):
        raise invalid_params('function_call must be "none", "auto" or an object with a name')
    if not isinstance(mode, dict):
        raise invalid_shape()
    name = typed(mode, "name", str)
    if name not in [one["name"] for one in functions]:
        raise invalid_params(f"function_call names function {name}, which is not in functions")
    return name, typed(mode, "partial_arguments", dict) or {}


def _schema(options: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Check `response_format` (reference, section 4.6) and return the schema the answer must obey."""
    wanted = typed(options, "response_format", dict)
    if wanted is None:
        return None
    kind = typed(wanted, "type", str)
    if kind == "text":
        if len(wanted) > 1:
            raise invalid_params("response_format of type text must have no other fields")
        return None
    if kind != "json_schema":
        raise Refusal(400, f'Unknown type "{kind or ""}" in response_format')
    typed(wanted, "strict", bool)
    schema: Mapping[str, Any] | None = typed(wanted, "schema", dict)
    if not schema:
        raise Refusal(400, "Empty schema with json format type is not supported")
    return schema


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
