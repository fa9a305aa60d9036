"""Tokens of several answers together."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Sequence

UsageT = TypeVar("UsageT", bound=BaseModel)


def summed(usages: Sequence[UsageT]) -> UsageT:
    """Return the sum of usages, field by field; a field that is None in all of them stays None.

    Args:
        usages: At least one.
    """
    kind = type(usages[0])
    total = {}
    for name in kind.model_fields:
        given = [value for usage in usages if (value := getattr(usage, name)) is not None]
        if given:
            total[name] = summed(given) if isinstance(given[0], BaseModel) else sum(given)
    return kind(**total)
