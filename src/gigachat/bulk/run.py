"""The functions of `gigachat.bulk`: a job with a file of results, or with an iterator of them."""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing, asynccontextmanager, closing, suppress
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from gigachat.bulk.budget import Ledger, Prices
from gigachat.bulk.checkpoint import Checkpoint
from gigachat.bulk.options import backend_for, split_options
from gigachat.bulk.progress import Progress, Watch
from gigachat.bulk.results import Report, Result
from gigachat.bulk.rows import Rows, Source
from gigachat.bulk.templates import RowMistake
from gigachat.bulk.threads import Interrupt, call, iterate_blocking
from gigachat.client import AsyncGigaChat, GigaChat
from gigachat.exceptions import APIConnectionError, APITimeoutError, JobStoppedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator
    from typing import Unpack

    from gigachat.bulk.job import Client, Job
    from gigachat.bulk.options import How, Options

T = TypeVar("T")

_MOST_SAME = 20  # rows that fail in the same way, one after another, before the run stops
_UNREACHABLE = {"APIConnectionError": APIConnectionError, "APITimeoutError": APITimeoutError}


async def arun(
    source: Source,
    out: str | os.PathLike[str],
    *,
    giga: Client | None = None,
    input_format: str | None = None,
    ordered: bool = False,
    retry_failed: bool = False,
    overwrite: bool = False,
    progress: Progress = None,
    **options: Unpack[Options],
) -> Report:
    """Ask for each row of a source, awaited in asyncio; see `run`."""
    job, how = split_options(options)
    return await _run(
        job,
        how,
        Interrupt(),
        _rows(job, source, out, input_format),
        out,
        giga=giga,
        ordered=ordered,
        retry_failed=retry_failed,
        overwrite=overwrite,
        progress=progress,
    )


async def _run(
    job: Job,
    how: How,
    interrupt: Interrupt,
    rows: Rows,
    out: str | os.PathLike[str],
    *,
    giga: Client | None,
    ordered: bool,
    retry_failed: bool,
    overwrite: bool,
    progress: Progress,
) -> Report:
    watch = Watch(progress)
    async with _client(giga) as client:
        job.check_fields(client)
        check_budget(job, how, rows.first, client)
        backend_for(job, how, client, Report()).close()  # names invalid files before `overwrite` empties the output
        checkpoint = Checkpoint(
            out, job.digest_for(client), rows.digest, overwrite=overwrite, ordered=ordered, retry_failed=retry_failed
        )
        report = checkpoint.report
        report.total = rows.total
        same_failures = _SameFailures()
        try:
            with closing(checkpoint):
                backend = backend_for(job, how, client, report, log=checkpoint)
                loop = asyncio.get_running_loop()
                interrupt.stop = lambda: loop.call_soon_threadsafe(backend.interrupt)
                with closing(backend):
                    wanted = (row for row in rows if checkpoint.wanted(row.number))
                    look = partial(watch.update, report)
                    async with aclosing(backend.results(wanted, slow=rows.slow, look=look)) as results:
                        async for result in results:
                            checkpoint.write(result, job)
                            report.add(result)
                            if same_failures.add(result) and result.error is not None:
                                reason = f"{_MOST_SAME} rows in a row failed alike: {result.error.message}"
                                backend.stop(reason, _UNREACHABLE.get(result.error.kind, JobStoppedError)(reason))
                checkpoint.finish()
            if report.stopped is None:
                report.total = report.done + report.failed
        finally:
            watch.update(report, last=True)
    return report


def run(
    source: Source,
    out: str | os.PathLike[str],
    *,
    giga: Client | None = None,
    input_format: str | None = None,
    ordered: bool = False,
    retry_failed: bool = False,
    overwrite: bool = False,
    progress: Progress = None,
    **options: Unpack[Options],
) -> Report:
    """Ask for each row of a source, and append each result to a file of JSON Lines as it comes.

    The file is the checkpoint too. After a crash the same call continues: rows in the file are not asked again.

    Args:
        source: Path of a file (`.jsonl`, `.csv`, `.tsv`, `.txt`, `.parquet`), or `-` for standard input. Or a DataFrame
            of pandas or Polars, a table of pyarrow, or any iterable of mappings or texts. Text is a row with the field
            `text`.
        out: The file of the results.
        giga: The client; one made of the environment if not given.
        input_format: `jsonl`, `csv`, `tsv`, `txt` or `parquet`, if the name does not tell it.
        ordered: Whether the lines are in the order of the rows when the run has ended. Before, they are as they came.
        retry_failed: Whether rows that failed in an earlier run are asked again.
        overwrite: Whether the output of another job is replaced.
        progress: Function that receives the `Report`, five times a second at most. Or `rich`, `tqdm` or `lines`; True
            takes the first of these that is installed.
        **options: What is asked, and how:

            * `task`: `chat`, `embed` or `tokens`;
            * `prompt`: template with the names of fields in braces, `"Тон отзыва: {text}"`, or a function that returns
              the payload of `giga.chat` for a row. Without it, the `messages` or the text of the row are sent;
            * `system`: text of the system message, a template too;
            * `into`: type of the value of each answer, as of `chat_parse`, with `repair`, `strict` and `simplify`;
            * `tools`: tools of a run, as of `chat_run`, with the options of runs;
            * `model`, `temperature`, `max_tokens` and all other fields of a chat;
            * `concurrency`: `learn`, or the most requests in progress;
            * `budget`: a `Budget`; it needs `max_tokens`;
            * `cache`: path of an SQLite file with responses, which answers requests that were answered before;
            * `retries`: how often a request is repeated after a transient failure;
            * `backend`: `online`, or `batch` for the batches of the service, for accounts that pay as they go;
            * `poll_interval`: seconds between two looks at a batch, 10;
            * `prices`: price of each model by its name, for the cost.

    Returns:
        The report. `stopped` says why the run ended before the input did.

    Raises:
        ValueError, TypeError: An argument is invalid, or the file is of another job; nothing is sent.
        OSError: The file, or that of `cache` or of a shared budget, cannot be written.
    """
    job, how = split_options(options)
    rows = _rows(job, source, out, input_format)
    with Interrupt() as interrupt:
        return _blocking(
            _run(
                job,
                how,
                interrupt,
                rows,
                out,
                giga=giga,
                ordered=ordered,
                retry_failed=retry_failed,
                overwrite=overwrite,
                progress=progress,
            )
        )


