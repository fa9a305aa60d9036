"""What a connection keeps from one request to the next: nothing but itself; and that none is lost by cancelling."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from gigachat import APIConnectionError, APITimeoutError, AsyncGigaChat, GigaChatException
from gigachat.context import authorization_cvar
from tests.support.certificates import Authority
from tests.support.payloads import DONE, answer, chunked, completion, event, grant, http, refusal, streamed
from tests.support.programs import LEFT_OPEN
from tests.support.proxies import http_proxy, socks_proxy
from tests.support.servers import Act, Peer, Received, hangs, says
from tests.support.waiting import PATIENCE
from tests.wire.modes import EACH_ASYNC_MODE, Giga, Mode
from tests.wire.servers import Server, stall, together

# Cookies.


@pytest.mark.parametrize("hooked", [False, True], ids=["", "hooks"])
def test_a_cookie_of_one_tenant_is_sent_to_nobody(mode: Mode, hooked: bool, tmp_path: Path) -> None:
    def setting(peer: Peer, request: Received) -> None:
        tenant = request.headers["authorization"].removeprefix("Bearer ")
        cookie = ("Set-Cookie", f"session=of-{tenant}; Path=/; Max-Age=3600")
        if request.path.endswith("/content"):
            peer.send(http(b"content", cookie))
        elif b'"stream":true' in request.body:
            peer.send(streamed("good").replace(b"\r\n\r\n", b"\r\nSet-Cookie: session=of-a-stream\r\n\r\n", 1))
        elif b"refused" in request.body:
            peer.send(refusal("no", cookie))
        else:
            peer.send(answer("good", cookie))

    async def main() -> None:
        async with mode.giga(hybrid=True, **server.reach) as giga:
            if hooked:
                giga.hook("request", lambda _: None)
            for tenant in ("A", "B"):
                before = authorization_cvar.set(f"Bearer tenant-{tenant}")
                try:
                    await giga.chat()
                    assert await giga.read() == ["good"]
                    await giga.do("download_file", "f", tmp_path / "file")
                    with pytest.raises(GigaChatException):
                        await giga.chat("refused")
                finally:
                    authorization_cvar.reset(before)

    with Server() as server:
        server.for_ever = setting
        mode.run(main)
        assert len(server.requests) == 8
        assert [request.headers.get("cookie") for request in server.requests] == [None] * 8


@pytest.mark.parametrize("hooked", [False, True], ids=["", "hooks"])
def test_a_cookie_of_the_sign_in_is_not_kept(mode: Mode, hooked: bool) -> None:
    def granting(peer: Peer, _: Received) -> None:
        token = grant(f"token-{len(server.sign_ins)}", 1800)
        peer.send(token.replace(b"\r\n\r\n", b"\r\nSet-Cookie: session=of-the-sign-in; Path=/\r\n\r\n", 1))

    async def main() -> None:
        async with mode.giga(hybrid=True, **server.options) as giga:
            if hooked:
                giga.hook("request", lambda _: None)
            assert await giga.chat() == "good"

    with Server() as server:
        server.sign_in_for_ever = granting
        server.script.append(says(refusal("expired", status=401)))  # so that it signs in again
        mode.run(main)
        requests = server.sign_ins + server.requests
        assert [request.headers.get("cookie") for request in requests] == [None] * len(requests)
        assert len(server.sign_ins) == 2


# Bytes behind an answer.

FORGED = answer("forged: of nobody's question")


def padded(body: bytes, content_type: str, length: int) -> bytes:
    """An answer of so many bytes, head included."""
    overhead = len(http(bytes(length), content_type=content_type)) - length
    padding = length - overhead - len(body)
    comment = b":" * (padding - 1) + b"\n"
    whole = http(body + b" " * padding if "json" in content_type else comment + body, content_type=content_type)
    assert len(whole) == length
    return whole


WHERE = ["in the same piece", "in a piece of its own", "later", "behind 64 KiB", "behind 128 KiB"]


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("secured", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("kind", ["answer", "stream"])
def test_what_comes_behind_an_answer_answers_nothing(
    mode: Mode, kind: str, secured: bool, where: str, authority: Authority
) -> None:
    if not where.startswith("behind"):
        first = answer("first") if kind == "answer" else streamed("first")
    else:
        length = int(where.split()[1]) * 1024
        body = completion("first") if kind == "answer" else event("first", last=True) + DONE
        first = padded(body, "application/json" if kind == "answer" else "text/event-stream", length)
    idle = threading.Event()
    gone_out: list[bytes] = []

    def act(peer: Peer, _: Received) -> None:
        if where == "in the same piece":
            together(peer, first + FORGED)
        elif where == "later":
            peer.send(first)
            idle.wait(PATIENCE)
            peer.send(FORGED)
        else:
            together(peer, first, FORGED)
        gone_out.append(FORGED)

    async def main() -> None:
        async with mode.giga(**server.reach) as giga:
            got = [await giga.chat()] if kind == "answer" else await giga.read()
            assert got == ["first"]
            idle.set()
            await mode.until(lambda: gone_out)
            for _ in range(20):  # the event loop has time to read what came
                await mode.pause(0.001)
            assert await giga.chat() == "good"
            assert await giga.chat() == "good"

    with Server(tls=authority if secured else None) as server:
        server.script.append(act)
        mode.run(main)
        assert [request.connection for request in server.requests] == [1, 2, 2]


@pytest.mark.parametrize("secured", [False, True], ids=["plain", "TLS"])
def test_what_comes_behind_the_answer_of_a_sign_in_is_no_token(mode: Mode, secured: bool, authority: Authority) -> None:
    async def main() -> None:
        async with mode.giga(**server.options) as giga:
            assert await giga.chat() == "good"
            assert await giga.chat() == "good"

    with Server(tls=authority if secured else None) as server:
        server.sign_in_script.append(lambda peer, _: together(peer, grant("first", 1800), grant("forged", 1800)))
        server.sign_in_script.append(says(grant("second", 1800)))
        server.script.extend([says(answer("good")), says(refusal("expired", status=401))])
        mode.run(main)
        assert [request.headers["authorization"] for request in server.requests] == [
            "Bearer first",
            "Bearer first",
            "Bearer second",
        ]
        one, other = server.sign_ins
        assert one.connection != other.connection


@pytest.mark.parametrize("behind", [b"", FORGED], ids=["nothing", "a response"])
def test_what_comes_behind_an_answer_through_a_tls_proxy_answers_nothing(
    mode: Mode, behind: bytes, authority: Authority
) -> None:
    async def main() -> None:
        async with mode.giga(**reach) as giga:
            assert await giga.chat() == "first"
            assert await giga.chat() == "good"

    with Server(tls=authority) as server, http_proxy(server.port, context=authority.context) as proxy:
        reach: dict[str, Any] = server.reach | {"proxy": f"https://127.0.0.1:{proxy.port}"}
        server.script.append(lambda peer, _: together(peer, answer("first"), *([behind] if behind else [])))
        mode.run(main)
        assert [request.connection for request in server.requests] == [1, 2 if behind else 1]


# Opening.


@pytest.mark.parametrize("ends", ["closed", "silent", "nonsense"])
def test_a_tunnel_that_fails_is_asked_for_again(mode: Mode, ends: str) -> None:
    """Even for a chat: the service cannot have received it."""

    async def main() -> None:
        options: dict[str, Any] = proxy.reach | {"base_url": "https://api.example/v1", "proxy": proxy.origin}
        async with mode.giga(**options | {"max_retries": 1, "retry_backoff_factor": 0, "timeout": 0.1}) as giga:
            with pytest.raises(APIConnectionError):
                await giga.chat()

    with Server() as proxy:
        acts: dict[str, Act] = {"closed": lambda peer, _: peer.shut(), "silent": stall, "nonsense": says(b"nonsense\n")}
        proxy.for_ever = acts[ends]
        mode.run(main)
        assert proxy.wait_until(lambda proxy: len(proxy.requests) == 2)  # who loses patience may be faster
        assert {request.method for request in proxy.requests} == {"CONNECT"}


# Dropping.


@pytest.mark.filterwarnings(LEFT_OPEN)
@pytest.mark.filterwarnings("ignore:Async generator 'http:ResourceWarning")  # the library's, under trio
@pytest.mark.parametrize("mode", EACH_ASYNC_MODE)
def test_a_stream_that_is_dropped_is_closed_in_its_event_loop(mode: Mode) -> None:
    """Without another request, which may be in another event loop."""
    responses: list[Any] = []

    async def main() -> None:
        async with mode.giga(hybrid=True, **server.reach) as giga:
            giga.hook("response", responses.append)
            stream = giga.stream()
            assert await giga.next(stream) == "good"
            del stream
            gc.collect()
            await mode.until(lambda: responses[0].is_closed)

    with Server() as server:
        server.script.append(says(streamed("good", "more")[:-5]))
        mode.run(main)


@pytest.mark.filterwarnings(LEFT_OPEN)
@pytest.mark.parametrize("secured", [False, True], ids=["plain", "TLS"])
def test_a_stream_collected_in_a_cycle_with_its_client_closes_its_connection(
    mode: Mode, secured: bool, authority: Authority
) -> None:
    """A socket that is finalized before the stream warns, and the warning is an error here."""

    async def main() -> None:
        giga = Giga(mode, **server.reach)
        await giga.chat()
        stream = giga.stream()
        assert await giga.next(stream) == "good"
        cycle = [giga, stream]
        cycle.append(cycle)
        del giga, stream, cycle
        gc.collect()

    with Server(tls=authority if secured else None) as server:
        server.script += [says(answer("good")), says(streamed("good", "more")[:-5])]
        mode.run(main)
        assert server.wait_for_connections(0)


@pytest.mark.parametrize("own", [False, True], ids=["", "own client"])
def test_a_stream_that_another_closes_ends_for_its_reader(mode: Mode, own: bool) -> None:
    async def main() -> None:
        async with mode.giga(own=own, **server.reach) as giga:
            stream = giga.stream()
            assert await giga.next(stream) == "good"

            read: list[str] = []

            async def close() -> None:
                await mode.until(lambda: read and stream._source._reading is not None)
                await giga.leave(stream)

            assert await mode.together(lambda: giga.read(stream, into=read), close) == [["more"], None]
            assert await giga.chat() == "good"

    with Server() as server:
        server.script.append(says(chunked([event("good"), event("more")], whole=False)))
        mode.run(main)


# Cancelling.

MOST_STEPS = 100


@pytest.mark.parametrize("mode", EACH_ASYNC_MODE)
@pytest.mark.parametrize("signs_in", [False, True], ids=["", "sign-in"])
@pytest.mark.parametrize("way", ["plain", "TLS", "plain HTTP proxy", "TLS HTTP proxy", "plain SOCKS", "TLS SOCKS"])
def test_a_call_cancelled_anywhere_loses_no_connection(
    mode: Mode, way: str, signs_in: bool, authority: Authority
) -> None:
    async def main() -> list[str]:
        lost: list[str] = []
        for step in range(1, MOST_STEPS):
            async with mode.giga(**options, max_connections=1, queue_timeout=10, share_token=False) as giga:
                cancelled = await mode.cancelled_at(step, giga.chat)
                try:
                    assert await giga.chat("after") == "good"
                except GigaChatException as error:
                    lost.append(f"cancelled at step {step}: {error}")
            if not cancelled or len(lost) == 3:
                return lost
        raise AssertionError("the call has no end")

    with ExitStack() as stack:
        server = stack.enter_context(Server(tls=authority if "TLS" in way else None))
        options = server.options if signs_in else server.reach
        if way == "plain HTTP proxy":
            options["proxy"], options["base_url"] = server.origin, "http://api.example/v1"
            options["auth_url"] = server.auth_url.replace(server.origin, "http://oauth.example")
        elif way == "TLS HTTP proxy":
            options["proxy"] = f"http://127.0.0.1:{stack.enter_context(http_proxy(server.port)).port}"
        elif "SOCKS" in way:
            options["proxy"] = f"socks5://127.0.0.1:{stack.enter_context(socks_proxy(server.port)).port}"
        assert mode.run(main) == []
        gc.collect()  # what was left open says so here
        assert server.wait_for_connections(0)


@pytest.mark.parametrize("mode", EACH_ASYNC_MODE)
@pytest.mark.parametrize("secured", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("ended", [True, False], ids=["", "body without end"])
def test_a_stream_cancelled_anywhere_loses_no_connection(
    mode: Mode, secured: bool, ended: bool, authority: Authority
) -> None:
    async def main() -> list[str]:
        lost: list[str] = []
        for step in range(1, MOST_STEPS):
            async with mode.giga(**server.reach, max_connections=1, queue_timeout=10, max_concurrency=1) as giga:
                cancelled = await mode.cancelled_at(step, giga.read)
                try:
                    assert await giga.read() == ["good", "and whole"]
                except GigaChatException as error:
                    lost.append(f"cancelled at step {step}: {error}")
            if not cancelled or len(lost) == 3:
                return lost
        raise AssertionError("the stream has no end")

    pieces = [event("good"), event("and whole", last=True), DONE]
    with Server(chunked(pieces, whole=ended), tls=authority if secured else None) as server:
        assert mode.run(main) == []
        gc.collect()  # what was left open says so here
        assert server.wait_for_connections(0)


def test_connections_of_many_requests_at_once_serve_as_many_again() -> None:
    many = 300
    all_are_here = threading.Barrier(many)

    def wait_for_all(peer: Peer, request: Received) -> None:
        all_are_here.wait(PATIENCE)
        peer.send(answer("good"))

    async def main() -> None:
        async with AsyncGigaChat(**server.reach) as giga:
            for _ in range(2):
                await asyncio.gather(*(giga.chat("x") for _ in range(many)))

    with Server() as server:
        server.for_ever = wait_for_all
        asyncio.run(main())
        assert server.connections < 1.5 * many  # pyreqwest may put some back a moment later


def test_a_call_is_cancelled_though_its_response_has_come() -> None:
    arrived, may_answer, answered = (threading.Semaphore(0) for _ in range(3))

    def wait(peer: Peer, request: Received) -> None:
        arrived.release()
        assert may_answer.acquire(timeout=PATIENCE)
        peer.send(answer("good"))
        answered.release()

    async def main() -> None:
        async with AsyncGigaChat(**server.reach) as giga:
            for _ in range(10):
                call = asyncio.create_task(giga.chat("x"))
                await asyncio.to_thread(arrived.acquire)
                may_answer.release()
                assert answered.acquire(timeout=PATIENCE)
                time.sleep(0.02)  # the response comes while the event loop is busy
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call

    with Server() as server:
        server.for_ever = wait
        asyncio.run(main())


@pytest.mark.parametrize("secured", [False, True], ids=["plain", "TLS"])
def test_a_thousand_events_in_chunks_of_their_own_that_come_at_once(
    mode: Mode, secured: bool, authority: Authority
) -> None:
    texts = [str(number) for number in range(1000)]

    async def main() -> None:
        async with mode.giga(**server.reach) as giga:
            for _ in range(2):
                assert await giga.read() == texts
            stream = giga.stream()
            assert await giga.next(stream) == "0"
            await giga.leave(stream)
            assert await giga.read() == texts

    with Server(streamed(*texts), tls=authority if secured else None) as server:
        mode.run(main)
        assert server.connections <= 2  # the one that was left in the middle is not kept


@pytest.mark.filterwarnings(LEFT_OPEN)
@pytest.mark.parametrize("mode", EACH_ASYNC_MODE)
def test_who_is_cancelled_while_he_waits_for_a_connection_takes_none(mode: Mode) -> None:
    async def main() -> None:
        for step in range(1, MOST_STEPS):
            async with mode.giga(**server.reach, max_connections=1, queue_timeout=0.5) as giga:
                server.script.append(hangs(chunked([event("good")], whole=False)))
                stream = giga.stream()
                assert await giga.next(stream) == "good"
                try:
                    await mode.cancelled_at(step, giga.chat)
                except APITimeoutError:  # it does not suspend so often
                    return
                await giga.leave(stream)
                assert await giga.read() == ["good", "and whole"]

    with Server(streamed("good", "and whole")) as server:
        mode.run(main)
