"""The client against the local server, over real TLS and OAuth, in both modes."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import BaseModel

from gigachat import (
    APIConnectionError,
    APIResponseValidationError,
    APITimeoutError,
    AsyncGigaChat,
    AuthenticationError,
    CertificateError,
    Chat,
    ConfigurationError,
    ContentFilterFinishReasonError,
    GigaChat,
    GigaChatException,
    LengthFinishReasonError,
    Messages,
    MessagesRole,
    NotFoundError,
    RateLimitError,
    StreamInterruptedError,
)
from gigachat._transport import connections
from gigachat.server import GigaChatServer
from tests.support.callers import Caller, Mode, chunks_of, options
from tests.support.certificates import Authority
from tests.support.payloads import WEATHER, chunked, event, http
from tests.support.programs import LEFT_OPEN
from tests.support.raw_servers import raw_server, site
from tests.support.systems import needs_listed_roots, needs_own_roots
from tests.support.waiting import PATIENCE, until


def texts(chunks: list[Any]) -> list[str | None]:
    return [chunk.choices[0].delta.content for chunk in chunks]


# What a user does.


def test_a_chat_with_nothing_but_a_question(server: GigaChatServer, caller: Caller) -> None:
    question = "Какие факторы влияют на стоимость страховки на дом?"
    completion = caller.chat(question)
    assert question in completion.choices[0].message.content
    assert completion.x_headers["x-request-id"]
    request = server.requests_to("chat/completions")[0]
    assert request.json == {"model": "GigaChat", "messages": [{"role": "user", "content": question}]}


@pytest.mark.parametrize(
    "payload",
    [
        "Привет",
        Chat(messages=[Messages(role=MessagesRole.USER, content="Привет")], temperature=0.9),
        {"messages": [{"role": "user", "content": "Привет"}], "temperature": 0.9},
        [Messages(role=MessagesRole.USER, content="Привет")],
        [{"role": "user", "content": "Привет"}],
        None,
    ],
    ids=["text", "Chat", "mapping", "messages", "dicts", "keywords"],
)
def test_every_form_of_payload_with_fields_merged_over_it(server: GigaChatServer, caller: Caller, payload: Any) -> None:
    before = repr(payload)
    keywords: dict[str, Any] = {"temperature": 0.2, "model": "GigaChat-2-Max", "max_tokens": None}
    if payload is None:
        keywords["messages"] = [{"role": "user", "content": "Привет"}]
    caller.chat(payload, **keywords)
    assert server.requests[-1].json == {
        "model": "GigaChat-2-Max",
        "messages": [{"role": "user", "content": "Привет"}],
        "temperature": 0.2,
    }
    assert repr(payload) == before


def test_the_clients_defaults_fill_what_a_chat_leaves_open(server: GigaChatServer, mode: Mode) -> None:
    settings = {"model": "GigaChat-2-Pro", "profanity_check": False, "flags": ["preprocess"]}
    with Caller(mode, options(server) | settings) as caller:
        caller.chat("x")
        sent = server.requests[-1].json
        assert {name: sent[name] for name in settings} == settings
        caller.chat("x", profanity_check=True, flags=["other"], model="GigaChat")
        sent = server.requests[-1].json
        assert (sent["profanity_check"], sent["flags"], sent["model"]) == (True, ["other"], "GigaChat")
        caller.chat({"messages": [{"role": "user", "content": "x"}], "additional_fields": {"new": 1, "model": "no"}})
        sent = server.requests[-1].json
        assert (sent["new"], sent["model"], "additional_fields" in sent) == (1, "GigaChat-2-Pro", False)


def test_a_stream_gives_the_answer_bit_by_bit(caller: Caller) -> None:
    chunks = caller.read("Расскажи о себе")
    assert len(chunks) > 3
    whole = caller.chat("Расскажи о себе").choices[0].message.content
    assert "".join(filter(None, texts(chunks))) == whole
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert chunks[-1].usage.total_tokens > 0
    assert chunks[0].x_headers["x-request-id"]


def test_a_function_is_called_and_answered(server: GigaChatServer, caller: Caller) -> None:
    question = Messages(role=MessagesRole.USER, content="Какая погода в городе Псков?")
    first = caller.chat([question], functions=[WEATHER], function_call="auto")
    message = first.choices[0].message
    assert first.choices[0].finish_reason == "function_call"
    assert message.function_call.name == "weather"
    assert isinstance(message.function_call.arguments["city"], str)
    result = Messages(role=MessagesRole.FUNCTION, name="weather", content=json.dumps({"t": -3}))
    second = caller.chat([question, message, result], functions=[WEATHER], function_call="auto")
    assert "-3" in second.choices[0].message.content
    repeated = server.requests[-1].json["messages"][1]
    assert repeated["functions_state_id"] == message.functions_state_id
    call = {"name": "weather", "arguments": message.function_call.arguments, "id": message.function_call.id}
    assert repeated["function_call"] == call
    assert call["id"] is not None

    forced = caller.chat("x", functions=[WEATHER], function_call={"name": "weather"})
    assert forced.choices[0].message.function_call.name == "weather"
    plain = caller.chat("погода", functions=[WEATHER], function_call="none")
    assert plain.choices[0].message.function_call is None


class Inner(BaseModel):
    word: str


class Out(BaseModel):
    answer: str
    number: int
    inner: Inner | None


def test_a_structured_answer(server: GigaChatServer, caller: Caller) -> None:
    completion, parsed = caller.do("chat_parse", "x", response_format=Out)
    assert isinstance(parsed, Out)
    assert json.loads(completion.choices[0].message.content) == parsed.model_dump()
    asked = server.requests[-1].json["response_format"]
    assert asked["type"] == "json_schema"
    assert asked["strict"] is True
    assert "$ref" not in json.dumps(asked)

    server.reply('```json\n{"answer":"a","number":1,"inner":null}\n```')
    assert caller.do("chat_parse", "x", response_format=Out)[1].number == 1


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_structured_answer_of_any_type(server: GigaChatServer, caller: Caller, version: str) -> None:
    parse, stream = ("chat_parse", "stream") if version == "v1" else ("chat.parse", "chat.stream")
    _, values = caller.do(parse, "x", into=list[Inner])
    assert values
    assert all(isinstance(value, Inner) for value in values)

    server.reply("Не знаю.", 'Вот: {"value": [{"word": "один"}]}')
    completion, values = caller.do(parse, "x", into=list[Inner], repair=1)
    assert values == [Inner(word="один")]
    first, second = server.chats[-2:]
    assert len(second.messages) == len(first.messages) + 2
    assert completion.usage.total_tokens > 0

    words = [Inner(word=f"слово {number}") for number in range(30)]
    server.reply(json.dumps({"value": [one.model_dump() for one in words]}, ensure_ascii=False))
    opened = caller.method(stream)("x", response_format={"schema": list[Inner]})
    seen = chunks_of(opened.partials(list[Inner]), caller.run)
    assert len(seen) > 2
    assert all(value == words[: len(value)] for value in seen)
    assert seen[-1] == words


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ({"content": '{"answer":', "finish_reason": "length"}, LengthFinishReasonError),
        ({"content": "Не люблю менять тему", "finish_reason": "blacklist"}, ContentFilterFinishReasonError),
        ("not json", APIResponseValidationError),
        ('{"answer":"a"}', APIResponseValidationError),
    ],
)
def test_an_answer_that_cannot_be_parsed_is_kept_in_the_error(
    server: GigaChatServer, caller: Caller, reply: Any, kind: type[Any]
) -> None:
    server.reply(reply)
    with pytest.raises(kind) as raised:
        caller.do("chat_parse", "x", response_format=Out)
    content = reply if isinstance(reply, str) else reply["content"]
    assert raised.value.completion.choices[0].message.content == content
    assert content not in str(raised.value)


def test_embeddings_tokens_and_models(caller: Caller) -> None:
    vectors = caller.do("embeddings", ["Первый", "Второй"])
    assert [(item.index, len(item.embedding)) for item in vectors.data] == [(0, 1024), (1, 1024)]
    assert len(caller.do("embeddings", "one", "EmbeddingsGigaR").data[0].embedding) == 2560
    assert [count.characters for count in caller.do("tokens_count", ["First text", "Ещё"])] == [10, 3]
    listed = caller.do("get_models").data
    assert caller.do("get_model", listed[0].id_).id_ == listed[0].id_
    with pytest.raises(NotFoundError, match="get_models"):
        caller.do("get_model", "NonExistentModel")


def test_reserved_code_points_inside_json_are_text(server: GigaChatServer, caller: Caller) -> None:
    text = "до\u2028после\u2029и\u0085ещё"
    server.reply(text)
    assert caller.chat("x").choices[0].message.content == text
    server.reply(text)
    assert "".join(filter(None, texts(caller.read("x")))) == text


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        ({"payload": 5}, TypeError),
        ({"payload": b"bytes"}, TypeError),
        ({"payload": ""}, ValueError),
        ({"payload": []}, ValueError),
        ({"payload": {}}, ValueError),
        ({"payload": [{"content": "no role"}]}, ValueError),
        ({"payload": "x", "temperature": "hot"}, ValueError),
        ({"payload": "x", "temperature": float("nan")}, ValueError),
        ({"payload": "x", "functions": [{"description": "no name"}]}, ValueError),
        ({"payload": "x", "response_format": Out}, TypeError),
        ({"payload": "lone \ud800 surrogate"}, ValueError),
    ],
)
def test_a_payload_that_is_no_chat_is_refused_before_any_request(
    server: GigaChatServer, caller: Caller, wrong: dict[str, Any], kind: type[Exception]
) -> None:
    with pytest.raises(kind) as raised:
        caller.chat(**wrong)
    assert "\n" not in str(raised.value)
    assert [request for request in server.requests if not request.path.endswith("oauth")] == []


@pytest.mark.parametrize("texts_", [[], [1], [None], ["a", b"b"]])
def test_wrong_texts_are_refused_before_any_request(server: GigaChatServer, caller: Caller, texts_: Any) -> None:
    for method in ("embeddings", "tokens_count"):
        with pytest.raises((TypeError, ValueError)):
            caller.do(method, texts_)
    assert server.requests == []


def test_the_async_client_has_the_plain_names(server: GigaChatServer) -> None:
    async def main() -> list[str]:
        async with AsyncGigaChat(**options(server)) as giga:
            assert (await giga.chat("x")).choices
            assert (await giga.get_model("GigaChat")).id_ == "GigaChat"
            assert await giga.get_token()
            async with giga.stream("x") as stream:
                return [text async for text in stream.text_stream]

    assert len(asyncio.run(main())) > 1


# Authorization.


def test_forty_callers_with_one_revoked_token_cause_one_renewal(server: GigaChatServer, caller: Caller) -> None:
    caller.chat("x")
    server.revoke_tokens()
    answers = caller.together(40, "x")
    assert [answer for answer in answers if isinstance(answer, Exception)] == []
    assert len(server.requests_to("oauth")) == 2


def test_five_clients_in_a_row_sign_in_once(server: GigaChatServer, mode: Mode) -> None:
    for _ in range(5):
        with Caller(mode, options(server)) as caller:
            caller.chat("x")
    assert len(server.requests_to("oauth")) == 1


def test_a_token_still_good_is_used_while_oauth_is_down(
    server: GigaChatServer, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller.chat("x")
    now = caller.transport.now
    monkeypatch.setattr(caller.transport, "now", lambda: now() + 1800 - 50)
    server.fail(503, path="oauth", times=100)
    for _ in range(3):
        caller.chat("x")
    assert len(server.requests_to("oauth")) == 2


def test_expiry_of_a_password_token_is_read_as_seconds(server: GigaChatServer, mode: Mode) -> None:
    login = {"credentials": None, "user": server.account.user, "password": server.account.password}
    with Caller(mode, options(server) | login) as caller:
        for _ in range(3):
            caller.chat("x")
        token = caller.do("get_token")
    assert len(server.requests_to("/token")) == 1
    assert token.expires_at > 10**12


def test_a_pair_and_a_ready_token_are_ways_in(server: GigaChatServer, mode: Mode) -> None:
    pair = {"credentials": None, "client_id": server.account.client_id, "client_secret": server.account.client_secret}
    with Caller(mode, options(server) | pair) as caller:
        token = caller.do("get_token").access_token
    server.clear()
    with Caller(mode, options(server) | {"credentials": None, "access_token": token}) as caller:
        assert caller.chat("x").choices
    assert [request.path for request in server.requests] == ["/api/v1/chat/completions"]


def test_a_wrong_key_and_a_wrong_scope_say_what_to_do(server: GigaChatServer, mode: Mode) -> None:
    with Caller(mode, options(server) | {"credentials": "d3Jvbmc6a2V5"}) as caller:
        with pytest.raises(AuthenticationError, match="make a new one"):
            caller.chat("x")
    with Caller(mode, options(server) | {"scope": "GIGACHAT_API_CORP"}) as caller:
        with pytest.raises(GigaChatException, match="set `scope`"):
            caller.chat("x")


def test_a_token_the_server_no_longer_takes_is_renewed(mode: Mode) -> None:
    with GigaChatServer(token_lifetime=0.0) as server, Caller(mode, options(server)) as caller:
        with pytest.raises(AuthenticationError, match="Token has expired"):
            caller.chat("x")
        assert len(server.requests_to("oauth")) == 2
        assert len(server.requests_to("chat/completions")) == 2


# TLS.


@pytest.mark.parametrize("form", ["pem", "der", "folder"])
def test_an_authority_of_ones_own_is_trusted(server: GigaChatServer, mode: Mode, form: str, tmp_path: Path) -> None:
    path = server.certificates.ca_bundle_der_file if form == "der" else server.ca_bundle_file
    if form == "folder":
        (tmp_path / "ours.crt").write_bytes(Path(path).read_bytes())
        (tmp_path / "README").write_text("not a certificate")
        path = str(tmp_path)
    with Caller(mode, options(server) | {"ca_bundle_file": path}) as caller:
        assert caller.chat("x").choices


@needs_own_roots
def test_an_unknown_authority_is_named_with_advice(server: GigaChatServer, mode: Mode) -> None:
    with Caller(mode, options(server) | {"ca_bundle_file": None, "retry_backoff_factor": 100}) as caller:
        with pytest.raises(CertificateError, match="ca_bundle_file=") as raised:
            caller.chat("x")
    assert isinstance(raised.value, ConnectionError)
    assert server.requests == []


def test_verification_off_is_obeyed_and_said_once(
    server: GigaChatServer, mode: Mode, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    # A file of this test's own makes a TLS context of its own, and so a first time.
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(Path(server.ca_bundle_file).read_bytes())
    unverified = options(server) | {"ca_bundle_file": str(bundle), "verify_ssl_certs": False}
    with caplog.at_level(logging.WARNING, "gigachat"):
        for _ in range(3):
            with Caller(mode, unverified) as caller:
                assert caller.chat("x").choices
    assert len([record for record in caplog.records if "verify_ssl_certs" in record.message]) == 1


@needs_own_roots
@pytest.mark.parametrize("key", ["plain", "encrypted"])
def test_a_client_certificate_alone_is_enough(mode: Mode, key: str) -> None:
    with GigaChatServer(mtls=True) as server:
        identity: dict[str, Any] = {"credentials": None, "cert_file": server.client_cert_file}
        if key == "plain":
            identity["key_file"] = server.client_key_file
        else:
            identity |= {
                "key_file": server.certificates.client_encrypted_key_file,
                "key_file_password": server.certificates.client_key_password,
            }
        with Caller(mode, options(server) | identity) as caller:
            assert caller.chat("x").choices
            assert caller.do("get_token") is None
        assert all("authorization" not in request.headers for request in server.requests)
        with Caller(mode, options(server) | {"max_retries": 0}) as caller, pytest.raises(APIConnectionError):
            caller.chat("x")


@needs_own_roots
def test_a_missing_client_certificate_is_named_where_the_server_says_so(mode: Mode, tmp_path: Path) -> None:
    authority = Authority.made(tmp_path)
    authority.context.verify_mode = ssl.CERT_REQUIRED
    authority.issuer.configure_trust(authority.context)
    with site(authority.context, linger=True) as refusing:
        reach = {"base_url": refusing.url, "access_token": "t", "ca_bundle_file": authority.file}
        with Caller(mode, reach) as caller, pytest.raises(CertificateError, match="cert_file="):
            caller.chat("x")
    assert refusing.requests == []


@pytest.mark.parametrize("password", [None, "guessed"])
def test_a_key_that_cannot_be_decrypted_is_refused_without_asking(password: str | None) -> None:
    with GigaChatServer(mtls=True) as server:
        identity = {
            "credentials": None,
            "cert_file": server.client_cert_file,
            "key_file": server.certificates.client_encrypted_key_file,
            "key_file_password": password,
        }
        with pytest.raises(ConfigurationError, match="key_file_password") as raised:
            GigaChat(**options(server) | identity)
        assert password is None or password not in str(raised.value)


def test_a_context_of_ones_own_is_used_as_it_is(server: GigaChatServer, mode: Mode) -> None:
    context = ssl.create_default_context(cafile=server.ca_bundle_file)
    own = {"ca_bundle_file": None, "ssl_context": context}
    with Caller(mode, options(server) | own) as caller:
        assert caller.chat("x").choices


@needs_listed_roots
def test_the_russian_root_is_trusted_for_the_vendors_hosts_only(
    server: GigaChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gigachat._transport.tls import _context, context_for
    from gigachat.settings import Settings

    # The system may trust the root by itself; this one trusts the server's authority alone.
    monkeypatch.setenv("SSL_CERT_FILE", server.ca_bundle_file)
    _context.cache_clear()

    def trusts(host: str, **settings: Any) -> bool:
        authorities = context_for(Settings(**settings), host).get_ca_certs()
        return any("Russian Trusted Root CA" in str(authority["subject"]) for authority in authorities)

    for host in ("gigachat.devices.sberbank.ru", "NGW.devices.sberbank.ru.", "api.giga.chat", "x.sberdevices.ru"):
        assert trusts(host), host
    for host in ("localhost", "example.com", "evilgiga.chat", "giga.chat.evil.example", "sberbank.ru", ""):
        assert not trusts(host), host
    assert not trusts("api.giga.chat", trust_russian_ca=False)
    assert not trusts("api.giga.chat", verify_ssl_certs=False)
    _context.cache_clear()


# Streams over sockets.


def test_a_stream_cut_after_three_chunks(server: GigaChatServer, caller: Caller) -> None:
    server.cut(after_events=3)
    came: list[Any] = []
    with pytest.raises(StreamInterruptedError):
        caller.read("Расскажи о себе", into=came)
    assert len(came) == 3
    assert len({chunk.choices[0].delta.content for chunk in came}) == 3
    assert len(server.requests_to("chat/completions")) == 1


def test_the_end_mark_ends_at_once_although_the_connection_stays_open(server: GigaChatServer, caller: Caller) -> None:
    chunk = {"choices": [{"delta": {"content": "a"}, "index": 0}], "created": 1, "model": "m", "object": "o"}
    server.stream_events([chunk, "[DONE]"], keep_open=True)
    assert texts(caller.read("x")) == ["a"]
    assert caller.chat("x").choices


def test_events_split_at_every_byte(server: GigaChatServer, caller: Caller) -> None:
    chunk = {"choices": [{"delta": {"content": "Привет"}, "index": 0}], "created": 1, "model": "m", "object": "o"}
    data = f"data: {json.dumps(chunk, ensure_ascii=False)}\r\n\r\ndata: [DONE]\n\n".encode()
    server.stream_events([data[index : index + 1] for index in range(len(data))])
    assert texts(caller.read("x")) == ["Привет"]


def test_an_error_object_inside_a_stream(server: GigaChatServer, caller: Caller) -> None:
    chunk = {"choices": [{"delta": {"content": "a"}, "index": 0}], "created": 1, "model": "m", "object": "o"}
    server.stream_events([chunk, {"status": 429, "message": "Too many requests"}])
    came: list[Any] = []
    with pytest.raises(RateLimitError, match="Too many requests"):
        caller.read("x", into=came)
    assert texts(came) == ["a"]


def test_an_error_before_a_stream(server: GigaChatServer, caller: Caller) -> None:
    server.fail(404, "No such model", path="chat/completions")
    with pytest.raises(NotFoundError):
        caller.read("x")


def test_a_query_in_a_path_is_sent_with_the_parameters(server: GigaChatServer, mode: Mode) -> None:
    with Caller(mode, options(server)) as caller:
        caller.do("request", "GET", "/models?own=a b&word=слово", params={"more": "1"})
    assert server.requests[-1].query == {"own": "a b", "word": "слово", "more": "1"}


def test_a_finished_stream_leaves_its_connection_for_the_next_request(
    server: GigaChatServer, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a busy machine the last bytes may come later than they are waited for.
    monkeypatch.setattr(connections, "DRAIN_WAIT", PATIENCE)
    caller.read("x")
    before = server.connections
    for _ in range(3):
        caller.read("x")
        caller.chat("x")
    assert server.connections == before


@pytest.mark.filterwarnings(LEFT_OPEN)
def test_a_stream_left_early_frees_its_connection(server: GigaChatServer, mode: Mode) -> None:
    with Caller(mode, options(server) | {"max_connections": 1, "queue_timeout": 20}) as caller:
        if mode == "blocking":
            for _ in caller.giga.stream("Расскажи"):
                break
            assert caller.giga.chat("x").choices
        else:

            async def main() -> None:
                async for _ in caller.giga.astream("Расскажи"):
                    break
                assert (await caller.giga.achat("x")).choices

            asyncio.run(main())


def test_a_blocking_stream_in_a_running_loop_outlives_it(server: GigaChatServer) -> None:
    with GigaChat(**options(server)) as giga:
        stream = giga.stream("Расскажи о себе")

        async def cell() -> None:
            next(stream)

        asyncio.run(cell())
        assert len(list(stream)) > 1


# The network.


def test_a_silent_server_is_a_timeout_that_names_its_setting(mode: Mode) -> None:
    silent = threading.Event()

    def say_nothing(_: socket.socket, __: bytes) -> None:
        silent.wait(60)

    with raw_server(say_nothing) as (origin, received):
        reach = {"base_url": f"{origin}/v1", "access_token": "t", "timeout": (5, 0.2)}
        with Caller(mode, reach) as caller:
            with pytest.raises(APITimeoutError, match=r"timeout=0\.2 s") as raised:
                caller.chat("x")
            until(lambda: bool(received))  # who loses patience may be faster
            silent.set()
        assert isinstance(raised.value, TimeoutError)
        assert len(received) == 1  # a generating call is not repeated


def test_silence_inside_a_stream_is_an_interruption(mode: Mode) -> None:
    done = threading.Event()

    def answer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(chunked([event("a")], whole=False))
        done.wait(60)

    with raw_server(answer) as (origin, _):
        came: list[Any] = []
        for seconds in (0.2, 2.0, 10.0):
            with Caller(mode, {"base_url": origin, "access_token": "t", "timeout": (60, seconds)}) as caller:
                with pytest.raises(APIConnectionError, match=f"timeout={seconds:g} s") as raised:
                    caller.read("x", into=came)
            assert isinstance(raised.value, StreamInterruptedError if came else APITimeoutError)
            if came:
                break  # otherwise a machine too busy for the first chunk
        done.set()
        assert texts(came) == ["a"]


@contextmanager
def dead_port() -> Iterator[int]:
    """A port on which nobody listens, and which nobody else is given meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def test_a_dead_address_is_a_connection_error(mode: Mode) -> None:
    with dead_port() as port:
        reach = {"base_url": f"http://127.0.0.1:{port}", "access_token": "t", "retry_backoff_factor": 0}
        with Caller(mode, reach) as caller, pytest.raises(APIConnectionError, match=f":{port}"):
            caller.chat("x")


