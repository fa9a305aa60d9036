"""Content encodings of responses: gzip, x-gzip, deflate, and none. Others are not asked for, and refused.

Decoded bytes are handed out in bounded pieces, so that a small body cannot fill the memory. A body is complete only if
its compressed data is: cut or with bytes behind it, it is an error.
"""

from __future__ import annotations

import zlib

from gigachat.exceptions import APIResponseValidationError

ACCEPTED = "gzip, deflate"
_MOST = 256 * 1024  # decoded bytes of one piece
_GZIP, _ZLIB, _RAW = 31, 15, -15  # window bits, by which zlib knows the format
_ZLIB_HEAD = 2  # bytes by which deflate in the format of zlib is known


def decoder_for(encoding: str) -> Decoder | None:
    """Return a decoder for the `content-encoding` of a response; None if there is nothing to decode.

    Raises:
        APIResponseValidationError: The encoding was not requested.
    """
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return None
    if name not in ("gzip", "x-gzip", "deflate"):
        raise APIResponseValidationError(f"the response has content-encoding {name!r}; {ACCEPTED} can be decoded")
    return Decoder(_ZLIB if name == "deflate" else _GZIP)


class Decoder:
    """Decodes one body.

    Args:
        bits: Window bits of zlib.
    """

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._inflate = zlib.decompressobj(bits)
        self._data = b""
        self._begun = False  # whether the format is known to be right
        self._more = False  # whether zlib may hold decoded bytes back
        self._complete = False

    def feed(self, data: bytes) -> None:
        """Add a piece of the body."""
        self._data += data

    def take(self) -> bytes:
        """Return decoded bytes; none if more of the body is needed first.

        Raises:
            APIResponseValidationError: The bytes are not in the encoding.
        """
        while self._data or self._more:
            if self._bits == _ZLIB and not self._begun and len(self._data) < _ZLIB_HEAD:
                return b""
            if self._complete:
                self._next_member()
            try:
                decoded = self._inflate.decompress(self._data, _MOST)
            except zlib.error as error:
                if self._bits == _ZLIB and not self._begun:
                    # Some servers send deflate without the format around it.
                    self._bits = _RAW
                    self._inflate = zlib.decompressobj(_RAW)
                    continue
                raise _undecodable(str(error)) from None
            self._begun = True
            self._complete = self._inflate.eof
            self._more = len(decoded) == _MOST and not self._complete
            self._data = self._inflate.unused_data if self._complete else self._inflate.unconsumed_tail
            if decoded:
                return decoded
        return b""

    def _next_member(self) -> None:
        if self._bits != _GZIP:
            raise _undecodable("there are bytes behind its end")
        self._inflate = zlib.decompressobj(_GZIP)
        self._complete = False

    def is_complete(self) -> bool:
        """Whether the body may end here."""
        return self._complete or not (self._begun or self._data)


def _undecodable(reason: str) -> APIResponseValidationError:
    return APIResponseValidationError(f"the compressed response cannot be decoded: {reason}")
