"""Estimates of token counts without a request, and their calibration by the usage that the service reports.

The constants fit the 18 token counts in the recordings whose texts are known: English, Russian, JSON and numbers, from
models of the second and third generation. The mean deviation there is 4 %, the largest 20 %, of JSON. Russian and
English pages and Python code then have 3.5 to 3.8 characters a token, as the service says (reference, section 8.2).
Images, files and descriptions of functions are not counted.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from pydantic import BaseModel

    Message: TypeAlias = Mapping[str, Any] | BaseModel
    Content: TypeAlias = str | Message | Iterable[str | Message]

__all__ = ["Calibration", "TokenEstimate", "TokenSums", "text_tokens", "tokens"]

# One token: up to eight Latin, six Cyrillic or two other letters, a digit, the space before a digit, wide space, a line
# feed, two signs.
_TOKEN = re.compile(r"[A-Za-z]{1,8}|[А-Яа-яЁё]{1,6}|[^\W\d_]{1,2}|\d| (?=\d)|\s{2,}|[^\S ]|[^\w\s]{1,2}|_+")
_PROMPT = 8  # tokens of a prompt beside its messages
_MESSAGE = 4  # tokens of a message beside its text
END = 1
"""Tokens of a completion beside its text."""
_ERROR = 0.25
_PRIOR = 200  # tokens that the uncalibrated estimate counts for
_FORGET = 1_000_000  # tokens after which older samples count half
_MOST_MODELS = 64
_OF_MESSAGES = {"content", "role"}
_COUNTED = ("text", "function_call", "function_result")


@dataclass(frozen=True, slots=True)
class TokenEstimate:
    """An estimate of a number of tokens.

    Attributes:
        tokens: The estimate.
        error: Its relative error: with 0.25, most true numbers are within 25 % of `tokens`. Without calibration it is
            0.25; with calibration it approaches twice the mean deviation of the samples.
    """

    tokens: int
    error: float

    @property
    def most(self) -> int:
        """The largest number within the error, for budgets and windows."""
        return math.ceil(self.tokens * (1 + self.error))


def text_tokens(text: str) -> int:
    """Return the uncalibrated estimate for a text."""
    return sum(1 for _ in _TOKEN.finditer(text))  # `findall` would hold the GIL throughout a long text


def tokens(content: Content) -> int:
    """Return the uncalibrated estimate for texts, or for the messages of one request.

    Raises:
        TypeError: The content is neither text nor messages.
    """
    if isinstance(content, str):
        return text_tokens(content)
    if isinstance(content, Mapping) or hasattr(content, "model_dump"):
        messages: Content | None = _plain(content).get("messages")
        return _PROMPT + _message_tokens(content) if messages is None else tokens(messages)
    if not isinstance(content, Iterable):
        raise TypeError(f"expected texts or messages, not {type(content).__name__}")
    items: list[Any] = list(content)
    if all(isinstance(item, str) for item in items):
        return sum(map(text_tokens, items))
    return _PROMPT + sum(map(_message_tokens, items))


def _message_tokens(message: Any) -> int:
    if isinstance(message, str):
        return _MESSAGE + text_tokens(message)
    fields = _plain(message)
    if not fields.keys() & _OF_MESSAGES:
        raise TypeError(f"expected texts or messages, not {type(message).__name__}: a message has a role and content")
    content = fields.get("content")
    parts = content if isinstance(content, list | tuple) else [content]
    return _MESSAGE + sum(map(_part_tokens, parts)) + _value_tokens(fields.get("function_call"))


def _part_tokens(part: Any) -> int:
    if part is None or isinstance(part, str):
        return _value_tokens(part)
    fields = _plain(part)
    return sum(_value_tokens(fields.get(name)) for name in _COUNTED)


def _value_tokens(value: Any) -> int:
    if value is None:
        return 0
    if isinstance(value, str):
        return text_tokens(value)
    return text_tokens(json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"), default=str))


def _plain(value: Any) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    if not hasattr(value, "model_dump"):
        raise TypeError(f"expected texts or messages, not {type(value).__name__}")
    fields: Mapping[str, Any] = value.model_dump(exclude_none=True, by_alias=True)
    return fields


class TokenSums(NamedTuple):
    """Sums over the samples of one model."""

    estimated: float = _PRIOR
    actual: float = _PRIOR
    deviation: float = _ERROR * _PRIOR
    """Twice the deviations of the calibrated estimates."""


class Calibration:
    """The estimates of a client, corrected by samples of at most 64 models.

    Entries are replaced whole, so threads need no lock. Of two samples at the same moment one may be lost.

    Args:
        sums: The sums by model, which the clients of one configuration share.
    """

    def __init__(self, sums: dict[str, TokenSums]) -> None:
        self._sums = sums

    def add(self, model: str, estimated: int, actual: int) -> None:
        """Add a sample.

        Args:
            model: Name of the model, with or without a version.
            estimated: Uncalibrated estimate.
            actual: Tokens that the service counted.
        """
        name = _without_version(model)
        if name not in self._sums and len(self._sums) >= _MOST_MODELS:
            return
        before = self._sums.get(name, TokenSums())
        if before.actual > _FORGET:
            before = TokenSums(*(value / 2 for value in before))
        deviation = 2 * abs(actual - estimated * before.actual / before.estimated)
        self._sums[name] = TokenSums(before.estimated + estimated, before.actual + actual, before.deviation + deviation)

    def estimate(self, model: str, estimated: int) -> TokenEstimate:
        """Return the calibrated estimate.

        Args:
            model: Name of the model, with or without a version.
            estimated: Uncalibrated estimate.
        """
        sums = self._sums.get(_without_version(model), TokenSums())
        return TokenEstimate(round(estimated * sums.actual / sums.estimated), round(sums.deviation / sums.actual, 3))


def _without_version(model: str) -> str:
    return model.partition(":")[0]
