"""gpt2giga's server in front of our client, driven by the `openai` package: chats of both versions, vectors, files."""
# mypy: disable-error-code="import-not-found,misc,untyped-decorator"
# pyright: reportMissingImports=false

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from gigachat.server import GigaChatServer
from tests.clients.conftest import bounded
from tests.clients.gpt2giga.conftest import Proxy

RELEASE = metadata.version("gpt2giga")
V1 = "/v1/chat/completions"
V2 = "/v2/chat/completions"
QUESTION = "Какая погода в Пскове?"
MODEL = "GigaChat-2-Max"
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Узнать погоду в городе.",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": "Город"},
                    "days": {"type": "integer", "minimum": 1, "maximum": 7},
                },
                "required": ["city"],
                "additionalProperties": False,
            },
        },
    }
]


class Weather(BaseModel):
    """Погода в городе."""

    city: str
    celsius: float


@pytest.fixture(params=["v1", "v2"])
def version(request: pytest.FixtureRequest) -> str:
    """The address of gpt2giga that is used, which is also the version of the service's chat."""
    chosen: str = request.param
    return chosen


@pytest.fixture
def client(proxy: Proxy, version: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{proxy.origin}/{version}", api_key="any", timeout=30, max_retries=0) as client:
        yield client


@pytest.fixture
def first(proxy: Proxy) -> Iterator[openai.OpenAI]:
    """A client of the first version alone."""
    with openai.OpenAI(base_url=f"{proxy.origin}/v1", api_key="any", timeout=30, max_retries=0) as client:
        yield client


def chats(server: GigaChatServer, version: str = "v1") -> list[Any]:
    """The bodies of the chats the service received in one version."""
    return [request.json for request in server.requests_to(f"/{version}/chat/completions")]


def said(message: Any) -> str:
    """The text of a message as it reached the service, in either version."""
    content = message["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def test_it_is_the_published_package(unchanged: Callable[[str], None]) -> None:
    unchanged("gpt2giga")


def test_a_chat(client: openai.OpenAI, version: str, server: GigaChatServer) -> None:
    server.reply("Минус три.")
    messages: Any = [{"role": "system", "content": "Отвечай кратко."}, {"role": "user", "content": QUESTION}]
    answer = client.chat.completions.create(
        model=MODEL, messages=messages, temperature=0.4, top_p=0.7, max_tokens=60, user="кто-то", seed=1, n=1
    )
    [choice] = answer.choices
    assert (choice.message.content, choice.message.role, choice.finish_reason) == ("Минус три.", "assistant", "stop")
    assert answer.model == MODEL
    assert answer.usage is not None
    assert answer.usage.completion_tokens > 0
    assert answer.usage.prompt_tokens > 0
    [request] = chats(server, version)
    assert request["model"] == MODEL
    assert [(message["role"], said(message)) for message in request["messages"]] == [
        ("system", "Отвечай кратко."),
        ("user", QUESTION),
    ]
    options = request if version == "v1" else request["model_options"]
    assert {name: options[name] for name in ("temperature", "top_p", "max_tokens")} == {
        "temperature": 0.4,
        "top_p": 0.7,
        "max_tokens": 60,
    }
    assert not {"user", "seed", "n"} & request.keys()


def test_a_stream(client: openai.OpenAI, version: str, server: GigaChatServer) -> None:
    text = "В Пскове сегодня минус три, ветер северный, снег, видимость плохая."
    server.reply(text)
    messages: Any = [{"role": "user", "content": QUESTION}]
    with client.chat.completions.create(model=MODEL, messages=messages, stream=True) as stream:
        chunks = list(stream)
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert len(pieces) > 3
    assert "".join(pieces) == text
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices and chunk.choices[0].finish_reason] == [
        "stop"
    ]
    [usage] = [chunk.usage for chunk in chunks if chunk.usage]
    assert usage.completion_tokens > 0
    [request] = chats(server, version)
    assert request["stream"] is True


def test_a_stream_left_early(client: openai.OpenAI, server: GigaChatServer) -> None:
    messages: Any = [{"role": "user", "content": QUESTION}]
    with client.chat.completions.create(model=MODEL, messages=messages, stream=True) as stream:
        next(iter(stream))
    assert client.chat.completions.create(model=MODEL, messages=messages).choices[0].message.content


@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_and_back(client: openai.OpenAI, version: str, server: GigaChatServer, streamed: bool) -> None:
    server.reply({"function_call": {"name": "weather", "arguments": {"city": "Псков", "days": 2}}})
    server.reply("В Пскове минус три.")
    history: list[Any] = [{"role": "user", "content": QUESTION}]
    choice: Any
    if streamed:
        with client.chat.completions.stream(model=MODEL, messages=history, tools=TOOLS) as stream:
            [choice] = stream.get_final_completion().choices
    else:
        [choice] = client.chat.completions.create(model=MODEL, messages=history, tools=TOOLS).choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls is not None
    [asked] = choice.message.tool_calls
    assert asked.type == "function"
    assert asked.function.name == "weather"
    assert json.loads(asked.function.arguments) == {"city": "Псков", "days": 2}
    history.append(choice.message.model_dump(exclude_none=True))
    history.append({"role": "tool", "tool_call_id": asked.id, "content": '{"t": -3}'})
    answer = client.chat.completions.create(model=MODEL, messages=history, tools=TOOLS)
    assert answer.choices[0].message.content == "В Пскове минус три."
    one, two = chats(server, version)
    if version == "v1":
        [function] = one["functions"]
        assert function == two["functions"][0]
        assert [message["role"] for message in two["messages"]] == ["user", "assistant", "function"]
        assert two["messages"][1]["function_call"] == {"name": "weather", "arguments": {"city": "Псков", "days": 2}}
        assert two["messages"][2]["name"] == "weather"
        assert json.loads(two["messages"][2]["content"]) == {"t": -3}
        known = {"role", "content", "function_call", "name"}
        assert all(set(message) <= known for message in two["messages"])
    else:
        [function] = one["tools"][0]["functions"]["specifications"]
        user, assistant, result = two["messages"]
        assert user["role"] == "user"
        [called] = [part["function_call"] for part in assistant["content"] if "function_call" in part]
        [returned] = [part["function_result"] for part in result["content"]]
        assert called.pop("id", None) == returned.pop("id", None)
        assert called == {"name": "weather", "arguments": {"city": "Псков", "days": 2}}
        assert returned == {"name": "weather", "result": {"t": -3}}
    assert function["name"] == "weather"
    assert function["parameters"]["properties"]["city"]["type"] == "string"
    assert function["parameters"]["required"] == ["city"]


def test_a_tool_that_must_be_called(client: openai.OpenAI, version: str, server: GigaChatServer) -> None:
    """The local server fills the arguments itself when a call is demanded."""
    answer = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": QUESTION}],
        tools=TOOLS,
        tool_choice={"type": "function", "function": {"name": "weather"}},
    )
    assert answer.choices[0].message.tool_calls is not None
    [asked] = answer.choices[0].message.tool_calls
    assert asked.type == "function"
    assert asked.function.name == "weather"
    [request] = chats(server, version)
    if version == "v1":
        assert request["function_call"] == {"name": "weather"}
    else:
        mode = "function" if RELEASE == "0.3.0" else "forced"
        assert request["tool_config"] == {"mode": mode, "function_name": "weather"}


