"""The output of a job as its checkpoint: torn lines, other jobs, other inputs, lines that no longer count."""

from __future__ import annotations

import errno
import json
import math
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from gigachat import GigaChat, bulk
from gigachat.server import GigaChatServer
from tests.support.callers import options
from tests.support.waiting import until


def rows(count: int) -> list[dict[str, Any]]:
    return [{"id": f"r{number}", "text": f"отзыв {number}"} for number in range(count)]


def run(out: Path, giga: GigaChat, **how: Any) -> bulk.Report:
    how = {"prompt": "{text}", **how}
    return bulk.run(rows(10), out, giga=giga, **how)


@pytest.fixture
def out(giga: GigaChat, tmp_path: Path) -> Path:
    run(tmp_path / "out.jsonl", giga, ordered=True)
    return tmp_path / "out.jsonl"


def test_a_file_that_was_cut_at_any_byte_is_completed(giga: GigaChat, server: GigaChatServer, out: Path) -> None:
    whole = out.read_bytes()
    lines = whole.splitlines(keepends=True)
    ends = {sum(map(len, lines[:number])) for number in range(len(lines) + 1)}
    for cut in sorted({0, 1, len(whole) - 1, *ends, *(end - 1 for end in ends if end), *(end + 7 for end in ends)}):
        out.write_bytes(whole[:cut])
        server.clear()
        report = run(out, giga, ordered=True)
        kept = max(0, whole[:cut].count(b"\n") - 1)
        assert (report.done, report.earlier, len(server.chats)) == (10, kept, 10 - kept)
        assert [one["n"] for one in bulk.read_results(out)] == list(range(10))


def test_a_line_that_a_power_cut_left_broken_is_asked_again(giga: GigaChat, server: GigaChatServer, out: Path) -> None:
    lines = out.read_bytes().splitlines(keepends=True)
    lines[3] = b"\0" * (len(lines[3]) - 1) + b"\n"
    out.write_bytes(b"".join(lines))
    server.clear()
    assert run(out, giga, ordered=True).earlier == 9
    assert len(server.chats) == 1
    assert [one["n"] for one in bulk.read_results(out)] == list(range(10))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"prompt": "{text}!"}, "another prompt, model or option"),
        ({"temperature": 0.5}, "another prompt, model or option"),
        ({"model": "GigaChat-2"}, "another prompt, model or option"),
        ({"system": "Кратко"}, "another prompt, model or option"),
    ],
)
def test_another_job_is_refused(
    giga: GigaChat, server: GigaChatServer, out: Path, change: dict[str, Any], what: str
) -> None:
    server.clear()
    with pytest.raises(ValueError, match=what):
        run(out, giga, **change)
    server.assert_nothing_asked()
    assert run(out, giga, overwrite=True, **change).earlier == 0


def test_another_input_is_refused(giga: GigaChat, tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"text": "a"}\n{"text": "b"}\n')
    bulk.run(source, out, giga=giga)
    source.write_text('{"text": "a"}\n{"text": "c"}\n')
    with pytest.raises(ValueError, match="another input"):
        bulk.run(source, out, giga=giga)


@pytest.mark.parametrize("text", ["notes\n", "notes", '{"gigachat": 1}\nnotes'])
def test_a_file_of_something_else_is_kept(giga: GigaChat, tmp_path: Path, text: str) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text(text)
    with pytest.raises(ValueError, match="no output of a job"):
        run(out, giga)
    assert out.read_text() == text


@pytest.mark.parametrize("overwrite", [False, True])
def test_the_input_is_not_the_output(giga: GigaChat, server: GigaChatServer, tmp_path: Path, overwrite: bool) -> None:
    source = tmp_path / "in.txt"
    source.write_text("a\nb")
    (tmp_path / "link.txt").hardlink_to(source)
    for out in (source, tmp_path / "link.txt"):
        with pytest.raises(ValueError, match="is the input: give another file"):
            bulk.run(source, out, giga=giga, overwrite=overwrite)
    assert source.read_text() == "a\nb"
    server.assert_nothing_asked()


def test_what_is_no_regular_file_is_refused(giga: GigaChat, server: GigaChatServer, tmp_path: Path) -> None:
    for out in (tmp_path, tmp_path / "no" / "out.jsonl", Path(os.devnull)):
        with pytest.raises(ValueError, match="no regular file"):
            run(out, giga)
    server.assert_nothing_asked()


@pytest.mark.skipif(sys.platform == "win32", reason="links and modes are of POSIX")
def test_a_link_and_the_permissions_stay(giga: GigaChat, server: GigaChatServer, tmp_path: Path) -> None:
    out, link = tmp_path / "out.jsonl", tmp_path / "link.jsonl"
    out.touch(0o600)
    link.symlink_to(out)
    server.fail(400, path="/chat/completions")
    assert run(link, giga).failed == 1
    before = out.stat().st_ino
    assert run(link, giga, retry_failed=True).failed == 0
    assert link.is_symlink()
    assert out.stat().st_ino != before
    assert out.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "change", [{"usage": {"a": 1}}, {"usage": {"input_tokens": "x"}}, {"cost": "x"}, {"batch": "b"}, {"n": -1}]
)
def test_a_line_that_was_edited_ends_nothing(giga: GigaChat, out: Path, change: dict[str, Any]) -> None:
    header, line, *others = out.read_text("utf-8").splitlines(keepends=True)
    out.write_text(header + json.dumps({**json.loads(line), **change}) + "\n" + "".join(others), "utf-8")
    assert run(out, giga, ordered=True).done == 10


