"""The command through pipes, against the local server: results on stdout, notes on stderr, exit statuses."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gigachat import GigaChat, __version__
from gigachat.cli import conversations
from gigachat.server import GigaChatServer
from tests.support.commands import COMMAND, Done, Installed
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.costly

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="there is no sh there")


@pytest.fixture(scope="module")
def running() -> Iterator[GigaChatServer]:
    with GigaChatServer() as server:
        yield server


@pytest.fixture
def gigachat(running: GigaChatServer, tmp_path: Path) -> Installed:
    running.reset()
    return Installed(tmp_path, running)


def asked(gigachat: Installed, at: int = -1) -> dict[str, Any]:
    """Return the body of a chat that the server received."""
    assert gigachat.server is not None
    body: dict[str, Any] = gigachat.server.requests_to("/chat/completions")[at].json
    return body


def replying(gigachat: Installed, *answers: str) -> None:
    assert gigachat.server is not None
    for answer in answers:
        gigachat.server.reply(answer)


# Questions and answers


def test_a_question_and_its_answer(gigachat: Installed) -> None:
    replying(gigachat, "Минус **три**.")
    assert gigachat.run("chat", "Какая", "погода?") == Done(0, "Минус **три**.\n", "")
    assert asked(gigachat)["messages"] == [{"role": "user", "content": "Какая погода?"}]
    assert asked(gigachat)["stream"] is True


@pytest.mark.parametrize(
    ("arguments", "stdin", "question"),
    [
        (["Что сломалось?"], "диск\nполон\n", "Что сломалось?\n\nдиск\nполон"),
        ([], "Привет\r\n", "Привет"),
        (["--", "-5+3", "--json"], "", "-5+3 --json"),
        (["--plain", "a", "--max-tokens", "99", "b"], "", "a b"),
        (["a"], b"\xef\xbb\xbfx", "a\n\nx"),
        ([], "Привет".encode("utf-16"), "Привет"),
        ([], "слово\n" * 100_000, "слово\n" * 99_999 + "слово"),
    ],
)
def test_the_question_is_made_of_arguments_and_input(
    arguments: list[str], stdin: str | bytes, question: str, gigachat: Installed
) -> None:
    replying(gigachat, "да")
    assert gigachat.run("chat", *arguments, stdin=stdin) == Done(0, "да\n", "")
    assert asked(gigachat)["messages"][-1]["content"] == question


@pytest.mark.parametrize("encoding", ["cp1251", "cp866", "utf-8"])
@pytest.mark.parametrize("arguments", [[], ["--no-stream"]], ids=["stream", "whole"])
def test_russian_in_each_encoding_of_a_console(encoding: str, arguments: list[str], gigachat: Installed) -> None:
    gigachat.variables["PYTHONIOENCODING"] = encoding
    replying(gigachat, "Ёлка 😀 – да")
    done = gigachat.run("chat", *arguments, stdin="Это ёжик?")
    assert asked(gigachat)["messages"][-1]["content"] == "Это ёжик?"
    shown = "Ёлка 😀 – да\n".encode(encoding, "backslashreplace").decode(encoding)
    assert done == Done(0, shown, "")
    replying(gigachat, "Ёлка 😀")
    done = gigachat.run("chat", "--json", "x")
    assert done.out.isascii() is (encoding != "utf-8")
    assert json.loads(done.out)["choices"][0]["message"]["content"] == "Ёлка 😀"


@pytest.mark.parametrize("variables", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_pipe_gets_the_words_of_the_model_unchanged(variables: dict[str, str], gigachat: Installed) -> None:
    gigachat.variables.update(variables)
    answer = "\x1b[31m# Заголовок\n* \tпункт\x00"
    replying(gigachat, answer)
    assert gigachat.run("chat", "x") == Done(0, f"{answer}\n", "")


def test_options_reach_the_service(gigachat: Installed) -> None:
    options = ["--system", "Кратко", "--temperature", "0.5", "--max-tokens", "7", "--model", "GigaChat-2-Pro"]
    gigachat.run("chat", *options, "x")
    body = asked(gigachat)
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert (body["temperature"], body["max_tokens"], body["model"]) == (0.5, 7, "GigaChat-2-Pro")
    gigachat.run("chat", "--v2", *options, "x")
    body = asked(gigachat)
    assert body["model_options"] == {"temperature": 0.5, "max_tokens": 7}


def test_an_answer_that_is_cut_says_so(gigachat: Installed) -> None:
    done = gigachat.run("chat", "--max-tokens", "2", "x")
    assert (done.status, done.err) == (0, "(the answer is cut: it reached the limit of tokens)\n")


_TREE = {
    "$ref": "#/definitions/Tree",
    "definitions": {
        "Tree": {
            "type": "object",
            "properties": {"children": {"type": "array", "items": {"$ref": "#/definitions/Tree"}}},
        }
    },
}


@pytest.mark.parametrize("version", [[], ["--v2"]], ids=["v1", "v2"])
def test_an_answer_in_json_by_a_schema(version: list[str], gigachat: Installed) -> None:
    (gigachat.home / "s.json").write_text('{"type": "object", "properties": {"имя": {"type": "string"}}}', "utf-8")
    (gigachat.home / "a.txt").write_text("x")
    for schema, answer in (
        ("имя, возраст int, рост float: в метрах", {"имя": "Иван", "возраст": 5, "рост": 1.1}),
        ("s.json", {"имя": "Иван"}),
        ('{"type": "object"}', {"a": [1]}),
        ("{}", {"a": [1]}),
        (
            '{"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"type": "string"}}}',
            {"a": "x"},
        ),
        (json.dumps(_TREE), {"children": [{"children": []}]}),
    ):
        replying(gigachat, json.dumps(answer))
        done = gigachat.run("chat", *version, "--schema", schema, "--file", "a.txt", "-s", "x", "Кто?")
        assert (done.status, json.loads(done.out)) == (0, answer), done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--schema", "name, age number"], "'age number' is not a field"),
        (["--schema", "a, a"], "two fields are named 'a'"),
        (["--schema", "{"], "invalid JSON"),
        (["--schema", "a" * 5000 + "!"], "is not a field"),
        (["--schema", ""], "'' is not a field"),
        (["--schema", "s.json"], "'s.json' is not a field: NAME, NAME TYPE or NAME: DESCRIPTION"),
        (["--schema", "s.json"], "nor is there such a file"),
        (["--schema", '{"$ref": "#/x"}'], "the schema refers to '#/x', which it does not define"),
        (["--schema", '{"$ref": 5}'], "the schema refers to 5 outside itself"),
        (["--schema", "deep.json"], "nested too deeply"),
        (["--schema", "list.json"], "--schema: a JSON object is needed"),
        (["--schema", "a", "-c"], "cannot be used with --continue"),
        (["--schema", "a", "--tool", "a:b"], "cannot be used with --tool"),
        (["--tool", "json"], "MODULE:NAME is needed"),
        (["--tool", "nowhere:f"], "No module named 'nowhere'"),
        (["--tool", "broken:f"], "NameError: name 'oops' is not defined"),
        (["--tool", "leaving:f"], "SystemExit: 3"),
        (["--tool", "json:decoder"], "it is not a function"),
        (["--conversation", "../x"], "'../x' is not a name of a conversation"),
        (["--temperature", "nan"], "temperature"),
        (["--timeout", "-1"], "timeout"),
    ],
)
def test_an_argument_that_cannot_be_used_is_named(arguments: list[str], said: str, gigachat: Installed) -> None:
    (gigachat.home / "broken.py").write_text("oops")
    (gigachat.home / "leaving.py").write_text("raise SystemExit(3)")
    (gigachat.home / "deep.json").write_text('{"a":' * 100_000)
    (gigachat.home / "list.json").write_text("[]")
    done = gigachat.run("chat", *arguments, "x")
    assert (done.status, done.out) == (2, "")
    [line] = done.err.splitlines()
    assert line.startswith("gigachat: ")
    assert said in line
    assert gigachat.server is not None
    gigachat.server.assert_nothing_asked()


def test_templates(gigachat: Installed) -> None:
    (gigachat.files / "templates").mkdir(parents=True)
    (gigachat.files / "templates" / "tr.txt").write_text("Переведи за $5: $input!\n", "utf-8")
    (gigachat.home / "short.txt").write_text("Сократи", "utf-8")
    gigachat.run("chat", "-t", "tr", "кот")
    assert asked(gigachat)["messages"][-1]["content"] == "Переведи за $5: кот!"
    gigachat.run("chat", "--template", "short.txt", stdin="длинно")
    assert asked(gigachat)["messages"][-1]["content"] == "Сократи\n\nдлинно"
    done = gigachat.run("chat", "-t", "missing", "x")
    assert (done.status, done.out) == (2, "")
    assert "there is no template 'missing': neither a file of this name, nor " in done.err
    assert gigachat.run("chat", "-t", "no/where", "x").err == "gigachat: no/where: there is no such file\n"


def test_files_functions_and_a_saved_conversation(gigachat: Installed) -> None:
    assert gigachat.server is not None
    (gigachat.home / "a.txt").write_text("x")
    (gigachat.home / "tools.py").write_text(
        'def weather(city: str) -> str:\n    "Погода."\n    return city + ": -3"\n', "utf-8"
    )
    gigachat.server.reply_call("weather", {"city": "Псков"})
    gigachat.server.reply("Холодно")
    arguments = ["--file", "a.txt", "--tool", "tools:weather", "--save", "kept.jsonl"]
    done = gigachat.run("chat", *arguments, "Погода?")
    note = 'weather {"city": "Псков"}'
    assert done == Done(0, "Холодно\n", f"→ {note}\nThe conversation is in kept.jsonl.\n")
    assert asked(gigachat, 0)["messages"][0]["attachments"]
    assert asked(gigachat)["messages"][-1]["content"] == '{"result":"Псков: -3"}'
    with GigaChat(**gigachat.server.client_options) as giga:
        conversation = giga.conversation()
        conversation.load(gigachat.home / "kept.jsonl")
        assert conversation.messages[-1].content == "Холодно"


def test_a_tilde_in_a_path_is_the_home_directory(gigachat: Installed) -> None:
    for name in ("a.txt", "t.txt", "a.mp3"):
        (gigachat.home / name).write_text("x")
    (gigachat.home / "s.json").write_text('{"type": "object"}')
    (gigachat.home / "f.json").write_text('{"name": "f", "parameters": {"type": "object"}}')
    elsewhere = gigachat.home / "elsewhere"
    elsewhere.mkdir()
    replying(gigachat, "да", "{}", "текст")
    for arguments in (
        ["chat", "--file", "~/a.txt", "-t", "~/t.txt", "--save=~/kept.jsonl", "x"],
        ["chat", "--schema", "~/s.json", "x"],
        ["transcribe", "~/a.mp3"],
        ["image", "кот", "-o", "~/cat.jpg"],
        ["files", "upload", "~/a.txt"],
        ["functions", "validate", "~/f.json"],
    ):
        done = gigachat.run(*arguments, cwd=elsewhere)
        assert done.status == 0, done
    assert (gigachat.home / "kept.jsonl").exists()
    assert (gigachat.home / "cat.jpg").exists()
    [uploaded] = gigachat.run("files", "upload", "~/a.txt", "--json").out.splitlines()
    gigachat.run("files", "download", json.loads(uploaded)["id"], "-o", "~/b.txt", cwd=elsewhere)
    assert (gigachat.home / "b.txt").read_text() == "x"
    assert not [*elsewhere.iterdir()]


@pytest.mark.parametrize(
    "arguments",
    [
        ["chat", "x", "--file", "~nouser/x"],
        ["chat", "x", "-t", "~nouser/x"],
        ["chat", "x", "--save", "~nouser/x"],
        ["files", "upload", "~nouser/x"],
        ["files", "download", "1", "-o", "~nouser/x"],
        ["image", "x", "-o", "~nouser/x"],
        ["transcribe", "~nouser/x"],
    ],
)
def test_the_home_of_a_user_that_does_not_exist(arguments: list[str], gigachat: Installed) -> None:
    done = gigachat.run(*arguments)
    assert (done.status, done.out) == (2, "")
    [line] = done.err.splitlines()
    assert line.startswith("gigachat: ~nouser")


def test_a_call_that_nobody_can_approve_is_not_run(gigachat: Installed) -> None:
    assert gigachat.server is not None
    (gigachat.home / "tools.py").write_text('def erase() -> str:\n    open("ran", "w")\n    return "gone"\n', "utf-8")
    gigachat.server.reply_call("erase", {})
    gigachat.server.reply("Нет так нет")
    command = [*COMMAND] if sys.platform == "win32" else ["setsid", *COMMAND]
    done = gigachat.run("chat", "--tool", "tools:erase", "--approve", "x", command=command)
    assert (done.status, done.out) == (0, "Нет так нет\n")
    assert "no terminal" in asked(gigachat)["messages"][-1]["content"]
    assert not (gigachat.home / "ran").exists()


def test_a_conversation_continues(gigachat: Installed) -> None:
    gigachat.run("chat", "-c", "-s", "Кратко", "раз")
    gigachat.run("chat", "--continue", "два")
    assert [message["role"] for message in asked(gigachat)["messages"]] == ["system", "user", "assistant", "user"]
    gigachat.run("chat", "--conversation", "другой-1", "три")
    assert len(asked(gigachat)["messages"]) == 1
    done = gigachat.run("chat", "--v2", "-c", "четыре")
    assert (done.status, done.err) == (0, "")
    if sys.platform != "win32":
        assert (gigachat.files.stat().st_mode & 0o77, len(list(gigachat.files.rglob("*.jsonl")))) == (0, 3)


def test_one_process_at_a_time_uses_a_conversation(gigachat: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPDATA", str(gigachat.home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(gigachat.home))
    with conversations.conversation_file("last", "v1"):
        done = gigachat.run("chat", "-c", "x")
    assert (done.status, done.out) == (2, "")
    assert "'last' is in use by another process" in done.err
    assert gigachat.run("chat", "-c", "x").status == 0


# The other subcommands

PAGE = "Одно предложение о погоде в Пскове, где сегодня снова идёт мокрый снег, а ветер северный и холодный. " * 2


@pytest.mark.slow
def test_each_subcommand_prints_json(gigachat: Installed) -> None:
    assert gigachat.server is not None
    (gigachat.home / "a.txt").write_text("x")
    (gigachat.home / "f.json").write_text('{"name": "f", "parameters": {"type": "object", "properties": {}}}')
    (gigachat.home / "api.yaml").write_text("openapi: 3.0.0\ninfo: {title: t, version: '1'}\npaths: {}\n")
    request = {"id": "1", "request": {"model": "GigaChat", "messages": [{"role": "user", "content": "x"}]}}
    (gigachat.home / "b.jsonl").write_text(json.dumps(request))

    def printed(*arguments: str, stdin: str = "") -> list[Any]:
        done = gigachat.run(*arguments, "--json", stdin=stdin)
        assert (done.status, done.err) == (0, ""), done.err
        return [json.loads(line) for line in done.out.splitlines()]

    [models] = printed("models")
    assert {"name", "type", "window", "price", "listed"} <= models[0].keys()
    assert len(printed("models", "--all")[0]) > len(models)
    assert printed("balance")[0]["balance"][0]["usage"] == "GigaChat"
    assert printed("tokens", "раз", "два три")[0][0].keys() == {"tokens", "characters"}
    assert printed("tokens", "--estimate", stdin="x")[0][0]["characters"] == 1
    one, two = printed("embed", "--lines", stdin="раз\n\nдва\n")
    assert (one["text"], len(two["embedding"])) == ("раз", 1024)
    [file] = printed("files", "upload", "a.txt")
    assert [entry["id"] for entry in printed("files")] == [file["id"]]
    assert printed("files", "show", file["id"]) == [file]
    assert printed("files", "download", file["id"], "-o", "copy")[0]["path"] == "copy"
    assert (gigachat.home / "copy").read_text() == "x"
    assert printed("files", "delete", file["id"]) == [{"id": file["id"], "deleted": True}]
    [batch] = printed("batch", "create", "b.jsonl")
    assert printed("batch", "wait", batch["id"])[0]["status"] == "completed"
    assert [entry["id"] for entry in printed("batch")] == [batch["id"]]
    assert printed("batch", "show", batch["id"])[0]["id"] == batch["id"]
    assert printed("batch", "results", batch["id"])[0]["id"] == "1"
    assert printed("functions", "validate", "f.json")
    assert printed("functions", "convert", stdin=(gigachat.home / "api.yaml").read_text())
    assert printed("check-ai", PAGE)[0]["category"] in ("ai", "human", "mixed")
    assert printed("config")[0]["credentials"]["value"] == "********"
    assert printed("version")[0]["gigachat"] == __version__


@pytest.mark.slow
def test_what_people_read(gigachat: Installed) -> None:
    (gigachat.home / "-a.txt").write_text("x")
    head, *rows = gigachat.run("models").out.splitlines()
    assert head.split()[:3] == ["name", "type", "window"]
    assert any(row.startswith("GigaChat ") and "261,120" in row for row in rows)
    assert "embeddings: 10,000,000" in gigachat.run("balance").out.splitlines()
    assert gigachat.run("tokens", "раз", "два").out == "1\n1\n"
    assert json.loads(gigachat.run("embed", "раз").out)[0]
    uploaded = gigachat.run("files", "upload", "--", "-a.txt").out
    assert uploaded.endswith("-a.txt\n")
    identifier = uploaded.split()[0]
    assert gigachat.run("files").out == uploaded
    assert gigachat.run("files", "delete", identifier).out == f"{identifier}\n"
    assert gigachat.run("check-ai", PAGE).out.strip() in ("ai", "human", "mixed")
    assert gigachat.run("version").out.startswith(f"gigachat {__version__}\nPython ")
    done = gigachat.run("functions", "validate", stdin='{"name": "f"}')
    assert (done.status, "errors" in json.loads(done.out)) == (1, True)


@pytest.mark.slow
def test_pictures_and_recordings(gigachat: Installed) -> None:
    done = gigachat.run("image", "Нарисуй", "кота", "-o", "cat.jpg")
    assert done == Done(0, "cat.jpg\n", "")
    assert (gigachat.home / "cat.jpg").stat().st_size > 0
    [picture] = gigachat.run("image", "кот", "--json").out.splitlines()
    assert (gigachat.home / json.loads(picture)["path"]).exists()
    replying(gigachat, "Не буду")
    assert gigachat.run("image", "кот") == Done(1, "", "gigachat: the model drew nothing: Не буду\n")
    (gigachat.home / "a.mp3").write_bytes(b"ID3" + b"x" * 100)
    replying(gigachat, "Добрый день", "Приветствие")
    assert gigachat.run("transcribe", "a.mp3") == Done(0, "Добрый день\n", "")
    [line] = gigachat.run("transcribe", "a.mp3", "--prompt", "Что это?", "--json").out.splitlines()
    assert json.loads(line)["choices"][0]["message"]["content"] == "Приветствие"
    message = asked(gigachat)["messages"][-1]
    assert (message["content"], len(message["attachments"])) == ("Что это?", 1)
    done = gigachat.run("transcribe", "a.mp3", "b.mp3")
    assert (done.status, done.err) == (2, "gigachat: b.mp3: there is no such file\n")


def test_settings_and_their_sources(gigachat: Installed) -> None:
    gigachat.variables |= {"gigachat_model": "GigaChat-2", "GIGACHAT_PROXY": "http://u:geheim@localhost:1"}
    if sys.platform == "win32":
        gigachat.variables["GIGACHAT_MODEL"] = gigachat.variables.pop("gigachat_model")
    done = gigachat.run("config", "show")
    assert (done.status, done.err) == (0, "")
    shown = dict(line.split(" = ") for line in done.out.splitlines())
    assert shown["credentials"] == "********  (GIGACHAT_CREDENTIALS)"
    assert shown["proxy"] == "********  (GIGACHAT_PROXY)"
    assert shown["model"].lower() == "gigachat-2  (gigachat_model)"
    assert "timeout" not in shown
    assert "queue_timeout = 600.0  (default)" in gigachat.run("config", "--all").out
    assert "total_timeout = not set  (default)" in gigachat.run("config", "--all").out
    assert shown["max_retries"] == "0  (GIGACHAT_MAX_RETRIES)"


# Errors

STATUSES = [(401, 3), (403, 3), (402, 4), (429, 4), (500, 1), (404, 1)]


@pytest.mark.parametrize(("code", "status"), STATUSES)
def test_errors_of_the_service_have_exit_statuses(code: int, status: int, gigachat: Installed) -> None:
    assert gigachat.server is not None
    gigachat.server.fail(code, path="/chat/completions", times=2)
    done = gigachat.run("chat", "x")
    assert (done.status, done.out) == (status, "")
    line, *notes = done.err.splitlines()
    assert line.startswith(f"gigachat: {code} ")
    assert notes == (["`gigachat doctor` finds out why, step by step."] if status == 3 else [])


@pytest.mark.parametrize(
    ("arguments", "variables", "status", "said"),
    [
        ([], {"GIGACHAT_CREDENTIALS": "", "GIGACHAT_BASE_URL": ""}, 2, "no authorization"),
        (["--file", "nowhere.txt"], {}, 2, "nowhere.txt: there is no such file"),
        (["--save", "no/where"], {}, 2, "no: there is no such directory"),
        (["--save", "."], {}, 2, ". is a directory: name a file"),
        (["--save", ""], {}, 2, ". is a directory: name a file"),
        (["--conversation", ""], {}, 2, "'' is not a name of a conversation"),
        (["--bad"], {}, 2, "unrecognized arguments: --bad"),
        (["--max-tokens", "x"], {}, 2, "invalid int value: 'x'"),
        ([], {"GIGACHAT_TIMEOUT": "x"}, 2, "GIGACHAT_TIMEOUT"),
    ],
)
def test_other_errors_have_exit_statuses(
    arguments: list[str], variables: dict[str, str], status: int, said: str, gigachat: Installed
) -> None:
    gigachat.variables.update(variables)
    done = gigachat.run("chat", "x", *arguments)
    assert done.status == status
    assert "Traceback" not in done.err
    assert said in done.err


def test_without_a_key_it_names_login_and_run(tmp_path: Path) -> None:
    done = Installed(tmp_path).run("models")
    assert (done.status, done.out) == (2, "")
    error, note = done.err.splitlines()
    assert error.startswith("gigachat: no authorization: ")
    assert "gigachat run" not in error
    assert "gigachat login" in note
    assert "gigachat run -- gigachat chat" in note


def test_advice_names_commands_instead_of_methods(gigachat: Installed) -> None:
    done = gigachat.run("chat", "x", "--model", "GigaChat-9")
    assert done.status == 1
    [line] = done.err.splitlines()
    assert line.endswith(" `gigachat models` lists what this address serves.")
    done = gigachat.run("files", "show", "00000000-0000-0000-0000-000000000000")
    assert done.err.endswith(" `gigachat files` lists your files.\n")


def test_without_a_network(gigachat: Installed) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        gigachat.variables["GIGACHAT_BASE_URL"] = f"https://127.0.0.1:{closed.getsockname()[1]}/api/v1"
        done = gigachat.run("chat", "x")
    assert (done.status, done.out) == (5, "")
    assert done.err.startswith("gigachat: no connection to ")


@pytest.mark.parametrize(
    ("stdin", "said"), [(b"\0\1\2", "is not text"), (b"\xff", "is not text in UTF-8"), (b" \n", "a question is needed")]
)
def test_input_that_is_no_question(stdin: bytes, said: str, gigachat: Installed) -> None:
    done = gigachat.run("chat", stdin=stdin)
    assert (done.status, done.out) == (2, "")
    assert said in done.err


@pytest.mark.parametrize("name", ["tokens", "embed", "check-ai"])
def test_texts_are_needed(name: str, gigachat: Installed) -> None:
    done = gigachat.run(name, "--lines", stdin=" \n\n")
    assert (done.status, done.out) == (2, "")
    assert "no text was given" in done.err


# Odd streams and surroundings


@needs_posix
@pytest.mark.parametrize(
    ("redirected", "status", "out", "said"),
    [
        ("<&-", 0, "да\n", ""),
        ("<&- >&- 2>&-", 0, "", ""),
        (">&-", 0, "", ""),
        ("</dev/null 2>&-", 0, "да\n", ""),
        ("</dev/null >/dev/full", 1, "", "No space left on device"),
    ],
)
def test_closed_streams(redirected: str, status: int, out: str, said: str, gigachat: Installed) -> None:
    if "/dev/full" in redirected and not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    replying(gigachat, "да")
    done = gigachat.run("chat", "x", command=["sh", "-c", f'exec "$@" {redirected}', "sh", *COMMAND])
    assert (done.status, done.out) == (status, out)
    assert "Traceback" not in done.err
    assert said in done.err


@needs_posix
@pytest.mark.parametrize(("arguments", "status", "out"), [(["--schema", "{"], 2, ""), (["--save", "kept"], 0, "да\n")])
def test_errors_and_notes_are_not_written_to_the_output(
    arguments: list[str], status: int, out: str, gigachat: Installed
) -> None:
    replying(gigachat, "да")
    done = gigachat.run("chat", "x", *arguments, command=["sh", "-c", 'exec "$@" 2>&-', "sh", *COMMAND])
    assert done == Done(status, out, "")


@needs_posix
@pytest.mark.parametrize("arguments", ["", "--help", "chat --help", "--version"])
@pytest.mark.parametrize(("reader", "status", "lines"), [("| :", 0, 0), (">/dev/full", 1, 1)])
def test_a_help_that_nobody_reads(arguments: str, reader: str, status: int, lines: int, gigachat: Installed) -> None:
    if "/dev/full" in reader and not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    command = ["bash", "-c", f'"$@" {arguments} {reader}; exit ${{PIPESTATUS[0]}}', "bash", *COMMAND]
    done = gigachat.run(command=command)
    assert (done.status, len(done.err.splitlines())) == (status, lines), done.err


def test_a_reader_that_leaves_early_is_no_error(gigachat: Installed) -> None:
    command = [*COMMAND, "embed", "--lines"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=gigachat.environment, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b"x\n" * 500)
        process.stdin.close()
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(PATIENCE) == 0


@needs_posix
@pytest.mark.parametrize("command", ["chat", "tokens", "embed", "check-ai", "image", "files show", "batch show"])
def test_an_argument_that_is_not_utf_8(command: str, gigachat: Installed) -> None:
    done = gigachat.run(*command.split(), os.fsdecode(b"\xff"))
    assert done == Done(2, "", "gigachat: an argument or a file has text that is not UTF-8\n")


def test_a_home_that_cannot_be_written(gigachat: Installed) -> None:
    place = gigachat.home / "file"
    place.write_text("")
    gigachat.variables |= {"XDG_CONFIG_HOME": str(place), "APPDATA": str(place), "HOME": str(place)}
    assert gigachat.run("chat", "x").status == 0
    done = gigachat.run("chat", "-c", "x")
    assert (done.status, done.out) == (1, "")
    [line] = done.err.splitlines()
    assert str(place) in line


# The command itself


def test_without_arguments_it_prints_its_help(gigachat: Installed) -> None:
    done = gigachat.run()
    assert (done.status, done.err) == (0, "")
    assert done == gigachat.run("--help")
    assert "check-ai" in done.out
    assert "Exit status: 0 success" in done.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["chta"], "did you mean 'chat'?"),
        (["xyz"], "there is no command 'xyz'; see gigachat --help"),
        (["--json", "models"], "options belong behind a command"),
        (["models", "x"], "usage: gigachat models"),
        (["files", "show"], "files show needs an id"),
        (["files", "list", "x"], "files list takes no names"),
        (["files", "download", "x", "-o", "no/where"], "no: there is no such directory"),
        (["files", "download", "x", "y", "-o", "z"], "z: there are several files, name a directory"),
        (["image", "x", "-o", "no/where"], "no: there is no such directory"),
        (["batch", "create"], "batch create needs a file"),
        (["files", "--", "-x"], "invalid choice: '-x'"),
        (["models", "--", "-x"], "unrecognized arguments: -x"),
        (["run", "--"], "a program is needed"),
    ],
)
def test_mistakes_are_explained(arguments: list[str], said: str, gigachat: Installed) -> None:
    done = gigachat.run(*arguments)
    assert (done.status, done.out) == (2, "")
    assert said in done.err
    assert done.err.replace("\n", "").isprintable()


LOADED = """
import sys
from gigachat.__main__ import main
try:
    status = main(sys.argv[1:])
