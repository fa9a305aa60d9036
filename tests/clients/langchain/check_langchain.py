"""langchain-gigachat: chats, streams, tools, structured answers, embeddings, files, batches of calls."""
# mypy: disable-error-code="import-not-found,misc,untyped-decorator"
# pyright: reportMissingImports=false, reportFunctionMemberAccess=false

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_gigachat import GigaChat, GigaChatEmbeddings
from pydantic import BaseModel, Field

import gigachat
from gigachat.server import GigaChatServer
from tests.clients.conftest import bounded

RELEASE = metadata.version("langchain-gigachat")
# The package drops an async stream without closing it, of which the client warns.
LEAVES_STREAMS_OPEN = pytest.mark.filterwarnings("ignore:an async stream was left open:ResourceWarning")
CHAT = "/chat/completions"
QUESTION = "Сколько будет дважды два?"


class Answer(BaseModel):
    """Ответ на вопрос."""

    number: int = Field(description="Число")
    words: str = Field(description="Число словами")


@tool
def weather(city: str, days: int = 1) -> str:
    """Узнать погоду в городе."""
    return json.dumps({"city": city, "days": days, "t": -3}, ensure_ascii=False)


WEATHER = {
    "name": "weather",
    "description": "Узнать погоду в городе.",
    "parameters": {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": ""},
            "days": {"type": "integer", "description": "", "default": 1},
        },
        "required": ["city"],
    },
}
CALL = {"function_call": {"name": "weather", "arguments": {"city": "Псков", "days": 2}}}


def sent(server: GigaChatServer) -> list[Any]:
    """The bodies of the chats the service received."""
    return [request.json for request in server.requests_to(CHAT)]


def test_it_is_the_published_package(unchanged: Callable[[str], None]) -> None:
    unchanged("langchain-gigachat")


@pytest.mark.usefixtures("served")
def test_it_finds_the_command_by_what_it_prints(call: Callable[..., Any], read: Callable[..., list[Any]]) -> None:
    model = GigaChat(model="GigaChat-2")
    assert QUESTION in call(model, "invoke", QUESTION).content
    assert QUESTION in "".join(chunk.content for chunk in read(model, "stream", QUESTION))
    [called] = call(model.bind_tools([weather]), "invoke", "weather в Пскове").tool_calls
    assert called["name"] == "weather"
    assert len(call(GigaChatEmbeddings(), "embed_query", QUESTION)) == 1024


def test_a_chat(call: Callable[..., Any], server: GigaChatServer) -> None:
    server.reply("Четыре.")
    answer = call(GigaChat(model="GigaChat-2"), "invoke", [SystemMessage("Отвечай кратко."), HumanMessage(QUESTION)])
    assert type(answer) is AIMessage
    assert answer.content == "Четыре."
    assert answer.response_metadata["finish_reason"] == "stop"
    assert answer.response_metadata["model_name"].startswith("GigaChat-2:")
    assert answer.id == answer.response_metadata["x_headers"]["x-request-id"]
    usage = answer.response_metadata["token_usage"]
    assert usage["completion_tokens"] > 0
    cached = usage["precached_prompt_tokens"]
    asked = usage["prompt_tokens"] + (0 if RELEASE == "0.5.1" else cached)
    assert answer.usage_metadata == {
        "input_tokens": asked,
        "output_tokens": usage["completion_tokens"],
        "total_tokens": asked + usage["completion_tokens"],
        "input_token_details": {"cache_read": cached},
    }
    [request] = sent(server)
    assert request == {
        "model": "GigaChat-2",
        "messages": [{"role": "system", "content": "Отвечай кратко."}, {"role": "user", "content": QUESTION}],
        "functions": [],
    }
    [signing_in] = server.requests_to("/oauth")
    assert signing_in.headers["authorization"] == f"Basic {server.credentials}"
    assert signing_in.body == b"scope=GIGACHAT_API_PERS"


def test_every_option_of_a_chat_reaches_the_service(call: Callable[..., Any], server: GigaChatServer) -> None:
    options = {
        "temperature": 0.3,
        "top_p": 0.8,
        "max_tokens": 77,
        "repetition_penalty": 1.1,
        "update_interval": 0.5,
        "profanity_check": False,
        "flags": ["preprocess"],
        "reasoning_effort": "high",
        "function_ranker": {"enabled": True, "top_n": 3},
    }
    call(GigaChat(model="GigaChat-2-Max", **options), "invoke", QUESTION)
    [request] = sent(server)
    assert {name: request[name] for name in options} == options
    assert request["model"] == "GigaChat-2-Max"


