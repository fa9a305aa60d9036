"""`total_timeout`: the longest time of one call, whatever it waits for. Without it a call may take as long as it likes.

What drips here ends well after a while, so that who goes on waiting gets a good answer, and fails.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gigachat import APITimeoutError, ConfigurationError, GigaChat
from gigachat.settings import Settings
from tests.support.certificates import Authority
from tests.support.payloads import DONE, answer, chunk, chunked, completion, event, grant, head, http, refusal, streamed
from tests.support.proxies import http_proxy
from tests.support.servers import Act, Peer, Received, hangs, says
from tests.support.waiting import patiently
from tests.wire.modes import MODES, Giga, Mode
from tests.wire.servers import Pouring, Server, stall

SHORT = 0.3  # seconds, of a call that is to end in time
LONG = 60.0  # seconds, of one that is never to end by it
SOON = 10.0  # seconds in which a call that is to end after SHORT has ended, also on a machine that is busy
DRIPS = 300  # of PAUSE each: longer than SOON
PAUSE = 0.05
_left_open = pytest.mark.filterwarnings("ignore:Async generator 'http:ResourceWarning")
own = pytest.mark.parametrize("own", [False, pytest.param(True, marks=_left_open)], ids=["", "own client"])


@contextmanager
def in_time(seconds: float = SHORT, *, early: bool = False) -> Iterator[None]:
    """Check that what is inside ends with the option's error, and soon; before its time only where it may be early."""
    begun = time.monotonic()
    with pytest.raises(APITimeoutError, match="total_timeout"):
        yield
    taken = time.monotonic() - begun
    assert taken < SOON
    assert early or taken > seconds * 0.9


async def good(giga: Giga) -> None:
    """Get an answer, on a machine that may be too busy for it the first time."""
    for _ in range(100):
        try:
            assert await giga.chat() == "good"
        except APITimeoutError as error:
            if "total_timeout" not in str(error):
                raise
        else:
            return
    raise AssertionError("there is no answer any more")


JSON = ("Content-Type", "application/json")
EVENTS = ("Content-Type", "text/event-stream")
CHUNKED = ("Transfer-Encoding", "chunked")
WHOLE = completion("good")
GOOD_STREAM = chunk(event("good", last=True) + DONE) + chunk(b"")


def sending_and_then_nothing(begin: bytes) -> Act:
    def act(peer: Peer, _: Received) -> None:
        peer.send(begin)
        peer.stay_silent()

    return act


FORMS = ["nothing", "interim answers", "a head", "nothing of a body", "a body", "chunks", "an error"]


