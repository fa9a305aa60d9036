"""Every option with what is understood, and with what is not: refused by name wherever it stands, its value unseen."""

from __future__ import annotations

import os
import traceback
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gigachat import AsyncGigaChat, ConfigurationError, GigaChat
from gigachat.settings import Settings

MARK = "Zq7xV"
NUMBERS = ["many", MARK, "1,5", "0x10", "1e", "--1", "nan", "inf", "[1]", "null", f"1 {MARK}"]
WHOLE = [*NUMBERS, "1.5", "-1", "1" * 5000]
ADDRESSES = [MARK, f"{MARK}.example", f"//{MARK}", f"ftp://{MARK}", "https://", f"https://u:{MARK}@h/v1", "https://h:x"]
ADDRESSES += [f"https://h/v1?key={MARK}", f"https://h/#{MARK}", "https://a..b/v1", f"https://{MARK * 13}/v1"]
ADDRESSES += [f"http://[{MARK}"]
PATHS = [f"/no/such/{MARK}", f"~nobody-{MARK}/x", f"-----BEGIN PRIVATE KEY-----\n{MARK}\n", f"a\n{MARK}", "x" * 5000]
YES_OR_NO = ["perhaps", MARK, "2", "-1", "yess", "tru e", "[]", "null"]
NOT_UTF8 = [f"{MARK}\udcff"]  # as Python reads bytes of the environment in another encoding
BAD: dict[str, list[str]] = {
    "base_url": ADDRESSES,
    "v2_base_url": ADDRESSES,
    "auth_url": ADDRESSES,
    "proxy": [
        f"ftp://u:{MARK}@h",
        f"http://u:{MARK}@h:x",
        "http://",
        f"http://u:{MARK}/x@h:1",
        f"http://u:1#{MARK}@h:1",
        f"http://u:{MARK}@h h:1",
        f"{MARK} h:1",
    ],
    "credentials": NOT_UTF8,
    "client_id": NOT_UTF8,
    "client_secret": NOT_UTF8,
    "scope": NOT_UTF8,
    "access_token": [f"{MARK} x", f"{MARK}é", f"<{MARK} here>", f"ключ {MARK}"],
    "user": NOT_UTF8,
    "password": NOT_UTF8,
    "model": NOT_UTF8,
    "fallback_models": [f"[{MARK}", f'{{"a": "{MARK}"}}', "[1]", "[null]", '[["a"]]', f'["{MARK}", ""]', *NOT_UTF8],
    "session_id": [f"{MARK}é", f"{MARK}\n{MARK}"],
    "profanity_check": YES_OR_NO,
    "flags": [f"[{MARK}", f'{{"a": "{MARK}"}}', "[1]", "[null]", '[["a"]]'],
    "function_result_role": [MARK, "Function", "functions", "user"],
    "transport": [MARK, "httpx", "Pyreqwest"],
    "timeout": [
        *(text for text in NUMBERS if text not in ("1,5", "[1]")),
        "0",
        "-1",
        "1,2,3",
        f"1,{MARK}",
        "[]",
        '{"a": 1}',
        "[1, null]",
    ],
    "max_connections": [*WHOLE, "0"],
    "max_concurrency": [*WHOLE, "0"],
    "limits": [
        MARK,
        f"http://{MARK}",
        f"redis://:{MARK}@h:x",
        f"redis://:{MARK}@h/{MARK}",
        f"redis://:{MARK}",
        f"redis://:1#{MARK}@h",
        f"redis://{MARK} h/0",
        "redis://",
        "unix://",
        f"unix:/tmp/{MARK}",
        f"REDIS://:{MARK}@h",
        f"redis://h?{MARK}=1",
        f"redis://h?db={MARK}",
        f"redis://h?password={MARK}",
        f"redis://h?ssl_ca_certs={MARK}",
        f"rediss://h?ssl_cert_reqs={MARK}",
        f"redis://h?socket_timeout={MARK}",
        "redis://h?decode_responses=false",
        "redis://h?max_connections=1",
        *NOT_UTF8,
    ],
    "queue_timeout": [*NUMBERS, "0", "-1"],
    "max_retries": WHOLE,
    "retry_backoff_factor": [*NUMBERS, "-0.1"],
    "retry_on_status_codes": [
        MARK,
        f"429,{MARK}",
        "42",
        "429,600",
        "-429",
        "1.5",
        '{"a": 429}',
        f"[429, {MARK}]",
        "[[429]]",
    ],
    "retry_timeout": [*NUMBERS, "-1"],
    "rate_limit_timeout": [*NUMBERS, "-1"],
    "total_timeout": [*NUMBERS, "0", "-1"],
    "max_response_bytes": [*WHOLE, "0"],
    "token_expiry_buffer_ms": WHOLE,
    "share_token": YES_OR_NO,
    "verify_ssl_certs": YES_OR_NO,
    "trust_russian_ca": YES_OR_NO,
    "ca_bundle_file": PATHS,
    "cert_file": PATHS,
    "key_file": PATHS,
    "key_file_password": NOT_UTF8,
    "default_headers": [
        MARK,
        f'["{MARK}"]',
        f'{{"A": ["{MARK}"]}}',
        f'{{"A": "{MARK}',
        f"A={MARK}é",
        f"A B={MARK}",
        f"={MARK}",
    ],
    "default_query": [MARK, f'["{MARK}"]', f'{{"A": {{"{MARK}": 1}}}}', f'{{"A": "{MARK}'],
}
# The wrong type altogether, which only an argument can have.
OBJECTS: list[Any] = [object(), 5j, b"\xff", lambda: None, {"a": object()}]