def test_a_connection_dropped_without_an_answer(mode: Mode) -> None:
    def drop(connection: socket.socket, _: bytes) -> None:
        connection.shutdown(socket.SHUT_RDWR)

    with raw_server(drop) as (origin, received):
        reach = {"base_url": origin, "access_token": "t", "retry_backoff_factor": 0}
        with Caller(mode, reach) as caller:
            with pytest.raises(APIConnectionError, match="before a response"):
                caller.chat("x")
            assert len(received) == 1
            with pytest.raises(APIConnectionError):
                caller.do("get_models")
            assert len(received) == 4  # reading is repeated


def test_html_instead_of_json(mode: Mode) -> None:
    page = b"<html>\n<title>502 Bad Gateway</title></html>"
    with raw_server(lambda connection, _: connection.sendall(http(page, status="403 Forbidden"))) as (origin, _):
        with Caller(mode, {"base_url": origin, "access_token": "t"}) as caller:
            with pytest.raises(GigaChatException, match="502 Bad Gateway") as raised:
                caller.chat("x")
    assert "\n" not in str(raised.value)


def test_a_proxy_gets_the_requests_and_its_password_stays_hidden(mode: Mode) -> None:
    body = json.dumps({"choices": []}).encode()
    with raw_server(lambda connection, _: connection.sendall(http(body))) as (origin, received):
        proxy = origin.replace("http://", "http://me:hidden@")
        reach = {"base_url": "http://gigachat.example/v1", "access_token": "t", "proxy": proxy}
        with Caller(mode, reach) as caller:
            assert caller.chat("x").choices == []
            assert "hidden" not in repr(caller.giga) + repr(caller.giga._settings)
    assert received[0].startswith(b"POST http://gigachat.example/v1/chat/completions HTTP/1.1")
    assert b"proxy-authorization: basic" in received[0].lower()


