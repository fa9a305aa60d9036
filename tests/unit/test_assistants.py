"""Assistants: each call in both modes, by the names and places of the arguments of 0.2."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from gigachat import GigaChat, models
from gigachat._engine.transport import Stage
from gigachat.assistants import AssistantsAsyncClient, AssistantsSyncClient
from gigachat.exceptions import APIConnectionError
from tests.unit.namespaces import ask, body, path, plainly
from tests.unit.world import Answer, World, lost

FUNCTION = {"name": "f", "description": "d"}
ASSISTANT = {
    "assistant_id": "a1",
    "model": "GigaChat-2",
    "name": "Помощник",
    "description": None,
    "instructions": "Отвечай коротко.",
    "created_at": 1715684019,
    "updated_at": 1715684020,
    "files": [{"file_id": "f1", "name": "a.txt"}],
    "metadata": {"team": 1},
    "threads_count": 2,
    "functions": [FUNCTION],
}


def test_lists(world: World) -> None:
    old = {"assistant_id": "a2", "model": None, "created_at": None, "file_ids": ["f1"], "new": 1}
    world.answers += [lost(Stage.WAITING), Answer({"data": [ASSISTANT, old]}, headers={"x-request-id": "r"})]
    answer = ask(world, "assistants.get")
    assert isinstance(answer, models.Assistants)
    assert path(world) == "/assistants"
    assert not world.api_requests[-1].query
    first, second = answer.data
    assert (first.assistant_id, first.model, first.name, first.threads_count) == ("a1", "GigaChat-2", "Помощник", 2)
    assert first.files is not None
    assert (first.files[0].file_id, first.files[0].name) == ("f1", "a.txt")
    assert first.functions is not None
    assert first.functions[0].name == "f"
    assert (first.metadata, first.instructions) == ({"team": 1}, "Отвечай коротко.")
    assert (second.model, second.created_at, second.file_ids, second.model_extra) == ("", 0, ["f1"], {"new": 1})
    assert answer.x_headers is not None
    assert answer.x_headers["x-request-id"] == "r"


def test_one(world: World) -> None:
    world.answers.append(Answer({"data": [ASSISTANT]}))
    ask(world, "assistants.get", "a1")
    assert world.api_requests[0].query == {"assistant_id": "a1"}


def test_creating(world: World) -> None:
    world.answers.append(Answer({"assistant_id": "a1", "created_at": 1715684019}))
    answer = ask(
        world,
        "assistants.create",
        "GigaChat-2",
        "Помощник",
        "Отвечай коротко.",
        "о чём",
        ["f1"],
        [FUNCTION, models.Function(name="g")],
        {"team": 1},
    )
    assert isinstance(answer, models.CreateAssistant)
    assert (answer.assistant_id, answer.created_at) == ("a1", 1715684019)
    assert path(world) == "/assistants"
    assert body(world) == {
        "model": "GigaChat-2",
        "name": "Помощник",
        "description": "о чём",
        "instructions": "Отвечай коротко.",
        "file_ids": ["f1"],
        "functions": [FUNCTION, {"name": "g"}],
        "metadata": {"team": 1},
    }


def test_what_is_not_given_is_not_sent(world: World) -> None:
    world.answers.append(Answer({"assistant_id": "a1", "created_at": 1}))
    ask(world, "assistants.create", model="GigaChat-2", name="n")
    assert body(world) == {"model": "GigaChat-2", "name": "n"}
    world.answers.append(Answer(ASSISTANT))
    ask(world, "assistants.update", "a1", name="")
    assert body(world) == {"assistant_id": "a1", "name": ""}


def test_changing(world: World) -> None:
    world.answers.append(Answer(ASSISTANT))
    answer = ask(world, "assistants.update", "a1", "n", "d", "i", ["f1"], [FUNCTION], {"team": 2})
    assert isinstance(answer, models.Assistant)
    assert answer.updated_at == 1715684020
    assert path(world) == "/assistants/modify"
    assert body(world) == {
        "assistant_id": "a1",
        "name": "n",
        "description": "d",
        "instructions": "i",
        "file_ids": ["f1"],
        "functions": [FUNCTION],
        "metadata": {"team": 2},
    }


def test_deleting(world: World) -> None:
    world.answers.append(Answer({"assistant_id": "a1", "deleted": True}))
    answer = ask(world, "assistants.delete", "a1")
    assert isinstance(answer, models.AssistantDelete)
    assert (answer.assistant_id, answer.deleted) == ("a1", True)
    assert (path(world), body(world)) == ("/assistants/delete", {"assistant_id": "a1"})


def test_deleting_a_file(world: World) -> None:
    world.answers.append(Answer({"file_id": "f1", "deleted": True}))
    answer = ask(world, "assistants.delete_file", "a1", "f1")
    assert isinstance(answer, models.AssistantFileDelete)
    assert (answer.file_id, answer.deleted) == ("f1", True)
    assert (path(world), body(world)) == ("/assistants/files/delete", {"assistant_id": "a1", "file_id": "f1"})


WRITES: list[tuple[str, tuple[Any, ...]]] = [
    ("create", ("m", "n")),
    ("update", ("a1",)),
    ("delete", ("a1",)),
    ("delete_file", ("a1", "f1")),
]


@pytest.mark.parametrize(("method", "arguments"), WRITES)
def test_what_changes_something_is_not_repeated(world: World, method: str, arguments: tuple[Any, ...]) -> None:
    world.answers.append(lost(Stage.WAITING))
    with pytest.raises(APIConnectionError):
        ask(world, f"assistants.{method}", *arguments)
    assert len(world.api_requests) == 1


@pytest.mark.parametrize(
    ("method", "arguments", "kind", "text"),
    [
        ("get", ("",), ValueError, "assistant_id is empty"),
        ("get", (7,), TypeError, "assistant_id must be text"),
        ("create", ("", "n"), ValueError, "model is empty"),
        ("create", ("m", ""), ValueError, "name is empty"),
        ("create", ("m", "n", None, None, "f1"), TypeError, "file_ids must be a list"),
        ("create", ("m", "n", None, None, 5), TypeError, "file_ids must be a list"),
        ("update", ("a1", None, None, None, ["f1", ""]), ValueError, r"file_ids\[1\] is empty"),
        ("create", ("m", "n", None, None, None, [{}]), ValueError, r"functions\[0\]: name"),
        ("update", ("",), ValueError, "assistant_id is empty"),
        ("delete", (None,), TypeError, "assistant_id must be text"),
        ("delete_file", ("a1", ""), ValueError, "file_id is empty"),
    ],
)
def test_what_is_refused(
    world: World, method: str, arguments: tuple[Any, ...], kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind, match=text):
        ask(world, f"assistants.{method}", *arguments)
    assert world.requests == []


def test_the_async_client() -> None:
    world = World("async")
    world.answers.append(Answer({"data": []}))
    assert plainly(world, "assistants.get", assistant_id="a1").data == []


def test_the_classes_of_0_2(world: World) -> None:
    giga = world.client()
    world.answers.append(Answer({"data": [ASSISTANT]}))
    if world.mode == "blocking":
        assert AssistantsSyncClient(giga).get().data[0].assistant_id == "a1"
        return
    assert inspect.iscoroutinefunction(AssistantsAsyncClient.get)
    assert not inspect.iscoroutinefunction(AssistantsSyncClient.get)

    import asyncio

    assert asyncio.run(AssistantsAsyncClient(base_client=giga).get()).data[0].assistant_id == "a1"


def test_options_of_a_view_hold_for_its_namespaces(world: World) -> None:
    giga: GigaChat = world.client()
    view = giga.with_options(extra_headers={"X-Session-ID": "s"})
    assert view.assistants is not giga.assistants
    world.answers.append(Answer({"data": []}))
    if world.mode == "blocking":
        view.assistants.get()
        assert world.api_requests[0].headers["X-Session-ID"] == "s"
