"""Files: what is made of each form of an upload, what is refused before anything is sent, and downloads to disk."""

from __future__ import annotations

import asyncio
import base64
import gzip
import io
import mimetypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import anyio
import httpx2
import pytest
import trio
from starlette.datastructures import UploadFile

from gigachat import AsyncGigaChat, GigaChat, models
from gigachat._engine.transport import Request, Stage
from gigachat.exceptions import APIConnectionError, NotFoundError
from tests.support.pipe import Pipe
from tests.support.systems import needs_pipes, needs_trio
from tests.support.waiting import PATIENCE, begun
from tests.unit.world import Answer, World, error, lost

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
CARD = {
    "id": "5b2a",
    "object": "file",
    "bytes": 28,
    "created_at": 1715768909,
    "filename": "a.png",
    "purpose": "general",
    "access_policy": "private",
    "modalities": ["image"],
}


class Sent:
    """What an upload consists of, read while it is sent, as a transport does."""

    def __init__(self) -> None:
        self.name = self.type = ""
        self.content = b""
        self.fields: dict[str, str] = {}
        self.file: Any = None

    def __call__(self, request: Request) -> Answer:
        upload = request.upload
        assert upload is not None
        assert request.content is None
        self.file = upload.file
        self.name, self.type, self.fields = upload.filename, upload.content_type, dict(upload.fields)
        self.content = upload.file if isinstance(upload.file, bytes) else upload.file.read()
        return Answer(CARD)


def upload(world: World, *arguments: Any, **options: Any) -> Sent:
    sent = Sent()
    world.answers.append(sent)
    answer = world.do(world.client(), "upload_file", *arguments, **options)
    assert isinstance(answer, models.UploadedFile)
    assert answer.id_ == "5b2a"
    (request,) = world.api_requests
    assert (request.method, request.url.rpartition("/api/v1")[2]) == ("POST", "/files")
    return sent


def refused(world: World, kind: type[Exception], text: str, *arguments: Any) -> None:
    """Check that nothing is sent."""
    with pytest.raises(kind, match=text):
        world.do(world.client(), "upload_file", *arguments)
    assert world.requests == []


def wav(size: int = 40) -> bytes:
    return b"RIFF" + size.to_bytes(4, "little") + b"WAVEfmt " + bytes(24)


# Forms.


@pytest.mark.parametrize("form", [str, Path])
def test_a_path(world: World, tmp_path: Path, form: Callable[[Path], Any]) -> None:
    path = tmp_path / "Отчёт за май.docx"
    path.write_bytes(b"PK\x03\x04 content")
    sent = upload(world, form(path))
    assert sent.name == "Отчёт за май.docx"
    assert sent.type == "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    assert sent.content == b"PK\x03\x04 content"
    assert sent.fields == {"purpose": "general"}
    assert sent.file.closed


def test_a_file_opened_here_is_closed_after_a_failure(world: World, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("text")
    files = []

    def fail(request: Request) -> Answer:
        assert request.upload is not None
        files.append(request.upload.file)
        return error(413, "too large")

    world.answers.append(fail)
    with pytest.raises(Exception, match="too large"):
        world.do(world.client(), "upload_file", path)
    assert isinstance(files[0], io.IOBase)
    assert files[0].closed


@pytest.mark.parametrize("form", [bytes, bytearray, memoryview])
def test_bytes(world: World, form: Callable[[bytes], Any]) -> None:
    sent = upload(world, form(PNG), "assistant")
    assert (sent.name, sent.type, sent.content) == ("upload.png", "image/png", PNG)
    assert type(sent.file) is bytes
    assert sent.fields == {"purpose": "assistant"}


def test_a_file_object_is_left_open_and_sent_from_its_beginning(world: World, tmp_path: Path) -> None:
    path = tmp_path / "голос.mp3"
    path.write_bytes(b"ID3 sound")
    with path.open("rb") as file:
        file.read(4)
        sent = upload(world, file)
        assert not file.closed
    assert (sent.name, sent.type, sent.content) == ("голос.mp3", "audio/mp3", b"ID3 sound")


def test_a_file_object_without_a_name(world: World, tmp_path: Path) -> None:
    sent = upload(world, io.BytesIO(wav()))
    assert (sent.name, sent.type) == ("upload.wav", "audio/wav")
    with open(os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT), "w+b") as file:  # its name is a number
        file.write(b"%PDF-1.7")
        world.requests.clear()
        sent = upload(world, file)
    assert (sent.name, sent.type, sent.content) == ("upload.pdf", "application/pdf", b"%PDF-1.7")