def dripping(form: str, body: bytes = WHOLE) -> Act:
    """Send an answer bit by bit."""
    length = head(200, JSON, ("Content-Length", DRIPS + len(body)))
    if form == "nothing":
        return stall
    if form == "interim answers":
        return Pouring(b"", b"HTTP/1.1 100 Continue\r\n\r\n", DRIPS, http(body), pause=PAUSE)
    if form == "a head":
        return Pouring(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", DRIPS, http(body).partition(b"\n")[2], pause=PAUSE)
    if form == "nothing of a body":
        return sending_and_then_nothing(length)
    if form == "chunks":
        end = chunk(body) + chunk(b"")
        return Pouring(head(200, JSON, CHUNKED), b"1\r\n \r\n", DRIPS, end, pause=PAUSE)
    return Pouring(length.replace(b"200", b"500") if form == "an error" else length, b" ", DRIPS, body, pause=PAUSE)


STREAMS: dict[str, Callable[[], Act]] = {
    "nothing": lambda: stall,
    "comments": lambda: Pouring(head(200, EVENTS, CHUNKED), b"3\r\n:.\n\r\n", DRIPS, GOOD_STREAM, pause=PAUSE),
    "bits of an event": lambda: Pouring(
        head(200, EVENTS, CHUNKED) + b"2\r\n: \r\n", b"1\r\nx\r\n", DRIPS, b"1\r\n\n\r\n" + GOOD_STREAM, pause=PAUSE
    ),
    "chunks": lambda: Pouring(
        head(200, EVENTS, CHUNKED),
        chunk(event("good")),
        DRIPS,
        GOOD_STREAM,
        pause=PAUSE,
    ),
}


# One call.


@pytest.mark.parametrize(
    ("form", "own"),
    [(form, False) for form in FORMS]
    # What comes before an answer, the library of the user's own client reads without looking up.
    + [pytest.param(form, True, marks=_left_open) for form in FORMS if form not in ("interim answers", "a head")],
)
def test_an_answer_that_drips_ends_in_time(mode: Mode, form: str, own: bool) -> None:
    """And its connection and slot are free for the next call."""

    async def main() -> None:
        options: dict[str, Any] = server.reach | {"max_connections": 1, "max_concurrency": 1, "queue_timeout": 1}
        async with mode.giga(own=own, **options, total_timeout=SHORT) as giga:
            with in_time():
                await giga.chat()
            await good(giga)

    with Server() as server:
        server.script.append(dripping(form))
        mode.run(main)


@own
@pytest.mark.parametrize("form", list(STREAMS))
def test_a_stream_that_drips_ends_in_time(mode: Mode, own: bool, form: str) -> None:
    def check(seconds: float) -> None:
        async def main() -> None:
            options: dict[str, Any] = server.reach | {"max_connections": 1, "max_concurrency": 1, "queue_timeout": 1}
            async with mode.giga(own=own, **options, total_timeout=seconds) as giga:
                taken: list[str] = []
                with in_time(seconds):
                    await giga.read(into=taken)
                assert bool(taken) is (form == "chunks")
                await good(giga)

        with Server() as server:
            server.script.append(STREAMS[form]())
            mode.run(main)

    patiently(check)


@own
def test_a_reader_that_pauses_for_the_whole_time_is_told_no_fault_of_the_service(mode: Mode, own: bool) -> None:
    def check(seconds: float) -> None:
        async def main() -> None:
            async with mode.giga(own=own, **server.reach, total_timeout=seconds) as giga:
                stream = giga.stream()
                assert await giga.next(stream) == "good"
                await mode.pause(seconds)
                with pytest.raises(APITimeoutError) as told:
                    await giga.next(stream)
                assert "total_timeout=" in str(told.value)
                assert str(told.value).endswith(f"s: the response of 127.0.0.1:{server.port} was incomplete")

        with Server() as server:
            server.script.append(sending_and_then_nothing(head(200, EVENTS, CHUNKED) + chunk(event("good"))))
            mode.run(main)

    patiently(check)


@own
def test_a_file_that_drips_ends_in_time_and_is_not_written(mode: Mode, own: bool, tmp_path: Path) -> None:
    async def main() -> None:
        async with mode.giga(own=own, **server.reach, total_timeout=SHORT) as giga:
            with in_time():
                await giga.do("download_file", "f", tmp_path / "file")

    with Server() as server:
        begin = head(200, ("Content-Type", "application/octet-stream"), ("Content-Length", DRIPS))
        server.script.append(Pouring(begin, b"x", DRIPS, pause=PAUSE))
        mode.run(main)
    assert list(tmp_path.iterdir()) == []


def test_a_request_that_nobody_takes_ends_in_time(mode: Mode) -> None:
    async def main() -> None:
        async with mode.giga(**reach, total_timeout=SHORT) as giga:
            with in_time():
                await giga.do("upload_file", ("a.txt", b"x" * 20_000_000))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        reach: dict[str, Any] = {
            "base_url": f"http://127.0.0.1:{listener.getsockname()[1]}",
            "access_token": "t",
            "max_retries": 0,
        }
        reach["timeout"] = 4
        mode.run(main)


def test_a_request_that_nobody_takes_ends_with_its_timeout_though_bytes_come(mode: Mode) -> None:
    def drip(peer: Peer) -> None:
        while not given_up.wait(PAUSE):
            peer.send(b"x")

    async def main() -> None:
        async with mode.giga(**server.reach, timeout=SHORT) as giga:
            begun = time.monotonic()
            with pytest.raises(APITimeoutError, match="did not take the request"):
                await giga.do("upload_file", ("a.txt", b"x" * 20_000_000))
            assert time.monotonic() - begun < SOON

    given_up = threading.Event()
    limit = threading.Timer(DRIPS * PAUSE, given_up.set)
    limit.start()
    with Server() as server:
        server.greetings.append(drip)
        mode.run(main)
        given_up.set()
    limit.cancel()


@contextmanager
def deaf_addresses(monkeypatch: pytest.MonkeyPatch, count: int, *, pause: float = 0.0) -> Iterator[Server]:
    """Have each host name resolve to addresses where nobody accepts, and behind them to that of a server."""
    resolve = socket.getaddrinfo

    def resolved(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        if host not in (b"several.example", "several.example"):
            return resolve(host, port, *rest, **more)
        time.sleep(pause)
        found = (resolve(address, port, *rest, **more) for address in ["127.0.0.2"] * count + ["127.0.0.1"])
        return [one for each in found for one in each]

    with Server() as server, socket.socket() as listener, ExitStack() as stack:
        listener.bind(("127.0.0.2", server.port))
        listener.listen(0)
        for _ in range(2):  # fill its queue: further connections wait
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        monkeypatch.setattr(socket, "getaddrinfo", resolved)
        yield server


linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems have other loopback addresses and queues")


@linux
@pytest.mark.parametrize("mode", [mode for mode in MODES if mode.name != "trio"], ids=str)  # trio tries them together
def test_the_addresses_of_a_host_share_one_timeout(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(seconds: float) -> None:
        async def main() -> None:
            async with mode.giga(**reach, timeout=(seconds, LONG)) as giga:
                begun = time.monotonic()
                assert await giga.chat() == "good"
                assert time.monotonic() - begun < seconds * 2.5

        mode.run(main)

    with deaf_addresses(monkeypatch, 4) as server:
        reach: dict[str, Any] = server.reach | {"base_url": f"http://several.example:{server.port}/v1"}
        patiently(check)


@linux
def test_finding_the_addresses_of_a_host_counts(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with mode.giga(**reach, timeout=(SHORT, LONG)) as giga:
            with pytest.raises(APITimeoutError, match="no connection to"):
                await giga.chat()

    with deaf_addresses(monkeypatch, 0, pause=SHORT) as server:
        reach: dict[str, Any] = server.reach | {"base_url": f"http://several.example:{server.port}/v1"}
        mode.run(main)


@pytest.mark.parametrize("way", ["TLS", "HTTP proxy", "SOCKS proxy", "TLS inside the TLS of a proxy"])
def test_a_handshake_without_an_end_ends_in_time(mode: Mode, way: str, authority: Authority) -> None:
    async def main() -> None:
        async with mode.giga(**reach, total_timeout=SHORT) as giga:
            with in_time():
                await giga.chat()

    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        silent = f"127.0.0.1:{listener.getsockname()[1]}"
        reach: dict[str, Any] = {"base_url": f"https://{silent}", "access_token": "t", "max_retries": 0, "timeout": 4}
        if "inside" in way:
            proxy = stack.enter_context(http_proxy(listener.getsockname()[1], context=authority.context))
            reach |= {"proxy": f"https://127.0.0.1:{proxy.port}", "ca_bundle_file": authority.file}
        elif way != "TLS":
            reach["base_url"] = "https://api.example"
            reach["proxy"] = f"{'http' if way.startswith('HTTP') else 'socks5'}://{silent}"
        mode.run(main)


def test_the_pauses_between_attempts_count(mode: Mode) -> None:
    async def main() -> None:
        async with mode.giga(**options, total_timeout=SHORT) as giga:
            with in_time(early=True):  # a pause that would end too late need not begin
                await giga.chat()

    with Server() as server:
        options: dict[str, Any] = server.reach | {"max_retries": 50, "retry_backoff_factor": 0.05}
        options |= {"retry_timeout": 4, "rate_limit_timeout": 4}
        for headers in ([], [("Retry-After", "3")]):
            server.for_ever = says(refusal("busy", *headers, status=503))
            mode.run(main)
            server.for_ever = says(refusal("slowly", *headers, status=429))
            mode.run(main)


def test_each_attempt_counts(mode: Mode) -> None:
    """Each is in time by itself, all together are not."""

    def act(peer: Peer, _: Received) -> None:
        threading.Event().wait(0.1)
        peer.send(refusal("busy", status=503))

    async def main() -> None:
        options: dict[str, Any] = server.reach | {"max_retries": 50, "retry_backoff_factor": 0}
        async with mode.giga(**options, total_timeout=SHORT) as giga:
            with in_time():
                await giga.chat()

    with Server() as server:
        server.for_ever = act
        mode.run(main)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_a_sign_in_that_drips_ends_in_time(mode: Mode, form: str) -> None:
    async def main() -> None:
        async with mode.giga(**server.options, total_timeout=SHORT) as giga:
            with in_time():
                await giga.chat()
            await good(giga)

    with Server() as server:
        server.sign_in_script.append(dripping(form, b'{"access_token": "late"}'))
        mode.run(main)


@pytest.mark.parametrize("what", ["max_concurrency", "max_connections"])
def test_waiting_for_a_turn_counts(mode: Mode, what: str) -> None:
    def check(seconds: float) -> None:
        async def main() -> None:
            options: dict[str, Any] = server.reach | {what: 1, "queue_timeout": 2 * seconds}
            async with mode.giga(**options) as other, mode.giga(**options, total_timeout=seconds) as giga:
                stream = (other if what == "max_concurrency" else giga).stream()
                assert await giga.next(stream) == "good"
                with in_time(seconds):
                    await giga.chat()
                with in_time(seconds):
                    await giga.read()
                await giga.leave(stream)
                server.good = answer("good")
                await good(giga)

        with Server(streamed("good", "and whole")) as server:
            server.script.append(hangs(chunked([event("good")], whole=False)))
            mode.run(main)

    patiently(check)


# What the time is not.


def test_a_stream_counts_from_its_first_chunk_asked_for(mode: Mode) -> None:
    def check(seconds: float) -> None:
        async def main() -> None:
            async with mode.giga(**server.reach, total_timeout=seconds) as giga:
                stream = giga.stream()
                await mode.pause(1.2 * seconds)
                assert await giga.read(stream) == ["good"]

        mode.run(main)

    with Server(streamed("good")) as server:
        patiently(check)


def test_a_call_in_time_is_answered_and_the_next_has_its_own_time(mode: Mode) -> None:
    def check(seconds: float) -> None:
        async def main() -> None:
            async with mode.giga(**server.options, total_timeout=seconds) as giga:
                for _ in range(3):
                    assert await giga.chat() == "good"
                    await mode.pause(0.6 * seconds)

        mode.run(main)

    with Server() as server:
        patiently(check)


def test_without_a_timeout_a_response_may_come_late(mode: Mode) -> None:
    async def main() -> None:
        async with mode.giga(**server.reach, timeout=httpx2.Timeout(None)) as giga:
            assert await giga.chat() == "good"

    with Server() as server:
        server.script.append(Pouring(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 2, http(WHOLE), pause=PAUSE))
        mode.run(main)


def test_there_is_none_by_default() -> None:
    options: dict[str, Any] = Settings().model_dump()
    assert options["total_timeout"] is None


def test_it_is_an_option_of_the_environment_too(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with mode.giga(**server.reach) as giga:
            with in_time():
                await giga.chat()
        async with mode.giga(**server.reach, total_timeout=LONG) as giga:
            assert await giga.chat() == "good"

    monkeypatch.setenv("GIGACHAT_TOTAL_TIMEOUT", str(SHORT))
    with Server() as server:
        server.script.append(dripping("a body"))
        mode.run(main)


@pytest.mark.parametrize("value", [0, -1, "soon", float("nan"), float("inf")])
def test_a_time_that_is_none_is_refused(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="total_timeout"):
        GigaChat(access_token="t", total_timeout=value)
    monkeypatch.setenv("GIGACHAT_TOTAL_TIMEOUT", str(value))
    with pytest.raises(ConfigurationError, match="TOTAL_TIMEOUT"):
        GigaChat(access_token="t")


# Others who wait for the same sign-in.


def slow_sign_in(sent: threading.Event) -> Callable[[Peer, Received], None]:
    """Return a response to a sign-in that comes late, and sets an event when the request is there."""

    def respond(peer: Peer, _: Received) -> None:
        sent.set()
        threading.Event().wait(SHORT * 3)
        peer.send(grant("late", 1800))

    return respond


def test_a_sign_in_that_one_gives_up_fails_nobody_else(mode: Mode) -> None:
    """The caller who leads it has less time than those who wait for it."""
    sent = threading.Event()

    async def main() -> None:
        async with (
            mode.giga(**server.options, total_timeout=SHORT) as hasty,
            mode.giga(**server.options) as patient,
            mode.giga(**server.options, total_timeout=LONG) as bounded,
        ):

            async def after(giga: Giga) -> str:
                await mode.until(sent.is_set)
                return await giga.chat()

            results = await mode.together(
                hasty.chat, lambda: after(patient), lambda: after(bounded), lambda: after(patient)
            )
            assert results[1:] == ["good"] * 3
            assert isinstance(results[0], APITimeoutError)
            assert "total_timeout" in str(results[0])

    with Server() as server:
        server.sign_in_script.append(slow_sign_in(sent))
        mode.run(main)


def test_who_waits_for_the_sign_in_of_another_waits_no_longer_than_his_time(mode: Mode) -> None:
    sent = threading.Event()

    async def main() -> None:
        async with (
            mode.giga(**server.options) as patient,
            mode.giga(**server.options, total_timeout=SHORT) as hasty,
        ):

            async def hasten() -> str:
                await mode.until(sent.is_set)
                with in_time():
                    await hasty.chat()
                return "in time"

            assert await mode.together(patient.chat, hasten) == ["good", "in time"]
            await good(hasty)
        assert len(server.sign_ins) == 1
        assert {request.headers["authorization"] for request in server.requests} == {"Bearer late"}

    with Server() as server:
        server.sign_in_script.append(slow_sign_in(sent))
        mode.run(main)
