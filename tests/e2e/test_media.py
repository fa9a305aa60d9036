"""Pictures, documents and recordings, over real sockets against the local server, by both versions of the API."""

from __future__ import annotations

import asyncio
import copy
import io
import pickle
import socket
import threading
import wave
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import trio

from gigachat import APIConnectionError, AsyncGigaChat, ClientClosedError, GigaChat, NotFoundError, ServerError, models
from gigachat.context import client_id_cvar
from gigachat.server import GigaChatServer
from tests.support.callers import MODES, Caller, Mode, options, whole
from tests.support.fixtures import VERSIONS, each_of
from tests.support.payloads import http
from tests.support.raw_servers import raw_server
from tests.support.systems import needs_trio
from tests.support.waiting import PATIENCE

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
DRAW: dict[str, tuple[str, dict[str, Any]]] = {
    "v1": ("chat", {"function_call": "auto"}),
    "v2": ("chat.create", {"tools": ["image_generate"]}),
}
ASK = {"v1": "chat", "v2": "chat.create"}
STREAMS = {"v1": "stream", "v2": "chat.stream"}


mode = each_of(MODES)
version = each_of(VERSIONS)


def recording(seconds: float = 1.5) -> bytes:
    """Return a WAV of silence."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(int(16_000 * seconds)))
    return file.getvalue()


def of(caller: Caller, file: models.AnswerFile, name: str, *arguments: Any) -> Any:
    """Call `read` or `save` of a file in the mode of the caller."""
    if caller.mode == "blocking":
        return getattr(file, name)(*arguments)
    return caller.run(getattr(file, f"a{name}")(*arguments))


def drawn(caller: Caller, version: str) -> Any:
    """Return an image that the model has drawn."""
    method, fields = DRAW[version]
    (image,) = caller.do(method, "Нарисуй кота", **fields).images
    return image


def is_jpeg(content: bytes) -> bool:
    return content.startswith(b"\xff\xd8\xff") and content.endswith(b"\xff\xd9")


# Pictures.


def test_a_picture_is_drawn_read_and_saved(caller: Caller, version: str, tmp_path: Path) -> None:
    image = drawn(caller, version)
    assert image.target == "image"
    content = of(caller, image, "read")
    assert is_jpeg(content)
    assert of(caller, image, "save", tmp_path / "кот.jpg") == tmp_path / "кот.jpg"
    assert of(caller, image, "save", str(tmp_path)) == tmp_path / "image.jpg"
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [content, content]
    described = caller.do(ASK[version], "Что на ней?", files=[image])
    assert "image.jpg" in described.text


def test_a_streamed_picture_is_saved(caller: Caller, version: str, tmp_path: Path) -> None:
    _, fields = DRAW[version]
    _, text, completion = whole(caller.method(STREAMS[version])("Нарисуй кота", **fields), caller.run)
    assert completion.text == text
    (image,) = completion.images
    assert is_jpeg(of(caller, image, "read"))


def test_a_picture_of_a_run_and_a_conversation_is_read(caller: Caller, version: str) -> None:
    _, fields = DRAW[version]
    name = "chat_run" if version == "v1" else "chat.run"
    run = caller.do(name, "Нарисуй кота", **{"tools": [], **fields})
    assert is_jpeg(of(caller, run.completion.images[0], "read"))
    sending = caller.method("conversation")(api=version, **fields).send("Нарисуй кота")
    reply = sending if caller.mode == "blocking" else caller.run(sending)
    assert is_jpeg(of(caller, reply.completion.images[0], "read"))


def test_a_parsed_completion_has_its_files(server: GigaChatServer, caller: Caller) -> None:
    server.reply(
        {"content": [{"files": [{"id": drawn(caller, "v2").id, "target": "image"}]}, {"text": '{"value": 1}'}]}
    )
    completion, _ = caller.do("chat.parse", "Сколько?", into=int)
    assert is_jpeg(of(caller, completion.images[0], "read"))


def test_a_model_is_no_image(caller: Caller, version: str) -> None:
    fields: dict[str, Any] = {"tools": ["model_3d_generate"]}
    if version == "v1":
        fields = {"function_call": "auto", "functions": [{"name": "text2model3d"}]}
    completion = caller.do(ASK[version], "Сделай модель: text2model3d", **fields)
    assert completion.images == []
    (model,) = completion.files
    assert model.target == "3dmodel"
    assert of(caller, model, "read").startswith(b"Kaydara FBX Binary")


def test_a_picture_is_for_the_user_it_was_made_for(caller: Caller, version: str) -> None:
    token = client_id_cvar.set("anna")
    image = drawn(caller, version)
    client_id_cvar.reset(token)
    assert is_jpeg(of(caller, image, "read"))
    with pytest.raises(NotFoundError):
        caller.do("get_image", image.id)


def test_a_file_keeps_its_client_alive(server: GigaChatServer, version: str) -> None:
    _, fields = DRAW[version]

    def draw() -> Any:
        giga = GigaChat(**options(server))
        chat: Any = giga.chat if version == "v1" else giga.chat.create
        return chat("Нарисуй кота", **fields).images[0]

    assert is_jpeg(draw().read())


def test_a_file_of_a_closed_client_is_not_read(server: GigaChatServer, mode: Mode, tmp_path: Path) -> None:
    with Caller(mode, options(server)) as caller:
        image = drawn(caller, "v1")
        if mode == "blocking":
            caller.giga.close()
        else:
            caller.run(caller.giga.aclose())
        with pytest.raises(ClientClosedError):
            of(caller, image, "save", tmp_path / "a.jpg")
    assert list(tmp_path.iterdir()) == []


def test_an_async_client_does_not_block_the_loop(server: GigaChatServer, tmp_path: Path) -> None:
    with Caller("async", options(server)) as caller:
        image = drawn(caller, "v1")
        before = len(server.requests)
        with pytest.raises(ValueError, match=r"await file.asave\(path\)"):
            image.save(tmp_path / "a.jpg")
        with pytest.raises(ValueError, match=r"await file.aread\(\)"):
            image.read()
        assert len(server.requests) == before


# Saving.


def test_a_file_is_replaced_only_when_it_is_whole(mode: Mode, tmp_path: Path) -> None:
    mark = '<img src="b28fbd61-7f3f-4c0a-9b1e-0123456789ab" fuse="true"/>'
    chat = b'{"choices":[{"message":{"role":"assistant","content":"%s"}}]}' % mark.replace('"', '\\"').encode()

    def answer(connection: socket.socket, request: bytes) -> None:
        if b"/content" not in request.partition(b"\r\n")[0]:
            connection.sendall(http(chat))
            return
        connection.sendall(http(b"x" * 100_000)[:-1])
        connection.shutdown(socket.SHUT_RDWR)

    target = tmp_path / "a.jpg"
    target.write_text("older")
    with raw_server(answer) as (origin, _):
        with Caller(mode, {"base_url": f"{origin}/v1", "access_token": "token"}, max_retries=0) as caller:
            (image,) = caller.chat("Нарисуй кота").images
            for name, arguments in (("save", [target]), ("read", [])):
                with pytest.raises(APIConnectionError, match="broke during the response"):
                    of(caller, image, name, *arguments)
    assert target.read_text() == "older"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("nowhere/a.jpg", "there is no directory"),
        ("nowhere/", "there is no directory"),
        ("a.txt/a.jpg", "there is no directory"),
        ("~/a.jpg", "there is no directory"),
        ("", "is empty, or has a null character"),
        ("a\0.jpg", "is empty, or has a null character"),
    ],
)
def test_a_path_that_is_refused_before_anything_is_sent(
    server: GigaChatServer, caller: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("text")
    image = drawn(caller, "v1")
    before = len(server.requests)
    with pytest.raises(ValueError, match=reason):
        of(caller, image, "save", place)
    assert len(server.requests) == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_path_that_cannot_be_written_leaves_nothing(caller: Caller, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="aaa"):
        of(caller, drawn(caller, "v1"), "save", tmp_path / ("a" * 300))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_replaced(caller: Caller, tmp_path: Path) -> None:
    target = tmp_path / "a.jpg"
    target.write_text("older")
    target.chmod(0o400)
    of(caller, drawn(caller, "v1"), "save", target)
    assert is_jpeg(target.read_bytes())


@pytest.mark.parametrize("name", ["../../a.jpg", "..\\a.jpg", "/etc/a.jpg", ".."])
def test_the_name_of_the_service_is_no_path(server: GigaChatServer, caller: Caller, tmp_path: Path, name: str) -> None:
    uploaded = caller.do("upload_file", (name, PNG, "image/png"))
    server.reply({"content": [{"files": [{"id": uploaded.id_, "target": "image"}]}]})
    (image,) = caller.do("chat.create", "Нарисуй кота").images
    folder = tmp_path / "folder"
    folder.mkdir()
    path = of(caller, image, "save", folder)
    assert path.name in ("a.jpg", image.id)
    assert list(tmp_path.iterdir()) == [folder]
    assert list(folder.iterdir()) == [path]


# Documents and recordings.


@pytest.mark.parametrize("stream", [False, True])
def test_a_document_is_asked_about(caller: Caller, version: str, tmp_path: Path, stream: bool) -> None:
    path = tmp_path / "список.txt"
    path.write_text("Хлеб, молоко, сыр", "utf-8")
    file = caller.do("attach", path)
    if stream:
        _, text, _ = whole(caller.method(STREAMS[version])("Что купить?", files=[file]), caller.run)
    else:
        text = caller.do(ASK[version], "Что купить?", files=[file]).text
    assert "В файле список.txt: «Хлеб, молоко, сыр»." in text


def test_a_document_of_a_conversation(server: GigaChatServer, caller: Caller, version: str) -> None:
    conversation = caller.method("conversation")(api=version)
    file = caller.do("attach", ("список.txt", "Хлеб, молоко, сыр"))

    def send(*arguments: Any, **fields: Any) -> str:
        reply = conversation.send(*arguments, **fields)
        text: str = (reply if caller.mode == "blocking" else caller.run(reply)).text
        return text

    assert "«Хлеб, молоко, сыр»" in send("Что купить?", files=[file])
    send("А ещё?")
    modes = [b'"function_call":"auto"' in one.body for one in server.requests_to("/chat/completions")]
    assert modes == [version == "v1"] * 2
    with pytest.raises(TypeError, match=r"giga.attach\(path\)"):
        send("Что это?", files=[Path("a.png")])


def test_a_recording_is_transcribed(caller: Caller, version: str, tmp_path: Path) -> None:
    path = tmp_path / "voice.wav"
    path.write_bytes(recording())
    if version == "v1":
        completion = caller.do("transcribe", path)
    else:
        completion = caller.do("chat.create", "Transcribe it", files=[caller.do("attach", path)])
    assert "The file voice.wav has a recording of 1.5 s." in completion.text


@pytest.mark.parametrize("file", [PNG, ("a.txt", "text"), ("a.wav", bytes(35 * 1024 * 1024 + 1))])
def test_what_is_no_recording_is_not_sent(server: GigaChatServer, caller: Caller, file: Any) -> None:
    with pytest.raises(ValueError, match=r"not audio|35 MB"):
        caller.do("transcribe", file)
    assert server.requests == []


# One upload for each content.


def uploads(server: GigaChatServer) -> int:
    return sum(one.method == "POST" and one.path.endswith("/files") for one in server.requests)


def test_a_content_is_uploaded_once(server: GigaChatServer, caller: Caller, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    ids = {caller.do("attach", form).id_ for form in (path, PNG, ("b.png", PNG), path)}
    assert (len(ids), uploads(server)) == (1, 1)
    caller.do("delete_file", ids.pop())
    again = caller.do("attach", path)
    assert uploads(server) == 2
    with GigaChat(**options(server)) as other:
        other.delete_file(again.id_)
    assert caller.do("attach", path).id_ != again.id_


def attached_at_once(server: GigaChatServer, files: list[Any]) -> set[str]:
    """Attach files by threads, and by tasks of several event loops, of one client at once."""
    with GigaChat(**options(server)) as giga:
        started = threading.Barrier(4)

        def by_thread() -> set[str]:
            started.wait(60)
            return {giga.attach(file).id_ for file in files}

        async def by_tasks() -> set[str]:
            attached = await asyncio.gather(*(giga.aattach(file) for file in files * 4))
            return {file.id_ for file in attached}

        def by_loop() -> set[str]:
            started.wait(60)
            return asyncio.run(by_tasks())

        with ThreadPoolExecutor(4) as threads:
            done = [threads.submit(work) for work in (by_thread, by_loop, by_thread, by_loop)]
            return set().union(*(one.result() for one in done))


def test_a_failed_upload_leaves_the_others_to_upload(server: GigaChatServer) -> None:
    server.fail(500, path="/files")
    with GigaChat(**options(server), max_retries=0) as giga, ThreadPoolExecutor(6) as threads:
        done = [threads.submit(giga.attach, PNG) for _ in range(6)]
        errors = [one.exception(60) for one in done]
        assert [type(error) for error in errors if error is not None] == [ServerError]
        assert len({one.result().id_ for one, error in zip(done, errors, strict=True) if error is None}) == 1
    assert uploads(server) == 2


def test_a_cancelled_upload_is_not_waited_for(server: GigaChatServer) -> None:
    async def main() -> str:
        async with AsyncGigaChat(**options(server)) as giga:
            await giga.get_files()
            task = asyncio.ensure_future(giga.attach(PNG))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return (await asyncio.wait_for(giga.attach(PNG), PATIENCE)).id_

    assert asyncio.run(main())


def test_a_client_does_not_carry_its_attached_files(server: GigaChatServer) -> None:
    with GigaChat(**options(server)) as giga:
        ids = {giga.attach(PNG).id_, giga.with_options(max_retries=0).attach(PNG).id_}
        assert len(ids) == 1
        for other in (copy.deepcopy(giga), pickle.loads(pickle.dumps(giga))):
            assert other.attach(PNG).id_ not in ids


@needs_trio
def test_tasks_of_trio_upload_once(server: GigaChatServer) -> None:
    async def main() -> int:
        ids = set()

        async def attach() -> None:
            ids.add((await giga.attach(PNG)).id_)

        async with AsyncGigaChat(**options(server)) as giga:
            async with trio.open_nursery() as nursery:
                for _ in range(5):
                    nursery.start_soon(attach)
        return len(ids)

    assert trio.run(main) == uploads(server) == 1


def test_a_content_is_uploaded_once_at_the_same_time(server: GigaChatServer) -> None:
    files = [("a.png", PNG), ("b.png", PNG + b"1")]
    assert len(attached_at_once(server, files)) == uploads(server) == 2
