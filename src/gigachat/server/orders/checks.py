"""The checks of orders given in code, in a header, or in a YAML or JSON file. Every error is one line."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import yaml  # type: ignore[import-untyped]
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OrderT = TypeVar("OrderT", bound="Order")


class Order(BaseModel):
    """An order, or a part of one. Unknown fields are refused, and types are exact: true is no number."""

    model_config = ConfigDict(strict=True)

    @model_validator(mode="before")
    @classmethod
    def _has_known_fields(cls, given: Any) -> Any:
        if isinstance(given, cls):
            return given
        known = ", ".join(cls.model_fields)
        if not isinstance(given, dict):
            raise ValueError(f"write an object with fields; known are {known}")
        for name in given:
            if name not in cls.model_fields:
                raise ValueError(f"there is no field {name}; known are {known}")
        return given


def reason(error: ValidationError, of_text: str = "") -> str:
    """Return the first problem and its place.

    Args:
        error: The error of a model.
        of_text: What to add where a text is missing.
    """
    first = error.errors(include_url=False)[0]
    message = first["msg"].removeprefix("Value error, ") + of_text * (first["type"] == "string_type")
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {message}" if place else message


@contextmanager
def explained(place: str, of_text: str = "") -> Iterator[None]:
    """Raise a model's error as a ValueError of one line that begins with a place; see `reason`."""
    try:
        yield
    except ValidationError as error:
        raise ValueError(f"{place}: {reason(error, of_text)}") from None


def read_list(path: Path, kind: type[OrderT]) -> list[OrderT]:
    """Return the orders of a file.

    Raises:
        ValueError: It cannot be read; the message is one line that names the file and the place.
    """
    read: list[OrderT] = []
    for number, item in enumerate(_items(path), 1):
        with explained(f"{path}: item {number}", "; put a text in quotes"):
            read.append(kind.model_validate(item))
    return read


def _items(path: Path) -> list[Any]:
    problem = 'write a list, and "- " before each item'
    try:
        items = yaml.safe_load(path.read_text("utf-8"))
        if isinstance(items, list):
            return items
    except UnicodeDecodeError:
        problem = "save the file as UTF-8"
    except OSError as error:
        problem = error.strerror or str(error)
    except RecursionError:
        problem = "nested too deeply"
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
        problem = place + ", ".join(filter(None, [error.context, error.problem]))
    except yaml.YAMLError as error:
        problem = str(error)
    except ValueError as error:  # of a date or a number
        problem = f"{error}; put a text in quotes"
    raise ValueError(f"{path}: {' '.join(problem.split())}")
