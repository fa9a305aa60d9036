"""`options` of `tests.support.callers`, for modules that import it from here."""

from tests.support.callers import options

__all__ = ["options"]
