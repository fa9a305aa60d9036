"""No credential is among the variables that tools print with a traceback, when a call is cut short from outside.

That is: cancelled, out of the time that somebody else set, or interrupted by a signal's handler that raises.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import trio

from gigachat import GigaChat, GigaChatException
from gigachat.context import authorization_cvar, custom_headers_cvar
from tests.support.certificates import Authority
from tests.support.payloads import event, head, refusal
from tests.support.programs import LEFT_OPEN, run_program
from tests.support.proxies import http_proxy
from tests.support.servers import Act, Peer, Received
from tests.support.waiting import PATIENCE
from tests.wire.modes import EACH_ASYNC_MODE, Giga, Mode
from tests.wire.servers import Server

KEY = base64.b64encode(b"id:canary-of-the-key").decode()
SECRETS = (
    "canary-token",
    "canary-default",
    "canary-of-the-context",
    "canary-custom",
    "canary-proxy",
    base64.b64encode(b"me:canary-proxy").decode().rstrip("="),
    KEY,
    base64.b64encode(b"id:canary-of-the-pair").decode().rstrip("="),
    "canary-of-the-pair",
    base64.b64encode(b"me:canary-password").decode().rstrip("="),
    "canary-password",
)


class Interrupt(BaseException):
    """What a signal's handler raises."""


@dataclass
class Scene:
    """A place in which a call stays.

    Attributes:
        options: Of the client.
        work: The call.
        reached: Whether it is there.
    """

    options: dict[str, Any]
    work: Callable[[Giga], Any]
    reached: threading.Event = field(default_factory=threading.Event)


async def chat(giga: Giga) -> None:
    await giga.chat()


async def long_chat(giga: Giga) -> None:
    await giga.chat("x" * 6_000_000)  # more than the buffers on the way hold


class Endless:
    """A file that is longer than anybody waits for."""

    def read(self, size: int = -1) -> bytes:
        return b"x" * min(size, 65536)


async def upload(giga: Giga) -> None:
    await giga.do("upload_file", ("a.txt", Endless()))


async def read(giga: Giga) -> None:
    await giga.read()


@contextmanager
def silent(scene: Scene) -> Iterator[str]:
    """Listen, and do nothing with who comes; host and port."""
    kept: list[socket.socket] = []

    def accept() -> None:
        try:
            while True:
                kept.append(listener.accept()[0])
                scene.reached.set()
        except OSError:
            return

    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in kept:
            connection.close()
        thread.join(5)


def sending(scene: Scene, part: bytes) -> Act:
    """Send a part of an answer and stay silent."""

    def act(peer: Peer, _: Received) -> None:
        peer.send(part)
        scene.reached.set()
        peer.stay_silent()

    return act


PLACES = [
    "handshake",
    "tunnel of a proxy",
    "handshake with a proxy",
    "SOCKS",
    "proxy",
    "stream through a proxy",
    "sending",
    "sending a file",
    "sending to a proxy",
    "waiting",
    "waiting with TLS",
    "waiting for a stream",
    "reading",
    "reading with TLS",
    "reading an error",
    "reading a stream",
    "reading a file",
    "waiting for a slot",
    "waiting for a connection",
    "a pause between attempts",
]
SIGN_INS = ["handshake", "proxy", "tunnel of a proxy", "waiting", "waiting with TLS", "reading"]


@contextmanager
def place(name: str, authority: Authority, folder: Path) -> Iterator[Scene]:
    """Set a scene."""
    scene = Scene({"access_token": "canary-token", "max_retries": 0, "timeout": 4}, chat)
    options = scene.options

    async def download(giga: Giga) -> None:
        await giga.do("download_file", "f", folder / "file")

    async def second(giga: Giga) -> None:
        stream = giga.stream()
        await giga.next(stream)
        scene.reached.set()
        try:
            await giga.chat()
        finally:
            if not giga.mode.is_async:
                stream.close()

    with ExitStack() as stack:
        if "proxy" in name or name in ("handshake", "SOCKS", "sending", "sending a file"):
            address = stack.enter_context(silent(scene))
            if name in ("handshake", "tunnel of a proxy", "SOCKS", "handshake with a proxy"):
                options["base_url"] = f"https://{address if name == 'handshake' else 'api.example'}/v1"
            else:
                options["base_url"] = f"http://{'api.example' if 'proxy' in name else address}/v1"
            scheme = {"SOCKS": "socks5", "handshake with a proxy": "https"}.get(name, "http")
            if "proxy" in name or name == "SOCKS":
                options["proxy"] = f"{scheme}://me:canary-proxy@{address}"
            scene.work = {
                "sending": long_chat,
                "sending to a proxy": upload,
                "sending a file": upload,
                "stream through a proxy": read,
            }.get(name, chat)
        else:
            server = stack.enter_context(Server(tls=authority if "TLS" in name else None))
            options.update({**server.reach, **options, "max_retries": 0})
            part = {"waiting": b"", "reading": head(200, ("Content-Length", 100)) + b"{"}.get(name.split()[0], b"")
            if name == "reading an error":
                part = part.replace(b"200", b"400")
            if "stream" in name:
                scene.work = read
                part = part and head(200, ("Content-Type", "text/event-stream")) + event("x")
            if "file" in name:
                scene.work = download
            if name in ("waiting for a slot", "waiting for a connection"):
                scene.work = second
                options["max_concurrency" if name == "waiting for a slot" else "max_connections"] = 1
                begun = head(200, ("Content-Type", "text/event-stream")) + event("x")
                server.script.append(sending(Scene({}, chat), begun))
            elif name == "a pause between attempts":
                options.update({"max_retries": 1, "retry_backoff_factor": 4})

                def refusing(peer: Peer, _: Received) -> None:
                    peer.send(refusal("busy", ("Retry-After", "3"), status=503))
                    scene.reached.set()

                server.script.append(refusing)
            else:
                server.script.append(sending(scene, part))
        yield scene


