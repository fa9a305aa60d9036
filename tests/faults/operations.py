"""What a user does, in a table: how it is called, what must go out for it, and what a good answer is.

Nothing here knows of faults.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from gigachat.models import Batch
from tests.support.callers import Caller
from tests.support.payloads import DONE, chunked, http, sse
from tests.support.pipe import Pipe
from tests.support.servers import Received

__all__ = ["OPERATIONS", "Dialect", "Operation", "named"]


@dataclass(frozen=True)
class Dialect:
    """How one kind of stream is written.

    Attributes:
        events: A good answer's events, the finish reason in the last, without the end mark.
        mark: The end mark.
        ends_early: The part of the mark with which the stream has ended for the reader.
        is_chunk: Whether the mark itself arrives as a chunk.
        error: An event that is an error of status 500.
    """

    events: tuple[bytes, ...]
    mark: bytes
    ends_early: bytes
    is_chunk: bool
    error: bytes

    @property
    def all(self) -> list[bytes]:
        return [*self.events, self.mark]

    @property
    def chunks(self) -> int:
        """How many chunks a good answer has."""
        return len(self.events) + self.is_chunk

    def delivered(self, part: bytes) -> tuple[int, bool]:
        """How many chunks the beginning of a good answer's body brings, and whether the stream has ended by then."""
        whole = b"".join(self.all)
        assert whole.startswith(part)
        body = b"".join(self.events)
        if len(part) >= len(body) + len(self.ends_early):
            return self.chunks, True
        count = 0
        for event in self.events:
            if len(part) < len(event):
                break
            part = part[len(event) :]
            count += 1
        return count, False


def _v1(content: str, finish: str | None = None) -> dict[str, Any]:
    choice: dict[str, Any] = {"delta": {"content": content}, "index": 0}
    if finish:
        choice["finish_reason"] = finish
    return {"choices": [choice], "created": 1, "model": "m", "object": "chat.completion"}


def _v2(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "assistant", "content": [{"text": text}]}], "created_at": 1, "model": "m"}


_USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
_ERROR = {"status": 500, "message": "Internal words"}
_DELTA = "response.message.delta"

V1 = Dialect(
    (sse(_v1("При")), sse(_v1("вет")), sse(_v1("", "stop") | {"usage": _USAGE})),
    DONE,
    b"data: [DONE]\n",
    False,
    sse(_ERROR),
)
V2 = Dialect(
    (sse(_v2("При"), _DELTA), sse(_v2("вет"), _DELTA), sse({**_v2(""), "finish_reason": "stop"}, _DELTA)),
    sse({"created_at": 1, "model": "m", "usage": {"total_tokens": 3}}, "response.message.done"),
    sse({"created_at": 1, "model": "m", "usage": {"total_tokens": 3}}, "response.message.done"),
    True,
    sse(_ERROR, "error"),
)
THREAD = Dialect(
    tuple(
        sse({**_v1(text, finish), "object": "threads.messages.run", "thread_id": "t"})
        for text, finish in (("При", None), ("вет", None), ("", "stop"))
    ),
    DONE,
    b"data: [DONE]\n",
    False,
    sse(_ERROR, "error"),
)


class Parsed(BaseModel):
    """What a structured answer is parsed into."""

    number: int


Kind = Literal["reads", "generates", "writes"]