def test_a_stream(read: Callable[..., list[Any]], server: GigaChatServer) -> None:
    server.reply("Один, два, три, четыре, пять, шесть, семь.")
    # langchain-core streams only where the model says so, and this package says no when nothing is said.
    chunks = read(GigaChat(streaming=True), "stream", QUESTION)
    assert all(type(chunk) is AIMessageChunk for chunk in chunks)
    assert len(chunks) > 3
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert whole.content == "Один, два, три, четыре, пять, шесть, семь."
    assert whole.response_metadata["finish_reason"] == "stop"
    assert whole.id == whole.response_metadata["x_headers"]["x-request-id"]
    with_usage = [chunk for chunk in chunks if chunk.usage_metadata]
    assert len(with_usage) == 1
    assert whole.usage_metadata == with_usage[0].usage_metadata
    assert whole.usage_metadata["output_tokens"] > 0
    [request] = sent(server)
    assert request == {
        "model": "GigaChat",
        "messages": [{"role": "user", "content": QUESTION}],
        "functions": [],
        "stream": True,
    }


def test_a_chat_read_as_a_stream(call: Callable[..., Any], server: GigaChatServer) -> None:
    server.reply("Один, два, три.")
    assert call(GigaChat(streaming=True), "invoke", QUESTION).content == "Один, два, три."
    assert sent(server)[0]["stream"] is True


@LEAVES_STREAMS_OPEN
def test_a_stream_left_early_leaves_the_model_usable(mode: str, server: GigaChatServer) -> None:
    model = GigaChat(streaming=True)
    if mode == "blocking":
        for _ in model.stream(QUESTION):
            break
        assert model.invoke(QUESTION).content
        return

    async def left() -> str:
        stream = model.astream(QUESTION)
        async for _ in stream:
            break
        await stream.aclose()
        return str((await model.ainvoke(QUESTION)).content)

    assert bounded(left())


def test_a_tool_and_back(call: Callable[..., Any], server: GigaChatServer) -> None:
    server.reply(CALL)
    server.reply("В Пскове минус три.")
    model = GigaChat(model="GigaChat-2").bind_tools([weather])
    history: list[Any] = [HumanMessage("Какая погода в Пскове?")]
    asked = call(model, "invoke", history)
    assert [(one["name"], one["args"]) for one in asked.tool_calls] == [("weather", {"city": "Псков", "days": 2})]
    assert asked.response_metadata["finish_reason"] == "function_call"
    state = asked.additional_kwargs["functions_state_id"]
    result = weather.invoke(asked.tool_calls[0])
    assert isinstance(result, ToolMessage)
    answer = call(model, "invoke", [*history, asked, result])
    assert answer.content == "В Пскове минус три."
    assert not answer.tool_calls
    first, second = sent(server)
    assert first["functions"] == second["functions"] == [WEATHER]
    assert second["messages"] == [
        {"role": "user", "content": "Какая погода в Пскове?"},
        {
            "role": "assistant",
            "content": "",
            "function_call": {"name": "weather", "arguments": {"city": "Псков", "days": 2}},
            "functions_state_id": state,
        },
        {"role": "function", "name": "weather", "content": '{"city": "Псков", "days": 2, "t": -3}'},
    ]


def test_a_tool_called_in_a_stream(read: Callable[..., list[Any]], server: GigaChatServer) -> None:
    server.reply(CALL)
    chunks = read(
        GigaChat(streaming=True).bind_tools([weather], tool_choice="weather"), "stream", "Какая погода в Пскове?"
    )
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert [(one["name"], one["args"]) for one in whole.tool_calls] == [("weather", {"city": "Псков", "days": 2})]
    assert whole.additional_kwargs["functions_state_id"]
    [request] = sent(server)
    assert request["stream"] is True
    assert request["function_call"] == {"name": "weather"}


def test_tools_left_to_the_model(call: Callable[..., Any], server: GigaChatServer) -> None:
    answer = call(GigaChat().bind_tools([weather], tool_choice="auto"), "invoke", "Спроси weather про Псков")
    assert answer.tool_calls[0]["name"] == "weather"
    assert isinstance(answer.tool_calls[0]["args"]["city"], str)
    assert sent(server)[0]["function_call"] == "auto"


def test_structured_output_by_a_function(call: Callable[..., Any], server: GigaChatServer) -> None:
    server.reply({"function_call": {"name": "Answer", "arguments": {"number": 4, "words": "четыре"}}})
    model = GigaChat().with_structured_output(Answer)
    assert call(model, "invoke", QUESTION) == Answer(number=4, words="четыре")
    [request] = sent(server)
    assert request["function_call"] == {"name": "Answer"}
    [function] = request["functions"]
    assert function["name"] == "Answer"
    assert function["description"] == "Ответ на вопрос."
    assert function["parameters"] == {
        "type": "object",
        "properties": {
            "number": {"type": "integer", "description": "Число"},
            "words": {"type": "string", "description": "Число словами"},
        },
        "required": ["number", "words"],
    }


