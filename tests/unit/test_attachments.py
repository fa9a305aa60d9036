"""Attached files: one upload for each content, what is refused before anything is sent, and how requests name them."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

from gigachat import GigaChatException, NotFoundError, ServerError, models
from gigachat._engine.transport import Request
from tests.support.pipe import Pipe
from tests.unit.world import COMPLETION, Answer, World, error

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
WAV = b"RIFF" + (40).to_bytes(4, "little") + b"WAVEfmt " + bytes(24)
V2 = {"messages": [{"role": "assistant", "content": [{"text": "ok"}]}], "finish_reason": "stop"}


def card(file_id: str, filename: str, **fields: Any) -> dict[str, Any]:
    """Return a file as the service shows it."""
    return {"id": file_id, "object": "file", "bytes": 28, "created_at": 1, "filename": filename, **fields}


def uploaded(name: str, size: int = 28, **fields: Any) -> models.UploadedFile:
    """Return an uploaded file."""
    return models.UploadedFile.model_validate({**card(name, name), "bytes": size, **fields})


def drawn(file_id: str) -> models.AnswerFile:
    """Return an image of an answer."""
    return models.AnswerFile.model_validate({"id": file_id, "target": "image"})


class Files:
    """The service's files: answers uploads and questions for files, and remembers what it received."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.kept: dict[str, dict[str, Any]] = {}
        self.uploads: list[tuple[str, str, str]] = []
        world.answers = _Endless(self)

    def __call__(self, request: Request) -> Answer:
        path = request.url.rpartition("/api/v1")[2]
        if request.upload is not None:
            content = request.upload.file if isinstance(request.upload.file, bytes) else request.upload.file.read()
            self.uploads.append(
                (request.upload.filename, request.upload.content_type, hashlib.md5(content).hexdigest())
            )
            file_id = f"id-{len(self.uploads)}"
            self.kept[file_id] = card(file_id, request.upload.filename)
            return Answer(self.kept[file_id])
        if path.startswith("/files/"):
            known = self.kept.get(path.split("/")[2])
            return Answer(known) if known is not None else error(404, "No such file")
        return Answer(V2 if "/v2/" in request.url else COMPLETION)

    @property
    def asked(self) -> list[str]:
        """The paths of all requests."""
        return [request.url.rpartition("/api/v1")[2] for request in self.world.api_requests]


class _Endless(list[Any]):
    def __init__(self, answer: Any) -> None:
        super().__init__([answer])

    def pop(self, index: Any = 0) -> Any:
        return self[0]


# One upload for each content.


def test_a_content_is_uploaded_once_in_any_form(world: World, tmp_path: Path) -> None:
    files, giga = Files(world), world.client()
    path = tmp_path / "кот.png"
    path.write_bytes(PNG)
    for form in (path, str(path), PNG, io.BytesIO(PNG), ("other.png", PNG), ("x", path, "image/png")):
        assert world.do(giga, "attach", form).id_ == "id-1"
    with path.open("rb") as opened:
        opened.read(3)
        assert world.do(giga.with_options(max_retries=0), "attach", opened).id_ == "id-1"
        assert not opened.closed
    assert files.uploads == [("кот.png", "image/png", hashlib.md5(PNG).hexdigest())]
    assert files.asked == ["/files", *["/files/id-1"] * 6]


def test_other_contents_types_and_clients_are_uploaded(world: World) -> None:
    files, giga = Files(world), world.client()
    ids = [world.do(giga, "attach", file).id_ for file in (PNG, PNG + b"0", ("a.bmp", PNG), ("a.png", PNG))]
    assert ids == ["id-1", "id-2", "id-3", "id-1"]
    assert world.do(world.client(), "attach", PNG).id_ == "id-4"
    assert len(files.uploads) == 4


def test_a_deleted_file_is_uploaded_again(world: World) -> None:
    files, giga = Files(world), world.client()
    world.do(giga, "attach", PNG)
    files.kept.clear()
    assert [world.do(giga, "attach", PNG).id_ for _ in range(2)] == ["id-2", "id-2"]


def test_a_failed_upload_is_not_remembered(world: World) -> None:
    giga = world.client(max_retries=0)
    for _ in range(2):
        world.answers.append(error(500))
        with pytest.raises(ServerError):
            world.do(giga, "attach", PNG)
    world.answers.append(Answer(card("id", "a.png")))
    assert world.do(giga, "attach", PNG).id_ == "id"
    world.answers.append(error(500))
    with pytest.raises(ServerError):  # whether it is still there is not known
        world.do(giga, "attach", PNG)


