"""Runs of tools against the local server: v1 and v2, whole and streamed, in every mode."""

from __future__ import annotations

import asyncio
import json
import pickle
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Annotated, Any

import pytest
import trio
from pydantic import AfterValidator, BaseModel, Field

from gigachat import (
    AsyncGigaChat,
    GenerationError,
    GigaChat,
    GigaChatException,
    ToolArgumentsError,
    ToolContext,
    ToolError,
    ToolNotFoundError,
    tool,
)
from gigachat.server import GigaChatServer, ReceivedChat
from gigachat.tools.runs import RunCall, RunDone, RunText, RunToolResult, ToolCall
from tests.support.fixtures import VERSIONS, Version, each_of
from tests.support.programs import run_quietly
from tests.wire.modes import EACH_ASYNC_MODE, EACH_MODE, MODES, Giga, Mode

SETTING: ContextVar[str] = ContextVar("SETTING", default="unset")


mode = each_of(EACH_MODE)
version = each_of(VERSIONS)


@pytest.fixture(scope="module")
def running() -> Iterator[GigaChatServer]:
    with GigaChatServer() as server:
        yield server


@pytest.fixture
def server(running: GigaChatServer) -> Iterator[GigaChatServer]:
    yield running
    running.clear()


class Runner:
    """Runs in one mode and version."""

    def __init__(self, giga: Giga, version: Version) -> None:
        self.giga = giga
        self.version = version

    @property
    def _chats(self) -> Any:
        return self.giga.client if self.version == "v1" else self.giga.client.chat

    async def run(self, payload: Any, **options: Any) -> Any:
        result = (self._chats.chat_run if self.version == "v1" else self._chats.run)(payload, **options)
        return await result if self.giga.mode.is_async else result

    def stream(self, payload: Any, **options: Any) -> Any:
        return (self._chats.chat_run_stream if self.version == "v1" else self._chats.run_stream)(payload, **options)

    async def events(self, stream: Any) -> list[Any]:
        if self.giga.mode.is_async:
            return [event async for event in stream]
        return list(stream)

    async def result(self, stream: Any) -> Any:
        result = stream.get_final_result()
        return await result if self.giga.mode.is_async else result


def program(mode: Mode, version: Version, server: GigaChatServer, main: Callable[[Runner], Any], **options: Any) -> Any:
    async def whole() -> Any:
        async with mode.giga(**{**server.client_options, **options}) as giga:
            return await main(Runner(giga, version))

    return mode.run(whole)


def last_chat(server: GigaChatServer) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = json.loads(server.requests_to("/chat/completions")[-1].body)["messages"]
    return messages


def results(server: GigaChatServer) -> list[Any]:
    """Return the results of functions in the last chat, as objects."""
    found: list[Any] = []
    for message in last_chat(server):
        if message["role"] == "function" and isinstance(message["content"], str):
            found.append(json.loads(message["content"]))
        elif message["role"] in ("function", "tool"):
            found += [part["function_result"]["result"] for part in message["content"]]
    return [json.loads(one) if isinstance(one, str) else one for one in found]


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def aadd(a: int, b: int) -> int:
    """Add two numbers, awaited."""
    await trio.sleep(0) if _in_trio() else await asyncio.sleep(0)
    return a + b


def _in_trio() -> bool:
    return trio.lowlevel.in_trio_task()


@pytest.mark.parametrize("function", [add, aadd], ids=["sync", "async"])
def test_a_run_tells_the_model_the_result_and_returns_its_answer(
    mode: Mode, version: Version, server: GigaChatServer, function: Any
) -> None:
    server.reply_call(function.__name__, {"a": 1, "b": 2})
    server.reply("It is 3.")
    result = program(mode, version, server, lambda runner: runner.run("1 + 2?", tools=[function]))
    assert (result.text, result.stop, len(result.completions)) == ("It is 3.", "answer", 2)
    (step,) = result.steps
    assert (step.call.name, step.call.arguments, step.value, step.error) == (
        function.__name__,
        {"a": 1, "b": 2},
        3,
        None,
    )
    assert results(server) == [{"result": 3}]
    assert result.usage.total_tokens == sum(one.usage.total_tokens for one in result.completions)
    assert [message.role for message in result.messages] == ["user", "assistant", "function", "assistant"]


def test_a_stream_of_a_run_has_events_in_order(mode: Mode, version: Version, server: GigaChatServer) -> None:
    server.reply_call("add", {"a": 1, "b": 2})
    server.reply("It is 3.")

    async def main(runner: Runner) -> Any:
        return await runner.events(runner.stream("1 + 2?", tools=[add]))

    events = program(mode, version, server, main)
    kinds = [type(event) for event in events]
    assert kinds[:2] == [RunCall, RunToolResult]
    assert kinds[-1] is RunDone
    assert "".join(event.text for event in events if isinstance(event, RunText)) == "It is 3."
    assert events[-1].result.text == "It is 3."
    assert events[-1].result.steps == [events[1].step]


def test_a_stream_of_a_run_gives_text_and_result(mode: Mode, version: Version, server: GigaChatServer) -> None:
    server.reply_call("add", {"a": 1, "b": 2})
    server.reply("It is 3.")

    async def main(runner: Runner) -> Any:
        stream = runner.stream("1 + 2?", tools=[add])
        return stream, await runner.result(stream)

    stream, result = program(mode, version, server, main)
    assert result.text == "It is 3."
    assert stream.messages is result.messages


