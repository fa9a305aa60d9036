"""Jobs under faults: refusals, failures and cuts at random, and the process killed in mid-run."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.bulk import CEILING, faults

from gigachat.bulk import read_results
from gigachat.server import GigaChatServer
from tests.support.commands import COMMAND
from tests.support.programs import environment, run_program
from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9 there")


@pytest.mark.costly
@pytest.mark.parametrize(("rows", "kills"), [(150, 1), pytest.param(3000, 5, marks=pytest.mark.slow)])
def test_nothing_is_lost_and_nothing_is_paid_twice(rows: int, kills: int, tmp_path: Path) -> None:
    outcome = faults(rows, kills, tmp_path)
    assert outcome.lines == rows
    assert outcome.once
    assert outcome.ordered
    assert outcome.equal
    assert outcome.most <= CEILING
    assert outcome.undelivered <= outcome.cut + kills * CEILING


@pytest.mark.costly
def test_ctrl_c_waits_for_what_is_in_progress(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    program = (
        "import sys; from gigachat import bulk; rows = [f't {n}' for n in range(1000)];"
        "bulk.run(rows, sys.argv[1], max_tokens=5, concurrency=3)"
    )
    with GigaChatServer() as server:
        server.reply("late", always=True, after=0.3)
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(out)], env=environment(server), stderr=subprocess.PIPE, text=True
        )
        until(lambda: len(server.chats) >= 5)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE)
        asked = len(server.chats)
    assert "KeyboardInterrupt" in said
    assert asked < 1000
    assert len(list(read_results(out))) == asked


@pytest.mark.costly
def test_the_second_ctrl_c_waits_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("a\nb\n", "utf-8")
    with GigaChatServer() as server:
        server.reply("late", always=True, after=PATIENCE)
        process = subprocess.Popen(
            [*COMMAND, "bulk", "in.txt", "-o", "out.jsonl"], env=environment(server), cwd=tmp_path,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        with process:
            assert process.stderr is not None
            until(lambda: len(server.chats) == 1)
            process.send_signal(signal.SIGINT)
            assert any("Ctrl-C again does not wait" in line for line in process.stderr)
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE) == 130
            assert process.stderr.read().endswith("gigachat: interrupted: the same command continues\n")


@pytest.mark.costly
@pytest.mark.parametrize("status", [None, 402])
def test_a_job_that_waits_for_a_row_can_be_stopped(tmp_path: Path, status: int | None) -> None:
    out = tmp_path / "out.jsonl"
    with GigaChatServer() as server:
        if status is not None:
            server.fail(status, path="/chat/completions", times=None)
        process = subprocess.Popen(
            [*COMMAND, "bulk", "-", "-o", str(out), "--format", "txt"], env=environment(server),
            stdin=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        with process:
            assert process.stdin is not None
            assert process.stderr is not None
            process.stdin.write(b"text\n")
            process.stdin.flush()
            if status is None:
                until(lambda: out.exists() and out.read_bytes().count(b"\n") == 2)
                process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE) == (130 if status is None else 4)
            assert b"Fatal" not in process.stderr.read()


@pytest.mark.costly
def test_ctrl_c_ends_an_iterator(tmp_path: Path) -> None:
    program = "from gigachat import bulk\nfor result in bulk.iterate(['a', 'b', 'c']): print(result)"
    with GigaChatServer() as server:
        server.reply("late", always=True, after=PATIENCE)
        process = subprocess.Popen([sys.executable, "-c", program], env=environment(server), stderr=subprocess.PIPE)
        until(lambda: len(server.chats) > 0)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE)
    assert said.rstrip().endswith(b"KeyboardInterrupt")
    assert b"RuntimeError" not in said


@pytest.mark.costly
def test_a_program_ends_though_it_has_read_an_iterator_in_part() -> None:
    program = "from gigachat import bulk\nresults = bulk.iterate(['a'] * 50)\nnext(results)"
    with GigaChatServer() as server:
        done = run_program(["-c", program], variables=environment(server), seconds=PATIENCE)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.costly
@pytest.mark.parametrize("status", [429, 503])
def test_ctrl_c_ends_a_pause_that_the_service_asked_for(tmp_path: Path, status: int) -> None:
    program = "import sys; from gigachat import bulk; bulk.run(['a', 'b'], sys.argv[1])"
    with GigaChatServer() as server:
        server.fail(status, times=None, path="/chat/completions", retry_after=10 * PATIENCE)
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "out.jsonl")],
            env=environment(server),
            stderr=subprocess.PIPE,
        )
        until(lambda: len(server.requests_to("/chat/completions")) > 0)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE)
    assert said.rstrip().endswith(b"KeyboardInterrupt")