def test_a_file_that_can_be_read_once_is_uploaded_each_time(world: World) -> None:
    files, giga = Files(world), world.client()
    assert [world.do(giga, "attach", ("a.png", Pipe(PNG))).id_ for _ in range(2)] == ["id-1", "id-2"]
    assert files.uploads[0] == files.uploads[1]


class Unseekable(io.BytesIO):
    """It says that it can seek, as files in `/proc` do."""

    def seek(self, *place: int) -> int:
        raise OSError("no seek")


def test_a_file_that_cannot_seek_is_uploaded_each_time(world: World) -> None:
    files, giga = Files(world), world.client()
    assert [world.do(giga, "attach", ("a.png", Unseekable(PNG))).id_ for _ in range(2)] == ["id-1", "id-2"]
    assert files.uploads == [("a.png", "image/png", hashlib.md5(PNG).hexdigest())] * 2


def test_a_file_that_changes_while_it_is_attached_is_not_remembered(world: World, tmp_path: Path) -> None:
    files, giga = Files(world), world.client()
    path = tmp_path / "a.txt"
    first, second = b"A" * 100_000, b"B" * 100_000
    path.write_bytes(first)

    def change(request: Request) -> Answer:
        path.write_bytes(second)
        world.answers = _Endless(files)
        return files(request)

    world.answers = [change]
    assert world.do(giga, "attach", path).id_ == "id-1"
    assert [world.do(giga, "attach", ("a.txt", content)).id_ for content in (first, second)] == ["id-2", "id-3"]
    assert [sent for _, _, sent in files.uploads] == [
        hashlib.md5(content).hexdigest() for content in (second, first, second)
    ]


class Text(io.BytesIO):
    """It gives text once it is read."""

    def read(self, size: int | None = -1) -> Any:
        return "text" if size == -1 or (size or 0) > 4096 else super().read(size)


def test_a_file_that_gives_no_bytes(world: World) -> None:
    with pytest.raises(GigaChatException, match=r"^the file a\.png cannot be read: it gives str, not bytes$"):
        world.do(world.client(), "attach", ("a.png", Text(PNG)))
    assert world.requests == []


def test_a_caller_does_not_wait_for_ever() -> None:
    """The one that uploads may be in an event loop that was stopped."""
    world = World("async")
    ids = world.client()._service.uploaded_ids

    async def main() -> None:
        async with ids.lock("key", world):
            before = world.time
            async with ids.lock("key", world):
                assert world.time == before + 60
            async with ids.lock("other", world):
                assert world.time == before + 60

    asyncio.run(main())


def test_memory_of_attached_files_is_bounded(world: World) -> None:
    files, giga = Files(world), world.client()
    for number in range(1002):
        world.do(giga, "attach", (f"{number}.txt", str(number)))
    for number in (1, 0):
        world.do(giga, "attach", (f"{number}.txt", str(number)))
    assert len(files.uploads) == 1004
    world.do(giga, "attach", ("1001.txt", "1001"))
    assert len(files.uploads) == 1004


@pytest.mark.parametrize(
    ("file", "error", "reason"),
    [
        (b"", ValueError, "is empty"),
        ("no such file.png", ValueError, "names no file"),
        (b"\x00\x01", ValueError, "cannot tell a type"),
        (("a.exe", b"MZ\x00"), ValueError, "cannot tell a type"),
        (("a.png", bytes(15 * 1024 * 1024 + 1)), ValueError, "15 MB"),
        (("a.wav", bytes(35 * 1024 * 1024 + 1)), ValueError, "35 MB"),
        (("a.txt", bytes(40 * 1024 * 1024 + 1)), ValueError, "40 MB"),
        (5, TypeError, "a file is a path"),
        (None, TypeError, "a file is a path"),
        (io.StringIO("text"), TypeError, "does not read bytes"),
    ],
)
@pytest.mark.parametrize("method", ["attach", "transcribe"])
def test_what_is_refused_before_anything_is_sent(
    world: World, method: str, file: Any, error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason) as caught:
        world.do(world.client(), method, file)
    assert "\n" not in str(caught.value)
    assert world.requests == []


