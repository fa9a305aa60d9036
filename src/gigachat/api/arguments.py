"""Arguments of callers as models. Errors are one line and contain no values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from gigachat import models
from gigachat.api.payload import validated

if TYPE_CHECKING:
    from typing import TypeAlias

    from pydantic import BaseModel

    ModelT = TypeVar("ModelT", bound=BaseModel)
    Message: TypeAlias = str | models.Messages | Mapping[str, Any]

__all__ = ["checked_id", "checked_ids", "given", "messages_of", "model_of", "models_of"]


def model_of(kind: type[ModelT], value: Any, name: str) -> ModelT:
    """Return a model, or a mapping of its fields, as the model.

    Args:
        kind: Class of the model.
        value: What was passed.
        name: What the caller knows it as.

    Raises:
        TypeError: It is neither.
        ValueError: A field is missing or wrong.
    """
    if isinstance(value, kind):
        return value
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a {kind.__name__} or a mapping of its fields, not {type(value).__name__}")
    return validated(kind, dict(value), lambda reason: ValueError(f"{name}: {reason}"))


def models_of(kind: type[ModelT], values: Any, name: str) -> list[ModelT]:
    """Return a list of models or mappings as models; see `model_of`."""
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Sequence):
        raise TypeError(f"{name} must be a list, not {type(values).__name__}")
    return [model_of(kind, value, f"{name}[{index}]") for index, value in enumerate(values)]


def messages_of(messages: Any) -> list[models.Messages]:
    """Return one or several messages (`Message`) as models; text is a message of the user.

    Raises:
        TypeError, ValueError: A message is invalid, or there is none.
    """
    if isinstance(messages, str | Mapping | models.Messages):
        messages = [messages]
    if not isinstance(messages, Sequence) or isinstance(messages, bytes | bytearray):
        raise TypeError(f"messages must be a list, not {type(messages).__name__}")
    if not messages:
        raise ValueError("messages is empty: give at least one message")
    said = [{"role": "user", "content": message} if isinstance(message, str) else message for message in messages]
    return models_of(models.Messages, said, "messages")


def given(**fields: Any) -> dict[str, Any]:
    """Return the fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


def checked_id(value: str, name: str) -> str:
    """Return an id.

    Raises:
        TypeError, ValueError: It is not text, or is empty.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name} must be text, not {type(value).__name__}")
    if not value:
        raise ValueError(f"{name} is empty")
    return value


def checked_ids(values: Iterable[str] | None, name: str) -> list[str] | None:
    """Return ids, None where none are given; see `checked_id`."""
    if values is None:
        return None
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise TypeError(f"{name} must be a list of ids")
    return [checked_id(value, f"{name}[{index}]") for index, value in enumerate(values)]