def test_several_calls_of_one_answer_run_side_by_side(mode: Mode, server: GigaChatServer) -> None:
    barrier = threading.Barrier(3, timeout=20)

    def meet(name: str) -> str:
        barrier.wait()
        return name

    server.reply_calls(*(("meet", {"name": name}) for name in "abc"))
    server.reply("done")
    result = program(mode, "v2", server, lambda runner: runner.run("x", tools=[meet]))
    assert [step.value for step in result.steps] == ["a", "b", "c"]
    assert results(server) == [{"result": "a"}, {"result": "b"}, {"result": "c"}]
    assert [message["role"] for message in last_chat(server)].count("function") == 1
    calls = [part["function_call"]["id"] for part in last_chat(server)[1]["content"]]
    told = [part["function_result"]["id"] for part in last_chat(server)[2]["content"]]
    assert calls == told


def test_async_calls_of_one_answer_run_side_by_side(mode: Mode, server: GigaChatServer) -> None:
    if mode.is_async:
        arrived: list[str] = []

        async def meet(name: str) -> str:
            arrived.append(name)
            await mode.until(lambda: len(arrived) == 3)
            return name
    else:
        barrier = threading.Barrier(3, timeout=20)

        async def meet(name: str) -> str:
            barrier.wait()
            return name

    server.reply_calls(*(("meet", {"name": name}) for name in "abc"))
    server.reply("done")
    result = program(mode, "v2", server, lambda runner: runner.run("x", tools=[meet]))
    assert [step.value for step in result.steps] == ["a", "b", "c"]


def test_a_single_sync_call_of_a_blocking_run_stays_in_the_thread_of_the_caller(
    version: Version, server: GigaChatServer
) -> None:
    threads: list[int] = []

    def note() -> str:
        threads.append(threading.get_ident())
        return "ok"

    server.reply_call("note")
    server.reply("done")
    program(MODES[0], version, server, lambda runner: runner.run("x", tools=[note]))
    assert threads == [threading.get_ident()]


@pytest.mark.parametrize("timeout", [None, 20.0])
def test_tools_see_the_context_variables_of_the_caller(
    mode: Mode, version: Version, server: GigaChatServer, timeout: float | None
) -> None:
    def setting() -> str:
        return SETTING.get()

    async def main(runner: Runner) -> Any:
        SETTING.set("mine")
        return await runner.run("x", tools=[setting], tool_timeout=timeout)

    server.reply_call("setting")
    server.reply("done")
    assert program(mode, version, server, main).steps[0].value == "mine"


def test_the_context_holds_what_the_caller_gave(mode: Mode, version: Version, server: GigaChatServer) -> None:
    seen: list[ToolContext[str]] = []

    def look(context: ToolContext[str]) -> str:
        seen.append(context)
        return context.deps

    server.reply_call("look")
    server.reply("done")

    result = program(mode, version, server, lambda runner: runner.run("x", tools=[look], deps="database"))
    assert result.steps[0].value == "database"
    assert (type(seen[0].client), seen[0].step) == (AsyncGigaChat if mode.is_async else GigaChat, 1)
    assert [message.role for message in seen[0].messages] == ["user"]


@tool
def failing(kind: str) -> str:
    """Fail."""
    if kind == "told":
        raise ToolError("the city is unknown: ask the user")
    raise LookupError("no row")


@pytest.mark.parametrize(
    ("call", "says", "error"),
    [
        (("failing", {"kind": "told"}), "the city is unknown: ask the user", ToolError),
        (("failing", {"kind": "other"}), "LookupError: no row", LookupError),
        (("failing", {}), "kind is missing", ToolArgumentsError),
        (("failng", {}), "there is no function 'failng'; the functions are: failing", ToolNotFoundError),
    ],
)
@pytest.mark.parametrize("on_error", ["tell", "raise"])
def test_an_error_of_a_call_is_told_or_raised(
    mode: Mode, version: Version, server: GigaChatServer, call: Any, says: str, error: Any, on_error: Any
) -> None:
    server.reply_call(*call)
    server.reply("done")
    transcript: list[Any] = []

    async def main(runner: Runner) -> Any:
        return await runner.run("x", tools=[failing], on_error=on_error, transcript=transcript)

    if on_error == "raise":
        with pytest.raises(error, match=says.removeprefix("LookupError: ")):
            program(mode, version, server, main)
        assert [message.role for message in transcript] == ["user", "assistant", "function"]
        assert says in json.dumps(transcript[-1].model_dump(), ensure_ascii=False)
        return
    result = program(mode, version, server, main)
    (told,) = results(server)
    assert says in told["error"]
    assert isinstance(result.steps[0].error, error)
    assert result.messages is transcript


def test_a_tool_that_hangs_is_given_up(mode: Mode, version: Version, server: GigaChatServer) -> None:
    end = threading.Event()

    @tool(timeout=0.05)
    def hang() -> str:
        end.wait(20)
        return "late"

    server.reply_call("hang")
    server.reply("done")
    try:
        result = program(mode, version, server, lambda runner: runner.run("x", tools=[hang]))
    finally:
        end.set()
    assert results(server) == [{"error": "the function did not return within 0.05 seconds"}]
    assert result.text == "done"


