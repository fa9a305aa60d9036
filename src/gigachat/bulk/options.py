"""The options of `gigachat.bulk`: of the job, and of the way in which its rows are sent."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from gigachat._suggestions import nearest
from gigachat.bulk.batches import Batches, check_job
from gigachat.bulk.budget import Budget, Prices, ledger_of
from gigachat.bulk.cache import Cache
from gigachat.bulk.concurrency import MOST, Gate, Learner
from gigachat.bulk.job import JOB_ARGUMENTS, Job
from gigachat.bulk.online import Online
from gigachat.models.chat import Chat

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeAlias, TypedDict

    from gigachat.api.chat import ChatFields
    from gigachat.api.runs import RunOptionFields
    from gigachat.bulk.backend import Backend, Shared
    from gigachat.bulk.batches import BatchLog
    from gigachat.bulk.job import Client, Task
    from gigachat.bulk.results import Report
    from gigachat.catalogue import Price

    class JobOptions(ChatFields, RunOptionFields, total=False):
        """What is asked for each row."""

        task: Task
        prompt: str | Callable[[Any], Any] | None
        system: str | None
        into: Any
        tools: Sequence[Any]
        repair: int
        strict: bool
        simplify: bool

    class HowOptions(TypedDict, total=False):
        """How rows are asked."""

        concurrency: Concurrency
        budget: Budget | None
        cache: str | os.PathLike[str] | None
        retries: int
        prices: Mapping[str, Price] | None
        backend: Literal["online", "batch"]
        poll_interval: float

    class Options(JobOptions, HowOptions, total=False):
        """What is asked for each row, and how."""

    Concurrency: TypeAlias = Literal["learn"] | int


@dataclass(slots=True)
class How:
    """The options of a run that do not change what is asked: concurrency, budget, cache, retries, backend."""

    concurrency: Any = "learn"
    budget: Budget | None = None
    cache: str | os.PathLike[str] | None = None
    retries: Any = 2
    prices: Mapping[str, Price] | None = None
    backend: Any = "online"
    poll_interval: Any = 10.0

    def __post_init__(self) -> None:
        if self.backend not in ("online", "batch"):
            raise ValueError(f"backend is 'online' or 'batch', not {self.backend!r}")
        if not isinstance(self.poll_interval, int | float) or not self.poll_interval > 0:
            raise ValueError("poll_interval is a number of seconds above 0")
        if self.budget is not None and not isinstance(self.budget, Budget):
            raise TypeError(f"budget is a Budget, such as Budget(tokens=1_000_000), not {type(self.budget).__name__}")
        Prices(self.prices)
        if self.concurrency != "learn" and (
            not isinstance(self.concurrency, int) or isinstance(self.concurrency, bool) or self.concurrency < 1
        ):
            raise ValueError("concurrency is 'learn' or a whole number of 1 or more")
        if not isinstance(self.retries, int) or isinstance(self.retries, bool) or self.retries < 0:
            raise ValueError("retries is a whole number, 0 or more")

    def gate(self, giga: Client) -> Gate:
        """Return the gate for the requests of a client."""
        most = MOST if self.concurrency == "learn" else self.concurrency
        for bound in (_max_concurrency(giga), giga._settings.max_connections):
            most = min(most, bound or most)
        return Gate(Learner(most, fixed=self.concurrency != "learn"))


def _max_concurrency(giga: Client) -> int | None:
    """Return the limit of a client, with a pool that of all its credentials together; None if it has none."""
    limit = giga._settings.max_concurrency
    limits = [credential.max_concurrency or limit for credential in giga._pool] or [limit]
    return sum(each or 0 for each in limits) if all(limits) else None


_HOW_OPTIONS = frozenset(How.__dataclass_fields__)


def split_options(options: Mapping[str, Any]) -> tuple[Job, How]:
    """Return options as a job and as the way in which its rows are sent.

    Raises:
        ValueError, TypeError: An option is invalid.
    """
    known = (*_HOW_OPTIONS, *JOB_ARGUMENTS)
    for name in options:
        if name not in known and name not in Chat.model_fields and (close := nearest(name, known)):
            raise TypeError(f"there is no option {name}=: did you mean {close}=?")
    how = How(**{name: value for name, value in options.items() if name in _HOW_OPTIONS})
    job = Job(**{name: value for name, value in options.items() if name not in _HOW_OPTIONS})
    if how.backend == "batch":
        check_job(job)
    return job, how


def backend_for(
    job: Job,
    how: How,
    client: Client,
    report: Report,
    *,
    gate: Gate | None = None,
    log: BatchLog | None = None,
    ordered: bool = False,
    every_row: bool = False,
    window: int = 1000,
) -> Backend:
    """Return the backend of a job.

    Raises:
        ValueError: The file of the cache or of the budget cannot be used, or a price is missing.
    """
    prices = Prices(how.prices)
    with ExitStack() as files:
        ledger = files.enter_context(closing(ledger_of(how.budget, prices, job.model_of(client), report.usage)))
        cache = None if how.cache is None else files.enter_context(closing(Cache(how.cache)))
        files.pop_all()  # the backend closes them
    shared: Shared = {
        "ledger": ledger,
        "prices": prices,
        "report": report,
        "cache": cache,
        "ordered": ordered,
        "every_row": every_row,
        "window": window,
    }
    if how.backend == "batch":
        return Batches(job, client, log=log, poll_interval=how.poll_interval, **shared)
    return Online(job, client, gate=gate or how.gate(client), retries=how.retries, **shared)