@pytest.mark.parametrize("change", [{"n": True}, {"batch": "b", "rows": [[1], {}, "a", None]}])
def test_a_line_that_is_no_result_goes(giga: GigaChat, out: Path, change: dict[str, Any]) -> None:
    whole = out.read_text("utf-8")
    out.write_text(whole + json.dumps(change) + "\n", "utf-8")
    assert run(out, giga, ordered=True).done == 10
    assert out.read_text("utf-8") == whole


@pytest.mark.parametrize("number", [10**6, 10**13, 10**30])
def test_a_row_number_that_no_row_has_is_told(giga: GigaChat, server: GigaChatServer, out: Path, number: int) -> None:
    whole = out.read_text("utf-8").replace('"n":3,', f'"n":{number},')
    out.write_text(whole, "utf-8")
    server.clear()
    with pytest.raises(ValueError, match=f"line 5 of .* has the number {number}, which no row"):
        run(out, giga, ordered=True)
    server.assert_nothing_asked()
    assert out.read_text("utf-8") == whole


def test_an_output_of_another_version_is_refused(giga: GigaChat, out: Path) -> None:
    out.write_text(out.read_text("utf-8").replace('"gigachat_bulk":1', '"gigachat_bulk":2'), "utf-8")
    with pytest.raises(ValueError, match="another version"):
        run(out, giga)


def test_numbers_that_are_not_json_are_written_as_null(giga: GigaChat, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    ids: list[Any] = [math.nan, [math.inf], {"a": -math.inf}, "\ud800", ["\ud800", math.nan]]
    bulk.run([{"id": one, "text": "a"} for one in ids], out, giga=giga, ordered=True)

    def refused(name: str) -> None:
        raise AssertionError(name)

    lines = out.read_text("utf-8").splitlines()[1:]
    found = [json.loads(line, parse_constant=refused)["id"] for line in lines]
    assert found == [None, [None], {"a": None}, "\ud800", ["\ud800", None]]


def test_a_file_system_that_cannot_sync_is_no_failure(
    giga: GigaChat, server: GigaChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def refused(descriptor: int) -> None:
        asked.append(descriptor)
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", refused)
    monkeypatch.setattr("gigachat.bulk.checkpoint._SYNC", 0.001)

    def look(report: bulk.Report) -> None:
        if report.done:
            until(lambda: bool(asked))

    run(tmp_path / "out.jsonl", giga, progress=look, ordered=True, concurrency=5)
    assert [one["n"] for one in bulk.read_results(tmp_path / "out.jsonl")] == list(range(10))


@pytest.mark.skipif(sys.platform == "win32", reason="no file that is open can be removed there")
@pytest.mark.parametrize("ordered", [False, True])
def test_an_output_that_another_program_removes_is_told(giga: GigaChat, tmp_path: Path, ordered: bool) -> None:
    out = tmp_path / "out.jsonl"
    with pytest.raises(OSError, match="was moved, removed or replaced"):
        run(out, giga, progress=lambda _: out.unlink(missing_ok=True), ordered=ordered)


def test_a_function_that_raises_leaves_the_file_to_the_next_run(giga: GigaChat, tmp_path: Path) -> None:
    def broken(report: bulk.Report) -> None:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        run(tmp_path / "out.jsonl", giga, progress=broken)
    assert run(tmp_path / "out.jsonl", giga).done == 10


def test_another_model_of_the_client_is_refused(server: GigaChatServer, out: Path) -> None:
    with GigaChat(**options(server), model="GigaChat-2-Max") as other, pytest.raises(ValueError, match="model"):
        run(out, other)


def test_a_file_that_is_being_written_is_refused(giga: GigaChat, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    refused: list[str] = []

    def beside(report: bulk.Report) -> None:
        try:
            run(out, giga, overwrite=True)
        except ValueError as error:
            refused.append(str(error))

    run(out, giga, progress=beside)
    assert "another process" in refused[0]


@pytest.mark.skipif(sys.platform == "win32", reason="the lock of Windows is another one")
def test_a_file_system_without_locks_is_told(giga: GigaChat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(ValueError, match=r"cannot be locked .* give a file on a local disk"):
        run(tmp_path / "out.jsonl", giga)


def test_a_disk_that_fails_ends_the_run(giga: GigaChat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def prompt(row: dict[str, Any]) -> str:
        if row["id"] == "r9":
            until(lambda: all(thread.name != "gigachat-bulk-sync" for thread in threading.enumerate()))
        return str(row["text"])

    monkeypatch.setattr("gigachat.bulk.checkpoint._SYNC", 0.01)
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        run(tmp_path / "out.jsonl", giga, prompt=prompt, concurrency=1)


def test_what_a_job_is_does_not_depend_on_how_it_is_asked(giga: GigaChat, server: GigaChatServer, out: Path) -> None:
    server.clear()
    run(out, giga, concurrency=3, retries=0, ordered=False)
    server.assert_nothing_asked()


def test_text_that_is_not_unicode_is_written(giga: GigaChat, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    report = bulk.run([{"id": "\ud800", "text": "a"}, {"id": 2, "text": "\ud800"}], out, giga=giga)
    assert (report.done, report.failed) == (1, 1)
    assert {one["n"] for one in map(json.loads, out.read_text().splitlines()[1:])} == {0, 1}
