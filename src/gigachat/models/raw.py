"""A response as received, for requests to addresses without a method of their own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gigachat.exceptions import APIResponseValidationError

__all__ = ["RawResponse"]


@dataclass(frozen=True, slots=True)
class RawResponse:
    """Status, headers and body of a good answer."""

    status_code: int
    headers: Mapping[str, str]
    """Looked up without regard to case."""
    content: bytes = field(repr=False)

    @property
    def text(self) -> str:
        """The body as text; bytes that are not UTF-8 are replaced."""
        return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """Return the body parsed as JSON.

        Raises:
            APIResponseValidationError: It is something else.
        """
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            pass
        raise APIResponseValidationError("the response is not JSON", content=self.content)