def test_every_option_is_in_the_table() -> None:
    assert set(BAD) == set(Settings.model_fields) - {"ssl_context"}


def check(option: str, value: object, error: ConfigurationError) -> None:
    text = str(error)
    assert option in text.lower()
    assert "\n" not in text
    assert len(text) < 600
    assert error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__
    path_of_a_file = option.endswith("_file") and str(value).startswith(("/", "~"))
    assert path_of_a_file or MARK not in "".join(traceback.format_exception(error))


@pytest.mark.parametrize("kind", [GigaChat, AsyncGigaChat])
@pytest.mark.parametrize("option", [option for option, values in BAD.items() if values])
def test_what_cannot_be_understood_is_refused_by_name(option: str, kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in BAD[option]:
        monkeypatch.delenv(f"GIGACHAT_{option.upper()}", raising=False)
        with pytest.raises(ConfigurationError) as raised:
            print(option, value[:100], kind(**{option: value}))
        check(option, value, raised.value)
        monkeypatch.setenv(f"GIGACHAT_{option.upper()}", value)
        with pytest.raises(ConfigurationError) as raised:
            print(option, value[:100], kind())
        assert f"GIGACHAT_{option.upper()}" in str(raised.value)
        check(option, value, raised.value)


@pytest.mark.parametrize("option", [*BAD, "ssl_context", "http_client", "async_http_client"])
def test_a_thing_of_another_kind_is_refused_by_name(option: str) -> None:
    for value in OBJECTS:
        with pytest.raises(ConfigurationError) as raised:
            print(option, value, GigaChat(**{option: value}))
        check(option, value, raised.value)
        assert "object at" not in str(raised.value)


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("max_retries", -1, "must be 0 or more"),
        ("max_retries", "many", "must be a whole number"),
        ("max_retries", 1.5, "must be a whole number"),
        ("max_retries", "1" * 5000, "must be a whole number"),
        ("max_concurrency", 0, "must be 1 or more"),
        ("queue_timeout", 0, "must be above 0"),
        ("queue_timeout", "soon", "must be a number"),
        ("queue_timeout", "nan", "must be a finite number"),
        ("retry_on_status_codes", 429, "must be a list"),
        ("retry_on_status_codes", [600], "each value must be 599 or less"),
        ("retry_on_status_codes", "429,x", "each value must be a whole number"),
        ("flags", 5, "must be a list"),
        ("flags", [5], "each value must be text"),
        ("verify_ssl_certs", "perhaps", "must be true or false"),
        ("verify_ssl_certs", [], "must be true or false"),
        ("function_result_role", "user", "must be 'function' or 'tool'"),
        ("model", 5, "must be text"),
        ("ssl_context", True, "must be an instance of SSLContext"),
        ("default_headers", "x", "give name=value, several separated by commas, or a JSON object"),
        ("default_headers", ["x"], "must be a mapping"),
        ("default_query", {"a": 5}, "each value must be text"),
    ],
)
def test_the_line_says_what_an_option_must_be(option: str, value: Any, says: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        GigaChat(**{option: value})
    assert str(raised.value) == f"{option}: {says}"


@pytest.mark.parametrize("kind", [GigaChat, AsyncGigaChat])
@pytest.mark.parametrize(
    ("option", "takes", "other"),
    [("http_client", "Client", httpx2.AsyncClient), ("async_http_client", "AsyncClient", httpx2.Client)],
)
def test_an_http_client_of_the_other_kind_is_refused(option: str, takes: str, other: Any, kind: Any) -> None:
    says = rf"{option}= takes an httpx2\.{takes}, not httpx2\.{other.__name__}"
    with pytest.raises(ConfigurationError, match=f"^{says}$"):
        kind(**{option: other()})


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"user": "u"}, "GIGACHAT_USER"),
        ({"user": "u"}, "password .or GIGACHAT_PASSWORD"),
        ({"password": MARK}, "user .or GIGACHAT_USER"),
        ({"client_id": "i"}, "client_secret .or GIGACHAT_CLIENT_SECRET"),
        ({"key_file": __file__}, "cert_file .or GIGACHAT_CERT_FILE"),
        ({"password": MARK}, "GIGACHAT_PASSWORD"),
        ({"client_id": "i"}, "GIGACHAT_CLIENT_ID"),
        ({"client_secret": MARK}, "GIGACHAT_CLIENT_SECRET"),
        ({"key_file": __file__}, "GIGACHAT_KEY_FILE"),
        ({"credentials": MARK, "client_id": "i", "client_secret": MARK}, "GIGACHAT_CREDENTIALS"),
    ],
)
def test_half_of_a_pair_names_its_variable(given: dict[str, str], named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in given.items():
        monkeypatch.setenv(f"GIGACHAT_{name.upper()}", value)
    with pytest.raises(ConfigurationError, match=named) as raised:
        GigaChat()
    assert MARK not in str(raised.value)


NOT_PEM = "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize("content", ["", "nonsense", NOT_PEM], ids=["empty", "no PEM", "bad PEM"])
@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("ca_bundle_file", "there is no certificate in it; give certificates, PEM or DER"),
        ("cert_file", "give a PEM certificate and its PEM key, in this file or as key_file="),
    ],
)
def test_a_file_that_is_no_certificate_is_named_with_what_to_give(
    option: str, says: str, content: str, tmp_path: Path
) -> None:
    path = tmp_path / "bad.pem"
    path.write_text(content)
    files: dict[str, Any] = {option: path}
    with pytest.raises(ConfigurationError) as raised:
        GigaChat(**files)
    assert str(raised.value) == f"{option}={path}: {says}"


