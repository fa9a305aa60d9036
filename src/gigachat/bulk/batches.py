"""The batch backend: files of 500 requests, which the service processes in the background.

The output of the job names each batch as soon as it is submitted. After a crash, the next run collects its results and
does not submit its rows again.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from gigachat import exceptions
from gigachat._engine.totals import tokens_of
from gigachat._service import MOST_BATCH_REQUESTS
from gigachat.bulk.backend import Backend, Work, row_error
from gigachat.bulk.job import method_of
from gigachat.bulk.results import RowError, sum_of
from gigachat.bulk.templates import RowMistake
from gigachat.usage import TokenCounts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from typing import Unpack

    from gigachat import models
    from gigachat.bulk.backend import Shared
    from gigachat.bulk.job import Client, Job
    from gigachat.bulk.results import Result
    from gigachat.bulk.rows import Row

    class BatchLog(Protocol):
        """A log of submitted batches."""

        @property
        def batches(self) -> Mapping[str, list[int]]:
            """The numbers of the rows of each batch whose results are not collected."""
            ...

        def note_batch(self, batch: str, numbers: list[int]) -> None:
            """Remember a batch that was submitted."""
            ...


_MOST_BATCHES = 8  # batches whose results are waited for
_ONLINE = "backend='online' (--backend online)"
_NOT_PERMITTED = f"Batches are for accounts that pay as they go; {_ONLINE} asks one by one."


def check_job(job: Job) -> None:
    """Check that batches can do a job.

    Raises:
        ValueError: The job needs more than one request for a row, or counts tokens.
    """
    if job.task == "tokens" or job.tools or job.repair:
        what = "tools=" if job.tools else "repair= (--repair)" if job.repair else "task='tokens'"
        raise ValueError(f"batches cannot do {what}: use {_ONLINE}")


class Batches(Backend):
    """Asks for the rows of a job by batches.

    Args:
        job: What is asked.
        giga: The client.
        log: The log of batches; None if a crash may lose them.
        poll_interval: Seconds between two status requests for a batch.
        **shared: As of `Backend`.
    """

    def __init__(
        self, job: Job, giga: Client, *, log: BatchLog | None, poll_interval: float, **shared: Unpack[Shared]
    ) -> None:
        super().__init__(job, giga, **shared)
        self._log = log
        self._poll_interval = poll_interval
        self._slots = asyncio.Semaphore(_MOST_BATCHES)
        self._in_progress = 0
        self._interrupted = False

    def interrupt(self) -> None:
        """Stop at once: batches may take hours, and the next run collects them."""
        super().interrupt()
        if self._log is not None:
            self._interrupted = True
            for task in self._tasks:
                task.cancel()

    def _count_in_progress(self) -> None:
        self._report.in_progress, self._report.limit = self._in_progress, _MOST_BATCHES * MOST_BATCH_REQUESTS

    async def _dispatch(self, rows: AsyncIterator[Row]) -> None:
        submitted = {} if self._log is None else dict(self._log.batches)
        batch_of = {number: batch for batch, numbers in submitted.items() for number in numbers}
        earlier = {batch: Work([], TokenCounts(0)) for batch in submitted}
        work = Work([], TokenCounts(0))
        async for row in rows:
            if (batch := batch_of.pop(row.number, None)) is not None:
                self._take_again(row, earlier[batch])
                continue
            if self._report.stopped is not None:
                break
            one = self._prepare([row])
            if not one.rows:
                continue
            together = sum_of(work.most, one.most)
            if len(work.rows) == MOST_BATCH_REQUESTS or (work.rows and not self._ledger.has_room(together)):
                await self._submit(work)
                work = Work([], TokenCounts(0))
                together = one.most
            work.rows += one.rows
            work.keys += one.keys
            work.most = together
        if work.rows and self._report.stopped is None:
            await self._submit(work)
        for batch, of_batch in earlier.items():
            if of_batch.rows:
                await self._slots.acquire()
                self._wait_for(batch, of_batch, reserved=False)

    def _take_again(self, row: Row, work: Work) -> None:
        """Add a row to the batch of an earlier run, and count the most that it can have used until that is known."""
        work.rows.append((row, None))
        if self._ledger.budget is not None:
            with suppress(RowMistake):
                most = self._most(self._job.payload(row.data))
                self._ledger.spend(most)
                work.most = sum_of(work.most, most)

    async def _submit(self, work: Work) -> None:
        await self._slots.acquire()
        if not await self._ledger.reserve(work.most):
            self._slots.release()
            self._refuse_unfunded(work)
            return
        if self._report.stopped is not None:
            self._slots.release()
            self._ledger.settle(work.most, None)
            return
        requests = [
            {"id": str(row.number), "request": self._job.body(self._giga, payload)} for row, payload in work.rows
        ]
        method = "embedder" if self._job.task == "embed" else "chat_completions"
        try:
            batch = await method_of(self._giga, "create_batch")(requests, method)
        except exceptions.GigaChatException as error:
            self._slots.release()
            advice = f". {_NOT_PERMITTED}" if isinstance(error, exceptions.ForbiddenError) else ""
            self._give_up(work, f"{error}{advice}", error)
            return
        except (ValueError, TypeError) as error:
            self._slots.release()
            self._ledger.settle(work.most, None)
            await self._submit_halves(work, error)
            return
        if self._log is not None:
            self._log.note_batch(batch.id_, [row.number for row, _ in work.rows])
        self._wait_for(batch, work)

    def _wait_for(self, batch: str | models.Batch, work: Work, *, reserved: bool = True) -> None:
        if self._interrupted:
            self._slots.release()
            return
        self._in_progress += len(work.rows)
        self._start(self._collect(batch, work, reserved=reserved))

    async def _submit_halves(self, work: Work, error: Exception) -> None:
        """Submit the rows in halves, until those that the client refuses are alone: these fail."""
        if len(work.rows) == 1:
            self._fail(work.rows, row_error(error))
            return
        middle = len(work.rows) // 2
        for part in (slice(None, middle), slice(middle, None)):
            half = Work(work.rows[part], TokenCounts(0), keys=work.keys[part])
            if self._ledger.budget is not None:
                for _, payload in half.rows:
                    half.most = sum_of(half.most, self._job.most(payload))
            await self._submit(half)

    async def _collect(self, batch: str | models.Batch, work: Work, *, reserved: bool) -> None:
        """Wait for a batch, and deliver the results of its rows."""
        found: dict[str, models.BatchResult] = {}
        missing = RowError("BatchError", "the batch has no result for this row")
        try:
            done = await method_of(self._giga, "wait_batch")(batch, self._poll_interval)
            if done.output_file_id:
                found = {one.id_: one for one in await method_of(self._giga, "batch_results")(done)}
            else:
                missing = RowError("BatchError", f"the batch {done.id_} ended without results: {done.status}")
        except exceptions.NotFoundError as error:  # the batch or its file no longer exists
            missing = row_error(error)
        except exceptions.GigaChatException as error:
            if reserved:
                self._ledger.settle(work.most, work.most)
            self.stop(f"a batch could not be collected, the next run continues: {error}", error)
            return
        finally:
            self._slots.release()
            self._in_progress -= len(work.rows)
        spent = TokenCounts(0)
        for at, (row, _) in enumerate(work.rows):
            if (line := found.get(str(row.number))) is None:
                self._fail([(row, None)], missing)
                continue
            usage = self._take(row, line, work.keys[at] if work.keys else None)
            spent = sum_of(spent, usage or TokenCounts(0))
        if reserved:
            self._ledger.settle(work.most, spent)
        else:
            self._ledger.spend(TokenCounts(*(used - most for used, most in zip(spent, work.most, strict=True))))

    def _take(self, row: Row, line: models.BatchResult, key: bytes | None) -> TokenCounts | None:
        """Deliver the result of a row; return its usage."""
        answer = line.result
        if answer is None or isinstance(answer, dict):
            self._fail([(row, None)], _line_error(line))
            return None
        try:
            result: Result = self._job.read(row, answer)
        except (exceptions.GigaChatException, LookupError) as error:
            usage = tokens_of(answer)
            self._fail([(row, None)], row_error(error), usage)
            return usage
        result.cost = self._prices.cost(result.model, result.usage)
        self._deliver(result)
        if key is not None:
            self._cache_result(key, result)
        return result.usage


def _line_error(line: models.BatchResult) -> RowError:
    error: Any = line.error
    if error is None:
        return RowError("BatchError", "the result of this row cannot be read")
    if isinstance(error, str):
        return RowError("BatchError", error)
    status = getattr(error, "status", None) or getattr(error, "code", None)
    return RowError("BatchError", str(error.message or "no text"), status if isinstance(status, int) else None)
