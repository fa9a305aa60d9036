"""The usage of several completions of any API: the sum of their token counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydantic import BaseModel

UsageT = TypeVar("UsageT", bound="BaseModel")


def total_usage(completions: Iterable[Any]) -> Any:
    """Return the sum of the usage of completions; None if no completion has any.

    Args:
        completions: Completions of one class. They are not changed.
    """
    known = [usage for one in completions if (usage := getattr(one, "usage", None)) is not None]
    return summed(known) if known else None


def summed(usages: Sequence[UsageT]) -> UsageT:
    """Return the sum of usages of one class, field by field. They are not changed.

    Args:
        usages: At least one.
    """
    if len(usages) == 1:
        return usages[0]
    total: Any = {}
    for usage in usages:
        total = _sum(total, _fields(usage))
    return type(usages[0]).model_validate(total)


def _fields(usage: BaseModel) -> dict[str, Any]:
    return {
        name: _fields(value) if hasattr(value, "model_fields_set") else value
        for name, value in usage
        if name in usage.model_fields_set
    }


def _sum(one: Any, other: Any) -> Any:
    if isinstance(one, dict) and isinstance(other, dict):
        return {name: _sum(one.get(name), other.get(name)) for name in {**one, **other}}
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one + other
    return one if other is None else other