except SystemExit as left:
    status = left.code
assert status == 0, status
print(*sys.modules, file=sys.stderr)
"""


def loaded(gigachat: Installed, *arguments: str) -> set[str]:
    done = gigachat.run(*arguments, command=[sys.executable, "-c", LOADED])
    assert done.status == 0, done.err
    return set(done.err.splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], []])
def test_the_help_loads_next_to_nothing(arguments: list[str], gigachat: Installed) -> None:
    """Its CPU is at most five times that of `python -c pass`: modules are what it is spent on."""
    modules = loaded(gigachat, *arguments)
    own = {name for name in modules if name.startswith("gigachat")}
    assert {name for name in own if name.startswith("gigachat.cli")} <= {
        "gigachat.cli",
        "gigachat.cli.program",
        "gigachat.cli.status",
        "gigachat.cli.streams",
        *(["gigachat.cli.client", "gigachat.cli.version"] if arguments == ["--version"] else []),
    }
    assert len(own) <= 14
    assert not modules & {"pydantic", "httpx2", "logging", "asyncio", "rich", "prompt_toolkit", "keyring"}
    if arguments != ["--version"]:
        assert not modules & {"shutil", "importlib.metadata"}


@pytest.mark.parametrize("arguments", [["chat", "x"], ["models"], ["chat", "--help"]])
def test_the_server_is_not_loaded_by_clients(arguments: list[str], gigachat: Installed) -> None:
    modules = loaded(gigachat, *arguments)
    assert not {name for name in modules if name.startswith(("gigachat.server", "starlette", "uvicorn"))}
    assert not modules & {"rich", "prompt_toolkit", "keyring", "argcomplete"}