@dataclass(frozen=True)
class Operation:
    """One row of the table.

    Attributes:
        name: For the reader.
        call: The blocking name of the method.
        kind: Whether it only reads, makes the service generate, or changes something.
        line: Method and path of its request.
        sends: Whether a request is what it must be.
        answer: Body of a good answer.
        good: Whether a result is the one the good answer stands for; the folder is the one of the arguments.
        arguments: What it is called with, made anew for each call, in a folder of its own.
        dialect: How its stream is written, where it is one.
        raw: Whether it gives bytes as they are, so that no body is wrong.
        once: Whether its request's body can be sent once only.
    """

    name: str
    call: str
    kind: Kind
    line: str
    sends: Callable[[Received], bool]
    answer: bytes
    good: Callable[[Any, Path], bool]
    arguments: Callable[[Path], tuple[tuple[Any, ...], dict[str, Any]]]
    dialect: Dialect | None = None
    raw: bool = False
    once: bool = False

    def __str__(self) -> str:
        return self.name

    @property
    def content_type(self) -> str:
        return "text/event-stream" if self.dialect else "application/octet-stream" if self.raw else "application/json"

    @property
    def good_answer(self) -> bytes:
        """A good answer as the service sends it."""
        if self.dialect:
            return chunked(self.dialect.all)
        return http(self.answer, content_type=self.content_type)

    def perform(self, caller: Caller, folder: Path, *, giga: Any = None, into: list[Any] | None = None) -> Any:
        """Do it; the result of a stream is its chunks, which are in `into` too."""
        arguments, options = self.arguments(folder)
        if self.dialect is None:
            return caller.do(self.call, *arguments, giga=giga, **options)
        chunks: list[Any] = [] if into is None else into
        caller.read(*arguments, method=self.call, into=chunks, giga=giga, **options)
        return chunks


def _with(*arguments: Any, **options: Any) -> Callable[[Path], tuple[tuple[Any, ...], dict[str, Any]]]:
    return lambda folder: (arguments, options)


def _json(**fields: Any) -> Callable[[Received], bool]:
    """Whether the body has these fields."""
    return lambda request: all(request.json[name] == value for name, value in fields.items())


def _nothing(request: Received) -> bool:
    return request.body == b""


def _file(content: bytes) -> Callable[[Received], bool]:
    return lambda request: request.body.count(content) == 1 and b'name="purpose"\r\n\r\ngeneral' in request.body


def _path_of(folder: Path) -> tuple[tuple[Any, ...], dict[str, Any]]:
    path = folder / "notes.txt"
    path.write_bytes(_NOTES)
    return (path,), {}


def _texts(chunks: Any, _: Path) -> bool:
    return "".join(chunk.choices[0].delta.content for chunk in chunks) == "Привет"


def _downloaded(result: Any, folder: Path) -> bool:
    path = folder / "file.bin"
    return bool(result == path) and path.read_bytes() == _BYTES


