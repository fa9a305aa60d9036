"""Files, batches, assistants, threads and the rest, over real sockets against the local server, in both modes."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gigachat import (
    APIConnectionError,
    AsyncGigaChat,
    AuthenticationError,
    ForbiddenError,
    GigaChat,
    GigaChatException,
    NotFoundError,
    ResponseError,
    ServerError,
    models,
)
from gigachat.server import GigaChatServer
from tests.support.callers import Caller, Mode, options
from tests.support.payloads import http
from tests.support.pipe import Pipe
from tests.support.programs import run_program
from tests.support.raw_servers import raw_server

NAME = "Отчёт «за май», 100%.txt"


def content_of(caller: Caller, file_id: str) -> bytes:
    return base64.b64decode(caller.do("get_file_content", file_id).content)


# Files.


def test_the_life_of_a_file(caller: Caller, tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.write_text("Привет", "utf-8")
    file = caller.do("upload_file", path)
    assert (file.filename, file.bytes_, file.purpose) == (NAME, 12, "general")
    assert caller.do("get_file", file.id_).model_dump(exclude={"x_headers"}) == file.model_dump(exclude={"x_headers"})
    assert [one.id_ for one in caller.do("get_files").data] == [file.id_]
    assert content_of(caller, file.id_) == caller_bytes(caller, file.id_) == "Привет".encode()
    target = caller.do("download_file", file.id_, tmp_path / "copy")
    assert target.read_text("utf-8") == "Привет"
    deleted = caller.do("delete_file", file.id_)
    assert (deleted.id_, deleted.deleted) == (file.id_, True)
    for method in ("get_file", "delete_file", "get_image", "get_file_content"):
        with pytest.raises(NotFoundError):
            caller.do(method, file.id_)
    with pytest.raises(NotFoundError):
        caller.do("download_file", file.id_, tmp_path / "other")
    assert {one.name for one in tmp_path.iterdir()} == {NAME, "copy"}


def caller_bytes(caller: Caller, file_id: str) -> bytes:
    return base64.b64decode(caller.do("get_image", file_id).content)


FORMS: dict[str, Callable[[Path], Any]] = {
    "text": str,
    "Path": lambda path: path,
    "bytes": lambda path: path.read_bytes(),
    "object": lambda path: io.BytesIO(path.read_bytes()),
    "read once": lambda path: ("заметка.txt", Pipe(path.read_bytes())),
    "tuple": lambda path: ("заметка.txt", path.read_bytes()),
    "tuple with text": lambda path: ("заметка.txt", path.read_text("utf-8")),
    "tuple with a path": lambda path: ("заметка.txt", path, "text/plain"),
}


def test_headers_of_a_file_go_with_it(server: GigaChatServer, caller: Caller) -> None:
    caller.do("upload_file", ("a.txt", b"text", None, {"Content-Type": "text/plain; charset=utf-8", "X-Own": "1"}))
    body = server.requests_to("/files")[0].body
    part = body[body.index(b'name="file"') :]
    assert b'filename="a.txt"\r\n' in part
    assert b"\r\nX-Own: 1\r\n" in part
    assert part.count(b"Content-Type: text/plain; charset=utf-8") == 1


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_a_file(caller: Caller, tmp_path: Path, form: str) -> None:
    path = tmp_path / "заметка.txt"
    path.write_text("Купить хлеб. " * 1000, "utf-8")
    file = caller.do("upload_file", FORMS[form](path))
    assert file.filename == ("upload.txt" if form in ("bytes", "object") else "заметка.txt")
    assert content_of(caller, file.id_) == path.read_bytes()


def test_a_file_is_attached_to_a_chat(caller: Caller) -> None:
    file = caller.do("upload_file", b"text")
    message = {"role": "user", "content": "О чём это?", "attachments": [file.id_]}
    assert caller.chat({"messages": [message]}).choices[0].finish_reason == "stop"


@pytest.mark.parametrize("status", [401, 503])
def test_an_upload_sent_again_is_whole(server: GigaChatServer, caller: Caller, tmp_path: Path, status: int) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(os.urandom(200_000))
    for form in (path, io.BytesIO(path.read_bytes()), path.read_bytes()):
        server.fail(status, path="/files", headers={"Retry-After": "0"})
        file = caller.do("upload_file", ("a.txt", form))
        assert content_of(caller, file.id_) == path.read_bytes()


@pytest.mark.parametrize(("status", "error"), [(401, AuthenticationError), (503, ServerError)])
def test_a_file_that_can_be_read_once_is_sent_once(
    server: GigaChatServer, caller: Caller, status: int, error: type[ResponseError]
) -> None:
    server.fail(status, path="/files")
    with pytest.raises(error):
        caller.do("upload_file", ("a.txt", Pipe(b"text")))
    assert len(server.requests_to("/files")) == 1


class Unseekable(io.BytesIO):
    """It says that it can seek, as files in `/proc` do."""

    def seek(self, *place: int) -> int:
        raise OSError("no seek")


class Pieces:
    """A file whose second piece is not bytes."""

    def __init__(self, piece: Any) -> None:
        self._pieces = [b"text", piece]

    def read(self, size: int) -> Any:
        return self._pieces.pop(0) if size else b""


@pytest.fixture(params=["default", "own client"])
def uploading(request: pytest.FixtureRequest, server: GigaChatServer) -> Iterator[GigaChat]:
    """A client with the default transport, and one with a client of httpx2."""
    tls = ssl.create_default_context(cafile=server.ca_bundle_file)
    with httpx2.Client(verify=tls) as own:
        with GigaChat(**options(server), http_client=own if request.param == "own client" else None) as giga:
            yield giga


@pytest.mark.parametrize(("piece", "kind"), [(None, "NoneType"), ("text", "str")])
def test_a_file_that_gives_no_bytes_while_it_is_sent(uploading: GigaChat, piece: Any, kind: str) -> None:
    file: Any = Pieces(piece)
    with pytest.raises(GigaChatException, match=f"^the file a.txt cannot be read: it gives {kind}, not bytes$"):
        uploading.upload_file(("a.txt", file))


def test_a_file_that_cannot_seek_is_sent(uploading: GigaChat) -> None:
    assert uploading.upload_file(("a.txt", Unseekable(b"text"))).bytes_ == 4


def test_several_uploads_at_once(server: GigaChatServer) -> None:
    contents = [os.urandom(50_000) for _ in range(8)]

    async def main() -> list[bytes]:
        async with AsyncGigaChat(**options(server)) as giga:
            files = await asyncio.gather(*(giga.upload_file(("a.png", content)) for content in contents))
            found = await asyncio.gather(*(giga.get_file_content(file.id_) for file in files))
            return [base64.b64decode(one.content) for one in found]

    assert asyncio.run(main()) == contents


MEMORY = """
import asyncio, pathlib, sys, tracemalloc
from gigachat import GigaChat

