"""The models the server offers: names, kinds, resolved versions (reference, section 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gigachat.catalogue import MODELS as KNOWN_MODELS
from gigachat.server.wire.errors import NO_SUCH_MODEL, Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

_ANNOUNCED_WINDOW = 128_000
"""Tokens of the window that the vendor announced in general (reference, section 14)."""
_UNKNOWN_TEXT_LIMIT = 4096
"""Tokens of one text for an embedder whose limit is unknown."""
SECOND_GENERATION = "2.0.28.2"
THIRD_GENERATION = "32.3.7.3"


@dataclass(frozen=True, slots=True)
class Model:
    """One model: its public name, its kind, and what differs from its neighbours on the wire."""

    id: str
    type: str = "chat"
    version: str = SECOND_GENERATION
    answer_object: str = "chat.completion"
    indent: int | None = None
    """Indentation of structured answers: the third generation wrote them with four spaces (4.6)."""
    listed: bool = True

    @property
    def dimensions(self) -> int:
        """Numbers in a vector of an embedder; 0 for other models."""
        return KNOWN_MODELS[self.id].dimensions or 0

    @property
    def text_limit(self) -> int:
        """Tokens of one text an embedder takes (8.1)."""
        return KNOWN_MODELS[self.id].text_limit or _UNKNOWN_TEXT_LIMIT

    @property
    def window(self) -> int:
        """Tokens of a prompt."""
        return KNOWN_MODELS[self.id].window or _ANNOUNCED_WINDOW

    @property
    def resolved(self) -> str:
        """The name answers carry: `GigaChat:2.0.28.2`."""
        return f"{self.id}:{self.version}"

    @property
    def third_generation(self) -> bool:
        """Whether the stricter rules of third-generation models hold (4.2)."""
        return self.version == THIRD_GENERATION

    @property
    def package(self) -> str:
        """The package of tokens it is paid from (reference, section 10.5)."""
        if self.type == "embedder":
            return "embeddings"
        if "Max" in self.id or "Ultra" in self.id:
            return "GigaChat-Max"
        return "GigaChat-Pro" if "Pro" in self.id else "GigaChat"

    def card(self) -> dict[str, Any]:
        """Return the model as `GET /models` shows it."""
        return {"id": self.id, "object": "model", "owned_by": "salutedevices", "type": self.type}


def _third(name: str) -> Model:
    """Return a model of other recordings: the chat accepts it, the recorded list of models lacks it."""
    return Model(name, version=THIRD_GENERATION, answer_object="chat.completions", indent=4, listed=False)


# The order is that of the recording of 21 January 2026.
MODELS = (
    Model("GigaChat"),
    Model("GigaChat-2"),
    Model("GigaChat-2-Max"),
    Model("GigaChat-2-Max-preview"),
    Model("GigaChat-2-Pro"),
    Model("GigaChat-2-Pro-preview"),
    Model("GigaChat-2-preview"),
    Model("GigaChat-Max"),
    Model("GigaChat-Max-preview"),
    Model("GigaChat-Plus"),
    Model("GigaChat-Pro"),
    Model("GigaChat-Pro-preview"),
    Model("GigaChat-preview"),
    Model("GigaFilter", "filter"),
    Model("GigaCheckClassification", "aicheck"),
    Model("GigaCheckDetection", "aicheck"),
    Model("Embeddings", "embedder"),
    Model("Embeddings-2", "embedder"),
    Model("EmbeddingsGigaR", "embedder"),
    Model("GigaEmbeddings-3B-2025-09", "embedder"),
    _third("GigaChat-3-Ultra"),
    _third("GigaChat-3-Pro"),
    _third("GigaChat-3-Lightning"),
)
_BY_NAME = {model.id: model for model in MODELS}


def find_model(name: str, kind: str | None = None) -> Model:
    """Return the model of this name, `name:version` or `name:latest`.

    Args:
        name: What the request asked for.
        kind: The kind the endpoint needs (`chat`, `embedder`); None for any.

    Raises:
        Refusal: 404 for an unknown name or a model of another kind, 400 for an unknown version.
    """
    base, _, version = name.partition(":")
    model = _BY_NAME.get(base)
    if model is None or (kind is not None and model.type != kind):
        raise Refusal(404, NO_SUCH_MODEL)
    if version not in ("", "latest", model.version):
        raise Refusal(400, "Invalid model version")
    return model


def read_model(body: Mapping[str, Any], kind: str | None) -> Model:
    """Return the model a body asks for; see `find_model`."""
    return find_model(body.get("model") or "", kind)