GOOD = {
    "base_url": "https://host/v1",
    "v2_base_url": "https://host/v2",
    "auth_url": "https://host/oauth",
    "credentials": "YTpi",
    "scope": "GIGACHAT_API_CORP",
    "access_token": "abc",
    "model": "GigaChat-2",
    "session_id": "conversation-17",
    "profanity_check": "true",
    "flags": "a,b",
    "function_result_role": "tool",
    "transport": "pyreqwest",
    "timeout": "1.5",
    "max_connections": "3",
    "max_concurrency": "3",
    "queue_timeout": "3",
    "max_retries": "3",
    "retry_backoff_factor": "0.25",
    "retry_on_status_codes": "429,500",
    "retry_timeout": "3",
    "rate_limit_timeout": "3",
    "token_expiry_buffer_ms": "3",
    "share_token": "false",
    "verify_ssl_certs": "false",
    "trust_russian_ca": "false",
    "ca_bundle_file": __file__,
    "cert_file": __file__,
    "proxy": "http://host:3128",
    "default_headers": "A=1,B=2",
    "default_query": "a=1",
}
LEFT_BY_COPYING = {
    "spaces": "  {}\t",
    "a line break": "{}\n",
    "a line break of Windows": "{}\r\n",
    "several lines": "\n\n{}\n\r\n",
    "quotes": '"{}"',
    "single quotes": "'{}'",
    "quotes in quotes": "'\"{}\"'",
    "quotes and all": '\r\n " {} " \n',
    "backquotes": "`{}`",
    "typographic quotes": "“{}”",
    "Russian quotes": "«{}»",
    "a byte order mark": "\ufeff{}",
    "a byte order mark before quotes": '\ufeff"{}"\r\n',
    "a space that does not break": "\u00a0{}\u00a0",
    "a space of no width": "{}\u200b",
    "a line separator": "{}\u2028",
}