mode, folder = sys.argv[1], pathlib.Path(sys.argv[2])

def done(method, *arguments):
    giga = GigaChat(max_retries=0)
    if mode == "blocking":
        with giga:
            return getattr(giga, method)(*arguments)
    async def awaited():
        async with giga:
            return await getattr(giga, "a" + method)(*arguments)
    return asyncio.run(awaited())

def measured(method, *arguments):
    tracemalloc.start()
    done(method, *arguments)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_500_000, f"{method}: {peak}"

if sys.argv[3] == "up":
    for method in ("upload_file", "attach"):
        done(method, ("small.pdf", b"x"))  # loads the modules, which take memory of their own
        measured(method, folder / "large.pdf")
else:
    done("get_files")
    measured("download_file", sys.argv[3], folder / "copy.pdf")
"""


@pytest.mark.slow
def test_large_files_are_never_in_memory_whole(server: GigaChatServer, mode: Mode, tmp_path: Path) -> None:
    large = tmp_path / "large.pdf"
    with large.open("wb") as file:
        for _ in range(30):
            file.write(os.urandom(1_000_000))

    def run(what: str) -> None:
        arguments = ["-W", "error", "-c", MEMORY, mode, str(tmp_path), what]
        done = run_program(arguments, seconds=120, variables=server.environment)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    run("up")
    with GigaChat(**options(server)) as giga:
        uploaded = max(giga.get_files().data, key=lambda file: file.bytes_)
    assert uploaded.bytes_ == 30_000_000
    run(uploaded.id_)
    assert (tmp_path / "copy.pdf").read_bytes() == large.read_bytes()


def test_a_download_cut_off_in_the_middle(mode: Mode, tmp_path: Path) -> None:
    def answer(connection: socket.socket, request: bytes) -> None:
        connection.sendall(http(b"x" * 100_000)[:-1])
        connection.shutdown(socket.SHUT_RDWR)

    target = tmp_path / "a"
    target.write_text("older")
    with raw_server(answer) as (origin, _):
        with Caller(mode, {"base_url": f"{origin}/v1", "access_token": "token"}) as caller:
            with pytest.raises(APIConnectionError, match="broke during the response"):
                caller.do("download_file", "id", target)
    assert target.read_text() == "older"
    assert list(tmp_path.iterdir()) == [target]


def test_many_downloads_keep_the_connection(server: GigaChatServer, caller: Caller, tmp_path: Path) -> None:
    file = caller.do("upload_file", b"text")
    caller.do("get_files")
    before = server.connections
    for number in range(5):
        caller.do("download_file", file.id_, tmp_path / str(number))
    assert server.connections == before


# Batches.


def test_the_life_of_a_batch(caller: Caller, tmp_path: Path) -> None:
    path = tmp_path / "batch.jsonl"
    messages = [{"role": "user", "content": "Привет"}]
    models_by_id = {"first": "GigaChat", "second": "no such model"}
    lines = [{"id": name, "request": {"model": model, "messages": messages}} for name, model in models_by_id.items()]
    path.write_text("\n".join(map(json.dumps, lines)))
    batch = caller.do("create_batch", path)
    assert (batch.method, batch.request_counts.total) == ("chat_completions", 2)
    seen: list[models.Batch] = []
    done = caller.do("wait_batch", batch, poll_interval=0.01, timeout=30, progress=seen.append)
    assert done is seen[-1]
    assert (done.status, done.request_counts.completed, done.request_counts.failed) == ("completed", 1, 1)
    assert batch.id_ in [one.id_ for one in caller.do("get_batches").batches]
    assert [one.status for one in caller.do("get_batches", batch.id_).batches] == ["completed"]
    results = {one.id_: one for one in caller.do("batch_results", done)}
    answer, refusal = results["first"].result, results["second"].error
    assert isinstance(answer, models.ChatCompletion)
    assert answer.choices[0].message.content
    assert isinstance(refusal, models.BatchError)
    assert (refusal.status, refusal.message) == (404, "No such model")
    with pytest.raises(NotFoundError):
        caller.do("get_batches", "unknown")


def test_a_batch_of_texts_to_embed(caller: Caller) -> None:
    batch = caller.do("create_batch", ["один", "два"], "embedder")
    caller.do("wait_batch", batch.id_, poll_interval=0.01, timeout=30)
    for result in caller.do("batch_results", batch.id_):
        assert isinstance(result.result, models.Embeddings)
        assert len(result.result.data[0].embedding) == 1024


# Functions, checks, assistants, threads.


def test_functions(caller: Caller) -> None:
    document = (
        "openapi: 3.0.0\ninfo: {title: Погода, version: '1'}\npaths:\n  /w: {get: {operationId: w, summary: Погода}}"
    )
    (function,) = caller.do("openapi_function_convert", document).functions
    assert function.name == "w"
    assert caller.do("validate_function", {"description": "no name"}).valid is False
    assert caller.do("validate_function", function).status == 200


def test_checks(server: GigaChatServer, caller: Caller) -> None:
    assert caller.do("check_filter", "Привет").is_profane is False
    assert all(one.value >= 0 for one in caller.do("get_balance").balance)
    assert caller.do("check_ai", "слово " * 30, "GigaCheckDetection").characters == 180
    server.fail(403, path="/balance")
    with pytest.raises(ForbiddenError):
        caller.do("get_balance")


def test_assistants_and_threads(server: GigaChatServer) -> None:
    with GigaChat(**options(server)) as giga:
        made = giga.assistants.create("GigaChat-2", "Помощник", "Отвечай коротко.", metadata={"team": 1})
        (assistant,) = giga.assistants.get(made.assistant_id).data
        assert (assistant.name, assistant.metadata) == ("Помощник", {"team": 1})
        assert giga.assistants.update(made.assistant_id, name="Другой").name == "Другой"

        answer = giga.threads.run_messages(["Привет"], assistant_id=made.assistant_id)
        thread = answer.thread_id
        assert [one.id_ for one in giga.threads.list([made.assistant_id]).threads] == [thread]
        assert [message.role for message in giga.threads.get_messages(thread).messages] == ["user", "assistant"]
        with giga.threads.run_messages_stream(["Ещё"], thread) as stream:
            assert stream.get_final_completion().message.content == stream.get_final_text() != ""
        assert giga.threads.rerun_messages(thread).thread_id == thread
        added = giga.threads.add_message(thread, "И ещё")
        assert len(added.messages) == 1
        assert giga.threads.run(thread).status == "in_progress"
        assert giga.threads.get_run(thread).thread_id == thread
        assert giga.threads.delete(giga.threads.create_thread()) is True
        assert giga.assistants.delete(made.assistant_id).deleted


def test_assistants_and_threads_awaited(server: GigaChatServer) -> None:
    async def main() -> None:
        async with AsyncGigaChat(**options(server)) as giga, GigaChat(**options(server)) as hybrid:
            made = await giga.assistants.create("GigaChat-2", "Помощник")
            assert (await hybrid.a_assistants.get(made.assistant_id)).data[0].name == "Помощник"
            thread = await hybrid.a_threads.create_thread()
            text = ""
            async for chunk in giga.threads.run_messages_stream(["Привет"], thread):
                text += chunk.choices[0].delta.content or ""
            assert text
            messages = (await giga.threads.get_messages(thread)).messages
            assert messages[-1].content == text
            assert await giga.threads.delete(thread) is True
            with pytest.raises(NotFoundError):
                await giga.threads.get_messages(thread)

    asyncio.run(main())
