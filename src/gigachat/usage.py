"""Token counts of calls, and the usage and cost of a client: `giga.usage`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gigachat import catalogue

__all__ = ["ClientUsage", "ModelUsage", "TokenCounts"]


class TokenCounts(NamedTuple):
    """Token counts of one call.

    Attributes:
        input_tokens: Prompt tokens that were not in the cache, or tokens of texts for embeddings.
        output_tokens: Generated tokens.
        cached_tokens: Prompt tokens taken from the cache.
    """

    input_tokens: int
    output_tokens: int = 0
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """What calls of one model used.

    Attributes:
        calls: Number of calls.
        input_tokens: Prompt tokens that were not in the cache, or tokens of texts for embeddings.
        output_tokens: Generated tokens.
        cached_tokens: Prompt tokens taken from the cache.
        unknown: How many of the calls did not report their tokens, such as streams that were closed before their end.
    """

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    unknown: int = 0

    def __add__(self, other: ModelUsage) -> ModelUsage:
        return ModelUsage(
            self.calls + other.calls,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.unknown + other.unknown,
        )


@dataclass(frozen=True, slots=True)
class ClientUsage:
    """What chats and embeddings of a client used so far, in this process.

    Attributes:
        models: The usage of each model, by its name without version.
    """

    models: Mapping[str, ModelUsage] = field(default_factory=dict)

    @property
    def total(self) -> ModelUsage:
        """The sum of all models."""
        return sum(self.models.values(), ModelUsage())

    @property
    def calls(self) -> int:
        """Number of calls."""
        return self.total.calls

    @property
    def input_tokens(self) -> int:
        """Prompt tokens that were not in the cache, and tokens of texts for embeddings."""
        return self.total.input_tokens

    @property
    def output_tokens(self) -> int:
        """Generated tokens."""
        return self.total.output_tokens

    @property
    def cached_tokens(self) -> int:
        """Prompt tokens taken from the cache."""
        return self.total.cached_tokens

    @property
    def unknown(self) -> int:
        """How many of the calls did not report their tokens."""
        return self.total.unknown

    def cost(self, prices: Mapping[str, catalogue.Price] | None = None) -> float | None:
        """Return what the counted tokens cost; cached ones are not charged.

        Args:
            prices: Price of each model by its name without version, before those of the catalogue.

        Returns:
            The sum; None if the price of a model is unknown, or the prices are in several currencies.
        """
        from gigachat import catalogue  # here: few programs ask for it

        total = 0.0
        currencies: set[str] = set()
        for name, used in self.models.items():
            info = catalogue.find(name)
            price = (prices or {}).get(name) or (info and info.price)
            if not price:
                return None
            total += (used.input_tokens * price.input + used.output_tokens * price.output) / 1000
            currencies.add(price.currency)
        return total if len(currencies) <= 1 else None
