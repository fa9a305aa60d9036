"""Bodies: which codings are read, and that one that is not whole is no answer."""

from __future__ import annotations

import gzip
import json
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gigachat import APIConnectionError, APIResponseValidationError, BadRequestError, GigaChatException
from gigachat._engine.transport import Failure, Request, Timeouts
from tests.support.certificates import Authority
from tests.support.payloads import DONE, chunked, completion, event, head, http
from tests.support.servers import Act, Peer, Received, says
from tests.wire.modes import Giga, Mode, with_client
from tests.wire.servers import Server, cut, end_tls, stall

Coder = Callable[[bytes], bytes]


def raw_deflate(body: bytes) -> bytes:
    """Deflate without the frame of zlib, which some servers send under the same name."""
    squeezing = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return squeezing.compress(body) + squeezing.flush()


def as_it_is(body: bytes) -> bytes:
    return body


READ: dict[str, tuple[str, Coder]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("x-gzip", gzip.compress),
    "GZip": ("GZip", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
    "DEFLATE": ("DEFLATE", zlib.compress),
    "identity": ("identity", as_it_is),
    "Identity": ("Identity", as_it_is),
    "no name": ("", as_it_is),
    "several members": ("gzip", lambda body: gzip.compress(body[:20]) + gzip.compress(body[20:])),
    "many members": ("gzip", lambda body: b"".join(gzip.compress(bytes((byte,))) for byte in body)),
    "an empty member": ("gzip", lambda body: gzip.compress(body) + gzip.compress(b"")),
}
REFUSED: dict[str, tuple[str, Coder]] = {
    "gzip, gzip": ("gzip, gzip", lambda body: gzip.compress(gzip.compress(body))),
    "deflate,gzip": ("deflate,gzip", lambda body: gzip.compress(zlib.compress(body))),
    "br": ("br", as_it_is),
    "zstd": ("zstd", as_it_is),
    "nonsense": ("nonsense", as_it_is),
}
BROKEN: dict[str, tuple[str, Coder]] = {
    "gzip cut in its head": ("gzip", lambda body: gzip.compress(body)[:5]),
    "gzip cut in the middle": ("gzip", lambda body: gzip.compress(body)[: len(gzip.compress(body)) // 2]),
    "gzip cut before its sums": ("gzip", lambda body: gzip.compress(body)[:-8]),
    "gzip cut in its sums": ("gzip", lambda body: gzip.compress(body)[:-3]),
    "gzip with a wrong sum": ("gzip", lambda body: _changed(gzip.compress(body), -8)),
    "gzip with a wrong length": ("gzip", lambda body: _changed(gzip.compress(body), -4)),
    "gzip with something behind": ("gzip", lambda body: gzip.compress(body) + b"something"),
    "gzip cut in its second member": ("gzip", lambda body: gzip.compress(body) + gzip.compress(b"more")[:-6]),
    "no gzip": ("gzip", as_it_is),
    "deflate cut in the middle": ("deflate", lambda body: zlib.compress(body)[: len(zlib.compress(body)) // 2]),
    "deflate cut in its sum": ("deflate", lambda body: zlib.compress(body)[:-2]),
    "deflate with a wrong sum": ("deflate", lambda body: _changed(zlib.compress(body), -1)),
    "deflate with something behind": ("deflate", lambda body: zlib.compress(body) + b"something"),
    "raw deflate cut": ("deflate", lambda body: raw_deflate(body)[:-2]),
    "no deflate": ("deflate", as_it_is),
}


def _changed(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 0xFF
    return bytes(changed)


def coded(kind: tuple[str, Coder], body: bytes, *, status: int = 200, content_type: str = "application/json") -> bytes:
    name, coder = kind
    return http(coder(body), ("Content-Encoding", name), status=status, content_type=content_type)


# What the library has begun to read and not read to its end, trio complains of; nobody else can end it.
_left_open = pytest.mark.filterwarnings("ignore:Async generator 'http:ResourceWarning")
own = pytest.mark.parametrize("own", [False, pytest.param(True, marks=_left_open)], ids=["", "own client"])
read = pytest.mark.parametrize("kind", READ.values(), ids=list(READ))
refused = pytest.mark.parametrize("kind", REFUSED.values(), ids=list(REFUSED))
broken = pytest.mark.parametrize("kind", BROKEN.values(), ids=list(BROKEN))
EVENTS = event("да") + event("нет", last=True)


async def refused_chat(giga: Giga) -> BadRequestError:
    with pytest.raises(BadRequestError) as raised:
        await giga.chat()
    return raised.value


def downloading(path: Path) -> Callable[[Giga], Any]:
    async def download(giga: Giga) -> bytes:
        await giga.do("download_file", "f", path)
        return path.read_bytes()

    return download


# What is read.


@own
@read
def test_an_answer_is_read(mode: Mode, own: bool, kind: tuple[str, Coder]) -> None:
    with Server(coded(kind, completion("да" * 1000))) as server:
        assert with_client(mode, server.reach, Giga.chat, own=own) == "да" * 1000


@own
@read
def test_the_words_of_an_error_are_read(mode: Mode, own: bool, kind: tuple[str, Coder]) -> None:
    body = json.dumps({"message": "wrong " * 100}).encode()
    with Server(coded(kind, body, status=400)) as server:
        assert with_client(mode, server.reach, refused_chat, own=own).message == "wrong " * 100


@own
@read
def test_the_answer_of_a_sign_in_is_read(mode: Mode, own: bool, kind: tuple[str, Coder]) -> None:
    with Server() as server:
        server.sign_in_for_ever = says(coded(kind, json.dumps({"access_token": "of-this-one"}).encode()))
        assert with_client(mode, server.options, Giga.chat, own=own) == "good"
        assert server.requests[0].headers["authorization"] == "Bearer of-this-one"


@own
@read
def test_a_stream_is_read(mode: Mode, own: bool, kind: tuple[str, Coder]) -> None:
    for body in (EVENTS, EVENTS + DONE):  # the mark, and the end of what is whole, are both an end
        with Server(coded(kind, body, content_type="text/event-stream")) as server:
            assert with_client(mode, server.reach, Giga.read, own=own) == ["да", "нет"]


@own
@read
def test_a_file_is_read(mode: Mode, own: bool, kind: tuple[str, Coder], tmp_path: Path) -> None:
    content = bytes(range(256)) * 8
    with Server(coded(kind, content, content_type="application/octet-stream")) as server:
        assert with_client(mode, server.reach, downloading(tmp_path / "file"), own=own) == content


def test_an_event_is_there_when_its_piece_has_come(mode: Mode) -> None:
    """A stream is unpacked as it comes, not at its end."""
    packing = zlib.compressobj(wbits=31)
    pieces = [packing.compress(event("да")) + packing.flush(zlib.Z_SYNC_FLUSH)]
    pieces.append(packing.compress(event("нет", last=True) + DONE) + packing.flush())
    taken: list[str] = []
    going_on = threading.Event()

    def act(peer: Peer, _: Received) -> None:
        peer.send(head(200, ("Content-Type", "text/event-stream"), ("Content-Encoding", "gzip")) + pieces[0])
        if going_on.wait(5):
            peer.send(pieces[1])
        peer.cut()

    async def main() -> None:
        async with mode.giga(**server.reach) as giga:
            stream = giga.stream()
            taken.append(await giga.next(stream))
            going_on.set()
            await giga.read(stream, into=taken)

    with Server() as server:
        server.script.append(act)
        mode.run(main)
    assert taken == ["да", "нет"]


# What is refused.


def check_refusal(error: APIResponseValidationError, kind: tuple[str, Coder]) -> None:
    assert kind[0].lower() in str(error).lower()


@own
@refused
def test_an_answer_of_an_unknown_coding_is_refused(mode: Mode, own: bool, kind: tuple[str, Coder]) -> None:
    with Server(coded(kind, completion("да"))) as server:
        with pytest.raises(APIResponseValidationError) as raised:
            with_client(mode, server.reach, Giga.chat, own=own)
        check_refusal(raised.value, kind)


def test_codings_in_two_headers_are_two(mode: Mode) -> None:
    body = gzip.compress(gzip.compress(completion("да")))
    with Server(http(body, ("Content-Encoding", "gzip"), ("Content-Encoding", "gzip"))) as server:
        with pytest.raises(APIResponseValidationError, match="gzip"):
            with_client(mode, server.reach, Giga.chat)


@own
@refused
def test_an_error_of_an_unknown_coding_has_its_status(mode: Mode, own: bool, kind: tuple[str, Coder]) -> None:
    with Server(coded(kind, b'{"message": "wrong"}', status=400)) as server:
        assert with_client(mode, server.reach, refused_chat, own=own).status_code == 400


@own
@refused
def test_a_sign_in_of_an_unknown_coding_is_refused(mode: Mode, own: bool, kind: tuple[str, Coder]) -> None:
    with Server() as server:
        server.sign_in_for_ever = says(coded(kind, b'{"access_token": "t"}'))
        with pytest.raises(APIResponseValidationError) as raised:
            with_client(mode, server.options, Giga.chat, own=own)
        check_refusal(raised.value, kind)
        assert server.requests == []


@own
@refused
def test_a_stream_of_an_unknown_coding_is_refused(mode: Mode, own: bool, kind: tuple[str, Coder]) -> None:
    with Server(coded(kind, EVENTS + DONE, content_type="text/event-stream")) as server:
        with pytest.raises(APIResponseValidationError) as raised:
            with_client(mode, server.reach, Giga.read, own=own)
        check_refusal(raised.value, kind)


@own
@refused
def test_a_file_of_an_unknown_coding_is_not_written(
    mode: Mode, own: bool, kind: tuple[str, Coder], tmp_path: Path
) -> None:
    with Server(coded(kind, b"content", content_type="application/octet-stream")) as server:
        with pytest.raises(APIResponseValidationError) as raised:
            with_client(mode, server.reach, downloading(tmp_path / "file"), own=own)
        check_refusal(raised.value, kind)
    assert list(tmp_path.iterdir()) == []


# What is broken.


@own
@broken
def test_half_an_answer_is_none(mode: Mode, own: bool, kind: tuple[str, Coder]) -> None:
    with Server(coded(kind, completion("да"))) as server:
        with pytest.raises(GigaChatException):
            with_client(mode, server.reach, Giga.chat, own=own)


@own
@broken
def test_half_an_error_has_its_status(mode: Mode, own: bool, kind: tuple[str, Coder]) -> None:
    with Server(coded(kind, b'{"message": "wrong"}', status=400)) as server:
        assert with_client(mode, server.reach, refused_chat, own=own).status_code == 400


@own
@broken
def test_half_a_sign_in_is_none(mode: Mode, own: bool, kind: tuple[str, Coder]) -> None:
    with Server() as server:
        server.sign_in_for_ever = says(coded(kind, b'{"access_token": "t"} '))
        with pytest.raises(GigaChatException):
            with_client(mode, server.options, Giga.chat, own=own)
        assert server.requests == []


@own
@broken
def test_half_a_stream_is_broken_off(mode: Mode, own: bool, kind: tuple[str, Coder]) -> None:
    """Also where its last chunk has a finish reason, behind which the end of a body that is whole would be its end."""
    with Server(coded(kind, EVENTS, content_type="text/event-stream")) as server:
        with pytest.raises(GigaChatException):
            with_client(mode, server.reach, Giga.read, own=own)


@own
@broken
def test_half_a_file_is_not_written(mode: Mode, own: bool, kind: tuple[str, Coder], tmp_path: Path) -> None:
    with Server(coded(kind, bytes(range(256)) * 100, content_type="application/octet-stream")) as server:
        with pytest.raises(GigaChatException):
            with_client(mode, server.reach, downloading(tmp_path / "file"), own=own)
    assert list(tmp_path.iterdir()) == []


# Bodies that have no length: they are whole where the connection ends as it should.

FORMS: dict[str, tuple[bytes, str, Callable[[Path], Callable[[Giga], Any]], Any]] = {
    "answer": (completion("да"), "application/json", lambda _: Giga.chat, "да"),
    "stream": (EVENTS, "text/event-stream", lambda _: Giga.read, ["да", "нет"]),
    "file": (b"content", "application/octet-stream", lambda folder: downloading(folder / "file"), b"content"),
}
forms = pytest.mark.parametrize("form", list(FORMS))


def endless(form: str, end: Callable[[Peer], None], *headers: tuple[str, str]) -> Act:
    """Send a body without a length, and end."""
    body, content_type, _, _ = FORMS[form]

    def act(peer: Peer, _: Received) -> None:
        peer.send(head(200, ("Content-Type", content_type), ("Connection", "close"), *headers) + body)
        end(peer)

    return act


@forms
def test_what_ends_without_the_word_of_tls_is_not_whole(
    mode: Mode, form: str, authority: Authority, tmp_path: Path
) -> None:
    """Anybody on the way can end a connection of TCP."""
    with Server(tls=authority) as server:
        server.script.append(endless(form, cut))
        with pytest.raises(APIConnectionError):
            with_client(mode, server.reach, FORMS[form][2](tmp_path))
    assert list(tmp_path.iterdir()) == []


@forms
def test_what_ends_with_the_word_of_tls_is_whole(mode: Mode, form: str, authority: Authority, tmp_path: Path) -> None:
    with Server(tls=authority) as server:
        server.script.append(endless(form, end_tls))
        assert with_client(mode, server.reach, FORMS[form][2](tmp_path)) == FORMS[form][3]


@own
@forms
def test_without_tls_the_end_of_the_connection_is_the_end(mode: Mode, own: bool, form: str, tmp_path: Path) -> None:
    with Server() as server:
        server.script.append(endless(form, Peer.cut))
        assert with_client(mode, server.reach, FORMS[form][2](tmp_path), own=own) == FORMS[form][3]


@pytest.mark.parametrize("secured", [False, True], ids=["plain", "TLS"])
def test_what_this_side_interrupts_is_not_whole(mode: Mode, secured: bool, authority: Authority) -> None:
    async def main() -> None:
        async with mode.giga(**server.reach) as giga:
            transport = (giga.client._async if mode.is_async else giga.client._blocking).transport
            response = await transport.send(Request("GET", server.origin, {}, None, Timeouts(5, 5, 5, 5)))
            assert await response.receive() == b"content"
            await response.interrupt()
            with pytest.raises(Failure) as raised:
                await response.receive()
            assert isinstance(raised.value.error, APIConnectionError)

    with Server(tls=authority if secured else None) as server:
        server.script.append(endless("file", stall))
        mode.run(main)


def test_an_interrupt_behind_the_end_interrupts_nothing(mode: Mode) -> None:
    async def main() -> None:
        async with mode.giga(**server.reach) as giga:
            transport = (giga.client._async if mode.is_async else giga.client._blocking).transport
            response = await transport.send(Request("GET", server.origin, {}, None, Timeouts(5, 5, 5, 5)))
            while await response.receive():
                pass
            await response.interrupt()
            assert await giga.chat() == "good"

    with Server() as server:
        mode.run(main)
        assert server.connections == 1


def test_an_end_mark_without_a_line_end_is_one(mode: Mode) -> None:
    with Server(chunked([EVENTS, DONE.rstrip()])) as server:
        assert with_client(mode, server.reach, Giga.read) == ["да", "нет"]


@pytest.mark.parametrize("secured", [False, True], ids=["plain", "TLS"])
@forms
def test_what_is_shorter_than_announced_is_not_whole(
    mode: Mode, form: str, secured: bool, authority: Authority, tmp_path: Path
) -> None:
    """Whatever ends it."""
    length = ("Content-Length", str(len(FORMS[form][0]) + 1))
    for end in (cut, end_tls):
        with Server(tls=authority if secured else None) as server:
            server.script.append(endless(form, end, length))
            with pytest.raises(APIConnectionError):
                with_client(mode, server.reach, FORMS[form][2](tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_an_error_that_is_cut_has_its_status(mode: Mode, authority: Authority) -> None:
    def act(peer: Peer, _: Received) -> None:
        peer.send(head(400, ("Content-Type", "application/json")) + b'{"message": "wro')
        cut(peer)

    with Server(tls=authority) as server:
        server.script.append(act)
        assert with_client(mode, server.reach, refused_chat).status_code == 400
