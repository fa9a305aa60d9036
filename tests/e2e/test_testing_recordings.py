"""What a recording keeps: secrets are hidden in every form, words are not, and requests are found again."""

from __future__ import annotations

import base64
import html
import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from gigachat.settings import Settings
from gigachat.testing.recorder import Recorder, _secrets
from gigachat.testing.recording import Scrubber, pieces, shown_answer
from gigachat.testing.recording_file import differences, file_name, read_file, write_file
from tests.support.growth import is_linear

CLIENT_ID = "0f3c1d2e-1111-4222-8333-abcdefabcdef"
SECRET = 'can ary/se"cret é+\\x&<'
KEY = base64.b64encode(f"{CLIENT_ID}:{SECRET}".encode()).decode()
ACCOUNTS: dict[str, dict[str, Any]] = {
    "pair": {"client_id": CLIENT_ID, "client_secret": SECRET},
    "key": {"credentials": KEY},
    "password": {"user": CLIENT_ID, "password": SECRET},
    "token": {"access_token": SECRET},
    "proxy": {"proxy": f"http://name:{quote(SECRET, safe='')}@127.0.0.1:9"},
    "query": {"default_query": {"api_key": SECRET.replace(" ", "")}},
}
FORMS = {
    "plain": SECRET,
    "JSON": json.dumps(SECRET),
    "JSON in JSON": json.dumps(json.dumps(SECRET)),
    "percent": quote(SECRET, safe=""),
    "percent with slashes": quote(SECRET),
    "percent in small letters": quote(SECRET).replace("%C3%A9", "%c3%a9").replace("%5C", "%5c"),
    "percent twice": quote(quote(SECRET)),
    "form": quote_plus(SECRET),
    "HTML": html.escape(SECRET),
    "bytes": repr(SECRET.encode()),
    "header": SECRET.encode().decode("latin-1"),
    "base64": base64.b64encode(SECRET.encode()).decode(),
    "base64 twice": base64.b64encode(base64.b64encode(SECRET.encode())).decode(),
    "base64 of more": base64.b64encode(b'{"a": "' + SECRET.encode() + b'"}').decode(),
    "base64 of JSON": base64.b64encode(json.dumps([SECRET]).encode()).decode(),
    "base64 of percent": base64.b64encode(quote(SECRET).encode()).decode(),
    "base64 of a URL": base64.urlsafe_b64encode(b"?>" + SECRET.encode()).decode().rstrip("="),
}
KEYS = {
    "key": KEY,
    "key of a URL": KEY.replace("+", "-").replace("/", "_").rstrip("="),
    "key in percent": quote(KEY, safe=""),
    "base64 of the key": base64.b64encode(KEY.encode()).decode(),
}


def _scrubber(**settings: Any) -> Scrubber:
    return Scrubber(_secrets(Settings(**settings)))


@pytest.mark.parametrize("account", ["pair", "key", "password", "token", "proxy"])
@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_hidden_in_each_form(account: str, form: str) -> None:
    scrubber = _scrubber(**ACCOUNTS[account])
    for text in (FORMS[form], f"x={FORMS[form]}&y", f'<a href="/?k={FORMS[form]}">'):
        cleaned = scrubber.clean({"text": text})["text"]
        assert "***" in cleaned
        assert len(cleaned) <= len(text) - len(SECRET) + len("***")


@pytest.mark.parametrize("account", ["pair", "key", "password"])
@pytest.mark.parametrize("form", KEYS)
def test_the_key_made_of_a_pair_is_hidden(account: str, form: str) -> None:
    assert _scrubber(**ACCOUNTS[account]).clean(f"key {KEYS[form]}!") == "key ***!"


def test_values_of_headers_and_parameters_are_hidden_if_they_are_keys() -> None:
    given = {"X-Api-Key": "sk-live-1", "Cookie": "sid=5f4dcc3b; a=b", "X-Gate": "5f4dcc3b5aa765d61d8327deb882cf99"}
    cleaned = _scrubber(default_headers=given, default_query={"auth_key": "q-12345"}).clean(
        "sk-live-1 5f4dcc3b 5f4dcc3b5aa765d61d8327deb882cf99 q-12345"
    )
    assert cleaned == "*** *** *** ***"


@pytest.mark.parametrize(
    "settings",
    [
        {"default_headers": {"X-Team": "marketing"}},
        {"default_headers": {"X-Team": "marketing-team", "X-Auth-Kind": "authorization"}},
        {"default_query": {"kind": "marketing"}},
        {"user": "marketing", "password": "secret"},
        {"client_id": "text", "client_secret": "write"},
        {"access_token": "token"},
    ],
)
def test_words_of_a_prompt_stay_as_they_are(settings: dict[str, Any]) -> None:
    prompt = "Write a marketing text for the marketing-team: Basic internationalization, authorization, token, secret"
    assert _scrubber(**settings).clean({"content": prompt}) == {"content": prompt}


