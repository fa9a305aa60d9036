"""The page at `/` of the local server: what it says, who may use it, and what its log shows."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Self

import httpx2
import pytest

from gigachat import GigaChat, __version__
from gigachat.server import GigaChatServer, create_app
from gigachat.server.engines.script import Scripted
from gigachat.server.state.activity import Activity
from gigachat.server.state.requests import Received
from tests.support.callers import options

INVALID_JSON = "Your request contains invalid JSON syntax."
STREAM = {"model": "GigaChat", "messages": [{"role": "user", "content": "x"}], "stream": True}
SECRET = "sk-Совершенно-секретно".encode()


class Browser:
    """A plain HTTP client that sends what a browser on the page would."""

    def __init__(self, server: GigaChatServer) -> None:
        verify: Any = ssl.create_default_context(cafile=server.ca_bundle_file) if server.origin[4] == "s" else False
        self.http = httpx2.Client(base_url=server.origin, verify=verify, timeout=60.0, trust_env=False)
        self.origin = server.origin
        self.token = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.http.close()

    def open(self) -> dict[str, Any]:
        """Load the page and run the beginning of its script."""
        assert self.http.get("/").status_code == 200
        answer = self.http.post("/page", headers={"Origin": self.origin, "Sec-Fetch-Site": "same-origin"})
        told: dict[str, Any] = answer.raise_for_status().json()
        self.token = told["token"]
        self.http.headers["Authorization"] = f"Bearer {self.token}"
        return told

    def chat(self, text: str, **fields: Any) -> httpx2.Response:
        body = {"model": "GigaChat", "messages": [{"role": "user", "content": text}], **fields}
        return self.http.post("/api/v1/chat/completions", json=body)

    def exchange(self, number: object) -> Any:
        """Return what a row of the log opens to."""
        return self.http.get("/exchange", params={"number": str(number)}).raise_for_status().json()

    @contextmanager
    def events(self) -> Iterator[Log]:
        with self.http.stream("GET", "/events") as answer:
            yield Log(answer.raise_for_status())


class Log:
    """The live log, read until what is looked for has come."""

    def __init__(self, answer: httpx2.Response) -> None:
        self._lines = answer.iter_lines()
        self.answer = answer
        self.text = ""
        assert next(self._lines).startswith(":")  # the page is listening

    def until(self, path: str, **known: Any) -> dict[str, Any]:
        """Return the first card of a request to a path that says this."""
        for line in self._lines:
            self.text += line + "\n"
            if line.startswith("data: "):
                card: dict[str, Any] = json.loads(line.removeprefix("data: "))
                if card["path"] == path and known.items() <= card.items():
                    return card
        raise AssertionError(f"the log ended without {path} {known}: {self.text}")


@pytest.fixture
def browser(server: GigaChatServer) -> Iterator[Browser]:
    with Browser(server) as opened:
        yield opened


def test_the_page_is_one_file_that_needs_nothing_else(browser: Browser) -> None:
    answer = browser.http.get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert not re.findall(
        r"""(?:src|href)=["'](?!data:)|url\(|@import|https?://(?!www\.w3\.org/2000/svg)""", answer.text
    )
    assert not re.findall(r"innerHTML|insertAdjacentHTML|document\.write|eval\(|\sstyle=|\son\w+=", answer.text)


