"""Threads of the local server and their runs over a real socket, with a plain HTTP library."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from gigachat.server import GigaChatServer
from gigachat.server.engines.echo import Echo
from tests.server.api import SYNTAX, UNANSWERED, WEATHER, Api, events

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator

    from gigachat.server import ChatRequest, Piece

PATIENCE = 60.0
NO_THREAD = "No such thread"
LOCKED = "Invalid params: the thread is locked by a run"
EMPTY = "Invalid params: messages must not be empty"
TEXT_OF_AN_ECHO = "This is the echo of the local GigaChat server"


class Listening(Echo):
    """An echo that notes what it was asked, and waits before each answer while the gate is closed."""

    def __init__(self) -> None:
        self.heard: list[ChatRequest] = []
        self.asked = threading.Event()
        self.gate = threading.Event()
        self.gate.set()

    async def complete(self, request: ChatRequest) -> AsyncGenerator[Piece, None]:
        self.heard.append(request)
        self.asked.set()
        passed = await asyncio.to_thread(self.gate.wait, PATIENCE)
        assert passed
        if request.messages[-1].content == "fail":
            raise RuntimeError("the engine is broken")
        async for piece in super().complete(request):
            yield piece

    @property
    def conversation(self) -> list[tuple[str, str]]:
        """What the engine got to see last."""
        return [(one.role, one.content) for one in self.heard[-1].messages]


ENGINE = Listening()


@pytest.fixture(scope="module")
def shared() -> Iterator[Api]:
    with GigaChatServer(tls=False, engine=ENGINE) as server:
        api = Api(server)
        yield api
        ENGINE.gate.set()
        api.http.close()


@pytest.fixture
def api(shared: Api) -> Iterator[Api]:
    shared.server.clear()
    ENGINE.heard.clear()
    ENGINE.asked.clear()
    yield shared
    ENGINE.gate.set()


def user(text: str = "hello", **fields: Any) -> dict[str, Any]:
    return {"role": "user", "content": text, **fields}


def post(api: Api, path: str, **body: Any) -> httpx2.Response:
    return api.http.post(f"/threads{path}", json=body)


def get(api: Api, path: str, **query: Any) -> httpx2.Response:
    return api.http.get(f"/threads{path}", params=query)


def created(api: Api) -> str:
    thread_id: str = post(api, "").raise_for_status().json()["id"]
    return thread_id


def thread(api: Api, thread_id: str) -> dict[str, Any]:
    (one,) = post(api, "/retrieve", threads_ids=[thread_id]).raise_for_status().json()["threads"]
    return dict(one)


def messages(api: Api, thread_id: str, **query: Any) -> list[dict[str, Any]]:
    answer = get(api, "/messages", thread_id=thread_id, **query).raise_for_status().json()
    assert list(answer) == ["thread_id", "messages"]
    assert answer["thread_id"] == thread_id
    found: list[dict[str, Any]] = answer["messages"]
    return found


def said(api: Api, thread_id: str) -> list[tuple[str, str]]:
    return [(one["role"], one["content"]) for one in messages(api, thread_id)]


def run(api: Api, *new: dict[str, Any], **body: Any) -> dict[str, Any]:
    answer: dict[str, Any] = post(api, "/messages/run", messages=list(new), **body).raise_for_status().json()
    return answer


def talk(api: Api, *texts: str, **body: Any) -> str:
    """Talk in a new thread and return its id."""
    thread_id = ""
    for text in texts:
        where = {"thread_id": thread_id} if thread_id else {"model": "GigaChat", **body}
        thread_id = run(api, user(text), **where)["thread_id"]
    return thread_id


def assistant(api: Api, **fields: Any) -> str:
    body = {"model": "GigaChat-2-Max", "name": "helper", **fields}
    assistant_id: str = api.http.post("/assistants", json=body).raise_for_status().json()["assistant_id"]
    return assistant_id


def wait(api: Api, thread_id: str, ready: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    end = time.monotonic() + PATIENCE
    while True:
        state = get(api, "/run", thread_id=thread_id).raise_for_status().json()
        if ready(state):
            return dict(state)
        assert time.monotonic() < end, state


def ended(state: dict[str, Any]) -> bool:
    return bool(state["status"] != "in_progress")


def check_refused(answer: httpx2.Response, status: int, message: str) -> None:
    assert (answer.status_code, answer.json()) == (status, {"status": status, "message": message})


# Threads


def test_a_thread_from_creation_to_deletion(api: Api) -> None:
    before = int(time.time())
    answer = post(api, "")
    made = answer.json()
    assert list(made) == ["id", "model", "created_at", "updated_at", "status", "run_lock"]
    assert uuid.UUID(made["id"]).version == 4
    assert before <= made["created_at"] <= made["updated_at"] <= time.time()
    assert (made["model"], made["status"], made["run_lock"]) == ("GigaChat", "ready", False)
    assert get(api, "").json()["threads"][0] == made
    assert post(api, "/retrieve", threads_ids=["nothing", made["id"]]).json() == {"threads": [made]}
    assert get(api, "/messages", thread_id=made["id"]).json() == {"thread_id": made["id"], "messages": []}
    assert get(api, "/run", thread_id=made["id"]).json() == {
        "status": "ready",
        "thread_id": made["id"],
        "updated_at": made["updated_at"],
        "model": "GigaChat",
        "messages": [],
    }

    gone = post(api, "/delete", thread_id=made["id"])
    assert (gone.status_code, gone.content) == (200, b"")
    assert gone.headers["x-request-id"]
    assert post(api, "/retrieve", threads_ids=[made["id"]]).json() == {"threads": []}
    for answer in (
        post(api, "/delete", thread_id=made["id"]),
        get(api, "/messages", thread_id=made["id"]),
        get(api, "/run", thread_id=made["id"]),
        post(api, "/run", thread_id=made["id"]),
        post(api, "/messages", thread_id=made["id"], messages=[user()]),
        post(api, "/messages/run", thread_id=made["id"], messages=[user()]),
        post(api, "/messages/rerun", thread_id=made["id"]),
    ):
        check_refused(answer, 404, NO_THREAD)


def test_threads_are_listed_newest_first() -> None:
    with GigaChatServer(tls=False) as server:
        api = Api(server)
        assert get(api, "").json() == {"threads": []}
        first, second = assistant(api), assistant(api)
        ids = [
            post(api, "/messages", assistant_id=one, messages=[user()]).json()["thread_id"]
            for one in (first, second, first)
        ]
        ids.append(created(api))

        def listed(**query: Any) -> list[str]:
            return [one["id"] for one in get(api, "", **query).raise_for_status().json()["threads"]]

        assert listed() == ids[::-1]
        assert listed(limit=2) == ids[:1:-1]
        assert listed(assistants_ids=first) == [ids[2], ids[0]]
        assert listed(assistants_ids=[first, second]) == ids[2::-1]
        assert listed(assistants_ids=[first, second], limit=1) == [ids[2]]
        assert listed(assistants_ids="nothing") == []
        now = thread(api, ids[-1])["created_at"]
        assert listed(before=now + 1) == ids[::-1]
        assert listed(before=now - 60) == []
        api.http.close()


@pytest.mark.parametrize("path", ["", "/messages"])
@pytest.mark.parametrize("name", ["limit", "before"])
@pytest.mark.parametrize("value", ["0", "-1", "ten", "1.5", "", "²", "9" * 5000])
def test_numbers_in_the_query(api: Api, path: str, name: str, value: str) -> None:
    query = {"thread_id": created(api), name: value}
    check_refused(get(api, path, **query), 422, f"Invalid params: {name} must be an integer greater than 0")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("", b""),
        ("", b"[]"),
        ("/retrieve", b'{"threads_ids":"a"}'),
        ("/retrieve", b'{"threads_ids":[1]}'),
        ("/delete", b"{}"),
        ("/delete", b'{"thread_id":1}'),
        ("/run", b"{}"),
        ("/messages", b'{"model":"GigaChat","messages":["hi"]}'),
        ("/messages", b'{"model":"GigaChat","messages":[{"role":"user","content":[]}]}'),
        ("/messages", b'{"thread_id":1,"messages":[{"role":"user","content":"hi"}]}'),
        ("/messages/run", b'{"model":1,"messages":[{"role":"user","content":"hi"}]}'),
        ("/messages/run", b'{"assistant_id":1,"messages":[{"role":"user","content":"hi"}]}'),
        ("/messages/rerun", b"{}"),
    ],
)
def test_bodies_of_a_wrong_shape(api: Api, path: str, body: bytes) -> None:
    check_refused(api.http.post(f"/threads{path}", content=body), 400, SYNTAX)


# Messages


def test_messages_are_remembered(api: Api) -> None:
    file_id = api.http.post("/files", files={"file": ("кот.txt", b"abc", "text/plain")}).json()["id"]
    # The published client sends nulls for what was not given.
    first = user("one", attachments=[file_id], name=None, function_call=None)
    answer = post(api, "/messages", thread_id=None, model="GigaChat-2-Pro", assistant_id=None, messages=[first])
    assert list(answer.json()) == ["thread_id", "messages"]
    thread_id = answer.json()["thread_id"]
    (noted,) = answer.json()["messages"]
    assert list(noted) == ["created_at", "message_id"]
    post(api, "/messages", thread_id=thread_id, messages=[user("two"), user("three")]).raise_for_status()

    one, two, three = messages(api, thread_id)
    assert one == {
        "message_id": noted["message_id"],
        "role": "user",
        "content": "one",
        "attachments": [{"file_id": file_id, "name": "кот.txt"}],
        "created_at": noted["created_at"],
        "model": "GigaChat-2-Pro",
    }
    assert list(one) == ["message_id", "role", "content", "attachments", "created_at", "model"]
    assert (two["content"], three["content"]) == ("two", "three")
    assert "attachments" not in two
    assert messages(api, thread_id, limit=2) == [two, three]
    assert messages(api, thread_id, limit=10) == [one, two, three]
    assert messages(api, thread_id, before=noted["created_at"] - 60) == []
    assert messages(api, thread_id, before=noted["created_at"] + 60, limit=1) == [three]
    assert thread(api, thread_id)["model"] == "GigaChat-2-Pro"


def test_a_thread_is_made_for_an_assistant(api: Api) -> None:
    assistant_id = assistant(api)
    thread_id = post(api, "/messages", assistant_id=assistant_id, messages=[user()]).json()["thread_id"]
    made = thread(api, thread_id)
    assert list(made) == ["id", "model", "assistant_id", "created_at", "updated_at", "status", "run_lock"]
    assert (made["assistant_id"], made["model"]) == (assistant_id, "GigaChat-2-Max")


@pytest.mark.parametrize("path", ["/messages", "/messages/run"])
@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({}, 422, "Invalid params: thread_id, assistant_id or model is required"),
        ({"thread_id": "nothing"}, 404, NO_THREAD),
        ({"assistant_id": "nothing"}, 404, "No such assistant"),
        ({"model": "Unknown"}, 404, "No such model"),
        ({"model": "GigaChat", "messages": []}, 422, EMPTY),
        ({"model": "GigaChat", "messages": None}, 400, SYNTAX),
        ({"model": "GigaChat", "messages": [user(attachments=["nothing"])]}, 404, "No such file"),
        ({"model": "GigaChat", "messages": [{"role": "nobody"}]}, 400, SYNTAX),
    ],
)
def test_refused_messages(api: Api, path: str, body: dict[str, Any], status: int, message: str) -> None:
    before = get(api, "").json()
    check_refused(post(api, path, **{"messages": [user()], **body}), status, message)
    assert get(api, "").json() == before


# Runs at once


def test_a_run_over_new_messages(api: Api) -> None:
    before = int(time.time())
    answer = run(api, user("hello"), model="GigaChat")
    assert answer.keys() == {
        "object",
        "model",
        "thread_id",
        "message_id",
        "created",
        "usage",
        "message",
        "finish_reason",
    }
    assert answer["object"] == "threads.messages.run"
    assert answer["model"] == "GigaChat:2.0.28.2"
    assert before <= answer["created"] <= time.time()
    assert answer["finish_reason"] == "stop"
    assert list(answer["message"]) == ["content", "role"]
    assert answer["message"]["content"].startswith(TEXT_OF_AN_ECHO)
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]

    thread_id = answer["thread_id"]
    question, reply = messages(api, thread_id)
    assert (question["role"], question["content"]) == ("user", "hello")
    assert reply == {
        "message_id": answer["message_id"],
        "role": "assistant",
        "content": answer["message"]["content"],
        "created_at": reply["created_at"],
        "finish_reason": "stop",
        "model": "GigaChat",
    }
    assert list(reply) == ["message_id", "role", "content", "created_at", "finish_reason", "model"]

    run(api, user("again"), thread_id=thread_id)
    assert [role for role, _ in ENGINE.conversation] == ["user", "assistant", "user"]
    assert [role for role, _ in said(api, thread_id)] == ["user", "assistant"] * 2
    state = thread(api, thread_id)
    assert (state["status"], state["run_lock"]) == ("ready", False)


def test_an_assistant_brings_instructions_and_functions(api: Api) -> None:
    assistant_id = assistant(api, instructions="Be brief.", functions=[WEATHER])
    answer = run(api, user("weather in Псков?"), assistant_id=assistant_id)
    assert answer["model"] == "GigaChat-2-Max:2.0.28.2"
    assert ENGINE.conversation == [("system", "Be brief."), ("user", "weather in Псков?")]
    assert answer["finish_reason"] == "function_call"
    call = answer["message"]["function_call"]
    assert call["name"] == "weather"
    thread_id = answer["thread_id"]
    assert messages(api, thread_id)[-1]["function_call"] == call

    # Its result is owed.
    check_refused(post(api, "/messages/run", thread_id=thread_id, messages=[user("well?")]), 422, UNANSWERED)
    assert len(messages(api, thread_id)) == 2
    last = run(api, {"role": "function", "name": "weather", "content": '{"t":-3}'}, thread_id=thread_id)
    assert last["finish_reason"] == "stop"
    assert '{"t":-3}' in last["message"]["content"]
    assert [role for role, _ in said(api, thread_id)] == ["user", "assistant", "function", "assistant"]
    # The last answer and what it answers; the thread goes on with its assistant.
    state = get(api, "/run", thread_id=thread_id).json()
    assert [one["role"] for one in state["messages"]] == ["function", "assistant"]
    run(api, user("thanks"), thread_id=thread_id, function_call="none")
    assert ENGINE.conversation[0] == ("system", "Be brief.")


def test_what_a_request_says_stands_before_what_the_assistant_is(api: Api) -> None:
    assistant_id = assistant(api, instructions="Be brief.", functions=[WEATHER])
    other = {"name": "train", "parameters": {"type": "object", "properties": {}}}
    answer = run(
        api,
        {"role": "system", "content": "Be long."},
        user("go"),
        assistant_id=assistant_id,
        model="GigaChat-2-Pro",
        functions=[other],
        function_call={"name": "train"},
    )
    assert answer["message"]["function_call"]["name"] == "train"
    assert answer["model"] == "GigaChat-2-Pro:2.0.28.2"
    assert ENGINE.conversation == [("system", "Be long."), ("user", "go")]


def test_a_thread_can_change_its_assistant_or_lose_it(api: Api) -> None:
    first, second = assistant(api, instructions="First."), assistant(api, instructions="Second.")
    thread_id = talk(api, "one", assistant_id=first, model=None)
    run(api, user("two"), thread_id=thread_id, assistant_id=second)
    assert ENGINE.conversation[0] == ("system", "Second.")
    assert thread(api, thread_id)["assistant_id"] == second
    api.http.post("/assistants/delete", json={"assistant_id": second}).raise_for_status()
    run(api, user("three"), thread_id=thread_id)
    assert ENGINE.conversation[0] == ("user", "one")


def test_the_limit_shortens_the_context(api: Api) -> None:
    assistant_id = assistant(api, instructions="Be brief.")
    thread_id = talk(api, "one", "two", assistant_id=assistant_id, model=None)
    run(api, user("three"), thread_id=thread_id, limit=2)
    roles = [role for role, _ in ENGINE.conversation]
    assert roles == ["system", "assistant", "user"]
    run(api, user("four"), thread_id=thread_id, limit=100)
    assert len(ENGINE.conversation) == 8


def test_the_limit_parts_no_result_from_its_call(api: Api) -> None:
    answer = run(api, user("weather"), model="GigaChat", functions=[WEATHER], function_call={"name": "weather"})
    result = {"role": "function", "name": "weather", "content": "{}"}
    run(api, result, thread_id=answer["thread_id"], limit=1)
    assert [role for role, _ in ENGINE.conversation] == ["assistant", "function"]


def test_a_system_message_of_the_thread_survives_the_limit(api: Api) -> None:
    thread_id = run(api, {"role": "system", "content": "Be brief."}, user("one"), model="GigaChat")["thread_id"]
    run(api, user("two"), thread_id=thread_id, limit=1)
    assert ENGINE.conversation == [("system", "Be brief."), ("user", "two")]


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        ({"temperature": 0}, 422, "Invalid params: temperature must be in range (0, 2]"),
        ({"temperature": 2.1}, 422, "Invalid params: temperature must be in range (0, 2]"),
        ({"temperature": "hot"}, 400, SYNTAX),
        ({"limit": 0}, 422, "Invalid params: limit must be in range (0, +inf)"),
        ({"limit": "ten"}, 400, SYNTAX),
        ({"max_tokens": 0}, 422, "Invalid params: max_tokens must be in range (0, +inf)"),
        (
            {"function_call": {"name": "f"}},
            422,
            "Invalid params: function_call names function f, which is not in functions",
        ),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["/run", "/messages/run", "/messages/rerun"])
def test_refused_options_change_nothing(
    api: Api, path: str, stream: bool, options: dict[str, Any], status: int, message: str
) -> None:
    thread_id = talk(api, "one")
    before = (thread(api, thread_id), messages(api, thread_id))
    body = {"thread_id": thread_id, "stream": stream, **options}
    if path == "/messages/run":
        body["messages"] = [user("two")]
    check_refused(post(api, path, **body), status, message)
    assert (thread(api, thread_id), messages(api, thread_id)) == before


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["/run", "/messages/run"])
def test_a_refused_request_changes_neither_model_nor_assistant(api: Api, path: str, stream: bool) -> None:
    thread_id = talk(api, "one")
    before = (thread(api, thread_id), messages(api, thread_id))
    body: dict[str, Any] = {"messages": [user("two")]} if path == "/messages/run" else {}
    body |= {"thread_id": thread_id, "assistant_id": assistant(api), "limit": 0, "stream": stream}
    check_refused(post(api, path, **body), 422, "Invalid params: limit must be in range (0, +inf)")
    assert (thread(api, thread_id), messages(api, thread_id)) == before


def test_a_hot_temperature_and_other_options_pass(api: Api) -> None:
    options = {
        "temperature": 2,
        "top_p": 0.5,
        "max_tokens": 5,
        "repetition_penalty": 1.1,
        "profanity_check": False,
        "flags": ["preprocess"],
    }
    assert run(api, user(), model="GigaChat", **options)["finish_reason"] == "length"
    assert options.items() <= ENGINE.heard[-1].options.items()


def test_ordered_replies_answer_runs(api: Api) -> None:
    api.server.reply("ordered", after=0.01)
    answer = run(api, user(), model="GigaChat")
    assert answer["message"] == {"content": "ordered", "role": "assistant"}
    whole = {
        "choices": [{"message": {"content": "whole", "role": "assistant"}, "index": 0, "finish_reason": "length"}],
        "created": 1,
        "model": "other",
        "usage": {"prompt_tokens": 1},
    }
    api.server.reply(whole)
    answer = run(api, user(), thread_id=answer["thread_id"])
    assert (answer["message"]["content"], answer["finish_reason"]) == ("whole", "length")
    assert (answer["created"], answer["model"], answer["usage"]) == (1, "other", {"prompt_tokens": 1})
    assert ENGINE.heard == []
    assert [content for _, content in said(api, answer["thread_id"])] == ["hello", "ordered", "hello", "whole"]


def test_a_run_that_fails_can_be_run_again(api: Api) -> None:
    thread_id = talk(api, "one")
    assert post(api, "/messages/run", thread_id=thread_id, messages=[user("fail")]).status_code == 500
    state = thread(api, thread_id)
    assert (state["status"], state["run_lock"]) == ("failed", False)
    assert said(api, thread_id)[-1] == ("user", "fail")
    api.server.reply("better")
    assert post(api, "/messages/rerun", thread_id=thread_id).status_code == 200
    assert said(api, thread_id)[-1] == ("assistant", "better")
    assert thread(api, thread_id)["status"] == "ready"


def test_a_rerun_takes_the_place_of_the_answer(api: Api) -> None:
    thread_id = talk(api, "one", "two")
    first, _, third, last = messages(api, thread_id)
    api.server.reply("other")
    answer = post(api, "/messages/rerun", thread_id=thread_id, temperature=1).raise_for_status().json()
    assert answer["message"]["content"] == "other"
    assert answer["thread_id"] == thread_id
    after = messages(api, thread_id)
    assert len(after) == 4
    assert (after[0], after[2]) == (first, third)
    assert after[3]["message_id"] == answer["message_id"] != last["message_id"]
    assert after[3]["content"] == "other"
    post(api, "/messages/rerun", thread_id=thread_id).raise_for_status()
    assert [role for role, _ in ENGINE.conversation] == ["user", "assistant", "user"]


def test_a_thread_without_messages_cannot_be_run(api: Api) -> None:
    for path in ("/run", "/messages/rerun"):
        check_refused(post(api, path, thread_id=created(api)), 422, EMPTY)


def test_a_file_deleted_since_does_no_harm(api: Api) -> None:
    file_id = api.http.post("/files", files={"file": ("a.txt", b"abc", "text/plain")}).json()["id"]
    thread_id = run(api, user(attachments=[file_id]), model="GigaChat")["thread_id"]
    assert list(ENGINE.heard[-1].messages[-1].files) == [file_id]
    api.http.post(f"/files/{file_id}/delete").raise_for_status()
    run(api, user(), thread_id=thread_id)
    assert "attachments" not in messages(api, thread_id)[0]


# Runs in the background


def test_a_run_in_the_background(api: Api) -> None:
    thread_id = post(api, "/messages", model="GigaChat", messages=[user("hello")]).json()["thread_id"]
    ENGINE.gate.clear()
    before = int(time.time())
    answer = post(api, "/run", thread_id=thread_id, assistant_id=None).json()
    assert list(answer) == ["status", "thread_id", "created_at"]
    assert (answer["status"], answer["thread_id"]) == ("in_progress", thread_id)
    assert before <= answer["created_at"] <= time.time()

    state = thread(api, thread_id)
    assert (state["status"], state["run_lock"]) == ("in_progress", True)
    going = get(api, "/run", thread_id=thread_id).json()
    assert list(going) == ["status", "thread_id", "updated_at", "model", "messages"]
    assert (going["status"], going["model"]) == ("in_progress", "GigaChat")
    assert [one["content"] for one in going["messages"]] == ["hello"]
    for refused in (
        post(api, "/run", thread_id=thread_id),
        post(api, "/run", thread_id=thread_id, stream=True),
        post(api, "/messages", thread_id=thread_id, messages=[user()]),
        post(api, "/messages/run", thread_id=thread_id, messages=[user()]),
        post(api, "/messages/rerun", thread_id=thread_id),
    ):
        check_refused(refused, 422, LOCKED)
    # Others are not held up.
    api.server.reply("meanwhile")
    assert run(api, user(), model="GigaChat")["message"]["content"] == "meanwhile"

    ENGINE.gate.set()
    done = wait(api, thread_id, ended)
    assert done["status"] == "ready"
    question, reply = done["messages"]
    assert list(question) == ["message_id", "role", "content", "created_at"]
    assert list(reply) == ["message_id", "role", "content", "created_at", "finish_reason"]
    assert reply["content"].startswith(TEXT_OF_AN_ECHO)
    assert thread(api, thread_id)["run_lock"] is False
    assert len(ENGINE.heard) == 1


def test_only_the_last_exchange_is_shown(api: Api) -> None:
    thread_id = talk(api, "one", "two")
    post(api, "/messages", thread_id=thread_id, messages=[user("three"), user("four")]).raise_for_status()
    post(api, "/run", thread_id=thread_id).raise_for_status()
    state = wait(api, thread_id, ended)
    assert [one["role"] for one in state["messages"]] == ["user", "user", "assistant"]
    assert [one["content"] for one in state["messages"]][:2] == ["three", "four"]


def test_a_run_with_an_assistant_in_the_background(api: Api) -> None:
    thread_id = post(api, "/messages", model="GigaChat", messages=[user("hello")]).json()["thread_id"]
    assistant_id = assistant(api, instructions="Be brief.")
    post(api, "/run", thread_id=thread_id, assistant_id=assistant_id).raise_for_status()
    assert wait(api, thread_id, ended)["model"] == "GigaChat-2-Max"
    assert ENGINE.conversation == [("system", "Be brief."), ("user", "hello")]


def test_a_run_can_fail_in_the_background(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    thread_id = post(api, "/messages", model="GigaChat", messages=[user("fail")]).json()["thread_id"]
    post(api, "/run", thread_id=thread_id).raise_for_status()
    state = wait(api, thread_id, ended)
    assert (state["status"], [one["content"] for one in state["messages"]]) == ("failed", ["fail"])
    (record,) = [one for one in caplog.records if one.name == "gigachat.server"]
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "the engine is broken"


def test_a_run_refused_in_the_background_is_no_noise(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    endless = {"name": "f", "parameters": {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}}
    thread_id = post(api, "/messages", model="GigaChat", messages=[user()]).json()["thread_id"]
    post(api, "/run", thread_id=thread_id, functions=[endless], function_call={"name": "f"}).raise_for_status()
    assert wait(api, thread_id, ended)["status"] == "failed"
    assert caplog.records == []


def test_a_thread_deleted_during_its_run_stays_away(api: Api) -> None:
    thread_id = post(api, "/messages", model="GigaChat", messages=[user()]).json()["thread_id"]
    ENGINE.gate.clear()
    post(api, "/run", thread_id=thread_id).raise_for_status()
    post(api, "/delete", thread_id=thread_id).raise_for_status()
    ENGINE.gate.set()
    other = talk(api, "one")
    assert thread(api, other)["status"] == "ready"
    check_refused(get(api, "/run", thread_id=thread_id), 404, NO_THREAD)


def test_it_stops_while_a_run_is_in_progress(capfd: pytest.CaptureFixture[str]) -> None:
    server = GigaChatServer(tls=False).start()
    api = Api(server)
    thread_id = post(api, "/messages", model="GigaChat", messages=[user()]).json()["thread_id"]
    server.reply("late", after=60)
    post(api, "/run", thread_id=thread_id).raise_for_status()
    assert get(api, "/run", thread_id=thread_id).json()["status"] == "in_progress"
    api.http.close()
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 30  # of the sixty that the answer waits
    out, err = capfd.readouterr()
    assert out + err == ""


# Streams


def streamed(api: Api, path: str, **body: Any) -> list[dict[str, Any]]:
    answer = post(api, path, stream=True, **body)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/event-stream"
    *chunks, end = events(answer.content)
    assert end == "[DONE]"
    return chunks


def text_of(chunks: list[dict[str, Any]]) -> str:
    return "".join(one["choices"][0]["delta"].get("content", "") for one in chunks)


def test_a_streamed_run(api: Api) -> None:
    plain = run(api, user("hello, how are you?"), model="GigaChat")
    chunks = streamed(api, "/messages/run", model="GigaChat", messages=[user("hello, how are you?")])
    assert len(chunks) > 2
    first, *others = chunks
    last = chunks[-1]
    thread_id, message_id = first["thread_id"], first["message_id"]
    for one in chunks:
        assert one.keys() == {"choices", "created", "model", "object", "usage", "thread_id", "message_id"}
        assert (one["object"], one["model"]) == ("threads.messages.run", "GigaChat:2.0.28.2")
        assert (one["thread_id"], one["message_id"]) == (thread_id, message_id)
        (choice,) = one["choices"]
        assert choice["index"] == 0
        assert ("finish_reason" in choice) == (one is last)
        assert ("role" in choice["delta"]) == (one is first)
        usage = one["usage"]
        assert (choice["delta"]["content"] == "") == (usage["completion_tokens"] == 0) == (one is last)
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert last["choices"][0]["finish_reason"] == "stop"
    assert first["usage"]["prompt_tokens"] > 0
    assert all(one["usage"]["prompt_tokens"] == one["usage"]["precached_prompt_tokens"] == 0 for one in others)
    # The plain answer had the same prompt, which is in the cache now.
    prompt = sum(plain["usage"][name] for name in ("prompt_tokens", "precached_prompt_tokens"))
    assert prompt == first["usage"]["prompt_tokens"] + first["usage"]["precached_prompt_tokens"]
    assert text_of(chunks) == plain["message"]["content"]

    reply = messages(api, thread_id)[-1]
    assert (reply["message_id"], reply["content"], reply["finish_reason"]) == (message_id, text_of(chunks), "stop")
    assert thread(api, thread_id)["status"] == "ready"


def test_the_other_runs_stream_too(api: Api) -> None:
    thread_id = post(api, "/messages", model="GigaChat", messages=[user("hello")]).json()["thread_id"]
    chunks = streamed(api, "/run", thread_id=thread_id)
    assert said(api, thread_id)[-1] == ("assistant", text_of(chunks))
    api.server.reply("something else")
    chunks = streamed(api, "/messages/rerun", thread_id=thread_id)
    assert said(api, thread_id) == [("user", "hello"), ("assistant", "something else")]
    assert text_of(chunks) == "something else"


def test_a_streamed_call_comes_last_and_whole(api: Api) -> None:
    assistant_id = assistant(api, functions=[WEATHER])
    (chunk,) = streamed(api, "/messages/run", assistant_id=assistant_id, messages=[user("weather in Псков?")])
    (choice,) = chunk["choices"]
    assert choice["finish_reason"] == "function_call"
    assert choice["delta"]["role"] == "assistant"
    assert choice["delta"]["function_call"]["name"] == "weather"
    assert chunk["usage"]["completion_tokens"] > 0
    assert messages(api, chunk["thread_id"])[-1]["function_call"] == choice["delta"]["function_call"]
    result = {"role": "function", "name": "weather", "content": "{}"}
    assert run(api, result, thread_id=chunk["thread_id"])["finish_reason"] == "stop"


def test_thoughts_and_reasons_stream(api: Api) -> None:
    api.server.reply({"content": "answer", "reasoning_content": "thought", "finish_reason": "length"})
    chunks = streamed(api, "/messages/run", model="GigaChat", messages=[user()])
    assert chunks[0]["choices"][0]["delta"] == {"reasoning_content": "thought", "role": "assistant"}
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"
    assert text_of(chunks) == "answer"


def test_an_empty_answer_streams(api: Api) -> None:
    api.server.reply("")
    (chunk,) = streamed(api, "/messages/run", model="GigaChat", messages=[user()])
    assert chunk["choices"] == [{"delta": {"content": "", "role": "assistant"}, "index": 0, "finish_reason": "stop"}]


def test_the_update_interval_joins_chunks(api: Api) -> None:
    joined = streamed(api, "/messages/run", model="GigaChat", messages=[user()], update_interval=0.01)
    text, _ = joined
    assert text_of([text]).startswith(TEXT_OF_AN_ECHO)


def test_a_thread_is_locked_while_it_streams(api: Api) -> None:
    ENGINE.gate.clear()
    thread_id = post(api, "/messages", model="GigaChat", messages=[user()]).json()["thread_id"]
    answers: list[httpx2.Response] = []
    body = {"thread_id": thread_id, "stream": True}
    streaming = threading.Thread(target=lambda: answers.append(api.http.post("/threads/run", json=body)))
    streaming.start()
    assert ENGINE.asked.wait(PATIENCE)
    check_refused(post(api, "/run", thread_id=thread_id), 422, LOCKED)
    ENGINE.gate.set()
    streaming.join(PATIENCE)
    assert events(answers[0].content)[-1] == "[DONE]"
    assert thread(api, thread_id)["status"] == "ready"


def test_a_broken_stream_leaves_no_answer(api: Api) -> None:
    thread_id = talk(api, "one")
    api.server.cut(2)
    with pytest.raises(httpx2.RemoteProtocolError):
        post(api, "/messages/run", thread_id=thread_id, messages=[user("two")], stream=True)
    wait(api, thread_id, ended)
    assert thread(api, thread_id)["status"] == "failed"
    assert [role for role, _ in said(api, thread_id)] == ["user", "assistant", "user"]
    streamed(api, "/messages/rerun", thread_id=thread_id)
    assert thread(api, thread_id)["status"] == "ready"
    assert len(messages(api, thread_id)) == 4


def test_a_stream_refused_at_its_start_is_an_ordinary_answer(api: Api) -> None:
    thread_id = talk(api, "one")
    answer = post(api, "/messages/run", thread_id=thread_id, messages=[user("fail")], stream=True)
    assert answer.status_code == 500
    assert thread(api, thread_id)["status"] == "failed"


def test_a_caller_that_leaves_unlocks_the_thread(api: Api) -> None:
    thread_id = talk(api, "one")
    api.server.reply("late", after=60)
    timeout = httpx2.Timeout(60.0, read=0.1)
    with pytest.raises(httpx2.ReadTimeout):
        api.http.post("/threads/run", json={"thread_id": thread_id, "stream": True}, timeout=timeout)
    wait(api, thread_id, ended)
    assert thread(api, thread_id)["run_lock"] is False


def test_literal_streams_go_past_the_thread(api: Api) -> None:
    thread_id = talk(api, "one")
    before = messages(api, thread_id)
    api.server.stream_events([{"any": 1}, "[DONE]"])
    answer = post(api, "/run", thread_id=thread_id, stream=True)
    assert events(answer.content) == [{"any": 1}, "[DONE]"]
    assert messages(api, thread_id) == before
    assert thread(api, thread_id)["run_lock"] is False


# Together with chat


def test_a_thread_of_chat_v2_is_a_thread_like_others(api: Api) -> None:
    body = {
        "model": "GigaChat",
        "messages": [{"role": "user", "content": [{"text": "one, "}, {"text": "two"}]}],
        "storage": {},
    }
    answer = api.http.post(f"{api.server.origin}/v2/chat/completions", json=body).raise_for_status().json()
    thread_id = answer["thread_id"]
    text = "".join(part.get("text", "") for part in answer["messages"][-1]["content"])
    assert said(api, thread_id) == [("user", "one, two"), ("assistant", text)]
    run(api, user("three"), thread_id=thread_id)
    assert ENGINE.conversation == [("user", "one, two"), ("assistant", text), ("user", "three")]
    # And back again.
    body = {"messages": [{"role": "user", "content": [{"text": "four"}]}], "storage": {"thread_id": thread_id}}
    api.http.post(f"{api.server.origin}/v2/chat/completions", json=body).raise_for_status()
    assert [role for role, _ in ENGINE.conversation] == ["user", "assistant"] * 2 + ["user"]
    assert len(messages(api, thread_id)) == 6


def test_a_call_of_chat_v2_can_be_answered_here(api: Api) -> None:
    body = {
        "model": "GigaChat",
        "messages": [{"role": "user", "content": [{"text": "weather in Псков?"}]}],
        "tools": [{"functions": {"specifications": [WEATHER]}}],
        "storage": {},
    }
    answer = api.http.post(f"{api.server.origin}/v2/chat/completions", json=body).raise_for_status().json()
    assert answer["finish_reason"] == "function_call"
    thread_id = answer["thread_id"]
    assert messages(api, thread_id)[-1]["function_call"]["name"] == "weather"
    result = {"role": "function", "name": "weather", "content": '{"t":-3}'}
    assert '{"t":-3}' in run(api, result, thread_id=thread_id)["message"]["content"]


def test_both_prefixes_know_the_same_threads(api: Api) -> None:
    thread_id = created(api)
    answer = api.http.post(f"{api.server.origin}/v1/threads/retrieve", content=json.dumps({"threads_ids": [thread_id]}))
    assert answer.json()["threads"][0]["id"] == thread_id


def test_threads_need_a_token(api: Api) -> None:
    for method, path in (
        ("GET", ""),
        ("POST", ""),
        ("POST", "/retrieve"),
        ("POST", "/delete"),
        ("GET", "/messages"),
        ("POST", "/messages"),
        ("GET", "/run"),
        ("POST", "/run"),
        ("POST", "/messages/run"),
        ("POST", "/messages/rerun"),
    ):
        answer = api.http.request(method, f"/threads{path}", headers={"Authorization": "Bearer wrong"})
        check_refused(answer, 401, "Unauthorized")
