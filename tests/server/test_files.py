"""The files of the local server over a real socket, with a plain HTTP library."""

from __future__ import annotations

import io
import re
import time
import uuid
import wave
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from gigachat.server import GigaChatServer
from gigachat.server.engine import MadeFile, ToolUse
from gigachat.server.engines.echo import Echo
from tests.server.api import BODY, SYNTAX, Api

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from gigachat.server import ChatRequest, Piece

UNKNOWN = {"status": 404, "message": "No such file"}
NO_FILE = "Invalid params: file is required: a part of multipart/form-data with a file name and a type"
MEGABYTE = 1024 * 1024
TEXTS = [
    "text/plain",
    "application/msword",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/pdf",
    "application/epub",
    "application/ppt",
    "application/pptx",
    "application/vnd.ms-excel",
]
IMAGES = ["image/jpeg", "image/png", "image/tiff", "image/bmp"]
AUDIO = [
    "audio/mp4",
    "audio/mp3",
    "audio/x-m4a",
    "audio/x-wav",
    "audio/wave",
    "audio/wav",
    "audio/x-pn-wav",
    "audio/webm",
    "audio/x-ogg",
    "audio/opus",
]


def upload(api: Api, name: str, content: bytes, mime: str, **fields: str) -> httpx2.Response:
    return api.http.post("/files", files={"file": (name, content, mime)}, data=fields)


def uploaded(api: Api, content: bytes = b"abc", name: str = "a.txt", mime: str = "text/plain") -> str:
    file_id: str = upload(api, name, content, mime).raise_for_status().json()["id"]
    return file_id


def test_a_file_from_upload_to_deletion(api: Api) -> None:
    content = bytes(range(256)) * 10
    before = int(time.time())
    sent = upload(api, "отчёт за май.pdf", content, "application/pdf", purpose="general")
    assert sent.status_code == 200
    file = sent.json()
    assert list(file) == [
        "id",
        "object",
        "bytes",
        "created_at",
        "filename",
        "purpose",
        "access_policy",
        "modalities",
    ]
    file_id, created_at = file.pop("id"), file.pop("created_at")
    assert uuid.UUID(file_id).version == 4
    assert before <= created_at <= time.time()
    assert file == {
        "object": "file",
        "bytes": 2560,
        "filename": "отчёт за май.pdf",
        "purpose": "general",
        "access_policy": "private",
        "modalities": None,
    }

    assert api.http.get(f"/files/{file_id}").json() == sent.json()
    listed = api.http.get("/files").json()
    assert list(listed) == ["data"]
    assert listed["data"][0] == sent.json()

    read = api.http.get(f"/files/{file_id}/content", headers={"Accept": "application/jpg", "X-Request-ID": "mine"})
    assert read.content == content
    assert read.headers["content-type"] == "application/octet-stream"
    assert read.headers["content-length"] == "2560"
    assert read.headers["x-request-id"] == "mine"

    # Whatever comes with it: the published client sends an odd form.
    gone = api.http.post(f"/files/{file_id}/delete", files={"file": file_id.encode()})
    assert gone.json() == {"id": file_id, "deleted": True, "access_policy": "private"}
    for method, path in (("GET", ""), ("GET", "/content"), ("POST", "/delete")):
        answer = api.http.request(method, f"/files/{file_id}{path}")
        assert (answer.status_code, answer.json()) == (404, UNKNOWN)
    assert file_id not in [one["id"] for one in api.http.get("/files").json()["data"]]


def test_the_newest_file_comes_first(api: Api) -> None:
    ids = [uploaded(api) for _ in range(3)]
    listed = [one["id"] for one in api.http.get("/files").json()["data"]]
    assert listed[:3] == ids[::-1]


def test_both_prefixes_know_the_same_files(api: Api) -> None:
    file = api.http.post(
        f"{api.server.origin}/v1/files", files={"file": ("a.txt", b"abc", "text/plain")}, data={"purpose": "assistant"}
    ).json()
    assert file["purpose"] == "assistant"
    assert api.http.get(f"/files/{file['id']}").json() == file
    assert api.http.get(f"{api.server.origin}/v1/files/{file['id']}/content").content == b"abc"


@pytest.mark.parametrize(
    ("mime", "modalities"),
    [(one, None) for one in TEXTS] + [(one, ["image"]) for one in IMAGES] + [(one, ["audio"]) for one in AUDIO],
)
def test_accepted_types(api: Api, mime: str, modalities: list[str] | None) -> None:
    assert upload(api, "any.bin", b"", mime).json()["modalities"] == modalities


