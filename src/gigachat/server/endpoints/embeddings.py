"""Embeddings and token counts (reference, section 8)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from gigachat.server.catalogue import read_model
from gigachat.server.tokens import count_all
from gigachat.server.wire.errors import Refusal, invalid_params, invalid_shape
from gigachat.server.wire.requests import read_object, typed
from gigachat.server.wire.responses import answer, unless_gone

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from gigachat.server.service import Endpoint, Service

# The embedder has a tokenizer of its own: five more than tokens/count in all recordings (reference, section 8.1).
_EMBEDDER_EXTRA = 5


async def embedded(options: Mapping[str, Any], service: Service) -> dict[str, Any]:
    """Return the answer to an embeddings request (reference, section 8.1).

    Usage is per item, the model's bare name comes back.

    Args:
        options: The request as it came.
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


async def _embed(request: Request, service: Service) -> Response:
    work = embedded(read_object(await request.body()), service)
    return answer(request, await unless_gone(request.receive, work))


async def _count_tokens(request: Request, service: Service) -> Response:
    """Answer `POST /tokens/count` (reference, section 8.2): a bare array."""
    body = read_object(await request.body())
    read_model(body, None)
    texts = _texts(body)
    counts = await count_all(texts)
    counted = [
        {"object": "tokens", "tokens": count, "characters": len(text)}
        for text, count in zip(texts, counts, strict=True)
    ]
    return answer(request, counted)


def _texts(body: Mapping[str, Any]) -> list[str]:
    """Return the field `input`: a text or a list of texts, at least one."""
    texts = typed(body, "input", (str, list))
    if isinstance(texts, str):
        return [texts]
    if not texts:
        raise invalid_params("input must not be empty")
    if not all(isinstance(text, str) for text in texts):
        raise invalid_shape()
    return list(texts)


ENDPOINTS: Sequence[tuple[str, str, Endpoint]] = (
    ("POST", "/embeddings", _embed),
    ("POST", "/tokens/count", _count_tokens),
)