def test_structured_output(client: openai.OpenAI, server: GigaChatServer) -> None:
    parsed = client.chat.completions.parse(
        model=MODEL, messages=[{"role": "user", "content": QUESTION}], response_format=Weather
    )
    assert isinstance(parsed.choices[0].message.parsed, Weather)


def test_structured_output_of_the_responses_api(client: openai.OpenAI, server: GigaChatServer) -> None:
    answer = client.responses.parse(model=MODEL, input=QUESTION, text_format=Weather)
    assert isinstance(answer.output_parsed, Weather)


def test_a_tool_and_back_in_the_responses_api(client: openai.OpenAI, version: str, server: GigaChatServer) -> None:
    server.reply({"function_call": {"name": "weather", "arguments": {"city": "Псков"}}})
    server.reply("В Пскове минус три.")
    tools: Any = [{"type": "function", "strict": True, **TOOLS[0]["function"]}]
    history: list[Any] = [{"role": "user", "content": QUESTION}]
    first = client.responses.create(model=MODEL, input=history, tools=tools)
    [asked] = [item for item in first.output if item.type == "function_call"]
    assert (asked.name, json.loads(asked.arguments)) == ("weather", {"city": "Псков"})
    history += [item.model_dump(exclude_none=True) for item in first.output]
    history.append({"type": "function_call_output", "call_id": asked.call_id, "output": '{"t": -3}'})
    second = client.responses.create(model=MODEL, input=history, tools=tools)
    assert second.output_text == "В Пскове минус три."
    assert len(chats(server, version)) == 2


