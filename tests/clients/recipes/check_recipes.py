"""The recipes for aiogram, Celery, Django and LangChain, run as printed against the local server."""
# mypy: disable-error-code="import-not-found,import-untyped"
# pyright: reportMissingImports=false

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gigachat import AsyncGigaChat
from gigachat.server import GigaChatServer
from tests.clients.conftest import bounded
from tests.docs.pages import python_blocks
from tests.support.browsers import CASES, UVICORN, check_slot_is_freed, served
from tests.support.programs import environment

Recipe = Callable[[str], ModuleType]


DJANGO = """
from django.urls import path

ALLOWED_HOSTS = ["*"]
SECRET_KEY = "key"
ROOT_URLCONF = "settings"

def __getattr__(name):  # the views need the settings
    if name != "urlpatterns":
        raise AttributeError(name)
    import views
    return [path("stream", views.stream)]
"""


def files(page: str) -> dict[str, str]:
    """Return the files of a recipe, by name."""
    named = {}
    for block in python_blocks(f"docs/recipes/{page}.md"):
        name = re.match(r"# (\w+)\.py\n", block.text)
        assert name, block
        named[name[1]] = block.text
    return named


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recipe]:
    """Write the files of a recipe into an empty folder, and import the first one."""
    imported: list[str] = []

    def run(page: str) -> ModuleType:
        written = files(page)
        for name, text in written.items():
            (tmp_path / f"{name}.py").write_text(text, "utf-8")
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.chdir(tmp_path)
        imported.append(next(iter(written)))
        return importlib.import_module(imported[-1])

    yield run
    for name in imported:
        del sys.modules[name]


def asked(server: GigaChatServer) -> list[list[Any]]:
    """Return the messages of each chat that the server received."""
    return [json.loads(request.body)["messages"] for request in server.requests_to("/chat/completions")]


def test_the_bot_remembers_a_chat_and_survives_a_failure(
    recipe: Recipe, server: GigaChatServer, tmp_path: Path
) -> None:
    from aiogram import Bot
    from aiogram.client.session.base import BaseSession
    from aiogram.methods import SendMessage
    from aiogram.types import Chat, Message, Update, User

    class Telegram(BaseSession):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.sent: list[str] = []

        async def make_request(self, bot: Any, method: Any, timeout: Any = None) -> Any:
            if not isinstance(method, SendMessage):
                return True
            self.sent.append(method.text)
            return Message(message_id=1, date=datetime.now(UTC), chat=Chat(id=method.chat_id, type="private"))

        async def close(self) -> None:
            pass

        async def stream_content(self, *arguments: Any, **options: Any) -> Any:
            yield b""

    program = recipe("aiogram")
    telegram = Telegram()

    async def talk(*texts: str) -> None:
        bot = Bot("42:TOKEN", session=telegram)
        async with AsyncGigaChat() as giga:
            for number, text in enumerate(texts, 1):
                message = Message(
                    message_id=number,
                    date=datetime.now(UTC),
                    chat=Chat(id=7, type="private"),
                    from_user=User(id=7, is_bot=False, first_name="Anna"),
                    text=text,
                )
                await program.dispatcher.feed_update(bot, Update(update_id=number, message=message), giga=giga)

    server.reply("Привет, Анна!", "ж" * 5000)
    bounded(talk("Я Анна", "Расскажи сказку"))
    assert telegram.sent == ["Привет, Анна!", "ж" * 4096, "ж" * 904]
    assert [message["content"] for message in asked(server)[1]] == [
        "Отвечай кратко.",
        "Я Анна",
        "Привет, Анна!",
        "Расскажи сказку",
    ]
    server.fail(402, path="/chat/completions")
    bounded(talk("Ты тут?", "/forget"))
    assert telegram.sent[3:] == ["Не получилось, попробуйте ещё раз.", "Я всё забыл."]
    assert not list(tmp_path.glob("*.jsonl"))


