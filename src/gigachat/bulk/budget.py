"""What a job may spend. Requests in progress are reserved at their most, so the budget is never exceeded.

The most of a request is `max_tokens` of each answer and a token for each character of its prompt, which is far above
the truth: a job may end with a little left, never with too much spent.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gigachat import catalogue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gigachat.catalogue import Price
    from gigachat.usage import TokenCounts

__all__ = ["Budget"]


@dataclass(frozen=True, slots=True)
class Budget:
    """What a job may spend in all its runs.

    Args:
        tokens: Most tokens, of prompts and answers; cached ones are not charged.
        rubles: Most roubles. The price of the model must be known: give `prices`.

    Raises:
        ValueError: Nothing is bounded, or a number is not above 0.
    """

    tokens: int | None = None
    rubles: float | None = None

    def __post_init__(self) -> None:
        if self.tokens is None and self.rubles is None:
            raise ValueError("a budget is Budget(tokens=…), Budget(rubles=…) or both")
        values: dict[str, Any] = {"tokens": self.tokens, "rubles": self.rubles}
        for name, value in values.items():
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not value > 0):
                raise ValueError(f"{name} of a budget must be a number above 0")


class Prices:
    """Prices of models, by name without version.

    Args:
        prices: Before those of the catalogue.
    """

    def __init__(self, prices: Mapping[str, Price] | None) -> None:
        self._prices = dict(prices or {})

    def of(self, model: str) -> Price | None:
        """Return the price of a model; None if it is not known."""
        own = self._prices.get(model) or self._prices.get(model.partition(":")[0])
        if own is not None:
            return own
        info = catalogue.find(model)
        return info.price if info is not None else None

    def cost(self, model: str | None, usage: TokenCounts | None) -> float | None:
        """Return what tokens cost; None if that is not known."""
        price = self.of(model) if model and usage is not None else None
        if price is None or usage is None:
            return None
        return (usage.input_tokens * price.input + usage.output_tokens * price.output) / 1000


class Ledger:
    """What was spent, and what is reserved for requests in progress. For one event loop.

    Args:
        budget: What may be spent; None bounds nothing.
        prices: Prices of the models.
        model: Model of the requests.

    Raises:
        ValueError: The budget is in roubles, and the price of the model is not known.
    """

    def __init__(self, budget: Budget | None, prices: Prices, model: str) -> None:
        self.budget = budget
        self._prices = prices
        self._model = model
        self._tokens = 0
        self._rubles = 0.0
        self._held = 0
        self._held_tokens = 0
        self._held_rubles = 0.0
        self._changed = asyncio.Event()
        if budget is not None and budget.rubles is not None:
            price = prices.of(model)
            if price is None:
                raise ValueError(
                    f"the price of {model} is not known, but the budget is in roubles: give "
                    f"prices={{{model!r}: Price(...)}}"
                )
            if price.currency != "RUB":
                raise ValueError(f"the price of {model} is in {price.currency}, but the budget is in roubles")

    def has_room(self, most: TokenCounts) -> bool:
        """Whether there is room for a request now."""
        return self._has_room(most)

    async def hold(self, most: TokenCounts) -> bool:
        """Reserve the most that a request can use, once there is room; return False if there will be none."""
        if self.budget is None:
            return True
        while not self._has_room(most):
            if not self._held:
                return False
            self._changed.clear()
            await self._changed.wait()
        self._held += 1
        self._held_tokens += most.input_tokens + most.output_tokens
        self._held_rubles += self._prices.cost(self._model, most) or 0.0
        return True

    def settle(self, most: TokenCounts, usage: TokenCounts | None) -> None:
        """Give a reservation back and count what was used.

        Args:
            most: What was reserved.
            usage: What was used; None if nothing. It may be what was reserved, if that is not known.
        """
        if self.budget is None:
            return
        self._held -= 1
        self._held_tokens -= most.input_tokens + most.output_tokens
        self._held_rubles -= self._prices.cost(self._model, most) or 0.0
        self.spend(usage)
        self._changed.set()

    def spend(self, usage: TokenCounts | None) -> None:
        """Count what was used."""
        if usage is not None and self.budget is not None:
            self._tokens += usage.input_tokens + usage.output_tokens
            self._rubles += self._prices.cost(self._model, usage) or 0.0

    def _has_room(self, most: TokenCounts) -> bool:
        budget = self.budget
        if budget is None:
            return True
        tokens = self._tokens + self._held_tokens + most.input_tokens + most.output_tokens
        rubles = self._rubles + self._held_rubles + (self._prices.cost(self._model, most) or 0.0)
        return (budget.tokens is None or tokens <= budget.tokens) and (budget.rubles is None or rubles <= budget.rubles)


class SharedBudget(Budget):
    """A budget of several processes."""

    __slots__ = ()

    def ledger(self, prices: Prices, model: str) -> Ledger:
        """Return what reserves for this process."""
        raise NotImplementedError


def ledger_of(budget: Budget | None, prices: Prices, model: str) -> Ledger:
    """Return the ledger of a budget; see `Ledger`."""
    return budget.ledger(prices, model) if isinstance(budget, SharedBudget) else Ledger(budget, prices, model)
