"""Answers in JSON by a schema of the command line."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

from pydantic import Field, RootModel
from typing_extensions import TypedDict

from gigachat.cli.files import path_of
from gigachat.cli.streams import read_file
from gigachat.schema import inline_references

_TYPES: dict[str, Any] = {"str": str, "int": int, "float": float, "bool": bool}
_FIELD = re.compile(r"(?P<name>[^\W\d]\w*)(?:\s+(?P<type>\w+))?(?:\s*:\s*(?P<description>.+))?")


def answer_type(text: str) -> Any:
    """Return the type of an answer.

    Args:
        text: `name, age int, bio: in one sentence`, a JSON Schema, or the path of a file with one.

    Raises:
        ValueError: It is none of these.
    """
    if not text.lstrip().startswith("{"):
        if not _is_file(text):
            return _of_fields(text)
        text = read_file(path_of(text))
    try:
        schema = json.loads(text)
        if not isinstance(schema, dict):
            raise ValueError("a JSON object is needed")
        inline_references(schema)
    except json.JSONDecodeError as error:
        raise ValueError(f"--schema: invalid JSON: {error}") from None
    except RecursionError:
        raise ValueError("--schema: the JSON is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"--schema: {error}") from None
    return _of_schema(schema)


def _of_schema(schema: dict[str, Any]) -> type[RootModel[Any]]:
    class Answer(RootModel[Any]):
        """Any JSON. The service keeps to the schema."""

        @classmethod
        def model_json_schema(cls, *_: Any, **__: Any) -> dict[str, Any]:
            return schema

    return Answer


def _is_file(text: str) -> bool:
    try:
        return path_of(text).is_file()
    except OSError:  # the text is too long for a path
        return False


def _of_fields(text: str) -> Any:
    fields: dict[str, Any] = {}
    for part in text.split(","):
        match = _FIELD.fullmatch(part.strip())
        kind = match and (match["type"] or "str")
        if match is None or kind not in _TYPES:
            known = ", ".join(_TYPES)
            missing = "" if "," in text else ", nor is there such a file"
            raise ValueError(
                f"--schema: {part.strip()!r} is not a field: NAME, NAME TYPE or NAME: DESCRIPTION ({known}){missing}"
            )
        if match["name"] in fields:
            raise ValueError(f"--schema: two fields are named {match['name']!r}")
        fields[match["name"]] = Annotated[_TYPES[kind], Field(description=match["description"])]
    return TypedDict("Answer", fields)  # type: ignore[operator]