def test_http_clients_of_the_users_own_are_used_and_not_closed(server: GigaChatServer) -> None:
    context = ssl.create_default_context(cafile=server.ca_bundle_file)
    reach: dict[str, Any] = options(server) | {"ca_bundle_file": None}
    with httpx2.Client(verify=context, headers={"X-Own": "yes"}) as own:
        with GigaChat(**reach, http_client=own) as giga:
            giga.chat("x")
        assert not own.is_closed
    assert server.requests[-1].headers["x-own"] == "yes"

    async def main() -> None:
        async with httpx2.AsyncClient(verify=context, headers={"X-Own": "too"}) as own:
            async with AsyncGigaChat(**reach, async_http_client=own) as giga:
                await giga.chat("x")
            assert not own.is_closed

    asyncio.run(main())
    assert server.requests[-1].headers["x-own"] == "too"


def test_a_hook_may_read_the_answer_of_a_stream(server: GigaChatServer) -> None:
    context = ssl.create_default_context(cafile=server.ca_bundle_file)
    reach: dict[str, Any] = options(server) | {"ca_bundle_file": None}
    with httpx2.Client(verify=context, event_hooks={"response": [lambda response: response.read()]}) as own:
        with GigaChat(**reach, http_client=own) as giga:
            assert len(list(giga.stream("x"))) > 1

    async def read(response: httpx2.Response) -> None:
        await response.aread()

    async def main() -> int:
        async with httpx2.AsyncClient(verify=context, event_hooks={"response": [read]}) as own:
            async with AsyncGigaChat(**reach, async_http_client=own) as giga:
                return len([chunk async for chunk in giga.stream("x")])

    assert asyncio.run(main()) > 1


