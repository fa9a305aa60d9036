"""The values that fields of a body may have; any other is refused with 422 (reference, section 13)."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, TypeAlias

from gigachat.server.wire.errors import invalid_params

Limits: TypeAlias = "Mapping[str, Any]"
"""The allowed values by field: an interval in the notation of the refusal, a tuple of values, or the limits of the
fields of an object."""


def check_limits(values: Mapping[str, Any], limits: Limits, place: str = "") -> None:
    """Check fields against their limits; null counts as absent.

    Args:
        values: The object.
        limits: Those of its fields.
        place: The path of the object, for the refusal: `reasoning.`

    Raises:
        Refusal: 422 for a value that is not allowed.
    """
    for name, allowed in limits.items():
        value = values.get(name)
        if value is None:
            continue
        if isinstance(allowed, Mapping):
            check_limits(value, allowed, f"{place}{name}.")
        elif isinstance(allowed, tuple) and value not in allowed:
            raise invalid_params(f"{place}{name} must be one of {', '.join(allowed)}")
        elif isinstance(allowed, str) and not _inside(value, allowed):
            raise invalid_params(f"{place}{name} must be in range {allowed}")


def _inside(value: float, interval: str) -> bool:
    """Return whether a number is in an interval such as `(0, 1]`."""
    low, high = map(float, interval[1:-1].split(","))
    if abs(value) > sys.float_info.max:
        return False
    return (value >= low if interval[0] == "[" else value > low) and (
        value <= high if interval[-1] == "]" else value < high
    )