@contextmanager
def raising_handler() -> Iterator[None]:
    """Have a signal raise, as Ctrl-C does and the soft limit of a worker."""

    def interrupt(*_: object) -> None:
        raise Interrupt

    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "pthread_kill"):
        pytest.skip("signals are for the main thread, and for systems that have them")
    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)


def cut_short(mode: Mode, scene: Scene) -> list[BaseException]:
    """Bring a call to its place, cut it short, and return what was raised."""
    seen: list[BaseException] = []
    main_thread = threading.get_ident()

    async def main() -> None:
        async with mode.giga(**scene.options) as giga:
            try:
                await scene.work(giga)
            except BaseException as error:
                seen.append(error)
                raise

    async def there() -> None:
        await mode.until(scene.reached.is_set)
        await mode.pause(0.05)

    async def in_asyncio() -> None:
        async def end(time: asyncio.Timeout) -> None:
            await there()
            time.reschedule(0)

        try:
            async with asyncio.timeout(None) as time, asyncio.TaskGroup() as tasks:
                tasks.create_task(end(time))
                await main()
        except TimeoutError as error:
            seen.append(error)

    async def in_trio() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(main)
            await there()
            nursery.cancel_scope.cancel()

    def kill() -> None:
        if scene.reached.wait(PATIENCE):
            threading.Event().wait(0.05)  # so that it waits there
            signal.pthread_kill(main_thread, signal.SIGUSR1)

    if mode.is_async:
        mode.run(in_trio if mode.name == "trio" else in_asyncio)
        return seen
    with raising_handler():
        killer = threading.Thread(target=kill)
        killer.start()
        try:
            with pytest.raises(Interrupt):
                mode.run(main)
        finally:
            killer.join()
    return seen


def shown(value: object) -> str:
    """What a tool that prints the variables of frames prints of one."""
    if isinstance(value, str | bytes) and len(value) > 100_000:
        value = value[:100_000]
    try:
        return repr(value)
    except Exception:  # an object that has only begun to be
        return ""


def leaks(error: BaseException) -> list[str]:
    """Where a secret is among the variables of an error's frames, of those below it, and in its texts."""
    found: list[str] = []
    below: BaseException | None = error
    while below is not None:
        for frame, _ in traceback.walk_tb(below.__traceback__):
            code = frame.f_code
            if "/tests/" not in code.co_filename:
                for name, value in frame.f_locals.items():
                    text = shown(value)
                    if any(secret in text for secret in SECRETS):
                        found.append(f"{code.co_filename.rpartition('site-packages/')[2]} {code.co_name}: {name}")
        found += [secret for secret in SECRETS if secret in f"{below!r} {below}"]
        below = below.__cause__ or below.__context__
    return found


def check(mode: Mode, scene: Scene) -> None:
    seen = cut_short(mode, scene)
    kinds = {"blocking": Interrupt, "asyncio": asyncio.CancelledError, "trio": trio.Cancelled}
    assert isinstance(seen[0], kinds[mode.name])
    assert [leak for error in seen for leak in leaks(error)] == []


@pytest.mark.filterwarnings(LEFT_OPEN)  # one holds the only connection
@pytest.mark.parametrize("name", PLACES)
def test_a_call_that_is_cut_short_shows_no_credential(
    mode: Mode, name: str, authority: Authority, tmp_path: Path
) -> None:
    with place(name, authority, tmp_path) as scene:
        scene.options["default_headers"] = {"X-Key": "canary-default"}
        check(mode, scene)
    gc.collect()  # the stream that was left open


@pytest.mark.parametrize("mode", EACH_ASYNC_MODE)
@pytest.mark.parametrize("signs_in", [False, True], ids=["", "sign-in"])
@pytest.mark.parametrize("way", ["plain", "TLS", "proxy", "TLS through a proxy"])
def test_a_call_that_is_cancelled_at_any_step_shows_no_credential(
    mode: Mode, way: str, signs_in: bool, authority: Authority
) -> None:
    async def main() -> None:
        for step in range(1, 100):
            seen: list[BaseException] = []
            async with mode.giga(**options) as giga:

                async def noted(giga: Giga = giga, seen: list[BaseException] = seen) -> None:
                    try:
                        await giga.chat()
                    except BaseException as raised:
                        seen.append(raised)
                        raise

                cancelled = await mode.cancelled_at(step, noted)
            assert [leak for error in seen for leak in leaks(error)] == []
            if not cancelled:
                return

    with reached(way, signs_in, authority) as options:
        mode.run(main)