def test_a_file_that_can_be_read_once(world: World) -> None:
    sent = upload(world, ("a.png", Pipe(PNG)))
    assert (sent.name, sent.type, sent.content) == ("a.png", "image/png", PNG)
    world.requests.clear()
    sent = upload(world, io.BufferedReader(Pipe(PNG)))
    assert (sent.name, sent.type, sent.content) == ("upload.png", "image/png", PNG)
    world.requests.clear()
    refused(world, ValueError, "give its type", Pipe(PNG))


CONTENTS: list[tuple[Callable[[Path], Any], bytes]] = [
    (lambda path: b"bytes", b"bytes"),
    (lambda path: bytearray(b"bytes"), b"bytes"),
    (lambda path: "Привет", "Привет".encode()),
    (lambda path: io.BytesIO(b"object"), b"object"),
    (lambda path: path, b"on disk"),
]


@pytest.mark.parametrize(("make", "expected"), CONTENTS, ids=["bytes", "bytearray", "text", "object", "path"])
def test_a_tuple_with_each_kind_of_content(
    world: World, tmp_path: Path, make: Callable[[Path], Any], expected: bytes
) -> None:
    path = tmp_path / "b.pdf"
    path.write_bytes(b"on disk")
    sent = upload(world, ("заметка.txt", make(path)))
    assert (sent.name, sent.type, sent.content) == ("заметка.txt", "text/plain", expected)


def test_a_tuple_that_names_no_file(world: World, tmp_path: Path) -> None:
    assert upload(world, (None, PNG)).name == "upload.png"
    world.requests.clear()
    path = tmp_path / "b.txt"
    path.write_text("text")
    assert upload(world, (None, path)).name == "b.txt"


@pytest.mark.parametrize(
    "rest", [("application/zip",), ("application/zip", {}), (None, {"content-type": "application/zip"})]
)
def test_a_type_that_is_given_goes_through(world: World, rest: tuple[Any, ...]) -> None:
    sent = upload(world, ("a.zip", b"PK\x03\x04\x00\x00", *rest))
    assert (sent.name, sent.type) == ("a.zip", "application/zip")


def test_no_type_of_a_tuple_is_told_from_the_name(world: World) -> None:
    assert upload(world, ("a.PNG", b"whatever", None, {"X-Other": "1"})).type == "image/png"


# Types.

NAMES = {
    "a.txt": "text/plain",
    "a.doc": "application/msword",
    "a.docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "a.pdf": "application/pdf",
    "a.epub": "application/epub",
    "a.ppt": "application/ppt",
    "a.pptx": "application/pptx",
    "a.xlsx": "application/vnd.ms-excel",
    "a.xls": "application/vnd.ms-excel",
    "a.JPEG": "image/jpeg",
    "a.jpg": "image/jpeg",
    "a.png": "image/png",
    "a.tiff": "image/tiff",
    "a.bmp": "image/bmp",
    "a.mp4": "audio/mp4",
    "a.mp3": "audio/mp3",
    "a.m4a": "audio/x-m4a",
    "a.wav": "audio/wav",
    "a.weba": "audio/webm",
    "a.ogg": "audio/x-ogg",
    "a.opus": "audio/opus",
}