def test_its_policy_permits_its_own_script_and_style_only(browser: Browser) -> None:
    answer = browser.http.get("/")
    policy = dict(one.strip().split(" ", 1) for one in answer.headers["content-security-policy"].split(";"))
    for tag in ("script", "style"):
        (inner,) = re.findall(f"<{tag}>(.*?)</{tag}>", answer.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
        assert policy.pop(f"{tag}-src") == f"'sha256-{digest}'"
    assert policy == {
        "default-src": "'none'",
        "connect-src": "'self'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
    }


def test_both_languages_say_the_same_things(browser: Browser) -> None:
    text = browser.http.get("/").text
    english, russian = (
        re.findall(r"(?:[{,(]|^)\s*(\w+):\s", re.sub(r'"[^"\n]*"|`[^`\n]*`', "0", block), re.MULTILINE)
        for block in re.findall(r"const (?:ENGLISH|RUSSIAN) = \{\n(.*?)\n\};", text, re.DOTALL)
    )
    assert english == russian
    used = set(re.findall(r'data-(?:text|label)="(\w+)"', text)) | set(re.findall(r"\bT\.(\w+)", text))
    assert used - set(english) == set()
    assert set(english) - used == {"echo", "scripted", "llama", "upstream", "embedder", "aicheck", "filter"}  # inside


def test_it_says_what_the_server_is_and_how_to_point_the_sdk_at_it(server: GigaChatServer, browser: Browser) -> None:
    told = browser.open()
    environment = {name: value for name, value in server.environment.items() if name != "GIGACHAT_CREDENTIALS"}
    assert told["environment"] == environment
    assert told["version"] == __version__
    assert (told["engine"], told["account"], told["strict"]) == ("echo", None, False)
    assert told["models"] == browser.http.get("/api/v1/models").json()["data"]


def test_it_names_the_engine_and_the_account() -> None:
    with GigaChatServer(tls=False, account_kind="corp", strict=True, engine=Scripted([])) as server:
        with Browser(server) as browser:
            told = browser.open()
    assert (told["engine"], told["account"], told["strict"]) == ("scripted", "corp", True)
    assert told["environment"]["GIGACHAT_SCOPE"] == "GIGACHAT_API_CORP"


def test_no_secret_is_in_the_page_nor_in_the_log(server: GigaChatServer, browser: Browser) -> None:
    told = browser.open()
    page = browser.http.get("/").text + json.dumps(told)
    with browser.events() as log, GigaChat(**options(server), default_query={"trace": "q-secret"}) as giga:
        giga.chat("Привет")
        token = giga.token
        log.until("/api/v1/chat/completions", state="whole")
        basic = httpx2.BasicAuth(server.account.user, server.account.password)
        browser.http.post("/api/v1/token", auth=basic).raise_for_status()
        browser.http.post("/api/v2/oauth", content=SECRET, headers={"Authorization": "Basic bm9ib2R5"})
        log.until("/api/v2/oauth", status=400, state="whole", reason="RqUID header must be a uuid4")
        opened = json.dumps([browser.exchange(number) for number in range(1, 5)], ensure_ascii=False)
    assert "/api/v1/token" in log.text
    assert token is not None
    for secret in (server.credentials, token, "bm9ib2R5", "Совершенно", "q-secret", browser.token, "access_token"):
        assert secret not in opened
    assert "Привет" in opened
    for secret in (server.credentials, server.account.client_secret, server.account.password, token, "bm9ib2R5"):
        assert secret not in page + log.text
    for secret in ("Совершенно", "q-secret", browser.token, server.account.client_id):
        assert secret not in log.text


def test_the_log_shows_a_chat(browser: Browser) -> None:
    browser.open()
    with browser.events() as log:
        assert log.answer.headers["content-type"] == "text/event-stream"
        assert log.answer.headers["x-content-type-options"] == "nosniff"
        size = len(browser.chat("Привет, мир").raise_for_status().content)
        card = log.until("/api/v1/chat/completions", state="whole")
    assert abs(card.pop("at") / 1000 - time.time()) < 60
    assert card.pop("received") > 50
    assert 0 <= card.pop("seconds") < 60
    assert card == {
        "number": 1,
        "method": "POST",
        "path": "/api/v1/chat/completions",
        "sign_in": False,
        "model": "GigaChat",
        "said": "Привет, мир",
        "state": "whole",
        "status": 200,
        "reason": None,
        "sent": size,
        "events": None,
    }


def test_the_log_shows_a_stream_while_it_lasts(server: GigaChatServer, browser: Browser) -> None:
    server.stream_events([{"choices": []}, {"choices": []}], keep_open=True)
    browser.open()
    body = {"model": "GigaChat", "messages": [{"role": "user", "content": "x"}], "stream": True}
    path = "/api/v1/chat/completions"
    with browser.events() as log:
        with browser.http.stream("POST", path, json=body):
            card = log.until(path, events=2, state="open")
            assert card["status"] == 200
        assert log.until(path, state="broken")["events"] == 2
        events = browser.chat("y", stream=True).content.count(b"\n\n")
        assert log.until(path, state="whole")["events"] == events


@pytest.mark.parametrize(
    "body",
    [
        {"model": 1, "messages": [1]},
        {"messages": {"role": "user"}},
        {"messages": []},
        {"messages": [{"content": 5}], "tools": [{"functions": [1]}]},
        [],
        "\ud800",
    ],
)
def test_the_log_shows_what_can_not_be_read(browser: Browser, body: Any) -> None:
    browser.open()
    path = "/v1/chat/completions"
    assert browser.http.post(path, content=json.dumps(body).encode()).status_code in (400, 404, 422)
    with browser.events() as log:
        card = log.until(path, state="whole")
        assert not {"model", "said"} & set(card)


def test_the_log_shows_parts_and_cuts_what_is_long(browser: Browser) -> None:
    browser.open()
    parts = [{"text": "а" * 150}, {"files": []}, {"text": "\ud83d" + "б" * 150}]
    content = json.dumps({"model": "м" * 5000, "messages": [{"role": "user", "content": parts}]}).encode()
    assert browser.http.post("/api/v2/chat/completions", content=content).status_code == 404
    assert browser.http.get("/" + "x" * 5000).status_code == 404
    with browser.events() as log:
        card = log.until("/api/v2/chat/completions")
        assert card["said"] == "а" * 150 + " ?" + "б" * 47 + "…"
        assert card["model"] == "м" * 199 + "…"
        assert log.until("/" + "x" * 198 + "…")["status"] == 404


def test_what_came_lately_is_shown_first_and_a_reset_changes_nothing(server: GigaChatServer, browser: Browser) -> None:
    browser.open()
    for number in range(120):
        browser.http.get(f"/v1/{number}")
    with browser.events() as log:
        assert log.until("/v1/119")["number"] == 120
        assert '"/v1/20"' in log.text
        assert '"/v1/19"' not in log.text
        server.reset()
        browser.http.get("/v1/again")
        assert log.until("/v1/again", state="whole")["status"] == 404


def test_the_page_takes_no_order_and_is_in_no_journal(server: GigaChatServer, browser: Browser) -> None:
    server.fail(503)
    server.delay(60)
    browser.open()
    with browser.events():
        pass
    assert server.requests == []
    server.clear()
    server.fail(503)
    assert browser.chat("x").status_code == 503
    server.reply("По заказу")
    assert browser.chat("x").json()["choices"][0]["message"]["content"] == "По заказу"


def test_a_row_opens_to_the_request_and_the_response(browser: Browser) -> None:
    browser.open()
    headers = {"X-Api-Key": "sk-1", "X-Request-ID": "r-1", "User-Agent": "bot/1.0"}
    body = {"model": "GigaChat", "messages": [{"role": "function", "name": "погода", "content": "{}"}]}
    answer = browser.http.post("/api/v1/chat/completions", json=body, headers=headers)
    assert answer.status_code == 422
    with browser.events() as log:
        number = log.until("/api/v1/chat/completions", reason=answer.json()["message"])["number"]
    card = browser.exchange(number)
    assert card["line"] == "POST /api/v1/chat/completions"
    sent = {"size": len(answer.request.content), "shown": len(answer.request.content), "kept": True}
    assert card["request"]["body"] == {**sent, "text": answer.request.content.decode()}
    shown = dict(card["request"]["headers"])
    assert (shown["x-api-key"], shown["x-request-id"], shown["user-agent"]) == ("…", "r-1", "bot/1.0")
    assert shown["authorization"] == "Bearer …"
    assert card["status"] == 422
    assert card["response"]["body"]["text"] == answer.text
    assert dict(card["response"]["headers"])["x-request-id"] == "r-1"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"model": "x", "messages": [}', "Expecting value: line 1 column 29 (char 28)."),
        (b"\xff", "The body is not UTF-8."),
        (b"[]", "The body is not an object."),
        (b'{"temperature": NaN}', "NaN is not JSON."),
        (b"[" * 200_000, "The body is nested too deeply."),
        (b"{}", "messages is required"),
        (b'{"messages": [{"role": "user", "content": 5}]}', "messages[0].content: Invalid type. Expected: string, "),
        (b'{"model": "GigaChat", "messages": [{"role": "bot"}]}', "The role of a message must be one of: assistant, "),
    ],
)
def test_the_log_says_why_a_body_is_refused(browser: Browser, body: bytes, reason: str) -> None:
    browser.open()
    path = "/api/v1/chat/completions"
    assert browser.http.post(path, content=body).json() == {"status": 400, "message": INVALID_JSON}
    with browser.events() as log:
        card = log.until(path, state="whole")
    assert card["reason"].startswith(f"{INVALID_JSON} {reason}")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", ""),
        ("ж".encode() * 40_000, "ж" * 32_768),
        (b"a" + "ж".encode() * 40_000, "a" + "ж" * 32_767),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), None),
        (b"with \0 NUL", None),
        (b"cut in a character \xd0", None),
    ],
)
def test_the_beginning_of_a_text_is_shown(browser: Browser, content: bytes, text: str | None) -> None:
    browser.open()
    browser.http.post("/api/v1/nothing", content=content)
    body = browser.exchange(1)["request"]["body"]
    assert body == {"size": len(content), "shown": min(len(content), 65_536), "kept": True, "text": text}