def test_the_task_is_done_by_a_worker_and_repeated(
    recipe: Recipe, server: GigaChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from celery.contrib.testing.worker import start_worker

    monkeypatch.setenv("BROKER", "memory://")
    monkeypatch.setenv("BACKEND", "cache+memory://")
    monkeypatch.setenv("GIGACHAT_MAX_RETRIES", "0")
    program = recipe("celery")
    server.reply("Короче.", "Ещё короче.")
    with start_worker(program.app, perform_ping_check=False, pool="solo", loglevel="error"):
        result = program.summarize.delay("Длинный текст").get(timeout=60)
    assert result["summary"] == "Короче."
    assert result["tokens"] > 0
    server.fail(500, path="/chat/completions")
    assert program.summarize.apply(["Длинный текст"]).get()["summary"] == "Ещё короче."
    assert len(asked(server)) == 3


def test_the_views_answer_and_stream(recipe: Recipe, server: GigaChatServer) -> None:
    from django.conf import settings
    from django.test import AsyncRequestFactory, RequestFactory

    settings.configure(ALLOWED_HOSTS=["*"], SECRET_KEY="key", DEFAULT_CHARSET="utf-8")
    program = recipe("django")
    server.reply("Привет, Анна!", "Вас зовут Анна.", "Жили-были.")
    for question, text in (("Я Анна", "Привет, Анна!"), ("Как меня зовут?", "Вас зовут Анна.")):
        response = program.chat(RequestFactory().post("/chat", {"user": "anna", "question": question}))
        assert json.loads(response.content) == {"text": text}
    assert [message["content"] for message in asked(server)[1]] == ["Я Анна", "Привет, Анна!", "Как меня зовут?"]

    async def streamed() -> str:
        response = await program.stream(AsyncRequestFactory().get("/stream", {"question": "Расскажи сказку"}))
        assert response.headers["Content-Type"] == "text/event-stream"
        return "".join([part.decode() async for part in response])

    events = bounded(streamed()).split("\n\n")
    assert events.pop() == ""
    assert "".join(json.loads(event.removeprefix("data: "))["text"] for event in events) == "Жили-были."
    server.fail(402, path="/chat/completions", times=2)
    assert bounded(streamed()) == "event: failure\ndata: {}\n\n"
    failed = program.chat(RequestFactory().post("/chat", {"user": "anna", "question": "Ещё"}))
    assert failed.status_code == 503


@pytest.mark.parametrize("case", CASES)
def test_a_browser_that_reads_no_more_frees_its_slot(case: str, server: GigaChatServer, tmp_path: Path) -> None:
    for name, text in files("django").items():
        (tmp_path / f"{name}.py").write_text(text, "utf-8")
    (tmp_path / "settings.py").write_text(DJANGO, "utf-8")
    asgi = (tmp_path / "asgi.py").read_text("utf-8")
    (tmp_path / "asgi.py").write_text(f"import gc\n{asgi}\ngc.disable()\nSEND_TIMEOUT = 0.5\n", "utf-8")
    variables = {**environment(server), "DJANGO_SETTINGS_MODULE": "settings", "GIGACHAT_MAX_CONCURRENCY": "1"}
    with served(tmp_path, *UVICORN, "asgi:application", environment=variables) as port:
        check_slot_is_freed(case, port, "/stream", server)


def test_the_chain_prints_its_answers(
    recipe: Recipe, server: GigaChatServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.reply("Париж.", "Жили-были.")
    server.reply_call("weather", {"city": "Псков"})
    recipe("langchain")
    printed = capsys.readouterr().out
    assert re.match(r"Париж\.\nЖили-были\.\[\{'name': 'weather', 'args': \{'city': 'Псков'\}.*\n", printed)
    assert re.search(r"\nname='\w*' age=30\n1024\n$", printed)
    assert [message["content"] for message in asked(server)[0]] == ["Отвечай кратко.", "Столица Франции?"]