def test_a_request_cancelled_in_the_handshake_frees_its_connection_at_once() -> None:
    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        asking = asyncio.create_task(giga.chat("x"))
        connection, _ = await loop.sock_accept(listener)
        with connection:
            await loop.sock_recv(connection, 65536)  # the greeting, which nobody answers
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            async with asyncio.timeout(30):
                return await loop.sock_recv(connection, 65536)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        giga = AsyncGigaChat(base_url=f"https://localhost:{listener.getsockname()[1]}", access_token="token")
        gc.disable()  # it would free the connection too, some time
        try:
            assert asyncio.run(main()) == b""
        finally:
            gc.enable()


@pytest.mark.parametrize("name", ["proxy", "HTTPS_PROXY", "all_proxy"])
def test_a_proxy_that_refuses_is_named_without_its_password(
    mode: Mode, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with dead_port() as port:
        address = f"http://me:hidden@127.0.0.1:{port}"
        if name != "proxy":
            monkeypatch.setenv(name, address)
        reach = {"access_token": "t", "max_retries": 0, "proxy": address if name == "proxy" else None}
        with Caller(mode, reach) as caller:
            with pytest.raises(APIConnectionError, match=f"through the proxy 127.0.0.1:{port}: ") as raised:
                caller.chat("x")
    assert "hidden" not in str(raised.value)


@pytest.mark.parametrize(
    ("address", "says"), [("socks5://127.0.0.1:1", "pip install socksio"), ("socks4://127.0.0.1:1", "socks5://")]
)
def test_a_proxy_of_another_kind_says_what_is_needed(
    mode: Mode, address: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", address)
    monkeypatch.setitem(sys.modules, "socksio", None)  # as where the extra is not installed
    with Caller(mode, {"access_token": "t"}) as caller, pytest.raises(ConfigurationError, match=says):
        caller.chat("x")


def test_a_vendor_host_that_cannot_be_reached_comes_with_advice(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    for settings, says in (
        ({"credentials": "aWQ6c2VjcmV0"}, r"ngw\.devices\.sberbank\.ru:9443: .*HTTPS_PROXY"),
        ({"access_token": "t"}, r"api\.giga\.chat/v1"),
    ):
        with Caller(mode, {**settings, "max_retries": 0}) as caller:
            with pytest.raises(APIConnectionError, match=says):
                caller.chat("x")


def test_an_async_stream_is_closed_from_another_event_loop(server: GigaChatServer) -> None:
    async def read_and_close() -> int:
        async with AsyncGigaChat(**options(server)) as giga:
            stream = giga.stream("Привет")
            await anext(stream)
            await asyncio.to_thread(asyncio.run, stream.close())
            return len([chunk async for chunk in stream])

    # A loop in debug mode refuses what is not safe between threads.
    assert asyncio.run(read_and_close(), debug=True) == 0
