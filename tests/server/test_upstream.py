"""Does the engine over an OpenAI-compatible server send what that contract wants, and read all it may answer?

A raw server stands in: it notes what comes and sends what it is told.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from gigachat import GigaChat, RequestEntityTooLargeError, ServerError
from gigachat.exceptions import ResponseError
from gigachat.server import GigaChatServer
from gigachat.server.catalogue import find_model
from gigachat.server.engine import ChatRequest, FunctionCall, Message, Piece, Reasoning, Spent, Stop
from gigachat.server.engines.upstream import Upstream
from gigachat.server.wire.errors import Refusal
from tests.support.payloads import WEATHER
from tests.support.raw_servers import listening, read_request

WITH_EXAMPLE = {**WEATHER, "few_shot_examples": [{"request": "Погода в Омске", "params": {"city": "Омск"}}]}
USAGE = {"prompt_tokens": 30, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 12}}
HEAD = b"HTTP/1.1 %d Status\r\nContent-Type: %s\r\nConnection: close\r\n\r\n"


class Raw:
    """A server of one answer: bytes, sent piece by piece."""

    def __init__(self) -> None:
        self.pieces: Sequence[bytes] = ()
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.endless = False
        self.left = threading.Event()
        """The caller of an endless answer has gone."""
        self.url = ""

    def serve(self, connection: socket.socket) -> None:
        head, _, body = read_request(connection).partition(b"\r\n\r\n")
        line, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if line:
            self.requests.append((line.split(" ")[1], headers, json.loads(body) if body else None))
            self.answer(connection)

    def answer(self, connection: socket.socket) -> None:
        try:
            for piece in self.pieces:
                connection.sendall(piece)
            while self.endless:
                connection.sendall(self.pieces[-1])
        except OSError:
            self.left.set()

    def document(self, value: Any, status: int = 200) -> None:
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.pieces = [HEAD % (status, b"application/json"), content]

    def events(self, *values: Any, end: bytes = b"data: [DONE]\n\n") -> None:
        events = [b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n" for value in values]
        self.pieces = [HEAD % (200, b"text/event-stream"), *events, end]

    @property
    def body(self) -> Any:
        return self.requests[-1][2]


@pytest.fixture
def raw() -> Iterator[Raw]:
    running = Raw()
    with listening(running.serve) as port:
        running.url = f"http://127.0.0.1:{port}"
        yield running


@contextmanager
def signed_in(engine: Upstream) -> Iterator[GigaChat]:
    with (
        GigaChatServer(engine=engine) as server,
        GigaChat(
            **server.client_options,
            max_retries=0,
        ) as giga,
    ):
        yield giga


def delta(reason: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": reason}]}


def told(engine: Upstream, *messages: Message, **fields: Any) -> list[Piece]:
    async def main() -> list[Piece]:
        request = ChatRequest(find_model("GigaChat"), messages or [Message("user", "Привет")], **fields)
        return [piece async for piece in engine.complete(request)]

    return asyncio.run(main())


def test_a_chat_through_the_whole_of_it(raw: Raw) -> None:
    raw.events(
        delta(role="assistant", content=""),
        delta(reasoning_content="Думаю. "),
        delta(content="При"),
        # These end lines in a text, not in a stream.
        delta(content="вет\u2028\x85!"),
        delta("stop"),
        {"choices": [], "usage": USAGE},
    )
    with signed_in(Upstream(raw.url + "/v1/", model="tiny", api_key="secret")) as giga:
        completion = giga.chat("Здравствуй", temperature=0.5, top_p=0.9, max_tokens=40, repetition_penalty=1.1)
        assert completion.choices[0].message.content == "Привет\u2028\x85!"
        assert completion.choices[0].message.reasoning_content == "Думаю. "
        assert completion.usage.model_dump() == {
            "prompt_tokens": 18,
            "completion_tokens": 5,
            "total_tokens": 23,
            "precached_prompt_tokens": 12,
        }
        chunks = list(giga.stream("Здравствуй"))
        assert [chunk.choices[0].delta.content for chunk in chunks if chunk.choices[0].delta.content] == [
            "При",
            "вет\u2028\x85!",
        ]
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.completion_tokens == 5
        second = giga.chat.create("Здравствуй", model_options={"temperature": 0.5})
        assert second.usage is not None
        assert (second.usage.input_tokens, second.usage.output_tokens) == (18, 5)
    path, headers, body = raw.requests[0]
    assert path == "/v1/chat/completions"
    assert headers["authorization"] == "Bearer secret"
    assert body == {
        "model": "tiny",
        "messages": [{"role": "user", "content": "Здравствуй"}],
        "temperature": 0.5,
        "top_p": 0.9,
        "repetition_penalty": 1.1,
        "repeat_penalty": 1.1,
        "max_tokens": 40,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert raw.body["temperature"] == 0.5


@pytest.mark.parametrize(
    ("given", "path"),
    [("", "/v1"), ("/", "/v1"), ("/v1", "/v1"), ("/openai/v1/", "/openai/v1"), ("/v1/chat/completions", "/v1")],
)
def test_the_address_is_taken_with_and_without_a_path(raw: Raw, given: str, path: str) -> None:
    raw.events(delta("stop", content="x"))
    assert told(Upstream(raw.url + given, "m")) == ["x"]
    assert raw.requests[0][0] == f"{path}/chat/completions"
    assert "authorization" not in raw.requests[0][1]


@pytest.mark.parametrize("url", ["localhost:11434", "ftp://host", "", "http://"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ValueError, match="address"):
        Upstream(url)


def test_a_model_is_looked_up_once(raw: Raw) -> None:
    raw.document({"data": [{"id": "first"}, {"id": "second"}], "choices": [{"message": {}, "finish_reason": "stop"}]})
    engine = Upstream(raw.url)
    told(engine)
    told(engine)
    assert [path for path, _, _ in raw.requests] == ["/v1/models", "/v1/chat/completions", "/v1/chat/completions"]
    assert raw.body["model"] == "first"
    raw.document({"data": []})
    with pytest.raises(Refusal, match="no models"):
        told(Upstream(raw.url))


def test_functions_of_its_own_way(raw: Raw) -> None:
    call = {"index": 0, "id": "c", "function": {"name": "weather", "arguments": ""}}
    raw.events(
        delta(tool_calls=[call]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": '{"ci'}}]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": 'ty":"Омск"}'}}]),
        delta(tool_calls=[{"index": 1, "function": {"name": "weather", "arguments": {"city": "Уфа"}}}]),
        delta("tool_calls"),
    )
    both = [FunctionCall("weather", {"city": "Омск"}), FunctionCall("weather", {"city": "Уфа"})]
    engine = Upstream(raw.url, "m")
    assert told(engine, functions=[WITH_EXAMPLE], several_calls=True) == both
    assert raw.body["tool_choice"] == "auto"
    [tool] = raw.body["tools"]
    described = {name: WITH_EXAMPLE[name] for name in ("name", "description", "parameters")}
    assert tool == {"type": "function", "function": described}
    assert told(engine, functions=[WITH_EXAMPLE], must_call=["weather"], preset={"days": 3}) == [
        FunctionCall("weather", {"city": "Омск", "days": 3})
    ]
    assert raw.body["tool_choice"] == {"type": "function", "function": {"name": "weather"}}


def test_some_of_the_functions_must_be_called(raw: Raw) -> None:
    raw.events(delta("stop", content="x"))
    told(Upstream(raw.url, "m"), functions=[WEATHER, {"name": "time"}, {"name": "news"}], must_call=["time", "news"])
    assert raw.body["tool_choice"] == "required"
    assert [one["function"]["name"] for one in raw.body["tools"]] == ["time", "news"]


@pytest.mark.parametrize("numbers", [(0, 0), (None, None), (None, 1)], ids=["same", "none", "half"])
def test_calls_are_told_apart_without_numbers(raw: Raw, numbers: tuple[int | None, int | None]) -> None:
    """Ollama has given all calls the number 0, Gemini gives none; vLLM has given each piece an id of its own."""
    first, second = ({} if number is None else {"index": number} for number in numbers)
    raw.events(
        delta(tool_calls=[{**first, "id": "a", "function": {"name": "weather", "arguments": '{"city":'}}]),
        delta(tool_calls=[{**first, "id": "x", "function": {"arguments": '"Омск"}'}}]),
        delta(tool_calls=[{**second, "id": "b", "function": {"name": "time", "arguments": "{}"}}]),
        delta("tool_calls"),
    )
    both = [FunctionCall("weather", {"city": "Омск"}), FunctionCall("time", {})]
    assert told(Upstream(raw.url, "m"), functions=[WEATHER, {"name": "time"}], several_calls=True) == both


def test_calls_whose_number_is_null(raw: Raw) -> None:
    calls = [{"index": None, "function": {"name": "time"}}, {"index": None, "function": {"name": "weather"}}]
    raw.document({"choices": [{"message": {"tool_calls": calls}, "finish_reason": "tool_calls"}]})
    both = [FunctionCall("time", {}), FunctionCall("weather", {})]
    assert told(Upstream(raw.url, "m"), functions=[WEATHER, {"name": "time"}], several_calls=True) == both


def test_results_are_brought_under_the_ids_of_their_calls(raw: Raw) -> None:
    raw.events(delta("stop", content="x"))
    told(
        Upstream(raw.url, "m"),
        Message("system", "Будь краток"),
        Message("user", "?"),
        Message("assistant", calls=[FunctionCall("time", {}), FunctionCall("weather", {"city": "Омск"})]),
        Message("function", '{"t": 1}', "weather"),
        Message("function", '{"now": 2}', "time"),
        Message("reasoning", "мысли"),
        Message("assistant", "ответ"),
        Message("function", "3", "lost"),
        Message("search_result", "нашлось"),
    )
    system, user, calls, weather, clock, answer, lost, found = raw.body["messages"]
    assert (system["role"], user["role"], answer["content"], found["role"]) == ("system", "user", "ответ", "user")
    first, second = calls["tool_calls"]
    assert json.loads(second["function"]["arguments"]) == {"city": "Омск"}
    assert first["id"] != second["id"]
    assert weather == {"role": "tool", "tool_call_id": second["id"], "name": "weather", "content": '{"t": 1}'}
    assert clock == {"role": "tool", "tool_call_id": first["id"], "name": "time", "content": '{"now": 2}'}
    assert lost["role"] == "user"
    assert "lost returned: 3" in lost["content"]


def test_results_are_paired_by_id(raw: Raw) -> None:
    raw.events(delta("stop", content="x"))
    told(
        Upstream(raw.url, "m"),
        Message("user", "?"),
        Message("assistant", calls=[FunctionCall("time", {}, "a"), FunctionCall("time", {}, "b")]),
        Message("function", "2", "time", call_id="b"),
        Message("function", "1", "time", call_id="a"),
    )
    _, calls, second, first = raw.body["messages"]
    ids = [call["id"] for call in calls["tool_calls"]]
    assert [second["tool_call_id"], first["tool_call_id"]] == ids[::-1]


def test_formats_and_effort(raw: Raw) -> None:
    raw.events(delta("stop", content='{"a":1}'))
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    assert told(Upstream(raw.url, "m", seed=5), schema=schema, effort="low") == ['{"a":1}']
    assert raw.body["response_format"]["json_schema"]["schema"] == schema
    assert raw.body["reasoning_effort"] == "low"
    assert raw.body["seed"] == 5


@pytest.mark.parametrize(
    ("reason", "stops"), [("stop", []), ("length", [Stop("length")]), ("content_filter", [Stop("blacklist")])]
)
def test_why_it_ended(raw: Raw, reason: str, stops: list[Piece]) -> None:
    raw.events(delta(content="x"), delta(reason), {"choices": [], "usage": USAGE})
    assert told(Upstream(raw.url, "m")) == ["x", *stops, Spent(30, 12, 5)]


def test_a_call_cut_off_is_none(raw: Raw) -> None:
    call = {"index": 0, "function": {"name": "weather", "arguments": '{"city": "О'}}
    raw.events(delta(tool_calls=[call]), delta("length"))
    assert told(Upstream(raw.url, "m"), functions=[WEATHER]) == [Stop("length")]
    raw.events(delta(tool_calls=[call]), delta("tool_calls"))
    with pytest.raises(Refusal, match="no JSON object"):
        told(Upstream(raw.url, "m"), functions=[WEATHER])


def test_a_server_that_does_not_stream(raw: Raw) -> None:
    raw.document({"choices": [{"message": {"content": "целиком", "reasoning": "мысль"}, "finish_reason": "stop"}]})
    assert told(Upstream(raw.url, "m")) == [Reasoning("мысль"), "целиком"]


@pytest.mark.parametrize(
    ("status", "body", "expected", "text"),
    [
        (400, {"error": {"message": "bad value", "type": "invalid_request_error"}}, 422, "bad value"),
        (400, {"error": {"message": "long", "type": "exceed_context_size_error", "code": 400}}, 413, "long"),
        (400, {"error": {"message": "long", "code": "context_length_exceeded"}}, 413, "long"),
        (400, {"object": "error", "message": "This model's maximum context length is 9"}, 413, "maximum context"),
        (401, {"error": "no key"}, 500, "refused the key: no key"),
        (404, {"error": {"message": "model 'm' not found"}}, 404, "model 'm' not found"),
        (422, {"detail": [{"msg": "field required"}]}, 422, "field required"),
        (429, {"error": {"message": "slow down"}}, 429, "slow down"),
        (500, b"<html>broken</html>", 500, "broken"),
        (503, {"error": {"message": "Loading model", "code": 503}}, 503, "Loading model"),
        (418, b"", 422, "status 418"),
        (200, {"error": {"message": "inside", "code": 400}}, 422, "inside"),
        (200, {"error": "inside"}, 500, "inside"),
        (200, b"not json", 500, "no JSON object: not json"),
        (200, ["hello"], 500, 'no JSON object: \\["hello"\\]'),
        (200, None, 500, "no JSON object: null"),
        (307, b"", 500, "sends elsewhere with status 307"),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_errors_come_as_the_services(raw: Raw, status: int, body: Any, expected: int, text: str, stream: bool) -> None:
    raw.document(body, status)
    with signed_in(Upstream(raw.url, "m")) as giga, pytest.raises(ResponseError, match=text) as caught:
        list(giga.stream("?")) if stream else giga.chat("?")
    assert caught.value.status_code == expected
    assert isinstance(caught.value, RequestEntityTooLargeError) == (expected == 413)


def test_an_error_inside_the_stream(raw: Raw) -> None:
    raw.events(end=b'data: {"error": {"message": "out of memory", "code": 500}}\n\n')
    with pytest.raises(Refusal, match="out of memory") as caught:
        told(Upstream(raw.url, "m"))
    assert caught.value.status == 500


def test_the_reason_reaches_who_reads_the_stream(raw: Raw) -> None:
    raw.events(delta(content="Нач"), end=b'data: {"error": {"message": "out of memory", "code": 503}}\n\n')
    with signed_in(Upstream(raw.url, "m")) as giga:
        for stream in (giga.stream("x"), giga.chat.stream("x"), giga.threads.run_messages_stream(["x"])):
            said: list[str] = []
            with pytest.raises(ServerError, match="out of memory") as raised:
                said.extend(stream.text_stream)
            assert (said, raised.value.status_code) == (["Нач"], 503)


def test_content_in_parts(raw: Raw) -> None:
    parts = [
        {"type": "text", "text": "Нач"},
        {"type": "reference", "reference_ids": [1]},
        {"type": "text", "text": "ало"},
    ]
    raw.events(delta(content=parts), delta("stop"))
    assert told(Upstream(raw.url, "m")) == ["Начало"]


@pytest.mark.parametrize("end", [b"", b"data: [DONE]\n\n", b"data: {\n\n"])
def test_a_stream_that_breaks_off(raw: Raw, end: bytes) -> None:
    raw.events(delta(content="x"), end=end)
    with pytest.raises(Refusal) as caught:
        told(Upstream(raw.url, "m"))
    assert caught.value.status == 500


def test_a_usage_of_nothing_is_no_negative_one(raw: Raw) -> None:
    raw.events(delta("stop", content="x"), {"choices": [], "usage": {"prompt_tokens": 0, "completion_tokens": 1}})
    with signed_in(Upstream(raw.url, "m")) as giga:
        usage = giga.chat("?").usage
    assert (usage.prompt_tokens, usage.precached_prompt_tokens) == (1, 0)


def test_no_secret_of_the_address_or_key_is_told(raw: Raw) -> None:
    """What goes wrong is told to every caller."""
    with signed_in(Upstream("http://me:geheim@localhost:1/v1", "m")) as giga, pytest.raises(ResponseError) as caught:
        giga.chat("?")
    assert "localhost:1/v1 can't be reached" in str(caught.value)
    assert "geheim" not in str(caught.value)
    for address in ("ftp://me:geheim@localhost", "http://me:geheim@localhost:port", "http://me:geheim/x@localhost"):
        with pytest.raises(ValueError, match="address") as refused:
            Upstream(address)
        assert "geheim" not in str(refused.value)
    for key in ("geheim\nniss", "гехайм", "geheim\0"):
        with pytest.raises(ValueError, match="key") as refused:
            Upstream(raw.url, "m", key)
        assert key not in str(refused.value)
    raw.events(delta("stop", content="x"))
    told(Upstream(raw.url, "m", " geheim\n"))  # as it comes of a file
    assert raw.requests[-1][1]["authorization"] == "Bearer geheim"


def test_nobody_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        engine = Upstream(f"http://127.0.0.1:{taken.getsockname()[1]}", "m")
        with signed_in(engine) as giga, pytest.raises(ResponseError, match="can't be reached") as caught:
            giga.chat("?")
    assert caught.value.status_code == 503


def test_a_proxy_of_the_environment_is_not_for_this_machine(raw: Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    raw.events(delta("stop", content="x"))
    assert told(Upstream(raw.url, "m")) == ["x"]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_who_goes_away_ends_the_generation(raw: Raw, stream: bool) -> None:
    raw.events(delta(content="x" * 1000))
    raw.pieces = raw.pieces[:-1]
    raw.endless = True

    async def main(giga: GigaChat) -> None:
        if stream:
            async with giga.astream("?") as chunks:
                async for _ in chunks:
                    break
            return
        asking = asyncio.create_task(giga.achat("?"))
        while not raw.requests:
            await asyncio.sleep(0.01)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)

    with signed_in(Upstream(raw.url, "m")) as giga:
        asyncio.run(main(giga))
        assert raw.left.wait(20)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ({"forced_tool": "image_generate"}, "no built-in tool image_generate"),
        ({"pattern": "[a-z]+"}, r"no regex; order the answer with reply\(\)"),
    ],
)
def test_what_no_model_server_does_is_refused(raw: Raw, field: dict[str, str], text: str) -> None:
    with pytest.raises(Refusal, match=text) as caught:
        told(Upstream(raw.url, "m"), **field)
    assert (caught.value.status, raw.requests) == (422, [])
