"""Jobs by the batches of the service."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from gigachat import ForbiddenError, GigaChat, bulk
from gigachat.server import GigaChatServer
from tests.support.callers import options
from tests.support.commands import COMMAND
from tests.support.programs import environment
from tests.support.waiting import PATIENCE, until


class Tone(BaseModel):
    tone: str
    score: int


BATCH: dict[str, Any] = {"backend": "batch", "poll_interval": 0.05, "prompt": "{text}"}


@pytest.fixture
def service() -> Iterator[GigaChatServer]:
    with GigaChatServer() as server:
        yield server


@pytest.fixture
def giga(service: GigaChatServer) -> Iterator[GigaChat]:
    with GigaChat(**options(service)) as client:
        yield client


def rows(count: int) -> list[dict[str, Any]]:
    return [{"id": f"r{number}", "text": f"отзыв {number}"} for number in range(count)]


def submitted(server: GigaChatServer) -> int:
    return sum(request.method == "POST" for request in server.requests_to("/batches"))


def test_rows_are_split_and_merged(giga: GigaChat, service: GigaChatServer, tmp_path: Path) -> None:
    report = bulk.run(rows(1100), tmp_path / "out.jsonl", giga=giga, max_tokens=5, ordered=True, **BATCH)
    assert (report.done, report.failed) == (1100, 0)
    assert submitted(service) == 3
    found = list(bulk.read_results(tmp_path / "out.jsonl"))
    assert [one["id"] for one in found] == [f"r{number}" for number in range(1100)]
    assert all(one["usage"]["output_tokens"] == 5 for one in found)
    service.assert_nothing_asked()


def test_values_of_a_type_and_vectors(giga: GigaChat, tmp_path: Path) -> None:
    found = list(bulk.iterate(rows(3), giga=giga, into=Tone, **BATCH))
    assert all(isinstance(one.value, Tone) for one in found)
    vectors = list(bulk.iterate(rows(3), giga=giga, task="embed", ordered=True, **BATCH))
    assert vectors[1].value == giga.embeddings(["отзыв 1"]).data[0].embedding


def test_a_row_that_the_service_refuses_fails_alone(giga: GigaChat, tmp_path: Path) -> None:
    asked = [{"messages": [{"role": "user", "content": "a"}], "model": model} for model in ("GigaChat", "none")]
    found = list(bulk.iterate(asked, giga=giga, backend="batch", poll_interval=0.05, ordered=True))
    assert [one.error and one.error.status for one in found] == [None, 404]


def test_a_row_that_the_client_refuses_fails_alone(giga: GigaChat, tmp_path: Path) -> None:
    asked = [{"messages": [{"role": role, "content": "a"}]} for role in ("user", "human", "user")]
    found = list(bulk.iterate(asked, giga=giga, backend="batch", poll_interval=0.05, ordered=True))
    assert [one.error is None for one in found] == [True, False, True]


def test_an_account_without_batches_is_told(tmp_path: Path) -> None:
    with GigaChatServer(account_kind="pers") as server, GigaChat(**server.client_options) as giga:
        report = bulk.run(rows(3), tmp_path / "out.jsonl", giga=giga, **BATCH)
    assert report.stopped is not None
    assert report.stopped.endswith(
        "). Batches are for accounts that pay as they go; backend='online' (--backend online) asks one by one."
    )
    assert isinstance(report.error, ForbiddenError)


def test_progress_is_told_before_the_first_result(tmp_path: Path) -> None:
    class Seen(Exception):
        pass

    def look(report: bulk.Report) -> None:
        if report.in_progress == 3:
            raise Seen

    with GigaChatServer(batch_pace=PATIENCE) as server, GigaChat(**server.client_options) as giga:
        with pytest.raises(Seen):
            bulk.run(rows(3), tmp_path / "out.jsonl", giga=giga, progress=look, **BATCH)


@pytest.mark.parametrize(("status", "reason"), [(None, "404 Not Found"), ("failed", "ended without results: failed")])
def test_rows_of_a_batch_that_is_lost_can_be_asked_again(
    giga: GigaChat, service: GigaChatServer, tmp_path: Path, status: str | None, reason: str
) -> None:
    out = tmp_path / "out.jsonl"
    lost = "0f2e9c5b-9d5c-4d0c-8f4e-6f6b8a3f5a01"
    bulk.run(rows(3), out, giga=giga, **BATCH)
    header = out.read_text("utf-8").partition("\n")[0]
    out.write_text(f'{header}\n{{"batch": "{lost}", "rows": [0, 1, 2]}}\n', "utf-8")
    if status is not None:
        answer = {"batches": [{"id": lost, "status": status, "method": "chat_completions", "request_counts": {}}]}
        service.fail(200, path="/batches", body=json.dumps(answer).encode())
    report = bulk.run(rows(3), out, giga=giga, **BATCH)
    assert (report.done, report.failed, report.stopped) == (0, 3, None)
    assert report.last_failure is not None
    assert reason in report.last_failure.message
    assert b'"batch"' not in out.read_bytes()
    report = bulk.run(rows(3), out, giga=giga, retry_failed=True, **BATCH)
    assert (report.done, report.failed) == (3, 0)


@pytest.mark.costly
@pytest.mark.skipif(sys.platform == "win32", reason="signals are different there")
def test_ctrl_c_leaves_batches_to_the_next_run(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("".join(f"text {number}\n" for number in range(5000)), "utf-8")
    out = tmp_path / "out.jsonl"
    command = [*COMMAND, "bulk", "in.txt", "-o", str(out), "--backend", "batch"]
    with GigaChatServer(batch_pace=PATIENCE) as server:
        process = subprocess.Popen(
            command, env=environment(server), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        until(lambda: out.exists() and out.read_bytes().count(b'"batch"') == 8)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE)
        assert process.returncode == 130
        assert submitted(server) == 8
    assert said.splitlines()[-1] == "gigachat: interrupted: the same command continues"
    assert out.read_bytes().count(b'"batch"') == 8


@pytest.mark.parametrize("wrong", [{"task": "tokens"}, {"tools": [print]}, {"into": Tone, "repair": 1}])
def test_what_batches_cannot_do_is_refused(giga: GigaChat, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="batches cannot do"):
        bulk.iterate(rows(1), giga=giga, backend="batch", **wrong)


def test_a_budget_bounds_batches(giga: GigaChat, service: GigaChatServer, tmp_path: Path) -> None:
    budget = bulk.Budget(tokens=1000)
    report = bulk.run(rows(100), tmp_path / "out.jsonl", giga=giga, max_tokens=50, budget=budget, **BATCH)
    assert report.stopped is not None
    assert report.stopped.startswith("the budget is spent")
    assert 0 < report.usage.input_tokens + report.usage.output_tokens <= 1000


def test_a_batch_that_cannot_be_collected_ends_a_run_with_a_budget(service: GigaChatServer, tmp_path: Path) -> None:
    service.fail(500, path="/content", times=None)
    out, budget = tmp_path / "out.jsonl", bulk.Budget(tokens=1000)
    with GigaChat(**options(service), max_retries=0) as giga:
        report = bulk.run(rows(100), out, giga=giga, max_tokens=50, budget=budget, **BATCH)
        assert report.stopped is not None
        assert report.stopped.startswith("a batch could not be collected")
        service.clear()
        report = bulk.run(rows(100), out, giga=giga, max_tokens=50, budget=budget, **BATCH)
    assert report.failed == 0
    assert 0 < report.usage.input_tokens + report.usage.output_tokens <= 1000


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9 there")
def test_a_killed_job_collects_what_it_had_submitted(tmp_path: Path) -> None:
    program = (
        "import sys; from gigachat import bulk; rows = [{'id': f'r{n}', 'text': f't {n}'} for n in range(600)];"
        "bulk.run(rows, sys.argv[1], backend='batch', poll_interval=0.05, prompt='{text}', max_tokens=5)"
    )
    out = tmp_path / "out.jsonl"
    with GigaChatServer(batch_pace=0.005) as server:
        command = [sys.executable, "-c", program, str(out)]
        killed = subprocess.Popen(command, env=environment(server))
        until(lambda: out.exists() and out.read_bytes().count(b'"batch"') == 2)
        killed.send_signal(signal.SIGKILL)
        killed.wait(PATIENCE)
        done = subprocess.run(command, env=environment(server), timeout=PATIENCE, check=False)
        assert done.returncode == 0
        assert submitted(server) == 2
    found = list(bulk.read_results(out))
    assert sorted(one["n"] for one in found) == list(range(600))
    assert all("result" in one for one in found)
    assert b'"batch"' not in out.read_bytes()
