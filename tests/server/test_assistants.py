"""Assistants of the local server over a real socket, with a plain HTTP library."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from tests.server.api import NAMES_TEXT, SYNTAX, WEATHER, Api

if TYPE_CHECKING:
    pass

NO_ASSISTANT = "No such assistant"
NO_FILE = "No such file"


def post(api: Api, path: str = "", **body: Any) -> httpx2.Response:
    return api.http.post(f"/assistants{path}", json=body)


def made(api: Api, **fields: Any) -> str:
    assistant_id: str = (
        post(api, **{"model": "GigaChat", "name": "helper", **fields}).raise_for_status().json()["assistant_id"]
    )
    return assistant_id


def found(api: Api, assistant_id: str) -> dict[str, Any]:
    answer = api.http.get("/assistants", params={"assistant_id": assistant_id}).raise_for_status().json()
    (assistant,) = answer["data"]
    return dict(assistant)


def uploaded(api: Api, name: str) -> str:
    file_id: str = api.http.post("/files", files={"file": (name, b"abc", "text/plain")}).json()["id"]
    return file_id


def test_an_assistant_from_creation_to_deletion(api: Api) -> None:
    file_id = uploaded(api, "книга.txt")
    before = int(time.time())
    # The published client sends nulls for what was not given.
    answer = post(
        api,
        model="GigaChat-2-Pro",
        name="helper",
        description=None,
        instructions="Be brief.",
        file_ids=[file_id],
        metadata=None,
        functions=[WEATHER],
    )
    assert list(answer.json()) == ["assistant_id", "created_at"]
    assistant_id, created_at = answer.json().values()
    assert uuid.UUID(assistant_id).version == 4
    assert before <= created_at <= time.time()

    assistant = found(api, assistant_id)
    assert assistant == {
        "assistant_id": assistant_id,
        "model": "GigaChat-2-Pro",
        "name": "helper",
        "instructions": "Be brief.",
        "created_at": created_at,
        "updated_at": created_at,
        "files": [{"file_id": file_id, "name": "книга.txt"}],
        "threads_count": 0,
        "functions": [WEATHER],
    }
    assert api.http.get("/assistants").json()["data"][0] == assistant
    assert api.http.get(f"{api.server.origin}/v1/assistants").json() == api.http.get("/assistants").json()

    changed = post(
        api, "/modify", assistant_id=assistant_id, name=None, description="Helps", metadata={"a": 1}, functions=None
    )
    expected = {**assistant, "description": "Helps", "metadata": {"a": 1}, "updated_at": changed.json()["updated_at"]}
    assert changed.json() == expected == found(api, assistant_id)
    assert list(changed.json()) == [
        "assistant_id",
        "model",
        "name",
        "description",
        "instructions",
        "created_at",
        "updated_at",
        "files",
        "metadata",
        "threads_count",
        "functions",
    ]
    assert post(api, "/modify", assistant_id=assistant_id, functions=[], metadata={}).json() == {
        name: value for name, value in {**expected, "metadata": {}}.items() if name != "functions"
    }

    assert post(api, "/delete", assistant_id=assistant_id).json() == {"assistant_id": assistant_id, "deleted": True}
    assert assistant_id not in [one["assistant_id"] for one in api.http.get("/assistants").json()["data"]]
    for answer in (
        api.http.get("/assistants", params={"assistant_id": assistant_id}),
        post(api, "/modify", assistant_id=assistant_id, name="other"),
        post(api, "/delete", assistant_id=assistant_id),
        post(api, "/files/delete", assistant_id=assistant_id, file_id=file_id),
    ):
        assert (answer.status_code, answer.json()) == (404, {"status": 404, "message": NO_ASSISTANT})


def test_the_newest_comes_first(api: Api) -> None:
    ids = [made(api) for _ in range(3)]
    assert [one["assistant_id"] for one in api.http.get("/assistants").json()["data"]][:3] == ids[::-1]


def test_an_assistant_loses_a_file(api: Api) -> None:
    first, second = uploaded(api, "1.txt"), uploaded(api, "2.txt")
    assistant_id = made(api, file_ids=[first, second])
    answer = post(api, "/files/delete", assistant_id=assistant_id, file_id=first)
    assert answer.json() == {"file_id": first, "deleted": True}
    assert found(api, assistant_id)["files"] == [{"file_id": second, "name": "2.txt"}]
    # The account keeps it.
    assert api.http.get(f"/files/{first}").status_code == 200
    again = post(api, "/files/delete", assistant_id=assistant_id, file_id=first)
    assert (again.status_code, again.json()["message"]) == (404, NO_FILE)


def test_a_deleted_file_is_no_longer_shown(api: Api) -> None:
    file_id = uploaded(api, "1.txt")
    assistant_id = made(api, file_ids=[file_id])
    api.http.post(f"/files/{file_id}/delete")
    assert found(api, assistant_id)["files"] == []


def test_its_threads_are_counted(api: Api) -> None:
    assistant_id = made(api)
    for _ in range(2):
        body = {"assistant_id": assistant_id, "messages": [{"role": "user", "content": "hi"}]}
        api.http.post("/threads/messages", json=body).raise_for_status()
    assert found(api, assistant_id)["threads_count"] == 2


SIXTEEN = {str(number): number for number in range(16)}


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        ({"model": None}, 404, "No such model"),
        ({"model": "Embeddings"}, 404, "No such model"),
        ({"model": 1}, 400, SYNTAX),
        ({"name": 1}, 400, SYNTAX),
        ({"instructions": ["a"]}, 400, SYNTAX),
        ({"description": {}}, 400, SYNTAX),
        ({"metadata": []}, 400, SYNTAX),
        ({"metadata": {**SIXTEEN, "16": 16}}, 422, "Invalid params: metadata must not have more than 16 pairs"),
        ({"file_ids": "a"}, 400, SYNTAX),
        ({"file_ids": [1]}, 400, SYNTAX),
        ({"file_ids": ["nothing"]}, 404, NO_FILE),
        ({"functions": {}}, 400, SYNTAX),
        ({"functions": [{"name": "1st", "parameters": {}}]}, 422, NAMES_TEXT.format("1st")),
    ],
)
def test_refused_fields(api: Api, fields: dict[str, Any], status: int, message: str) -> None:
    def check(answer: httpx2.Response) -> None:
        assert (answer.status_code, answer.json()) == (status, {"status": status, "message": message})

    before = api.http.get("/assistants").json()
    check(post(api, **{"model": "GigaChat", "name": "helper", **fields}))
    assert api.http.get("/assistants").json() == before
    if "model" in fields:
        return
    assistant_id = made(api, metadata=SIXTEEN)
    untouched = found(api, assistant_id)
    check(post(api, "/modify", **{"assistant_id": assistant_id, "name": "other", **fields}))
    assert found(api, assistant_id) == untouched


@pytest.mark.parametrize("path", ["/modify", "/delete", "/files/delete"])
@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"assistant_id":1}'])
def test_bodies_without_an_assistant(api: Api, path: str, body: bytes) -> None:
    answer = api.http.post(f"/assistants{path}", content=body)
    assert (answer.status_code, answer.json()) == (400, {"status": 400, "message": SYNTAX})