def test_an_async_tool_that_hangs_is_cancelled(mode: Mode, version: Version, server: GigaChatServer) -> None:
    async def hang() -> str:
        await (trio.sleep(20) if _in_trio() else asyncio.sleep(20))
        return "late"

    server.reply_call("hang")
    server.reply("done")
    program(mode, version, server, lambda runner: runner.run("x", tools=[hang], tool_timeout=0.05))
    assert results(server) == [{"error": "the function did not return within 0.05 seconds"}]


@pytest.mark.parametrize("mode", EACH_ASYNC_MODE)
def test_the_late_result_of_an_async_tool_that_ignores_its_cancellation_is_not_used(
    mode: Mode, version: Version, server: GigaChatServer
) -> None:
    async def stubborn() -> str:
        try:
            await (trio.sleep_forever() if _in_trio() else asyncio.get_running_loop().create_future())
        except (asyncio.CancelledError, trio.Cancelled):
            return "late"
        raise AssertionError("it was not cancelled")

    server.reply_call("stubborn")
    server.reply("done")
    program(mode, version, server, lambda runner: runner.run("x", tools=[stubborn], tool_timeout=0.05))
    assert results(server) == [{"error": "the function did not return within 0.05 seconds"}]


@pytest.mark.parametrize("arguments", [[1], 5, True, "words"])
def test_arguments_that_are_no_object_are_told(
    mode: Mode, version: Version, server: GigaChatServer, arguments: Any
) -> None:
    server.reply_call("add", arguments)
    server.reply("done")
    assert program(mode, version, server, lambda runner: runner.run("x", tools=[add])).text == "done"
    assert results(server)[0]["error"].startswith("add: the arguments ")


def approving(verdict: Any) -> tuple[Callable[[ToolCall], Any], list[ToolCall]]:
    asked: list[ToolCall] = []

    def approve(call: ToolCall) -> Any:
        asked.append(call)
        if isinstance(verdict, Exception):
            raise verdict
        return verdict

    return approve, asked


@pytest.mark.parametrize(
    ("verdict", "told"),
    [
        (True, {"result": "sent"}),
        (False, {"error": "the call was not approved"}),
        ("not today", {"error": "not today"}),
        (None, {"error": "the call was not approved"}),
        (1, {"error": "the call was not approved"}),
        (RuntimeError("broken"), {"error": "the call was not approved"}),
    ],
    ids=str,
)
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_a_tool_that_needs_approval_runs_only_if_it_is_approved(
    mode: Mode, version: Version, server: GigaChatServer, verdict: Any, told: Any, is_async: bool
) -> None:
    approve, asked = approving(verdict)
    sent: list[str] = []

    @tool(approve=True)
    def send(text: str) -> str:
        sent.append(text)
        return "sent"

    async def awaited(call: ToolCall) -> Any:
        return approve(call)

    server.reply_call("send", {"text": "hello"})
    server.reply("done")
    hook = awaited if is_async else approve
    program(mode, version, server, lambda runner: runner.run("x", tools=[send], approve=hook))
    assert results(server) == [told]
    assert [call.arguments for call in asked] == [{"text": "hello"}]
    assert sent == (["hello"] if verdict is True else [])


def own_hook(call: ToolCall) -> bool:
    return call.arguments == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("tool_of_run", "asked"),
    [
        (add, True),
        (tool(add), True),
        (tool(add, approve=True), True),
        (tool(add, approve=False), False),
        (tool(add, approve=own_hook), False),
    ],
    ids=["function", "tool", "True", "False", "own"],
)
def test_an_approval_of_a_run_is_asked_for_each_tool_without_one_of_its_own(
    mode: Mode, version: Version, server: GigaChatServer, tool_of_run: Any, asked: bool
) -> None:
    approve, calls = approving("not today")
    server.reply_call("add", {"a": 1, "b": 2})
    server.reply("done")
    program(mode, version, server, lambda runner: runner.run("x", tools=[tool_of_run], approve=approve))
    assert results(server) == [{"error": "not today"} if asked else {"result": 3}]
    assert [call.name for call in calls] == ["add"] * asked


class Amount(BaseModel):
    value: Decimal
    currency: str = "RUB"


def test_an_approval_sees_the_arguments_as_they_were_validated(
    mode: Mode, version: Version, server: GigaChatServer
) -> None:
    @tool
    def pay(
        amount: int,
        when: date,
        total: Amount,
        who: Annotated[str, Field(alias="to")] = "",
        note: str = "none",
        **more: float,
    ) -> str:
        return f"{amount} {when} {total.value} {who} {note} {more}"

    approve, calls = approving(True)
    given = {"amount": "300", "when": "2026-01-02", "total": {"value": "1.50"}, "to": "Anna", "rate": "2"}
    server.reply_call("pay", given)
    server.reply("done")
    result = program(mode, version, server, lambda runner: runner.run("x", tools=[pay], approve=approve))
    assert [call.arguments for call in calls] == [
        {"amount": 300, "when": "2026-01-02", "total": {"value": "1.50"}, "to": "Anna", "rate": 2.0}
    ]
    assert result.steps[0].call.arguments == given
    assert result.steps[0].value == "300 2026-01-02 1.50 Anna none {'rate': 2.0}"


