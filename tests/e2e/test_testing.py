"""The pytest plugin: fixtures, orders, and assertions that say what was asked."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from functools import cache
from typing import Any

import pytest
import trio

from gigachat import AsyncGigaChat, BadRequestError, GigaChat, GigaChatException, NotFoundError, ServerError
from gigachat.testing import GigaChatServer, ReceivedChat
from tests.support.payloads import WEATHER
from tests.support.systems import needs_trio

pytest_plugins = ["pytester"]


@cache
def kept_client() -> GigaChat:
    """A client that a program makes once and never closes."""
    return GigaChat()


def _text(giga: GigaChat, question: str, **options: object) -> str:
    content = giga.chat(question, **options).choices[0].message.content  # type: ignore[arg-type]
    assert content is not None
    return content


# Fixtures


def test_a_client_made_in_any_code_goes_to_the_server(
    gigachat_server: GigaChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert os.environ["GIGACHAT_BASE_URL"] == gigachat_server.base_url
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    gigachat_server.reply("Готово")
    with GigaChat() as giga:
        assert _text(giga, "Привет!") == "Готово"


@pytest.mark.parametrize("turn", [1, 2])
def test_nothing_is_left_of_another_test(gigachat_server: GigaChatServer, turn: int) -> None:
    giga = kept_client()
    assert giga.get_files().data == []
    gigachat_server.assert_nothing_asked()
    assert _text(giga, "Привет!") != "чужое"
    giga.upload_file(("a.txt", "текст"))
    gigachat_server.reply("чужое", when="никогда")
    gigachat_server.reply("чужое", always=True, when="и это никогда")
    gigachat_server.fail(500, path="/never")
    assert len(gigachat_server.chats) == 1
    if turn == 2:
        giga.close()
        kept_client.cache_clear()


@pytest.fixture
def developer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIGACHAT_ACCESS_TOKEN", "real")
    monkeypatch.setenv("GIGACHAT_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("GIGACHAT_MODEL", "GigaChat-2-Pro")


def test_what_the_developer_has_set_does_not_lead_elsewhere(
    developer: None, gigachat_server: GigaChatServer, gigachat_client: GigaChat
) -> None:
    assert gigachat_client.chat("Привет!").choices
    assert gigachat_server.assert_asked("Привет").model == "GigaChat-2-Pro"


def test_repetitions_do_not_wait(gigachat_server: GigaChatServer, gigachat_client: GigaChat) -> None:
    gigachat_server.fail(500, times=2)
    assert gigachat_client._settings.retry_backoff_factor == 0
    assert gigachat_client.chat("Привет!").choices
    gigachat_server.fail(500, times=3)
    with pytest.raises(ServerError):
        gigachat_client.chat("Привет!")


def test_the_async_client_works_where_asyncio_runs(gigachat_aclient: AsyncGigaChat) -> None:
    async def main() -> list[str]:
        await gigachat_aclient.chat("Привет!")
        return [text async for text in gigachat_aclient.stream("Сказка").text_stream]

    assert asyncio.run(main())
    assert asyncio.run(main())


@needs_trio
def test_the_async_client_works_where_trio_runs(gigachat_aclient: AsyncGigaChat) -> None:
    async def main() -> None:
        assert (await gigachat_aclient.chat("Привет!")).choices

    trio.run(main)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", pytest.param("trio", marks=needs_trio)])
async def test_the_async_client_works_in_an_async_test(gigachat_aclient: AsyncGigaChat) -> None:
    assert (await gigachat_aclient.chat("Привет!")).choices


@pytest.mark.slow
def test_the_server_takes_options_and_clients_are_closed(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import asyncio
        import pytest
        from gigachat import GigaChatException

        kept = []

        @pytest.fixture(scope="session")
        def gigachat_server_options():
            return {"account_kind": "corp", "strict": True}

        def test_one(gigachat_client, gigachat_aclient):
            kept.extend([gigachat_client, gigachat_aclient])
            asyncio.run(gigachat_aclient.chat("Привет!"))
            gigachat_client.chat("Привет!")
            with pytest.raises(GigaChatException):
                gigachat_client.get_balance()

        def test_two():
            with pytest.raises(GigaChatException, match="closed"):
                kept[0].chat("x")
            with pytest.raises(GigaChatException, match="closed"):
                asyncio.run(kept[1].chat("x"))

        def test_both(gigachat_server, gigachat_recorder): ...
    """)
    result = pytester.runpytest_subprocess("-W", "error")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*either gigachat_server or gigachat_recorder*"])


@pytest.mark.slow
def test_the_options_of_a_module_count_whatever_ran_before(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_first="""
        def test_one(gigachat_server):
            assert gigachat_server.base_url.startswith("https:")
        """,
        test_second="""
        import pytest

        @pytest.fixture(scope="session")
        def gigachat_server_options():
            return {"tls": False}

        def test_two(gigachat_server, gigachat_client):
            assert gigachat_server.base_url.startswith("http:")
            gigachat_client.chat("Привет!")
            gigachat_server.assert_asked("Привет")
        """,
        test_third="""
        import os

        def test_three(gigachat_server):
            assert gigachat_server.base_url.startswith("https:")
            assert os.environ["GIGACHAT_BASE_URL"] == gigachat_server.base_url
        """,
    )
    pytester.runpytest_subprocess("-W", "error").assert_outcomes(passed=3)


