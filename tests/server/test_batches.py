"""Batches of the local server over a real socket, with a plain HTTP library."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import uuid
from contextlib import closing
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from gigachat import GigaChat
from gigachat.server import GigaChatServer
from gigachat.server.engines.echo import Echo
from gigachat.server.state.records import Batch
from tests.server.api import BODY, SYNTAX, WEATHER, Api

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator

    from gigachat.server import ChatRequest, Piece

PATIENCE = 60.0


def lines(requests: dict[str, Any]) -> bytes:
    return b"".join(json.dumps({"id": name, "request": one}).encode() + b"\n" for name, one in requests.items())


def send(api: Api, content: bytes, method: str | None = "chat_completions") -> httpx2.Response:
    query = {} if method is None else {"method": method}
    return api.http.post(
        "/batches", params=query, content=content, headers={"Content-Type": "application/octet-stream"}
    )


def state(api: Api, batch_id: str) -> dict[str, Any]:
    (batch,) = api.http.get("/batches", params={"batch_id": batch_id}).raise_for_status().json()["batches"]
    return dict(batch)


def wait(api: Api, batch_id: str, ready: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    end = time.monotonic() + PATIENCE
    while True:
        batch = state(api, batch_id)
        if ready(batch):
            return batch
        assert time.monotonic() < end, batch


def completed(batch: dict[str, Any]) -> bool:
    return bool(batch["status"] == "completed")


def output(api: Api, batch: dict[str, Any]) -> list[dict[str, Any]]:
    content = api.http.get(f"/files/{batch['output_file_id']}/content").raise_for_status().content
    assert content.endswith(b"\n")
    return [json.loads(line) for line in content.splitlines()]


def results(api: Api, requests: dict[str, Any], method: str = "chat_completions") -> list[dict[str, Any]]:
    """Return the lines of the answer to a batch."""
    batch_id = send(api, lines(requests), method).raise_for_status().json()["id"]
    return output(api, wait(api, batch_id, completed))


def asked(text: str, **fields: Any) -> dict[str, Any]:
    return {"model": "GigaChat", "messages": [{"role": "user", "content": text}], **fields}


class HeldEcho(Echo):
    """An echo that waits before each answer until it is let through."""

    def __init__(self) -> None:
        self.passes = threading.Semaphore(0)
        self.waiting = 0

    async def complete(self, request: ChatRequest) -> AsyncGenerator[Piece, None]:
        self.waiting += 1
        passed = await asyncio.to_thread(self.passes.acquire, timeout=PATIENCE)
        assert passed
        async for piece in super().complete(request):
            yield piece


@pytest.fixture
def gate() -> Iterator[tuple[Api, HeldEcho]]:
    engine = HeldEcho()
    with GigaChatServer(tls=False, engine=engine) as server:
        api = Api(server)
        yield api, engine
        engine.passes.release(1000)
        api.http.close()


def test_a_batch_from_creation_to_its_file(gate: tuple[Api, HeldEcho]) -> None:
    api, engine = gate
    before = int(time.time())
    answer = send(api, lines({"a": asked("one"), "b": asked("two"), "c": asked("three")}))
    assert answer.status_code == 200
    created = answer.json()
    assert list(created) == ["id", "method", "request_counts", "status", "created_at", "updated_at"]
    batch_id = created["id"]
    assert uuid.UUID(batch_id).version == 4
    assert before <= created["created_at"] <= created["updated_at"] <= time.time()
    assert (created["method"], created["status"]) == ("chat_completions", "created")
    assert created["request_counts"] == {"total": 3}

    engine.passes.release()
    going = wait(api, batch_id, lambda batch: batch["request_counts"].get("completed") == 1)
    assert list(going) == ["id", "method", "request_counts", "status", "created_at", "updated_at"]
    assert going["status"] == "in_progress"
    assert going["request_counts"] == {"total": 3, "completed": 1, "failed": 0}
    assert api.http.get("/files").json() == {"data": []}

    engine.passes.release(2)
    done = wait(api, batch_id, completed)
    assert list(done) == ["id", "method", "request_counts", "status", "output_file_id", "created_at", "updated_at"]
    assert done["request_counts"] == {"total": 3, "completed": 3, "failed": 0}
    assert done["created_at"] == created["created_at"] <= done["updated_at"] <= time.time()
    assert api.http.get("/batches").json() == {"batches": [done]}

    (file,) = api.http.get("/files").json()["data"]
    assert file["id"] == done["output_file_id"]
    answers = output(api, done)
    assert [list(one) for one in answers] == [["id", "result"]] * 3
    assert [one["id"] for one in answers] == ["a", "b", "c"]
    for one, text in zip(answers, ("one", "two", "three"), strict=True):
        assert f"“{text}”" in one["result"]["choices"][0]["message"]["content"]


def test_the_time_of_the_last_answer_is_noted(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Batch, "touch", lambda batch: setattr(batch, "updated_at", 5_000_000_000))
    batch_id = send(api, lines({"1": BODY})).json()["id"]
    done = wait(api, batch_id, completed)
    assert done["updated_at"] == 5_000_000_000
    assert done["created_at"] <= time.time()


def test_a_line_is_answered_as_the_endpoint_answers(api: Api) -> None:
    function = asked("weather in Псков?", functions=[WEATHER], function_call={"name": "weather"})
    requests = {"text": BODY, "call": function, "stream": {**BODY, "stream": True}}
    answers = {one["id"]: one["result"] for one in results(api, requests)}
    for name, request in requests.items():
        plain = api.http.post("/chat/completions", json={**request, "stream": False}).json()
        assert list(answers[name]) == list(plain)
        assert answers[name]["choices"][0]["finish_reason"] == plain["choices"][0]["finish_reason"]
        made, said = answers[name]["choices"][0]["message"], plain["choices"][0]["message"]
        assert made.pop("functions_state_id", None) is None or said.pop("functions_state_id") is not None
        if name == "call":
            assert made["function_call"].pop("id") != said["function_call"].pop("id")
        assert made == said


def test_embeddings(api: Api) -> None:
    requests = {
        "1": {"model": "Embeddings", "input": ["раз", "два"]},
        "2": {"model": "EmbeddingsGigaR", "input": "три"},
    }
    answers = results(api, requests, "embedder")
    assert [one["id"] for one in answers] == ["1", "2"]
    for one in answers:
        assert one["result"] == api.http.post("/embeddings", json=requests[one["id"]]).json()


def test_refused_requests_are_lines_of_the_answer(api: Api) -> None:
    requests = {
        "good": asked("hello"),
        "model": {**BODY, "model": "Unknown"},
        "hot": asked("hello", repetition_penalty=0),
        "shape": {"model": "GigaChat", "messages": "hello"},
    }
    batch_id = send(api, lines(requests)).json()["id"]
    batch = wait(api, batch_id, completed)
    assert batch["request_counts"] == {"total": 4, "completed": 1, "failed": 3}
    good, *bad = output(api, batch)
    assert list(good) == ["id", "result"]
    assert bad == [
        {"id": "model", "error": {"status": 404, "message": "No such model"}},
        {
            "id": "hot",
            "error": {"status": 422, "message": "Invalid params: repetition_penalty must be in range (0, +inf)"},
        },
        {"id": "shape", "error": {"status": 400, "message": SYNTAX}},
    ]


def test_a_broken_engine_fails_the_line_only(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Echo):
        async def complete(self, request: ChatRequest) -> AsyncGenerator[Piece, None]:
            if request.messages[-1].content == "bad":
                raise RuntimeError("the engine is broken")
            async for piece in super().complete(request):
                yield piece

    with GigaChatServer(tls=False, engine=Broken()) as server:
        api = Api(server)
        bad, good = results(api, {"1": asked("bad"), "2": asked("good")})
        api.http.close()
    assert bad == {"id": "1", "error": {"status": 500, "message": "Internal Server Error"}}
    assert list(good) == ["id", "result"]
    (record,) = [one for one in caplog.records if one.name == "gigachat.server"]
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "the engine is broken"


def test_ordered_replies_answer_lines(api: Api) -> None:
    whole = {"choices": [{"message": {"content": "ordered", "role": "assistant"}, "index": 0}], "model": "any"}
    api.server.reply("first", after=0.01)
    api.server.reply({"content": "second", "finish_reason": "blacklist"})
    api.server.reply(whole)
    first, second, third, fourth = results(api, {str(number): asked("hi") for number in range(4)})
    assert first["result"]["choices"][0]["message"]["content"] == "first"
    assert second["result"]["choices"][0]["finish_reason"] == "blacklist"
    assert third["result"] == whole
    assert "echo" in fourth["result"]["choices"][0]["message"]["content"]


def test_several_batches_at_once(gate: tuple[Api, HeldEcho]) -> None:
    api, engine = gate
    ids = [send(api, lines({f"{name}{n}": asked(f"{name}{n}") for n in range(3)})).json()["id"] for name in "ab"]
    for batch_id in ids:
        wait(api, batch_id, lambda batch: batch["status"] == "in_progress")
    end = time.monotonic() + PATIENCE
    while engine.waiting < 2:
        assert time.monotonic() < end
        state(api, ids[0])
    # Neither waits for the other, and neither keeps the server from other work.
    assert api.http.get("/models").status_code == 200
    assert [one["id"] for one in api.http.get("/batches").json()["batches"]] == ids[::-1]
    engine.passes.release(6)
    for name, batch_id in zip("ab", ids, strict=True):
        answers = output(api, wait(api, batch_id, completed))
        assert [one["id"] for one in answers] == [f"{name}{n}" for n in range(3)]
        assert all(f"“{one['id']}”" in one["result"]["choices"][0]["message"]["content"] for one in answers)


def test_a_batch_can_take_its_time() -> None:
    with GigaChatServer(tls=False, batch_pace=0.02) as server:
        api = Api(server)
        began = time.monotonic()
        assert len(results(api, {str(number): asked("hi") for number in range(3)})) == 3
        assert time.monotonic() - began >= 0.06
        api.http.close()


def test_no_batches_and_unknown_ones() -> None:
    with GigaChatServer(tls=False) as server:
        api = Api(server)
        assert api.http.get("/batches").json() == {"batches": []}
        answer = api.http.get("/batches", params={"batch_id": "nothing"})
        assert (answer.status_code, answer.json()) == (404, {"status": 404, "message": "Batch task not found"})
        api.http.close()


METHOD = "Invalid params: method must be one of: chat_completions, embedder"
LINE = b'{"id":"1","request":{}}'


@pytest.mark.parametrize(
    ("content", "method", "status", "message"),
    [
        (LINE, None, 422, METHOD),
        (LINE, "", 422, METHOD),
        (LINE, "chat", 422, METHOD),
        (b"", "embedder", 422, "Invalid params: the file has no requests"),
        (b"\n \r\n\n", "embedder", 422, "Invalid params: the file has no requests"),
        (b"hello", "chat_completions", 400, SYNTAX),
        (LINE + b"\n[]", "chat_completions", 400, SYNTAX),
        (b'{"id":"1","request":{"a":NaN}}', "chat_completions", 400, SYNTAX),
        (b'{"id":"\xff","request":{}}', "chat_completions", 400, SYNTAX),
        (b"[" + LINE + b"]", "chat_completions", 400, SYNTAX),
        (LINE + b'\n\n{"request":{}}', "chat_completions", 422, "Invalid params: line 3: id is required"),
        (b'{"id":"","request":{}}', "chat_completions", 422, "Invalid params: line 1: id is required"),
        (b'{"id":1,"request":{}}', "chat_completions", 422, "Invalid params: line 1: id is required"),
        (LINE + b"\n" + LINE, "chat_completions", 422, "Invalid params: line 2: id 1 is not unique"),
        (b'{"id":"1"}', "chat_completions", 422, "Invalid params: line 1: request is required"),
        (b'{"id":"1","request":"hi"}', "chat_completions", 422, "Invalid params: line 1: request is required"),
        (
            b"\n".join(b'{"id":"%d","request":{}}' % number for number in range(501)),
            "chat_completions",
            422,
            "Invalid params: the file has 501 requests, at most 500 are allowed",
        ),
    ],
)
def test_refused_files(api: Api, content: bytes, method: str | None, status: int, message: str) -> None:
    before = api.http.get("/batches").json()
    answer = send(api, content, method)
    assert (answer.status_code, answer.json()) == (status, {"status": status, "message": message})
    assert api.http.get("/batches").json() == before


def test_the_largest_file_and_odd_line_ends(api: Api) -> None:
    content = b"\r\n".join(b'{"request":{},"id":"%d"}' % number for number in range(500))
    batch_id = send(api, content).raise_for_status().json()["id"]
    batch = wait(api, batch_id, completed)
    assert batch["request_counts"] == {"total": 500, "completed": 0, "failed": 500}
    assert [one["id"] for one in output(api, batch)] == [str(number) for number in range(500)]


def test_it_stops_while_batches_are_worked_off(capfd: pytest.CaptureFixture[str]) -> None:
    server = GigaChatServer(tls=False, batch_pace=60).start()
    api = Api(server)
    ids = [send(api, lines({"1": BODY})).json()["id"] for _ in range(2)]
    for batch_id in ids:
        wait(api, batch_id, lambda batch: batch["status"] == "in_progress")
    api.http.close()
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 30  # of the sixty that a request waits
    out, err = capfd.readouterr()
    assert out + err == ""


def test_it_stops_while_an_engine_answers_a_line(capfd: pytest.CaptureFixture[str]) -> None:
    begun = threading.Event()
    ended: list[str] = []

    class Endless(Echo):
        async def complete(self, request: ChatRequest) -> AsyncGenerator[Piece, None]:
            yield "first"
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("closed")

    server = GigaChatServer(tls=False, engine=Endless()).start()
    api = Api(server)
    send(api, lines({"1": BODY})).raise_for_status()
    api.http.close()
    assert begun.wait(PATIENCE)
    server.stop()
    assert ended == ["closed"]
    out, err = capfd.readouterr()
    assert out + err == ""


def test_a_negative_pace_is_refused() -> None:
    with pytest.raises(ValueError, match="must be finite seconds, 0 or more"):
        GigaChatServer(batch_pace=-1)


@pytest.mark.parametrize("bare", [False, True])
def test_the_list_may_be_bare(bare: bool) -> None:
    with GigaChatServer(tls=False, bare_batches=bare) as server, GigaChat(**server.client_options) as giga:
        api = Api(server)
        with closing(api.http):
            made = giga.create_batch(["Привет"])
            for query in ({}, {"batch_id": made.id_}):
                told = api.http.get("/batches", params=query).json()
                (one,) = told if bare else told["batches"]
                assert one["id"] == made.id_
                assert [one.id_ for one in giga.get_batches(query.get("batch_id")).batches] == [made.id_]
            assert giga.wait_batch(made.id_, poll_interval=0.01).status == "completed"
