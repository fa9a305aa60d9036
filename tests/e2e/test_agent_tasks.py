"""An agent with five tools solves ten scripted tasks: v1 and v2, in every mode."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from gigachat import ToolContext, ToolError, tool
from gigachat.server import GigaChatServer
from tests.wire.modes import EACH_MODE, Mode


class Order(BaseModel):
    number: int
    city: str
    weight: float


class Warehouse:
    """What the tools work on."""

    def __init__(self) -> None:
        self.orders = {1: Order(number=1, city="Псков", weight=2.5), 2: Order(number=2, city="Сочи", weight=40)}
        self.sent: list[tuple[int, date]] = []


@tool
def find_order(number: int, context: ToolContext[Warehouse]) -> Order:
    """Find an order by its number."""
    if number not in context.deps.orders:
        raise ToolError(f"there is no order {number}")
    return context.deps.orders[number]


@tool
async def price(weight: float, unit: Literal["kg", "g"] = "kg") -> dict[str, float]:
    """Price of a delivery."""
    return {"price": 100 + 10 * (weight if unit == "kg" else weight / 1000)}


@tool
def days(city: Annotated[str, Field(description="Город")]) -> int:
    """Days of a delivery."""
    return {"Псков": 2, "Сочи": 5}[city]


@tool
def after(start: date, days: int = 1) -> date:
    """Date some days later."""
    return start + timedelta(days=days)


@tool(approve=True)
def send(number: int, when: date, context: ToolContext[Warehouse]) -> str:
    """Send an order."""
    context.deps.sent.append((number, when))
    return "sent"


TOOLS = [find_order, price, days, after, send]
FIRST = {"number": 1, "city": "Псков", "weight": 2.5}
DAY = "2026-11-28"

# The calls of the model, what it is told of each, and whether the order may be sent.
TASKS: dict[str, tuple[list[tuple[str, dict[str, Any]]], list[Any], bool]] = {
    "one call": ([("find_order", {"number": 1})], [FIRST], True),
    "two calls in a row": (
        [("find_order", {"number": 1}), ("price", {"weight": 2.5})],
        [FIRST, {"price": 125.0}],
        True,
    ),
    "a default": ([("after", {"start": DAY})], [{"result": "2026-11-29"}], True),
    "a choice": ([("price", {"weight": 500, "unit": "g"})], [{"price": 105.0}], True),
    "numbers as text": ([("after", {"start": DAY, "days": "3"})], [{"result": "2026-12-01"}], True),
    "a mistake that is corrected": (
        [("find_order", {"id": 1}), ("find_order", {"number": 1})],
        [{"error": "number"}, FIRST],
        True,
    ),
    "an order that is missing": ([("find_order", {"number": 9})], [{"error": "there is no order 9"}], True),
    "a tool that fails": ([("days", {"city": "Омск"})], [{"error": "KeyError"}], True),
    "an order that is sent": (
        [
            ("days", {"city": "Псков"}),
            ("after", {"start": DAY, "days": 2}),
            ("send", {"number": 1, "when": "2026-11-30"}),
        ],
        [{"result": 2}, {"result": "2026-11-30"}, {"result": "sent"}],
        True,
    ),
    "an order that may not be sent": (
        [("send", {"number": 1, "when": DAY}), ("price", {"weight": 1})],
        [{"error": "the call was not approved"}, {"price": 110.0}],
        False,
    ),
}


@pytest.fixture(scope="module")
def running() -> Iterator[GigaChatServer]:
    with GigaChatServer() as server:
        yield server


@pytest.fixture
def server(running: GigaChatServer) -> Iterator[GigaChatServer]:
    yield running
    running.clear()


def check_told(told: Any, expected: Any) -> None:
    if isinstance(expected, dict) and expected.keys() == {"error"}:
        assert expected["error"] in told["error"]
    else:
        assert told == expected


@pytest.mark.parametrize("mode", EACH_MODE)
@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("task", TASKS)
def test_an_agent_solves_a_task(task: str, version: str, mode: Mode, server: GigaChatServer) -> None:
    calls, told, allowed = TASKS[task]
    for name, arguments in calls:
        server.reply_call(name, arguments)
    server.reply(f"solved: {task}")
    warehouse = Warehouse()

    async def main() -> Any:
        async with mode.giga(**server.client_options) as giga:
            run = giga.client.chat_run if version == "v1" else giga.client.chat.run
            result = run(task, tools=TOOLS, deps=warehouse, approve=lambda call: call.name != "send" or allowed)
            return await result if mode.is_async else result

    result = mode.run(main)
    assert (result.text, result.stop) == (f"solved: {task}", "answer")
    assert [(step.call.name, step.call.arguments) for step in result.steps] == calls
    for step, expected in zip(result.steps, told, strict=True):
        check_told(json.loads(step.content), expected)
    assert warehouse.sent == ([(1, date(2026, 11, 30))] if task == "an order that is sent" else [])