@pytest.mark.parametrize("method", ["attach", "transcribe", "upload_file"])
def test_a_file_that_the_service_has_is_not_uploaded(world: World, method: str) -> None:
    for file in (uploaded("a.wav"), drawn("a")):
        with pytest.raises(TypeError, match=r"has this file already: attach it with files=\[file\]"):
            world.do(world.client(), method, file)
    assert world.requests == []


# Recordings.


@pytest.mark.parametrize("name", ["a.wav", "a.mp3", "a.ogg", "a.m4a", "a.opus", "a.weba", "a.mp4"])
def test_a_recording_is_attached_to_a_chat(world: World, name: str) -> None:
    files, giga = Files(world), world.client()
    completion = world.do(giga, "transcribe", (name, WAV))
    assert isinstance(completion, models.ChatCompletion)
    body = json.loads(world.api_requests[-1].content or b"")
    (message,) = body["messages"]
    assert (message["role"], message["attachments"]) == ("user", ["id-1"])
    assert message["content"].startswith("Transcribe the recording")
    assert (body["model"], "function_call" in body, len(files.uploads)) == ("GigaChat", False, 1)


def test_prompt_and_model_of_a_transcription(world: World) -> None:
    Files(world)
    world.do(world.client(), "transcribe", WAV, prompt="О чём речь?", model="GigaChat-2-Max")
    body = json.loads(world.api_requests[-1].content or b"")
    assert (body["messages"][0]["content"], body["model"]) == ("О чём речь?", "GigaChat-2-Max")


@pytest.mark.parametrize("file", [PNG, ("a.txt", "text"), ("a.wav", WAV, "text/plain"), ("a.xyz", WAV, "audio/flac")])
def test_what_is_no_audio_is_refused_before_anything_is_sent(world: World, file: Any) -> None:
    with pytest.raises(ValueError, match="not audio: give one of mp4, mp3, m4a, wav, weba, webm, ogg, opus"):
        world.do(world.client(), "transcribe", file)
    assert world.requests == []


def test_an_empty_prompt_is_refused(world: World) -> None:
    with pytest.raises(ValueError, match="the message is empty"):
        world.do(world.client(), "transcribe", WAV, prompt="")
    assert world.requests == []


# Files of requests.

METHODS = ("chat", "chat.create")


def sent(world: World, method: str, payload: Any, **fields: Any) -> dict[str, Any]:
    """Return the body of a request."""
    world.answers.append(Answer(V2 if method == "chat.create" else COMPLETION))
    world.do(world.client(), method, payload, **fields)
    body: dict[str, Any] = json.loads(world.api_requests[-1].content or b"")
    return body


def ids(message: dict[str, Any]) -> list[str]:
    """Return the files of a message of either version."""
    if isinstance(message["content"], str):
        return list(message.get("attachments", ()))
    return [file["id"] for part in message["content"] for file in part.get("files", ())]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "files",
    [
        ["a"],
        ("a",),
        [uploaded("a")],
        [drawn("a")],
        [models.ChatContentFile.model_validate({"id": "a"})],
        ["a", uploaded("a"), "a"],
    ],
)
def test_files_are_attached_to_the_message(world: World, method: str, files: Any) -> None:
    body = sent(world, method, "Что это?", files=files)
    assert list(body) == ["model", "messages"]
    assert [ids(message) for message in body["messages"]] == [["a"]]


