"""Every fault in the operations it can meet, over real sockets: what arrives at the user, what arrives at the server,
and that the client works on.

The three tables are faults, operations and rules; combinations are generated. No test waits: pauses are passed over.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gigachat import GigaChatException, ResponseError
from tests.faults.faults import FAULTS, Ends, Fault
from tests.faults.operations import OPERATIONS, Operation, named
from tests.faults.rules import MAX_RETRIES, RATE_LIMIT_TIMEOUT, Expected, expected
from tests.faults.skipped import SkippedTime
from tests.support.callers import MODES, Caller, Mode
from tests.support.servers import KEY, Received, Server
from tests.support.waiting import patiently

CORE = named("chat", "stream", "v2-stream", "get_models", "upload-once", "download_file")
PATIENT: dict[str, Any] = {
    "max_retries": MAX_RETRIES,
    "retry_backoff_factor": 0,
    "rate_limit_timeout": RATE_LIMIT_TIMEOUT,
    "retry_timeout": 1000,
    "max_connections": 1,
    "max_concurrency": 1,
    "queue_timeout": 10,
    "share_token": False,
}
TIMES = {1: "once", None: "always"}


def combinations() -> Iterator[Any]:
    """Every fault with every operation of the core and some of the others, in turn in every mode."""
    for number, fault in enumerate(FAULTS):
        for place, operation in enumerate(OPERATIONS):
            if operation not in CORE and (number + place) % 5:
                continue
            for times, often in TIMES.items():
                repeated = expected(operation, fault, None).attempts > 1
                if times is None and not repeated:
                    continue  # the same as once
                if times is not None and fault.silent and repeated:
                    continue  # the good answer after it would have to be as fast as the silence is short
                mode = MODES[(number + place + (times is None)) % len(MODES)]
                yield pytest.param(fault, operation, times, mode, id=f"{fault}-{often}-{operation}-{mode}")


@pytest.mark.parametrize(("fault", "operation", "times", "mode"), list(combinations()))
def test_a_fault(
    fault: Fault,
    operation: Operation,
    times: int | None,
    mode: Mode,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(random, "uniform", lambda low, high: high)
    if fault.silent:
        patiently(lambda seconds: _meet(fault, operation, times, mode, tmp_path, seconds))
    else:
        _meet(fault, operation, times, mode, tmp_path, None)


def _meet(
    fault: Fault, operation: Operation, times: int | None, mode: Mode, folder: Path, timeout: float | None
) -> None:
    rule = expected(operation, fault, times)
    (folder / "file.bin").unlink(missing_ok=True)  # of a round whose silence was too short
    with Server(operation.good_answer, listening=fault.ends is not Ends.REFUSED) as server:
        signed = fault.ends is not Ends.REFUSED and fault.greeting is None
        way_in = {} if signed else {"credentials": None, "access_token": "token-1"}
        with Caller(mode, server.options | PATIENT | way_in) as caller:
            skipped = SkippedTime(caller.transport)
            _prepare(server, fault, operation, times, skipped)
            view = caller.giga.with_options(timeout=None if timeout is None else (10, timeout))
            error, result, chunks = _attempt(caller, operation, folder, view)

            _check_user(rule, operation, error, result, chunks, folder)
            _check_server(rule, operation, server, fault, times, signed)
            assert skipped.pauses == rule.pauses

            # The error is held, and with it what its traceback holds: connection and permit are free all the same.
            before = len(server.requests)
            server.for_ever = server.greeting_for_ever = None
            server.script.clear()
            server.listen()
            again = operation.perform(caller, folder)
            assert operation.good(again, folder)
            (folder / "file.bin").unlink(missing_ok=True)
            assert len(server.requests) == before + 1
            assert server.wait_for_connections(2)  # one for requests, one for the sign-in
            if signed:
                assert server.requests[-1].headers["authorization"] == f"Bearer token-{len(server.sign_ins)}"
        assert server.wait_for_connections(0)
        assert caller.noise == []


def _prepare(server: Server, fault: Fault, operation: Operation, times: int | None, skipped: SkippedTime) -> None:
    if fault.ends is Ends.REFUSED:
        skipped.before = server.listen if times is not None else None
    elif fault.greeting is not None:
        server.greetings.extend([fault.greeting] * (times or 0))
        server.greeting_for_ever = None if times else fault.greeting
    else:
        server.script.extend([fault.act(operation)] * (times or 0))
        server.for_ever = None if times else fault.act(operation)


def _attempt(
    caller: Caller, operation: Operation, folder: Path, giga: Any
) -> tuple[BaseException | None, Any, list[Any]]:
    chunks: list[Any] = []
    try:
        return None, operation.perform(caller, folder, giga=giga, into=chunks), chunks
    except Exception as error:
        return error, None, chunks


def _check_user(
    rule: Expected, operation: Operation, error: BaseException | None, result: Any, chunks: list[Any], folder: Path
) -> None:
    if error is not None and (rule.error is None or type(error) is not rule.error):
        raise error
    if rule.error is None:
        assert rule.wrong_bytes or operation.good(result, folder)
    else:
        assert isinstance(error, GigaChatException)
        text = str(error)
        assert all(words in text for words in rule.says)
        assert "\n" not in text
        assert KEY not in text
        assert "token-1" not in text
        assert error.__cause__ is None  # its traceback is ours alone
        assert (getattr(error, "cause", None) is not None) == rule.cause
        if isinstance(error, ResponseError) and rule.says[0].isdigit():
            assert error.status_code == int(rule.says[0])
            if error.request_id is not None:
                assert error.request_id == f"r-{error.status_code}"
        if operation.name == "download_file":
            assert [path for path in folder.iterdir() if path.name.endswith(".part")] == []
            assert not (folder / "file.bin").exists()
    assert len(chunks) == rule.chunks


def _check_server(
    rule: Expected, operation: Operation, server: Server, fault: Fault, times: int | None, signed: bool
) -> None:
    arrived = rule.attempts
    if fault.ends is Ends.REFUSED or fault.greeting is not None:
        arrived = 0 if times is None else max(0, rule.attempts - times)
    if fault.greeting is not None:
        assert server.connections == rule.attempts
    assert server.wait_until(lambda known: len(known.requests) >= arrived)  # who loses patience may be faster
    assert len(server.requests) == arrived
    assert len(server.sign_ins) == (rule.sign_ins if signed else 0)
    for number, request in zip(rule.tokens, server.requests, strict=False):
        _check_request(operation, request, f"Bearer token-{number}")
    for request in server.sign_ins:
        assert request.headers["authorization"] == f"Basic {KEY}"
        assert request.body == b"scope=GIGACHAT_API_PERS"


def _check_request(operation: Operation, request: Received, authorization: str) -> None:
    assert f"{request.method} {request.path}" == operation.line
    assert operation.sends(request)
    assert request.headers["authorization"] == authorization
    assert request.headers["user-agent"] == "GigaChat-python-lib"
