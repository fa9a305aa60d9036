"""A small real JPEG: a mosaic of grey squares drawn from a text, so that each text has its own picture.

It stands in for the image generator. Only the smallest part of the format is written: one grey component, no
detail inside a square. It must not be taken for an encoder.
"""

from __future__ import annotations

import hashlib

_SQUARES = 8
"""Squares in a row; each is one block of 8 x 8 pixels."""
_STEP = 16
"""Quantiser of the one coefficient a square has: two grey levels."""
# Huffman tables: for brightness differences of 0 to 11 bits all codes have 4 bits, in order, so that a code is its
# index; of the detail there is only "no more".
_DC = bytes([0, 0, 0, 12, *[0] * 12, *range(12)])
_AC = bytes([1, *[0] * 15, 0])


def jpeg_of(text: str) -> bytes:
    """Return a JPEG of 64 x 64 pixels that depends on the text alone."""
    shades = hashlib.sha256(text.encode("utf-8", "replace")).digest() * 2
    size = _SQUARES * 8
    frame = bytes([8, 0, size, 0, size, 1, 1, 0x11, 0])
    return b"".join(
        [
            b"\xff\xd8",
            _segment(0xE0, b"JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"),
            _segment(0xDB, bytes([0]) + bytes([_STEP] * 64)),
            _segment(0xC0, frame),
            _segment(0xC4, b"\x00" + _DC),
            _segment(0xC4, b"\x10" + _AC),
            _segment(0xDA, bytes([1, 1, 0, 0, 63, 0])),
            _scan([(shade - 128) // 2 for shade in shades[: _SQUARES * _SQUARES]]),
            b"\xff\xd9",
        ]
    )


def _segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


def _scan(levels: list[int]) -> bytes:
    """Return the coded squares: of each the difference to the one before, then the end of the block."""
    bits = ""
    before = 0
    for level in levels:
        difference = level - before
        before = level
        length = abs(difference).bit_length()
        bits += f"{length:04b}"
        if length:
            # Negative numbers are written as their value less one, in as many bits.
            bits += f"{difference if difference > 0 else difference + (1 << length) - 1:0{length}b}"
        bits += "0"
    bits += "1" * (-len(bits) % 8)
    coded = int(bits, 2).to_bytes(len(bits) // 8, "big")
    return coded.replace(b"\xff", b"\xff\x00")