@pytest.mark.parametrize("method", METHODS)
def test_files_are_attached_to_the_last_message(world: World, method: str) -> None:
    kind: Any = models.Messages if method == "chat" else models.ChatMessage
    messages = [kind(role="system", content="s"), kind(role="user", content="Что это?")]
    before = [message.model_copy(deep=True) for message in messages]
    body = sent(world, method, messages, files=["a", "b"])
    assert [ids(message) for message in body["messages"]] == [[], ["a", "b"]]
    assert messages == before
    own = {"attachments": ["x"]} if method == "chat" else {}
    content: Any = "text" if method == "chat" else ["text", {"files": ["x"]}]
    body = sent(world, method, [{"role": "user", "content": content, **own}], files=["a"])
    assert ids(body["messages"][0]) == ["x", "a"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("files", [None, [], ()])
def test_no_files_change_nothing(world: World, method: str, files: Any) -> None:
    assert sent(world, method, "x", files=files) == sent(world, method, "x")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("files", "error", "reason"),
    [
        ("id", TypeError, r"files= takes a list, not str: files=\[giga.attach\(path\)\]"),
        (uploaded("a"), TypeError, "files= takes a list, not UploadedFile"),
        (b"content", TypeError, "files= takes a list, not bytes"),
        ({"a": 1}, TypeError, "files= takes a list, not dict"),
        ([Path("a.png")], TypeError, r"ids, not \w*Path: giga.attach\(path\)"),
        ([b"content"], TypeError, r"ids, not bytes: giga.attach\(path\)"),
        ([None], TypeError, "ids, not NoneType"),
        (["cat.PNG"], ValueError, r"not 'cat.PNG': giga.attach\(path\)"),
        (["docs/report.pdf"], ValueError, "not 'docs/report.pdf'"),
        ([""], ValueError, "not ''"),
        ([uploaded("a.png"), uploaded("b.jpg")], ValueError, "a message can have one image"),
        ([uploaded("a.png"), drawn("b")], ValueError, "a message can have one image"),
        ([uploaded("a", modalities=["image"]), uploaded("b.bmp")], ValueError, "a message can have one image"),
        ([uploaded("a.wav", 40 << 20), uploaded("b.mp3", 40 << 20)], ValueError, "must have less than 80 MB together"),
    ],
)
def test_files_that_a_message_cannot_have(
    world: World, method: str, files: Any, error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason) as caught:
        world.do(world.client(), method, "Что это?", files=files)
    assert "\n" not in str(caught.value)
    assert world.requests == []


@pytest.mark.parametrize("method", METHODS)
def test_files_that_a_message_can_have(world: World, method: str) -> None:
    files = [
        uploaded("a.png", 40 << 20),
        uploaded("b.mp3", (40 << 20) - 1),
        uploaded("c.txt", 100 << 20),
        uploaded("d"),
    ]
    assert ids(sent(world, method, "Что это?", files=files)["messages"][0]) == ["a.png", "b.mp3", "c.txt", "d"]


@pytest.mark.parametrize("method", METHODS)
def test_files_need_a_message_of_the_user(world: World, method: str) -> None:
    for messages in ([{"role": "assistant", "content": "x"}], [{"role": "system", "content": "x"}]):
        with pytest.raises(ValueError, match="the last message, which must be the user's"):
            world.do(world.client(), method, messages, files=["a"])
    assert world.requests == []


@pytest.mark.parametrize(("method", "of"), [("chat", "messages"), ("chat.create", "messages v1")])
def test_attachments_are_of_messages(world: World, method: str, of: str) -> None:
    with pytest.raises(TypeError, match=rf"attachments= belongs to {of}; a chat takes files=\[...\]"):
        world.do(world.client(), method, "x", attachments=["a"])
    assert world.requests == []


def test_a_message_takes_uploaded_files_as_attachments(world: World) -> None:
    body = sent(world, "chat", [{"role": "user", "content": "x", "attachments": ["a", uploaded("b"), drawn("c")]}])
    assert ids(body["messages"][0]) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("file", "fields", "mode"),
    [
        (uploaded("a.txt"), {}, "auto"),
        (uploaded("a.PDF"), {}, "auto"),
        (uploaded("a.txt"), {"function_call": "none"}, "none"),
        (uploaded("a.txt"), {"functions": [{"name": "f", "parameters": {"type": "object", "properties": {}}}]}, None),
        (uploaded("a.png"), {}, None),
        (uploaded("a.mp3"), {}, None),
        ("id", {}, None),
    ],
)
def test_documents_are_read_by_a_built_in_function(world: World, file: Any, fields: Any, mode: str | None) -> None:
    """Reference, section 4.4: `get_file_content` needs `function_call`."""
    assert sent(world, "chat", "О чём это?", files=[file], **fields).get("function_call") == mode


def test_the_files_of_a_conversation_belong_to_its_messages(world: World) -> None:
    with pytest.raises(TypeError, match=r"send\(text, files=\[...\]\)"):
        world.client().conversation(files=["a"])


def test_a_document_that_is_gone_names_its_status(world: World) -> None:
    world.answers.append(error(404, "No such file"))
    with pytest.raises(NotFoundError, match="No such file"):
        world.do(world.client(), "chat", "x", files=["a"])
