"""Errors: nothing but the SDK's own, with the name of what is to be mended, and without the library's beneath them."""

from __future__ import annotations

import copy
import pickle
import shutil
import socket
import ssl
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

import gigachat
from gigachat import (
    APIConnectionError,
    APITimeoutError,
    CertificateError,
    ConfigurationError,
    GigaChatException,
    StreamInterruptedError,
)
from gigachat.server import GigaChatServer
from tests.support.certificates import Authority
from tests.support.payloads import head, streamed
from tests.support.programs import run_program
from tests.support.servers import Peer, Received, says
from tests.wire.modes import Giga, Mode
from tests.wire.servers import Server, cut, stall


def printed(program: str, *arguments: str, **variables: str) -> list[str]:
    """Run a program and return the lines it printed."""
    done = run_program(["-c", program, *arguments], variables=variables)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


# Files of the environment and of the package.

KEYS = """
import asyncio, sys
from gigachat import AsyncGigaChat, ConfigurationError, GigaChat

bundle = sys.argv[1]

def blocking(**options):
    GigaChat(**options).chat("x")

def awaited(**options):
    async def main():
        async with AsyncGigaChat(**options) as giga:
            await giga.chat("x")
    asyncio.run(main())

for call in (blocking, awaited):
    for trust in (
        {"ca_bundle_file": bundle},
        {},
        {"verify_ssl_certs": False},
        {"ca_bundle_file": bundle, "verify_ssl_certs": False},
    ):
        try:
            call(max_retries=0, **trust)
        except Exception as error:
            print(type(error).__name__, "SSLKEYLOGFILE" in str(error))
        else:
            print("good")
"""


@pytest.mark.slow
@pytest.mark.parametrize("where", ["no-such-folder/keys.log", "."])
def test_a_file_for_the_keys_of_tls_that_cannot_be_written_is_named(where: str, tmp_path: Path) -> None:
    """Scanners set it to a file of a folder that is not there."""
    with GigaChatServer() as server:
        variables = server.environment | {"SSLKEYLOGFILE": str(tmp_path / where)}
        bundle = variables.pop("GIGACHAT_CA_BUNDLE_FILE")
        assert printed(KEYS, bundle, **variables) == ["ConfigurationError True"] * 8


def test_a_file_for_the_keys_of_tls_is_written(tmp_path: Path) -> None:
    with GigaChatServer() as server:
        variables = server.environment | {"SSLKEYLOGFILE": str(tmp_path / "keys.log")}
        bundle = variables.pop("GIGACHAT_CA_BUNDLE_FILE")
        trusting = ["good", "CertificateError False", "good", "good"]
        assert printed(KEYS, bundle, **variables) == trusting * 2
    assert b"CLIENT_" in (tmp_path / "keys.log").read_bytes()


PACKED = """
import asyncio, sys
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
sys.path.insert(0, sys.argv[1])
from gigachat import AsyncGigaChat, GigaChat
import gigachat
assert gigachat.__file__.startswith(sys.argv[1]), gigachat.__file__

def blocking(**options):
    GigaChat(access_token="x", max_retries=0, **options).chat("x")

def awaited(**options):
    async def main():
        async with AsyncGigaChat(access_token="x", max_retries=0, **options) as giga:
            await giga.chat("x")
    asyncio.run(main())

for call in (blocking, awaited):
    for options in (
        {},
        {"base_url": "https://api.giga.chat/v1"},
        {"trust_russian_ca": False},
        {"base_url": "https://api.example/v1"},
    ):
        try:
            call(proxy="http://127.0.0.1:9", **options)
        except Exception as error:
            print(type(error).__name__, "russian_trusted_root_ca.pem" in str(error))
        else:
            print("good")
"""


