"""The programs of `examples/`, run against the local server; `rag_folder` and `mcp_agent` have tests elsewhere."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gigachat.server import GigaChatServer
from tests.support.browsers import UVICORN, served
from tests.support.notebooks import code_cells, executed
from tests.support.programs import environment
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.costly

EXAMPLES = Path(__file__).parents[2] / "examples"
SHORT = (
    *("weather_agent", "chat_bot", "sse_endpoint", "extract_table", "rag_folder", "mcp_agent"),
    *("picture_bot", "document_questions", "voice_note"),
)


def printed(server: GigaChatServer, name: str, *arguments: str, stdin: str = "") -> list[str]:
    """Return the lines that an example prints; it must succeed and report nothing."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments],
        env={"PYTHONUTF8": "1", **environment(server)},
        input=stdin,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def messages(server: GigaChatServer, at: int = -1) -> list[dict[str, Any]]:
    """Return the messages of a chat that the server received."""
    sent: list[dict[str, Any]] = json.loads(server.requests_to("/chat/completions")[at].body)["messages"]
    return sent


@pytest.mark.parametrize("name", SHORT)
def test_an_example_is_short(name: str) -> None:
    assert len((EXAMPLES / f"{name}.py").read_text("utf-8").splitlines()) < 40


def test_the_weather_agent_shows_its_calls_and_the_answer(server: GigaChatServer) -> None:
    server.reply_calls(("weather", {"city": "Псков"}), ("weather", {"city": "Тверь"}))
    server.reply_call("clothes", {"temperature": -3})
    server.reply("В Пскове −3, наденьте шубу.")
    question = "Какая погода в Пскове и Твери и что надеть?"
    *lines, tokens = printed(server, "weather_agent", question)
    assert lines == [
        """[weather({'city': 'Псков'}) -> {"city":"Псков","temperature":-3}]""",
        """[weather({'city': 'Тверь'}) -> {"error": "город Тверь неизвестен, известны: Псков, Сочи"}]""",
        """[clothes({'temperature': -3}) -> {"result":"шубу"}]""",
        "В Пскове −3, наденьте шубу.",
    ]
    assert re.fullmatch(r"\d+ tokens", tokens)
    assert messages(server)[0]["content"] == [{"text": question}]