def test_types_by_name_are_the_services_own_on_every_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World("blocking")
    registry = mimetypes.MimeTypes()
    for name in NAMES:
        registry.add_type("application/wrong", os.path.splitext(name)[1].lower())
    monkeypatch.setattr(mimetypes, "_db", registry)
    sent = {}
    for name in NAMES:
        world.requests.clear()
        sent[name] = upload(world, (name, b"content")).type
    assert sent == NAMES


def zipped(name: str) -> bytes:
    """The beginning of an office document: its list of contents, then a part of it."""
    local = b"PK\x03\x04" + bytes(26)
    return local + b"[Content_Types].xml" + b"\x8d\x92" * 100 + local + name.encode()


BEGINNINGS = {
    "upload.jpg": b"\xff\xd8\xff\xe0\x00\x10JFIF",
    "upload.png": PNG,
    "upload.tiff": b"II*\x00\x08\x00",
    "upload.bmp": b"BM\x46\x00\x00\x00\x00\x00\x00\x00\x36",
    "upload.pdf": b"%PDF-1.4\n\x00",
    "upload.wav": wav(),
    "upload.ogg": b"OggS\x00\x02" + bytes(22) + b"\x01\x1e\x01vorbis",
    "upload.opus": b"OggS\x00\x02" + bytes(22) + b"\x01\x13OpusHead",
    "upload.mp3": b"\xff\xfb\x90\x00",
    "upload.m4a": b"\x00\x00\x00\x20ftypM4A \x00",
    "upload.mp4": b"\x00\x00\x00\x20ftypisom\x00",
    "upload.weba": b"\x1aE\xdf\xa3\x01\x00",
    "upload.epub": b"PK\x03\x04" + bytes(26) + b"mimetypeapplication/epub+zip",
    "upload.docx": zipped("word/document.xml"),
    "upload.pptx": zipped("ppt/presentation.xml"),
    "upload.xlsx": zipped("xl/workbook.xml"),
    "upload.txt": "Привет,\r\n\tмир".encode(),
}


@pytest.mark.parametrize("name", BEGINNINGS)
@pytest.mark.parametrize("given", [None, "uuid.octet-stream"])
def test_types_by_the_first_bytes(name: str, given: str | None) -> None:
    world = World("blocking")
    sent = upload(world, BEGINNINGS[name] if given is None else (given, BEGINNINGS[name]))
    assert sent.name == (given or name)
    assert sent.type == NAMES[f"a{os.path.splitext(name)[1]}"] if name != "upload.weba" else "audio/webm"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("requests.jsonl", b'{"custom_id": "1"}\n'),
        ("a.csv", "имя;число\r\n".encode("cp1251")),
        ("README", b"# readme"),
        ("page.html", b"<html>"),
        (None, "\ufeffтекст".encode("utf-16")),
    ],
)
def test_any_text_is_plain_text(name: str | None, content: bytes) -> None:
    assert upload(World("blocking"), (name, content)).type == "text/plain"


# What is refused before anything is sent.


def test_text_that_names_no_file(world: World) -> None:
    refused(world, ValueError, r"names no file; to upload text itself, pass .* \('name.txt', text\)", "Привет, мир")
    refused(world, ValueError, "names no file", "long " * 2000)
    refused(world, ValueError, "names no file", "\0")
    refused(world, ValueError, "names no file", "")


def test_paths_that_are_no_files(world: World, tmp_path: Path) -> None:
    refused(world, ValueError, "names no file", tmp_path / "absent.txt")
    refused(world, ValueError, "is a directory", tmp_path)
    refused(world, ValueError, "names no file", ("a.txt", tmp_path / "absent.txt"))


