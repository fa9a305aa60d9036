"""The command `gigachat bulk`."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gigachat.bulk import read_results
from gigachat.server import GigaChatServer
from tests.support.commands import COMMAND, Installed
from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.costly


@pytest.fixture
def gigachat(server: GigaChatServer, tmp_path: Path) -> Installed:
    return Installed(tmp_path, server)


def results(path: Path) -> list[dict[str, Any]]:
    return list(read_results(path))


def test_a_file_of_rows_becomes_a_file_of_results(gigachat: Installed, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("id;text\n1;хорошо\n2;плохо\n", "utf-8")
    done = gigachat.run(
        "bulk", "in.csv", "-o", "out.jsonl", "--prompt", "Тон: {text}", "--max-tokens", "9", "--ordered"
    )
    assert (done.status, done.out.partition(",")[0]) == (0, "2 done")
    assert "2 of 2 rows" in done.err
    assert "left" not in done.err.splitlines()[-1]
    assert [one["id"] for one in results(tmp_path / "out.jsonl")] == ["1", "2"]


def test_standard_input_schema_and_json(gigachat: Installed, tmp_path: Path) -> None:
    rows = '{"id": "a", "text": "хорошо"}\n{"id": "b", "text": "плохо"}\n'
    arguments = ("bulk", "-", "-o", "out.jsonl", "-p", "{text}", "--schema", "tone, score int", "--quiet", "--json")
    done = gigachat.run(*arguments, stdin=rows)
    assert (done.status, done.err) == (0, "")
    report = json.loads(done.out)
    assert (report["done"], report["failed"], report["stopped"]) == (2, 0, None)
    assert all(one["result"].keys() == {"tone", "score"} for one in results(tmp_path / "out.jsonl"))
    again = json.loads(gigachat.run(*arguments, stdin=rows).out)
    assert (again["done"], again["earlier"]) == (2, 2)


def test_a_template_is_read_from_a_file(gigachat: Installed, tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_text("Тон: {text}\n", "utf-8")
    (tmp_path / "in.txt").write_text("хорошо\n", "utf-8")
    assert gigachat.run("bulk", "in.txt", "-o", "out.jsonl", "-p", "@prompt.txt", "-s", "Кратко").status == 0
    assert gigachat.server is not None
    [chat] = gigachat.server.chats
    assert [message.content for message in chat.messages] == ["Кратко", "Тон: хорошо"]


def test_failures_and_their_second_try(gigachat: Installed, server: GigaChatServer, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("a\nb\n", "utf-8")
    server.fail(400, path="/chat/completions")
    done = gigachat.run("bulk", "in.txt", "-o", "out.jsonl")
    assert (done.status, done.out.split(", ")[:2]) == (1, ["1 done", "1 failed"])
    assert "The last row failed with: 400 Bad Request" in done.err
    assert "--retry-failed" in done.err
    again = gigachat.run("bulk", "in.txt", "-o", "out.jsonl")
    assert again.err.splitlines()[0] == f"2 of 2 rows, 1 failed, {done.out.split()[4]} tokens"
    assert again.err.splitlines()[1].startswith("`--retry-failed`")
    assert gigachat.run("bulk", "in.txt", "-o", "out.jsonl", "--retry-failed").status == 0


def test_rows_that_fail_alike_can_be_asked_again(gigachat: Installed, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("text\n" * 30, "utf-8")
    done = gigachat.run("bulk", "in.txt", "-o", "out.jsonl", "--model", "none")
    assert (done.status, "--retry-failed" in done.err) == (1, True)


def test_the_cost_is_told(gigachat: Installed, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("a\n", "utf-8")
    done = gigachat.run("bulk", "in.txt", "-o", "out.jsonl", "--price", "1000", "0")
    assert re.fullmatch(r"1 done, 0 failed, \d+ tokens, \d+\.\d\d roubles\n", done.out)


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        (("in.txt", "-o", "-"), 2, "-o takes a file"),
        (("in.txt", "-o", "out.jsonl", "--model", "none"), 1, "failed alike: 404"),
        (("in.csv", "-o", "out.jsonl"), 2, "there is no such file"),
        (("in.txt", "-o", "no/out.jsonl"), 2, "no such directory"),
        (("in.txt", "-o", "out.jsonl", "-p", "{word}"), 2, "no field 'word'"),
        (("in.txt", "-o", "out.jsonl", "--budget-tokens", "100"), 2, "--max-tokens"),
        (("in.txt", "-o", "out.jsonl", "--repair", "1"), 2, "--repair needs --schema"),
        (("in.txt", "-o", "out.jsonl", "--budget-tokens", "80", "--max-tokens", "30"), 4, "the budget is spent"),
        (("in.txt", "-o", "out.jsonl", "--budget-rubles", "9", "--max-tokens", "9"), 2, "--price"),
        (("in.txt", "-o", "in.json"), 2, "--overwrite"),
        (("in.json", "-o", "out.jsonl"), 2, "--format"),
        (("in.txt", "-o", "out.jsonl", "--task", "tokens", "--backend", "batch"), 2, "--backend online"),
        (("in.txt", "-o", "out.jsonl", "-p", '{"tone": "good"} {text}'), 2, "a brace that is meant is written twice"),
    ],
)
def test_mistakes_and_limits(
    gigachat: Installed, tmp_path: Path, arguments: tuple[str, ...], status: int, reason: str
) -> None:
    (tmp_path / "in.txt").write_text("".join(f"text {number}\n" for number in range(30)), "utf-8")
    (tmp_path / "in.json").write_text("[]", "utf-8")
    done = gigachat.run("bulk", *arguments, "--quiet")
    assert (done.status, reason in done.err) == (status, True), done


def test_a_connection_that_fails_has_its_status(gigachat: Installed, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("".join(f"text {number}\n" for number in range(30)), "utf-8")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        gigachat.variables["GIGACHAT_BASE_URL"] = f"http://127.0.0.1:{closed.getsockname()[1]}/api/v1"
        done = gigachat.run("bulk", "in.txt", "-o", "out.jsonl", "--retries", "0", "--quiet")
    assert (done.status, "failed alike" in done.err) == (5, True), done


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a pipe without a reader is told otherwise")
@pytest.mark.parametrize(("fails", "status"), [(False, 0), (True, 1)])
def test_a_job_ends_without_a_reader_of_its_progress(
    gigachat: Installed, server: GigaChatServer, tmp_path: Path, fails: bool, status: int
) -> None:
    (tmp_path / "in.txt").write_text("a\nb\nc\n", "utf-8")
    if fails:
        server.fail(400, path="/chat/completions")
    reader, writer = os.pipe()
    os.close(reader)
    with subprocess.Popen(
        [*COMMAND, "bulk", "in.txt", "-o", "out.jsonl"], env=gigachat.environment, cwd=tmp_path, stderr=writer,
        stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        os.close(writer)
        assert process.stdout is not None
        said = process.stdout.read().decode()
        assert process.wait(PATIENCE) == status
    assert said.startswith(f"{2 if fails else 3} done")
    assert len(results(tmp_path / "out.jsonl")) == 3


def test_a_price_makes_a_budget_of_roubles(gigachat: Installed, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("".join(f"text {number}\n" for number in range(30)), "utf-8")
    options = ("--max-tokens", "9", "--budget-rubles", "1000", "--price", "1", "2", "--json", "--quiet")
    report = json.loads(gigachat.run("bulk", "in.txt", "-o", "out.jsonl", *options).out)
    assert report["done"] == 30
    assert 0 < report["cost"] < 1000


def test_batches_of_the_service(gigachat: Installed, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("a\nb\n", "utf-8")
    done = gigachat.run("bulk", "in.txt", "-o", "out.jsonl", "--backend", "batch", "--quiet")
    assert (done.status, len(results(tmp_path / "out.jsonl"))) == (0, 2), done


def test_rows_are_asked_for_while_more_are_awaited(gigachat: Installed, server: GigaChatServer) -> None:
    command = [*COMMAND, "bulk", "-", "-o", "out.jsonl", "--format", "txt", "--quiet"]
    process = subprocess.Popen(
        command, env=gigachat.environment, cwd=gigachat.home, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdin is not None
        for number in range(1, 4):
            process.stdin.write(f"text {number}\n".encode())
            process.stdin.flush()
            until(lambda wanted=number: len(server.chats) == wanted)  # type: ignore[misc]
        process.stdin.close()
        assert process.wait(PATIENCE) == 0
    assert len(results(gigachat.home / "out.jsonl")) == 3