def test_the_responses_api(client: openai.OpenAI, version: str, server: GigaChatServer) -> None:
    server.reply("Минус три.")
    answer = client.responses.create(model=MODEL, instructions="Отвечай кратко.", input=QUESTION)
    assert answer.output_text == "Минус три."
    assert answer.usage is not None
    assert answer.usage.output_tokens > 0
    [request] = chats(server, version)
    assert [(message["role"], said(message)) for message in request["messages"]] == [
        ("system", "Отвечай кратко."),
        ("user", QUESTION),
    ]


def test_the_responses_api_in_a_stream(client: openai.OpenAI, server: GigaChatServer) -> None:
    text = "В Пскове сегодня минус три, ветер северный, снег."
    server.reply(text)
    with client.responses.stream(model=MODEL, input=QUESTION) as stream:
        pieces = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert len(pieces) > 2
    assert "".join(pieces) == final.output_text == text


def test_many_at_once(proxy: Proxy, version: str, server: GigaChatServer) -> None:
    async def work() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{proxy.origin}/{version}", api_key="any", max_retries=0) as client:
            calls = (
                client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": f"Вопрос {number}"}])
                for number in range(10)
            )
            return [answer.choices[0].message.content or "" for answer in await asyncio.gather(*calls)]

    answers = bounded(work())
    assert all(f"«Вопрос {number}»" in answer for number, answer in enumerate(answers))


@pytest.mark.parametrize("form", ["float", openai.omit])
def test_embeddings(first: openai.OpenAI, server: GigaChatServer, form: Any) -> None:
    """Where no form is asked for, the `openai` package asks for base64 and reads it."""
    texts = ["Москва — столица России.", "Псков стоит на реке Великой."]
    answer = first.embeddings.create(model="Embeddings-2", input=texts, encoding_format=form)
    assert [one.index for one in answer.data] == [0, 1]
    assert all(len(one.embedding) == 1024 for one in answer.data)
    assert answer.data[0].embedding != answer.data[1].embedding
    assert answer.usage.prompt_tokens > 0
    [request] = server.requests_to("/embeddings")
    assert request.json == {"model": "Embeddings-2", "input": texts}


def test_models(first: openai.OpenAI, server: GigaChatServer) -> None:
    names = [model.id for model in first.models.list()]
    assert "GigaChat-2-Max" in names
    assert len(set(names)) == len(names)
    assert first.models.retrieve("GigaChat-2-Max").id == "GigaChat-2-Max"
    with pytest.raises(openai.NotFoundError):
        first.models.retrieve("No-Such-Model")


def test_files(first: openai.OpenAI, server: GigaChatServer) -> None:
    text = "Договор поставки № 7".encode()
    made = first.files.create(file=("договор.txt", text), purpose="user_data")
    assert (made.filename, made.bytes, made.purpose) == ("договор.txt", len(text), "user_data")
    [upload] = server.requests_to("/files")
    assert upload.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert text in upload.body
    assert b"text/plain" in upload.body
    assert b"general" in upload.body
    assert first.files.retrieve(made.id).id == made.id
    assert made.id in [file.id for file in first.files.list()]
    assert first.files.content(made.id).read() == text
    deleted = first.files.delete(made.id)
    assert (deleted.id, deleted.deleted) == (made.id, True)
    assert made.id not in [file.id for file in first.files.list()]
    with pytest.raises(openai.NotFoundError):
        first.files.retrieve(made.id)