@pytest.mark.parametrize("around", LEFT_BY_COPYING.values(), ids=LEFT_BY_COPYING)
def test_what_copying_leaves_around_a_value_is_removed(around: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for option, value in GOOD.items():
        monkeypatch.setenv(f"GIGACHAT_{option.upper()}", value)
    clean = Settings()
    for option, value in GOOD.items():
        assert getattr(clean, option) != getattr(Settings.model_construct(), option), option
        monkeypatch.setenv(f"GIGACHAT_{option.upper()}", around.format(value))
    assert Settings() == clean


@pytest.mark.parametrize(
    "text", ["", " ", "\n", "\r\n", '""', "''", '" "', "\ufeff", "\ufeff''\n", "«»", "\u200b"], ids=ascii
)
def test_nothing_is_not_given(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for option in BAD:
        monkeypatch.setenv(f"GIGACHAT_{option.upper()}", text)
    assert Settings() == Settings.model_construct()
    assert GigaChat()._settings.model_dump() == Settings().model_dump()


@pytest.mark.parametrize(
    ("option", "text", "expected"),
    [
        ("flags", "a,,b,", ["a", "b"]),
        ("flags", " a , 'b' ,\"c\" ", ["a", "b", "c"]),
        ("flags", "a,\r\nb", ["a", "b"]),
        ("flags", '["a", "b"]', ["a", "b"]),
        ("flags", "'[\"a\"]'", ["a"]),
        ("flags", ",", []),
        ("retry_on_status_codes", "500 ,\n503", (500, 503)),
        ("retry_on_status_codes", "[]", ()),
        ("timeout", " 3 , 30 ", (3.0, 30.0)),
        ("timeout", "'5'", 5.0),
        ("default_headers", "A = 1 , B=x=y", {"A": "1", "B": "x=y"}),
        ("default_headers", '{"A": "1, 2"}', {"A": "1, 2"}),
        ("default_query", "a=", {"a": ""}),
        ("verify_ssl_certs", "OFF", False),
        ("share_token", "N", False),
        ("base_url", "HTTPS://Host/v1/", "HTTPS://Host/v1"),
        ("proxy", "host:3128/", "http://host:3128/"),
        ("proxy", "http://me:p%2Fa%23ss@host:3128", "http://me:p%2Fa%23ss@host:3128"),
    ],
)
def test_forms_of_a_value(option: str, text: str, expected: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"GIGACHAT_{option.upper()}", text)
    assert getattr(Settings(), option) == expected


def test_names_of_variables_are_read_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("gigachat_model", "GigaChat-2")
    assert Settings().model == "GigaChat-2"


def test_a_header_may_have_spaces_around_its_value() -> None:
    giga = GigaChat(default_headers={"X-Key": f" {MARK} "})
    assert giga._service.headers["x-key"] == MARK


def test_a_relative_path_is_of_the_folder_one_is_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "мой ca.pem").touch()
    monkeypatch.chdir(tmp_path)
    assert Settings(ca_bundle_file="мой ca.pem").ca_bundle_file == "мой ca.pem"
    assert os.path.isfile("мой ca.pem")