def test_an_approval_sees_what_the_model_said_if_the_values_have_no_json_form(server: GigaChatServer) -> None:
    @tool(parameters={"type": "object", "properties": {"things": {}}})
    def use(things: Annotated[Any, AfterValidator(lambda value: object())]) -> str:
        return type(things).__name__

    approve, calls = approving(True)
    server.reply_call("use", {"things": [1]})
    server.reply("done")
    result = program(MODES[0], "v2", server, lambda runner: runner.run("x", tools=[use], approve=approve))
    assert [call.arguments for call in calls] == [{"things": [1]}]
    assert result.steps[0].value == "object"


def test_an_approval_that_fails_is_logged_with_its_error(
    server: GigaChatServer, caplog: pytest.LogCaptureFixture
) -> None:
    def approve(call: ToolCall) -> bool:
        raise TypeError("no\nnumber")

    server.reply_call("add", {"a": 1, "b": 2})
    server.reply("done")
    program(MODES[0], "v1", server, lambda runner: runner.run("x", tools=[add], approve=approve))
    assert results(server) == [{"error": "the call was not approved"}]
    assert "approval of tool 'add' failed: TypeError: no number" in caplog.messages


def test_the_same_call_is_not_run_a_fourth_time_in_a_row(mode: Mode, version: Version, server: GigaChatServer) -> None:
    ran: list[int] = []

    def again(number: int) -> int:
        ran.append(number)
        return number

    for number in (1, 1, 1, 1, 2, 1):
        server.reply_call("again", {"number": number})
    server.reply("done")
    program(mode, version, server, lambda runner: runner.run("x", tools=[again], max_steps=20))
    assert ran == [1, 1, 1, 2, 1]
    assert results(server)[3]["error"].startswith("not run: the same call was made 4 times in a row; ")


def test_calls_with_values_of_other_types_are_not_the_same(
    mode: Mode, version: Version, server: GigaChatServer
) -> None:
    ran: list[Any] = []

    def again(value: bool | int | float) -> int:
        ran.append(value)
        return 1

    for value in (1, True, 1.0, True):
        server.reply_call("again", {"value": value})
    server.reply("done")
    program(mode, version, server, lambda runner: runner.run("x", tools=[again], max_steps=20))
    assert [*map(type, ran)] == [int, bool, float, bool]


def test_a_run_ends_after_max_steps_and_its_messages_begin_the_next_one(
    mode: Mode, version: Version, server: GigaChatServer
) -> None:
    server.reply_call("add", {"a": 1, "b": 2})
    server.reply_call("add", {"a": 3, "b": 4})
    server.reply("done")

    async def main(runner: Runner) -> Any:
        first = await runner.run("x", tools=[add], max_steps=2)
        return first, await runner.run(list(first.messages), tools=[add])

    first, second = program(mode, version, server, main)
    assert (first.stop, len(first.steps)) == ("max_steps", 2)
    assert first.messages[-1].role == "function"
    assert (second.stop, second.text) == ("answer", "done")


def test_a_call_of_a_function_that_is_only_described_ends_the_run(
    mode: Mode, version: Version, server: GigaChatServer
) -> None:
    described = {"name": "elsewhere", "parameters": {"type": "object", "properties": {}}}
    server.reply_call("elsewhere")
    result = program(mode, version, server, lambda runner: runner.run("x", tools=[add, described]))
    assert (result.stop, result.steps) == ("call", [])
    assert result.messages[-1].role == "assistant"


DESCRIBED: dict[str, Any] = {"name": "elsewhere", "parameters": {"type": "object", "properties": {}}}


def result_message(version: Version, id_: str | None = None) -> dict[str, Any]:
    """Return the message with the result of the function that is only described."""
    if version == "v1":
        return {"role": "function", "name": "elsewhere", "content": '{"done": true}'}
    part = {"function_result": {"id": id_, "name": "elsewhere", "result": {"done": True}}}
    return {"role": "function", "content": [part]}


def test_a_run_continues_with_the_result_of_a_call_of_the_caller(
    mode: Mode, version: Version, server: GigaChatServer
) -> None:
    server.reply_call("elsewhere")
    server.reply("done")

    async def main(runner: Runner) -> Any:
        first = await runner.run("x", tools=[add, DESCRIBED])
        return await runner.run([*first.messages, result_message(version)], tools=[add, DESCRIBED])

    result = program(mode, version, server, main)
    assert (result.stop, result.text) == ("answer", "done")
    assert results(server) == [{"done": True}]


def test_a_conversation_continues_with_the_result_of_a_call_of_the_caller(
    mode: Mode, version: Version, server: GigaChatServer
) -> None:
    if version == "v1":
        server.reply_call("elsewhere")
    else:
        server.reply_calls("elsewhere", ("add", {"a": 1, "b": 2}))
    server.reply("done")

    async def main(runner: Runner) -> Any:
        conversation: Any = runner.giga.client.conversation(api=version, tools=[add, DESCRIBED])
        turns = []
        for message in ("x", result_message(version)):
            turn = conversation.send(message)
            turns.append(await turn if mode.is_async else turn)
        return turns

    first, second = program(mode, version, server, main)
    assert (first.stop, second.stop, second.text) == ("call", "answer", "done")
    assert results(server) == [{"result": 3}] * (version == "v2") + [{"done": True}]


