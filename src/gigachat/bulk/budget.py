"""Budgets and prices. Each request reserves an upper bound before it is sent, so a budget is never exceeded.

The bound is `max_tokens` for each answer, and one token for each character of the prompt. Real requests use less, so a
job may end with a small rest of its budget.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gigachat import catalogue
from gigachat.bulk.cache import Database
from gigachat.usage import TokenCounts

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from gigachat.catalogue import Price

__all__ = ["Budget"]

_DIGITS = 9  # of a cost, behind the point
_ROUNDING = 1e-6  # roubles
_MOST_TOKENS = 1 << 62  # that SQLite can count


@dataclass(frozen=True, slots=True)
class Budget:
    """What a job may spend in all its runs.

    Args:
        tokens: Most tokens, of prompts and answers; cached ones are not charged.
        rubles: Most roubles. The price of the model must be known: give `prices`.
        shared: Path of an SQLite file that counts for all processes of a machine. A killed process counts with the most
            that its requests in progress can have used. Remove the file to begin anew.

    Raises:
        ValueError: Nothing is bounded, or a number is not above 0.
    """

    tokens: int | None = None
    rubles: float | None = None
    shared: str | os.PathLike[str] | None = None

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

    Raises:
        ValueError, TypeError: One is invalid.
    """

    def __init__(self, prices: Mapping[str, Price] | None) -> None:
        self._prices = dict(prices or {})
        for model, price in self._prices.items():
            if not isinstance(price, catalogue.Price):
                raise TypeError(f"prices[{model!r}] is a Price, not {type(price).__name__}")
            if not (price.input >= 0 and price.output >= 0):
                raise ValueError(f"the price of {model} is below 0")

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
        return round((usage.input_tokens * price.input + usage.output_tokens * price.output) / 1000, _DIGITS)


class _Totals:
    """Tokens and roubles that are spent or reserved."""

    def __init__(self) -> None:
        self.tokens = 0
        self.rubles = 0.0

    def add(self, tokens: int, rubles: float, budget: Budget | None = None) -> bool:
        """Add, within a budget if one is given; return whether there was room."""
        if budget is not None and not _fits(budget, self.tokens + tokens, self.rubles + rubles):
            return False
        self.tokens += tokens
        self.rubles += rubles
        return True

    def has_room(self, tokens: int, rubles: float, budget: Budget) -> bool:
        """Whether there is room now."""
        return _fits(budget, self.tokens + tokens, self.rubles + rubles)

    def close(self) -> None:
        """Close the file, if there is one."""


class _SharedTotals(_Totals):
    """Totals in an SQLite file; each change is one statement, so that processes do not interfere."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__()
        self._file = Database(path, "budget", "spent (one PRIMARY KEY, tokens INTEGER, rubles REAL)")
        self._file.execute("INSERT OR IGNORE INTO spent VALUES (1, 0, 0)")

    def add(self, tokens: int, rubles: float, budget: Budget | None = None) -> bool:
        condition, most = "", []
        tokens = min(tokens, _MOST_TOKENS)
        if budget is not None:
            condition = " WHERE tokens + ? <= ? AND rubles + ? <= ?"
            longest = _MOST_TOKENS if budget.tokens is None else min(budget.tokens, _MOST_TOKENS)
            most = [tokens, longest, rubles, (1e300 if budget.rubles is None else budget.rubles) + _ROUNDING]
        change = f"UPDATE spent SET tokens = tokens + ?, rubles = rubles + ?{condition}"  # noqa: S608 - two constants
        return self._file.execute(change, [tokens, rubles, *most]).rowcount == 1

    def has_room(self, tokens: int, rubles: float, budget: Budget) -> bool:
        spent = self._file.execute("SELECT tokens, rubles FROM spent").fetchone()
        return _fits(budget, spent[0] + tokens, spent[1] + rubles)

    def close(self) -> None:
        self._file.close()


def _fits(budget: Budget, tokens: int, rubles: float) -> bool:
    return (budget.tokens is None or tokens <= budget.tokens) and (
        budget.rubles is None or rubles <= budget.rubles + _ROUNDING
    )


class Ledger:
    """The spending of a job against its budget. For one event loop.

    Args:
        budget: What may be spent; None bounds nothing.
        prices: Prices of the models.
        model: Model of the requests.
        earlier: What earlier runs have used; a shared budget knows it already.

    Raises:
        ValueError: The budget is in roubles, and the price of the model is not known; or its file cannot be used.
    """

    def __init__(self, budget: Budget | None, prices: Prices, model: str, earlier: TokenCounts | None = None) -> None:
        self.budget = budget
        self._prices = prices
        self._model = model
        self._reserved = 0
        self._changed = asyncio.Event()
        if budget is not None and budget.rubles is not None:
            price = prices.of(model)
            if price is None:
                raise ValueError(
                    f"the price of {model} is not known, but the budget is in roubles: give "
                    f"prices={{{model!r}: Price(...)}} (--price)"
                )
            if price.currency != "RUB":
                raise ValueError(f"the price of {model} is in {price.currency}, but the budget is in roubles")
        shared = budget is not None and budget.shared is not None
        self._totals = _SharedTotals(budget.shared) if budget is not None and budget.shared is not None else _Totals()
        if earlier is not None and not shared:
            self._totals.add(*self._sums(earlier))

    def has_room(self, most: TokenCounts) -> bool:
        """Whether there is room for a request now."""
        return self.budget is None or self._totals.has_room(*self._sums(most), self.budget)

    async def reserve(self, most: TokenCounts) -> bool:
        """Reserve the most that a request can use, once there is room; return False if there will be none."""
        if self.budget is None:
            return True
        while not self._totals.add(*self._sums(most), self.budget):
            if not self._reserved:
                return False
            self._changed.clear()
            await self._changed.wait()
        self._reserved += 1
        return True

    def settle(self, most: TokenCounts, usage: TokenCounts | None) -> None:
        """Give a reservation back and count what was used.

        Args:
            most: What was reserved.
            usage: Tokens that were used; None for none. If they are unknown, give what was reserved.
        """
        if self.budget is None:
            return
        self._reserved -= 1
        self._changed.set()
        tokens, rubles = self._sums(most)
        used_tokens, used_rubles = self._sums(usage or TokenCounts(0))
        self._totals.add(used_tokens - tokens, used_rubles - rubles)

    def spend(self, usage: TokenCounts) -> None:
        """Count what was used without a reservation; a difference may be below 0."""
        if self.budget is not None:
            self._totals.add(*self._sums(usage))

    def close(self) -> None:
        """Close the file of a shared budget."""
        self._totals.close()

    def _sums(self, usage: TokenCounts) -> tuple[int, float]:
        return usage.input_tokens + usage.output_tokens, self._prices.cost(self._model, usage) or 0.0


class RemoteBudget(Budget):
    """A budget that another process counts."""

    __slots__ = ()

    def ledger(self, prices: Prices, model: str) -> Ledger:
        """Return a ledger that reserves in that process."""
        raise NotImplementedError


def ledger_of(budget: Budget | None, prices: Prices, model: str, earlier: TokenCounts) -> Ledger:
    """Return the ledger of a budget; see `Ledger`."""
    return budget.ledger(prices, model) if isinstance(budget, RemoteBudget) else Ledger(budget, prices, model, earlier)
