"""Prompts without a function of the caller: a template with the fields of a row, or the row itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import Formatter
from typing import Any

_TEXTS = ("text", "prompt", "question", "content")


class RowMistake(ValueError):
    """A row of which no request can be made."""


def field_names(template: str) -> list[str]:
    """Return the names of the fields in a template.

    Raises:
        ValueError: It is invalid.
    """
    try:
        found = [name for _, name, _, _ in Formatter().parse(template) if name is not None]
    except ValueError as error:
        raise ValueError(f"the template is invalid: {error}; write a literal brace twice") from None
    for name in found:
        if not name or name.isdecimal():
            raise ValueError("a template has names of fields in braces, as {text}; write a literal brace twice")
    return [name.split(".")[0].split("[")[0] for name in found]


def check_names(names: list[str], data: Mapping[str, Any]) -> None:
    """Check that the first row has fields.

    Raises:
        RowMistake: One is missing.
    """
    for name in names:
        if name not in data:
            known = ", ".join(map(str, list(data)[:20])) or "none"
            advice = "; a brace that is meant is written twice" if set(name) & set("\"'\n") else ""
            raise RowMistake(f"the first row has no field {name!r}; its fields: {known}{advice}")


class _Fields(dict[str, Any]):
    def __missing__(self, key: str) -> Any:
        raise RowMistake(f"the row has no field {key!r}")


def fill(template: str, data: Any) -> str:
    """Return a template with the fields of a row.

    Raises:
        RowMistake: They do not fill it.
    """
    if not isinstance(data, Mapping):
        raise RowMistake(f"a template needs rows with fields, not {type(data).__name__}")
    try:
        return template.format_map(_Fields({name: "" if value is None else value for name, value in data.items()}))
    except RowMistake:
        raise
    except Exception as error:
        raise RowMistake(f"the template cannot be filled: {error}") from None


def own_payload(data: Any, *, texts: bool) -> Any:
    """Return the payload in a row without a template: its messages and other fields of a chat, or its text.

    Args:
        data: The row.
        texts: Whether only its text is taken.

    Raises:
        RowMistake: The row has neither.
    """
    if not isinstance(data, Mapping):
        return data
    if not texts and "messages" in data:
        return {name: value for name, value in data.items() if name != "id"}
    name = next((name for name in _TEXTS if isinstance(data.get(name), str)), None)
    if name is None:
        names = ", ".join(_TEXTS if texts else (*_TEXTS, "messages"))
        raise RowMistake(
            f"the row has no text in any of the fields {names}: give prompt= (--prompt), as '… {{field}} …'"
        )
    return data[name]


def add_system(system: str, payload: Any) -> Any:
    """Return a payload with a system message before its own."""
    message = {"role": "system", "content": system}
    if isinstance(payload, str):
        return [message, {"role": "user", "content": payload}]
    if isinstance(payload, Mapping):
        return {**payload, "messages": [message, *(payload.get("messages") or ())]}
    if hasattr(payload, "messages"):
        return {**dict(payload), "messages": [message, *payload.messages]}
    return [message, *payload] if isinstance(payload, Sequence) else payload  # which the client refuses
