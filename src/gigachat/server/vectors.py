"""Embeddings without a model: every word, word beginning and pair of words has a fixed random direction.

Texts that share words therefore lie closer than texts that do not. Shape and size are those of the
recordings: exact half-precision values, a length of about 29. It must not use any random state: the same
text gives the same vector everywhere.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import re
import struct
import sys
from array import array
from functools import lru_cache
from operator import add

_LENGTH = 29.0
_STEM = 4
_WORD = re.compile(r"\w+")


def hashed_vector(text: str, dimensions: int) -> tuple[float, ...]:
    """Return the vector of a text.

    Args:
        text: Any text, also an empty one.
        dimensions: Number of values.

    Returns:
        Values that survive a half-precision round trip unchanged.
    """
    total = [0] * dimensions
    for feature in _features(text):
        total = list(map(add, total, _direction(feature, dimensions)))
    scale = _LENGTH / math.hypot(*total)
    half = f"<{dimensions}e"
    return struct.unpack(half, struct.pack(half, *[value * scale for value in total]))


def _features(text: str) -> list[str]:
    words = _WORD.findall(text.lower())
    if not words:
        return [f"text {text}"]
    features = [f"word {word}" for word in words]
    # Russian words change their endings: their beginnings bring the forms of one word together.
    features += [f"stem {word[:_STEM]}" for word in words]
    features += [f"pair {first} {second}" for first, second in itertools.pairwise(words)]
    return features


@lru_cache(maxsize=4096)
def _direction(feature: str, dimensions: int) -> array[int]:
    values = array("h")
    values.frombytes(hashlib.shake_128(feature.encode("utf-8", "replace")).digest(2 * dimensions))
    if sys.byteorder == "big":
        values.byteswap()
    return values