# Orders


def test_answers_are_given_in_order_to_whom_they_fit(
    gigachat_server: GigaChatServer, gigachat_client: GigaChat
) -> None:
    gigachat_server.reply("первый", "второй")
    gigachat_server.reply("о погоде", when="ПОГОДА")
    gigachat_server.reply("число", when=re.compile(r"\d+"))
    gigachat_server.reply("Max", model="GigaChat-2-Max")
    gigachat_server.reply("длинный", when=lambda chat: len(chat.messages) > 1)
    assert _text(gigachat_client, "Какая погода?") == "первый"
    assert _text(gigachat_client, "Какая погода?") == "второй"
    assert _text(gigachat_client, "Какая погода?") == "о погоде"
    assert _text(gigachat_client, "x", model="GigaChat-2-Max") == "Max"
    assert _text(gigachat_client, "Сколько будет 7?") == "число"
    history = [{"role": "system", "content": "Ты бот"}, {"role": "user", "content": "x"}]
    assert gigachat_client.chat(history).choices[0].message.content == "длинный"
    assert "эхо" in _text(gigachat_client, "Какая погода?")


def test_answers_given_always_stand_behind_the_others(
    gigachat_server: GigaChatServer, gigachat_client: GigaChat
) -> None:
    gigachat_server.reply("всегда", always=True)
    gigachat_server.reply("сначала", "потом", when="как", always=True)
    gigachat_server.reply("раз")
    answers = [_text(gigachat_client, question) for question in ("как?", "как?", "как?", "как?", "что?", "что?")]
    assert answers == ["сначала", "раз", "потом", "потом", "всегда", "всегда"]
    gigachat_server.reply("новее", always=True)
    assert _text(gigachat_client, "что?") == "новее"


def test_a_function_is_called_in_both_versions(gigachat_server: GigaChatServer, gigachat_client: GigaChat) -> None:
    gigachat_server.reply_call("weather", {"city": "Псков"}, function="weather", always=True)
    assert _text(gigachat_client, "Погода?")
    call = gigachat_client.chat("Погода?", functions=[WEATHER]).choices[0].message.function_call
    assert call is not None
    assert (call.name, call.arguments) == ("weather", {"city": "Псков"})
    completion = gigachat_client.chat.create("Погода?", tools=[{"functions": {"specifications": [WEATHER]}}])
    parts = [part for message in completion.messages for part in message.content or []]
    called = next(part.function_call for part in parts if part.function_call is not None)
    assert called.name == "weather"
    assert gigachat_server.assert_asked(function="weather", times=2).functions == ("weather",)


def test_an_order_for_a_function_waits_for_its_result(
    gigachat_server: GigaChatServer, gigachat_client: GigaChat
) -> None:
    gigachat_server.reply_call("time", function="time", always=True)
    gigachat_server.reply("тепло", function="weather")
    functions = [WEATHER, {"name": "time", "parameters": {"type": "object", "properties": {}}}]
    asked: list[dict[str, Any]] = [
        {"role": "user", "content": "Погода?"},
        {"role": "assistant", "content": "", "function_call": {"name": "weather", "arguments": {}}},
        {"role": "function", "name": "weather", "content": '{"t": 20}'},
    ]
    answer = gigachat_client.chat(asked, functions=functions).choices[0]
    assert (answer.message.content, answer.finish_reason) == ("тепло", "stop")
    assert gigachat_client.chat("x", functions=functions).choices[0].finish_reason == "function_call"


def test_streams_and_failures_are_ordered_too(gigachat_server: GigaChatServer, gigachat_client: GigaChat) -> None:
    gigachat_server.reply("раз два три")
    assert "".join(gigachat_client.stream("x").text_stream) == "раз два три"
    gigachat_server.fail(404, "No such model")
    with pytest.raises(NotFoundError, match="No such model"):
        gigachat_client.chat("x")


# Assertions


def test_what_was_asked_is_there_to_look_at(gigachat_server: GigaChatServer, gigachat_client: GigaChat) -> None:
    history = [{"role": "system", "content": "Ты бот"}, {"role": "user", "content": "Привет!"}]
    gigachat_client.chat(history, model="GigaChat-2-Max", functions=[WEATHER])
    list(gigachat_client.chat.stream("А v2?", tools=["web_search"]))
    first, second = gigachat_server.chats
    assert [(message.role, message.content) for message in first.messages] == [
        ("system", "Ты бот"),
        ("user", "Привет!"),
    ]
    assert (first.model, first.functions, first.stream) == ("GigaChat-2-Max", ("weather",), False)
    assert first.last_message.content == "Привет!"
    assert (second.last_message.content, second.functions, second.stream) == ("А v2?", ("web_search",), True)
    assert gigachat_server.assert_asked("привет") == first
    assert gigachat_server.assert_asked(re.compile(r"v\d"), times=1) == second
    assert gigachat_server.assert_asked(lambda chat: chat.messages[0].content == "Ты бот") == first
    assert gigachat_server.assert_asked(times=2) == second


