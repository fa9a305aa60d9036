"""The old place of a name of `tests.support.callers`."""

from tests.support.callers import options

__all__ = ["options"]
