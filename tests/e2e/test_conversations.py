"""Conversations against the local server: v1 and v2, in every mode."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gigachat import ConversationFormatError, GigaChat, GigaChatException, ResponseError, RunText
from gigachat.server import GigaChatServer, ReceivedChat
from gigachat.tools.runs import RunCall
from tests.support.fixtures import VERSIONS, Version, each_of
from tests.support.systems import needs_pipes
from tests.support.waiting import PATIENCE, begun
from tests.wire.modes import EACH_ASYNC_MODE, EACH_MODE, MODES, Giga, Mode

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


class Talk:
    """A conversation in one mode."""

    def __init__(self, giga: Giga, **options: Any) -> None:
        self.mode = giga.mode
        self.conversation: Any = giga.client.conversation(**options)

    async def send(self, *arguments: Any, **options: Any) -> Any:
        result = self.conversation.send(*arguments, **options)
        return await result if self.mode.is_async else result

    async def events(self, message: str) -> list[Any]:
        stream = self.conversation.stream(message)
        return [event async for event in stream] if self.mode.is_async else list(stream)

    async def do(self, method: str, *arguments: Any) -> Any:
        result = getattr(self.conversation, method)(*arguments)
        return await result if self.mode.is_async else result

    @property
    def texts(self) -> list[tuple[str, str]]:
        return [(message.role, text_of(message)) for message in self.conversation.messages]


def text_of(message: Any) -> str:
    if isinstance(message.content, str):
        return message.content
    return "".join(part.text or "" for part in message.content or ())


def program(mode: Mode, server: GigaChatServer, main: Callable[[Giga], Any]) -> Any:
    async def whole() -> Any:
        async with mode.giga(**server.client_options) as giga:
            return await main(giga)

    return mode.run(whole)


def sent(server: GigaChatServer, at: int = -1) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = json.loads(server.requests_to("/chat/completions")[at].body)["messages"]
    return messages


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def test_a_conversation_remembers(mode: Mode, version: Version, server: GigaChatServer) -> None:
    server.reply("Hello, Anna.")
    server.reply("Anna.")

    async def main(giga: Giga) -> Talk:
        talk = Talk(giga, api=version, system="Be brief.")
        first = await talk.send("I am Anna.")
        events = await talk.events("Who am I?")
        assert "".join(event.text for event in events if isinstance(event, RunText)) == "Anna."
        usages = first.usage.total_tokens + events[-1].result.usage.total_tokens
        assert talk.conversation.usage.total_tokens == usages
        return talk

    talk = program(mode, server, main)
    assert talk.texts == [
        ("system", "Be brief."),
        ("user", "I am Anna."),
        ("assistant", "Hello, Anna."),
        ("user", "Who am I?"),
        ("assistant", "Anna."),
    ]
    assert [message["role"] for message in sent(server)] == ["system", "user", "assistant", "user"]
    sessions = {request.headers["x-session-id"] for request in server.requests_to("/chat/completions")}
    assert sessions == {talk.conversation.session_id}


def test_tools_are_a_part_of_their_turn(mode: Mode, version: Version, server: GigaChatServer) -> None:
    server.reply_call("add", {"a": 1, "b": 2})
    server.reply("3")
    server.reply("again 3")

    async def main(giga: Giga) -> Talk:
        talk = Talk(giga, api=version, tools=[add])
        await talk.send("1 + 2?")
        await talk.send("Again?")
        roles = [role for role, _ in talk.texts]
        assert roles == ["user", "assistant", "function", "assistant", "user", "assistant"]
        assert len(await talk.do("undo")) == 2
        assert len(await talk.do("undo")) == 4
        assert await talk.do("undo") == talk.conversation.messages == []
        return talk

    program(mode, server, main)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_turn_that_fails_leaves_the_history_as_it_was(
    mode: Mode, version: Version, server: GigaChatServer, stream: bool
) -> None:
    def break_off() -> str:
        server.fail(422)
        return "done"

    server.reply("Hello.")

    async def main(giga: Giga) -> Talk:
        talk = Talk(giga, api=version, system="Be brief.", tools=[break_off])
        await talk.send("Hello")
        before = talk.texts
        server.reply_call("break_off")
        with pytest.raises(ResponseError):
            await (talk.events("1 + 2?") if stream else talk.send("1 + 2?"))
        assert talk.texts == before
        server.clear()
        server.reply("Yes.")
        await talk.send("Are you there?")
        return talk

    assert program(mode, server, main).texts[-1] == ("assistant", "Yes.")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_turn_that_failed_is_continued_without_running_its_tools_again(
    mode: Mode, version: Version, server: GigaChatServer, stream: bool
) -> None:
    paid: list[int] = []

    def pay(amount: int) -> str:
        paid.append(amount)
        server.fail(422)
        return "done"

    server.reply("Hello.")

    async def main(giga: Giga) -> Talk:
        talk = Talk(giga, api=version, system="Be brief.", tools=[pay])
        await talk.send("Hello")
        assert talk.conversation.unfinished == []
        server.reply_call("pay", {"amount": 300})
        with pytest.raises(ResponseError) as caught:
            await (talk.events("Pay 300") if stream else talk.send("Pay 300"))
        assert [note for note in caught.value.__notes__ if "send(conversation.unfinished)" in note]
        assert len(talk.texts) == 3
        with pytest.raises(ValueError, match="the message is empty"):
            await talk.send("")
        unfinished = talk.conversation.unfinished
        assert [message.role for message in unfinished] == ["user", "assistant", "function"]
        server.clear()
        server.reply("Paid.")
        await (talk.events(unfinished) if stream else talk.send(unfinished))
        assert talk.conversation.unfinished == []
        return talk

    texts = program(mode, server, main).texts
    assert [role for role, _ in texts] == ["system", *["user", "assistant"] * 2, "function", "assistant"]
    assert texts[-1] == ("assistant", "Paid.")
    assert paid == [300]


def test_a_turn_that_failed_before_its_tools_ran_has_no_note(
    mode: Mode, version: Version, server: GigaChatServer
) -> None:
    async def main(giga: Giga) -> None:
        talk = Talk(giga, api=version)
        server.fail(422)
        with pytest.raises(ResponseError) as caught:
            await talk.send("Hello")
        assert not [note for note in getattr(caught.value, "__notes__", ()) if "tools ran" in note]
        assert [text_of(message) for message in talk.conversation.unfinished] == ["Hello"]

    program(mode, server, main)


def test_a_loaded_conversation_has_no_unfinished_turn(version: Version, server: GigaChatServer, tmp_path: Path) -> None:
    with GigaChat(**server.client_options) as giga:
        options: dict[str, Any] = {"api": version}
        talk = giga.conversation(**options)
        talk.save(tmp_path / "talk.jsonl")
        server.fail(422)
        with pytest.raises(ResponseError):
            talk.send("x")
        talk.load(tmp_path / "talk.jsonl")
        assert talk.unfinished == []


DESCRIBED = {"name": "described", "parameters": {"type": "object", "properties": {}}}


def result_of(version: Version, *names: str) -> dict[str, Any]:
    """Return the message with results of functions."""
    if version == "v1":
        return {"role": "function", "name": names[0], "content": "{}"}
    return {"role": "function", "content": [{"function_result": {"name": name, "result": {}}} for name in names]}


def test_the_model_gets_the_result_for_which_it_waits(mode: Mode, version: Version, server: GigaChatServer) -> None:
    server.reply_call("described")
    server.reply("good")

    async def main(giga: Giga) -> Talk:
        talk = Talk(giga, api=version, tools=[DESCRIBED])
        assert (await talk.send("x")).stop == "call"
        for message in ("y", ["y", result_of(version, "described")]):
            with pytest.raises(GigaChatException, match=r"waits for the result of described: send\(.*, or undo\(\)"):
                await talk.send(message)
            assert len(server.chats) == 1
        assert (await talk.send(result_of(version, "described"))).text == "good"
        assert len(await talk.do("undo")) == 4
        server.reply_call("described")
        await talk.send("x")
        assert len(await talk.do("undo")) == 2
        server.reply("better")
        await talk.send("y")
        return talk

    assert program(mode, server, main).texts == [("user", "y"), ("assistant", "better")]


def test_the_model_gets_the_results_of_several_calls(server: GigaChatServer) -> None:
    server.reply_calls("described", "other")
    server.reply("good")
    with GigaChat(**server.client_options) as giga:
        talk = giga.conversation(api="v2", tools=[DESCRIBED, {**DESCRIBED, "name": "other"}])
        talk.send("x")
        with pytest.raises(GigaChatException, match="the result of described, other: send"):
            talk.send("y")
        assert talk.send(result_of("v2", "described", "other")).text == "good"


def test_a_result_keeps_its_call_in_the_window(version: Version, server: GigaChatServer) -> None:
    server.reply("short")
    server.reply_call("described")
    server.reply("good")
    with GigaChat(**server.client_options) as giga:
        options: dict[str, Any] = {"api": version, "window": 200, "tools": [DESCRIBED]}
        talk = giga.conversation(**options)
        talk.send("a")
        talk.send("word " * 200)
        assert talk.send(result_of(version, "described")).text == "good"
        assert [message.role for message in talk.messages] == ["user", "assistant", "function", "assistant"]


def test_a_stream_that_is_closed_leaves_the_history_as_it_was(
    mode: Mode, version: Version, server: GigaChatServer, tmp_path: Path
) -> None:
    server.reply("a long answer of many words")
    saved = tmp_path / "talk.jsonl"

    async def main(giga: Giga) -> Talk:
        talk = Talk(giga, api=version, storage=Store())
        await talk.do("save", saved)
        stream = talk.conversation.stream("x")
        await anext(stream) if mode.is_async else next(stream)
        with pytest.raises(GigaChatException, match="a turn of this conversation is in progress"):
            await talk.send("y")
        for method, arguments in (("undo", ()), ("save", ()), ("load", (saved,))):
            with pytest.raises(GigaChatException, match="in progress"):
                await talk.do(method, *arguments)
        closing = stream.close()
        if mode.is_async:
            await closing
        assert talk.texts == []
        server.reply("good", "better")
        await talk.send("z")
        assert talk.texts == [("user", "z"), ("assistant", "good")]
        return talk

    program(mode, server, main)


def test_a_conversation_is_saved_and_loaded(
    mode: Mode, version: Version, server: GigaChatServer, tmp_path: Path
) -> None:
    path = tmp_path / "talk.jsonl"
    server.reply_call("add", {"a": 1, "b": 2})
    server.reply("Три.")

    async def main(giga: Giga) -> tuple[Talk, Talk]:
        talk = Talk(giga, api=version, system="Отвечай кратко.", tools=[add])
        await talk.send("Сколько?")
        await talk.do("save", path)
        other = Talk(giga, api=version, tools=[add])
        await other.do("load", path)
        server.reply("Да.")
        await other.send("Точно?")
        return talk, other

    talk, other = program(mode, server, main)
    assert other.texts[: len(talk.texts)] == talk.texts
    assert other.conversation.session_id == talk.conversation.session_id
    assert "Отвечай кратко." in path.read_text("utf-8")
    assert [message["role"] for message in sent(server)][:2] == ["system", "user"]


def test_a_missing_file_cannot_be_loaded(mode: Mode, server: GigaChatServer, tmp_path: Path) -> None:
    async def main(giga: Giga) -> None:
        with pytest.raises(FileNotFoundError):
            await Talk(giga).do("load", tmp_path / "talk.jsonl")

    program(mode, server, main)


def test_a_storage_keeps_the_conversation_after_each_turn(
    mode: Mode, version: Version, server: GigaChatServer, tmp_path: Path
) -> None:
    path = tmp_path / "talk.jsonl"
    server.reply("Hello.")

    async def main(giga: Giga) -> list[tuple[str, str]]:
        await Talk(giga, api=version, storage=path).send("Hi")
        return Talk(giga, api=version, storage=str(path)).texts

    assert program(mode, server, main) == [("user", "Hi"), ("assistant", "Hello.")]
    assert [entry.name for entry in tmp_path.iterdir()] == ["talk.jsonl"]


def test_an_own_storage_is_used(version: Version, server: GigaChatServer) -> None:
    class Memory:
        lines: Any = ()

        def load(self) -> Any:
            return self.lines

        def save(self, lines: Any) -> None:
            self.lines = json.loads(json.dumps(lines))

    storage = Memory()
    server.reply("Hello.")
    with GigaChat(**server.client_options) as giga:
        options: dict[str, Any] = {"api": version, "storage": storage}
        giga.conversation(**options).send("Hi")
        assert len(giga.conversation(**options).messages) == 2


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\xff\n", "it is not UTF-8"),
        (b"nonsense\n", "line 1 is not a JSON object"),
        (b'{"role":"user"}\n', "not a conversation that was saved"),
        (b'{"format":"gigachat.conversation","version":1,"api":"v2"}\n', "give api='v2'"),
        (b'{"format":"gigachat.conversation","version":1,"api":"v1"}\n{"content":"x"}\n', "role: "),
        (b'{"format":"gigachat.conversation","version":1,"api":"v1","system":5}\n', "are text"),
        (b'{"format":"gigachat.conversation","version":1,"api":"v1","usage":"much"}\n', "dictionary|mapping|object"),
    ],
)
def test_a_file_that_is_no_conversation_is_named(content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "talk.jsonl"
    path.write_bytes(content)
    giga = GigaChat(access_token="token")
    with pytest.raises(ConversationFormatError, match=says):
        giga.conversation(storage=path)
    conversation = giga.conversation()
    with pytest.raises(ConversationFormatError, match=says):
        conversation.load(path)
    assert conversation.messages == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"api": "v3"}, "api= is 'v1' or 'v2'"),
        ({"messages": []}, "messages= cannot be given"),
        ({"transcript": []}, "transcript= cannot be given"),
        ({"window": 0}, "window= is a number of tokens, 1 or more"),
        ({"window": "5"}, "window= is a number of tokens, not str"),
        ({"window": 1.5}, "window= is a number of tokens, not float"),
        ({"window": True}, "window= is a number of tokens, not bool"),
        ({"compact": "yes"}, "compact= is True or False, not str"),
        ({"system": 5}, "system= is the text of the system message, not int"),
        ({"tools": "add"}, "tools= takes a list"),
        ({"max_token": 5}, "max_tokens="),
    ],
)
def test_a_mistake_is_named_before_the_first_turn(options: dict[str, Any], says: str) -> None:
    with pytest.raises((TypeError, ValueError), match=says):
        GigaChat(access_token="token").conversation(**options)


@pytest.mark.parametrize(
    ("message", "files", "error", "says"),
    [
        (None, [], TypeError, "^a message is text, a model or a mapping, such as .*, not NoneType$"),
        (5, [], TypeError, "^a message is text, a model or a mapping, such as .*, not int$"),
        (b"x", [], TypeError, "^a message is text, a model or a mapping, such as .*, not bytes$"),
        (["x", 5], [], TypeError, "^a message is text, a model or a mapping, such as .*, not int$"),
        ([], [], ValueError, "^no messages: give at least one$"),
        ({"content": "x"}, [], ValueError, "^role"),
        ("x", "id", TypeError, "^files= takes a list, not str: "),
        ("x", 5, TypeError, "^files= takes a list, not int: "),
        ("x", [5], TypeError, "^files= takes uploaded files or their ids, not int: "),
        (["x"], ["id"], TypeError, "^files= belong to a message that is text"),
    ],
)
def test_an_invalid_message_is_named_before_the_request(
    version: Version, message: Any, files: Any, error: type[Exception], says: str
) -> None:
    options: dict[str, Any] = {"api": version}
    conversation = GigaChat(access_token="token").conversation(**options)
    with pytest.raises(error, match=says):
        conversation.send(message, files=files)
    with pytest.raises(error, match=says):
        conversation.stream(message, files=files)


def test_messages_and_files_of_a_turn(version: Version, server: GigaChatServer) -> None:
    server.reply("seen")
    with GigaChat(**server.client_options) as giga:
        file = giga.upload_file(("a.txt", b"text"))
        options: dict[str, Any] = {"api": version}
        giga.conversation(**options).send("What is it?", files=[file])
        with pytest.raises(ValueError, match="the message is empty"):
            giga.conversation(**options).send("")
        with pytest.raises(TypeError, match="files= belong to a message that is text"):
            giga.conversation(**options).send({"role": "user", "content": "x"}, files=[file])
    message = sent(server)[0]
    ids = message["attachments"] if version == "v1" else [one["id"] for one in message["content"][1]["files"]]
    assert ids == [file.id_]


@pytest.mark.parametrize("compact", [False, True], ids=["forgotten", "summarized"])
def test_old_turns_leave_as_a_whole_before_the_window_is_passed(
    mode: Mode, version: Version, server: GigaChatServer, compact: bool
) -> None:
    server.reply("SUMMARY", when="Summarize the conversation", always=True)
    server.reply("word " * 10, when="apple", always=True)

    async def main(giga: Giga) -> list[list[tuple[str, str]]]:
        talk = Talk(giga, api=version, system="S", window=400, compact=compact, tools=[add])
        seen = []
        for number in range(12):
            if number % 3 == 0:
                server.reply_call("add", {"a": number, "b": 2}, when=f"apple {number} ")
            await talk.send(f"apple {number} " + "word " * 15)
            seen.append(talk.texts)
        return seen

    seen = program(mode, server, main)
    sizes = [len(texts) for texts in seen]
    assert max(sizes) < 40
    cuts = [after for before, after in pairwise(sizes) if after < before]
    assert cuts, sizes
    for texts in seen:
        assert [role for role, _ in texts][:2] == ["system", "user"]
        assert texts[0][1] in ("S", "S\n\nSummary of the earlier conversation:\nSUMMARY")
    assert (seen[-1][0][1] != "S") is compact


exchanges = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 2)), min_size=1, max_size=8)


@settings(max_examples=15, deadline=None)
@given(exchanges, st.integers(60, 300))
def test_every_history_that_was_cut_is_accepted(turns: list[tuple[int, int]], window: int) -> None:
    with GigaChatServer() as server, GigaChat(**server.client_options) as giga:
        for api in ("v1", "v2"):
            options: dict[str, Any] = {"api": api, "window": window, "tools": [add], "system": "S"}
            conversation = giga.conversation(**options)
            for words, calls in turns:
                for _ in range(calls):
                    server.reply_call("add", {"a": words, "b": 1})
                server.reply("fine")
                assert conversation.send("слово " * words).text == "fine"
                assert [message.role for message in conversation.messages][:2] == ["system", "user"]


class Store:
    """A storage in memory, which fails or waits if it is told to."""

    def __init__(self) -> None:
        self.saved: list[Any] = []
        self.fails = False
        self.entered = threading.Event()
        self.gate: threading.Event | None = None

    def load(self) -> list[Any]:
        return self.saved[-1] if self.saved else []

    def save(self, lines: Any) -> None:
        gate, self.gate = self.gate, None
        if gate is not None:
            self.entered.set()
            gate.wait(20)
        if self.fails:
            raise OSError("the disk is full")
        self.saved.append(lines)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_turn_that_cannot_be_stored_is_kept(
    mode: Mode, version: Version, server: GigaChatServer, stream: bool
) -> None:
    server.reply("one", "two", "three")
    store = Store()

    async def main(giga: Giga) -> Talk:
        talk = Talk(giga, api=version, storage=store)
        await talk.send("a")
        store.fails = True
        with pytest.raises(OSError, match="the disk is full") as caught:
            await (talk.events("b") if stream else talk.send("b"))
        assert caught.value.__notes__ == ["the turn is in conversation.messages, and is stored with the next one"]
        assert [text for _, text in talk.texts] == ["a", "one", "b", "two"]
        assert talk.conversation.unfinished == []
        assert len(store.saved[-1]) == 3
        store.fails = False
        await talk.send("c")
        return talk

    assert [text for _, text in program(mode, server, main).texts] == ["a", "one", "b", "two", "c", "three"]
    assert len(store.saved[-1]) == 7


def test_a_stream_that_cannot_be_stored_has_its_result(mode: Mode, version: Version, server: GigaChatServer) -> None:
    server.reply("one")
    store = Store()
    store.fails = True

    async def main(giga: Giga) -> None:
        talk = Talk(giga, api=version, storage=store)
        stream = talk.conversation.stream("a")
        with pytest.raises(OSError, match="the disk is full"):
            _ = [event async for event in stream] if mode.is_async else list(stream)
        result = stream.get_final_result()
        assert (await result if mode.is_async else result).text == "one"

    program(mode, server, main)


def test_a_turn_that_is_undone_leaves_the_storage(mode: Mode, version: Version, server: GigaChatServer) -> None:
    server.reply("one", "two", "three")
    store = Store()

    async def main(giga: Giga) -> None:
        talk = Talk(giga, api=version, storage=store)
        await talk.send("a")
        await talk.send("b")
        await talk.do("undo")
        assert Talk(giga, api=version, storage=store).texts == talk.texts == [("user", "a"), ("assistant", "one")]
        store.fails = True
        with pytest.raises(OSError, match="the disk is full"):
            await talk.do("undo")
        assert talk.texts == []
        store.fails = False
        await talk.do("save")
        assert len(store.saved[-1]) == 1
        await talk.do("undo")
        assert len(store.saved) == 4

    program(mode, server, main)


def test_a_loaded_conversation_is_stored(mode: Mode, version: Version, server: GigaChatServer, tmp_path: Path) -> None:
    server.reply("one")
    store = Store()

    async def main(giga: Giga) -> None:
        talk = Talk(giga, api=version)
        await talk.send("a")
        await talk.do("save", tmp_path / "talk.jsonl")
        with pytest.raises(TypeError, match=r"save\(\) needs the path of a file"):
            await talk.do("save")
        await Talk(giga, api=version, storage=store).do("load", tmp_path / "talk.jsonl")
        assert Talk(giga, api=version, storage=store).texts == talk.texts

    program(mode, server, main)


def test_the_save_of_a_cancelled_turn_does_not_replace_a_later_one(version: Version, server: GigaChatServer) -> None:
    server.reply("one", "two")
    store = Store()
    gate = store.gate = threading.Event()
    mode = MODES[1]

    async def main(giga: Giga) -> Talk:
        talk = Talk(giga, api=version, storage=store)
        cancelled = asyncio.create_task(talk.send("a"))
        await mode.until(store.entered.is_set)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        assert talk.texts == []
        later = asyncio.create_task(talk.send("b"))
        await mode.until(lambda: len(server.chats) == 2)
        gate.set()
        await later
        await mode.until(lambda: len(store.saved) == 2)
        return talk

    texts = program(mode, server, main).texts
    assert texts == [("user", "b"), ("assistant", "two")]
    assert [line["role"] for line in store.saved[-1][1:]] == ["user", "assistant"]
    assert json.dumps(store.saved[-1]).count("two") == 1


def test_a_turn_that_is_closed_while_its_tools_run_is_not_kept(
    mode: Mode, version: Version, server: GigaChatServer
) -> None:
    entered, opened = threading.Event(), threading.Event()

    def wait() -> str:
        entered.set()
        opened.wait(20)
        return "late"

    server.reply_call("wait")

    async def main(giga: Giga) -> Talk:
        talk = Talk(giga, api=version, tools=[wait], max_steps=1)
        stream = talk.conversation.stream("x")

        async def read() -> None:
            events = [event async for event in stream] if mode.is_async else list(stream)
            assert [type(event) for event in events] == [RunCall]

        async def close() -> None:
            await mode.until(entered.is_set)
            await giga.leave(stream)
            opened.set()

        assert await mode.together(read, close) == [None, None]
        return talk

    assert program(mode, server, main).texts == []


def test_a_turn_that_is_closed_during_its_summary_sends_nothing_more(server: GigaChatServer) -> None:
    server.reply("word " * 300)
    server.reply("summary", after=2)
    mode = MODES[1]

    async def main(giga: Giga) -> Talk:
        talk = Talk(giga, window=300, compact=True)
        await talk.send("a")
        stream = talk.conversation.stream("b")
        reader = asyncio.create_task(stream.get_final_result())
        await mode.until(lambda: len(server.chats) == 2)
        await stream.close()
        with pytest.raises(GigaChatException, match="closed, before its end"):
            await reader
        return talk

    assert len(program(mode, server, main).texts) == 2
    assert len(server.chats) == 2


def test_a_summary_that_fails_leaves_the_history_as_it_was(
    mode: Mode, version: Version, server: GigaChatServer
) -> None:
    server.reply("word " * 300, {"content": " "}, "summary", "last")

    async def main(giga: Giga) -> Talk:
        talk = Talk(giga, api=version, window=300, compact=True, system="Be brief.")
        await talk.send("a")
        before = talk.texts
        with pytest.raises(GigaChatException, match="wrote no summary"):
            await talk.send("b")
        assert talk.texts == before
        await talk.send("c")
        return talk

    texts = program(mode, server, main).texts
    assert "in the language of the conversation" in str(sent(server, -2)[-1]["content"])
    assert texts[0] == ("system", "Be brief.\n\nSummary of the earlier conversation:\nsummary")
    assert texts[1:] == [("user", "c"), ("assistant", "last")]


@pytest.mark.parametrize(("content", "error"), [(None, FileNotFoundError), ("\n", ConversationFormatError)])
def test_a_file_to_load_must_hold_a_conversation(
    mode: Mode, version: Version, server: GigaChatServer, tmp_path: Path, content: str | None, error: type[Exception]
) -> None:
    path = tmp_path / "talk.jsonl"
    if content is not None:
        path.write_text(content)

    async def main(giga: Giga) -> None:
        with pytest.raises(error):
            await Talk(giga, api=version).do("load", path)

    program(mode, server, main)


def test_a_storage_stays_where_it_was_named(
    server: GigaChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with GigaChat(**server.client_options) as giga:
        talk = giga.conversation(storage="talk.jsonl")
        monkeypatch.chdir(tmp_path / "elsewhere")
        talk.send("x")
    assert (tmp_path / "talk.jsonl").exists()


def test_a_storage_without_a_folder_is_named_before_the_first_turn(tmp_path: Path) -> None:
    conversation = GigaChat(access_token="token").conversation
    with pytest.raises(FileNotFoundError, match=r"the folder of the conversation does not exist: .*nofolder'$"):
        conversation(storage=tmp_path / "nofolder" / "talk.jsonl")


def test_a_file_that_cannot_be_written_is_named(server: GigaChatServer, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "talk.jsonl"
    with GigaChat(**server.client_options) as giga:
        talk = giga.conversation(storage=path)
        folder.rmdir()
        with pytest.raises(FileNotFoundError) as caught:
            talk.send("x")
    assert caught.value.filename == str(path.resolve())


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_storage_that_is_a_link_stays_one(server: GigaChatServer, tmp_path: Path) -> None:
    link = tmp_path / "link.jsonl"
    link.symlink_to(tmp_path / "talk.jsonl")
    with GigaChat(**server.client_options) as giga:
        giga.conversation(storage=link).send("x")
        assert len(giga.conversation(storage=tmp_path / "talk.jsonl").messages) == 2
    assert link.is_symlink()


@needs_pipes
def test_a_conversation_is_saved_to_a_pipe(server: GigaChatServer, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    with GigaChat(**server.client_options) as giga:
        talk = giga.conversation(system="Be brief")
        reader = begun(lambda: read.append(pipe.read_text("utf-8")))
        talk.save(pipe)
        reader.join(PATIENCE)
    assert pipe.is_fifo()
    assert "Be brief" in read[0]


class AsyncSave(Store):
    """A storage whose save would never be awaited."""

    async def save(self, lines: Any) -> None:  # type: ignore[override]
        """Do nothing."""


class Loads(Store):
    """A storage that loads something else."""

    def __init__(self, loaded: Any) -> None:
        super().__init__()
        self._loaded = loaded

    def load(self) -> Any:
        return self._loaded


def test_a_slow_storage_is_loaded_in_a_thread_of_the_caller(version: Version, server: GigaChatServer) -> None:
    threads: list[threading.Thread] = []

    class Slow(Store):
        def load(self) -> list[Any]:
            threads.append(threading.current_thread())
            return super().load()

    async def main(giga: Giga) -> None:
        conversation = await asyncio.to_thread(giga.client.conversation, api=version, storage=Slow())
        assert threads != [threading.current_thread()]
        server.reply("Hello.")
        assert (await conversation.send("x")).text == "Hello."

    program(MODES[1], server, main)
    assert len(threads) == 1


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"storage": 5}, TypeError, "storage= takes the path of a file, or an object"),
        ({"storage": AsyncSave()}, TypeError, "must not be coroutine functions"),
        ({"storage": Loads(5)}, ConversationFormatError, "must return a sequence of mappings"),
        ({"storage": Loads(["{}"])}, ConversationFormatError, "must return a sequence of mappings"),
        ({"storage": Loads(None), "session_id": "a\nb"}, ValueError, "session_id: the value .* contains a line break"),
        ({"session_id": 5}, TypeError, "session_id: the value .* must be text"),
    ],
)
def test_an_invalid_storage_or_session_is_named_before_the_first_turn(
    options: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        GigaChat(access_token="token").conversation(**options)


def is_about(question: str, chat: ReceivedChat) -> bool:
    return f'"{question}"' in json.dumps(chat.body)


@pytest.mark.parametrize("mode", EACH_ASYNC_MODE)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_turn_cancelled_anywhere_leaves_the_conversation_as_it_was(
    mode: Mode, version: Version, server: GigaChatServer, stream: bool
) -> None:
    async def main() -> None:
        for step in range(1, 200):
            server.clear()
            question = f"step {step}"
            when = partial(is_about, question)  # the server may still be busy with the request before
            server.reply_call("add", {"a": 1, "b": 2}, when=when)
            server.reply("done", when=when)
            store = Store()
            options = {**server.client_options, "max_concurrency": 1, "max_connections": 1, "queue_timeout": 10}
            async with mode.giga(**options) as giga:
                talk = Talk(giga, api=version, tools=[add], storage=store)

                async def work(talk: Talk, question: str) -> None:
                    await (talk.events(question) if stream else talk.send(question))

                cancelled = await mode.cancelled_at(step, partial(work, talk, question))
                kept = len(talk.texts)
                assert kept in ((0,) if cancelled else (4,)), step
                assert cancelled or not talk.conversation.unfinished
                message = talk.conversation.unfinished or ["y"]
                server.clear()
                server.reply("after", always=True)
                assert (await talk.send(message)).text == "after", step
                assert len(talk.texts) == len(store.saved[-1]) - 1 == kept + len(message) + 1
            if not cancelled:
                return
        raise AssertionError("the turn has no end")

    mode.run(main)


def test_a_conversation_cannot_be_pickled(mode: Mode, version: Version, server: GigaChatServer) -> None:
    async def main(giga: Giga) -> None:
        with pytest.raises(TypeError, match="cannot be pickled or copied: save it to a file"):
            pickle.dumps(Talk(giga, api=version).conversation)

    program(mode, server, main)


class Interrupt(BaseException):
    """As a signal handler raises it."""


def test_an_interrupt_between_two_steps_of_a_turn_leaves_the_conversation_usable(server: GigaChatServer) -> None:
    lines = 0

    def traced(frame: FrameType, event: str, argument: object, at: int) -> Any:
        nonlocal lines
        if event == "line":
            lines += 1
            if lines == at:
                raise Interrupt
        code = frame.f_code
        followed = code.co_filename.endswith("turns.py") and code.co_name in ("finish", "advance")
        return partial(traced, at=at) if followed else None

    with GigaChat(**server.client_options) as giga:
        for at in range(1, 500):
            lines = 0
            server.clear()
            server.reply_call("add", {"a": 1, "b": 2})
            server.reply("one", "two")
            talk = giga.conversation(tools=[add])
            outer = sys.gettrace()
            sys.settrace(partial(traced, at=at))
            try:
                talk.send("x")
            except Interrupt:
                pass
            finally:
                sys.settrace(outer)
            assert len(talk.messages) in (0, 4)
            talk.send("y")
            if lines < at:
                assert at > 5
                return
    raise AssertionError("the turn has no end")
