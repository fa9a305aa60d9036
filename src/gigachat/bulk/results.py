"""The results of a job: one for each row, and a report about all of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gigachat.usage import TokenCounts

if TYPE_CHECKING:
    from gigachat.exceptions import GigaChatException

__all__ = ["Report", "Result", "RowError"]


@dataclass(frozen=True, slots=True)
class RowError:
    """Why a row has no value.

    Attributes:
        kind: Name of the class of the error.
        message: Its text.
        status: HTTP status, if the service answered with an error.
    """

    kind: str
    message: str
    status: int | None = None


@dataclass(slots=True)
class Result:
    """The result of a row.

    Attributes:
        number: Number of the row in the input, from 0.
        id: The row's `id`; its number, if it has none.
        value: Text of the answer, a value of the type `into`, a vector, or the token count of the text; None after an
            error.
        error: Why there is no value.
        usage: Tokens of all attempts whose answers arrived; None if nothing was counted.
        cost: Their price, if the price of the model is known.
        request_id: The server's `x-request-id` of the last answer.
        model: Model that answered.
        finish_reason: Why the answer of a chat ended.
        cached: Whether the value comes from the cache of responses.
        row: The row itself.
    """

    number: int
    id: Any
    value: Any = None
    error: RowError | None = None
    usage: TokenCounts | None = None
    cost: float | None = None
    request_id: str | None = None
    model: str | None = None
    finish_reason: str | None = None
    cached: bool = False
    row: Any = field(default=None, repr=False, compare=False)


@dataclass(slots=True)
class Report:
    """The progress and the totals of a job.

    Attributes:
        done: Rows with a value, those of earlier runs included.
        failed: Rows with an error.
        total: Number of rows of the input; None if it is not known yet.
        earlier: Rows that earlier runs did.
        cached: Rows whose value comes from the cache of responses.
        usage: Tokens of all results, earlier runs included.
        cost: Their price; None if the price of the model is not known.
        refused: Requests that the service refused because too many were in progress.
        retries: Requests repeated after other failures.
        in_progress: Requests in progress.
        limit: Most requests that may be in progress. The requests of batches count too.
        seconds: Duration of this run.
        stopped: Why the run ended before the input did; None if it did not.
        error: The error that ended it; None if the budget is spent.
        last_failure: The error of the row that failed last in this run; None if none did.
    """

    done: int = 0
    failed: int = 0
    total: int | None = None
    earlier: int = 0
    cached: int = 0
    usage: TokenCounts = field(default_factory=lambda: TokenCounts(0))
    cost: float | None = None
    refused: int = 0
    retries: int = 0
    in_progress: int = 0
    limit: int = 1
    seconds: float = 0.0
    stopped: str | None = None
    error: GigaChatException | None = None
    last_failure: RowError | None = None

    @property
    def rate(self) -> float:
        """Rows of this run a second."""
        return (self.done + self.failed - self.earlier) / self.seconds if self.seconds else 0.0

    @property
    def eta(self) -> float | None:
        """Seconds until the end at this rate; None if that is not known."""
        if self.total is None or not self.rate:
            return None
        return max(0, self.total - self.done - self.failed) / self.rate

    def add(self, result: Result) -> None:
        """Count a result."""
        if result.error is None:
            self.done += 1
        else:
            self.failed += 1
            self.last_failure = result.error
        self.cached += result.cached
        self.count(result.usage, result.cost)

    def count(self, usage: TokenCounts | None, cost: float | None) -> None:
        """Add tokens and their price."""
        if usage is not None:
            self.usage = sum_of(self.usage, usage)
        if cost is not None:
            self.cost = (self.cost or 0.0) + cost


def sum_of(*counts: TokenCounts) -> TokenCounts:
    """Return the sum of token counts."""
    return TokenCounts(*map(sum, zip(*counts, strict=True)))