def test_the_other_calls_of_an_answer_with_a_call_of_the_caller_are_run(mode: Mode, server: GigaChatServer) -> None:
    server.reply_calls(("add", {"a": 1, "b": 2}), "elsewhere", ("add", {"a": 3, "b": 4}))
    server.reply("done")

    async def main(runner: Runner) -> Any:
        first = await runner.run("x", tools=[add, DESCRIBED])
        (call,) = [call for call in first.completion.function_calls if call.name == "elsewhere"]
        messages = [*first.messages, result_message("v2", call.id_)]
        return first, await runner.run(messages, tools=[add, DESCRIBED])

    first, second = program(mode, "v2", server, main)
    assert (first.stop, [step.value for step in first.steps]) == ("call", [3, 7])
    assert [message.role for message in first.messages] == ["user", "assistant", "function"]
    assert (second.stop, second.text) == ("answer", "done")
    assert results(server) == [{"result": 3}, {"result": 7}, {"done": True}]
    assert [message["role"] for message in last_chat(server)] == ["user", "assistant", "function"]


def test_the_events_of_an_answer_with_a_call_of_the_caller(mode: Mode, server: GigaChatServer) -> None:
    server.reply_calls("elsewhere", ("add", {"a": 1, "b": 2}))

    async def main(runner: Runner) -> Any:
        return await runner.events(runner.stream("x", tools=[add, DESCRIBED]))

    events = program(mode, "v2", server, main)
    assert [type(event) for event in events] == [RunCall, RunToolResult, RunDone]
    assert (events[0].call.name, events[1].step.value, events[2].result.stop) == ("add", 3, "call")


def test_a_call_of_the_caller_beside_one_that_raises_has_a_result(mode: Mode, server: GigaChatServer) -> None:
    server.reply_calls("elsewhere", ("failing", {"kind": "told"}))
    server.reply("done")
    transcript: list[Any] = []

    async def main(runner: Runner) -> Any:
        with pytest.raises(ToolError):
            await runner.run("x", tools=[failing, DESCRIBED], on_error="raise", transcript=transcript)
        return await runner.run(transcript, tools=[failing, DESCRIBED])

    assert program(mode, "v2", server, main).text == "done"
    assert results(server) == [
        {"error": "not run: the run was interrupted"},
        {"error": "the city is unknown: ask the user"},
    ]


def test_what_forces_a_call_is_sent_in_the_first_request_only(
    mode: Mode, version: Version, server: GigaChatServer
) -> None:
    forced: dict[str, Any] = {"function_call": {"name": "add"}} if version == "v1" else {"tool_config": "add"}
    server.reply_call("add", {"a": 1, "b": 2})
    server.reply("done")
    program(mode, version, server, lambda runner: runner.run("x", tools=[add], **forced))
    first, second = (json.loads(one.body) for one in server.requests_to("/chat/completions"))
    if version == "v1":
        assert (first["function_call"], second["function_call"]) == ({"name": "add"}, "auto")
    else:
        assert first["tool_config"]["function_name"] == "add"
        assert "tool_config" not in second


def test_a_tool_may_use_the_client_of_its_run_although_one_request_is_allowed(
    mode: Mode, version: Version, server: GigaChatServer
) -> None:
    def nested(context: ToolContext[None]) -> str:
        return threading.current_thread().name if mode.is_async else str(context.client.chat("inner").text)

    async def anested(context: ToolContext[None]) -> str:
        return str((await context.client.chat("inner")).text)

    server.reply("inner answer", when="inner")
    server.reply_call("anested" if mode.is_async else "nested", when="outer")
    server.reply("done")
    used = anested if mode.is_async else nested
    options = {"max_concurrency": 1, "queue_timeout": 20}
    result = program(mode, version, server, lambda runner: runner.run("outer", tools=[used]), **options)
    assert result.steps[0].value == "inner answer"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_failed_answer_raises_and_its_call_is_not_run(
    mode: Mode, version: Version, server: GigaChatServer, stream: bool
) -> None:
    ran: list[str] = []

    def act() -> str:
        ran.append("run")
        return "ok"

    server.reply({"function_call": {"name": "act", "arguments": {}}, "finish_reason": "error"})
    transcript: list[Any] = []

    async def main(runner: Runner) -> Any:
        if stream:
            return await runner.events(runner.stream("x", tools=[act], transcript=transcript))
        return await runner.run("x", tools=[act], transcript=transcript)

    with pytest.raises(GenerationError):
        program(mode, version, server, main)
    assert not ran
    assert [message.role for message in transcript] == ["user"]


@pytest.mark.parametrize(("reason", "stop"), [("blacklist", "refused"), ("length", "length")])
def test_a_refused_or_cut_answer_ends_the_run_without_its_call(
    mode: Mode, version: Version, server: GigaChatServer, reason: str, stop: str
) -> None:
    server.reply({"function_call": {"name": "add", "arguments": {"a": 1, "b": 2}}, "finish_reason": reason})
    result = program(mode, version, server, lambda runner: runner.run("x", tools=[add]))
    assert (result.stop, result.steps) == (stop, [])


class Interrupt(BaseException):
    """As a signal handler raises it."""


