"""Checks of texts (reference, sections 10.3 and 10.4): a fixed verdict, or the one that a test has ordered."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from gigachat.models.chat import Function, Messages
from gigachat.server.catalogue import read_model
from gigachat.server.chat.validation import raw_messages
from gigachat.server.tokens import count_all
from gigachat.server.wire.errors import Refusal, invalid_params
from gigachat.server.wire.messages import v1_message
from gigachat.server.wire.requests import read_body

if TYPE_CHECKING:
    from starlette.requests import Request

    from gigachat.server.service import Endpoints, Service

_LEAST_WORDS = 20
_LETTER = re.compile(r"[^\W\d_]")
_CYRILLIC = re.compile(r"[А-Яа-яЁё]")
FILTER = {
    "model": str | None,
    "messages": list[Messages],
    "settings": dict.fromkeys(("neuro", "blacklist", "whitelist", "unnormalized_history"), bool | None),
    "functions": list[Function] | None,
}


async def _check_ai(request: Request, service: Service) -> dict[str, Any]:
    """Answer `POST /ai/check`: a person wrote the text. The texts of its refusals are not documented."""
    if not service.state.account.pays_as_you_go:
        raise Refusal(403)
    body = await read_body(request, {"model": str | None, "input": str | None}, strict=service.state.strict)
    read_model(body, "aicheck")
    text: str = body.get("input") or ""
    if len(re.findall(r"\w+", text)) < _LEAST_WORDS:
        raise invalid_params(f"input must have at least {_LEAST_WORDS} words")
    if 2 * len(_CYRILLIC.findall(text)) < len(_LETTER.findall(text)):
        raise invalid_params("input must be in Russian")
    [tokens] = await count_all([text])
    verdict = {"category": "human", "characters": len(text), "tokens": tokens, "ai_intervals": []}
    return verdict | service.orders.verdict("ai")


async def _check_filter(request: Request, service: Service) -> dict[str, Any]:
    """Answer `POST /filter/check`: nothing is profane."""
    body = await read_body(request, FILTER, strict=service.state.strict)
    read_model(body, "filter")
    texts = [v1_message(one).content for one in raw_messages(body)]
    functions = body.get("functions")
    if functions:
        texts.append(json.dumps(functions, ensure_ascii=False))
    verdict: dict[str, Any] = {
        "is_profane": False,
        "usage": {"filter_tokens": sum(await count_all(texts))},
    }
    return verdict | service.orders.verdict("filter")


ENDPOINTS: Endpoints = (
    ("POST", "/ai/check", _check_ai),
    ("POST", "/filter/check", _check_filter),
)
