"""`gigachat_recorder`: answers of a service are recorded once, without its secrets, and given again without it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gigachat.server import GigaChatServer

pytest_plugins = ["pytester"]

BOT = """
import asyncio

import pytest

from gigachat import AsyncGigaChat, GigaChat, NotFoundError


def test_chat(gigachat_recorder):
    with GigaChat() as giga:
        print("TOLD", giga.chat("Привет!").choices[0].message.content)
        with pytest.raises(NotFoundError):
            giga.get_model("GigaChat-99")


def test_again(gigachat_recorder, gigachat_client):
    answers = [gigachat_client.chat("Ещё раз").usage.precached_prompt_tokens for _ in range(2)]
    print("TOLD", answers)


def test_streams(gigachat_recorder, gigachat_client):
    with gigachat_client.stream("Расскажи сказку") as stream:
        print("TOLD", stream.get_final_text())
    with gigachat_client.chat.stream("И ещё одну") as stream:
        print("TOLD", "".join(stream.text_stream))
    for chunk in gigachat_client.stream("Оборви меня на полуслове, когда захочешь"):
        break


def test_async(gigachat_recorder, gigachat_aclient):
    async def main():
        async for text in gigachat_aclient.stream("Сказка").text_stream:
            print("TOLD", text)
        vectors = await gigachat_aclient.embeddings(["а", "б"])
        print("TOLD", vectors.data[1].embedding[:3])
        async with AsyncGigaChat() as other:
            print("TOLD", (await other.chat.create("Два")).text)

    asyncio.run(main())


def test_upload(gigachat_recorder, gigachat_client, tmp_path):
    file = gigachat_client.upload_file(("покупки.txt", "Хлеб, молоко, тайный-план"))
    print("TOLD", file.id_)
    question = {"role": "user", "content": "Что купить?", "attachments": [file.id_]}
    print("TOLD", gigachat_client.chat([question]).choices[0].message.content)
    print("TOLD", gigachat_client.download_file(file.id_, tmp_path / "copy.txt").read_text("utf-8"))


@pytest.mark.parametrize("city", ["Псков", "Тверь"])
def test_parameters(gigachat_recorder, gigachat_client, city):
    gigachat_recorder.hide("8-900-000-00-00")
    told = gigachat_client.chat(f"{city}, звоните 8-900-000-00-00").choices[0].message.content
    assert city in told
    print("TOLD", told.replace("8-900-000-00-00", "***"))


def test_secrets(gigachat_recorder, gigachat_client):
    import os
    # A program that puts keys where they don't belong: the real one was in the environment before this test.
    for name in ("PLANTED_KEY", "PLANTED_ID", "PLANTED_SECRET"):
        gigachat_client.chat(f"ключ {os.environ[name]} и Bearer {'a' * 40}")
    gigachat_client.with_options(extra_headers={"X-Client-ID": "planted-client", "Cookie": "planted-cookie"}).chat("x")
    gigachat_client.chat([{"role": "user", "content": '{"access_token": "eyJhbGciOiJIUzI1NiJ9.cGxhbnRlZA.c2ln"}'}])
    gigachat_client.with_options(extra_query={"api_key": "planted-in-query"}).chat("x")
    gigachat_client.with_options(extra_body={"password": ["planted-in-list"]}).chat("x")


def test_own_query(gigachat_recorder, gigachat_client):
    gigachat_client.chat("x")
"""


@pytest.fixture
def service() -> Iterator[GigaChatServer]:
    """What stands for the real service."""
    with GigaChatServer() as running:
        yield running


@pytest.fixture
def account(service: GigaChatServer, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Variables of a real account, for child processes."""
    planted = {
        "PLANTED_KEY": service.credentials,
        "PLANTED_ID": service.account.client_id,
        "PLANTED_SECRET": service.account.client_secret,
    }
    for name, value in {**service.environment, **planted}.items():
        monkeypatch.setenv(name, value)
    return service.environment


def _told(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if "TOLD" in line]


