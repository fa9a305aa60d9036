"""Rows in, rows out, for systems that run a function in many processes: Ray, Spark, Dask, Beam.

All settings can be pickled. A process keeps one client and one learned limit for each configuration. All calls share
the background event loop.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any

from gigachat.bulk.options import backend_for, split_options
from gigachat.bulk.results import Report
from gigachat.bulk.rows import Rows
from gigachat.bulk.run import check_budget
from gigachat.bulk.threads import iterate_blocking
from gigachat.client import GigaChat
from gigachat.exceptions import JobStoppedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator
    from typing import Unpack

    from gigachat.bulk.concurrency import Gate
    from gigachat.bulk.job import Job
    from gigachat.bulk.options import How, Options
    from gigachat.bulk.results import Result

_clients: dict[tuple[int, bytes], tuple[GigaChat, Gate]] = {}


def map_rows(
    rows: Iterable[Mapping[str, Any] | str],
    *,
    client: Mapping[str, Any] | None = None,
    column: str = "result",
    **options: Unpack[Options],
) -> Iterator[dict[str, Any]]:
    """Return each row with its result, in the order of the rows: the body of a function that runs in many processes.

    Args:
        rows: The rows: mappings, or texts, which are rows with the field `text`.
        client: Options of the client, as of `GigaChat`. A process makes one client of them and keeps it. What is not
            given comes from the environment of the process.
        column: Field of the result.
        **options: As of `run`. All of them can be pickled if `prompt` is a template or a function of a module, and
            `into` a class of a module. A budget is that of one call, or with `shared=` of all processes of a
            machine. They may share `cache` too, so that rows that are asked again after a crash cost nothing.

    Returns:
        The fields of each row and of its result: `column`, which is None after an error, `error` with its text,
        `input_tokens`, `output_tokens`, `cost`, `request_id` and `cached`. Values of a type `into` are as in JSON.

    Raises:
        ValueError, TypeError: An argument is invalid; nothing is sent.
        JobStoppedError: The service refuses everything. Rows for which the budget has no room have an error instead.
    """
    job, how = split_options(options)
    source = Rows(rows)
    job.check(source.first)
    check_budget(job, how, source.first)
    return iterate_blocking(_output_rows(job, how, source, dict(client or {}), column))


async def _output_rows(
    job: Job, how: How, rows: Rows, settings: dict[str, Any], column: str
) -> AsyncIterator[dict[str, Any]]:
    client, gate = _client_of(settings, how)
    job.check_fields(client)
    report = Report()
    backend = backend_for(job, how, client, report, gate=gate, ordered=True, every_row=True)
    with closing(backend):
        async with aclosing(backend.results(rows, slow=rows.slow)) as results:
            async for result in results:
                yield _output_row(result, job, column)
    if report.stopped is not None:
        raise JobStoppedError(report.stopped)


def _client_of(settings: dict[str, Any], how: How) -> tuple[GigaChat, Gate]:
    """Return the client of this process for some settings, and its gate.

    Raises:
        TypeError: The settings cannot be pickled.
    """
    try:
        key = os.getpid(), pickle.dumps((sorted(settings.items()), how.concurrency))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TypeError(
            f"client= holds what cannot be pickled; give functions and classes of a module: {error}"
        ) from None
    if key not in _clients:
        client = GigaChat(**settings)
        _clients[key] = client, how.gate(client)
    return _clients[key]


def _output_row(result: Result, job: Job, column: str) -> dict[str, Any]:
    usage = result.usage
    return {
        **(result.row if isinstance(result.row, Mapping) else {}),
        column: None if result.error is not None else job.dump(result.value),
        "error": None if result.error is None else result.error.message,
        "input_tokens": usage.input_tokens if usage is not None else None,
        "output_tokens": usage.output_tokens if usage is not None else None,
        "cost": result.cost,
        "request_id": result.request_id,
        "cached": result.cached,
    }
