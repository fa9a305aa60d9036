"""The catalogue of models: windows, abilities and prices, without a request to the service.

The data are those of the project's API notes (sections 3, 7, 8.1 and 14). None means that the notes do not know it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["DATE", "MODELS", "SOURCE", "ModelInfo", "Price", "find", "window"]

SOURCE = "docs/api-notes.md"
DATE = date(2026, 11, 30)
"""Day on which the data were last compared with the notes."""


@dataclass(frozen=True, slots=True)
class Price:
    """Price of a model.

    Attributes:
        input: Price of 1000 tokens of a prompt or of texts for embeddings.
        output: Price of 1000 generated tokens.
        date: Day of the price list.
        currency: ISO 4217 code.
    """

    input: float
    output: float
    date: date
    currency: str = "RUB"


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What is known about a model. None means unknown.

    Attributes:
        name: Name of the model.
        type: `chat`, `embedder`, `aicheck`, `filter` or newer.
        window: Size of the context window in tokens.
        modalities: Kinds of input, such as `text` and `image`.
        functions: Whether the model calls functions.
        reasoning: Whether the model can reason before it answers.
        dimensions: Numbers in a vector of an embedder.
        text_limit: Most tokens of one text for an embedder.
        price: Price of its tokens. The notes know no prices.
        listed: Whether `GET /models` lists it; None without a request.
    """

    name: str
    type: str | None = None
    window: int | None = None
    modalities: tuple[str, ...] | None = None
    functions: bool | None = None
    reasoning: bool | None = None
    dimensions: int | None = None
    text_limit: int | None = None
    price: Price | None = None
    listed: bool | None = None


_WINDOW = 261_120  # section 14 [live]: names of the first generation without "preview", the second and the third
_TEXT = ("text",)
_WITH_IMAGES = ("text", "image")


def _embedder(name: str, dimensions: int, text_limit: int | None = None) -> ModelInfo:
    return ModelInfo(name, "embedder", modalities=_TEXT, dimensions=dimensions, text_limit=text_limit)


MODELS: Mapping[str, ModelInfo] = {
    model.name: model
    for model in (
        ModelInfo("GigaChat", "chat", _WINDOW, functions=True),
        ModelInfo("GigaChat-2", "chat", _WINDOW),
        ModelInfo("GigaChat-2-Max", "chat", _WINDOW, functions=True, reasoning=False, modalities=_WITH_IMAGES),
        ModelInfo("GigaChat-2-Max-preview", "chat", _WINDOW),
        ModelInfo("GigaChat-2-Pro", "chat", _WINDOW, modalities=_WITH_IMAGES),
        ModelInfo("GigaChat-2-Pro-preview", "chat", _WINDOW),
        ModelInfo("GigaChat-2-Reasoning", "chat", _WINDOW, reasoning=True),
        ModelInfo("GigaChat-2-preview", "chat", _WINDOW),
        ModelInfo("GigaChat-3-Lightning", "chat", _WINDOW),
        ModelInfo("GigaChat-3-Pro", "chat", _WINDOW),
        ModelInfo("GigaChat-3-Ultra", "chat", _WINDOW, functions=True),
        ModelInfo("GigaChat-Max", "chat", _WINDOW),
        ModelInfo("GigaChat-Max-preview", "chat"),
        ModelInfo("GigaChat-Plus", "chat", functions=True),
        ModelInfo("GigaChat-Pro", "chat", _WINDOW, functions=True),
        ModelInfo("GigaChat-Pro-preview", "chat"),
        ModelInfo("GigaChat-preview", "chat"),
        ModelInfo("GigaFilter", "filter", modalities=_TEXT),
        ModelInfo("GigaCheckClassification", "aicheck", modalities=_TEXT),
        ModelInfo("GigaCheckDetection", "aicheck", modalities=_TEXT),
        _embedder("Embeddings", 1024, 512),
        _embedder("Embeddings-2", 1024, 512),
        _embedder("EmbeddingsGigaR", 2560, 4096),
        _embedder("GigaEmbeddings-3B-2025-09", 2048),
    )
}
"""The known models, by name."""

_DATE = re.compile(r"-\d{4}-\d{2}(-\d{2})?$")


def find(model: str) -> ModelInfo | None:
    """Return what is known about a model; None for an unknown name.

    Args:
        model: A name, with or without a version: `GigaChat-2-Max`, `GigaChat-2-Max:latest`, `GigaChat:2.0.28.2`,
            `GigaChat-2-Pro-2025-09`.

    Raises:
        TypeError: It is not text.
    """
    if not isinstance(model, str):
        raise TypeError(f"model is the name of a model, not {type(model).__name__}")
    name = model.partition(":")[0]
    return MODELS.get(name) or MODELS.get(_DATE.sub("", name))


def window(model: str) -> int | None:
    """Return the size of a model's context window in tokens; None if it is unknown.

    Args:
        model: A name as of `find`.

    Raises:
        TypeError: It is not text.
    """
    info = find(model)
    return None if info is None else info.window


def merged(listed: Mapping[str, str | None], overrides: Iterable[ModelInfo]) -> list[ModelInfo]:
    """Return the models of the service, then the other known ones.

    Args:
        listed: Types of the models that the service lists, by name.
        overrides: Models whose known values replace those of the catalogue.
    """
    own = {model.name: model for model in overrides}
    models: list[ModelInfo] = []
    for name in dict.fromkeys((*listed, *MODELS, *own)):
        model = replace(find(name) or ModelInfo(name), name=name, listed=name in listed)
        if listed.get(name):
            model = replace(model, type=listed[name])
        if name in own:
            values = ((field.name, getattr(own[name], field.name)) for field in fields(ModelInfo))
            model = replace(model, **{field: value for field, value in values if value is not None})
        models.append(model)
    return models
