"""Batches: what lines are made of, what is refused before anything is sent, waiting, and results as they may come."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.datastructures import UploadFile

from gigachat import models
from gigachat._engine.transport import Stage
from gigachat.exceptions import APIConnectionError, APIResponseValidationError, APITimeoutError, GigaChatException
from tests.unit.world import COMPLETION, Answer, World, lost

BATCH = {
    "id": "7f",
    "method": "chat_completions",
    "request_counts": {"total": 3},
    "status": "created",
    "created_at": 1726478395,
    "updated_at": 1726478395,
}
DONE = {
    **BATCH,
    "request_counts": {"total": 3, "completed": 2, "failed": 1},
    "status": "completed",
    "output_file_id": "5b",
}
LINES = b'{"id":"1","request":{"messages":[]}}\n{"id":"2","request":{"input":["a"]}}\n'
TEXT = '{"id":"1","request":{"messages":[]}}\r\n{"id":"2","request":{"input":["Привет"]}}\r\n'
VECTORS = {"object": "list", "data": [{"embedding": [0.5], "index": 0, "object": "embedding"}], "model": "Embeddings"}


def create(world: World, file: Any, *arguments: Any, **options: Any) -> list[Any]:
    """Create a batch and return its lines."""
    world.answers.append(Answer(BATCH))
    batch = world.do(world.client(**options), "create_batch", file, *arguments)
    assert isinstance(batch, models.Batch)
    request = world.api_requests[-1]
    assert (request.method, request.headers["Content-Type"]) == ("POST", "application/octet-stream")
    assert request.url.endswith("/batches")
    assert request.query == {"method": arguments[0] if arguments else "chat_completions"}
    assert request.content is not None
    return [json.loads(line) for line in request.content.split(b"\n") if line]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_file_in_unicode_is_sent_as_utf_8(encoding: str, world: World, tmp_path: Path) -> None:
    path = tmp_path / "batch.jsonl"
    path.write_bytes(TEXT.encode(encoding))
    for file in (path, path.read_bytes(), io.BytesIO(path.read_bytes())):
        create(world, file)
        assert world.api_requests[-1].content == TEXT.encode()
    create(world, f"\ufeff{TEXT}")
    assert world.api_requests[-1].content == TEXT.encode()


def test_a_file_of_a_form_is_read(world: World) -> None:
    create(world, UploadFile(io.BytesIO(LINES)))
    assert world.api_requests[-1].content == LINES


def refused(world: World, kind: type[Exception], text: str, *arguments: Any) -> None:
    """Check that nothing is sent."""
    with pytest.raises(kind, match=text):
        world.do(world.client(), "create_batch", *arguments)
    assert world.requests == []


FORMS: dict[str, Callable[[Path], Any]] = {
    "str": str,
    "Path": lambda path: path,
    "bytes": lambda path: LINES,
    "bytearray": lambda path: bytearray(LINES),
    "text": lambda path: LINES.decode(),
    "binary file": lambda path: io.BytesIO(LINES),
    "text file": lambda path: io.StringIO(LINES.decode()),
}


@pytest.mark.parametrize("form", FORMS)
def test_lines_that_are_there_are_sent_as_they_are(world: World, tmp_path: Path, form: str) -> None:
    path = tmp_path / "запросы.jsonl"
    path.write_bytes(LINES)
    create(world, FORMS[form](path))
    assert world.api_requests[0].content == LINES


def test_a_byte_order_mark_is_left_out(world: World) -> None:
    create(world, b"\xef\xbb\xbf" + LINES)
    assert world.api_requests[0].content == LINES


def test_the_answer(world: World) -> None:
    world.answers.append(Answer({**BATCH, "request_counts": {"total": 3, "new": 1}}, headers={"x-request-id": "r"}))
    batch = world.do(world.client(), "create_batch", LINES, method="embedder")
    assert (batch.id_, batch.method, batch.status, batch.output_file_id) == ("7f", "chat_completions", "created", None)
    assert batch.request_counts.model_dump() == {"total": 3, "completed": 0, "failed": 0, "new": 1}
    assert (batch.created_at, batch.updated_at) == (1726478395, 1726478395)
    assert batch.x_headers["x-request-id"] == "r"


def test_creating_is_not_repeated(world: World) -> None:
    world.answers.append(lost(Stage.WAITING))
    with pytest.raises(APIConnectionError):
        world.do(world.client(), "create_batch", LINES)
    assert len(world.api_requests) == 1


def test_chats_as_lines(world: World) -> None:
    message = {"role": "user", "content": "Привет"}
    chat = models.Chat.model_validate(
        {"messages": [message], "model": "GigaChat-2-Max", "stream": True, "additional_fields": {"extra": 1}}
    )
    lines = create(
        world,
        [
            "Привет",
            {"messages": [message], "temperature": 0.5},
            chat,
            {"id": "own", "request": {"messages": [message]}},
        ],
        model="GigaChat-2",
        profanity_check=True,
    )
    own = {"model": "GigaChat-2", "profanity_check": True, "messages": [message]}
    assert lines == [
        {"id": "1", "request": own},
        {"id": "2", "request": {**own, "temperature": 0.5}},
        {"id": "3", "request": {**own, "model": "GigaChat-2-Max", "extra": 1}},
        {"id": "own", "request": own},
    ]
    assert "Привет".encode() in (world.api_requests[0].content or b"")
    assert chat.stream is True


def test_texts_to_embed_as_lines(world: World) -> None:
    texts = (text for text in ["one", {"input": ["two"], "model": "EmbeddingsGigaR"}])
    assert create(world, texts, "embedder") == [
        {"id": "1", "request": {"input": ["one"], "model": "Embeddings"}},
        {"id": "2", "request": {"input": ["two"], "model": "EmbeddingsGigaR"}},
    ]


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b'{"id":"1","request":{}}\nno json', "line 2 .* not a JSON object"),
        (b"5", "line 1 .* not a JSON object"),
        (b"[]", r"the batch is a list in JSON, but the service takes one request a line: pass the list itself"),
        ("[" + LINES.decode() + "]", "the batch is a list in JSON"),
        (TEXT.encode("cp1251"), "line 2 of the batch is not UTF-8, perhaps Windows-1251: save the file as UTF-8"),
        (TEXT.encode("cp866"), "line 2 of the batch is not UTF-8"),
        (b'{"request":{}}', "line 1 .* no id"),
        (b'{"id":"","request":{}}', "line 1 .* no id"),
        (b'{"id":null,"request":{}}', "line 1 .* no id"),
        (b'{"id":true,"request":{}}', "line 1 .* no id"),
        (b'{"id":"1","request":{"temperature":NaN}}', "line 1 .* not a JSON object"),
        (b'\n{"id":"1"}', "line 2 .* no request"),
        (b'{"id":"1","request":"text"}', "line 1 .* no request"),
        (b'{"id":"1","request":{}}\n{"id":"1","request":{}}', "line 2 .* id '1' of a line before"),
        (b"\n".join(b'{"id":%d,"request":{}}' % number for number in range(501)), "501 requests; .* up to 500"),
    ],
)
def test_lines_that_would_be_refused(world: World, lines: bytes, text: str) -> None:
    refused(world, ValueError, text, lines)


def test_the_most_lines(world: World) -> None:
    assert len(create(world, ["text"] * 500)) == 500
    world.requests.clear()
    refused(world, ValueError, "more than 500 requests", ["text"] * 501)
    refused(world, ValueError, "more than 500 requests", itertools.repeat("text"))


def test_what_is_no_batch(world: World, tmp_path: Path) -> None:
    refused(world, ValueError, "names no file", tmp_path / "absent")
    refused(world, ValueError, "names no file", "absent.jsonl")
    refused(world, ValueError, "is empty", [])
    refused(world, TypeError, "not int", 7)
    refused(world, TypeError, "not dict", {"messages": []})
    refused(world, TypeError, "request 1 must be a Chat", [7])
    refused(world, ValueError, "request 2: no messages", ["text", {}])
    refused(world, ValueError, "request 1: messages is empty", [{"messages": []}])
    refused(world, ValueError, "request 1 has no input", [{}], "embedder")
    refused(world, ValueError, "method is one of", LINES, "chat")


def nested() -> Any:
    value: Any = []
    for _ in range(5000):
        value = [value]
    return value


CYCLE: list[Any] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize("method", ["chat_completions", "embedder"])
@pytest.mark.parametrize(
    ("value", "text"),
    [
        (object(), r"( the body is not JSON: ([\w.]+: )?Unable to serialize)"),
        ({1, object()}, r"( the body is not JSON: ([\w.]+: )?Unable to serialize| JSON has no set: give a list$)"),
        (b"\xff", r"( the body is not JSON: .*utf-8| JSON has no bytes: give text$)"),
        (CYCLE, r"( the body is not JSON: it contains itself$| is nested too deeply, or contains itself$)"),
        (nested(), r"( the body is not JSON: it is nested too deeply$| is nested too deeply, or contains itself$)"),
        ({"\ud83d": 1}, " the text has half a surrogate pair"),
        ("\ud83d", " the text has half a surrogate pair"),
        (float("nan"), r" ?(NaN|nan) is not a number in JSON$"),
        ([float("inf")], r" ?(Infinity|inf) is not a number in JSON$"),
    ],
    ids=["object", "set", "bytes", "cycle", "nested", "key", "half a pair", "NaN", "infinity"],
)
@pytest.mark.parametrize("place", ["field", "additional_fields"])
def test_what_is_not_json_is_refused_with_its_number(
    world: World, method: str, value: Any, text: str, place: str
) -> None:
    one: dict[str, Any] = {"messages": [{"role": "user", "content": "x"}], "input": ["x"]}
    one |= {"field": value} if place == "field" else {"additional_fields": {"field": value}}
    refused(
        world,
        ValueError,
        rf"^request 2(\.[\w.\[\]]+)?:?{text}",
        [one | {"field": 1, "additional_fields": None}, one],
        method,
    )


@pytest.mark.parametrize("identifier", [True, 1.5, [], CYCLE, b"1", object()], ids=lambda one: type(one).__name__)
def test_an_id_is_text(world: World, identifier: Any) -> None:
    lines = [{"id": identifier, "request": {"messages": [{"role": "user", "content": "x"}]}}]
    refused(world, TypeError, f"^request 1: id must be text, not {type(identifier).__name__}$", lines)


def test_a_refusal_does_not_say_what_the_lines_say(world: World) -> None:
    with pytest.raises(ValueError, match="line 1") as caught:
        world.do(world.client(), "create_batch", b'{"secret": "text"}')
    assert "secret" not in str(caught.value)


# Lists.


@pytest.mark.parametrize("body", [{"batches": [BATCH]}, [BATCH], BATCH], ids=["wrapped", "bare", "single"])
def test_lists_in_each_form(world: World, body: Any) -> None:
    world.answers.append(lost(Stage.WAITING))
    world.answers.append(Answer(body, headers={"x-session-id": "s"}))
    answer = world.do(world.client(), "get_batches", batch_id="7f")
    assert isinstance(answer, models.Batches)
    assert [batch.id_ for batch in answer.batches] == ["7f"]
    assert answer.x_headers is not None
    assert answer.x_headers["x-session-id"] == "s"
    assert world.api_requests[-1].query == {"batch_id": "7f"}


@pytest.mark.parametrize("body", [{"batches": []}, {"batches": None}, []])
def test_no_batches(world: World, body: Any) -> None:
    world.answers.append(Answer(body))
    assert world.do(world.client(), "get_batches").batches == []
    assert not world.api_requests[0].query


@pytest.mark.parametrize("body", [b"no json", 7, {"new": 1}, [7]])
def test_lists_that_cannot_be_read(world: World, body: Any) -> None:
    world.answers.append(Answer(body))
    with pytest.raises(APIResponseValidationError):
        world.do(world.client(), "get_batches")


def test_nulls_and_new_values(world: World) -> None:
    batch = {"id": "1", "status": "queued", "request_counts": None, "method": None, "created_at": None, "new": 1}
    world.answers.append(Answer([batch]))
    (read,) = world.do(world.client(), "get_batches").batches
    assert (read.status, read.request_counts.total, read.method, read.created_at, read.new) == ("queued", 0, "", 0, 1)


@pytest.mark.parametrize("method", ["get_batches", "wait_batch", "batch_results"])
def test_what_is_no_id(world: World, method: str) -> None:
    with pytest.raises(ValueError, match="is empty"):
        world.do(world.client(), method, "")
    with pytest.raises(TypeError, match="must be text"):
        world.do(world.client(), method, 7)
    assert world.requests == []


# Waiting.


def test_waiting_with_progress(world: World) -> None:
    running = {**BATCH, "status": "in_progress", "request_counts": {"total": 3, "completed": 1}}
    other = {**BATCH, "id": "other", "status": "completed"}
    world.answers += [Answer({"batches": [BATCH]}), Answer([other, running]), Answer(DONE)]
    seen: list[tuple[str, int]] = []
    batch = world.do(
        world.client(),
        "wait_batch",
        "7f",
        poll_interval=7.0,
        progress=lambda batch: seen.append((batch.status, batch.request_counts.completed)),
    )
    assert (batch.status, batch.output_file_id) == ("completed", "5b")
    assert batch.x_headers is not None
    assert seen == [("created", 0), ("in_progress", 1), ("completed", 2)]
    assert world.sleeps == [7.0, 7.0]
    assert all(request.query == {"batch_id": "7f"} for request in world.api_requests)


def test_waiting_for_a_batch_object_ends_at_a_status_nobody_knows(world: World) -> None:
    world.answers.append(Answer([{**BATCH, "status": "failed"}]))
    assert world.do(world.client(), "wait_batch", models.Batch.model_validate(BATCH)).status == "failed"
    assert world.sleeps == []


def test_waiting_no_longer_than_permitted(world: World) -> None:
    world.answers += [Answer([BATCH])] * 3
    with pytest.raises(APITimeoutError, match=r"batch 7f .* timeout=25 s: created, 0 of 3") as caught:
        world.do(world.client(), "wait_batch", "7f", poll_interval=20, timeout=25)
    assert isinstance(caught.value, TimeoutError)
    assert world.sleeps == [20, 5]
    assert len(world.api_requests) == 3


def test_looking_once(world: World) -> None:
    world.answers.append(Answer([BATCH]))
    with pytest.raises(APITimeoutError):
        world.do(world.client(), "wait_batch", "7f", timeout=0)
    assert world.sleeps == []


def test_a_batch_that_is_not_among_those_answered(world: World) -> None:
    world.answers.append(Answer({"batches": []}))
    with pytest.raises(APIResponseValidationError, match="does not hold the batch 7f"):
        world.do(world.client(), "wait_batch", "7f")


@pytest.mark.parametrize("option", ["poll_interval", "timeout"])
def test_times_of_waiting_must_be_numbers(world: World, option: str) -> None:
    with pytest.raises(TypeError, match=rf"^{option} must be a number of seconds, not str$"):
        world.do(world.client(), "wait_batch", "7f", **{option: "5"})
    assert world.requests == []


@pytest.mark.parametrize("options", [{"poll_interval": 0}, {"poll_interval": float("nan")}, {"timeout": -1}])
def test_waits_that_make_no_sense(world: World, options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        world.do(world.client(), "wait_batch", "7f", **options)
    assert world.requests == []


# Results.


def results(world: World, *pieces: Any) -> list[models.BatchResult]:
    world.answers.append(Answer(pieces=pieces))
    found = world.do(world.client(), "batch_results", models.Batch.model_validate(DONE))
    assert world.api_requests[0].url.endswith("/files/5b/content")
    assert isinstance(found, list)
    return found


def test_results_of_each_kind(world: World) -> None:
    lines = [
        {"id": "1", "result": COMPLETION},
        {"id": "2", "result": VECTORS},
        {"id": "3", "error": {"status": 422, "message": "Invalid params", "new": 1}},
        {"id": "4", "error": "no"},
        {"id": "5", "result": {"choice": 1}},
        {"id": "6", "response": {"status_code": 200, "body": COMPLETION}},
    ]
    content = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines).encode()
    first, second, third, fourth, fifth, sixth = results(world, content)
    assert isinstance(first.result, models.ChatCompletion)
    assert first.result.choices[0].message.content == "Hello."
    assert (first.id_, first.error, first.line) == ("1", None, None)
    assert isinstance(second.result, models.Embeddings)
    assert second.result.data[0].embedding == [0.5]
    assert isinstance(third.error, models.BatchError)
    assert (third.error.status, third.error.message, third.result) == (422, "Invalid params", None)
    assert fourth.error == "no"
    assert fifth.result == {"choice": 1}
    assert (sixth.id_, sixth.result, sixth.error) == ("6", None, None)
    assert sixth.model_extra == {"response": {"status_code": 200, "body": COMPLETION}}


def test_lines_that_cannot_be_read_are_kept(world: World) -> None:
    lines = ["not JSON", "[1, 2]", '{"id": [7], "result": {}}', '{"id": "8", "result": "text"}']
    found = results(world, "\r\n".join(lines).encode() + b"\n\n \n")
    assert [one.line for one in found] == lines
    assert all(one.result is None and one.error is None for one in found)


def test_an_id_that_is_a_number_reads_as_text(world: World) -> None:
    (found,) = results(world, json.dumps({"id": 7, "result": COMPLETION}).encode())
    assert (found.id_, found.line) == ("7", None)
    assert isinstance(found.result, models.ChatCompletion)


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_lines_over_any_pieces(world: World, size: int) -> None:
    content = "".join(json.dumps({"id": f"№{number}"}, ensure_ascii=False) + "\n" for number in range(20)).encode()
    pieces = [content[start : start + size] for start in range(0, len(content), size)]
    assert [one.id_ for one in results(world, *pieces)] == [f"№{number}" for number in range(20)]


def test_no_results(world: World) -> None:
    assert results(world) == []


def test_results_by_id(world: World) -> None:
    world.answers += [Answer([DONE]), Answer(pieces=[b'{"id":"1"}'])]
    assert [one.id_ for one in world.do(world.client(), "batch_results", "7f")] == ["1"]


def test_results_of_a_batch_that_has_been_completed_since(world: World) -> None:
    world.answers += [Answer([DONE]), Answer(pieces=[b'{"id":"1"}'])]
    assert len(world.do(world.client(), "batch_results", models.Batch.model_validate(BATCH))) == 1


def test_results_that_are_not_there_yet(world: World) -> None:
    world.answers.append(Answer([BATCH]))
    # Both a ValueError, as an argument that does not fit, and an error of ours, as everything an answer leads to.
    with pytest.raises(APIResponseValidationError, match="batch 7f has no results: it is created"):
        world.do(world.client(), "batch_results", "7f")


def test_results_that_break_off(world: World) -> None:
    with pytest.raises(GigaChatException, match="lost while reading"):
        results(world, b'{"id":"1"}\n', lost(Stage.READING))