def test_structured_output_by_a_schema(call: Callable[..., Any], server: GigaChatServer) -> None:
    server.reply('{"number": 4, "words": "четыре"}')
    model = GigaChat().with_structured_output(Answer, method="json_schema")
    assert call(model, "invoke", QUESTION) == Answer(number=4, words="четыре")
    strict = {"strict": True} if RELEASE == "0.5.1" else {}
    schema = Answer.model_json_schema()
    assert sent(server)[0]["response_format"] == {"type": "json_schema", "schema": schema, **strict}


def test_structured_output_that_the_service_makes_itself(call: Callable[..., Any], server: GigaChatServer) -> None:
    for method in ("function_calling", "json_schema"):
        made = call(GigaChat().with_structured_output(Answer, method=method), "invoke", QUESTION)
        assert isinstance(made, Answer)
    assert len(sent(server)) == 2


def test_structured_output_of_a_plain_schema_with_the_raw_answer(
    call: Callable[..., Any], server: GigaChatServer
) -> None:
    schema = Answer.model_json_schema()
    server.reply('{"number": 4, "words": "четыре"}')
    model = GigaChat().with_structured_output(schema, method="json_schema", include_raw=True, strict=False)
    made = call(model, "invoke", QUESTION)
    assert made["parsed"] == {"number": 4, "words": "четыре"}
    assert made["raw"].content == '{"number": 4, "words": "четыре"}'
    assert made["parsing_error"] is None
    assert sent(server)[0]["response_format"] == {"type": "json_schema", "schema": schema, "strict": False}


def test_structured_output_by_the_older_methods(call: Callable[..., Any], server: GigaChatServer) -> None:
    server.reply('{"number": 4, "words": "четыре"}')
    server.reply('```json\n{"number": 4, "words": "четыре"}\n```')
    with pytest.warns(DeprecationWarning, match="json_mode"):
        by_mode = GigaChat().with_structured_output(Answer, method="json_mode")
    by_instructions = GigaChat().with_structured_output(Answer, method="format_instructions")
    assert call(by_mode, "invoke", QUESTION) == Answer(number=4, words="четыре")
    assert call(by_instructions, "invoke", QUESTION) == Answer(number=4, words="четыре")
    assert "response_format" not in sent(server)[0]
    assert "JSON" in sent(server)[1]["messages"][0]["content"]


def test_embeddings(call: Callable[..., Any], server: GigaChatServer) -> None:
    embedder = GigaChatEmbeddings(model="Embeddings-2")
    texts = ["Москва — столица России.", "Псков стоит на реке Великой."]
    first, second = call(embedder, "embed_documents", texts)
    assert len(first) == len(second) == 1024
    assert first != second
    assert all(isinstance(number, float) for number in first)
    assert call(embedder, "embed_query", texts[1]) == second
    assert [request.json for request in server.requests_to("/embeddings")] == [
        {"model": "Embeddings-2", "input": texts},
        {"model": "Embeddings-2", "input": [texts[1]]},
    ]


def test_embeddings_with_a_prefix_and_without_a_model(call: Callable[..., Any], server: GigaChatServer) -> None:
    embedder = GigaChatEmbeddings(use_prefix_query=True)
    assert len(call(embedder, "embed_query", "Псков")) == 1024
    [request] = server.requests_to("/embeddings")
    assert request.json == {"model": "Embeddings", "input": [f"{embedder.prefix_query}Псков"]}


def test_many_chats_at_once(call: Callable[..., Any], server: GigaChatServer) -> None:
    questions = [f"Вопрос {number}" for number in range(8)]
    answers = call(GigaChat(), "batch", questions)
    assert len(answers) == 8
    for question, answer in zip(questions, answers, strict=True):
        assert f"«{question}»" in answer.content
    assert sorted(request["messages"][0]["content"] for request in sent(server)) == sorted(questions)
    assert len(server.requests_to("/oauth")) == 1


def test_tokens_and_models(call: Callable[..., Any], server: GigaChatServer) -> None:
    model = GigaChat(model="GigaChat-2-Pro", use_api_for_tokens=True)
    [count] = call(model, "tokens_count", [QUESTION], "GigaChat-2-Pro")
    assert count.tokens > 0
    assert count.characters == len(QUESTION)
    assert model.get_num_tokens(QUESTION) == count.tokens
    names = [one.id_ for one in call(model, "get_models").data]
    assert "GigaChat-2-Pro" in names
    assert call(model, "get_model", "GigaChat-2-Pro").id_ == "GigaChat-2-Pro"
    assert server.requests_to("/tokens/count")[0].json == {"model": "GigaChat-2-Pro", "input": [QUESTION]}