def test_a_stream_opens_while_it_lasts(server: GigaChatServer, browser: Browser) -> None:
    server.stream_events([{"choices": [], "number": 1}], keep_open=True)
    browser.open()
    with browser.events() as log, browser.http.stream("POST", "/api/v1/chat/completions", json=STREAM):
        number = log.until("/api/v1/chat/completions", events=1)["number"]
        card = browser.exchange(number)
    assert card["response"]["body"]["text"] == 'data: {"choices":[],"number":1}\n\n'
    assert dict(card["response"]["headers"])["content-type"] == "text/event-stream"


def test_a_line_break_of_a_path_begins_no_header(browser: Browser) -> None:
    browser.open()
    browser.http.get("/odd%0Aauthorization:%20x%E2%80%AE")
    assert browser.exchange(1)["line"] == "GET /odd\ufffdauthorization: x\ufffd"


def test_an_exchange_that_is_not_kept_is_not_found(browser: Browser) -> None:
    browser.open()
    for number in (0, 5, -1, "x", "", "9" * 30, "٣"):
        assert browser.http.get("/exchange", params={"number": str(number)}).status_code == 404, number


LOCAL = ("localhost", "127.0.0.1", "[::1]", "LOCALHOST", "127.0.0.1:1234")
FOREIGN = (
    "evil.example",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "192.168.0.1",
    "",
    "a@b",
    "[::",
    "xn--:1",
)


