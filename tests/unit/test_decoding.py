"""Compressed responses: whole, cut, damaged, and much longer than they look."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from gigachat._engine.session import run
from gigachat._engine.transport import Failure, Stage
from gigachat._transport.decoding import ACCEPTED, Decoder, decoder_for
from gigachat._transport.responses import BodyReader
from gigachat.exceptions import APIConnectionError, APIResponseValidationError

if TYPE_CHECKING:
    from collections.abc import Callable

BODY = b'{"answer": "' + "Привет. ".encode() * 40 + bytes(range(32, 127)) + b'"}'
PIECE = 256 * 1024
"""No decoded piece is longer."""


def raw(body: bytes) -> bytes:
    """Deflate without the format around it, as some servers send it."""
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


Pack = tuple[str, "Callable[[bytes], bytes]"]
PACKS: dict[str, Pack] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("x-gzip", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw),
}
packs = pytest.mark.parametrize("pack", PACKS.values(), ids=list(PACKS))


def decoder(encoding: str) -> Decoder:
    made = decoder_for(encoding)
    assert made is not None
    return made


def decoded(unpacking: Decoder, data: bytes, step: int) -> bytes:
    """Feed a body in pieces and return what it decodes to."""
    whole = b""
    for start in range(0, len(data), step):
        unpacking.feed(data[start : start + step])
        while piece := unpacking.take():
            whole += piece
    return whole


# The length of a piece must not matter: zlib knows its format by the first two bytes, gzip by ten.
@pytest.mark.parametrize("step", [1, 2, 3, 7, 11, 10_000])
@packs
def test_a_whole_body_however_it_is_cut_into_pieces(pack: Pack, step: int) -> None:
    unpacking = decoder(pack[0])
    assert decoded(unpacking, pack[1](BODY), step) == BODY
    assert unpacking.is_complete()


@packs
def test_a_body_that_ends_too_early_is_not_complete(pack: Pack) -> None:
    data = pack[1](BODY)
    for cut in range(2, len(data)):
        unpacking = decoder(pack[0])
        assert BODY.startswith(decoded(unpacking, data[:cut], 10_000))
        assert not unpacking.is_complete(), cut


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_body_without_a_byte_is_an_empty_one(encoding: str) -> None:
    unpacking = decoder(encoding)
    assert unpacking.take() == b""
    assert unpacking.is_complete()


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_gzip_may_have_several_members(step: int) -> None:
    unpacking = decoder("gzip")
    first, second = gzip.compress(BODY), gzip.compress(b"more")
    assert decoded(unpacking, first + gzip.compress(b"") + second, step) == BODY + b"more"
    assert unpacking.is_complete()


def test_a_member_that_ends_too_early_is_noticed() -> None:
    second = gzip.compress(BODY)
    for cut in range(1, len(second)):
        unpacking = decoder("gzip")
        decoded(unpacking, gzip.compress(b"first") + second[:cut], 10_000)
        assert not unpacking.is_complete(), cut


@pytest.mark.parametrize("step", [1, 10_000])
@packs
def test_bytes_behind_the_end_are_refused(pack: Pack, step: int) -> None:
    with pytest.raises(APIResponseValidationError, match="cannot be decoded"):
        decoded(decoder(pack[0]), pack[1](BODY) + b"<html>", step)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("data", [b"<html>no</html>", b'{"a": 1}', b"\xff" * 20])
def test_what_is_not_in_the_encoding_is_refused(encoding: str, data: bytes) -> None:
    with pytest.raises(APIResponseValidationError, match="cannot be decoded") as raised:
        decoded(decoder(encoding), data, 10_000)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(("encoding", "pack", "place"), [("gzip", gzip.compress, -5), ("deflate", zlib.compress, -1)])
def test_a_wrong_checksum_is_refused(encoding: str, pack: Callable[[bytes], bytes], place: int) -> None:
    changed = bytearray(pack(BODY))
    changed[place] ^= 1
    with pytest.raises(APIResponseValidationError, match="cannot be decoded"):
        decoded(decoder(encoding), bytes(changed), 10_000)


@pytest.mark.parametrize("size", [PIECE - 1, PIECE, PIECE + 1, PIECE + 21, 80 * PIECE])  # of 21, zlib holds some back
@packs
def test_pieces_are_bounded_whatever_they_decode_to(pack: Pack, size: int) -> None:
    unpacking = decoder(pack[0])
    unpacking.feed(pack[1](bytes(size)))
    sizes = []
    while piece := unpacking.take():
        sizes.append(len(piece))
    assert max(sizes) <= PIECE
    assert sum(sizes) == size
    assert unpacking.is_complete()


@pytest.mark.parametrize("encoding", ["", " ", "identity", " Identity "])
def test_nothing_may_be_encoded(encoding: str) -> None:
    assert decoder_for(encoding) is None


@pytest.mark.parametrize("encoding", ["GZIP", " gzip ", "X-Gzip", "Deflate"])
def test_encodings_have_no_case(encoding: str) -> None:
    assert isinstance(decoder_for(encoding), Decoder)


@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, deflate", "gzip, gzip", "identity, gzip", "new"])
def test_other_encodings_and_several_are_refused_by_name(encoding: str) -> None:
    with pytest.raises(APIResponseValidationError, match=f"content-encoding '{encoding}'"):
        decoder_for(encoding)


def test_only_what_can_be_decoded_is_asked_for() -> None:
    for encoding in ACCEPTED.split(","):
        assert isinstance(decoder_for(encoding), Decoder)


# Bodies.


class Reader(BodyReader):
    """A response whose body is in these pieces."""

    def __init__(self, encoding: str | None, *pieces: bytes) -> None:
        super().__init__(200, {} if encoding is None else {"content-encoding": encoding})
        self.pieces = list(pieces)
        self.state = "open"
        self.longest = 0

    async def receive(self) -> bytes:
        piece = await self._decoded() if self._encoded else await self._next_piece()
        if not self._encoded and not piece:
            await self._end()
        self.longest = max(self.longest, len(piece))
        return piece

    async def _next_piece(self) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""

    async def _end(self) -> None:
        self.state = "ended"

    async def close(self) -> None:
        self.state = "closed"


def read(reader: Reader, limit: int = 10_000) -> Any:
    return run(reader.read(limit))


@pytest.mark.parametrize("encoding", [None, "identity", "gzip"])
def test_a_body_is_read_and_its_connection_kept(encoding: str | None) -> None:
    data = gzip.compress(BODY) if encoding == "gzip" else BODY
    reader = Reader(encoding, data[:20], data[20:])
    assert read(reader) == BODY
    assert reader.state == "ended"


def test_a_body_that_ends_too_early_is_a_broken_connection() -> None:
    reader = Reader("gzip", gzip.compress(BODY)[:-1])
    with pytest.raises(Failure) as raised:
        read(reader)
    assert raised.value.stage is Stage.READING
    assert isinstance(raised.value.error, APIConnectionError)
    assert reader.state == "closed"


@pytest.mark.parametrize(
    ("encoding", "data"), [("gzip", b"<html>"), ("br", b"x"), ("gzip, deflate", zlib.compress(gzip.compress(BODY)))]
)
def test_a_body_that_cannot_be_decoded_closes_the_connection(encoding: str, data: bytes) -> None:
    reader = Reader(encoding, data)
    with pytest.raises(APIResponseValidationError, match="decoded"):
        read(reader)
    assert reader.state == "closed"


@pytest.mark.parametrize("encoding", [None, "gzip", "deflate"])
def test_a_body_may_be_as_long_as_the_limit(encoding: str | None) -> None:
    data = {None: BODY, "gzip": gzip.compress(BODY), "deflate": zlib.compress(BODY)}[encoding]
    assert read(Reader(encoding, data), len(BODY)) == BODY
    longer = Reader(encoding, data)
    with pytest.raises(APIResponseValidationError, match=f"longer than max_response_bytes={len(BODY) - 1}"):
        read(longer, len(BODY) - 1)
    assert longer.state == "closed"


def test_of_a_small_body_that_is_a_large_one_no_more_is_decoded_than_needed() -> None:
    bomb = gzip.compress(bytes(400 * PIECE))
    assert len(bomb) < PIECE
    taken = 0

    class Counting(Reader):
        async def receive(self) -> bytes:
            nonlocal taken
            piece = await super().receive()
            taken += len(piece)
            return piece

    reader = Counting("gzip", bomb)
    with pytest.raises(APIResponseValidationError, match="max_response_bytes"):
        read(reader, 3 * PIECE)
    assert taken <= 4 * PIECE
    assert reader.longest <= PIECE
    assert reader.state == "closed"