@pytest.mark.slow
def test_a_package_that_lacks_its_certificate_says_so(tmp_path: Path) -> None:
    """As one that is packed into a program with its modules only; whoever needs no certificate of ours goes on."""
    sources = Path(gigachat.__file__).parent
    only_modules = shutil.ignore_patterns("*.pem", "*.html", "*.css", "*.js", "__pycache__")
    shutil.copytree(sources, tmp_path / "gigachat", ignore=only_modules)
    missing = "ConfigurationError True"
    elsewhere = "APIConnectionError False"
    assert printed(PACKED, str(tmp_path)) == [missing, missing, elsewhere, elsewhere] * 2


# Clients that are closed.


def check_closed(error: BaseException) -> None:
    assert isinstance(error, GigaChatException)
    assert isinstance(error, RuntimeError)
    assert "closed" in str(error)
    assert not isinstance(error, ConnectionError)
    for again in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (type(again), str(again)) == (type(error), str(error))


async def attempts(giga: Giga, folder: Path) -> list[BaseException]:
    """What is raised by each kind of use."""
    raised: list[BaseException] = []
    uses: list[Callable[[], Any]] = [
        giga.chat,
        giga.read,
        lambda: giga.do("download_file", "f", folder / "file"),
        lambda: giga.do("upload_file", ("a.txt", b"x")),
    ]
    for use in uses:
        with pytest.raises(GigaChatException) as caught:
            await use()
        raised.append(caught.value)
    return raised


@pytest.mark.parametrize("used", [False, True], ids=["unused", "used"])
def test_an_own_client_that_is_closed_is_said_to_be(mode: Mode, used: bool, tmp_path: Path) -> None:
    async def main() -> list[BaseException]:
        kind: Any = httpx2.AsyncClient if mode.is_async else httpx2.Client
        brought = kind(verify=False, trust_env=False)
        option = {"async_http_client" if mode.is_async else "http_client": brought}
        async with mode.giga(**server.reach, **option) as giga:
            if used:
                await giga.chat()
            closing = brought.aclose if mode.is_async else brought.close
            await closing() if mode.is_async else closing()
            return await attempts(giga, tmp_path)

    with Server() as server:
        for error in mode.run(main):
            check_closed(error)


@pytest.mark.parametrize("own", [False, True], ids=["", "own client"])
@pytest.mark.parametrize("hybrid", [False, True], ids=["", "hybrid"])
def test_a_client_that_is_closed_is_said_to_be(mode: Mode, hybrid: bool, own: bool, tmp_path: Path) -> None:
    async def main() -> list[BaseException]:
        async with mode.giga(hybrid=hybrid, own=own, **server.reach) as giga:
            await giga.chat()
            await giga.close()
            return await attempts(giga, tmp_path)

    with Server() as server:
        for error in mode.run(main):
            check_closed(error)
        assert len(server.requests) == 1


def test_a_sign_in_of_a_closed_client_is_none(mode: Mode, tmp_path: Path) -> None:
    async def main() -> list[BaseException]:
        async with mode.giga(**server.options) as giga:
            await giga.chat()
            await giga.close()
            return await attempts(giga, tmp_path)

    with Server() as server:
        server.token_lifetime = 0.001
        for error in mode.run(main):
            check_closed(error)


# What is beneath an error of the wire.


async def chat(giga: Giga) -> None:
    await giga.chat()


async def read(giga: Giga) -> None:
    await giga.read()


async def upload(giga: Giga) -> None:
    await giga.do("upload_file", ("a.txt", b"x" * 1_000_000))