@pytest.mark.slow
def test_what_was_recorded_is_given_again_without_the_service(
    pytester: pytest.Pytester, service: GigaChatServer, account: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile(test_bot=BOT)
    monkeypatch.setenv("GIGACHAT_DEFAULT_QUERY", '{"subscription": "planted-subscription", "v": "1"}')
    recorded = pytester.runpytest_subprocess("-s", "-W", "error", "--gigachat-record")
    recorded.assert_outcomes(passed=9)
    files = {path.name: path.read_text("utf-8") for path in (pytester.path / "recordings").iterdir()}
    assert len(files) == 9
    assert {"test_bot.test_chat.json", "test_bot.test_upload.json"} < set(files)
    tokens = [request.headers["authorization"].removeprefix("Bearer ") for request in service.requests]
    secrets = {service.credentials, service.account.client_id, service.account.client_secret, *tokens}
    secrets |= {"planted-client", "planted-cookie", "eyJhbGci", "cGxhbnRlZA", "8-900-000", "a" * 40}
    secrets |= {"planted-in-query", "planted-in-list", "planted-subscription"}
    for name, text in files.items():
        assert not [secret for secret in secrets if secret in text], name
        assert not re.search(r"(?i)authorization|rquid|cookie\"|x-session-id", text), name
        assert json.loads(text)["format"] == 1
    assert '"data": "[DONE]"' in files["test_bot.test_streams.json"]
    assert '"cut": true' not in files["test_bot.test_async.json"]
    assert len(tokens) > 10

    asked = [request for request in service.requests if "embeddings" in request.path or "chat" in request.path]
    assert all(request.query_string.count(b"subscription=planted-subscription") == 1 for request in asked)

    service.stop()
    for name in account:
        monkeypatch.delenv(name)
    for name in ("PLANTED_KEY", "PLANTED_ID", "PLANTED_SECRET"):
        monkeypatch.setenv(name, "another value")
    replayed = pytester.runpytest_subprocess("-s", "-W", "error")
    replayed.assert_outcomes(passed=9)
    assert _told(replayed) == _told(recorded)
    assert len(_told(recorded)) > 10


@pytest.mark.slow
def test_a_request_that_was_not_recorded_says_what_differs_and_how_to_record(
    pytester: pytest.Pytester, account: dict[str, str]
) -> None:
    bot = """
        def test_chat(gigachat_recorder, gigachat_client):
            gigachat_client.chat("Привет!", temperature=0.5)

        def test_missing(gigachat_recorder, gigachat_client):
            try:
                gigachat_client.get_models()
            except Exception:
                pass  # a program that goes on after any error must not make the test pass
    """
    pytester.makepyfile(test_bot=bot)
    pytester.runpytest_subprocess("--gigachat-record", "-k", "chat").assert_outcomes(passed=1, deselected=1)
    pytester.makepyfile(test_bot=bot.replace("Привет!", "Пока!").replace("temperature=0.5", "max_tokens=7"))
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=1, passed=1, errors=2)
    text = result.stdout.str()
    assert "POST /v1/chat/completions is not what was recorded in recordings/test_bot.test_chat.json" in text
    assert 'json.messages[0].content is "Пока!", recorded was "Привет!"' in text
    assert "json.max_tokens was not there" in text
    assert "json.temperature is missing" in text
    assert 'pytest --gigachat-record "test_bot.py::test_chat"' in text
    assert "GET /v1/models: there is no recordings/test_bot.test_missing.json" in text


@pytest.mark.slow
def test_a_request_asked_more_often_than_recorded_fails(pytester: pytest.Pytester, account: dict[str, str]) -> None:
    bot = """
        def test_chat(gigachat_recorder, gigachat_client):
            for _ in range(1):
                gigachat_client.chat("Привет!")
    """
    pytester.makepyfile(test_bot=bot)
    pytester.runpytest_subprocess("--gigachat-record").assert_outcomes(passed=1)
    pytester.makepyfile(test_bot=bot.replace("range(1)", "range(2)"))
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=1, errors=1)
    result.stdout.fnmatch_lines(["*was recorded once in recordings/test_bot.test_chat.json and is asked once more*"])