def test_a_failing_assertion_says_what_was_asked_instead(
    gigachat_server: GigaChatServer, gigachat_client: GigaChat
) -> None:
    with pytest.raises(AssertionError, match="no chat asked 'погода'; no chat came"):
        gigachat_server.assert_asked("погода")
    gigachat_client.chat("Какая погода в Пскове?", functions=[WEATHER])
    gigachat_client.chat("ы" * 1000)
    with pytest.raises(AssertionError) as caught:
        gigachat_server.assert_asked("Какая погода в Москве?", model="GigaChat-2")
    text = str(caught.value)
    assert "no chat asked 'Какая погода в Москве?' of GigaChat-2; what was asked:" in text
    assert "1. GigaChat, functions weather: user 'Какая погода в Пскове?'" in text
    assert "- Какая погода в Москве?\n" in text
    assert "+ Какая погода в Пскове?\n" in text
    assert len(text) < 800
    with pytest.raises(AssertionError, match=r"asked 2 times, not 1: anything; what was asked:\n  1\. "):
        gigachat_server.assert_asked(times=1)
    with pytest.raises(AssertionError, match="what was asked:"):
        gigachat_server.assert_nothing_asked()


def test_no_assertion_shows_a_secret(gigachat_server: GigaChatServer, gigachat_client: GigaChat) -> None:
    gigachat_client.with_options(extra_headers={"X-Client-ID": "planted"}).chat("Привет!")
    sent = gigachat_server.requests[-1].headers["authorization"].removeprefix("Bearer ")
    with pytest.raises(AssertionError) as caught:
        gigachat_server.assert_asked("Пока!")
    shown = f"{caught.value} {gigachat_server.chats} {gigachat_server.requests}"
    for secret in (sent, gigachat_server.credentials, gigachat_server.account.client_secret, "planted"):
        assert secret not in shown


def test_a_request_that_is_no_chat_is_left_out(gigachat_server: GigaChatServer, gigachat_client: GigaChat) -> None:
    with pytest.raises(BadRequestError):
        gigachat_client.request("POST", "/chat/completions", json={"model": "GigaChat", "messages": "нет"})
    assert gigachat_server.chats == []
    with pytest.raises(AssertionError, match=r"no chat came; other requests: .*POST /api/v1/chat/completions"):
        gigachat_server.assert_asked("нет")


@pytest.mark.slow
def test_a_failing_test_points_at_its_own_line(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        def test_bot(gigachat_server, gigachat_client):
            gigachat_client.chat("Привет!")
            gigachat_server.assert_asked("Пока!")
    """)
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [">*gigachat_server.assert_asked(*", "E*no chat asked 'Пока!'*", "E*1. GigaChat: user 'Привет!'"]
    )
    assert "__tracebackhide__" not in result.stdout.str()


# The plugin


def test_the_plugin_loads_neither_client_nor_server_nor_pydantic(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import sys

        def test_nothing_heavy():
            assert "gigachat.testing" in sys.modules
            heavy = {"pydantic", "httpx2", "starlette", "gigachat.client", "gigachat.server", "gigachat.models"}
            assert not heavy & set(sys.modules)
    """)
    pytester.runpytest_subprocess("-p", "no:hypothesispytest").assert_outcomes(passed=1)


@pytest.mark.slow
@pytest.mark.parametrize("fixture", ["gigachat_server", "gigachat_client", "gigachat_recorder"])
def test_without_the_extra_a_fixture_says_what_to_install(pytester: pytest.Pytester, fixture: str) -> None:
    pytester.makeconftest("import sys; sys.modules['uvicorn'] = None")
    pytester.makepyfile(f"def test_bot({fixture}): ...\ndef test_other(): ...")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(['*pip install ".[[]server]"*'])


def test_names_are_importable_and_misspelt_ones_are_not() -> None:
    code = "from gigachat.testing import GigaChatServer, Message, Received, ReceivedChat, Recorder"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    import gigachat.testing

    assert gigachat.testing.ReceivedChat is ReceivedChat
    with pytest.raises(AttributeError, match="GigachatServer"):
        gigachat.testing.GigachatServer  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize(
    "tools", [[{"functions": [1]}], [{"functions": "x"}], [1], "x", [{"functions": {"specifications": 1}}]]
)
def test_a_chat_that_cannot_be_read_is_no_chat(gigachat_server: GigaChatServer, tools: object) -> None:
    body = {"messages": [{"role": "user", "content": [{"text": "x"}]}], "tools": tools}
    with GigaChat(max_retries=0) as giga, pytest.raises(GigaChatException):
        giga.request("POST", f"{gigachat_server.origin}/v2/chat/completions", json=body)
    assert gigachat_server.chats == []
    gigachat_server.assert_nothing_asked()
