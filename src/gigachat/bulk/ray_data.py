"""Ray Data: the rows of a dataset are asked by worker processes, on one machine or on many.

A worker is an actor of Ray with `map_rows` as its body. Ray repeats a whole batch after a worker has died, so a cache
keeps what was paid. A budget is counted by one actor for all workers; what a dead worker had reserved counts as spent.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from gigachat.bulk.budget import Ledger, Prices, RemoteBudget
from gigachat.bulk.options import split_options
from gigachat.bulk.processes import map_rows
from gigachat.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Unpack

    from gigachat.bulk.budget import Budget
    from gigachat.bulk.options import Options
    from gigachat.catalogue import Price
    from gigachat.usage import TokenCounts

DatasetT = TypeVar("DatasetT")


def ray(
    dataset: DatasetT,
    *,
    workers: int = 2,
    batch_size: int = 64,
    num_cpus: float = 0.25,
    client: Mapping[str, Any] | None = None,
    column: str = "result",
    **options: Unpack[Options],
) -> DatasetT:
    """Return a dataset of Ray with the result of each row. It is computed when it is read, as all datasets of Ray.

    Args:
        dataset: A `ray.data.Dataset` with the fields of the rows.
        workers: Number of processes that ask. Each has a client of its own.
        batch_size: Rows that a worker takes at once. Ray repeats them all if the worker dies.
        num_cpus: Processors that Ray reserves for a worker, which mostly waits.
        client: Options of the clients, as of `GigaChat`. Ray stores them, so give keys by the environment of the
            workers. `limits` shares the limit of requests among all workers; without it each learns its own.
        column: Column of the result.
        **options: As of `run`. A `budget` is that of all workers together, however often the dataset is computed.
            `cache` is a file of each machine: rows that are in it are not asked again.

    Returns:
        The dataset with further columns: `column`, which is empty after an error, `error` with its text,
        `input_tokens`, `output_tokens`, `cost`, `request_id` and `cached`. Ray does not keep the order of rows.

    Raises:
        ValueError, TypeError: An argument is invalid; nothing is sent.
        ConfigurationError: Ray is not installed.
    """
    counts: dict[str, Any] = {"workers": workers, "batch_size": batch_size}
    for name, number in counts.items():
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise ValueError(f"{name} is a whole number of 1 or more")
    _, how = split_options(options)
    if how.backend == "batch":
        raise ValueError("backend='batch' needs no workers: use bulk.run")
    try:
        library, data = import_module("ray"), import_module("ray.data")
    except ImportError as error:
        raise ConfigurationError('Ray is not installed: pip install ".[ray]" in a copy of the repository') from error
    source: Any = dataset
    if not isinstance(source, data.Dataset):
        raise TypeError(f"dataset is a ray.data.Dataset, not {type(dataset).__name__}")
    if how.budget is not None:
        ledger = library.remote(num_cpus=0)(_LedgerOfAll).remote(how.budget, how.prices)
        options["budget"] = _RayBudget(how.budget.tokens, how.budget.rubles, actor=ledger)
    settings = {"client": dict(client or {}), "column": column, **options}
    answered: DatasetT = source.map_batches(
        _Worker,
        fn_constructor_args=[settings],
        batch_format="pyarrow",
        batch_size=batch_size,
        compute=data.ActorPoolStrategy(size=workers),
        num_cpus=num_cpus,
    )
    return answered


class _Worker:
    """What Ray makes in each worker process, also when it starts one again."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = dict(settings)
        budget = settings.get("budget")
        if budget is not None:
            self._settings["budget"] = budget.of_this_worker()

    def __call__(self, batch: Any) -> Any:
        """Return a batch with the columns of the results."""
        arrow = import_module("pyarrow")
        text = arrow.string()
        results = {"chat": text, "embed": arrow.list_(arrow.float64()), "tokens": arrow.int64()}
        column, options = self._settings["column"], self._settings
        types = {
            column: results[options.get("task", "chat")] if options.get("into") is None else None,
            "error": text,
            "input_tokens": arrow.int64(),
            "output_tokens": arrow.int64(),
            "cost": arrow.float64(),
            "request_id": text,
            "cached": arrow.bool_(),
        }
        rows = list(map_rows(batch.to_pylist(), **options))
        for name, kind in types.items():
            values = arrow.array([row[name] for row in rows], kind)  # of None, the type of the values
            at = batch.column_names.index(name) if name in batch.column_names else None
            batch = batch.append_column(name, values) if at is None else batch.set_column(at, name, values)
        return batch


@dataclass(frozen=True, slots=True)
class _RayBudget(RemoteBudget):
    """A budget whose ledger is an actor of Ray."""

    actor: Any = None
    worker: str = ""
    start: str = ""

    def of_this_worker(self) -> _RayBudget:
        """Return the budget for a worker that has just started, and give up what it had reserved before it died."""
        library = import_module("ray")
        worker, start = library.get_runtime_context().get_actor_id(), uuid.uuid4().hex
        library.get(self.actor.enter.remote(worker, start))
        return replace(self, worker=worker, start=start)

    def ledger(self, prices: Prices, model: str) -> Ledger:
        """Return what reserves in the actor."""
        return _RemoteLedger(self, prices, model)


class _RemoteLedger(Ledger):
    """What one worker sees of the ledger of all."""

    def __init__(self, budget: _RayBudget, prices: Prices, model: str) -> None:
        super().__init__(budget, prices, model)
        self._actor = budget.actor
        self._who = budget.worker, budget.start
        self._name = model

    async def reserve(self, most: TokenCounts) -> bool:
        """Reserve in the ledger of all."""
        return bool(await self._actor.reserve.remote(*self._who, self._name, most))

    def settle(self, most: TokenCounts, usage: TokenCounts | None) -> None:
        """Settle in the ledger of all."""
        self._actor.settle.remote(*self._who, most, usage)


class _LedgerOfAll:
    """The ledger of all workers: the body of an actor, whose methods run in one event loop."""

    def __init__(self, budget: Budget, prices: Mapping[str, Price] | None) -> None:
        self._budget = budget
        self._prices = Prices(prices)
        self._ledger: Ledger | None = None
        self._starts: dict[str, str] = {}
        self._reserved: dict[str, list[TokenCounts]] = {}

    async def enter(self, worker: str, start: str) -> None:
        """Note that a worker has started, perhaps again: what it had reserved before may have been paid."""
        self._starts[worker] = start
        for most in self._reserved.pop(worker, ()):
            if self._ledger is not None:
                self._ledger.settle(most, most)

    async def reserve(self, worker: str, start: str, model: str, most: TokenCounts) -> bool:
        """Reserve for a worker."""
        if self._ledger is None:
            self._ledger = Ledger(self._budget, self._prices, model)
        if not await self._ledger.reserve(most):
            return False
        if self._starts.get(worker) != start:  # it died while it waited
            self._ledger.settle(most, None)
            return False
        self._reserved.setdefault(worker, []).append(most)
        return True

    async def settle(self, worker: str, start: str, most: TokenCounts, usage: TokenCounts | None) -> None:
        """Settle for a worker."""
        if self._ledger is not None and self._starts.get(worker) == start:
            self._reserved[worker].remove(most)
            self._ledger.settle(most, usage)
