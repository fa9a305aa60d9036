"""What is wrong with a value: pydantic's errors in plain words, and what JSON lacks. No line contains a value."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

_WHOLE = "must be a whole number"
_NUMBER = "must be a number"
_BOOLEAN = "must be true or false"
_LIST = "must be a list"
_REASONS = {
    "missing": "is missing",
    "string_type": "must be text",
    "string_too_short": "is empty",
    "bool_type": _BOOLEAN,
    "bool_parsing": _BOOLEAN,
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": "must be a finite number",
    "list_type": _LIST,
    "tuple_type": _LIST,
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping of its fields",
    "greater_than": "must be above {gt:g}",
    "greater_than_equal": "must be {ge:g} or more",
    "less_than_equal": "must be {le:g} or less",
    "literal_error": "must be {expected}",
    "is_instance_of": "must be an instance of {class}",
}


def reason(details: Mapping[str, Any]) -> str:
    """Return what is wrong with a value.

    Args:
        details: One of the errors of a `pydantic.ValidationError`: its type, context and text are read.
    """
    text = _REASONS.get(details["type"])
    if text is None:
        return message_of(details)
    return text.format_map(details.get("ctx", {}))


def message_of(details: Mapping[str, Any]) -> str:
    """Return the message of one of pydantic's errors without its prefix."""
    return str(details["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")


def class_and_text(error: Exception) -> str:
    """Return the class of an error and its text, in one line."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # of the error's own method
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def path_of(place: Iterable[int | str]) -> str:
    """Return the place of a value inside another as Python writes it, such as `messages[0].role`.

    Args:
        place: Names of fields, and indexes.
    """
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")


def refuse_not_json(value: Any, place: str) -> None:
    """Refuse what JSON lacks and pydantic would write as something else: NaN and infinities, sets and bytes.

    Args:
        value: A value, with others inside.
        place: What the caller knows it as.

    Raises:
        ValueError: There is such a value. The error names its place.
    """
    try:
        json.dumps(value, allow_nan=False, default=_fields)  # in C: almost every value ends here
    except (TypeError, ValueError, RecursionError):
        pass
    else:
        return
    try:
        _refuse(value, place)
    except RecursionError:
        raise ValueError(f"{place} is nested too deeply, or contains itself") from None


def _fields(value: Any) -> dict[str, Any]:
    """Return the fields of a model.

    Raises:
        TypeError: It is not a model.
    """
    if isinstance(getattr(type(value), "model_fields", None), dict):
        return dict(value)
    raise TypeError


def _refuse(value: Any, place: str) -> None:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{place}: {value} is not a number in JSON")
    elif isinstance(value, set | frozenset | bytes | bytearray):
        instead = "text" if isinstance(value, bytes | bytearray) else "a list"
        raise ValueError(f"{place}: JSON has no {type(value).__name__}: give {instead}")
    elif isinstance(value, Mapping):
        for name, part in value.items():
            _refuse(part, f"{place}.{name}")
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            _refuse(part, f"{place}[{index}]")
    elif isinstance(getattr(type(value), "model_fields", None), dict):
        for name, part in value:
            _refuse(part, f"{place}.{name.removesuffix('_')}")
