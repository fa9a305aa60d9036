"""Faults on demand: by code, by header and by file, as a user's error handling meets them."""

from __future__ import annotations

import json
import re
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gigachat import (
    APIConnectionError,
    APIResponseValidationError,
    AuthenticationError,
    BadRequestError,
    GigaChat,
    GigaChatException,
    RateLimitError,
    StreamInterruptedError,
)
from gigachat.server import GigaChatServer
from gigachat.server.orders.faults import Fault, fault_from_header, faults_from_file
from tests.support.callers import options

OF_ERRORS = ("message", "code", "body", "retry_after")


def client(server: GigaChatServer, fault: str, **more: Any) -> GigaChat:
    giga = GigaChat(**options(server), max_retries=0, **more)
    giga.get_token()
    return giga.with_options(extra_headers={"X-GigaChat-Fault": fault})


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("status=503", GigaChatException),
        ("status=429; retry_after=7", RateLimitError),
        ("expired-token", AuthenticationError),
        ("garbage", APIResponseValidationError),
        ("cut_bytes=20", APIConnectionError),
        ("content-type=text/html; garbage", GigaChatException),
    ],
)
def test_a_request_may_ask_for_its_own_fault(server: GigaChatServer, fault: str, error: type[Exception]) -> None:
    giga = client(server, fault)
    with pytest.raises(error):
        giga.chat("x")
    giga.with_options(extra_headers={"X-GigaChat-Fault": ""}).chat("x")


def test_the_wait_that_a_fault_asks_for_is_told(server: GigaChatServer) -> None:
    with pytest.raises(RateLimitError) as told:
        client(server, "status=429; retry_after=7; message=Later").chat("x")
    assert (told.value.retry_after, told.value.message) == (7.0, "Later")


@pytest.mark.parametrize("seconds", [7, 1.5, "7"])
def test_a_test_orders_the_wait_of_a_fault(server: GigaChatServer, seconds: float | str) -> None:
    server.fail(429, path="/models", retry_after=seconds)
    with GigaChat(**options(server), max_retries=0) as giga, pytest.raises(RateLimitError) as caught:
        giga.get_models()
    assert caught.value.retry_after == float(seconds)


@pytest.mark.parametrize("events", [0, 1, 2])
def test_a_stream_is_cut_after_so_many_events(server: GigaChatServer, events: int) -> None:
    giga = client(server, f"cut_events={events}")
    stream = giga.stream("Расскажи о себе")
    for _ in range(events):
        assert next(stream).choices
    with pytest.raises(StreamInterruptedError):
        next(stream)


def test_events_are_cut_from_a_stream_only(server: GigaChatServer) -> None:
    server.fail(cut_events=1)
    with GigaChat(**options(server)) as giga:
        giga.chat("x")
        giga.embeddings(["x"])
        with pytest.raises(StreamInterruptedError):
            list(giga.stream("x"))
        giga.stream("x").get_final_text()


def test_an_event_written_in_pieces_is_one(server: GigaChatServer) -> None:
    wire = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
    server.fail(cut_events=2)
    server.stream_events([wire[at : at + 1] for at in range(len(wire))] * 3)
    said: list[str | None] = []
    with GigaChat(**options(server)) as giga, pytest.raises(StreamInterruptedError):
        said.extend(chunk.choices[0].delta.content for chunk in giga.stream("x"))
    assert said == ["a", "a"]


@pytest.mark.parametrize("length", [1, 10, 150])
def test_a_stream_is_cut_after_so_many_bytes(length: int) -> None:
    with GigaChatServer(tls=False) as server, GigaChat(**options(server)) as giga:
        giga.get_token()
        body = {"model": "GigaChat", "stream": True, "messages": [{"role": "user", "content": "Расскажи о себе"}]}
        headers = {
            "Authorization": f"Bearer {giga.token}",
            "X-GigaChat-Fault": f"cut_bytes={length}",
        }
        with httpx2.stream("POST", f"{server.base_url}/chat/completions", json=body, headers=headers) as answer:
            pieces = answer.iter_raw(1)
            assert len([next(pieces) for _ in range(length)]) == length
            with pytest.raises(httpx2.RemoteProtocolError):
                next(pieces)


def test_a_body_drips_byte_by_byte_and_arrives_whole(server: GigaChatServer) -> None:
    giga = client(server, "drip=0")
    assert "dripping" in giga.chat("dripping").choices[0].message.content
    assert "dripping" in giga.stream("dripping").get_final_text()


def test_a_fault_that_cannot_be_understood_is_named(server: GigaChatServer) -> None:
    with pytest.raises(GigaChatException, match=r"x-gigachat-fault: there is no field statsu; known are path, times"):
        client(server, "statsu=500").chat("x")


@pytest.mark.parametrize("written", ["json", "yaml"])
def test_faults_of_a_file_happen_in_turn(server: GigaChatServer, tmp_path: Path, written: str) -> None:
    faults = [
        {"path": "/chat/completions", "status": 429, "times": 2, "retry_after": 0},
        {"path": "/embeddings", "status": 500, "times": None},
    ]
    file = tmp_path / "faults.yaml"
    file.write_text(json.dumps(faults) if written == "json" else YAML, "utf-8")
    for fault in faults_from_file(file):
        server.add_fault(fault)
    with GigaChat(**options(server), max_retries=0) as giga:
        for _ in range(2):
            with pytest.raises(RateLimitError) as told:
                giga.chat("x")
            assert told.value.retry_after == 0
        giga.chat("x")
        for _ in range(3):
            with pytest.raises(GigaChatException, match="500"):
                giga.embeddings("x")