def test_log_probabilities_keep_their_tokens() -> None:
    chosen = {"token": "Hello", "token_id": 7, "logprob": -0.5}
    assert Scrubber().clean({"chosen": chosen, "token": "Hello"}) == {"chosen": chosen, "token": "***"}


def test_names_that_are_secrets_are_hidden_and_none_is_lost() -> None:
    scrubber = Scrubber(["first-secret", "second-secret"])
    cleaned = scrubber.clean({"first-secret": 1, "second-secret": 2, "password": 123456, "Client-Secret": "x"})
    assert cleaned == {"***": 1, "******": 2, "password": "***", "Client-Secret": "***"}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_secret_is_hidden_wherever_a_stream_cuts_it(size: int, line_end: str) -> None:
    told = f"before {KEY} between eyJhbGciOiJIUzI1NiJ9.cGxhbnRlZA.c2ln after"
    texts = [told[at : at + size] for at in range(0, len(told), size)]
    events = [json.dumps({"choices": [{"delta": {"content": text}}], "model": "GigaChat"}) for text in texts]
    body = "".join(f"data: {data}{line_end}{line_end}" for data in (*events, "[DONE]")).encode()
    answer = _scrubber(credentials=KEY).clean(shown_answer(200, {"content-type": "text/event-stream"}, body, cut=False))
    *kept, done = answer["events"]
    assert done == {"data": "[DONE]"}
    assert len(kept) == len(texts)
    assert {event["data"]["model"] for event in kept} == {"GigaChat"}
    assert "".join(one["data"]["choices"][0]["delta"]["content"] for one in kept) == "before *** between *** after"


def test_the_unfinished_event_of_a_cut_stream_is_not_kept() -> None:
    body = b'event: a\ndata: {"text": "one"}\n\ndata: {"text": "planted'
    answer = shown_answer(200, {"content-type": "text/event-stream"}, body, cut=True)
    assert answer["events"] == [{"event": "a", "data": {"text": "one"}}]
    assert pieces(answer) == [b'event: a\ndata: {"text":"one"}\n\n']


def test_a_secret_in_bytes_is_hidden_and_the_other_bytes_are_kept() -> None:
    body = b"\xff\x00" + KEY.encode() + b"\xfe" + SECRET.encode() + b"\x80"
    answer = _scrubber(credentials=KEY).clean(shown_answer(200, {"content-type": "image/png"}, body, cut=False))
    assert pieces(answer) == [b"\xff\x00***\xfe***\x80"]


@pytest.mark.parametrize(
    "body",
    [b'{"a": 1e999}', b'{"a": NaN}', b'{"a": "\\ud83d"}', b'{"a": 12345678901234567890123}', b"[", b'"text"', b"\xff"],
)
def test_a_body_is_given_again_with_the_same_meaning(body: bytes, tmp_path: Path) -> None:
    answer = shown_answer(200, {"content-type": "application/json"}, body, cut=False)
    write_file(tmp_path / "x.json", [{"request": {"method": "GET", "path": "/"}, "answer": answer}])
    (kept,) = read_file(tmp_path / "x.json")
    given = b"".join(pieces(kept["answer"]))
    assert given == body or json.loads(given) == json.loads(body)


@pytest.mark.parametrize(
    ("asked", "recorded"),
    [
        ("my key is 123", "my key is ***"),
        ("", "***"),
        (123, "***"),
        ("a1b2c", "a***b***c"),
        ({"own": 1}, {"***": 1}),
        ({"q": ["x"]}, {"q": ["***"]}),
    ],
)
def test_what_was_hidden_is_any_text_when_it_is_given_again(asked: object, recorded: object) -> None:
    assert not list(differences(asked, recorded))


@pytest.mark.parametrize(
    ("asked", "recorded"),
    [
        ("your key is 123", "my key is ***"),
        ("my key is 123!", "my key is ***."),
        ("a1c", "a***b***c"),
        ("ab", "ab***b"),
        ({"x": 1}, "***"),
        ({"own": 2}, {"***": 1}),
        ({}, {"***": 1}),
        ({"own": 1, "other": 1}, {"***": 1}),
    ],
)
def test_what_was_not_hidden_is_compared(asked: object, recorded: object) -> None:
    assert list(differences(asked, recorded))


