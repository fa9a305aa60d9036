"""The online backend: requests in parallel, as many as the account permits."""

from __future__ import annotations

import asyncio
import random
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gigachat import exceptions
from gigachat._engine.totals import tokens_of
from gigachat.bulk.backend import FATAL, Backend, Work, row_error
from gigachat.bulk.results import sum_of
from gigachat.bulk.rows import slices
from gigachat.usage import TokenCounts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from typing import Unpack

    from gigachat.bulk.backend import Shared
    from gigachat.bulk.concurrency import Gate, Mark
    from gigachat.bulk.job import Client, Job
    from gigachat.bulk.rows import Row

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_PATIENCE = 600.0  # seconds in which no request may be permitted: by the service, or by limits of the client
_TRANSIENT = (exceptions.ServerError, exceptions.APIConnectionError, exceptions.GenerationError)
"""Errors after which a request is sent again."""


class Online(Backend):
    """Asks for the rows of a job by requests.

    Args:
        job: What is asked.
        giga: The client.
        gate: Lets requests in.
        retries: How often a request is repeated after a transient failure.
        **shared: As of `Backend`.
    """

    def __init__(self, job: Job, giga: Client, *, gate: Gate, retries: int, **shared: Unpack[Shared]) -> None:
        # A refusal must be seen here at once, and a failure be counted.
        super().__init__(job, giga.with_options(max_retries=0), **shared)
        self._gate = gate
        self._retries = retries
        self._waiting: set[asyncio.Task[Any]] = set()

    def stop(self, reason: str, error: exceptions.GigaChatException | None = None) -> None:
        """Begin no more requests, and end the waits for one; those in progress end."""
        super().stop(reason, error)
        for task in self._waiting:
            task.cancel()

    async def _dispatch(self, rows: AsyncIterator[Row]) -> None:
        async for part in slices(rows, self._job.rows_per_request):
            while len(self._ready) + len(self._early) + len(self._tasks) >= self._window:
                self._room.clear()
                await self._room.wait()
            if self._report.stopped is not None:
                return
            asked = self._prepare(part)
            if not asked.rows:
                await asyncio.sleep(0)  # others may work while rows come from the cache
            elif (mark := await self._begin(asked)) is not None:
                self._start(self._ask(asked, mark))

    async def _begin(self, work: Work) -> Mark | None:
        """Reserve what a request can use and wait until it may begin; None if it must not."""
        if not await self._ledger.reserve(work.most):
            self._refuse_unfunded(work)
            return None
        if self._report.stopped is not None:
            self._give_up(work, self._report.stopped)
            return None
        with self._waiting_for_start(work):
            return await self._gate.enter()

    @contextmanager
    def _waiting_for_start(self, work: Work) -> Iterator[None]:
        """Mark a wait before a request, which may be cancelled: the reservation of the request is then given back."""
        task = asyncio.current_task()
        assert task is not None
        self._waiting.add(task)
        try:
            yield
        except asyncio.CancelledError:
            self._ledger.settle(work.most, work.spent)
            raise
        finally:
            self._waiting.discard(task)

    def _count_in_progress(self) -> None:
        learner = self._gate.learner
        self._report.in_progress, self._report.limit = learner.in_progress, learner.limit

    async def _ask(self, work: Work, mark: Mark) -> None:
        failures = 0
        while True:
            try:
                results = await self._job.ask(self._giga, work.rows, work.transcript)
            except (exceptions.RateLimitError, exceptions.QueueTimeoutError) as error:
                pause = 0.0
                if isinstance(error, exceptions.RateLimitError):
                    self._report.refused += 1
                    pause = min(error.retry_after, _PATIENCE)
                if self._gate.refused(mark, pause) > _PATIENCE:
                    self._give_up(work, f"no request was permitted for {_PATIENCE:g} s: {error}", error)
                    return
            except exceptions.GigaChatException as error:
                if isinstance(error, exceptions.ServerError | exceptions.APIConnectionError):
                    self._gate.failed()
                else:
                    self._gate.answered(mark)
                if isinstance(error, FATAL):
                    self._give_up(work, str(error), error)
                    return
                self._add_usage(work, error)
                if not isinstance(error, _TRANSIENT) or failures >= self._retries:
                    if len(work.rows) > 1 and isinstance(error, exceptions.ResponseError):
                        await self._ask_one_by_one(work)
                    else:
                        self._ledger.settle(work.most, self._used(work, error))
                        self._fail(work.rows, row_error(error), work.spent)
                    return
                failures += 1
                self._report.retries += 1
                if self._may_be_charged(error) and not await self._reserve_again(work):
                    return
                if self._report.stopped is None:
                    with self._waiting_for_start(work):
                        await asyncio.sleep(_pause(error, failures))
            except (ValueError, TypeError) as error:  # an argument that the client refuses before any request
                self._gate.failed()
                self._ledger.settle(work.most, work.spent)
                self._fail(work.rows, row_error(error), work.spent)
                return
            except BaseException:  # also if it is cancelled
                self._gate.failed()
                self._ledger.settle(work.most, work.most)
                raise
            else:
                self._gate.answered(mark)
                self._finish(work, results)
                return
            if self._report.stopped is not None:
                self._give_up(work, self._report.stopped)
                return
            with self._waiting_for_start(work):
                mark = await self._gate.enter()

    async def _ask_one_by_one(self, work: Work) -> None:
        """Ask for the rows of a refused request one by one, so that only those at fault fail."""
        self._ledger.settle(work.most, work.spent)
        for at, one in enumerate(work.rows):
            most = self._job.most(one[1]) if self._ledger.budget is not None else work.most
            alone = Work([one], most, None, work.keys[at : at + 1])
            if self._report.stopped is not None:
                return
            if (mark := await self._begin(alone)) is not None:
                await self._ask(alone, mark)

    def _add_usage(self, work: Work, error: Exception) -> None:
        usage = tokens_of(error)
        if usage is not None:
            work.spent = sum_of(work.spent or TokenCounts(0), usage)

    def _may_be_charged(self, error: Exception) -> bool:
        """Whether the service may charge for an answer whose tokens are not known."""
        lost = (exceptions.APIConnectionError, exceptions.APIResponseValidationError)
        return isinstance(error, lost) and tokens_of(error) is None

    def _used(self, work: Work, error: Exception) -> TokenCounts | None:
        """Return the most that the attempts of rows can have used, the last of which has failed."""
        if not self._may_be_charged(error):
            return work.spent
        return sum_of(work.most, work.spent or TokenCounts(0))

    async def _reserve_again(self, work: Work) -> bool:
        """Count a lost answer at its upper bound, and reserve as much for the next attempt."""
        self._ledger.settle(work.most, work.most)
        if await self._ledger.reserve(work.most):
            return True
        self._refuse_unfunded(work)
        return False


def _pause(error: Exception, failures: int) -> float:
    longest = min(_FIRST_PAUSE * 2.0 ** (failures - 1), _LONGEST_PAUSE)
    asked = error.retry_after if isinstance(error, exceptions.ResponseError) else 0.0
    return max(min(asked, _PATIENCE), random.uniform(longest / 2, longest))  # noqa: S311 - jitter
