"""Checks of texts (reference, sections 10.3 and 10.4): a fixed verdict, or the one that a test has ordered."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from gigachat.server.catalogue import read_model
from gigachat.server.tokens import count_all
from gigachat.server.wire.errors import Refusal, invalid_params
from gigachat.server.wire.messages import v1_message
from gigachat.server.wire.requests import list_of, read_object, typed
from gigachat.server.wire.responses import answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from gigachat.server.service import Endpoint, Service

_LEAST_WORDS = 20
_LETTER = re.compile(r"[^\W\d_]")
_CYRILLIC = re.compile(r"[А-Яа-яЁё]")


async def _check_ai(request: Request, service: Service) -> Response:
    """Answer `POST /ai/check`: a person wrote the text. The texts of its refusals are not documented."""
    if not service.state.account.pays_as_you_go:
        raise Refusal(403)
    body = read_object(await request.body())
    read_model(body, "aicheck")
    text: str = typed(body, "input", str) or ""
    if len(re.findall(r"\w+", text)) < _LEAST_WORDS:
        raise invalid_params(f"input must have at least {_LEAST_WORDS} words")
    if 2 * len(_CYRILLIC.findall(text)) < len(_LETTER.findall(text)):
        raise invalid_params("input must be in Russian")
    [tokens] = await count_all([text])
    verdict = {"category": "human", "characters": len(text), "tokens": tokens, "ai_intervals": []}
    return answer(request, verdict | service.script.verdict("ai"))


async def _check_filter(request: Request, service: Service) -> Response:
    """Answer `POST /filter/check`: nothing is profane."""
    body = read_object(await request.body())
    read_model(body, "filter")
    texts = [v1_message(one).content for one in list_of(body, "messages", dict)]
    if not texts:
        raise invalid_params("messages must not be empty")
    settings = typed(body, "settings", dict) or {}
    for name in ("neuro", "blacklist", "whitelist", "unnormalized_history"):
        typed(settings, name, bool)
    functions = list_of(body, "functions", dict)
    if functions:
        texts.append(json.dumps(functions, ensure_ascii=False))
    verdict: dict[str, Any] = {
        "is_profane": False,
        "usage": {"filter_tokens": sum(await count_all(texts))},
    }
    return answer(request, verdict | service.script.verdict("filter"))


ENDPOINTS: Sequence[tuple[str, str, Endpoint]] = (
    ("POST", "/ai/check", _check_ai),
    ("POST", "/filter/check", _check_filter),
)