@contextmanager
def trouble(kind: str, authority: Authority) -> Iterator[tuple[dict[str, Any], type[GigaChatException]]]:
    """A server or none, with which calls fail: how to reach it, and what they raise."""

    def half(peer: Peer, _: Received) -> None:
        peer.send(head(200, ("Content-Length", 100)) + b"{")
        cut(peer)

    def half_a_stream(peer: Peer, _: Received) -> None:
        peer.send(streamed("x").partition(b"\r\n\r\n")[0] + b"\r\n\r\n5\r\ndata:\r\n")
        cut(peer)

    with ExitStack() as stack:
        if kind == "refused":
            with socket.create_server(("127.0.0.1", 0)) as listener:
                port = listener.getsockname()[1]
            reach: dict[str, Any] = {"base_url": f"http://127.0.0.1:{port}/v1", "access_token": "t", "max_retries": 0}
            yield reach, APIConnectionError
            return
        server = stack.enter_context(Server(tls=authority if kind in ("certificate", "no TLS there") else None))
        reach = server.reach
        if kind == "certificate":
            del reach["ca_bundle_file"]
        acts = {"nonsense": says(b"nonsense\r\n\r\n"), "half": half, "half a stream": half_a_stream}
        acts |= {"reset": lambda peer, _: peer.reset(), "ended": lambda peer, _: peer.shut(), "silence": stall}
        if kind in acts:
            server.for_ever = acts[kind]
        if kind == "silence":
            reach["timeout"] = 0.1
        if kind == "no TLS there":
            reach["base_url"] = reach["base_url"].replace("https", "http")
        if kind == "TLS not there":
            reach["base_url"] = reach["base_url"].replace("http", "https")
        if kind == "no host":
            reach["base_url"] = "http://host.invalid/v1"
        if kind == "proxy":
            reach |= {"proxy": server.origin, "base_url": "https://api.example/v1"}
            server.for_ever = says(head(407, ("Content-Length", 0)))
        classes: dict[str, type[GigaChatException]] = {"certificate": CertificateError, "silence": APITimeoutError}
        yield reach, classes.get(kind, StreamInterruptedError if kind == "half a stream" else APIConnectionError)


TROUBLES = ["refused", "certificate", "silence", "reset", "ended", "half", "nonsense", "no TLS there", "TLS not there"]


def check_beneath(error: GigaChatException) -> None:
    """Nothing is printed beneath it, and what was is at hand."""
    assert error.__cause__ is None
    assert error.__suppress_context__
    cause: Any = error
    assert isinstance(cause.cause, BaseException)
    assert not isinstance(cause.cause, GigaChatException)
    for again in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (type(again), str(again)) == (type(error), str(error))
        assert again.__cause__ is None


@pytest.mark.parametrize("work", [chat, read, upload], ids=["chat", "stream", "upload"])
@pytest.mark.parametrize("kind", [*TROUBLES, "no host", "proxy"])
def test_an_error_of_the_wire_has_nothing_beneath_it(
    mode: Mode, kind: str, work: Callable[[Giga], Any], authority: Authority
) -> None:
    async def main() -> None:
        async with mode.giga(**reach) as giga:
            await work(giga)

    with trouble(kind, authority) as (reach, expected):
        with pytest.raises(expected) as raised:
            mode.run(main)
    check_beneath(raised.value)


def test_an_error_inside_a_stream_has_nothing_beneath_it(mode: Mode, authority: Authority) -> None:
    async def main() -> None:
        async with mode.giga(**reach) as giga:
            await giga.read()

    with trouble("half a stream", authority) as (reach, expected):
        with pytest.raises(expected) as raised:
            mode.run(main)
    check_beneath(raised.value)


def test_an_error_of_a_download_has_nothing_beneath_it(mode: Mode, authority: Authority, tmp_path: Path) -> None:
    async def main() -> None:
        async with mode.giga(**reach) as giga:
            await giga.do("download_file", "f", tmp_path / "file")

    for kind in ("half", "refused"):
        with trouble(kind, authority) as (reach, expected):
            with pytest.raises(expected) as raised:
                mode.run(main)
        check_beneath(raised.value)


@pytest.mark.parametrize("kind", TROUBLES)
def test_an_error_of_a_sign_in_has_nothing_beneath_it(mode: Mode, kind: str, authority: Authority) -> None:
    async def main() -> None:
        async with mode.giga(**reach) as giga:
            await giga.chat()

    with trouble(kind, authority) as (reach, expected):
        del reach["access_token"]
        reach |= {"credentials": "aWQ6c2VjcmV0", "auth_url": f"{reach['base_url']}/oauth", "share_token": False}
        with pytest.raises(expected) as raised:
            mode.run(main)
    check_beneath(raised.value)


