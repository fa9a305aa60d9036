"""The page of the local server, in Chromium, as a developer sees and uses it."""

from __future__ import annotations

import json
import re
import ssl
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from gigachat import BadRequestError, GigaChat, GigaChatException, NotFoundError, ServerError
from gigachat.server import GigaChatServer
from tests.browser.driver import FOREIGN, Browser
from tests.support.callers import options
from tests.support.waiting import until

CHAT = "/api/v1/chat/completions"
ONLINE = "document.querySelector('#lamp.on')"
ANSWERED = "document.querySelector('.model') && !document.querySelector('.coming')"
OPENED = "document.querySelectorAll('[open] .more pre').length === 2"
PHONE, DESKTOP = (390, 844), (1280, 900)

CONTRASTS = """
    const channel = part => (part /= 255) <= .04045 ? part / 12.92 : ((part + .055) / 1.055) ** 2.4;
    const light = ([r, g, b]) => .2126 * channel(r) + .7152 * channel(g) + .0722 * channel(b);
    const colour = text => text.match(/[\\d.]+/g).map(Number);
    const seen = node => node.getClientRects().length > 0;
    const found = [];
    for (const node of document.querySelectorAll("body *")) {
        if (!seen(node) || ![...node.childNodes].some(one => one.nodeType === 3 && one.data.trim())) continue;
        let behind = node;
        while (behind !== document.body && colour(getComputedStyle(behind).backgroundColor)[3] === 0) {
            behind = behind.parentElement;
        }
        const pair = [getComputedStyle(node).color, getComputedStyle(behind).backgroundColor].map(colour).map(light);
        const [dark, bright] = pair.sort((a, b) => a - b);
        found.push([(bright + .05) / (dark + .05), node.textContent.slice(0, 40)]);
    }
    return found;
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as opened:
        yield opened


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[GigaChatServer]:
    with GigaChatServer(pace=getattr(request, "param", 0.02)) as running:
        yield running


def at_pace(seconds: float) -> pytest.MarkDecorator:
    """Have the server take its time: a busy machine would see no more of a stream than that it is over."""
    return pytest.mark.parametrize("server", [seconds], indirect=True)


@pytest.fixture
def page(browser: Browser, server: GigaChatServer) -> Browser:
    """Return the browser with the page open in English and listening."""
    browser.theme("light")
    browser.size(*DESKTOP)
    return opened(browser, server, "en-GB")


def opened(browser: Browser, server: GigaChatServer, language: str) -> Browser:
    browser.language(language)
    browser.open(server.origin)
    browser.until(ONLINE)
    return browser


def shown(page: Browser) -> list[str]:
    """Return the texts of the rows that are seen, newest first."""
    visible = "[...document.querySelectorAll('#log li')].filter(one => one.getClientRects().length)"
    texts: list[str] = page.run(f"return {visible}.map(one => one.textContent)")
    return texts


def bodies(page: Browser) -> list[str]:
    """Return the request and the response of the row that is open, without headers."""
    page.until(OPENED)
    texts: list[str] = page.run("return [...document.querySelectorAll('[open] .more pre')].map(one => one.textContent)")
    return [text.partition("\n\n")[2] for text in texts]


def row(text: str, state: str = "whole") -> str:
    """Return the condition that the log has a row of this state with this text."""
    return (
        f"[...document.querySelectorAll('#log [data-state={state}]')].find(row => row.textContent.includes({text!r}))"
    )


@pytest.mark.parametrize(("language", "title"), [("en-GB", "Local GigaChat"), ("ru-RU", "Локальный GigaChat")])
def test_it_loads_in_the_language_of_the_browser(
    browser: Browser, server: GigaChatServer, language: str, title: str
) -> None:
    opened(browser, server, language)
    assert browser.text("h1").startswith(title)
    assert browser.run("return document.title") == title
    assert browser.run("return document.documentElement.lang") == language[:2]
    with GigaChat(**options(server)) as giga:
        models = {model.id_ for model in giga.get_models().data}
    listed = browser.run("return [...document.querySelectorAll('#models li')].map(item => item.textContent)")
    assert set(listed) == models
    offered = browser.run("return [...document.querySelectorAll('#model option')].map(item => item.value)")
    assert offered[0] == "GigaChat"
    assert set(offered) < models
    empty = "return [...document.querySelectorAll('[data-text]')].filter(one => !one.textContent).length"
    assert browser.run(empty) == 0
    assert browser.console() == []


def test_it_shows_how_to_point_the_sdk_here_without_the_key(server: GigaChatServer, page: Browser) -> None:
    for form, line in ((1, "export {}={}"), (2, "$env:{} = '{}'"), (3, "{}={}")):
        page.click(f"#shells button:nth-child({form})")
        lines = page.text("#lines").splitlines()
        for name, value in server.environment.items():
            if name == "GIGACHAT_CREDENTIALS":
                assert not any(name in one for one in lines)
                assert name in page.text("#key")
            else:
                assert line.format(name, value) in lines
    assert server.credentials not in page.run("return document.documentElement.outerHTML")


@at_pace(0.2)
def test_a_message_gets_an_answer_word_by_word(server: GigaChatServer, page: Browser) -> None:
    page.run("""
        window.lengths = new Set();
        const look = () => window.lengths.add(document.querySelector(".model")?.textContent.length ?? 0);
        new MutationObserver(look).observe(document.getElementById("talk"), { childList: true, subtree: true });
    """)
    page.type("#said", "Расскажи, пожалуйста, длинную историю о локальном сервере\n")
    page.until(ANSWERED)
    (sent,) = server.chats
    assert sent.body == {
        "model": "GigaChat",
        "messages": [{"role": "user", "content": "Расскажи, пожалуйста, длинную историю о локальном сервере"}],
        "stream": True,
    }
    answer = page.text(".model")
    assert "длинную историю о локальном сервере" in answer
    assert page.run("return window.lengths.size") > 3
    page.until(row("stream"))
    assert CHAT in page.text("#log")
    assert "GigaChat · stream, " in page.text("#log")
    assert "Расскажи, пожалуйста, длинную историю о локальном сервере" in page.text("#log")
    assert "tokens" in page.text("#talk")

    page.type("#said", "А теперь?\n")
    page.until("document.querySelectorAll('.model:not(.coming)').length === 2")
    roles = [message.role for message in server.chats[1].messages]
    assert roles == ["user", "assistant", "user"]
    assert server.chats[1].messages[1].content == answer
    assert page.console() == []


@at_pace(0.5)
def test_the_log_shows_what_programs_ask(server: GigaChatServer, page: Browser) -> None:
    assert "No requests yet" in page.text("#log")
    with GigaChat(**options(server)) as giga:
        giga.chat("<b>Из программы</b>")
        page.until(row("<b>Из программы</b>"))
        page.until(row("/api/v2/oauth"))
        stream = giga.stream("Поток")
        next(stream)
        page.until(row("in progress", "open"))
        for _ in stream:
            pass
        page.until(row("Поток"))
    assert len(shown(page)) == 2
    page.click("#wipe")
    assert "No requests yet" in page.text("#log")


def test_a_hidden_page_lets_go_and_catches_up(server: GigaChatServer, page: Browser) -> None:
    turn = "Object.defineProperty(document, 'hidden', { value: arguments[0], configurable: true });"
    turn += "document.dispatchEvent(new Event('visibilitychange'))"
    with GigaChat(**options(server)) as giga:
        giga.chat("Стёртое")
        page.until(row("Стёртое"))
        page.click("#wipe")
        giga.chat("Раньше")
        page.until(row("Раньше"))
        page.run(turn, True)
        page.until(f"!{ONLINE}")
        giga.chat("Тем временем")
        page.run(turn, False)
        page.until(row("Тем временем"))
    said = [re.findall(r"«\u2068(.*)\u2069»", text) for text in shown(page)]
    assert said == [["Тем временем"], ["Раньше"]]
    assert page.console() == []


def test_a_stream_can_be_stopped(server: GigaChatServer, page: Browser) -> None:
    chunk = {"choices": [{"delta": {"content": "Начало ", "role": "assistant"}, "index": 0}]}
    server.stream_events([chunk], keep_open=True)
    page.type("#said", "Долго\n")
    page.until("document.querySelector('.model')?.textContent === 'Начало '")
    page.click("#stop")
    page.until(ANSWERED)
    page.until(row("cut short", "broken"))
    assert "stopped" in page.text("#talk")
    page.click("#anew")
    assert "Write a message" in page.text("#talk")


def test_an_error_is_told(server: GigaChatServer, page: Browser) -> None:
    server.fail(429)
    page.type("#said", "Раз\n")
    page.until("document.querySelector('.failed')")
    assert page.text(".failed") == "Error 429: Too many requests"
    page.until(row("429"))
    page.type("#said", "Два\n")
    page.until("document.querySelector('.model:not(.failed):not(.coming)')")
    assert [message.content for message in server.chats[1].messages] == ["Два"]


def test_it_finds_the_server_again(server: GigaChatServer, page: Browser) -> None:
    server.revoke_tokens()
    page.type("#said", "Без токена\n")
    page.until(ANSWERED)
    server.stop()
    page.until("document.querySelector('#lamp:not(.on)')")
    with GigaChatServer(port=int(server.origin.rpartition(":")[2])) as another:
        page.until(ONLINE)
        page.click("#anew")
        page.type("#said", "Снова\n")
        page.until(ANSWERED)
        page.until(row("Снова"))
        assert len(another.chats) == 1


def test_who_accepted_the_certificate_is_not_warned_again(tmp_path: Path) -> None:
    with Browser(trusting=False) as browser:
        with GigaChatServer(state=tmp_path) as server:
            browser.open(server.origin)
            assert browser.run("return document.querySelector('#lamp')") is None
            browser.type("body", "thisisunsafe")  # as if one proceeded
            until(lambda: browser.run(f"return Boolean({ONLINE})"))
        browser.until("document.querySelector('#lamp:not(.on)')")
        browser.until("!document.querySelector('#trouble').hidden")
        with GigaChatServer(state=tmp_path):
            browser.until(ONLINE)
            assert browser.text("#trouble") == ""


@at_pace(0)
def test_a_fast_stream_is_drawn(server: GigaChatServer, page: Browser) -> None:
    chunk = {"choices": [{"delta": {"content": "слово "}, "index": 0}]}
    end = {"choices": [{"delta": {}, "index": 0, "finish_reason": "stop"}]}
    server.stream_events([*[chunk] * 5000, end])
    page.type("#said", "Много\n")
    page.until(ANSWERED)
    assert page.run("return document.querySelector('.model').textContent") == "слово " * 5000


def test_a_sign_in_that_is_cut_is_seen(server: GigaChatServer, page: Browser) -> None:
    server.fail(cut_bytes=10, path="/oauth")
    with GigaChat(**options(server), max_retries=0) as giga, pytest.raises(GigaChatException):
        giga.get_models()
    page.until(row("cut short", "broken"))
    assert "/api/v2/oauth" in shown(page)[0]


def test_text_from_right_to_left_turns_nothing_else_round(server: GigaChatServer, page: Browser) -> None:
    with GigaChat(**options(server)) as giga:
        giga.chat("שלום\u202e")
    page.until(row("שלום"))
    places = page.run("""
        const what = document.querySelector("#log .what").firstChild, range = document.createRange();
        return [0, what.length - 1].map(at => {
            range.setStart(what, at);
            range.setEnd(what, at + 1);
            return range.getBoundingClientRect().left;
        });
    """)
    assert places[0] < places[1]  # the closing quotation mark is on the right


def test_a_foreign_name_shows_nothing(browser: Browser, server: GigaChatServer) -> None:
    browser.open(f"{server.origin.replace('localhost', FOREIGN)}/")
    assert "on the server's own machine" in browser.text("body")
    status = "const done = arguments[0]; fetch('/page', { method: 'POST' }).then(answer => done(answer.status))"
    assert browser.later(status) == 403


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP])
def test_it_is_legible(server: GigaChatServer, page: Browser, theme: str, size: tuple[int, int]) -> None:
    page.size(*size)
    page.theme(theme)
    server.fail(500)
    for text in ("Ошибка\n", "д" * 300 + "\n"):
        page.type("#said", text)
        page.until("!document.querySelector('#send').hidden")
    page.until(row("дддд"))
    page.run("for (const row of document.querySelectorAll('#log summary')) row.click()")
    page.until("document.querySelectorAll('.more pre').length === 4")
    contrasts = page.run(CONTRASTS)
    assert len(contrasts) > 30
    assert [one for one in contrasts if one[0] < 4.5] == []
    wide = "const root = document.documentElement; return root.scrollWidth - root.clientWidth"
    assert page.run(wide) == 0
    squeezed = (
        "return [...document.querySelectorAll('.head, form')].filter(box => box.scrollHeight > box.clientHeight).length"
    )
    assert page.run(squeezed) == 0


def test_an_example_is_one_click_away(server: GigaChatServer, page: Browser) -> None:
    text = page.text(".examples button:nth-child(2)")
    page.click(".examples button:nth-child(2)")
    page.until(ANSWERED)
    assert [message.content for message in server.chats[0].messages] == [text]
    page.click("#anew")
    assert page.run("return document.querySelectorAll('.examples button').length") == 3


def test_a_model_is_chosen_by_its_name(server: GigaChatServer, page: Browser) -> None:
    page.click("#models li:nth-child(3) button")
    name = page.text("#models li:nth-child(3) button")
    assert name != "GigaChat"
    page.type("#said", "x\n")
    page.until(ANSWERED)
    assert server.chats[0].body["model"] == name


def test_a_row_opens_by_keyboard_and_says_why(server: GigaChatServer, page: Browser) -> None:
    with GigaChat(**options(server)) as giga:
        sent = '{"model":"GigaChat","max_tokens":12345678901234567890,"messages":[{"role":"user","content":5}]}'
        headers = {"Content-Type": "application/json"}
        with pytest.raises(BadRequestError):
            giga.request("POST", "/chat/completions", content=sent.encode(), headers=headers)
        page.until(row("400"))
        assert "messages[0].content: Invalid type. Expected: string, given: integer" in shown(page)[0]
        page.type("#log [data-failed] summary", "\n")
        request, response = bodies(page)
        assert "HTTP 400" in shown(page)[0]
        assert '"max_tokens": 12345678901234567890,' in request  # as it was sent, and laid out
        assert json.loads(request) == json.loads(sent)
        assert json.loads(response)["status"] == 400
        assert giga.token is not None
        assert giga.token not in page.run("return document.documentElement.outerHTML")
    page.type("#log [data-failed] summary", "\n")
    page.until("!document.querySelector('[open]') && !document.querySelector('.more pre')")
    assert page.console() == []


def test_an_open_row_stays_open_and_gets_the_whole_response(server: GigaChatServer, page: Browser) -> None:
    chunk = {"choices": [{"delta": {"content": "Начало ", "role": "assistant"}, "index": 0}]}
    server.stream_events([chunk], keep_open=True)
    with GigaChat(**options(server)) as giga:
        stream = giga.stream("Поток")
        next(stream)
        page.until(row("1 event", "open"))
        page.click("#log li:not([data-signed-in]) summary")
        assert "Начало" in bodies(page)[1]
        stream.close()
        page.until(row("cut short", "broken"))
    assert "Начало" in bodies(page)[1]


def test_sign_ins_are_folded_and_refused_ones_are_not(server: GigaChatServer, page: Browser) -> None:
    url, verify = server.auth_url, ssl.create_default_context(cafile=server.ca_bundle_file)
    headers = {"Authorization": f"Basic {server.credentials}", "RqUID": str(uuid.uuid4())}
    with httpx2.Client(verify=verify, trust_env=False) as http:
        for _ in range(3):
            http.post(url, headers=headers, data={"scope": server.scope}).raise_for_status()
        page.until("document.querySelector('#sign-ins').textContent === 'Sign-ins: 3'")
        assert shown(page) == ["Only sign-ins so far. The button above shows them."]
        assert http.post(url, headers=headers, data={"scope": "GIGACHAT_API_CORP"}).status_code == 400
    page.until(row("scope from db not fully includes consumed scope"))
    assert len(shown(page)) == 1
    page.type("#sign-ins", "\n")
    assert len(shown(page)) == 4
    page.click("#log [data-signed-in] summary")
    assert bodies(page) == ["", ""]
    assert page.run("return document.querySelectorAll('[open] .more p').length") == 2
    assert server.credentials not in page.run("return document.documentElement.outerHTML")
    page.click("#sign-ins")
    assert len(shown(page)) == 1


HOSTILE = "<img src=x onerror=window.harmed=1><script>window.harmed=1</script>\"'>&lt;b&gt;\u202eabc"


def test_nothing_in_a_request_or_a_response_runs(server: GigaChatServer, page: Browser) -> None:
    before = page.run("return document.querySelectorAll('img, script, b:not(.row b)').length")
    server.reply(HOSTILE)
    server.fail(502, body=f"<html>{HOSTILE}</html>".encode())
    with GigaChat(**options(server), max_retries=0) as giga:
        with pytest.raises(ServerError):
            giga.chat(HOSTILE, model=HOSTILE)
        giga.with_options(extra_headers={"X-Client-ID": "<b>bold"}).chat(HOSTILE)
        with pytest.raises(BadRequestError):
            giga.request("POST", "/chat/completions", json={"messages": [{HOSTILE: 1}], "model": {HOSTILE: 1}})
        with pytest.raises(NotFoundError):
            giga.request("GET", "/<img src=x onerror=window.harmed=1>")
    server.fail(500, message=HOSTILE)
    page.type("#said", "<b>x</b>\n")
    page.until("document.querySelector('.failed')")
    page.until(row("500"))
    page.run("for (const row of document.querySelectorAll('#log summary')) row.click()")
    page.until("document.querySelectorAll('.more pre').length === 12")
    page.click("#sign-ins")
    assert page.run("return document.querySelectorAll('img, script, b:not(.row b)').length") == before
    assert page.run("return window.harmed ?? null") is None
    assert HOSTILE in page.run("return document.querySelector('#log').textContent")
    assert [line for line in page.console() if "500 (Internal" not in line] == []
