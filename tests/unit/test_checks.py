"""Checks of texts, and the balance."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gigachat import models
from gigachat._engine.transport import Stage
from gigachat.exceptions import ForbiddenError
from tests.unit.world import Answer, World, error, lost

MESSAGE = {"role": "user", "content": "Привет"}


def body(world: World) -> Any:
    return json.loads(world.api_requests[-1].content or b"")


def test_who_wrote_a_text(world: World) -> None:
    answer = {"category": "mixed", "characters": 533, "tokens": 224, "ai_intervals": [[1, 262], [415, 533]]}
    world.answers += [lost(Stage.WAITING), Answer(answer, headers={"x-request-id": "r"})]
    read = world.do(world.client(), "check_ai", "Текст", "GigaCheckDetection")
    assert isinstance(read, models.AICheckResult)
    assert (read.category, read.characters, read.tokens) == ("mixed", 533, 224)
    assert read.ai_intervals == [[1, 262], [415, 533]]
    assert read.x_headers is not None
    assert read.x_headers["x-request-id"] == "r"
    assert world.api_requests[-1].url.endswith("/ai/check")
    assert body(world) == {"input": "Текст", "model": "GigaCheckDetection"}


def test_who_wrote_a_text_by_keywords_and_with_nulls(world: World) -> None:
    world.answers.append(Answer({"category": "new", "characters": 1, "tokens": 1, "ai_intervals": None}))
    read = world.do(world.client(), "check_ai", text="Текст", model="GigaCheckClassification")
    assert (read.category, read.ai_intervals) == ("new", None)


@pytest.mark.parametrize(
    "messages",
    [
        "Привет",
        MESSAGE,
        ["Привет"],
        (MESSAGE,),
        [models.Messages(role=models.MessagesRole.USER, content="Привет")],
        models.Messages(role=models.MessagesRole.USER, content="Привет"),
    ],
)
def test_whether_a_topic_is_refused(world: World, messages: Any) -> None:
    world.answers += [lost(Stage.WAITING), Answer({"is_profane": True, "usage": {"filter_tokens": 12}})]
    read = world.do(world.client(), "check_filter", messages)
    assert isinstance(read, models.FilterCheckResult)
    assert (read.is_profane, read.usage.filter_tokens) == (True, 12)
    assert world.api_requests[-1].url.endswith("/filter/check")
    assert body(world) == {"model": "GigaFilter", "messages": [MESSAGE]}


def test_all_of_a_filter(world: World) -> None:
    world.answers.append(Answer({"is_profane": False, "usage": None}))
    function = {"name": "f", "description": "d"}
    read = world.do(
        world.client(), "check_filter", ["Привет"], "GigaFilter-2", settings={"neuro": True}, functions=[function]
    )
    assert read.usage.filter_tokens == 0
    assert body(world) == {
        "model": "GigaFilter-2",
        "messages": [MESSAGE],
        "settings": {"neuro": True},
        "functions": [function],
    }


@pytest.mark.parametrize(
    ("method", "arguments", "kind", "text"),
    [
        ("check_ai", ("", "m"), ValueError, "the text is empty"),
        ("check_ai", (7, "m"), TypeError, "must be str"),
        ("check_ai", ("text", ""), ValueError, "model is empty"),
        ("check_ai", ("text", None), TypeError, "model must be text"),
        ("check_filter", ([],), ValueError, "messages is empty"),
        ("check_filter", (None,), TypeError, "messages must be a list"),
        ("check_filter", (b"text",), TypeError, "messages must be a list"),
        ("check_filter", ([7],), TypeError, r"messages\[0\] must be a Messages"),
        ("check_filter", ([{"content": "text"}],), ValueError, r"messages\[0\]: role: is missing"),
        ("check_filter", ("text", ""), ValueError, "model is empty"),
        ("check_filter", ("text", "m", None, {"name": "f"}), TypeError, "functions must be a list"),
        ("check_filter", ("text", "m", None, [{}]), ValueError, r"functions\[0\]: name"),
    ],
)
def test_what_is_refused(
    world: World, method: str, arguments: tuple[Any, ...], kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind, match=text):
        world.do(world.client(), method, *arguments)
    assert world.requests == []


def test_the_balance(world: World) -> None:
    packages = [{"usage": "GigaChat", "value": 900000}, {"usage": "embeddings", "value": 0.5}]
    world.answers += [lost(Stage.WAITING), Answer({"balance": packages})]
    read = world.do(world.client(), "get_balance")
    assert isinstance(read, models.Balance)
    assert [(one.usage, one.value) for one in read.balance] == [("GigaChat", 900000), ("embeddings", 0.5)]
    assert world.api_requests[-1].url.endswith("/balance")


def test_no_balance_for_accounts_that_pay_as_they_go(world: World) -> None:
    world.answers.append(error(403, "Permission denied"))
    with pytest.raises(ForbiddenError, match="Permission denied"):
        world.do(world.client(), "get_balance")