def test_the_bot_has_a_history_for_each_chat(server: GigaChatServer, tmp_path: Path) -> None:
    server.reply("Привет, Анна!", "Здравствуйте!", "Вас зовут Анна.")
    lines = printed(
        server,
        "chat_bot",
        str(tmp_path),
        stdin="anna Я Анна\nivan Добрый день\n../x не чат\nanna Как меня зовут?\nanna /undo\n",
    )
    assert lines == [
        "anna Привет, Анна!",
        "ivan Здравствуйте!",
        "anna Вас зовут Анна.",
        "anna забыто сообщений: 2",
    ]
    assert [message["content"] for message in messages(server)[1:]] == ["Я Анна", "Привет, Анна!", "Как меня зовут?"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["anna.jsonl", "ivan.jsonl"]

    server.fail(402, path="/chat/completions")
    server.reply("Да.")
    failed, answered = printed(server, "chat_bot", str(tmp_path), stdin="anna Ты тут?\nanna А теперь?\n")
    assert failed.startswith("anna ошибка, попробуйте ещё раз: 402 Payment Required")
    assert answered == "anna Да."
    assert [message["content"] for message in messages(server)[1:]] == ["Я Анна", "Привет, Анна!", "А теперь?"]


def test_the_table_has_the_orders_of_the_text(server: GigaChatServer) -> None:
    orders = [
        {"customer": "Анна", "product": "чай", "quantity": 2, "delivery": "2026-12-01"},
        {"customer": "Иван", "product": "кофе", "quantity": 1},
    ]
    wrong = [{**orders[0], "quantity": 0}]
    server.reply(*(json.dumps({"value": value}, ensure_ascii=False) for value in (wrong, orders, [])))
    letters = "Анна: две пачки чая к 1 декабря.\nИван: пачку кофе."
    lines = printed(server, "extract_table", stdin=letters)
    assert [line.split() for line in lines] == [
        ["customer", "product", "quantity", "delivery"],
        ["Анна", "чай", "2", "2026-12-01"],
        ["Иван", "кофе", "1", "None"],
    ]
    assert letters in messages(server, 0)[0]["content"]
    assert "quantity" in messages(server)[-1]["content"]  # the request to correct the number
    assert "Empty DataFrame" in "\n".join(printed(server, "extract_table", stdin="Спасибо, ничего не нужно."))


def test_the_picture_bot_saves_what_the_model_draws(server: GigaChatServer, tmp_path: Path) -> None:
    (line,) = printed(server, "picture_bot", str(tmp_path), stdin="кот на крыше\n")
    assert line.startswith("1.jpg: Это эхо локального сервера")
    assert (tmp_path / "1.jpg").read_bytes().startswith(b"\xff\xd8\xff")
    assert messages(server)[0]["content"] == [{"text": "Нарисуй: кот на крыше"}]

    server.fail(402, path="/chat/completions")
    server.reply("Такое я не рисую.")
    failed, refused = printed(server, "picture_bot", str(tmp_path), stdin="кот\nпёс\n")
    assert failed.startswith("ошибка, попробуйте ещё раз: 402 Payment Required")
    assert refused == "картинки нет: Такое я не рисую."
    assert [path.name for path in tmp_path.iterdir()] == ["1.jpg"]


def test_questions_about_a_document(server: GigaChatServer, tmp_path: Path) -> None:
    path = tmp_path / "договор.txt"
    path.write_text("Срок аренды — год.", "utf-8")
    first, second, tokens = printed(server, "document_questions", str(path), stdin="Какой срок?\n\nА плата?\n")
    assert "В файле договор.txt: «Срок аренды — год.»." in first
    assert "«А плата?»" in second
    assert re.fullmatch(r"\d+ tokens", tokens)
    _, asked, _, again = messages(server)
    assert (len(asked["attachments"]), again.get("attachments")) == (1, None)
    assert server.requests[-1].path.endswith("/delete")


def test_voice_notes_become_a_list_of_things_to_do(server: GigaChatServer, tmp_path: Path) -> None:
    path = tmp_path / "note.ogg"
    path.write_bytes(b"OggS" + bytes(100))
    server.reply("Позвонить Анне и купить хлеб.", "Позвонить Анне\nКупить хлеб")
    lines = printed(server, "voice_note", str(path))
    assert lines == [f"{path}: Позвонить Анне и купить хлеб.", "Позвонить Анне", "Купить хлеб"]
    assert "Позвонить Анне и купить хлеб." in messages(server)[0]["content"]
    assert len(messages(server, 0)[0]["attachments"]) == 1


def test_the_endpoint_streams_server_sent_events(server: GigaChatServer) -> None:
    with (
        served(EXAMPLES, *UVICORN, "sse_endpoint:app", environment=environment(server)) as port,
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE, trust_env=False) as browser,
    ):
        server.reply("Жили-были дед да баба.\nИ была у них курочка Ряба.")
        response = browser.get("/chat", params={"question": "Расскажи сказку"})
        assert response.headers["content-type"].startswith("text/event-stream")
        events = response.text.split("\r\n\r\n")
        assert events.pop() == ""
        assert events.pop() == "event: end\r\ndata: {}"  # without it browsers would ask again
        texts = [json.loads(event.removeprefix("event: text\r\ndata: "))["text"] for event in events]
        assert len(texts) > 1
        assert "".join(texts) == "Жили-были дед да баба.\nИ была у них курочка Ряба."
        assert messages(server)[0]["content"] == "Расскажи сказку"

        server.fail(402, path="/chat/completions")
        name, data, *rest = browser.get("/chat", params={"question": "Ещё"}).text.splitlines()
        assert name == "event: failure"
        assert json.loads(data.removeprefix("data: ")) == {}  # the text of the error is for the log
        assert rest == [""]


NOTEBOOK = EXAMPLES / "notebook.ipynb"


def test_the_notebook_is_short_and_has_no_outputs() -> None:
    assert len("\n".join(code_cells(NOTEBOOK)).splitlines()) < 40
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells if "outputs" in cell)


def test_the_notebook_shows_its_results(server: GigaChatServer, tmp_path: Path) -> None:
    server.reply("<b>Псков</b>, Опочка, Остров.", "Псков — древний город.")
    server.reply_call("temperature", {"city": "Псков"})
    server.reply("Минус три.", "Париж.", "Рим.")
    listed, chat, stream, run, awaited, vectors, _ = executed(NOTEBOOK, server, tmp_path)
    (models,), (answer,), (result,), (texts,), (embeddings,) = (
        cell["data"] for cell in (listed, chat, run, awaited, vectors)
    )
    assert "<code>GigaChat-2-Max</code>" in models["text/html"]
    assert "&lt;b&gt;Псков&lt;/b&gt;, Опочка, Остров." in answer["text/html"]
    assert answer["text/markdown"].startswith("```text\n<b>Псков</b>, Опочка, Остров.\n\nGigaChat")
    assert stream["printed"] == "Псков — древний город."
    assert "Минус три." in result["text/html"]
    assert "<code>temperature</code>" in result["text/html"]
    assert {text for text in ("Париж.", "Рим.") if text in texts["text/plain"]} == {"Париж.", "Рим."}
    assert "<code>1024</code>" in embeddings["text/html"]