def test_an_interrupt_inside_a_tool_is_raised_and_leaves_a_transcript_that_can_be_sent(
    version: Version, server: GigaChatServer
) -> None:
    def interrupted() -> str:
        raise Interrupt

    transcript: list[Any] = []
    server.reply_call("interrupted")
    server.reply("done")

    async def main(runner: Runner) -> Any:
        with pytest.raises(Interrupt):
            await runner.run("x", tools=[interrupted], transcript=transcript)
        return await runner.run(transcript, tools=[interrupted])

    assert program(MODES[0], version, server, main).text == "done"
    assert "interrupted" in results(server)[0]["error"]


def test_cancellation_inside_tools_returns_at_once_and_leaves_a_transcript_that_can_be_sent(
    server: GigaChatServer,
) -> None:
    end = threading.Event()

    def hang() -> str:
        end.wait(20)
        return "late"

    transcript: list[Any] = []
    server.reply_calls("hang", ("add", {"a": 1, "b": 2}))
    server.reply("done")
    mode = MODES[1]

    async def main(runner: Runner) -> Any:
        task = asyncio.create_task(runner.run("x", tools=[hang, add], transcript=transcript))
        await mode.until(lambda: len(server.chats) == 1)
        await asyncio.sleep(0.2)
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - began < 10
        return await runner.run(transcript, tools=[hang, add])

    try:
        assert program(mode, "v2", server, main).text == "done"
    finally:
        end.set()
    assert "interrupted" in results(server)[0]["error"]


class Unbound:
    @tool
    def look(self) -> str:
        return "ok"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, r"a run needs tools=\[\.\.\.\]"),
        ({"tools": "add"}, "tools= takes a list of tools"),
        ({"tools": [add, add]}, "two tools are called 'add': give one of them another name="),
        ({"tools": [add], "max_steps": 0}, "max_steps must be a whole number, 1 or more"),
        ({"tools": [add], "tool_timeout": -1}, "tool_timeout must be a number of seconds above 0"),
        ({"tools": [add], "tool_timeout": "5"}, "tool_timeout must be a number of seconds above 0"),
        ({"tools": [add], "tool_timeout": True}, "tool_timeout must be a number of seconds above 0"),
        ({"tools": [add], "max_steps": True}, "max_steps must be a whole number, 1 or more"),
        ({"tools": [add], "max_step": 3}, r"no field max_step=: did you mean max_steps= of a run"),
        ({"tools": [add], "tool_timout": 3}, r"no field tool_timout=: did you mean tool_timeout= of a run"),
        ({"tools": [add], "on_eror": "tell"}, r"no field on_eror=: did you mean on_error= of a run"),
        ({"tools": [add], "approv": len}, r"no field approv=: did you mean approve= of a run"),
        ({"tools": [add], "transcripts": []}, r"no field transcripts=: did you mean transcript= of a run"),
        ({"tools": [add], "into": int}, "into= is an argument of chat_parse and chat.parse, not a field of a chat"),
        ({"tools": [None]}, r"tools\[0\] must be a function, a tool or a description, not NoneType"),
        ({"tools": [add, 5]}, r"tools\[1\] must be a function, a tool or a description, not int"),
        ({"tools": [Unbound.look]}, "tool look is a method: give the tool of an instance"),
        ({"tools": [add], "approve": "yes"}, "approve= takes a function"),
        ({"tools": [add], "on_error": "ignore"}, "on_error is 'tell' or 'raise'"),
        ({"tools": [tool(approve=True)(add)]}, "tool 'add' needs approval: give approve="),
        ({"tools": [add], "storage": True}, "storage= cannot be given"),
        ({"tools": [add], "transcript": ()}, "transcript= takes a list"),
        ({"tools": [int]}, r"tools\[0\] must be a function, a tool or a description, not the class int"),
    ],
)
def test_a_mistake_is_named_before_any_request(
    mode: Mode, version: Version, server: GigaChatServer, options: dict[str, Any], says: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=says):
        program(mode, version, server, lambda runner: runner.run("x", **options))
    assert not server.chats


def test_a_run_that_was_closed_has_no_result(mode: Mode, version: Version, server: GigaChatServer) -> None:
    server.reply("a long answer of several words")

    async def main(runner: Runner) -> Any:
        stream = runner.stream("x", tools=[add])
        event = await anext(stream) if mode.is_async else next(stream)
        closing = stream.close()
        if mode.is_async:
            await closing
        with pytest.raises(GigaChatException, match="closed, before its end"):
            await runner.result(stream)
        return event

    assert isinstance(program(mode, version, server, main), RunText)


