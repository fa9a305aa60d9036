"""Jobs against the local server: results, errors of rows, retries, the cache, and rows for other systems."""

from __future__ import annotations

import asyncio
import json
import pickle
import signal
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from gigachat import AsyncGigaChat, Credential, GigaChat, JobStoppedError, bulk
from gigachat.catalogue import DATE, Price
from gigachat.server import GigaChatServer
from gigachat.usage import TokenCounts
from tests.support.callers import options
from tests.support.programs import environment, run_program
from tests.support.systems import needs_fork
from tests.support.waiting import PATIENCE


class Tone(BaseModel):
    tone: str
    score: int


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def rows(count: int) -> list[dict[str, Any]]:
    return [{"id": f"r{number}", "text": f"отзыв {number}"} for number in range(count)]


def test_results_are_lines_with_ids_usage_and_request_ids(giga: GigaChat, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    report = bulk.run(rows(20), out, giga=giga, prompt="Тон: {text}", max_tokens=30)
    assert (report.done, report.failed, report.total, report.stopped) == (20, 0, 20, None)
    header, *found = lines(out)
    assert header["gigachat_bulk"] == 1
    assert sorted(one["id"] for one in found) == sorted(f"r{number}" for number in range(20))
    assert all(f"отзыв {one['n']}»" in one["result"] for one in found)
    assert len({one["request_id"] for one in found}) == 20
    usages = [TokenCounts(**one["usage"]) for one in found]
    assert report.usage == tuple(map(sum, zip(*usages, strict=True)))
    assert list(bulk.read_results(out)) == found


def test_a_run_again_asks_nothing(giga: GigaChat, server: GigaChatServer, tmp_path: Path) -> None:
    first = bulk.run(rows(5), tmp_path / "out.jsonl", giga=giga)
    server.clear()
    again = bulk.run(rows(5), tmp_path / "out.jsonl", giga=giga)
    server.assert_nothing_asked()
    assert (again.done, again.earlier, again.usage) == (5, 5, first.usage)


def test_the_lines_are_in_order_when_the_run_has_ended(giga: GigaChat, server: GigaChatServer, tmp_path: Path) -> None:
    server.reply("late", when="отзыв 0", after=0.3)
    bulk.run(rows(30), tmp_path / "out.jsonl", giga=giga, ordered=True)
    found = list(bulk.read_results(tmp_path / "out.jsonl"))
    assert [one["n"] for one in found] == list(range(30))
    assert found[0]["result"] == "late"


@pytest.mark.parametrize("ordered", [False, True])
def test_an_iterator_has_the_same_results(giga: GigaChat, ordered: bool) -> None:
    found = list(bulk.iterate(rows(30), giga=giga, prompt="{text}", ordered=ordered, window=7))
    numbers = [one.number for one in found]
    assert sorted(numbers) == list(range(30))
    assert not ordered or numbers == list(range(30))
    assert all(one.row == rows(30)[one.number] for one in found)


def test_async_functions_take_both_kinds_of_clients(server: GigaChatServer, tmp_path: Path) -> None:
    async def both() -> tuple[int, int]:
        async with AsyncGigaChat(**options(server)) as giga:
            report = await bulk.arun(rows(3), tmp_path / "out.jsonl", giga=giga)
        async with GigaChat(**options(server)) as giga:
            return report.done, len([one async for one in bulk.aiterate(rows(4), giga=giga)])

    assert asyncio.run(both()) == (3, 4)


def test_blocking_functions_work_beside_an_event_loop(giga: GigaChat, tmp_path: Path) -> None:
    async def notebook() -> tuple[int, int]:
        report = bulk.run(rows(3), tmp_path / "out.jsonl", giga=giga)
        return report.done, len(list(bulk.iterate(rows(3), giga=giga)))

    assert asyncio.run(notebook()) == (3, 3)


def test_the_results_of_a_job_are_the_rows_of_another_one(giga: GigaChat, tmp_path: Path) -> None:
    def counts() -> Iterator[str]:
        return (f"{one.value}" for one in bulk.iterate(rows(3), giga=giga, task="tokens"))

    async def notebook() -> int:
        return bulk.run(counts(), tmp_path / "notebook.jsonl", giga=giga).done

    assert len(list(bulk.iterate(counts(), giga=giga))) == 3
    assert bulk.run(counts(), tmp_path / "out.jsonl", giga=giga).done == 3
    assert asyncio.run(notebook()) == 3


def test_a_job_of_processes_takes_the_results_of_another_one(server: GigaChatServer) -> None:
    settings = options(server)
    found = bulk.map_rows((row for row in bulk.map_rows(rows(3), client=settings, column="text")), client=settings)
    assert [row["id"] for row in found] == ["r0", "r1", "r2"]


def test_a_job_inside_a_function_of_another_one_fails(giga: GigaChat) -> None:
    def prompt(row: Any) -> str:
        return f"{len(list(bulk.iterate([row['text']], giga=giga)))}"

    [result] = bulk.iterate(["a"], giga=giga, prompt=prompt)
    assert result.error is not None
    assert "cannot wait for another job" in result.error.message


def test_an_iterator_that_is_collected_inside_another_job_ends(giga: GigaChat) -> None:
    left = [bulk.iterate(rows(50), giga=giga)]
    assert next(left[0]).error is None

    def prompt(row: Any) -> str:
        left.clear()
        return "a"

    assert [one.error for one in bulk.iterate(rows(2), giga=giga, prompt=prompt)] == [None, None]


@needs_fork
def test_a_child_process_leaves_an_iterator_of_its_parent_alone(server: GigaChatServer) -> None:
    program = """
import os
from gigachat import GigaChat, bulk

results = bulk.iterate(["a"] * 50, giga=GigaChat())
next(results)
if not (child := os.fork()):
    results.close()
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert len(list(results)) == 49
"""
    done = run_program(["-c", program], variables=environment(server), seconds=PATIENCE)
    assert done.returncode == 0, done.stderr


def test_answers_are_values_of_a_type(giga: GigaChat, tmp_path: Path) -> None:
    found = list(bulk.iterate(rows(2), giga=giga, prompt="{text}", into=Tone))
    assert all(isinstance(one.value, Tone) for one in found)
    bulk.run(rows(2), tmp_path / "out.jsonl", giga=giga, prompt="{text}", into=Tone)
    assert all(Tone.model_validate(one["result"]) for one in bulk.read_results(tmp_path / "out.jsonl"))


def test_a_run_calls_tools(giga: GigaChat, server: GigaChatServer) -> None:
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    server.reply_call("add", {"a": 2, "b": 3})
    [found] = bulk.iterate(["2 + 3"], giga=giga, tools=[add])
    assert "5" in found.value
    assert found.usage is not None


def test_vectors_and_token_counts_are_asked_for_together(giga: GigaChat, server: GigaChatServer) -> None:
    texts = [f"text {number}" for number in range(200)]
    vectors = list(bulk.iterate(texts, giga=giga, task="embed", ordered=True))
    assert [len(one.value) for one in vectors] == [1024] * 200
    assert vectors[3].value == giga.embeddings([texts[3]]).data[0].embedding
    counts = list(bulk.iterate(texts, giga=giga, task="tokens", ordered=True))
    assert [one.value for one in counts] == [one.tokens for one in giga.tokens_count(texts)]
    assert len(server.requests_to("/embeddings")) == 3 + 1


def test_texts_without_an_answer_fail(giga: GigaChat, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = GigaChat.aembeddings

    async def one(*arguments: Any) -> Any:
        found = await whole(*arguments)
        del found.data[1:]
        return found

    monkeypatch.setattr(GigaChat, "aembeddings", one)
    found = list(bulk.iterate(["a", "b"], giga=giga, task="embed"))
    assert [one.error and one.error.message for one in found] == ["the service answered 1 of 2 texts"] * 2


def test_a_text_that_is_too_long_fails_alone(giga: GigaChat) -> None:
    found = list(bulk.iterate(["a", "слово " * 2000, "b"], giga=giga, task="embed", ordered=True))
    assert [one.error and one.error.status for one in found] == [None, 413, None]


def test_a_row_that_cannot_be_asked_fails_alone(giga: GigaChat) -> None:
    found = list(bulk.iterate([{"text": "a"}, {"word": "b"}, {"text": "c"}], giga=giga, ordered=True, prompt="{text}"))
    assert [one.error and one.error.message for one in found] == [None, "the row has no field 'text'", None]


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_passing_failure_is_repeated(giga: GigaChat, server: GigaChatServer, status: int) -> None:
    server.fail(status, times=2, path="/chat/completions")
    [found] = bulk.iterate(["a"], giga=giga)
    assert found.error is None
    assert len(server.chats) == 3


def test_a_lasting_failure_is_the_result_of_the_row_and_can_be_asked_again(
    giga: GigaChat, server: GigaChatServer, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    server.fail(400, "bad", times=1, path="/chat/completions")
    assert bulk.run(rows(10), out, giga=giga, ordered=True).failed == 1
    [failed] = [one for one in bulk.read_results(out) if "error" in one]
    assert (failed["error"]["kind"], failed["error"]["status"]) == ("BadRequestError", 400)
    server.clear()
    assert bulk.run(rows(10), out, giga=giga, ordered=True).failed == 1
    server.assert_nothing_asked()
    report = bulk.run(rows(10), out, giga=giga, ordered=True, retry_failed=True)
    assert (report.done, report.failed) == (10, 0)
    assert len(server.chats) == 1
    assert [one["n"] for one in bulk.read_results(out)] == list(range(10))


def test_a_service_that_goes_away_ends_the_run(giga: GigaChat, server: GigaChatServer, tmp_path: Path) -> None:
    def asked(row: Mapping[str, Any]) -> str:
        if row["id"] == "r5":
            server.fail(503, times=None, path="/chat/completions")
        return "x"

    report = bulk.run(rows(100), tmp_path / "out.jsonl", giga=giga, prompt=asked, retries=0, concurrency=1)
    assert report.stopped is not None
    assert report.stopped.startswith("20 rows in a row failed alike: 503")
    assert report.done > 0
    assert report.failed <= 22  # those that were in progress fail too


def test_the_first_rows_that_fail_alike_end_the_run(giga: GigaChat, tmp_path: Path) -> None:
    report = bulk.run(rows(1000), tmp_path / "out.jsonl", giga=giga, model="GigaChatt", concurrency=1)
    assert report.stopped is not None
    assert "failed alike: 404" in report.stopped
    assert report.failed < 100


@pytest.mark.parametrize("status", [401, 402, 403, 423])
def test_what_refuses_every_row_ends_the_run_and_no_row_fails(
    giga: GigaChat, server: GigaChatServer, tmp_path: Path, status: int
) -> None:
    server.fail(status, path="/chat/completions", times=None)
    report = bulk.run(rows(10), tmp_path / "out.jsonl", giga=giga)
    assert report.stopped is not None
    assert report.failed == 0
    server.clear()
    assert bulk.run(rows(10), tmp_path / "out.jsonl", giga=giga).done == 10


def test_an_iterator_says_that_it_stopped(giga: GigaChat, server: GigaChatServer) -> None:
    server.fail(402, path="/chat/completions", times=None)
    with pytest.raises(JobStoppedError, match="402"):
        list(bulk.iterate(rows(3), giga=giga))


def test_the_ceiling_of_an_account_is_kept(tmp_path: Path) -> None:
    with GigaChatServer(account_kind="b2b") as server, GigaChat(**server.client_options) as giga:
        server.reply("well", always=True, after=0.05)
        report = bulk.run(rows(150), tmp_path / "out.jsonl", giga=giga)
    assert (report.done, report.failed) == (150, 0)
    # On a busy machine fewer requests have reached the server than were sent, so the limit may be higher.
    assert report.limit <= 40
    assert report.refused <= 75


def test_a_row_waits_while_others_hold_the_slots(server: GigaChatServer, tmp_path: Path) -> None:
    own = {**options(server), "max_concurrency": 1}
    with GigaChat(**own) as other, GigaChat(**own, queue_timeout=0.05) as giga, other.stream("Привет") as stream:
        next(stream)
        end = threading.Timer(0.5, stream.close)
        end.start()
        budget = bulk.Budget(tokens=1000)
        out = tmp_path / "out.jsonl"
        report = bulk.run(rows(2), out, giga=giga, prompt="{text}", retries=0, max_tokens=5, budget=budget)
        end.join()
    assert (report.done, report.failed, report.refused, report.stopped) == (2, 0, 0, None)


def test_the_limits_of_the_credentials_of_a_pool_add_up(server: GigaChatServer, tmp_path: Path) -> None:
    reach = options(server)
    pool = []
    for limit in (3, None, None):
        with GigaChat(**reach, share_token=False) as giga:
            token = giga.get_token()
        assert token is not None
        pool.append(Credential(access_token=token.access_token, max_concurrency=limit))
    del reach["credentials"]
    with GigaChat(pool=pool, max_concurrency=1, **reach) as giga:
        report = bulk.run(rows(30), tmp_path / "out.jsonl", giga=giga)
    assert (report.done, report.limit) == (30, 5)
    with GigaChat(pool=pool, **reach) as giga:
        report = bulk.run(rows(30), tmp_path / "unlimited.jsonl", giga=giga)
    assert report.limit > 5


def test_a_request_that_is_refused_though_nothing_else_is_in_progress_waits(
    giga: GigaChat, server: GigaChatServer, tmp_path: Path
) -> None:
    server.fail(429, path="/chat/completions", times=2)
    report = bulk.run(rows(3), tmp_path / "out.jsonl", giga=giga, concurrency=1)
    assert (report.done, report.failed, report.refused, report.retries) == (3, 0, 2, 0)


def test_the_pause_that_the_service_asks_for_is_kept(giga: GigaChat, server: GigaChatServer, tmp_path: Path) -> None:
    server.fail(429, path="/chat/completions", retry_after=1)
    report = bulk.run(rows(1), tmp_path / "out.jsonl", giga=giga)
    assert report.done == 1
    assert report.seconds >= 1


def test_a_service_that_asks_for_too_long_a_pause_ends_the_run(
    giga: GigaChat, server: GigaChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gigachat.bulk.online._PATIENCE", 0.2)
    server.fail(429, path="/chat/completions", retry_after=86_400, times=None)
    report = bulk.run(rows(2), tmp_path / "out.jsonl", giga=giga)
    assert report.stopped is not None
    assert report.stopped.startswith("no request was permitted for 0.2 s")


def test_a_request_that_waits_is_not_sent_after_the_end(giga: GigaChat, server: GigaChatServer, tmp_path: Path) -> None:
    server.fail(429, path="/chat/completions", retry_after=PATIENCE)
    server.fail(402, path="/chat/completions", times=None)
    report = bulk.run(rows(2), tmp_path / "out.jsonl", giga=giga, concurrency=2)
    assert report.stopped is not None
    assert len(server.requests_to("/chat/completions")) == 2


def test_rows_of_the_cache_end_with_the_run(giga: GigaChat, tmp_path: Path) -> None:
    cache, out = tmp_path / "cache.sqlite", tmp_path / "out.jsonl"
    list(bulk.iterate(["a"], giga=giga, cache=cache))

    def stopped(report: bulk.Report) -> None:
        if not report.stopped:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        bulk.run(["a"] * 500, out, giga=giga, cache=cache, progress=stopped)
    assert len(lines(out)) < 500


def test_equal_requests_come_from_the_cache(giga: GigaChat, server: GigaChatServer, tmp_path: Path) -> None:
    cache = tmp_path / "cache.sqlite"
    first = list(bulk.iterate(rows(5), giga=giga, prompt="{text}", into=Tone, cache=cache, ordered=True))
    server.clear()
    again = list(bulk.iterate(rows(5), giga=giga, prompt="{text}", into=Tone, cache=cache, ordered=True))
    server.assert_nothing_asked()
    assert [one.value for one in again] == [one.value for one in first]
    assert all(one.cached and one.usage is None for one in again)
    list(bulk.iterate(rows(5), giga=giga, prompt="{text}", into=Tone, cache=cache, temperature=0.5))
    assert len(server.chats) == 5


@pytest.mark.parametrize(("task", "count"), [("chat", 1), ("embed", 2)])
def test_a_cache_that_fails_loses_no_answer(giga: GigaChat, tmp_path: Path, task: Any, count: int) -> None:
    cache, out = tmp_path / "cache.sqlite", tmp_path / "out.jsonl"

    def prompt(row: Any) -> str:
        with closing(sqlite3.connect(cache)) as other:
            other.execute("DROP TABLE responses")
            other.execute("CREATE TABLE responses (request BLOB PRIMARY KEY, response BLOB CHECK (response IS NULL))")
        return "a"

    with pytest.raises(OSError, match=r"cache: .* cannot be used: CHECK"):
        bulk.run(rows(count), out, giga=giga, cache=cache, prompt=prompt, task=task)
    assert [line["n"] for line in lines(out)[1:] if line["result"]] == list(range(count))


class Day(BaseModel, strict=True):
    day: date


class LaterDay(Day):
    @field_validator("day")
    @classmethod
    def later(cls, value: date) -> date:
        if value.year < 2100:
            raise ValueError("earlier than 2100")
        return value


LaterDay.__name__ = "Day"  # the schema is the same


def test_values_of_the_cache_are_checked(giga: GigaChat, server: GigaChatServer, tmp_path: Path) -> None:
    server.reply('{"day": "2026-01-01"}', always=True)
    cache = tmp_path / "cache.sqlite"
    for cached in (False, True):
        [found] = bulk.iterate(["a"], giga=giga, into=Day, cache=cache)
        assert (found.value, found.cached) == (Day(day=date(2026, 1, 1)), cached)
    [found] = bulk.iterate(["a"], giga=giga, into=LaterDay, cache=cache)
    assert found.error is not None
    assert "2100" in found.error.message


@pytest.mark.parametrize("option", ["cache", "budget"])
def test_a_database_of_another_program_is_refused(giga: GigaChat, tmp_path: Path, option: str) -> None:
    path = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE responses (number INTEGER)")
        other.execute("CREATE TABLE spent (number INTEGER)")
    how: dict[str, Any] = {"cache": path} if option == "cache" else {"budget": bulk.Budget(tokens=1000, shared=path)}
    with pytest.raises(ValueError, match=f"{option}: .* is of another program"):
        list(bulk.iterate(["a"], giga=giga, max_tokens=5, **how))
    assert not is_open(path)


def test_a_budget_is_closed_when_the_cache_is_refused(giga: GigaChat, tmp_path: Path) -> None:
    budget, cache = tmp_path / "budget.sqlite", tmp_path / "other.sqlite"
    cache.write_text("of another program" * 100)
    with pytest.raises(ValueError, match="cache"):
        list(bulk.iterate(["a"], giga=giga, max_tokens=5, budget=bulk.Budget(tokens=1, shared=budget), cache=cache))
    assert not is_open(budget)
    assert not is_open(cache)


def test_an_output_is_not_emptied_for_a_cache_that_is_refused(giga: GigaChat, tmp_path: Path) -> None:
    cache, out = tmp_path / "other.sqlite", tmp_path / "out.jsonl"
    bulk.run(["a"], out, giga=giga)
    cache.write_text("of another program" * 100)
    with pytest.raises(ValueError, match="cache"):
        bulk.run(["b"], out, giga=giga, cache=cache, overwrite=True)
    assert [result["n"] for result in bulk.read_results(out)] == [0]


def test_costs_have_no_rounding_errors(giga: GigaChat) -> None:
    prices = {"GigaChat": Price(input=0.1, output=0.1, date=DATE)}
    costs = [
        result.cost for result in bulk.iterate(["a " * length for length in range(1, 40)], giga=giga, prices=prices)
    ]
    assert {len(f"{cost}") for cost in costs} <= {3, 4, 5, 6}  # such as 0.0021


def is_open(path: Path) -> bool:
    """Whether this process has a file open, where the system tells it."""
    return any(link.is_symlink() and link.readlink() == path for link in Path("/proc/self/fd").glob("*"))


@pytest.mark.parametrize("status", [429, 503])
def test_a_request_that_waits_for_its_repetition_does_not_delay_the_end(
    giga: GigaChat, server: GigaChatServer, tmp_path: Path, status: int
) -> None:
    server.fail(status, path="/chat/completions", retry_after=300)
    server.fail(402, path="/chat/completions", times=None)
    report = bulk.run(rows(9), tmp_path / "out.jsonl", giga=giga, prompt="{text}", concurrency=2)
    assert report.seconds < 300
    assert (report.done, report.failed) == (0, 0)


@pytest.mark.parametrize("response", ["{", "[]", '{"model": "GigaChat"}'])
def test_a_response_of_the_cache_that_cannot_be_read_is_asked_again(
    giga: GigaChat, server: GigaChatServer, tmp_path: Path, response: str
) -> None:
    path = tmp_path / "cache.sqlite"
    list(bulk.iterate(["a"], giga=giga, cache=path))
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("UPDATE responses SET response = ?", [response])
    for cached in (False, True):
        [found] = bulk.iterate(["a"], giga=giga, cache=path)
        assert (found.error, found.cached) == (None, cached)


@pytest.mark.parametrize("option", ["cache", "budget"])
def test_a_database_that_is_locked_ends_the_run_and_loses_no_answer(
    giga: GigaChat, server: GigaChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.setattr("gigachat.bulk.cache._WAIT", 0.1)
    path, out = tmp_path / "file.sqlite", tmp_path / "out.jsonl"
    how: dict[str, Any] = {"cache": path} if option == "cache" else {"budget": bulk.Budget(tokens=1000, shared=path)}
    how |= {"giga": giga, "max_tokens": 5, "concurrency": 1}
    with closing(sqlite3.connect(path, isolation_level=None)) as other:

        def asked(row: dict[str, str]) -> str:
            if row["text"] == "b" and not other.in_transaction:
                other.execute("BEGIN IMMEDIATE")
            return row["text"]

        with pytest.raises(OSError, match=f"^{option}: .* is locked"):
            bulk.run(["a", "b", "c"], out, prompt=asked, **how)
    assert len(list(bulk.read_results(out))) == len(server.chats)


@pytest.mark.parametrize("prompt", [None, "{text}"])
def test_a_row_that_is_nested_too_deeply_fails_alone(giga: GigaChat, prompt: str | None) -> None:
    nested: list[Any] = []
    for _ in range(5000):
        nested = [nested]
    source = ["a", {"messages": nested, "text": nested}, "b"]
    for how in ({}, {"budget": bulk.Budget(tokens=1000), "max_tokens": 5}):
        found = list(bulk.iterate(source, giga=giga, prompt=prompt, ordered=True, **how))  # type: ignore[arg-type]
        assert [one.error is None for one in found] == [True, False, True]


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_a_function_that_exits_ends_the_iterator_and_no_other_one(giga: GigaChat, error: type[BaseException]) -> None:
    def exits(row: Any) -> Any:
        raise error("out")

    with pytest.raises(error, match="out"):
        list(bulk.iterate(["a"], giga=giga, prompt=exits))
    assert [one.error for one in bulk.iterate(["a"], giga=giga)] == [None]


def test_rows_that_cannot_be_asked_are_not_read_to_the_end(giga: GigaChat, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text("not JSON\n" * 1000)
    report = bulk.run(tmp_path / "in.jsonl", tmp_path / "out.jsonl", giga=giga)
    assert report.stopped is not None
    assert report.failed < 100


def test_a_run_that_is_stopped_takes_no_more_rows_from_the_cache(
    giga: GigaChat, server: GigaChatServer, tmp_path: Path
) -> None:
    cache = tmp_path / "cache.sqlite"
    list(bulk.iterate(rows(3), giga=giga, cache=cache))
    server.fail(402, path="/chat/completions", times=None)
    source = [{"text": "new"}, *({"text": "отзыв 1"} for _ in range(1000))]
    report = bulk.run(source, tmp_path / "out.jsonl", giga=giga, cache=cache)
    assert report.stopped is not None
    assert report.done < 1000


@pytest.mark.parametrize("payload", [5, None, {"messages": None}, [None]])
def test_what_is_no_chat_fails_alone(giga: GigaChat, payload: Any) -> None:
    found = list(bulk.iterate([1, 2], giga=giga, prompt=lambda _: payload))
    with_system = list(bulk.iterate(["a"], giga=giga, prompt=lambda _: payload, system="Кратко"))
    assert all(one.error is not None for one in found)
    assert all(one.error is not None for one in with_system) or payload == {"messages": None}


def test_rows_without_fields_come_out_with_their_error(server: GigaChatServer) -> None:
    odd: list[Any] = [5, "a"]
    assert [row["error"] is None for row in bulk.map_rows(odd, client=options(server))] == [False, True]


def test_prices_make_costs(giga: GigaChat, tmp_path: Path) -> None:
    prices = {"GigaChat": Price(1.0, 2.0, DATE)}
    report = bulk.run(rows(3), tmp_path / "out.jsonl", giga=giga, prices=prices)
    assert report.cost == pytest.approx((report.usage.input_tokens + 2 * report.usage.output_tokens) / 1000)


def test_progress_is_told_to_a_function(giga: GigaChat, tmp_path: Path) -> None:
    told: list[int] = []
    bulk.run(rows(5), tmp_path / "out.jsonl", giga=giga, progress=lambda report: told.append(report.done))
    assert told[-1] == 5


def test_a_bar_that_never_began_leaves_the_terminal_as_it_was(
    giga: GigaChat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rich")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with pytest.raises(ValueError, match="no such file"):
        bulk.run("no.txt", tmp_path / "out.jsonl", giga=giga, progress="rich")
    assert "\x1b[?25l" not in capsys.readouterr().err  # hides the cursor
    bulk.run(rows(1), tmp_path / "out.jsonl", giga=giga, progress="rich")
    assert "\x1b[?25h" in capsys.readouterr().err  # shows it again


def test_rows_go_in_and_come_out(server: GigaChatServer) -> None:
    settings: dict[str, Any] = {"client": options(server), "prompt": "{text}", "max_tokens": 20, "into": Tone}
    settings = pickle.loads(pickle.dumps(settings))
    found = list(bulk.map_rows(rows(5), **settings))
    assert [one["id"] for one in found] == [f"r{number}" for number in range(5)]
    assert all(Tone.model_validate(one["result"]) for one in found)
    assert found[0].keys() >= {"text", "error", "input_tokens", "output_tokens", "cost", "request_id", "cached"}


def test_each_row_comes_out_when_the_budget_is_spent(server: GigaChatServer) -> None:
    found = list(
        bulk.map_rows(rows(50), client=options(server), prompt="{text}", max_tokens=20, budget=bulk.Budget(tokens=500))
    )
    assert [one["id"] for one in found] == [f"r{number}" for number in range(50)]
    errors = {one["error"] for one in found}
    assert errors == {None, "the budget is spent"}


def test_a_client_that_cannot_be_pickled_is_refused(server: GigaChatServer) -> None:
    settings = {**options(server), "observers": [lambda event: None]}
    with pytest.raises(TypeError, match="client= holds what cannot be pickled"):
        list(bulk.map_rows(rows(1), client=settings))


def test_rows_that_nobody_takes_leave_the_limit_of_the_process_free(server: GigaChatServer) -> None:
    def leave() -> None:
        for number in range(40):
            results: Any = bulk.map_rows(["a"] * 50, client=options(server), concurrency=2)
            for _ in range(number % 5):
                next(results)
            results.close()

    thread = threading.Thread(target=leave, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_a_process_keeps_its_client(server: GigaChatServer) -> None:
    for _ in range(3):
        list(bulk.map_rows(rows(2), client={**options(server), "share_token": False}))
    assert len(server.requests_to("/oauth")) == 1


@pytest.mark.parametrize("status", [429, 500])
def test_a_run_that_fails_on_its_way_continues(giga: GigaChat, server: GigaChatServer, status: int) -> None:
    called = 0

    def add(a: int, b: int) -> int:
        """Add two numbers."""
        nonlocal called
        called += 1
        server.fail(status, path="/chat/completions")
        return a + b

    server.reply_call("add", {"a": 2, "b": 3})
    [found] = bulk.iterate(["2 + 3"], giga=giga, tools=[add])
    assert "5" in found.value
    assert called == 1
    assert len(server.chats) == 3
