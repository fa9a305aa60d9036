"""Embeddings and token counts (reference, section 8)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from gigachat.server.catalogue import read_model
from gigachat.server.tokens import count_all
from gigachat.server.wire.errors import Refusal, invalid_params
from gigachat.server.wire.requests import read_body
from gigachat.server.wire.responses import unless_disconnected

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from gigachat.server.service import Endpoints, Service

EMBEDDINGS = {"model": str | None, "input": str | list[str]}
"""The shape of a request."""

# The embedder has a tokenizer of its own: five more than tokens/count in all recordings (reference, section 8.1).
_EMBEDDER_EXTRA = 5


async def embedded(options: Mapping[str, Any], service: Service) -> dict[str, Any]:
    """Return the answer to an embeddings request (reference, section 8.1).

    Usage is per item, the model's bare name comes back.

    Args:
        options: A request of the right shape.
        service: Its embedder makes the vectors.

    Raises:
        Refusal: As the service would refuse it.
    """
    model = read_model(options, "embedder")
    if not service.state.can_pay(model):
        raise Refusal(402)
    texts = _texts(options)
    counts = [count + _EMBEDDER_EXTRA for count in await count_all(texts)]
    for index, count in enumerate(counts):
        if count > model.text_limit:
            raise Refusal(413, f"Tokens limit exceeded: {count} of {model.text_limit} in input {index}")
    data: list[dict[str, Any]] = []
    for index, (text, count) in enumerate(zip(texts, counts, strict=True)):
        vector = await asyncio.to_thread(service.embedder, text, model.dimensions)
        data.append({"object": "embedding", "index": index, "embedding": vector, "usage": {"prompt_tokens": count}})
    service.state.pay(model, sum(counts))
    return {"object": "list", "model": model.id, "data": data}


async def _embed(request: Request, service: Service) -> dict[str, Any]:
    body = await read_body(request, EMBEDDINGS, strict=service.state.strict)
    return await unless_disconnected(request.receive, embedded(body, service))


async def _count_tokens(request: Request, service: Service) -> list[dict[str, Any]]:
    """Answer `POST /tokens/count` (reference, section 8.2): a bare array."""
    body = await read_body(request, EMBEDDINGS, strict=service.state.strict)
    read_model(body, None)
    texts = _texts(body)
    counts = await count_all(texts)
    return [
        {"object": "tokens", "tokens": count, "characters": len(text)}
        for text, count in zip(texts, counts, strict=True)
    ]


def _texts(body: Mapping[str, Any]) -> list[str]:
    """Return the texts of `input`, at least one."""
    texts: str | list[str] = body["input"]
    if not isinstance(texts, str) and not texts:
        raise invalid_params("input must not be empty")
    return [texts] if isinstance(texts, str) else texts


ENDPOINTS: Endpoints = (
    ("POST", "/embeddings", _embed),
    ("POST", "/tokens/count", _count_tokens),
)
