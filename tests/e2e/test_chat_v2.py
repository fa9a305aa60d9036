"""Chat v2 by the client over real TLS and OAuth: answers, streams, tools, and what it finds out about a service."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from gigachat import BadRequestError, GigaChat, NotFoundError, StreamInterruptedError
from gigachat.models import ChatMessage
from gigachat.server import GigaChatServer
from tests.support.callers import Caller, Mode, options
from tests.support.payloads import WEATHER, http
from tests.support.raw_servers import raw_server

QUESTION = "Какая погода в городе Псков?"


class Person(BaseModel):
    name: str
    age: int


def paths(server: GigaChatServer) -> list[str]:
    return [request.path for request in server.requests_to("/chat/completions")]


def test_an_answer(caller: Caller, server: GigaChatServer) -> None:
    answer = caller.do("chat.create", "Привет!", temperature=0.2)
    assert "Привет!" in answer.text
    assert answer.finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    assert answer.x_headers["x-request-id"]
    assert paths(server) == ["/api/v2/chat/completions"]
    sent = server.requests_to("/chat/completions")[0].json
    assert sent["model_options"] == {"temperature": 0.2}


def test_a_stream_and_its_whole(caller: Caller, server: GigaChatServer) -> None:
    chunks = caller.read("Привет!", method="chat.stream")
    assert [chunk.event for chunk in chunks[:-1]] == ["response.message.delta"] * (len(chunks) - 1)
    assert chunks[-1].event == "response.message.done"
    assert "".join(chunk.text for chunk in chunks) == caller.do("chat.create", "Привет!").text
    # The done event ends the stream, and the connection is kept: one for all calls.
    for _ in range(3):
        caller.read("Привет!", method="chat.stream")
    assert server.connections <= 2


def test_the_whole_of_a_stream(server: GigaChatServer) -> None:
    with GigaChat(**options(server)) as giga, giga.chat.stream("Привет!") as stream:
        assert "".join(stream.text_stream) == stream.get_final_text()
        whole = stream.get_final_completion()
    assert whole.text == stream.get_final_text()
    assert (whole.finish_reason, whole.usage is not None) == ("stop", True)


def test_an_instance_of_a_class(caller: Caller) -> None:
    completion, person = caller.do("chat.parse", "Анне 30 лет.", response_format=Person)
    assert isinstance(person, Person)
    assert completion.finish_reason == "stop"


def test_tools_of_the_service(caller: Caller, tmp_path: Path) -> None:
    answer = caller.do("chat.create", "Найди новости", tools=["web_search"])
    assert any(part.inline_data and part.inline_data.sources for message in answer.messages for part in message.content)
    drawn = caller.do("chat.create", "Нарисуй кота", tools=["image_generate"])
    (file,) = drawn.files
    path = caller.do("download_file", file.id_, tmp_path / "cat.jpg")
    assert path.read_bytes().startswith(b"\xff\xd8\xff")
    with pytest.raises(NotFoundError, match="Unknown tool telepathy"):
        caller.do("chat.create", "x", tools=["telepathy"])


@pytest.mark.parametrize("option", [None, "function", "tool"])
@pytest.mark.parametrize("wanted", [None, "function", "tool"])
@pytest.mark.parametrize("written", ["function", "tool"])
def test_the_round_trip_of_a_function(wanted: Any, written: str, option: str | None, mode: Mode) -> None:
    with GigaChatServer(result_role=wanted) as server:
        with Caller(mode, {**options(server), "function_result_role": option}) as caller:
            messages: list[Any] = [{"role": "user", "content": QUESTION}]
            first = caller.do("chat.create", messages, tools=[WEATHER])
            (call,) = first.function_calls
            assert call.name == "weather"
            result = ChatMessage.function_result(call.name, {"t": -3})
            result.role = written
            messages += [*first.messages, result]
            server.clear()
            role = option or written
            if wanted in (None, role):
                second = caller.do("chat.create", messages, tools=[WEATHER])
                assert second.finish_reason == "stop"
                assert "-3" in second.text
            else:  # nothing is guessed, and nothing sent twice
                with pytest.raises(BadRequestError, match=r"invalid JSON syntax.*function_result_role="):
                    caller.do("chat.create", messages, tools=[WEATHER])
            (request,) = server.requests_to("/chat/completions")
            assert request.json["messages"][-1]["role"] == role
            assert result.role == written


NOT_HERE = {
    "page": http(b"<html>403</html>", status="403 Forbidden", content_type="text/html"),
    "json": http(b'{"status":404,"message":"Not Found"}', status="404 Not Found"),
    "nothing": http(b"", status="404 Not Found"),
}
COMPLETION = json.dumps({"messages": [{"role": "assistant", "content": [{"text": "да"}]}], "finish_reason": "stop"})


@pytest.mark.parametrize("refusal", NOT_HERE)
def test_the_other_address_is_tried_once_and_remembered(refusal: str, mode: Mode) -> None:
    def answer(connection: Any, request: bytes) -> None:
        here = request.startswith(b"POST /v2/")
        connection.sendall(http(COMPLETION.encode()) if here else NOT_HERE[refusal])

    with raw_server(answer) as (url, received):
        with Caller(mode, {"base_url": f"{url}/api/v1", "access_token": "t"}) as caller:
            for _ in range(2):
                assert caller.do("chat.create", "x").text == "да"
    asked = [request.split()[1] for request in received]
    assert asked == [b"/api/v2/chat/completions", b"/v2/chat/completions", b"/v2/chat/completions"]


def test_a_refusal_of_the_api_itself_is_not_tried_elsewhere(caller: Caller, server: GigaChatServer) -> None:
    with pytest.raises(NotFoundError, match="No such model"):
        caller.do("chat.create", "x", model="GigaChat-0")
    assert paths(server) == ["/api/v2/chat/completions"]


def test_the_address_may_be_set(server: GigaChatServer, mode: Mode) -> None:
    with Caller(mode, {**options(server), "v2_base_url": f"{server.origin}/v2"}) as caller:
        caller.do("chat.create", "x")
    assert paths(server) == ["/v2/chat/completions"]


def test_a_kept_history_goes_on(caller: Caller, server: GigaChatServer) -> None:
    first = caller.do("chat.create", "Меня зовут Анна", storage=True)
    assert first.thread_id
    caller.do("chat.create", "Как меня зовут?", storage={"thread_id": first.thread_id})
    sent = server.requests_to("/chat/completions")[1].json
    assert "model" not in sent  # the thread knows it
    kept = caller.do("request", "GET", "/threads/messages", params={"thread_id": first.thread_id}).json()
    assert len(kept["messages"]) == 4


def test_a_stream_that_is_cut(caller: Caller, server: GigaChatServer) -> None:
    server.cut(after_events=2)
    chunks: list[Any] = []
    with pytest.raises(StreamInterruptedError):
        caller.read("Привет, как дела?", into=chunks, method="chat.stream")
    assert len(chunks) == 2
    assert caller.do("chat.create", "x").finish_reason == "stop"


def test_many_at_once(server: GigaChatServer) -> None:
    async def main() -> list[str]:
        async with GigaChat(**options(server)) as giga:
            answers = await asyncio.gather(*(giga.achat.create(f"номер {number}") for number in range(20)))
        return [answer.text for answer in answers]

    for number, text in enumerate(asyncio.run(main())):
        assert f"номер {number}»" in text