@pytest.mark.parametrize("address", ["GET /", "POST /page", "GET /events", "GET /exchange"])
def test_a_foreign_name_is_refused(browser: Browser, address: str) -> None:
    browser.open()
    method, path = address.split()
    for host in FOREIGN:
        headers = {"Host": host, "Origin": f"https://{host}"}
        answer = browser.http.request(method, path, headers=headers)
        assert answer.status_code == 403, host
        assert "token" not in answer.text
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert browser.chat("x").status_code == 200


def test_every_name_of_this_machine_will_do(browser: Browser) -> None:
    for host in LOCAL:
        headers = {"Host": host, "Origin": f"https://{host}"}
        assert browser.http.get("/", headers=headers).status_code == 200, host
        assert browser.http.post("/page", headers=headers).status_code == 200, host


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://{host}"},
        {"Origin": "https://localhost:1"},
        {"Origin": "https://{host}", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://{host}", "Sec-Fetch-Site": "same-site"},
        {"Origin": "https://{host}", "X-Forwarded-For": "10.0.0.1"},
        {"Origin": "https://{host}", "Forwarded": "for=10.0.0.1"},
    ],
)
def test_another_site_gets_neither_token_nor_log(browser: Browser, headers: dict[str, str]) -> None:
    browser.open()
    host = browser.origin.partition("//")[2]
    sent = {name: value.format(host=host) for name, value in headers.items()}
    for method, path in (("POST", "/page"), ("GET", "/events"), ("GET", "/exchange?number=1")):
        answer = browser.http.request(method, path, headers=sent)
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers
        assert "token" not in answer.text


