"""Budgets: never exceeded at the server, spent almost whole, counted over all runs."""

from __future__ import annotations

import asyncio
import pickle
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gigachat import APIResponseValidationError, GigaChat, JobStoppedError, bulk
from gigachat.catalogue import DATE, Price
from gigachat.server import GigaChatServer
from tests.support.callers import options
from tests.support.waiting import PATIENCE

PRICES = {"GigaChat": Price(100.0, 200.0, DATE)}


def rows(count: int) -> list[dict[str, Any]]:
    return [{"text": f"отзыв {number}"} for number in range(count)]


def tokens(report: bulk.Report) -> int:
    return report.usage.input_tokens + report.usage.output_tokens


@pytest.mark.parametrize("concurrency", ["learn", 1, 10])
def test_a_budget_of_tokens_is_not_exceeded(giga: GigaChat, tmp_path: Path, concurrency: Any) -> None:
    report = bulk.run(
        rows(200),
        tmp_path / "out.jsonl",
        giga=giga,
        max_tokens=30,
        budget=bulk.Budget(tokens=2000),
        concurrency=concurrency,
    )
    assert report.stopped is not None
    assert report.stopped.startswith("the budget is spent: the next request can take ")
    assert 2000 - 100 <= tokens(report) <= 2000
    again = bulk.run(rows(200), tmp_path / "out.jsonl", giga=giga, max_tokens=30, budget=bulk.Budget(tokens=3000))
    assert 3000 - 100 <= tokens(again) <= 3000


def test_a_budget_of_roubles_is_not_exceeded(giga: GigaChat, tmp_path: Path) -> None:
    report = bulk.run(
        rows(200),
        tmp_path / "out.jsonl",
        giga=giga,
        max_tokens=30,
        budget=bulk.Budget(rubles=100),
        prices=PRICES,
    )
    assert report.stopped is not None
    assert report.stopped.startswith("the budget is spent: the next request can take ")
    assert report.cost is not None
    assert 80 < report.cost <= 100


@pytest.mark.parametrize("backend", ["online", "batch"])
def test_a_budget_of_roubles_is_for_one_model(giga: GigaChat, server: GigaChatServer, backend: Any) -> None:
    messages = [{"role": "user", "content": "a"}]
    source = [{"messages": messages, "model": model} for model in ("GigaChat", "GigaChat-2-Max", None)]
    how: dict[str, Any] = {"giga": giga, "max_tokens": 5, "ordered": True, "backend": backend, "poll_interval": 0.05}
    for budget, refused in ((bulk.Budget(rubles=1000), True), (bulk.Budget(tokens=1000), False)):
        found = list(bulk.iterate(source, budget=budget, prices=PRICES, **how))
        assert [one.error is not None for one in found] == [False, refused, False]
    [result] = bulk.iterate(source[1:2], budget=bulk.Budget(rubles=1000), prices=PRICES, model="GigaChat", **how)
    assert result.error is None


def test_answers_that_did_not_arrive_count_at_their_most(
    giga: GigaChat, server: GigaChatServer, tmp_path: Path
) -> None:
    server.fail(cut_bytes=20, times=None, probability=0.5, path="/chat/completions")
    report = bulk.run(
        rows(300), tmp_path / "out.jsonl", giga=giga, max_tokens=30, budget=bulk.Budget(tokens=3000), concurrency=5
    )
    assert report.stopped is not None
    assert report.stopped.startswith("the budget is spent: the next request can take ")
    assert tokens(report) + 30 * report.retries <= 3000


def test_an_answer_that_never_arrives_counts_at_its_most(giga: GigaChat, server: GigaChatServer) -> None:
    server.fail(cut_bytes=20, times=None, path="/chat/completions")
    with pytest.raises(JobStoppedError, match="the budget is spent"):
        list(bulk.iterate(rows(100), giga=giga, max_tokens=30, budget=bulk.Budget(tokens=1000), retries=0))
    assert 30 * len(server.chats) <= 1000