class UnreadableError(Exception):
    """An error without a text."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (UnreadableError(), "UnreadableError"),
        (ValueError("\ud800 of a pair"), "ValueError: ? of a pair"),
        (ToolError("я" * 3_000_000), "The text is cut: it has 3000000 characters."),
        (ToolError(), "the tool failed"),
        (StopIteration("no more"), "StopIteration: no more"),
    ],
    ids=["no text", "half a surrogate pair", "long", "empty", "StopIteration"],
)
def test_the_text_of_any_error_can_be_sent(
    mode: Mode, version: Version, server: GigaChatServer, error: Exception, says: str
) -> None:
    def fail() -> str:
        raise error

    server.reply_call("fail")
    server.reply("done")
    assert program(mode, version, server, lambda runner: runner.run("x", tools=[fail])).text == "done"
    (told,) = results(server)
    assert told["error"].endswith(says)
    assert len(told["error"]) < 20_000


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("mode", MODES[:2], ids=["blocking", "asyncio"])
def test_a_cancellation_that_is_not_of_the_run_is_told_to_the_model(
    mode: Mode, server: GigaChatServer, count: int, is_async: bool
) -> None:
    def cancelled(number: int) -> str:
        raise asyncio.CancelledError

    async def acancelled(number: int) -> str:
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        future.cancel()
        return await future

    used: Any = acancelled if is_async else cancelled
    server.reply_calls(*((used.__name__, {"number": number}) for number in range(count)))
    server.reply("done")
    result = program(mode, "v2", server, lambda runner: runner.run("x", tools=[used], parallel=2))
    assert result.text == "done"
    assert results(server) == [{"error": "RuntimeError: the function was cancelled"}] * count


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, Interrupt])
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_an_exit_of_a_tool_beside_others_is_raised_where_the_run_is_awaited(
    mode: Mode, server: GigaChatServer, error: type[BaseException], is_async: bool
) -> None:
    def leave() -> str:
        raise error

    async def aleave() -> str:
        raise error

    leaving: Any = aleave if is_async else leave
    server.reply_calls(leaving.__name__, ("add", {"a": 1, "b": 2}))
    server.reply("done")
    transcript: list[Any] = []

    async def main(runner: Runner) -> Any:
        with pytest.raises(error):
            await runner.run("x", tools=[leaving, add], transcript=transcript)
        return await runner.run(transcript, tools=[leaving, add])

    assert program(mode, "v2", server, main).text == "done"


@pytest.mark.parametrize("timeout", [float("inf"), 1e12])
@pytest.mark.parametrize("function", [add, aadd], ids=["sync", "async"])
def test_a_timeout_may_be_longer_than_the_system_can_wait(
    mode: Mode, server: GigaChatServer, timeout: float, function: Any
) -> None:
    server.reply_call(function.__name__, {"a": 1, "b": 2})
    server.reply("done")
    program(mode, "v2", server, lambda runner: runner.run("x", tools=[function], tool_timeout=timeout))
    assert results(server) == [{"result": 3}]


@pytest.mark.parametrize(("reason", "stop"), [("blacklist", "refused"), ("length", "length")])
def test_the_messages_of_a_cut_or_refused_answer_with_a_call_can_be_sent(
    mode: Mode, version: Version, server: GigaChatServer, reason: str, stop: str
) -> None:
    server.reply({"function_call": {"name": "add", "arguments": {"a": 1, "b": 2}}, "finish_reason": reason})
    server.reply("done")

    async def main(runner: Runner) -> Any:
        first = await runner.run("x", tools=[add])
        assert (first.stop, first.steps) == (stop, [])
        return await runner.run(first.messages, tools=[add])

    assert program(mode, version, server, main).text == "done"
    assert results(server)[0]["error"].startswith("not run: ")


class Gate:
    """A tool that waits until the test lets it end."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self) -> str:
        self.entered.set()
        self.opened.wait(20)
        return "late"

    async def read_beside(self, runner: Runner, stream: Any, beside: Callable[[], Any]) -> tuple[list[Any], Any]:
        """Read a stream to its end, and do something else while the tool runs; return the events and its result."""
        mode = runner.giga.mode
        events: list[Any] = []

        async def read() -> None:
            events.extend(await runner.events(stream))

        async def act() -> Any:
            await mode.until(self.entered.is_set)
            try:
                return await beside()
            finally:
                self.opened.set()

        results = await mode.together(read, act)
        assert results[0] is None, results[0]
        return events, results[1]


def test_a_stream_that_is_closed_while_its_tools_run_has_no_more_events(
    mode: Mode, version: Version, server: GigaChatServer
) -> None:
    gate = Gate()
    server.reply_call("gate")
    transcript: list[Any] = []

    async def main(runner: Runner) -> Any:
        stream = runner.stream("x", tools=[tool(name="gate")(gate)], transcript=transcript, max_steps=1)

        async def close() -> None:
            await runner.giga.leave(stream)

        return await gate.read_beside(runner, stream, close)

    events, _ = program(mode, version, server, main)
    assert [type(event) for event in events] == [RunCall]
    assert [message.role for message in transcript] == ["user", "assistant", "function"]


def test_one_thread_or_task_at_a_time_reads_a_run(mode: Mode, version: Version, server: GigaChatServer) -> None:
    gate = Gate()
    server.reply_call("gate")
    server.reply("done")

    async def main(runner: Runner) -> Any:
        stream = runner.stream("x", tools=[tool(name="gate")(gate)])

        async def read_too() -> None:
            with pytest.raises(GigaChatException, match="already being read by another thread or task"):
                await runner.result(stream)

        return await gate.read_beside(runner, stream, read_too)

    events, refused = program(mode, version, server, main)
    assert refused is None
    assert [type(event) for event in events if not isinstance(event, RunText)] == [RunCall, RunToolResult, RunDone]
    assert len(server.requests_to("/chat/completions")) == 2


