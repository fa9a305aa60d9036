"""Results of tools as JSON: objects and arrays, the only results that the service is known to accept."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

from pydantic_core import PydanticSerializationError, from_json, to_json, to_jsonable_python

_LIMIT = 100_000
_MOST_DIGITS = 4300
"""Digits of a number that Python and other parsers of JSON read."""
_LONG_NUMBER = re.compile(rf"\d{{{_MOST_DIGITS + 1}}}")


def result_json(value: Any, limit: int = _LIMIT) -> str:
    """Return the result of a tool as JSON: an object or an array.

    Models, dataclasses, dates, sets, numpy and data frames are read. Text that is the JSON of an object or array is
    returned as it is; any other value is wrapped, `{"result": value}`. NaN and infinities become null, integers of more
    than 4300 digits become text, and half a surrogate pair becomes "?". A data frame becomes a list of its rows, with
    its index if that is not the default one.

    Args:
        value: What the tool returned.
        limit: Largest number of characters. Of a longer list the first items are kept, of anything else the beginning
            of its text; a note in the JSON says so.

    Raises:
        TypeError: The value has no JSON form.
    """
    if isinstance(value, str) and _is_document(value):
        text = value
    elif isinstance(value, str) and len(value) > limit:
        return _cut_text(value, limit)
    else:
        text = _json(value)
        text = text if text[:1] in ("{", "[") else f'{{"result":{text}}}'
    return text if len(text) <= limit else _cut(text, limit)


def _is_document(text: str) -> bool:
    if text.lstrip()[:1] not in ("{", "["):
        return False
    try:
        from_json(text, allow_inf_nan=False)
    except (ValueError, TypeError):  # it is not JSON, or has half a surrogate pair
        return False
    return True


def _json(value: Any) -> str:
    try:
        return _written(value)
    except (PydanticSerializationError, ValueError, TypeError, RecursionError) as error:
        reason = " ".join(str(error).split()).removeprefix("Error serializing to JSON: ").removeprefix("TypeError: ")
    raise TypeError(f"the result of type {type(value).__name__} has no JSON form: {reason}")


def _written(value: Any) -> str:
    try:
        text = to_json(value, inf_nan_mode="null", fallback=_plain).decode()
    except PydanticSerializationError as error:
        if "surrogates not allowed" not in str(error):
            raise
        plain = to_jsonable_python(value, inf_nan_mode="null", fallback=_plain)
        text = json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode(errors="replace").decode()
    if _LONG_NUMBER.search(text) is None:
        return text
    return json.dumps(json.loads(text, parse_int=_number_or_text), ensure_ascii=False, separators=(",", ":"))


def _number_or_text(digits: str) -> int | str:
    return int(digits) if len(digits) <= _MOST_DIGITS else digits


def _plain(value: Any) -> Any:
    """Return the value of a foreign type as built-in types, by its own method."""
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if _has(value, "reset_index") and _has(value, "notna"):  # pandas
        return _rows(value)
    for name in ("to_dicts", "tolist", "to_list"):  # polars; numpy, torch
        if _has(value, name):
            return getattr(value, name)()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence | Set):  # of classes that pydantic does not know, in 2.12 also deque
        return list(value)
    raise TypeError(f"{type(value).__name__} is not known: return text, numbers, lists, dicts, dataclasses or models")


def _has(value: Any, name: str) -> bool:
    return callable(getattr(type(value), name, None))


def _rows(value: Any) -> Any:
    """Return a pandas data frame as rows, a series as values; each missing value is None."""
    index = value.index
    by_number = type(index).__name__ == "RangeIndex" and (index.start, index.step, index.name) == (0, 1, None)
    if _has(value, "to_frame"):  # a series
        value = value.to_frame(name="value" if value.name is None else value.name)
        if by_number:
            return value.astype(object).where(value.notna(), None).iloc[:, 0].tolist()
    if not by_number:
        value = value.reset_index()
    return value.astype(object).where(value.notna(), None).to_dict(orient="records")


def _cut(text: str, limit: int) -> str:
    """Return the beginning of a document, with a note."""
    document = from_json(text)
    if isinstance(document, list):
        kept: list[str] = []
        left = limit - len(_with_note("[]", len(document), len(document), "items"))
        for item in document:
            one = _json(item)
            left -= len(one) + 1
            if left < 0:
                break
            kept.append(one)
        if kept:
            return _with_note(f"[{','.join(kept)}]", len(kept), len(document), "items")
    if isinstance(document, Mapping) and document.keys() == {"result"} and isinstance(document["result"], str):
        text = document["result"]
    return _cut_text(text, limit)


def _cut_text(text: str, limit: int) -> str:
    """Return the beginning of a text, with a note."""

    def with_first(count: int) -> str:
        return _with_note(_json(text[:count]), count, len(text), "characters")

    return with_first(_largest(lambda count: len(with_first(count)) <= limit, limit))


def _largest(fits: Callable[[int], bool], most: int) -> int:
    """Return the largest number that fits, 0 if none does."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _with_note(result: str, kept: int, whole: int, things: str) -> str:
    note = f"The result is cut: these are the first {kept} of {whole} {things}."
    return f'{{"result":{result},"note":{_json(note)}}}'