def aiterate(
    source: Source,
    *,
    giga: Client | None = None,
    input_format: str | None = None,
    ordered: bool = False,
    window: int = 1000,
    progress: Progress = None,
    **options: Unpack[Options],
) -> AsyncIterator[Result]:
    """Iterate over the results of the rows of a source, in asyncio; see `iterate`."""
    job, how = split_options(options)
    rows = Rows(source, input_format)
    job.check(rows.first)
    check_budget(job, how, rows.first)
    return _results(job, how, rows, giga, ordered=ordered, window=_check_window(window), watch=Watch(progress))


def iterate(
    source: Source,
    *,
    giga: Client | None = None,
    input_format: str | None = None,
    ordered: bool = False,
    window: int = 1000,
    progress: Progress = None,
    **options: Unpack[Options],
) -> Iterator[Result]:
    """Iterate over the results of the rows of a source, without a file. Rows are taken as needed, in another thread.

    Args:
        source: As of `run`.
        giga: The client; one made of the environment if not given.
        input_format: As of `run`.
        ordered: Whether the results are in the order of the rows.
        window: Most results that wait: for their consumer, or for an earlier row.
        progress: As of `run`.
        **options: As of `run`.

    Raises:
        ValueError, TypeError: An argument is invalid; nothing is sent.
        JobStoppedError: The job ended before the input did.
    """
    return iterate_blocking(
        aiterate(
            source,
            giga=giga,
            input_format=input_format,
            ordered=ordered,
            window=window,
            progress=progress,
            **options,
        )
    )


async def _results(
    job: Job, how: How, rows: Rows, giga: Client | None, *, ordered: bool, window: int, watch: Watch
) -> AsyncIterator[Result]:
    report = Report(total=rows.total)
    async with _client(giga) as client:
        job.check_fields(client)
        backend = backend_for(job, how, client, report, ordered=ordered, window=window)
        try:
            with closing(backend):
                look = partial(watch.update, report)
                async with aclosing(backend.results(rows, slow=rows.slow, look=look)) as results:
                    async for result in results:
                        report.add(result)
                        yield result
        finally:
            watch.update(report, last=True)
    if report.stopped is not None:
        raise JobStoppedError(report.stopped)


@asynccontextmanager
async def _client(giga: Client | None) -> AsyncIterator[Client]:
    """Give the caller's client, or one of the environment, which is closed at the end."""
    given: Any = giga
    if given is None:
        async with GigaChat() as own:
            yield own
    elif isinstance(given, GigaChat | AsyncGigaChat):
        yield given
    else:
        raise TypeError(f"giga is a GigaChat or an AsyncGigaChat, not {type(given).__name__}")


def check_budget(job: Job, how: How, first: Any, client: Client | None = None) -> None:
    """Refuse a budget that bounds nothing, before any request.

    Args:
        job: What is asked.
        how: How it is asked.
        first: Fields of the first row.
        client: The client, whose model must have a price; None if it is not made yet.
    """
    if how.budget is None:
        return
    if job.tools:
        raise ValueError("a budget cannot bound runs: their tools decide how many answers there are")
    if client is not None:
        Ledger(how.budget, Prices(how.prices), job.model_of(client)).close()
    payload = None
    with suppress(RowMistake):
        payload = job.payload(first)
    if payload is not None or job.task == "chat":
        job.most(payload)


def _rows(job: Job, source: Source, out: str | os.PathLike[str], input_format: str | None) -> Rows:
    """Return the rows of a job with a file, in the caller's thread: the rows may be results of another job."""
    if isinstance(source, str | os.PathLike) and _same(source, out):
        raise ValueError(f"{out} is the input: give another file for the results")
    rows = Rows(source, input_format)
    job.check(rows.first)
    return rows


def _same(source: str | os.PathLike[str], out: str | os.PathLike[str]) -> bool:
    try:
        return Path(out).samefile(source)
    except OSError:  # one of them is missing
        return False


def _check_window(window: Any) -> int:
    if not isinstance(window, int) or isinstance(window, bool) or window < 1:
        raise ValueError("window is a whole number, 1 or more")
    return window


def _blocking(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end; beside an event loop, as in a notebook, in a thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    return call(coroutine)


class _SameFailures:
    """Tells when one row after another fails in the same way: the first ones, or because the service is away."""

    def __init__(self) -> None:
        self._failure: tuple[str, int | None] | None = None
        self._count = 0
        self._succeeded = False

    def add(self, result: Result) -> bool:
        """Count a result."""
        error = result.error
        if error is None:
            self._failure, self._succeeded = None, True
            return False
        failure = (error.kind, error.status)
        self._count = self._count + 1 if failure == self._failure else 1
        self._failure = failure
        away = error.kind in _UNREACHABLE or (error.status or 0) >= HTTPStatus.INTERNAL_SERVER_ERROR
        return self._count == _MOST_SAME and (away or not self._succeeded)
