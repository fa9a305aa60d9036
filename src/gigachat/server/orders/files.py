"""Lists in YAML or JSON files: the rules of a script, faults."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import yaml  # type: ignore[import-untyped]
from pydantic import TypeAdapter, ValidationError

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import BaseModel

__all__ = ["read_list", "reason"]

ModelT = TypeVar("ModelT", bound="BaseModel")


def read_list(path: Path, kind: type[ModelT]) -> list[ModelT]:
    """Return the objects of a file.

    Raises:
        ValueError: It cannot be read; the message is one line that names the file and the place.
    """
    try:
        return TypeAdapter(list[kind]).validate_python(yaml.safe_load(path.read_text("utf-8")) or [])  # type: ignore[valid-type]
    except ValidationError as error:
        problem = reason(error, kind)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
        problem = place + ", ".join(filter(None, [error.context, error.problem]))
    except RecursionError:
        problem = "nested too deeply"
    except (OSError, ValueError, yaml.YAMLError) as error:
        problem = str(error)
    raise ValueError(f"{path}: {' '.join(problem.split())}")


def reason(error: ValidationError, kind: type[BaseModel]) -> str:
    """Return the first thing that is wrong, its place, and what an object may hold."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}; known are {', '.join(kind.model_fields)}"
