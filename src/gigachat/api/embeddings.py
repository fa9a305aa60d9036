"""Embeddings and token counting (reference, section 8)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gigachat import models
from gigachat._engine.calls import Call, post
from gigachat._engine.endpoint import Mode, Resource, endpoint
from gigachat._engine.parsing import read_list

if TYPE_CHECKING:
    from collections.abc import Sequence


class Embeddings(Resource[Mode]):
    """Embeddings and token counts."""

    @endpoint
    def embeddings(self, texts: str | Sequence[str], model: str = "Embeddings") -> Call[models.Embeddings]:
        """Return a vector for each text (reference, section 8.1).

        Args:
            texts: One text or several.
            model: `Embeddings` and `Embeddings-2` give 1024 numbers a text, `EmbeddingsGigaR` 2560.

        Raises:
            RequestEntityTooLargeError: A text is longer than the model takes.
        """
        if not model:
            raise ValueError("model is empty")
        return post("/embeddings", {"input": _texts(texts), "model": model}, models.Embeddings, repeatable=True)

    @endpoint
    def tokens_count(self, input_: str | Sequence[str], model: str | None = None) -> Call[list[models.TokensCount]]:
        """Count the tokens and characters of each text (reference, section 8.2).

        Args:
            input_: One text or several.
            model: Whose tokenizer counts; the client's model if not given.
        """
        body = {"model": model or self._service.model, "input": _texts(input_)}
        return Call("POST", "/tokens/count", read_list(list[models.TokensCount]), json=body, repeatable=True)


def _texts(texts: str | Sequence[str]) -> list[str]:
    if not isinstance(texts, Iterable):
        raise TypeError(f"texts are str or a list of str, not {type(texts).__name__}")
    listed = [texts] if isinstance(texts, str) else list(texts)
    if not listed:
        raise ValueError("no texts: give at least one")
    for index, text in enumerate(listed):
        if not isinstance(text, str):
            raise TypeError(f"text {index} must be str, not {type(text).__name__}")
    return listed