def test_a_type_may_be_written_oddly(api: Api) -> None:
    assert upload(api, "a.txt", b"abc", "Text/Plain; charset=utf-8").status_code == 200


@pytest.mark.parametrize("mime", ["application/zip", "audio/mpeg", "image/gif", "application/json", "nonsense"])
def test_other_types_are_refused(api: Api, mime: str) -> None:
    before = api.http.get("/files").json()
    answer = upload(api, "a.txt", b"abc", mime)
    message = f"Invalid params: files of type {mime} are not accepted"
    assert (answer.status_code, answer.json()) == (422, {"status": 422, "message": message})
    assert api.http.get("/files").json() == before


def part(*headers: str, body: str = "abc") -> bytes:
    return "\r\n".join(["--edge", *headers, "", body, "--edge--", ""]).encode()


FORM = "multipart/form-data; boundary=edge"


@pytest.mark.parametrize(
    ("content_type", "body", "status", "message"),
    [
        ("application/json", b'{"file":"abc"}', 422, NO_FILE),
        (FORM, part('Content-Disposition: form-data; name="purpose"'), 422, NO_FILE),
        (FORM, part('Content-Disposition: form-data; name="file"'), 422, NO_FILE),
        (
            FORM,
            part('Content-Disposition: form-data; name="file"; filename=""', "Content-Type: text/plain"),
            422,
            NO_FILE,
        ),
        (
            FORM,
            part('Content-Disposition: form-data; name="file"; filename="a.txt"'),
            422,
            "Invalid params: files of type unknown are not accepted",
        ),
        (FORM, b"no form at all", 400, SYNTAX),
        (FORM, part("Content-Disposition: form-data"), 400, SYNTAX),
        ("multipart/form-data", part('Content-Disposition: form-data; name="file"; filename="a"'), 400, SYNTAX),
    ],
)
def test_refused_uploads(api: Api, content_type: str, body: bytes, status: int, message: str) -> None:
    answer = api.http.post("/files", content=body, headers={"Content-Type": content_type})
    assert (answer.status_code, answer.json()) == (status, {"status": status, "message": message})


def test_an_unknown_purpose_is_refused(api: Api) -> None:
    answer = upload(api, "a.txt", b"abc", "text/plain", purpose="fine-tune")
    assert answer.status_code == 422
    assert answer.json()["message"] == "Invalid params: purpose must be one of: general, assistant"


@pytest.mark.parametrize(
    ("mime", "megabytes"),
    [
        ("image/png", 15),
        pytest.param("audio/wav", 35, marks=pytest.mark.slow),
        pytest.param("text/plain", 40, marks=pytest.mark.slow),
    ],
)
def test_each_kind_has_its_limit(api: Api, mime: str, megabytes: int) -> None:
    whole = bytes(megabytes * MEGABYTE)
    answer = upload(api, "a", whole + b"1", mime)
    assert (answer.status_code, answer.json()) == (413, {"status": 413, "message": "Payload too large"})
    file_id = uploaded(api, whole, "a", mime)
    assert len(api.http.get(f"/files/{file_id}/content").content) == megabytes * MEGABYTE
    api.http.post(f"/files/{file_id}/delete")


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "a/../../b.txt", "NUL", "имя\u202eтxt.exe", "." * 300]
)
def test_names_are_only_labels(api: Api, name: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file_id = uploaded(api, b"harmless", name)
    assert api.http.get(f"/files/{file_id}").json()["filename"] == name
    assert api.http.get(f"/files/{file_id}/content").content == b"harmless"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file_id", ["nothing", "%2e%2e%2fpasswd", "..%2f..%2fetc%2fpasswd", "a%00b", "файл"])
@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("GET", "/content"), ("POST", "/delete")])
def test_unknown_files(api: Api, method: str, path: str, file_id: str) -> None:
    answer = api.http.request(method, f"{api.server.base_url}/files/{file_id}{path}")
    assert answer.status_code == 404
    # A slash makes another path of it, which there is none either.
    assert answer.json()["message"] == ("Not Found" if "%2f" in file_id else "No such file")