def test_an_image_in_a_chat(client: openai.OpenAI, version: str, server: GigaChatServer) -> None:
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    content: Any = [
        {"type": "text", "text": f"Что на картинке? ({version})"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{pixel}"}},
    ]
    assert client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": content}]).choices
    [request] = chats(server, version)
    [message] = request["messages"]
    attached = (
        message["attachments"]
        if version == "v1"
        else [file["id"] for part in message["content"] for file in part.get("files", ())]
    )
    assert len(attached) == 1


def test_extra_headers_reach_the_service(client: openai.OpenAI, version: str, server: GigaChatServer) -> None:
    headers = {
        "X-Session-ID": "8d3b7c1e-2f44-4a35-9be1-7a0f5d6f2b11",
        "X-Trace-ID": "trace-17",
        "X-Of-My-Own": "да".encode().hex(),
    }
    client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": QUESTION}], extra_headers=headers)
    [request] = server.requests_to(f"/{version}/chat/completions")
    assert {name: request.headers[name] for name in headers} == headers
    assert request.headers["authorization"].startswith("Bearer ")
    assert request.headers["authorization"] != "Bearer any"
    for signing_in in server.requests_to("/oauth"):
        assert not {name.lower() for name in headers} & set(signing_in.headers)


def test_extra_headers_reach_the_service_with_files(first: openai.OpenAI, server: GigaChatServer) -> None:
    first.files.list(extra_headers={"X-Of-My-Own": "17"})
    assert [request.headers["x-of-my-own"] for request in server.requests_to("/files")] == ["17"]


def test_extra_fields_reach_the_service(first: openai.OpenAI, server: GigaChatServer) -> None:
    fields = {
        "repetition_penalty": 1.2,
        "profanity_check": False,
        "update_interval": 0.1,
        "function_ranker": {"enabled": False},
        "flags": ["preprocess"],
    }
    first.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": QUESTION}], extra_body=fields)
    [request] = chats(server)
    assert {name: request[name] for name in fields} == fields
    assert not {"extra_body", "additional_fields"} & request.keys()


def test_extra_fields_reach_the_second_version(proxy: Proxy, server: GigaChatServer) -> None:
    with openai.OpenAI(base_url=f"{proxy.origin}/v2", api_key="any", timeout=30, max_retries=0) as second:
        second.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": QUESTION}],
            extra_body={"profanity_check": False, "user_info": {"timezone": "Europe/Moscow"}, "top_p": 0.3},
        )
    [request] = chats(server, "v2")
    assert request["disable_filter"] is True
    assert request["user_info"] == {"timezone": "Europe/Moscow"}
    assert request["model_options"]["top_p"] == 0.3


def test_what_openai_alone_knows_stays_behind(client: openai.OpenAI, version: str, server: GigaChatServer) -> None:
    """A strict service takes a chat with the fields that programs for OpenAI commonly set."""
    client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": QUESTION, "name": "Псковитянин"}],
        stop=["конец"],
        seed=7,
        frequency_penalty=0.5,
        presence_penalty=0.5,
        logit_bias={"5": 1},
        logprobs=True,
        top_logprobs=2,
        parallel_tool_calls=False,
        metadata={"a": "b"},
        store=False,
        service_tier="auto",
        prompt_cache_key="k",
        safety_identifier="s",
    )
    [request] = chats(server, version)
    sent = {} if version == "v1" or RELEASE == "0.3.0" else {"model_options": {"parallel_tool_calls": False}}
    assert request == {"model": MODEL, "messages": request["messages"], **sent}
    [message] = request["messages"]
    assert message.keys() == {"role", "content"}


def test_refusals_arrive_as_refusals(client: openai.OpenAI, server: GigaChatServer) -> None:
    messages: Any = [{"role": "user", "content": QUESTION}]
    server.fail(422, "Invalid params: all bad")
    with pytest.raises(openai.UnprocessableEntityError, match="all bad"):
        client.chat.completions.create(model=MODEL, messages=messages)
    server.fail(403)
    with pytest.raises(openai.PermissionDeniedError):
        client.chat.completions.create(model=MODEL, messages=messages)
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="No-Such-Model", messages=messages)


def test_a_stream_that_breaks_off_says_so(client: openai.OpenAI, server: GigaChatServer) -> None:
    server.reply("В Пскове сегодня минус три, ветер северный, снег, видимость плохая.")
    server.cut(2)
    messages: Any = [{"role": "user", "content": QUESTION}]
    with pytest.raises(openai.APIError):
        with client.chat.completions.create(model=MODEL, messages=messages, stream=True) as stream:
            list(stream)