@pytest.mark.slow
def test_without_an_account_nothing_is_recorded(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_chat(gigachat_recorder): pass")
    result = pytester.runpytest_subprocess("--gigachat-record")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*to record, set the GIGACHAT_ variables of a real account*GIGACHAT_CREDENTIALS*"])


@pytest.mark.slow
def test_a_service_that_cannot_be_reached_leaves_the_recording_as_it_was(
    pytester: pytest.Pytester, account: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile(
        test_bot="""
        def test_chat(gigachat_recorder, gigachat_client):
            gigachat_client.chat("Привет!")
    """
    )
    pytester.runpytest_subprocess("--gigachat-record").assert_outcomes(passed=1)
    file: Path = pytester.path / "recordings" / "test_bot.test_chat.json"
    before = file.read_bytes()
    monkeypatch.setenv("GIGACHAT_BASE_URL", "http://127.0.0.1:9/api/v1")  # nobody listens there
    monkeypatch.setenv("GIGACHAT_MAX_RETRIES", "0")
    result = pytester.runpytest_subprocess("--gigachat-record")
    result.assert_outcomes(failed=1, errors=1)
    result.stdout.fnmatch_lines(["*POST /v1/chat/completions could not be recorded*", "*was not written*"])
    assert file.read_bytes() == before
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


@pytest.mark.slow
def test_a_sign_in_that_is_refused_is_not_recorded_as_the_response_of_the_program(
    pytester: pytest.Pytester, account: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile(
        test_bot="""
        import gigachat, pytest

        def test_chat(gigachat_recorder, gigachat_client):
            with pytest.raises(gigachat.GigaChatException):
                gigachat_client.chat("Привет!")
    """
    )
    monkeypatch.setenv("GIGACHAT_CREDENTIALS", base64.b64encode(b"nobody:nothing").decode())
    result = pytester.runpytest_subprocess("--gigachat-record")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*could not be recorded: 401 *"])
    assert not (pytester.path / "recordings").exists()


@pytest.mark.slow
def test_a_stream_that_broke_off_breaks_off_again(
    pytester: pytest.Pytester, service: GigaChatServer, account: dict[str, str]
) -> None:
    service.cut(2)
    pytester.makepyfile(
        test_bot="""
        import pytest
        from gigachat import StreamInterruptedError

        def test_chat(gigachat_recorder, gigachat_client):
            chunks = []
            with pytest.raises(StreamInterruptedError):
                for chunk in gigachat_client.stream("Расскажи сказку"):
                    chunks.append(chunk)
            assert len(chunks) == 2
    """
    )
    pytester.runpytest_subprocess("--gigachat-record").assert_outcomes(passed=1)
    service.stop()
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


CHANGING = """
import os, unittest

import pytest

from gigachat import GigaChat

BROKEN = "BROKEN" in os.environ


@pytest.fixture
def checked_at_the_end(gigachat_recorder):
    yield
    assert not BROKEN


def test_call(gigachat_recorder, gigachat_client):
    gigachat_client.chat("один")
    assert not BROKEN
    gigachat_client.chat("два")


def test_teardown(checked_at_the_end, gigachat_client):
    gigachat_client.chat("один")
    if not BROKEN:
        gigachat_client.chat("два")


def test_skip(gigachat_recorder, gigachat_client):
    gigachat_client.chat("один")
    if BROKEN:
        pytest.skip("half-way")
    gigachat_client.chat("два")


@pytest.mark.xfail
def test_expected(gigachat_recorder, gigachat_client):
    gigachat_client.chat("один")
    if not BROKEN:
        gigachat_client.chat("два")
    raise AssertionError


@pytest.mark.usefixtures("gigachat_recorder")
class TestUnit(unittest.TestCase):
    def test_unit(self):
        with GigaChat() as giga:
            giga.chat("один")
            self.assertFalse(BROKEN)
            giga.chat("два")


def test_subtest(gigachat_recorder, gigachat_client, subtests):
    gigachat_client.chat("один")
    with subtests.test("part"):
        assert not BROKEN
    gigachat_client.chat("два")


def test_interrupted(gigachat_recorder, gigachat_client):
    gigachat_client.chat("один")
    if BROKEN:
        raise KeyboardInterrupt
    gigachat_client.chat("два")
"""


def _recordings(pytester: pytest.Pytester) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (pytester.path / "recordings").iterdir()}


@pytest.mark.slow
def test_a_test_that_does_not_pass_replaces_no_recording(
    pytester: pytest.Pytester, account: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile(test_bot=CHANGING)
    monkeypatch.setenv("BROKEN", "1")
    broken = pytester.runpytest_subprocess("--gigachat-record", "-k", "call or unit or skip")
    broken.assert_outcomes(failed=2, skipped=1, deselected=4)
    assert not (pytester.path / "recordings").exists()

    monkeypatch.delenv("BROKEN")
    pytester.runpytest_subprocess("--gigachat-record").assert_outcomes(passed=6, xfailed=1)
    good = _recordings(pytester)
    assert [len(json.loads(content)["exchanges"]) for content in good.values()] == [2] * 7

    monkeypatch.setenv("BROKEN", "1")
    result = pytester.runpytest_subprocess("--gigachat-record")
    result.stdout.fnmatch_lines(["*recordings*test_bot.test_call.json was not written: the test failed"])
    assert _recordings(pytester) == good

    monkeypatch.delenv("BROKEN")
    pytester.runpytest_subprocess("-W", "error").assert_outcomes(passed=6, xfailed=1)


@pytest.mark.slow
def test_exchanges_that_a_test_did_not_use_are_reported(
    pytester: pytest.Pytester, account: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile(
        test_bot="""
        import os

        def test_chat(gigachat_recorder, gigachat_client):
            gigachat_client.chat("Привет!")
            if "SHORTER" not in os.environ:
                gigachat_client.get_models()

        def test_failing(gigachat_recorder, gigachat_client):
            assert "SHORTER" not in os.environ
            gigachat_client.chat("Привет!")
    """
    )
    pytester.runpytest_subprocess("--gigachat-record").assert_outcomes(passed=2)
    monkeypatch.setenv("SHORTER", "1")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1, failed=1, warnings=1)
    result.stdout.fnmatch_lines(
        "*the test did not use 1 of 2 recorded exchanges of recordings/test_bot.test_chat.json: GET /v1/models; "
        '*--gigachat-record "test_bot.py::test_chat"'
    )
    pytester.runpytest_subprocess("-W", "error").assert_outcomes(passed=1, failed=1, errors=1)


@pytest.mark.slow
def test_words_in_headers_of_the_account_stay_in_prompts(
    pytester: pytest.Pytester, account: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIGACHAT_DEFAULT_HEADERS", '{"X-Team": "marketing"}')
    pytester.makepyfile(
        test_bot="""
        def test_chat(gigachat_recorder, gigachat_client):
            gigachat_client.chat("Write a marketing text")
    """
    )
    pytester.runpytest_subprocess("--gigachat-record").assert_outcomes(passed=1)
    assert b"Write a marketing text" in _recordings(pytester)["test_bot.test_chat.json"]
    monkeypatch.setenv("GIGACHAT_DEFAULT_HEADERS", '{"X-Team": "another"}')
    pytester.runpytest_subprocess("-W", "error").assert_outcomes(passed=1)


@pytest.mark.slow
def test_bodies_of_any_kind_are_given_again(
    pytester: pytest.Pytester, account: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile(
        test_bot=r"""
        import os
        import re
        from concurrent.futures import ThreadPoolExecutor

        import gigachat
        import pytest

        DAY = os.environ["DAY"]
        END = b"--B--\r\n"

        def test_files(gigachat_recorder, gigachat_client, tmp_path):
            gigachat_recorder.hide(re.compile(r"20[0-9]{2}-[0-9]{2}"))
            content = bytes(range(256)) * 4096
            file = gigachat_client.upload_file(("я.png", content, "image/png"))
            assert gigachat_client.download_file(file.id_, tmp_path / "copy").read_bytes() == content
            gigachat_client.upload_file(("day.txt", f"day {DAY}"))
            gigachat_client.chat(f"Today is {DAY}")

        def part(head, body):
            return b"--B\r\nContent-Disposition: form-data; " + head + b"\r\n\r\n" + body + b"\r\n"

        @pytest.mark.parametrize("body", [
            pytest.param(part(b'name="a"; filename="\xcf\xf0"', b"1") + END, id="name"),
            pytest.param(part(b'name="a"; filename="x"', b"1") + part(b'name="a"; filename="y"', b"2") + END, id="two"),
            pytest.param(part(b'name="a"', b"x" * 2_000_000) + END, id="long"),
            pytest.param(part(b'name="a"', b"\xff\xfe") + END, id="bytes"),
            pytest.param(b"no parts", id="none"),
        ])
        def test_forms(gigachat_recorder, gigachat_client, body):
            headers = {"Content-Type": "multipart/form-data; boundary=B"}
            with pytest.raises(gigachat.GigaChatException):
                gigachat_client.with_options(extra_headers=headers).request("POST", "/files/none", content=body)

        def test_threads(gigachat_recorder, gigachat_client):
            with ThreadPoolExecutor(8) as pool:
                assert all(pool.map(lambda number: gigachat_client.chat(f"{number % 4}").choices, range(24)))
    """
    )
    monkeypatch.setenv("DAY", "2026-01")
    pytester.runpytest_subprocess("--gigachat-record").assert_outcomes(passed=7)
    monkeypatch.setenv("DAY", "2027-02")
    pytester.runpytest_subprocess("-W", "error").assert_outcomes(passed=7)


@pytest.mark.slow
def test_files_that_cannot_be_written_or_read_are_named(pytester: pytest.Pytester, account: dict[str, str]) -> None:
    pytester.makepyfile(
        test_bot="""
        def test_chat(gigachat_recorder, gigachat_client):
            gigachat_client.chat("Привет!")
    """
    )
    folder = pytester.path / "recordings"
    folder.write_text("no folder")
    result = pytester.runpytest_subprocess("--gigachat-record")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines("recordings/test_bot.test_chat.json cannot be written: *")
    folder.unlink()
    (folder / "test_bot.test_chat.json").mkdir(parents=True)
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines("*test_bot.test_chat.json is not a recording: *; record it with the key*")


@pytest.mark.slow
def test_two_workers_record_one_test_and_a_group_changes_no_name(
    pytester: pytest.Pytester, account: dict[str, str]
) -> None:
    pytester.makepyfile(
        test_bot="""
        import pytest

        @pytest.mark.xdist_group("one")
        def test_chat(gigachat_recorder, gigachat_client):
            gigachat_client.chat("Привет!")
    """
    )
    pytester.runpytest_subprocess("--gigachat-record", "-n", "2", "--dist", "each").assert_outcomes(passed=2)
    assert list(_recordings(pytester)) == ["test_bot.test_chat.json"]
    pytester.runpytest_subprocess("-n", "1", "--dist", "loadgroup").assert_outcomes(passed=1)


@pytest.mark.slow
def test_a_request_without_a_response_at_the_end_is_reported(
    pytester: pytest.Pytester, service: GigaChatServer, account: dict[str, str]
) -> None:
    service.reply("поздно", after=60)
    pytester.makepyfile(
        test_bot="""
        import pytest

        import gigachat
        from gigachat.testing import recorder

        def test_chat(gigachat_recorder, monkeypatch):
            monkeypatch.setattr(recorder, "_PATIENCE", 0.1)
            with gigachat.GigaChat(timeout=(10, 1), max_retries=0) as giga, pytest.raises(gigachat.APITimeoutError):
                giga.chat("Привет!")
    """
    )
    result = pytester.runpytest_subprocess("--gigachat-record")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["POST /v1/chat/completions was in progress at the end of the test", "recordings/*was not written"]
    )
