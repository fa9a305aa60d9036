"""The base of the backends: results that wait for their consumer, the cache, the budget.

Each row has one result: a value or an error. A row has none only if the run stops: the budget is spent, or the service
refuses everything. Such a row is asked by the next run.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypedDict

from gigachat import exceptions
from gigachat.bulk.results import Report, Result, RowError, sum_of
from gigachat.bulk.rows import read_rows
from gigachat.bulk.templates import RowMistake
from gigachat.usage import TokenCounts

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable

    from gigachat.bulk.budget import Ledger, Prices
    from gigachat.bulk.cache import Cache
    from gigachat.bulk.job import Client, Job
    from gigachat.bulk.rows import Row, RowQueue

_CACHED_FIELDS = ("request_id", "model", "finish_reason")
_SPENT = "the budget is spent"
_AHEAD = 100  # most rows that a thread reads ahead
_PAUSE = 1.0  # seconds between two looks at the progress if no results come
FATAL = (
    exceptions.AuthenticationError,
    exceptions.PaymentRequiredError,
    exceptions.ForbiddenError,
    exceptions.ModelUnavailableError,
    exceptions.CertificateError,
    exceptions.ClientClosedError,
    exceptions.ConfigurationError,
)
"""Errors that would fail every other row too: the run stops."""
INTERRUPTED = "interrupted"
"""Why a run ended that was stopped by Ctrl-C."""


@dataclass(slots=True)
class Work:
    """Rows that one request asks for, or one batch.

    Attributes:
        rows: The rows with their payloads.
        most: Upper bound of their tokens, which the budget reserves.
        spent: Tokens of answers without a value.
        keys: Their keys in the cache.
        transcript: Messages of a run so far: after a failure, the run continues with them.
    """

    rows: list[tuple[Row, Any]]
    most: TokenCounts
    spent: TokenCounts | None = None
    keys: list[bytes] = field(default_factory=list)
    transcript: list[Any] = field(default_factory=list)


class Shared(TypedDict):
    """Arguments of every backend, beside the job and the client."""

    ledger: Ledger
    prices: Prices
    report: Report
    cache: Cache | None
    ordered: bool
    every_row: bool
    window: int


class Backend(ABC):
    """Asks for the rows of a job.

    Args:
        job: What is asked.
        giga: The client.
        ledger: What may be spent.
        prices: Prices of models.
        report: Counts refusals and retries here.
        cache: The cache of responses; None for none.
        ordered: Whether the results come in the order of the rows, whose numbers have no gaps.
        every_row: Whether rows for which the budget has no room have an error, instead of none.
        window: Most results that wait: for their consumer, or for an earlier row.
    """

    def __init__(
        self,
        job: Job,
        giga: Client,
        *,
        ledger: Ledger,
        prices: Prices,
        report: Report,
        cache: Cache | None,
        ordered: bool,
        every_row: bool,
        window: int,
    ) -> None:
        self._job = job
        self._giga = giga
        self._ledger = ledger
        self._prices = prices
        self._report = report
        self._cache = cache
        self._ordered = ordered
        self._every_row = every_row
        self._window = window
        self._ready: deque[Result] = deque()
        self._early: dict[int, Result] = {}
        self._next = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._queue: RowQueue = asyncio.Queue()
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._failure: BaseException | None = None

    def stop(self, reason: str, error: exceptions.GigaChatException | None = None) -> None:
        """Begin no more requests; those in progress end."""
        if self._report.stopped is None:
            self._report.stopped = reason
            self._report.error = error
        self._queue.put_nowait(None)

    def interrupt(self) -> None:
        """Stop because the user asks for it."""
        self.stop(INTERRUPTED)

    async def results(
        self, rows: Iterable[Row], *, slow: bool = False, look: Callable[[], object] | None = None
    ) -> AsyncGenerator[Result, None]:
        """Iterate over the results, as they come.

        Args:
            rows: The rows.
            slow: Whether a thread must read them, because that may wait.
            look: Called before each wait for results, and each second of it.
        """
        source = read_rows(rows, self._queue, ahead=min(self._window, _AHEAD) if slow else 0)
        dispatcher = asyncio.create_task(self._dispatch(source))
        dispatcher.add_done_callback(lambda _: self._arrived.set())
        others = [dispatcher]
        if look is not None:
            others.append(asyncio.create_task(self._wake()))
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
                if look is not None:
                    self._count_in_progress()
                    look()
                await self._arrived.wait()
            if not dispatcher.cancelled():  # by `stop`
                dispatcher.result()
            if self._failure is not None:
                raise self._failure
        finally:
            # These first: a task that is cancelled before it begins releases nothing.
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await source.aclose()
            self._count_in_progress()

    def close(self) -> None:
        """Close the cache and the budget."""
        self._ledger.close()
        if self._cache is not None:
            self._cache.close()

    @abstractmethod
    async def _dispatch(self, rows: AsyncIterator[Row]) -> None:
        """Begin to ask for rows, in tasks."""

    @abstractmethod
    def _count_in_progress(self) -> None:
        """Count in the report how many requests are in progress, and how many may be."""

    async def _wake(self) -> None:
        while True:
            await asyncio.sleep(_PAUSE)
            self._arrived.set()

    def _prepare(self, rows: list[Row]) -> Work:
        """Return the rows to send; deliver those of the cache, and those that cannot be sent as errors."""
        work = Work([], TokenCounts(0))
        for row in rows:
            if row.error is not None:
                self._fail([(row, None)], RowError("RowError", row.error))
                continue
            try:
                payload = self._job.payload(row.data)
                most = self._most(payload) if self._ledger.budget is not None else work.most
            except RowMistake as error:
                self._fail([(row, None)], RowError("RowError", str(error)))
                continue
            if self._cache is not None:
                key = self._job.key(self._giga, payload)
                if (kept := self._cache.get(key)) is not None:
                    with suppress(ValueError):  # the type has changed
                        value = self._job.load(kept["result"])
                        about = {name: kept.get(name) for name in _CACHED_FIELDS}
                        self._deliver(Result(row.number, row.id, value, cached=True, row=row.data, **about))
                        continue
                work.keys.append(key)
            work.rows.append((row, payload))
            if most is not work.most:
                work.most = sum_of(work.most, most)
        return work

    def _most(self, payload: Any) -> TokenCounts:
        """Return the most tokens that a request can use, within a budget.

        Raises:
            RowMistake: Nothing bounds its answer, or the budget is for another model.
        """
        budget, model = self._ledger.budget, self._job.model_of(self._giga)
        own = self._job.own_model(payload)
        if budget is not None and budget.rubles is not None and own and self._prices.of(own) != self._prices.of(model):
            raise RowMistake(f"the budget is in roubles at the price of {model}, but the row names {own}")
        return self._job.most(payload)

    def _finish(self, work: Work, results: list[Result]) -> None:
        for result in results:
            if work.spent is not None and result.usage is not None:
                result.usage = sum_of(work.spent, result.usage)
            result.cost = self._prices.cost(result.model, result.usage)
            self._deliver(result)
        usages = [result.usage for result in results if result.usage is not None]
        self._ledger.settle(work.most, sum_of(*usages) if usages else work.spent)
        for key, result in zip(work.keys, results, strict=False):  # no keys without a cache
            self._cache_result(key, result)

    def _cache_result(self, key: bytes, result: Result) -> None:
        """Put a result into the cache, after its delivery: a disk that is full loses no answer."""
        if self._cache is not None:
            kept = {name: getattr(result, name) for name in _CACHED_FIELDS}
            self._cache.put(key, {"result": self._job.dump(result.value), **kept})

    def _fail(self, rows: list[tuple[Row, Any]], error: RowError, spent: TokenCounts | None = None) -> None:
        for row, _ in rows:
            cost = self._prices.cost(self._job.model_of(self._giga), spent)
            self._deliver(Result(row.number, row.id, error=error, usage=spent, cost=cost, row=row.data))

    def _refuse_unfunded(self, work: Work) -> None:
        """Stop before rows for which the budget has no room."""
        if self._every_row:
            self._fail(work.rows, RowError("JobStoppedError", _SPENT), work.spent)
        else:
            most = work.most.input_tokens + work.most.output_tokens
            self.stop(f"{_SPENT}: the next request can take {most} tokens")

    def _give_up(self, work: Work, reason: str, error: exceptions.GigaChatException | None = None) -> None:
        self._ledger.settle(work.most, work.spent)
        self.stop(reason, error)

    def _deliver(self, result: Result) -> None:
        if self._ordered:
            self._early[result.number] = result
            while self._next in self._early:
                self._ready.append(self._early.pop(self._next))
                self._next += 1
        else:
            self._ready.append(result)
        self._arrived.set()

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._room.set()
        self._arrived.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = self._failure or error
            self.stop(f"{type(error).__name__}: {error}")


def row_error(error: Exception) -> RowError:
    """Return an error as that of a row."""
    return RowError(type(error).__name__, str(error), getattr(error, "status_code", None))
