"""The rows of a job as requests, side by side, as many as the account permits.

Each row has one result: a value or an error. A row has none only if the run stops: the budget is spent, or the service
refuses everything. Such a row is asked by the next run.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gigachat import exceptions
from gigachat._engine.totals import tokens_of
from gigachat.bulk.job import RowMistake
from gigachat.bulk.results import Report, Result, RowError
from gigachat.bulk.rows import slices
from gigachat.usage import TokenCounts

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from gigachat.bulk.budget import Ledger, Prices
    from gigachat.bulk.cache import Cache
    from gigachat.bulk.concurrency import Gate
    from gigachat.bulk.job import Client, Job
    from gigachat.bulk.rows import Row

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_PATIENCE = 600.0  # seconds in which the service may refuse everything
_SPENT = "the budget is spent"
_PASSING = (exceptions.ServerError, exceptions.APIConnectionError, exceptions.GenerationError)
"""Errors after which a request is repeated."""
_ENDING = (
    exceptions.AuthenticationError,
    exceptions.PaymentRequiredError,
    exceptions.ForbiddenError,
    exceptions.ModelUnavailableError,
    exceptions.CertificateError,
    exceptions.ClientClosedError,
    exceptions.ConfigurationError,
)
"""Errors that every other row would have too."""


@dataclass(slots=True)
class _Work:
    """Rows that are asked together.

    Attributes:
        rows: The rows with their payloads.
        most: The most tokens they can use, which is reserved.
        spent: Tokens of attempts whose answers arrived but had no value.
    """

    rows: list[tuple[Row, Any]]
    most: TokenCounts
    spent: TokenCounts | None = None
    keys: list[bytes] = field(default_factory=list)


class Online:
    """Asks for the rows of a job.

    Args:
        job: What is asked.
        giga: The client.
        gate: Lets requests in.
        ledger: What may be spent.
        prices: Prices of models.
        report: Counts refusals and retries here.
        cache: The cache of responses; None for none.
        retries: How often a request is repeated after a passing failure.
        ordered: Whether the results come in the order of the rows, whose numbers have no gaps.
        every_row: Whether rows for which the budget has no room have an error, instead of none.
        window: Most results that wait: for their consumer, or for an earlier row.
    """

    def __init__(
        self,
        job: Job,
        giga: Client,
        *,
        gate: Gate,
        ledger: Ledger,
        prices: Prices,
        report: Report,
        cache: Cache | None = None,
        retries: int = 2,
        ordered: bool = False,
        every_row: bool = False,
        window: int = 1000,
    ) -> None:
        self._job = job
        # A refusal must be seen here at once, and a failure be counted. A run repeats its own requests, for it would
        # lose the answers before.
        self._giga: Client = giga if job.tools else giga.with_options(max_retries=0)
        self._gate = gate
        self._ledger = ledger
        self._prices = prices
        self._report = report
        self.cache = cache
        self._retries = retries
        self._window = window
        self._ready: deque[Result] = deque()
        self._ordered = ordered
        self._every_row = every_row
        self._early: dict[int, Result] = {}
        self._next = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._failure: BaseException | None = None

    def stop(self, reason: str) -> None:
        """Begin no more requests; those in progress end."""
        if self._report.stopped is None:
            self._report.stopped = reason

    async def results(self, rows: Iterable[Row]) -> AsyncGenerator[Result, None]:
        """Iterate over the results, as they come."""
        dispatcher = asyncio.create_task(self._dispatch(rows))
        dispatcher.add_done_callback(lambda _: self._arrived.set())
        try:
            while True:
                while self._ready:
                    result = self._ready.popleft()
                    self._room.set()
                    yield result
                if dispatcher.done() and not self._tasks:
                    self._ready.extend(self._early.pop(number) for number in sorted(self._early))  # beside gaps
                    if not self._ready:
                        break
                    continue
                self._arrived.clear()
                await self._arrived.wait()
            dispatcher.result()
            if self._failure is not None:
                raise self._failure
        finally:
            tasks = [dispatcher, *self._tasks]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _dispatch(self, rows: Iterable[Row]) -> None:
        for part in slices(rows, self._job.rows_per_request):
            while len(self._ready) + len(self._early) + len(self._tasks) >= self._window:
                self._room.clear()
                await self._room.wait()
            asked = self._prepared(part)
            if not asked.rows:
                await asyncio.sleep(0)  # others may work while rows come from the cache
                continue
            if self._report.stopped is not None:
                return
            if not await self._ledger.hold(asked.most):
                self._unfunded(asked)
                continue
            mark = await self._gate.enter()
            if self._report.stopped is not None:
                self._gate.failed()
                return
            task = asyncio.create_task(self._ask(asked, mark))
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _prepared(self, rows: list[Row]) -> _Work:
        """Return what must be asked; rows of the cache and rows that cannot be asked have their result now."""
        work = _Work([], TokenCounts(0))
        for row in rows:
            if row.error is not None:
                self._fail([(row, None)], RowError("RowError", row.error))
                continue
            try:
                payload = self._job.payload(row.data)
                most = self._job.most(payload) if self._ledger.budget is not None else work.most
            except RowMistake as error:
                self._fail([(row, None)], RowError("RowError", str(error)))
                continue
            if self.cache is not None:
                key = self._job.key(self._giga, payload)
                if (kept := self.cache.get(key)) is not None:
                    self._deliver(
                        Result(
                            row.number,
                            row.id,
                            self._job.value_of(kept["result"]),
                            request_id=kept["request_id"],
                            model=kept["model"],
                            finish_reason=kept["finish_reason"],
                            cached=True,
                            row=row.data,
                        )
                    )
                    continue
                work.keys.append(key)
            work.rows.append((row, payload))
            if most is not work.most:
                work.most = TokenCounts(*(old + new for old, new in zip(work.most, most, strict=True)))
        return work

    async def _ask(self, work: _Work, mark: Any) -> None:
        failures = 0
        while True:
            try:
                results = await self._job.ask(self._giga, work.rows)
            except exceptions.RateLimitError as error:
                self._report.refused += 1
                if self._gate.refused(mark, error.retry_after) > _PATIENCE:
                    self._leave(work, f"the service has refused everything for {_PATIENCE:g} s: {error}")
                    return
            except asyncio.CancelledError:
                self._gate.failed()
                raise
            except exceptions.GigaChatException as error:
                if isinstance(error, exceptions.ServerError | exceptions.APIConnectionError):
                    self._gate.failed()
                else:
                    self._gate.answered(mark)
                if isinstance(error, _ENDING):
                    self._leave(work, str(error))
                    return
                self._count(work, error)
                if not isinstance(error, _PASSING) or failures >= self._retries:
                    if len(work.rows) > 1 and isinstance(error, exceptions.ResponseError):
                        await self._apart(work)
                    else:
                        self._ledger.settle(work.most, work.spent)
                        self._fail(work.rows, _row_error(error), work.spent)
                    return
                failures += 1
                self._report.retries += 1
                if self._lost(error) and not await self._hold_again(work):
                    return
                await asyncio.sleep(_pause(error, failures))
            except (ValueError, TypeError) as error:  # an argument that the client refuses before any request
                self._gate.failed()
                self._ledger.settle(work.most, work.spent)
                self._fail(work.rows, _row_error(error), work.spent)
                return
            except BaseException:
                self._gate.failed()
                raise
            else:
                self._gate.answered(mark)
                self._keep(work, results)
                return
            if self._report.stopped is not None:
                self._leave(work, self._report.stopped)
                return
            mark = await self._gate.enter()

    async def _apart(self, work: _Work) -> None:
        """Ask for the rows of a refused request one by one, so that only those at fault fail."""
        self._ledger.settle(work.most, work.spent)
        for at, one in enumerate(work.rows):
            most = self._job.most(one[1]) if self._ledger.budget is not None else work.most
            alone = _Work([one], most, None, work.keys[at : at + 1])
            if self._report.stopped is not None:
                return
            if await self._ledger.hold(most):
                await self._ask(alone, await self._gate.enter())
            else:
                self._unfunded(alone)

    def _count(self, work: _Work, error: Exception) -> None:
        usage = tokens_of(error)
        if usage is not None:
            old = work.spent or TokenCounts(0)
            work.spent = TokenCounts(*(one + other for one, other in zip(old, usage, strict=True)))

    def _lost(self, error: Exception) -> bool:
        """Whether the service may have charged for an answer that did not arrive."""
        return isinstance(error, exceptions.APIConnectionError) and not self._job.repeatable

    async def _hold_again(self, work: _Work) -> bool:
        """Count the most that a lost answer can have cost, and reserve as much for the next attempt."""
        self._ledger.settle(work.most, work.most)
        if await self._ledger.hold(work.most):
            return True
        self._unfunded(work)
        return False

    def _keep(self, work: _Work, results: list[Result]) -> None:
        for at, result in enumerate(results):
            if work.spent is not None and result.usage is not None:
                result.usage = TokenCounts(*(one + other for one, other in zip(work.spent, result.usage, strict=True)))
            result.cost = self._prices.cost(result.model, result.usage)
            if self.cache is not None:
                kept = {
                    "result": self._job.line_of(result.value),
                    "request_id": result.request_id,
                    "model": result.model,
                    "finish_reason": result.finish_reason,
                }
                self.cache.put(work.keys[at], kept)
            self._deliver(result)
        usages = [result.usage for result in results if result.usage is not None]
        self._ledger.settle(work.most, TokenCounts(*map(sum, zip(*usages, strict=True))) if usages else work.spent)

    def _fail(self, rows: list[tuple[Row, Any]], error: RowError, spent: TokenCounts | None = None) -> None:
        for row, _ in rows:
            cost = self._prices.cost(self._job.model_of(self._giga), spent)
            self._deliver(Result(row.number, row.id, error=error, usage=spent, cost=cost, row=row.data))

    def _unfunded(self, work: _Work) -> None:
        """Stop before rows for which the budget has no room."""
        if self._every_row:
            self._fail(work.rows, RowError("JobStoppedError", _SPENT), work.spent)
        else:
            self.stop(_SPENT)

    def _leave(self, work: _Work, reason: str) -> None:
        self._ledger.settle(work.most, work.spent)
        self.stop(reason)

    def _deliver(self, result: Result) -> None:
        if self._ordered:
            self._early[result.number] = result
            while self._next in self._early:
                self._ready.append(self._early.pop(self._next))
                self._next += 1
        else:
            self._ready.append(result)
        self._arrived.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._room.set()
        self._arrived.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = self._failure or error
            self.stop(f"{type(error).__name__}: {error}")


def _row_error(error: Exception) -> RowError:
    return RowError(type(error).__name__, str(error), getattr(error, "status_code", None))


def _pause(error: Exception, failures: int) -> float:
    longest = min(_FIRST_PAUSE * 2.0 ** (failures - 1), _LONGEST_PAUSE)
    asked = error.retry_after if isinstance(error, exceptions.ResponseError) else 0.0
    return max(min(asked, 600.0), random.uniform(longest / 2, longest))  # noqa: S311 - jitter