def test_a_token_is_given_to_pages_only_and_the_log_to_who_has_one(browser: Browser) -> None:
    assert browser.http.post("/page").status_code == 403  # what has no Origin is no page
    assert browser.http.get("/page").status_code == 404
    for authorization in ({}, {"Authorization": "Bearer guessed"}):
        for path in ("/events", "/exchange?number=1"):
            assert browser.http.get(path, headers=authorization).status_code == 401


def test_other_machines_see_no_page() -> None:
    async def main() -> list[int]:
        app = create_app()
        found = []
        for client in (("10.0.0.7", 1), ("127.0.0.1", 1)):
            transport = httpx2.ASGITransport(app, client=client)
            async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
                found.append((await http.get("/")).status_code)
                answer = await http.post("/page", headers={"Origin": "http://localhost"})
                found.append(answer.status_code)
                if answer.status_code == 200:
                    assert answer.json()["environment"]["GIGACHAT_BASE_URL"] == "http://localhost/api/v1"
        return found

    assert asyncio.run(main()) == [403, 403, 200, 200]


def test_a_revoked_token_ends_and_a_new_one_is_given(server: GigaChatServer, browser: Browser) -> None:
    browser.open()
    server.revoke_tokens()
    assert browser.chat("x").status_code == 401
    browser.open()
    assert browser.chat("x").status_code == 200


def test_only_the_last_requests_are_kept_and_those_in_progress() -> None:
    activity = Activity()
    received = Received("GET", "/v1/models", [], b"", b"")
    slow = activity.begin(received)
    for _ in range(1000):
        activity.begin(received).over()
    version, cards = activity.since(0)
    assert [card["number"] for card in cards] == [1, *range(903, 1002)]
    assert activity.since(version) == (version, [])
    slow.over()
    _, [card] = activity.since(version)
    assert (card["number"], card["state"]) == (1, "broken")


def test_requests_that_ended_together_are_not_all_kept() -> None:
    activity = Activity()
    received = Received("GET", "/v1/models", [], b"", b"")
    for entry in [activity.begin(received) for _ in range(300)]:
        entry.over()
    for _ in range(50):
        activity.begin(received).over()
    _, cards = activity.since(0)
    assert [card["number"] for card in cards] == [*range(251, 351)]


def test_sign_ins_do_not_push_out_other_requests() -> None:
    activity = Activity()
    chat, sign_in = (Received("POST", path, [], b"", b"") for path in ("/api/v1/chat/completions", "/api/v2/oauth"))
    answered = {"type": "http.response.start", "status": 200, "headers": []}
    refused = answered | {"status": 401}
    for received, message in [(chat, answered), (sign_in, refused), *[(sign_in, answered)] * 500]:
        entry = activity.begin(received)
        entry.note(message)
        entry.over()
    _, cards = activity.since(0)
    assert [card["number"] for card in cards] == [1, 2, *range(405, 503)]


@pytest.mark.parametrize("tls", [True, False])
def test_the_server_stops_at_once_with_listeners(tls: bool) -> None:
    # It would wait two seconds for who does not end; the machine may be busy once, not three times.
    assert min(seconds_to_stop(tls) for _ in range(3)) < 1.5


def seconds_to_stop(tls: bool) -> float:
    """Stop a server that three pages listen to, and check that nothing is left of it."""
    with GigaChatServer(tls=tls) as server, Browser(server) as browser, ExitStack() as logs:
        browser.open()
        for _ in range(3):
            logs.enter_context(browser.events())
        running = threading.active_count()
        begun = time.monotonic()
        server.stop()
        lasted = time.monotonic() - begun
        assert threading.active_count() == running - 1
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", int(server.origin.rpartition(":")[2])), 1)
    return lasted