def test_files_need_a_token(api: Api) -> None:
    for method, path in (("POST", ""), ("GET", ""), ("GET", "/a"), ("GET", "/a/content"), ("POST", "/a/delete")):
        answer = api.http.request(method, f"/files{path}", headers={"Authorization": "Bearer wrong"})
        assert (answer.status_code, answer.json()["message"]) == (401, "Unauthorized")


def test_ordered_failures_come_first(api: Api) -> None:
    api.server.fail(503, path="/files")
    assert upload(api, "a.txt", b"abc", "text/plain").status_code == 503
    assert upload(api, "a.txt", b"abc", "text/plain").status_code == 200


def test_many_uploads_at_once(api: Api) -> None:
    def one(number: int) -> bool:
        content = str(number).encode() * 300_000  # large enough for a temporary file
        file_id = uploaded(api, content, f"{number}.txt")
        return api.http.get(f"/files/{file_id}/content").content == content

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(one, range(16)))


def recording(seconds: float) -> bytes:
    """Return a WAV of silence."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(int(16_000 * seconds)))
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "mime", "told"),
    [
        ("Хлеб".encode(), "text/plain", ("В файле a: «Хлеб».", "The file a says: “Хлеб”.")),
        (b"a" * 400, "text/plain", (f"«{'a' * 300}…».", f"“{'a' * 300}…”.")),
        (b"\xff", "text/plain", ("«\ufffd».", "“\ufffd”.")),
        (recording(2.25), "audio/x-wav", ("запись длиной 2.2 с.", "a recording of 2.2 s.")),
        (b"RIFF", "audio/wav", ("байтов: 4.", "has 4 bytes.")),
        (recording(0)[:-8], "audio/wav", ("байтов: 36.", "has 36 bytes.")),
        (b"ID3", "audio/mp3", ("байтов: 3.", "has 3 bytes.")),
        (b"\xff\xd8", "image/jpeg", ("байтов: 2.", "has 2 bytes.")),
        (b"%PDF-1.7", "application/pdf", ("байтов: 8.", "has 8 bytes.")),
    ],
)
def test_the_echo_tells_what_is_in_a_file(api: Api, content: bytes, mime: str, told: tuple[str, str]) -> None:
    file_id = uploaded(api, content, "a", mime)
    for question, answer in zip(("Что там?", "What is it?"), told, strict=True):
        asked = {"role": "user", "content": question, "attachments": [file_id]}
        assert answer in api.text(asked)
        assert answer not in api.text(
            asked, {"role": "assistant", "content": "x"}, {"role": "user", "content": question}
        )
    assert (
        api.text({"role": "user", "content": "Что там?", "attachments": [file_id, file_id][:1]}).count("файле a") == 1
    )


def test_v1_makes_a_model_when_asked(api: Api) -> None:
    asked = {"role": "user", "content": "text2model3d"}
    text = api.text(asked, function_call="auto", functions=[{"name": "text2model3d"}])
    found = re.match(r'<div data-model-id="([0-9a-f-]{36})" fuse="true"/> \S', text)
    assert found is not None
    assert api.http.get(f"/files/{found[1]}/content").raise_for_status().content.startswith(b"Kaydara FBX")


class Painter(Echo):
    """Paints a picture whatever is asked."""

    async def complete(self, request: ChatRequest) -> AsyncGenerator[Piece, None]:
        yield ToolUse("text2image", [MadeFile(b"picture", "picture.jpg")])
        yield "Done."


@pytest.mark.parametrize(
    ("made_for", "read_by", "status"),
    [(None, None, 200), (None, "b", 200), ("a", "a", 200), ("a", None, 404), ("a", "b", 404)],
)
def test_a_picture_is_for_whom_it_was_made(made_for: str | None, read_by: str | None, status: int) -> None:
    def header(client_id: str | None) -> dict[str, str]:
        return {} if client_id is None else {"X-Client-ID": client_id}

    with GigaChatServer(tls=False, engine=Painter()) as server:
        api = Api(server)
        api.http.post("/chat/completions", json=BODY, headers=header(made_for)).raise_for_status()
        (picture,) = api.http.get("/files").json()["data"]
        assert (picture["filename"], picture["modalities"]) == ("picture.jpg", ["image"])
        answer = api.http.get(f"/files/{picture['id']}/content", headers=header(read_by))
        assert answer.status_code == status
        if status == 200:
            assert answer.content == b"picture"
        else:
            assert answer.json() == UNKNOWN
        api.http.close()