YAML = """
- {path: /chat/completions, status: 429, times: 2, retry_after: 0}
- path: /embeddings
  status: 500
  times: null
"""


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- status: 9000", "less than or equal to 599"),
        ("- mode: red", "item 1: there is no field mode; known are path"),
        ("- [", "while parsing"),
        ("status: 500", "write a list"),
        ("- {status: 500}\n- message: x", "item 2: message belongs to an error: add status, such as status=500"),
        ("- {path: /models}", "item 1: nothing would happen: add what to do"),
        ("- {status: 500, times: true}", "item 1: times: Input should be a valid integer"),
        ("- {status: 500, retry_after: true}", "item 1: retry_after: Input should be a valid string"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_place(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "faults.yaml"
    file.write_text(text, "utf-8")
    with pytest.raises(ValueError, match=problem) as told:
        faults_from_file(file)
    assert str(file) in str(told.value)
    with pytest.raises(ValueError, match="nowhere"):
        faults_from_file(tmp_path / "nowhere.yaml")


def test_a_storm_of_refusals_hits_a_share_of_the_requests_and_the_client_gets_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("random.uniform", lambda low, high: low)  # pauses are as short as they may be: none
    with GigaChatServer(seed=7) as server:
        server.fail(429, path="/chat/completions", times=None, probability=0.5, headers={"Retry-After": "0"})
        with GigaChat(**options(server)) as giga:
            for number in range(20):
                assert str(number) in giga.chat(str(number)).choices[0].message.content
        assert 20 < len(server.requests_to("/chat/completions")) < 200


def test_the_same_seed_gives_the_same_storm() -> None:
    seen = []
    for _ in range(2):
        with GigaChatServer(seed=7) as server:
            server.fail(500, times=None, path="/models", probability=0.5)
            with GigaChat(**options(server), max_retries=0) as giga:
                seen.append([_fails(giga) for _ in range(20)])
    assert seen[0] == seen[1]
    assert {True, False} == set(seen[0])


def _fails(giga: GigaChat) -> bool:
    try:
        giga.get_models()
    except GigaChatException:
        return True
    return False


def test_a_cut_answer_ends_its_connection(server: GigaChatServer) -> None:
    server.fail(cut_bytes=0, path="/models")
    with GigaChat(**options(server)) as giga:
        with pytest.raises(APIConnectionError, match="broke during the response"):
            giga.get_models()
        assert giga.get_models().data


def test_a_header_is_read_as_a_fault() -> None:
    assert fault_from_header("delay=0.5; cut-events = 3;garbage") == Fault(delay=0.5, cut_events=3, garbage=True)
    assert fault_from_header("path=/models; probability=0.5; delay=0") == Fault(
        path="/models", probability=0.5, delay=0.0
    )
    assert fault_from_header(" ; ") is None


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        *((f"{name}=1", f"{name} belongs to an error: add status") for name in OF_ERRORS),
        ("probability=0.5", "nothing would happen: add what to do"),
        ("path=/models", "nothing would happen: add what to do"),
        ("status=500; times=2", "times counts requests"),
        ("expired-token; status=403", "expired_token has its own status and message"),
        ("status=500, message=hi", "status: .* a semicolon separates two fields$"),
        ("status=500 message=hi", "status: .* a semicolon separates two fields$"),
        ("status=x; message=hi", "status: Input should be a valid integer, unable to parse string as an integer$"),
        ("garbage=maybe", "garbage: Input should be a valid boolean"),
        ("delay=nan", "delay: Input should be a finite number"),
    ],
)
def test_a_header_without_effect_or_sense_is_refused(server: GigaChatServer, header: str, problem: str) -> None:
    with pytest.raises(BadRequestError) as told:
        client(server, header).chat("x")
    assert re.match(f"x-gigachat-fault: {problem}", told.value.message or "")


def test_a_header_chooses_its_requests(server: GigaChatServer) -> None:
    giga = client(server, "path=/embeddings; status=500")
    giga.chat("x")
    with pytest.raises(GigaChatException, match="500"):
        giga.embeddings(["x"])
    client(server, "status=500; probability=0").chat("x")
    client(server, "cut_events=1").chat("x")


def test_a_fault_in_a_header_may_change_the_type_alone(server: GigaChatServer) -> None:
    with pytest.raises(APIResponseValidationError, match="text/html"):
        list(client(server, "content_type=text/html").stream("x"))


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_leaves_the_connection_usable(status: int) -> None:
    with GigaChatServer(tls=False) as server:
        server.fail(status)
        connection = HTTPConnection(server.origin.partition("://")[2], timeout=10)
        statuses = []
        for _ in range(2):
            connection.request("GET", "/api/v1/models")
            with connection.getresponse() as response:
                statuses.append(response.status)
                response.read()
        connection.close()
        assert statuses == [status, 401]
