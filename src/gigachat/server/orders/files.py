"""Lists that a user writes in a YAML or JSON file: rules of a script, faults. It must not know what they mean."""

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
        ValueError: It cannot be read; the text names the file and the place.
    """
    try:
        return TypeAdapter(list[kind]).validate_python(yaml.safe_load(path.read_text("utf-8")) or [])  # type: ignore[valid-type]
    except ValidationError as error:
        raise ValueError(f"{path}: {reason(error, kind)}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: {error}") from None


def reason(error: ValidationError, kind: type[BaseModel]) -> str:
    """Return the first thing that is wrong, its place, and what an object may hold."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}; known are {', '.join(kind.model_fields)}"