def test_an_answer_that_cannot_be_read_counts_at_its_most(giga: GigaChat, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    async def unreadable(*_: Any, **__: Any) -> Any:
        nonlocal asked
        asked += 1
        raise APIResponseValidationError("the response is not a JSON object")

    monkeypatch.setattr(GigaChat, "achat", unreadable)
    with pytest.raises(JobStoppedError, match="the budget is spent"):
        list(bulk.iterate(rows(100), giga=giga, max_tokens=30, budget=bulk.Budget(tokens=1000)))
    assert 30 * asked <= 1000


def test_vectors_that_never_arrive_count_at_their_most(giga: GigaChat, server: GigaChatServer) -> None:
    server.fail(cut_bytes=20, times=None, path="/embeddings")
    texts = [f"{'слово ' * 20}{number}" for number in range(1000)]
    with pytest.raises(JobStoppedError, match="the budget is spent"):
        list(bulk.iterate(texts, giga=giga, task="embed", budget=bulk.Budget(tokens=50_000), retries=0))
    assert len(server.requests_to("/embeddings")) <= 4


def test_the_last_answer_that_did_not_arrive_counts_too(giga: GigaChat, server: GigaChatServer, tmp_path: Path) -> None:
    server.fail(cut_bytes=20, times=None, path="/chat/completions")
    report = bulk.run(
        rows(15), tmp_path / "out.jsonl", giga=giga, max_tokens=30, budget=bulk.Budget(tokens=500), retries=0
    )
    assert report.stopped is not None
    assert report.stopped.startswith("the budget is spent")
    assert 30 * len(server.chats) <= 500


def test_a_request_that_was_not_sent_leaves_a_shared_budget_as_it_was(
    giga: GigaChat, server: GigaChatServer, tmp_path: Path
) -> None:
    path = tmp_path / "budget.sqlite"
    server.fail(402, path="/chat/completions", times=None)
    with pytest.raises(JobStoppedError, match="402"):
        list(
            bulk.iterate(rows(9), giga=giga, max_tokens=30, budget=bulk.Budget(tokens=5000, shared=path), concurrency=1)
        )
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT tokens FROM spent").fetchone() == (0,)


@pytest.mark.parametrize("shared", [False, True])
def test_numbers_of_any_size(giga: GigaChat, tmp_path: Path, shared: bool) -> None:
    path = tmp_path / "budget.sqlite" if shared else None
    [found] = bulk.iterate(["a"], giga=giga, max_tokens=5, budget=bulk.Budget(tokens=10**30, shared=path))
    assert found.error is None
    with pytest.raises(JobStoppedError, match="the budget is spent"):
        list(bulk.iterate(["a"], giga=giga, max_tokens=10**30, budget=bulk.Budget(tokens=1000, shared=path)))


def test_failures_without_an_answer_cost_nothing(giga: GigaChat, server: GigaChatServer, tmp_path: Path) -> None:
    server.fail(500, times=30, path="/chat/completions")
    report = bulk.run(
        rows(20), tmp_path / "out.jsonl", giga=giga, max_tokens=30, budget=bulk.Budget(tokens=1000), retries=60,
        concurrency=30
    )  # fmt: skip
    assert report.done == 20


def test_a_budget_of_vectors_needs_no_max_tokens(giga: GigaChat) -> None:
    found = list(bulk.iterate(["a"] * 5, giga=giga, task="embed", budget=bulk.Budget(tokens=500)))
    assert len(found) == 5


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"budget": bulk.Budget(tokens=100)}, "needs max_tokens="),
        ({"budget": bulk.Budget(tokens=100), "max_tokens": 5, "tools": [print]}, "cannot bound runs"),
        ({"budget": bulk.Budget(rubles=100), "max_tokens": 5}, "price of GigaChat is not known"),
        ({"budget": 100, "max_tokens": 5}, "budget is a Budget"),
        ({"prices": {"GigaChat": 5}}, "is a Price, not int"),
        ({"prices": {"GigaChat": Price(-1.0, 2.0, DATE)}}, "price of GigaChat is below 0"),
    ],
)
def test_a_budget_that_bounds_nothing_is_refused(
    giga: GigaChat, server: GigaChatServer, tmp_path: Path, wrong: dict[str, Any], reason: str
) -> None:
    with pytest.raises((ValueError, TypeError), match=reason):
        bulk.run(rows(3), tmp_path / "out.jsonl", giga=giga, **wrong)
    server.assert_nothing_asked()
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize("wrong", [{}, {"tokens": 0}, {"rubles": -1}, {"tokens": True}])
def test_a_budget_is_a_number_above_zero(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="budget"):
        bulk.Budget(**wrong)


def test_processes_share_a_budget(server: GigaChatServer, tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "client": options(server),
        "max_tokens": 30,
        "budget": bulk.Budget(tokens=2000, shared=tmp_path / "budget.sqlite"),
    }
    program = (
        "import pickle, sys; from gigachat import bulk; settings = pickle.loads(bytes.fromhex(sys.argv[1]));"
        "rows = list(bulk.map_rows([f't {n}' for n in range(100)], **settings));"
        "print(sum((row['input_tokens'] or 0) + (row['output_tokens'] or 0) for row in rows))"
    )
    command = [sys.executable, "-c", program, pickle.dumps(settings).hex()]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    spent = [int(process.communicate(timeout=PATIENCE)[0]) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert 2000 - 300 <= sum(spent) <= 2000
    assert all(row["error"] for row in bulk.map_rows(["more"] * 3, **settings))


def spent(path: Path) -> int:
    with closing(sqlite3.connect(path)) as file:
        [number] = file.execute("SELECT tokens FROM spent").fetchone()
    return int(number)


def test_a_request_that_is_never_sent_spends_nothing(giga: GigaChat, server: GigaChatServer, tmp_path: Path) -> None:
    path = tmp_path / "budget.sqlite"
    how: dict[str, Any] = {
        "giga": giga,
        "max_tokens": 30,
        "budget": bulk.Budget(tokens=10_000, shared=path),
        "concurrency": 1,
    }
    server.fail(402, path="/chat/completions")
    assert bulk.run(rows(20), tmp_path / "out.jsonl", **how).stopped
    assert spent(path) == 0


def test_a_request_that_waits_when_the_iterator_is_closed_spends_nothing(giga: GigaChat, tmp_path: Path) -> None:
    path = tmp_path / "budget.sqlite"
    used: list[int] = []

    async def first() -> None:
        results: Any = bulk.aiterate(
            rows(20), giga=giga, max_tokens=30, budget=bulk.Budget(tokens=10_000, shared=path), concurrency=1
        )
        async for result in results:
            used.append(result.usage.input_tokens + result.usage.output_tokens)
            if len(used) == 3:
                break
        await results.aclose()

    asyncio.run(first())
    # The request in progress counts at its most, the one behind it is not sent.
    assert spent(path) <= sum(used) + 80
