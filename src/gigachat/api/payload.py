"""Payloads of chats v1 and v2: text, a model, a mapping or a list of messages.

They are turned into fields and models. Errors are one line and contain no values. `messages` is the only field that
is known by name here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pydantic import BaseModel

    ModelT = TypeVar("ModelT", bound=BaseModel)

__all__ = ["check_messages", "is_blank", "payload_fields", "problem", "validated"]


def payload_fields(payload: Any, kind: type[BaseModel]) -> dict[str, Any]:
    """Return the fields of the request for a payload, in a new mapping.

    Args:
        payload: What was passed.
        kind: Class of the request.

    Raises:
        TypeError, ValueError: The payload is invalid.
    """
    if isinstance(payload, str):
        if not payload:
            raise ValueError("the message is empty")
        return {"messages": [{"role": "user", "content": payload}]}
    if payload is None:
        return {}
    if isinstance(payload, (Mapping, kind)):
        return dict(payload)
    if isinstance(payload, Sequence) and not isinstance(payload, bytes | bytearray):
        return {"messages": payload}
    raise TypeError(
        f"a chat is text, a {kind.__name__}, a mapping of its fields or a list of messages, "
        f"not {type(payload).__name__}"
    )


def check_messages(messages: Sequence[Any]) -> None:
    """Refuse a chat without messages.

    Raises:
        ValueError: There is no message.
    """
    if not messages:
        raise ValueError("messages is empty: give at least one message")


def is_blank(model: Any) -> bool:
    """Whether the name of a model is missing or empty."""
    return not (model.strip() if isinstance(model, str) else model)


def validated(kind: type[ModelT], fields: Mapping[str, Any], wrong: Callable[[str], Exception] = ValueError) -> ModelT:
    """Return fields as a model.

    Raises:
        ValueError: They do not fit; or what `wrong` makes of the reason.
    """
    try:
        # The validator itself: a fifth faster than the method before it.
        model: ModelT = kind.__pydantic_validator__.validate_python(fields)
        return model
    except ValueError as error:
        reason = problem(error)
    # Raised outside the handler: the original error holds the content.
    raise wrong(reason)


def problem(error: ValueError) -> str:
    """Return what is wrong with a chat, in one line and without its content."""
    errors = getattr(error, "errors", None)
    if errors is None:
        return str(error)
    first = errors(include_input=False, include_url=False)[0]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in _place(first["loc"])).lstrip(".")
    if place == "function_call":
        return "function_call is 'auto', 'none' or {'name': '…'}"
    if place == "messages" and first["type"] == "missing":
        return "no messages: give a text, or messages=[...]"
    reason = str(first["msg"]).removeprefix("Value error, ")
    return f"{place}: {reason}" if place else reason


def _place(location: Sequence[int | str]) -> list[int | str]:
    # Without the names pydantic gives to the members of a union.
    return [part for part in location if isinstance(part, int) or (part.isidentifier() and part.islower())]