def _dumped(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()


_NOTES = "Заметки.\n".encode() * 3
_BYTES = bytes(range(256)) * 2
_MESSAGES = [{"role": "user", "content": "x"}]
_COMPLETION = {
    "choices": [{"message": {"role": "assistant", "content": "Привет"}, "index": 0, "finish_reason": "stop"}],
    "created": 1,
    "model": "GigaChat",
    "object": "chat.completion",
    "usage": _USAGE,
}
_COMPLETION_V2 = {**_v2("Привет"), "finish_reason": "stop"}
_BATCH = {
    "id": "b",
    "method": "chat_completions",
    "request_counts": {"total": 1, "completed": 1, "failed": 0},
    "status": "completed",
    "output_file_id": "f",
    "created_at": 1,
    "updated_at": 1,
}
_BATCH_LINE = b'{"id":"1","request":{"messages":[{"role":"user","content":"x"}]}}'
_UPLOADED = {"id": "f", "object": "file", "bytes": 3, "created_at": 1, "filename": "a.txt", "purpose": "general"}
_ASSISTANT = {"assistant_id": "a", "model": "GigaChat", "created_at": 1, "updated_at": 1, "instructions": "i"}
_THREAD_RUN = {
    "object": "threads.messages.run",
    "model": "m",
    "thread_id": "t",
    "message_id": "m",
    "created": 1,
    "usage": _USAGE,
    "message": {"role": "assistant", "content": "Привет"},
    "finish_reason": "stop",
}

OPERATIONS = (
    Operation(
        "chat",
        "chat",
        "generates",
        "POST /v1/chat/completions",
        lambda request: request.json == {"model": "GigaChat", "messages": _MESSAGES},
        _dumped(_COMPLETION),
        lambda result, _: result.choices[0].message.content == "Привет",
        _with("x"),
    ),
    Operation(
        "stream",
        "stream",
        "generates",
        "POST /v1/chat/completions",
        _json(messages=_MESSAGES, stream=True),
        b"".join(V1.all),
        _texts,
        _with("x"),
        dialect=V1,
    ),
    Operation(
        "chat_parse",
        "chat_parse",
        "generates",
        "POST /v1/chat/completions",
        lambda request: request.json["response_format"]["type"] == "json_schema",
        _dumped(_COMPLETION).replace("Привет".encode(), b'{\\"number\\":7}'),
        lambda result, _: result[1] == Parsed(number=7),
        _with("x", response_format=Parsed),
    ),
    Operation(
        "v2-create",
        "chat.create",
        "generates",
        "POST /v2/chat/completions",
        _json(messages=[{"role": "user", "content": [{"text": "x"}]}]),
        _dumped(_COMPLETION_V2),
        lambda result, _: result.text == "Привет",
        _with("x"),
    ),
    Operation(
        "v2-stream",
        "chat.stream",
        "generates",
        "POST /v2/chat/completions",
        _json(stream=True),
        b"".join(V2.all),
        lambda chunks, _: "".join(chunk.text for chunk in chunks) == "Привет",
        _with("x"),
        dialect=V2,
    ),
    Operation(
        "v2-parse",
        "chat.parse",
        "generates",
        "POST /v2/chat/completions",
        lambda request: "response_format" in request.json["model_options"],
        _dumped(_COMPLETION_V2).replace("Привет".encode(), b'{\\"number\\":7}'),
        lambda result, _: result[1] == Parsed(number=7),
        _with("x", response_format=Parsed),
    ),
    Operation(
        "embeddings",
        "embeddings",
        "reads",
        "POST /v1/embeddings",
        _json(input=["x"], model="Embeddings"),
        _dumped({"data": [{"embedding": [0.5], "index": 0, "usage": {"prompt_tokens": 1}}], "model": "Embeddings"}),
        lambda result, _: result.data[0].embedding == [0.5],
        _with("x"),
    ),
    Operation(
        "tokens_count",
        "tokens_count",
        "reads",
        "POST /v1/tokens/count",
        _json(input=["x"]),
        _dumped([{"object": "tokens", "tokens": 1, "characters": 1}]),
        lambda result, _: result[0].tokens == 1,
        _with("x"),
    ),
    Operation(
        "get_models",
        "get_models",
        "reads",
        "GET /v1/models",
        _nothing,
        _dumped({"object": "list", "data": [{"id": "GigaChat", "object": "model", "owned_by": "x"}]}),
        lambda result, _: result.data[0].id_ == "GigaChat",
        _with(),
    ),
    Operation(
        "upload-bytes",
        "upload_file",
        "writes",
        "POST /v1/files",
        _file(_NOTES),
        _dumped(_UPLOADED),
        lambda result, _: result.id_ == "f",
        _with(_NOTES),
    ),
    Operation(
        "upload-path",
        "upload_file",
        "writes",
        "POST /v1/files",
        _file(_NOTES),
        _dumped(_UPLOADED),
        lambda result, _: result.id_ == "f",
        _path_of,
    ),
    Operation(
        "upload-once",
        "upload_file",
        "writes",
        "POST /v1/files",
        _file(_NOTES),
        _dumped(_UPLOADED),
        lambda result, _: result.id_ == "f",
        lambda folder: ((("a.txt", Pipe(_NOTES)),), {}),
        once=True,
    ),
    Operation(
        "download_file",
        "download_file",
        "reads",
        "GET /v1/files/f/content",
        _nothing,
        _BYTES,
        _downloaded,
        lambda folder: (("f", folder / "file.bin"), {}),
        raw=True,
    ),
    Operation(
        "get_file_content",
        "get_file_content",
        "reads",
        "GET /v1/files/f/content",
        _nothing,
        _BYTES,
        lambda result, _: base64.b64decode(result.content) == _BYTES,
        _with("f"),
        raw=True,
    ),
    Operation(
        "create_batch",
        "create_batch",
        "writes",
        "POST /v1/batches?method=chat_completions",
        lambda request: request.body == _BATCH_LINE,
        _dumped(_BATCH),
        lambda result, _: result.id_ == "b",
        _with(_BATCH_LINE),
    ),
    Operation(
        "get_batches",
        "get_batches",
        "reads",
        "GET /v1/batches",
        _nothing,
        _dumped({"batches": [_BATCH]}),
        lambda result, _: result.batches[0].id_ == "b",
        _with(),
    ),
    Operation(
        "wait_batch",
        "wait_batch",
        "reads",
        "GET /v1/batches?batch_id=b",
        _nothing,
        _dumped({"batches": [_BATCH]}),
        lambda result, _: result.status == "completed",
        _with("b", poll_interval=0.01),
    ),
    Operation(
        "batch_results",
        "batch_results",
        "reads",
        "GET /v1/files/f/content",
        _nothing,
        b'{"id":"1","error":{"status":422,"message":"m"}}\n',
        lambda result, _: result[0].error.status == 422,
        lambda folder: ((Batch.model_validate(_BATCH),), {}),
        raw=True,
    ),
    Operation(
        "assistants.get",
        "assistants.get",
        "reads",
        "GET /v1/assistants",
        _nothing,
        _dumped({"data": [_ASSISTANT]}),
        lambda result, _: result.data[0].assistant_id == "a",
        _with(),
    ),
    Operation(
        "assistants.create",
        "assistants.create",
        "writes",
        "POST /v1/assistants",
        _json(model="GigaChat", name="n"),
        _dumped({"assistant_id": "a", "created_at": 1}),
        lambda result, _: result.assistant_id == "a",
        _with("GigaChat", "n"),
    ),
    Operation(
        "threads.retrieve",
        "threads.retrieve",
        "reads",
        "POST /v1/threads/retrieve",
        _json(threads_ids=["t"]),
        _dumped({"threads": [{"id": "t", "model": "m"}]}),
        lambda result, _: result.threads[0].id_ == "t",
        _with(["t"]),
    ),
    Operation(
        "threads.create",
        "threads.create_thread",
        "writes",
        "POST /v1/threads",
        lambda request: request.json == {},
        _dumped({"id": "t", "model": "m"}),
        lambda result, _: result == "t",
        _with(),
    ),
    Operation(
        "threads.run_messages",
        "threads.run_messages",
        "generates",
        "POST /v1/threads/messages/run",
        _json(thread_id="t"),
        _dumped(_THREAD_RUN),
        lambda result, _: result.message.content == "Привет",
        _with(["x"], thread_id="t"),
    ),
    Operation(
        "threads.stream",
        "threads.run_messages_stream",
        "generates",
        "POST /v1/threads/messages/run",
        _json(thread_id="t", stream=True),
        b"".join(THREAD.all),
        _texts,
        _with(["x"], thread_id="t"),
        dialect=THREAD,
    ),
    Operation(
        "balance",
        "get_balance",
        "reads",
        "GET /v1/balance",
        _nothing,
        _dumped({"balance": [{"usage": "GigaChat", "value": 5}]}),
        lambda result, _: result.balance[0].value == 5,
        _with(),
    ),
    Operation(
        "check_ai",
        "check_ai",
        "reads",
        "POST /v1/ai/check",
        _json(input="x", model="GigaCheckClassification"),
        _dumped({"category": "human", "characters": 1, "tokens": 1, "ai_intervals": None}),
        lambda result, _: result.category == "human",
        _with("x", "GigaCheckClassification"),
    ),
    Operation(
        "request-GET",
        "request",
        "reads",
        "GET /v1/new",
        _nothing,
        _BYTES,
        lambda result, _: result.content == _BYTES,
        _with("GET", "/new"),
        raw=True,
    ),
    Operation(
        "request-POST",
        "request",
        "writes",
        "POST /v1/new",
        lambda request: request.json == {"a": 1},
        _BYTES,
        lambda result, _: result.content == _BYTES,
        _with("POST", "/new", json={"a": 1}),
        raw=True,
    ),
)


def named(*names: str) -> tuple[Operation, ...]:
    """Operations by their names."""
    known = {operation.name: operation for operation in OPERATIONS}
    return tuple(known[name] for name in names)