@pytest.mark.parametrize("named", [False, True], ids=["tuple", "file object"])
def test_names_that_are_not_utf_8(world: World, named: bool) -> None:
    content = io.BytesIO(b"text")
    # As Linux lists a file of an old archive.
    content.name = "отчёт.txt".encode("cp1251").decode("utf-8", "surrogateescape")
    assert upload(world, content if named else (content.name, b"text")).name == "?????.txt"


def test_files_that_do_not_give_bytes(world: World, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("text")
    with path.open() as file:
        refused(world, TypeError, "'rb'", file)
        refused(world, TypeError, "'rb'", ("a.txt", file))
    refused(world, TypeError, "'rb'", io.StringIO("text"))
    with path.open("wb") as file:
        refused(world, TypeError, "'rb'", file)


def test_a_mock_is_not_a_descriptor(world: World) -> None:
    refused(world, ValueError, "names no file", MagicMock())


@pytest.mark.parametrize(
    ("kind", "text", "rest"),
    [
        (ValueError, "the type of a file: ", ("text/plain\r\nX: y",)),
        (ValueError, "the type of a file: ", ("текст",)),
        (ValueError, "the headers of a file: ", (None, {"X": "a\r\nB: c"})),
        (ValueError, "the headers of a file: ", (None, {5: "a"})),
        (TypeError, "the headers of a file: the value of X must be text, not int", (None, {"X": 5})),
        (
            TypeError,
            "the headers of a file: the value of Content-Type must be text, not int",
            (None, {"Content-Type": 5}),
        ),
    ],
)
def test_headers_that_cannot_be_sent(world: World, kind: type[Exception], text: str, rest: tuple[Any, ...]) -> None:
    refused(world, kind, text, ("a.txt", b"text", *rest))


def test_texts_that_utf_8_cannot_hold(world: World) -> None:
    refused(world, ValueError, "half a surrogate pair", ("a.txt", "\ud83d"))
    refused(world, ValueError, "purpose must have ASCII", b"text", "\ud83d")
    assert upload(world, ("a\udcff.txt", b"text")).name == "a?.txt"


def test_a_compressed_file_has_no_path_in_its_name(world: World, tmp_path: Path) -> None:
    with gzip.open(tmp_path / "a.txt.gz", "wb") as file:
        file.write(b"text")
    with gzip.open(tmp_path / "a.txt.gz") as file:
        assert upload(world, file).name == "a.txt.gz"


class Unseekable(io.BytesIO):
    """It says that it can seek, as files in `/proc` do."""

    def seek(self, *place: int) -> int:
        raise OSError("no seek")


def test_a_file_that_cannot_be_measured(world: World) -> None:
    assert upload(world, ("a.txt", Unseekable(b"text"))).content == b"text"


@pytest.mark.parametrize(
    "file", [None, 7, ["a.txt", b"content"], (b"name", b"content"), ("a.txt", None), ("a.txt", b"content", 7)]
)
def test_what_is_no_file(world: World, file: Any) -> None:
    refused(world, TypeError, "of a file must be text|a file is a path", file)


@pytest.mark.parametrize("file", [("a.txt",), ("a.txt", b"content", None, {}, 5)])
def test_tuples_of_another_length(world: World, file: Any) -> None:
    refused(world, ValueError, "a tuple must be", file)


def test_empty_files(world: World, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.touch()
    for file in (path, b"", ("b.txt", ""), io.BytesIO()):
        refused(world, ValueError, "is empty", file)


def test_types_the_service_does_not_take(world: World) -> None:
    refused(world, ValueError, r"a\.zip: .*txt.*opus.*\(name, content, 'type/subtype'\)", ("a.zip", b"PK\x03\x04\x00"))
    refused(world, ValueError, "the content: ", b"\x00\x01\x02")


def test_purposes(world: World) -> None:
    refused(world, ValueError, "purpose", b"text", "")
    refused(world, ValueError, "purpose", b"text", None)


@pytest.mark.parametrize(
    ("name", "limit"), [("a.txt", 40), ("a.png", 15), ("a.mp3", 35)], ids=["text", "image", "audio"]
)
def test_sizes(world: World, tmp_path: Path, name: str, limit: int) -> None:
    path = tmp_path / name
    path.touch()
    os.truncate(path, limit * 1024 * 1024 + 1)
    refused(world, ValueError, f"{name} has {limit}.0 MB; .* up to {limit} MB", path)
    refused(world, ValueError, f"up to {limit} MB", ("b", path, NAMES[name]))
    os.truncate(path, limit * 1024 * 1024)
    sent = upload(world, path)
    assert len(sent.content) == limit * 1024 * 1024


def test_an_upload_is_not_repeated(world: World) -> None:
    world.answers.append(lost(Stage.WAITING))
    with pytest.raises(APIConnectionError):
        world.do(world.client(), "upload_file", b"text")
    assert len(world.api_requests) == 1


# The other calls.


def test_lists(world: World) -> None:
    world.answers.append(Answer({"data": [CARD, {"id": "2", "bytes": None, "purpose": None, "new": 1}]}))
    answer = world.do(world.client(), "get_files")
    assert [file.id_ for file in answer.data] == ["5b2a", "2"]
    first, second = answer.data
    assert (first.bytes_, first.created_at, first.filename, first.purpose) == (28, 1715768909, "a.png", "general")
    assert (first.object_, first.access_policy, first.modalities) == ("file", "private", ["image"])
    assert (second.bytes_, second.purpose, second.new) == (0, "", 1)


def test_one(world: World) -> None:
    world.answers.append(Answer(CARD, headers={"X-Request-Id": "r"}))
    answer = world.do(world.client(), "get_file", "a b/c")
    assert world.api_requests[0].url.endswith("/files/a%20b%2Fc")
    assert answer.x_headers["x-request-id"] == "r"


def test_deleting_sends_no_body_and_is_not_repeated(world: World) -> None:
    world.answers.append(Answer({"id": "5b2a", "deleted": True, "access_policy": "private"}))
    answer = world.do(world.client(), "delete_file", file="5b2a")
    request = world.api_requests[0]
    assert (request.method, request.content, request.upload) == ("POST", None, None)
    assert request.url.endswith("/files/5b2a/delete")
    assert (answer.id_, answer.deleted) == ("5b2a", True)
    world.answers.append(lost(Stage.WAITING))
    with pytest.raises(APIConnectionError):
        world.do(world.client(), "delete_file", "5b2a")


@pytest.mark.parametrize(
    ("method", "kind", "accept"),
    [
        ("get_image", models.Image, "application/jpg"),
        ("get_file_content", models.File, "application/octet-stream"),
    ],
)
def test_contents(world: World, method: str, kind: type[models.File], accept: str) -> None:
    world.answers.append(lost(Stage.WAITING))
    world.answers.append(Answer(b"\x00\xff content", headers={"x-request-id": "r"}))
    answer = world.do(world.client(), method, file_id="5b2a")
    assert type(answer) is kind
    assert isinstance(answer, models.File)
    assert base64.b64decode(answer.content) == b"\x00\xff content"
    assert answer.x_headers == {"x-request-id": "r", "x-session-id": None, "x-client-id": None}
    request = world.api_requests[-1]
    assert request.headers["Accept"] == accept
    assert request.url.endswith("/files/5b2a/content")
    assert "content" not in repr(answer)


@pytest.mark.parametrize("method", ["get_file", "delete_file", "get_image", "get_file_content"])
@pytest.mark.parametrize("bad", ["", ".", ".."])
def test_what_is_no_id(world: World, method: str, bad: str) -> None:
    with pytest.raises(ValueError, match="not a name or id"):
        world.do(world.client(), method, bad)
    assert world.requests == []


# Downloads.


def download(world: World, path: Any, *pieces: Any) -> Any:
    world.answers.append(Answer(pieces=pieces))
    return world.do(world.client(), "download_file", "5b2a", path)


def test_a_download(world: World, tmp_path: Path) -> None:
    target = tmp_path / "картинка.jpg"
    assert download(world, str(target), b"one ", b"two") == target
    assert target.read_bytes() == b"one two"
    assert list(tmp_path.iterdir()) == [target]
    assert world.api_requests[0].headers["Accept"] == "application/octet-stream"


def test_a_download_replaces_what_was_there(world: World, tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_text("older and longer")
    download(world, target, b"new")
    assert target.read_bytes() == b"new"


@needs_pipes
def test_a_download_through_a_link_or_to_a_pipe(world: World, tmp_path: Path) -> None:
    target, link, pipe = (tmp_path / name for name in ("target", "link", "pipe"))
    link.symlink_to(target)
    download(world, link, b"text")
    assert (link.is_symlink(), target.read_bytes()) == (True, b"text")
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = begun(lambda: read.append(pipe.read_bytes()))
    download(world, pipe, b"text")
    reader.join(PATIENCE)
    assert (pipe.is_fifo(), read) == (True, [b"text"])


def test_a_download_in_the_working_directory(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert download(world, "a.txt", b"text") == Path("a.txt")
    assert (tmp_path / "a.txt").read_bytes() == b"text"


@pytest.mark.parametrize(
    ("known", "name"),
    [
        ("a.png", "a.png"),
        ("фото 1.png", "фото 1.png"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\a.png", "a.png"),
        ("C:a.png", "C_a.png"),
        (".bashrc", "bashrc"),
        ("..", "5b2a"),
        (None, "5b2a"),
        ("ж" * 200 + ".png", "ж" * 125 + ".png"),  # 255 bytes at most, and no half letter
    ],
)
def test_a_download_into_a_directory(tmp_path: Path, known: str | None, name: str) -> None:
    world = World("blocking")
    world.answers.append(Answer({**CARD, "filename": known}))
    assert download(world, tmp_path, b"content") == tmp_path / name
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert [request.url.rpartition("/files/")[2] for request in world.api_requests] == ["5b2a", "5b2a/content"]


def test_a_broken_download_leaves_what_was_there(world: World, tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_text("older")
    with pytest.raises(APIConnectionError, match="lost while reading"):
        download(world, target, b"half", lost(Stage.READING))
    assert target.read_text() == "older"
    assert list(tmp_path.iterdir()) == [target]


def test_a_refused_download_leaves_nothing(world: World, tmp_path: Path) -> None:
    world.answers.append(error(404, "No such file"))
    with pytest.raises(NotFoundError):
        world.do(world.client(), "download_file", "5b2a", tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_the_connection_of_a_download_is_freed(world: World, tmp_path: Path) -> None:
    answer = Answer(pieces=[b"text"])
    world.answers.append(answer)
    world.do(world.client(), "download_file", "5b2a", tmp_path / "a")
    assert answer.state == "closed"


def test_a_download_to_nowhere(world: World, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no directory"):
        world.do(world.client(), "download_file", "5b2a", tmp_path / "absent" / "a")
    with pytest.raises(ValueError, match="not a name or id"):
        world.do(world.client(), "download_file", "", tmp_path / "a")
    assert world.requests == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", ["blocking", "async"])
@pytest.mark.parametrize("open_file", [lambda: "text", lambda: b"text", lambda: io.BytesIO(b"text")])
def test_an_upload_over_an_http_client_of_ones_own(mode: str, open_file: Callable[[], Any]) -> None:
    file = "a.txt", open_file()
    bodies: list[bytes] = []

    def answered(request: httpx2.Request) -> httpx2.Response:
        bodies.append(request.content)
        return httpx2.Response(200, json=CARD)

    async def awaited_answer(request: httpx2.Request) -> httpx2.Response:
        await request.aread()
        return answered(request)

    def blocking_answer(request: httpx2.Request) -> httpx2.Response:
        request.read()
        return answered(request)

    async def main() -> Any:
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(awaited_answer)) as own:
            return await AsyncGigaChat(access_token="t", async_http_client=own).upload_file(file)

    if mode == "async":
        uploaded = asyncio.run(main())
    else:
        with httpx2.Client(transport=httpx2.MockTransport(blocking_answer)) as own:
            uploaded = GigaChat(access_token="t", http_client=own).upload_file(file)
    assert uploaded.id_ == CARD["id"]
    (body,) = bodies
    assert b'filename="a.txt"' in body
    assert b"\r\n\r\ntext\r\n" in body


# Objects of frameworks.


class Storage(io.BytesIO):
    """As Flask has it: `name` is the field of the form."""

    name, filename = "file", "Акт.pdf"


class Field:
    """As aiohttp has it: a record of a file."""

    filename = "notes.txt"

    def __init__(self, content: bytes) -> None:
        self.file = io.BytesIO(content)


def test_files_of_forms_have_their_own_names(world: World) -> None:
    for file, name, kind in (
        (UploadFile(io.BytesIO(b"%PDF-1.4"), filename="act.pdf"), "act.pdf", "application/pdf"),
        (UploadFile(io.BytesIO(b"%PDF-1.4")), "upload.pdf", "application/pdf"),
        (Storage(b"%PDF-1.4"), "Акт.pdf", "application/pdf"),
        (Field(b"text"), "notes.txt", "text/plain"),
    ):
        world.requests.clear()
        sent = upload(world, file)
        assert (sent.name, sent.type) == (name, kind)
        assert sent.content in (b"%PDF-1.4", b"text")


@pytest.mark.parametrize("library", [anyio, pytest.param(trio, marks=needs_trio)], ids=lambda library: library.__name__)
def test_files_that_are_read_with_await_are_uploaded(library: Any, world: World, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"text")

    async def opened() -> Any:
        return await library.open_file(path, "rb")

    file = trio.run(opened) if library is trio else asyncio.run(opened())
    with file.wrapped:
        for given in (file, ("other.txt", file)):
            world.requests.clear()
            sent = upload(world, given)
            assert (sent.name, sent.content) == ("other.txt" if given is not file else "notes.txt", b"text")


class Awaited:
    """A file object that only `await` reads."""

    async def read(self, size: int = -1) -> bytes:
        return b""


@pytest.mark.parametrize("file", [Awaited(), ("a.txt", Awaited())], ids=["alone", "with a name"])
def test_a_file_that_only_await_reads_is_refused(file: Any, world: World) -> None:
    says = r"^the file object is read with await: pass its content, \(name, await file\.read\(\)\)$"
    refused(world, TypeError, says, file)


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1", b"msf1", b"avif", b"qt  ", b"crx "])
@pytest.mark.parametrize("name", ["IMG_0017.HEIC", None])
def test_photos_and_films_are_told_from_sound(brand: bytes, name: str | None, world: World) -> None:
    refused(world, ValueError, "cannot tell a type", (name, b"\0\0\0\x18ftyp" + brand + bytes(40)))


def test_raw_photos_of_canon_are_told_from_tiff(world: World) -> None:
    refused(world, ValueError, "cannot tell a type", b"II*\0\x10\0\0\0CR\2\0" + bytes(40))
    assert upload(world, b"II*\0\x08\0\0\0" + bytes(40)).type == "image/tiff"


@pytest.mark.parametrize(
    ("brand", "kind"),
    [(b"isom", "audio/mp4"), (b"iso6", "audio/mp4"), (b"mp42", "audio/mp4"), (b"M4A ", "audio/x-m4a")],
)
def test_sound_is_told_by_its_brand(brand: bytes, kind: str, world: World) -> None:
    assert upload(world, b"\0\0\0\x18ftyp" + brand + bytes(40)).type == kind
