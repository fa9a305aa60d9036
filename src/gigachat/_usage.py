"""The usage of several completions of any API: the sum of their token counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


def total_usage(completions: Iterable[Any]) -> Any:
    """Return the sum of the usage of completions; None if no completion has any.

    Args:
        completions: Completions of one class. They are not changed.
    """
    known = [usage for one in completions if (usage := getattr(one, "usage", None)) is not None]
    if len(known) < 2:
        return known[0] if known else None
    total: Any = {}
    for usage in known:
        total = _sum(total, usage.model_dump(exclude_unset=True))
    return type(known[0]).model_validate(total)


def _sum(one: Any, other: Any) -> Any:
    if isinstance(one, dict) and isinstance(other, dict):
        return {name: _sum(one.get(name), other.get(name)) for name in {**one, **other}}
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one + other
    return one if other is None else other
