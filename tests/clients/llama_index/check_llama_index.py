"""llama-index-llms-gigachat-ru, which was written for gigachat 0.1: completions, chats and streams."""
# mypy: disable-error-code="import-not-found,misc,untyped-decorator"
# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from typing import Any

import pytest
from llama_index.core.llms import ChatMessage, MessageRole
from llama_index.core.program import LLMTextCompletionProgram
from llama_index.llms.gigachat import GigaChatLLM, GigaChatModel
from pydantic import BaseModel

import gigachat
from gigachat.server import GigaChatServer
from tests.clients.conftest import bounded

# The package drops an async stream without closing it, of which the client warns.
LEAVES_STREAMS_OPEN = pytest.mark.filterwarnings("ignore:an async stream was left open:ResourceWarning")
CHAT = "/chat/completions"
QUESTION = "Сколько будет дважды два?"
TEXT = "Один, два, три, четыре, пять, шесть, семь."


class Answer(BaseModel):
    """Ответ на вопрос."""

    number: int
    words: str


def sent(server: GigaChatServer) -> list[Any]:
    """The bodies of the chats the service received."""
    return [request.json for request in server.requests_to(CHAT)]


def test_it_is_the_published_package(unchanged: Callable[[str], None]) -> None:
    unchanged("llama-index-llms-gigachat-ru")
    assert "gigachat<0.2,>=0.1.33" in (metadata.requires("llama-index-llms-gigachat-ru") or [])


def test_a_completion(call: Callable[..., Any], server: GigaChatServer) -> None:
    server.reply("Четыре.")
    assert call(GigaChatLLM(), "complete", QUESTION).text == "Четыре."
    assert sent(server) == [{"model": "GigaChat", "messages": [{"role": "user", "content": QUESTION}]}]
    [signing_in] = server.requests_to("/oauth")
    assert signing_in.headers["authorization"] == f"Basic {server.credentials}"


def test_a_chat(call: Callable[..., Any], server: GigaChatServer) -> None:
    server.reply("Пять.")
    history = [
        ChatMessage(role=MessageRole.SYSTEM, content="Отвечай кратко."),
        ChatMessage(role=MessageRole.USER, content=QUESTION),
        ChatMessage(role=MessageRole.ASSISTANT, content="Четыре."),
        ChatMessage(role=MessageRole.USER, content="А два плюс три?"),
    ]
    answer = call(GigaChatLLM(model=GigaChatModel.GIGACHAT), "chat", history)
    assert answer.message.content == "Пять."
    assert answer.message.role == MessageRole.ASSISTANT
    [request] = sent(server)
    assert request["messages"] == [
        {"role": "system", "content": "Отвечай кратко."},
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": "Четыре."},
        {"role": "user", "content": "А два плюс три?"},
    ]


def test_a_stream_of_a_completion(read: Callable[..., list[Any]], server: GigaChatServer) -> None:
    server.reply(TEXT)
    pieces = read(GigaChatLLM(), "stream_complete", QUESTION)
    assert len(pieces) > 3
    assert "".join(piece.delta for piece in pieces) == pieces[-1].text == TEXT
    assert sent(server) == [{"model": "GigaChat", "messages": [{"role": "user", "content": QUESTION}], "stream": True}]


def test_a_stream_of_a_chat(read: Callable[..., list[Any]], server: GigaChatServer) -> None:
    """llama-index makes it of the completion's stream, the history as one text."""
    server.reply(TEXT)
    pieces = read(GigaChatLLM(), "stream_chat", [ChatMessage(role=MessageRole.USER, content=QUESTION)])
    assert len(pieces) > 3
    assert "".join(piece.delta for piece in pieces) == pieces[-1].message.content == TEXT
    [request] = sent(server)
    assert request["stream"] is True
    assert QUESTION in request["messages"][0]["content"]


@LEAVES_STREAMS_OPEN
def test_a_stream_left_early(mode: str, server: GigaChatServer) -> None:
    model = GigaChatLLM()
    if mode == "blocking":
        stream = model.stream_complete(QUESTION)
        next(stream)
        stream.close()
        assert QUESTION in model.complete(QUESTION).text
        return

    async def left() -> str:
        stream = await model.astream_complete(QUESTION)
        await anext(stream)
        await stream.aclose()
        return str((await model.acomplete(QUESTION)).text)

    assert QUESTION in bounded(left())


def test_a_client_per_call_signs_in_once(
    call: Callable[..., Any], server: GigaChatServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Quietly too: it passes an argument of gigachat 0.1 that is not set."""
    model = GigaChatLLM()
    for _ in range(3):
        call(model, "complete", QUESTION)
    assert len(server.requests_to("/oauth")) == 1
    assert not [record for record in caplog.records if record.name.startswith("gigachat")]


def test_a_structured_program(mode: str, server: GigaChatServer) -> None:
    server.reply('```json\n{"number": 4, "words": "четыре"}\n```')
    program = LLMTextCompletionProgram.from_defaults(
        output_cls=Answer, prompt_template_str="Ответь на вопрос: {question}", llm=GigaChatLLM()
    )
    made = program(question=QUESTION) if mode == "blocking" else bounded(program.acall(question=QUESTION))
    assert made == Answer(number=4, words="четыре")
    assert QUESTION in sent(server)[0]["messages"][0]["content"]


def test_every_option_of_a_client(call: Callable[..., Any], server: GigaChatServer) -> None:
    """Given as arguments with an empty environment, as its documentation shows."""
    with pytest.MonkeyPatch.context() as environment:
        for name in server.environment:
            environment.delenv(name)
        model = GigaChatLLM(
            base_url=server.base_url,
            auth_url=server.auth_url,
            credentials=server.credentials,
            scope=server.scope,
            ca_bundle_file=server.ca_bundle_file,
            verify_ssl_certs=True,
            timeout=30,
            verbose=False,
        )
        assert QUESTION in call(model, "complete", QUESTION).text


def test_errors_arrive_as_the_clients_own(call: Callable[..., Any], server: GigaChatServer) -> None:
    server.fail(422, "Invalid params: all bad")
    with pytest.raises(gigachat.exceptions.UnprocessableEntityError, match="all bad"):
        call(GigaChatLLM(), "complete", QUESTION)
    assert call(GigaChatLLM(model=GigaChatModel.GIGACHAT_PRO), "complete", QUESTION).text
    assert [request["model"] for request in sent(server)] == ["GigaChat-Pro"]