def test_files(call: Callable[..., Any], server: GigaChatServer, tmp_path: Path) -> None:
    model = GigaChat()
    text = "Договор поставки № 7".encode()
    path = tmp_path / "договор.txt"
    path.write_bytes(text)
    with path.open("rb") as file:
        uploaded = call(model, "upload_file", file)
    assert uploaded.filename == "договор.txt"
    assert uploaded.bytes_ == len(text)
    assert uploaded.purpose == "general"
    [request] = server.requests_to("/files")
    assert request.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert text in request.body
    assert b"text/plain" in request.body

    other = call(model, "upload_file", ("рисунок.png", b"\x89PNG\r\n\x1a\n"), "assistant")
    assert other.purpose == "assistant"
    assert b"image/png" in server.requests_to("/files")[-1].body
    assert {one.id_ for one in call(model, "list_files").data} == {uploaded.id_, other.id_}
    assert call(model, "get_file", uploaded.id_).filename == "договор.txt"
    assert base64.b64decode(call(model, "get_file_content", uploaded.id_).content) == text
    deleted = call(model, "delete_file", uploaded.id_)
    assert (deleted.id_, deleted.deleted) == (uploaded.id_, True)
    assert [one.id_ for one in call(model, "list_files").data] == [other.id_]
    with pytest.raises(gigachat.exceptions.NotFoundError):
        call(model, "get_file", uploaded.id_)


def test_a_file_in_a_chat(call: Callable[..., Any], server: GigaChatServer) -> None:
    model = GigaChat()
    uploaded = call(model, "upload_file", ("договор.txt", "Договор".encode()))
    block = {"type": "file", "file_id": uploaded.id_}
    call(model, "invoke", [HumanMessage(content=[{"type": "text", "text": "О чём договор?"}, block])])
    [request] = sent(server)
    assert request["messages"] == [{"role": "user", "content": "О чём договор?", "attachments": [uploaded.id_]}]


def test_an_image_uploaded_on_the_way(call: Callable[..., Any], server: GigaChatServer) -> None:
    image = b"\xff\xd8\xff\xe0 not much of a picture"
    model = GigaChat(auto_upload_attachments=True)
    url = f"data:image/jpeg;base64,{base64.b64encode(image).decode()}"
    block = {"type": "image_url", "image_url": {"url": url}}
    message = HumanMessage(content=[{"type": "text", "text": "Что это?"}, block])
    call(model, "invoke", [message])
    call(model, "invoke", [message])
    [upload] = server.requests_to("/files")
    assert image in upload.body
    assert b"image/jpeg" in upload.body
    [file] = call(model, "list_files").data
    assert [request["messages"][0]["attachments"] for request in sent(server)] == [[file.id_], [file.id_]]


def test_reasoning(call: Callable[..., Any], server: GigaChatServer) -> None:
    server.reply({"content": "Четыре.", "reasoning_content": "Два и два."})
    answer = call(GigaChat(), "invoke", QUESTION)
    assert answer.additional_kwargs["reasoning_content"] == "Два и два."


def test_errors_arrive_as_the_clients_own(call: Callable[..., Any], server: GigaChatServer) -> None:
    server.fail(422, "Invalid params: all bad")
    with pytest.raises(gigachat.exceptions.UnprocessableEntityError, match="all bad"):
        call(GigaChat(), "invoke", QUESTION)
    server.fail(429, times=2)
    patient = GigaChat(max_retries=2, retry_backoff_factor=0.0)
    assert call(patient, "invoke", QUESTION).content
    with pytest.raises(gigachat.exceptions.NotFoundError):
        call(GigaChat(model="No-Such-Model"), "invoke", QUESTION)


def test_a_wrong_key(call: Callable[..., Any], server: GigaChatServer) -> None:
    key = base64.b64encode(b"6f0b1291-c7f3-43c6-bb2e-9f3efb2dc98e:0b1b4c8a-7d8c-4f6e-8f1a-5a3c0c1d2e3f").decode()
    with pytest.raises(gigachat.exceptions.AuthenticationError):
        call(GigaChat(credentials=key), "invoke", QUESTION)
    assert not sent(server)


def test_headers_of_the_users_own(call: Callable[..., Any], server: GigaChatServer) -> None:
    token = gigachat.session_id_cvar.set("8d3b7c1e-2f44-4a35-9be1-7a0f5d6f2b11")
    try:
        call(GigaChat(), "invoke", QUESTION)
    finally:
        gigachat.session_id_cvar.reset(token)
    [request] = server.requests_to(CHAT)
    assert request.headers["x-session-id"] == "8d3b7c1e-2f44-4a35-9be1-7a0f5d6f2b11"