def test_an_approval_cannot_change_what_the_model_said(mode: Mode, version: Version, server: GigaChatServer) -> None:
    def approve(call: ToolCall) -> bool:
        assert isinstance(call.arguments, dict)
        call.arguments["a"] = 100
        return True

    server.reply_call("add", {"a": 1, "b": 2})
    server.reply("done")
    used = tool(approve=True)(add)
    program(mode, version, server, lambda runner: runner.run("x", tools=[used], approve=approve))
    assert results(server) == [{"result": 3}]
    assert '"a": 100' not in json.dumps(last_chat(server))


def test_an_approval_cannot_change_what_the_model_said_if_the_values_have_no_json_form(server: GigaChatServer) -> None:
    @tool(parameters={"type": "object", "properties": {"things": {}}})
    def use(things: Annotated[Any, AfterValidator(lambda value: object())]) -> None: ...

    def approve(call: ToolCall) -> bool:
        assert isinstance(call.arguments, dict)
        call.arguments["things"].append(100)
        return True

    server.reply_call("use", {"things": [1]})
    server.reply("done")
    result = program(MODES[0], "v2", server, lambda runner: runner.run("x", tools=[use], approve=approve))
    assert result.steps[0].call.arguments == {"things": [1]}
    [called] = [part for message in last_chat(server) for part in message["content"] if "function_call" in part]
    assert called["function_call"]["arguments"] == {"things": [1]}


def test_the_result_of_a_sync_tool_is_read_in_its_thread(server: GigaChatServer) -> None:
    threads: list[threading.Thread] = []

    def lazy() -> Iterator[int]:
        def noted(number: int) -> int:
            threads.append(threading.current_thread())
            return number

        return map(noted, range(3))

    server.reply_call("lazy")
    server.reply("done")
    program(MODES[1], "v2", server, lambda runner: runner.run("x", tools=[lazy]))
    assert results(server) == [[0, 1, 2]]
    assert threading.main_thread() not in threads


MOST_STEPS = 200


def is_about(question: str, chat: ReceivedChat) -> bool:
    return f'"{question}"' in json.dumps(chat.body)


def running_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "gigachat"]


@pytest.mark.parametrize("mode", EACH_ASYNC_MODE)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_run_cancelled_anywhere_leaves_nothing_behind(
    mode: Mode, version: Version, server: GigaChatServer, stream: bool
) -> None:
    """No task, thread, slot or connection is left, and what the run has noted can be sent."""
    tools = [add, aadd]

    async def main() -> list[str]:
        lost: list[str] = []
        for step in range(1, MOST_STEPS):
            server.clear()
            question = f"step {step}"
            when = partial(is_about, question)  # the server may still be busy with the request before
            server.reply_calls(("add", {"a": 1, "b": 2}), ("aadd", {"a": 1, "b": 2}), when=when)
            server.reply_call("aadd", {"a": 3, "b": 4}, when=when)
            server.reply("done", when=when)
            transcript: list[Any] = []
            options = {**server.client_options, "max_concurrency": 1, "max_connections": 1, "queue_timeout": 10}
            async with mode.giga(**options) as giga:
                runner = Runner(giga, version)

                async def work(runner: Runner, question: str, transcript: list[Any]) -> None:
                    if stream:
                        await runner.events(runner.stream(question, tools=tools, transcript=transcript))
                    else:
                        await runner.run(question, tools=tools, transcript=transcript)

                cancelled = await mode.cancelled_at(step, partial(work, runner, question, transcript))
                server.clear()
                server.reply("after", always=True)
                try:
                    assert (await runner.run(list(transcript) or "x", tools=tools)).text == "after"
                except GigaChatException as error:
                    lost.append(f"cancelled at step {step}: {error}")
                await mode.until(lambda: not running_threads())
            if mode.name == "asyncio":
                assert asyncio.all_tasks() == {asyncio.current_task()}
            if not cancelled or len(lost) == 3:
                return lost
        raise AssertionError("the run has no end")

    assert mode.run(main) == []


def test_a_stream_of_a_run_cannot_be_pickled(mode: Mode, version: Version, server: GigaChatServer) -> None:
    async def main(runner: Runner) -> None:
        with pytest.raises(TypeError, match="a stream cannot be pickled: the result of the run can"):
            pickle.dumps(runner.stream("x", tools=[add]))
        result = await runner.run("x", tools=[add])
        assert pickle.loads(pickle.dumps(result)) == result

    program(mode, version, server, main)


CTRL_C = """
import os, signal, threading, time
from gigachat import GigaChat

arrived = threading.Barrier(3)

def hang(number: int) -> str:
    if arrived.wait(60) == 0:
        os.kill(os.getpid(), signal.SIGINT)
    time.sleep(600)

transcript = []
with GigaChat(max_concurrency=1) as giga:
    try:
        giga.chat.run("x", tools=[hang], transcript=transcript)
    except KeyboardInterrupt:
        assert giga.chat.run(transcript, tools=[hang]).text == "done"
    else:
        raise AssertionError("no interrupt")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a program cannot send itself this signal there")
def test_ctrl_c_ends_a_run_and_its_program_although_tools_hang(server: GigaChatServer) -> None:
    server.reply_calls(*(("hang", {"number": number}) for number in range(3)))
    server.reply("done")
    run_quietly(CTRL_C, server)
    assert len(results(server)) == 3
    assert all("interrupted" in told["error"] for told in results(server))