@contextmanager
def reached(way: str, signs_in: bool, authority: Authority) -> Iterator[dict[str, Any]]:
    """A server on the way that is wanted; how to reach it."""
    with ExitStack() as stack:
        server = stack.enter_context(Server(tls=authority if "TLS" in way else None))
        options = {**server.reach, "access_token": "canary-token", "share_token": False}
        if way == "proxy":
            options |= {"proxy": server.origin.replace("//", "//me:canary-proxy@"), "base_url": "http://api.example/v1"}
        elif way != "plain" and way != "TLS":
            port = stack.enter_context(http_proxy(server.port, login="me:canary-proxy")).port
            options["proxy"] = f"http://me:canary-proxy@127.0.0.1:{port}"
        if signs_in:
            del options["access_token"]
            options |= {"auth_url": server.auth_url, "credentials": KEY}
        yield options


@pytest.mark.slow
@pytest.mark.parametrize("signs_in", [False, True], ids=["", "sign-in"])
@pytest.mark.parametrize("way", ["plain", "TLS", "proxy", "TLS through a proxy"])
def test_a_blocking_call_that_is_interrupted_anywhere_shows_no_credential(
    way: str, signs_in: bool, tmp_path: Path
) -> None:
    """That is, at the beginning of any function; of some of them, for time's sake. In a process of its own."""
    program = (
        f"from tests.wire import test_tracebacks as t; t.interrupt_anywhere({way!r}, {signs_in}, {str(tmp_path)!r})"
    )
    done = run_program(["-c", program])
    assert (done.returncode, done.stdout) == (0, "nothing shown\n"), done.stderr[-2000:]


def interrupt_anywhere(way: str, signs_in: bool, folder: str) -> None:
    """Interrupt a call again and again, and print what that shows."""
    found: list[str] = []
    with reached(way, signs_in, Authority.made(Path(folder))) as options:
        with GigaChat(**options) as giga:
            giga.chat("x")  # what is loaded and built with the first call is not what is tested
        for step in range(1, 100_000, 13):
            with GigaChat(**options) as giga:
                error, enough = interrupted_at(step, partial(giga.chat, "x"))
            if error is not None:
                found += leaks(error)
            if not enough:
                break
    print("\n".join(sorted(set(found))) or "nothing shown")


def interrupted_at(step: int, work: Callable[[], object]) -> tuple[BaseException | None, bool]:
    """Do something and interrupt it at the so-manieth function that begins.

    Returns:
        What was raised, if nobody swallowed it, as the interpreter does in callbacks; whether so many began.
    """
    begun = 0

    def count(_: FrameType, event: str, __: object) -> None:
        nonlocal begun
        begun += event == "call"
        if begun == step:
            raise Interrupt

    sys.setprofile(count)
    try:
        work()
    except BaseException as error:
        return error, True
    finally:
        sys.setprofile(None)
    return None, begun >= step


@pytest.mark.parametrize("name", ["proxy", "sending", "waiting", "reading a stream"])
def test_a_call_that_is_cut_short_shows_no_credential_of_its_context(
    mode: Mode, name: str, authority: Authority, tmp_path: Path
) -> None:
    with place(name, authority, tmp_path) as scene:
        one = authorization_cvar.set("Bearer canary-of-the-context")
        other = custom_headers_cvar.set({"X-Key": "canary-custom"})
        try:
            check(mode, scene)
        finally:
            authorization_cvar.reset(one)
            custom_headers_cvar.reset(other)


@pytest.mark.parametrize("kind", ["key", "pair", "password"])
@pytest.mark.parametrize("name", SIGN_INS)
def test_a_sign_in_that_is_cut_short_shows_no_credential(
    mode: Mode, name: str, kind: str, authority: Authority, tmp_path: Path
) -> None:
    with place(name, authority, tmp_path) as scene:
        options = scene.options
        del options["access_token"]
        options["auth_url"] = options["base_url"]
        options["share_token"] = False
        options |= {
            "key": {"credentials": KEY},
            "pair": {"client_id": "id", "client_secret": "canary-of-the-pair"},
            "password": {"user": "me", "password": "canary-password"},
        }[kind]
        check(mode, scene)


def test_who_waits_for_the_sign_in_of_another_shows_no_credential(mode: Mode) -> None:
    with Server() as server:
        scene = Scene({**server.options, "credentials": KEY, "timeout": 4}, chat)
        server.sign_in_for_ever = sending(scene, b"")
        with GigaChat(**scene.options) as other:

            def lead() -> None:
                with pytest.raises(GigaChatException):
                    other.chat("x")

            leader = threading.Thread(target=lead)
            leader.start()
            try:
                check(mode, scene)
            finally:
                server.close_idle()
                leader.join()