@pytest.mark.filterwarnings("ignore:Async generator 'http:ResourceWarning")  # the library's, under trio
@pytest.mark.parametrize("kind", ["refused", "silence", "half"])
def test_an_error_of_an_own_client_has_nothing_beneath_it(mode: Mode, kind: str, authority: Authority) -> None:
    async def main() -> None:
        async with mode.giga(own=True, **reach) as giga:
            await giga.chat()

    with trouble(kind, authority) as (reach, expected):
        with pytest.raises(expected) as raised:
            mode.run(main)
    check_beneath(raised.value)


def test_an_own_client_that_cannot_have_the_address_says_so(mode: Mode) -> None:
    async def main() -> None:
        async with mode.giga(own=True, base_url="https://api.example/v1", access_token="t") as giga:
            await giga.do("request", "GET", "/" + "long" * 20_000)

    with pytest.raises(ConfigurationError, match="cannot be sent"):
        mode.run(main)


def test_a_response_that_a_hook_closes_is_broken(mode: Mode) -> None:
    async def closed(response: Any) -> None:
        await response.aclose()

    async def main() -> None:
        async with mode.giga(hybrid=True, **server.reach) as giga:
            client = giga.client._aclient if mode.is_async else giga.client._client
            client.event_hooks["response"].append(closed if mode.is_async else lambda response: response.close())
            await giga.chat()

    with Server() as server:
        with pytest.raises(APIConnectionError, match="broke during the response") as raised:
            mode.run(main)
    check_beneath(raised.value)


@pytest.mark.filterwarnings("ignore:Async generator 'http:ResourceWarning")  # the library's, under trio
@pytest.mark.parametrize("own", [False, True], ids=["", "own client"])
@pytest.mark.parametrize("kind", ["refused", "half"])
def test_an_error_that_the_caller_handles_meanwhile_is_no_cause(
    mode: Mode, kind: str, own: bool, authority: Authority
) -> None:
    async def main() -> None:
        async with mode.giga(own=own, **reach) as giga:
            try:
                raise ssl.SSLCertVerificationError(1, "of another connection")
            except ssl.SSLError:
                await giga.chat()

    with trouble(kind, authority) as (reach, expected):
        with pytest.raises(expected) as raised:
            mode.run(main)
    assert "certificate" not in str(raised.value)


def test_an_error_after_repetitions_has_nothing_beneath_it(mode: Mode, authority: Authority) -> None:
    async def main() -> None:
        async with mode.giga(**{**reach, "max_retries": 2, "retry_backoff_factor": 0}) as giga:
            await giga.chat()

    with trouble("refused", authority) as (reach, expected):
        with pytest.raises(expected) as raised:
            mode.run(main)
    check_beneath(raised.value)


@pytest.mark.parametrize("signs_in", [False, True], ids=["", "sign-in"])
def test_what_is_printed_of_a_refused_connection_is_short(mode: Mode, signs_in: bool, authority: Authority) -> None:
    async def main() -> None:
        async with mode.giga(**reach) as giga:
            await giga.chat()

    with trouble("refused", authority) as (reach, expected):
        if signs_in:
            del reach["access_token"]
            reach |= {"credentials": "aWQ6c2VjcmV0", "auth_url": f"{reach['base_url']}/oauth", "share_token": False}
        with pytest.raises(expected) as raised:
            mode.run(main)
    of_ours = raised.value.__traceback__
    while of_ours is not None and "/gigachat/" not in of_ours.tb_frame.f_code.co_filename:
        of_ours = of_ours.tb_next
    lines = "".join(traceback.format_exception(raised.type, raised.value, of_ours)).splitlines()
    assert len([line for line in lines if line.strip(" ^~")]) <= 25
    assert not [line for line in lines if "httpcore" in line or "httpx" in line]
    assert lines[-1].startswith("gigachat.exceptions.APIConnectionError: no connection to 127.0.0.1:")