ANSWER = {"status": 200, "headers": {}, "json": {}}
REQUEST = {"method": "GET", "path": "/v1/models"}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"<<<<<<< HEAD", "is not a recording"),
        (b"\xff\xfe", "is not a recording"),
        (b"[]", "is not a recording"),
        (b"[" * 100_000, "is not a recording"),
        ({"exchanges": []}, "format: Field required"),
        ({"format": 0, "exchanges": []}, "format: "),
        ({"format": 1}, "exchanges: Field required"),
        ({"format": 1, "exchanges": [{"request": REQUEST}]}, "exchanges.0.answer: Field required"),
        ({"format": 1, "exchanges": [{"request": {}, "answer": ANSWER}]}, "exchanges.0.request.method: Field required"),
        ({"format": 1, "exchanges": [{"request": REQUEST, "answer": {**ANSWER, "status": "200"}}]}, "status: "),
        ({"format": 1, "exchanges": [{"request": REQUEST, "answer": {**ANSWER, "status": 100}}]}, "status: "),
        ({"format": 1, "exchanges": [{"request": REQUEST, "answer": {**ANSWER, "base64": "x"}}]}, "base64: "),
        ({"format": 1, "exchanges": [{"request": REQUEST, "answer": {**ANSWER, "events": [{}]}}]}, "events.0.data: "),
        ({"format": 1, "exchanges": [{"request": REQUEST, "answer": {**ANSWER, "headers": {"a": "é€"}}}]}, "headers.a"),
    ],
)
def test_a_file_that_was_edited_badly_is_named_with_the_place(content: Any, problem: str, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    with pytest.raises(ValueError, match=r"x\.json is not a recording") as caught:
        read_file(file)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_an_editor_of_windows_saved_is_read(tmp_path: Path) -> None:
    exchanges = [{"request": REQUEST, "answer": ANSWER}]
    write_file(tmp_path / "x.json", exchanges)
    (tmp_path / "x.json").write_bytes(b"\xef\xbb\xbf" + (tmp_path / "x.json").read_bytes().replace(b"\n", b"\r\n"))
    assert read_file(tmp_path / "x.json") == exchanges


def test_writing_leaves_nothing_but_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "recordings" / "x.json"
    write_file(file, [{"request": REQUEST, "answer": ANSWER}])
    before = file.read_bytes()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_file(file, [])
    assert os.listdir(file.parent) == ["x.json"]
    assert file.read_bytes() == before


def test_each_test_has_a_file_of_its_own() -> None:
    ids = ("test_a", "A::test_a", "test_a[x-y]", "test_a[x[y]", "test_a[a]", "test_a[a]]", "test_a[x y]", "test_a[x/y]")
    names = [file_name("module", f"test_x.py::{name}") for name in ids]
    assert names[:3] == ["module.test_a.json", "module.A.test_a.json", "module.test_a-x-y.json"]
    assert len(set(names)) == len(ids)
    for name in ("漢" * 200, "п" * 95, "a" * 300):
        assert len(file_name("m" * 60, f"test_x.py::test_{name}").encode()) < 255


@pytest.mark.parametrize(
    ("what", "error"),
    [("abc", ValueError), (5, TypeError), (None, TypeError), (b"bytes", TypeError)],
)
def test_what_cannot_be_hidden_is_refused(what: Any, error: type[Exception], tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "test_x.py", "test_x.py::test_a", recording=False)
    with pytest.raises(error, match=r"hide\(\) takes"):
        recorder.hide(what)


@pytest.mark.parametrize("levels", [50, 400, 900])
@pytest.mark.parametrize(("kind", "frame"), [("application/json", b"%s"), ("text/event-stream", b"data: %s\n\n")])
def test_deep_json_is_given_again(kind: str, frame: bytes, levels: int, tmp_path: Path) -> None:
    path = tmp_path / "recording.json"
    body = frame % (b'{"a":' * levels + json.dumps(f"Bearer {KEY}").encode() + b"}" * levels)
    answer = shown_answer(200, {"content-type": kind}, body, cut=False)
    exchange = _scrubber(credentials=KEY).clean({"request": {"method": "GET", "path": "/"}, "answer": answer})
    write_file(path, [exchange])
    (read,) = read_file(path)
    assert b"".join(pieces(read["answer"])) == body.replace(f"Bearer {KEY}".encode(), b"***")


@pytest.mark.slow
def test_requests_with_many_other_names_are_compared_in_linear_time() -> None:
    def bodies(many: int) -> list[dict[str, int]]:
        return [{f"{name}{number}": 1 for number in range(many)} for name in "ab"]

    def compared(asked_and_recorded: list[dict[str, int]]) -> list[str]:
        asked, recorded = asked_and_recorded
        return [*differences(asked, recorded)]

    assert len(compared(bodies(20_000))) == 40_000
    assert is_linear(compared, bodies, 20_000)
