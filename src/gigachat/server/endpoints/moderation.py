"""Checks of texts: was it written by a model, is it fit to be answered.

Reference, sections 10.3 and 10.4. No model is behind either: both follow simple rules, the same for the same text
everywhere. It must not be used to filter chats.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from gigachat.server.catalogue import read_model
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
_WORD = re.compile(r"\w+")
_LETTER = re.compile(r"[^\W\d_]")
_CYRILLIC = re.compile(r"[А-Яа-яЁё]")
_SENTENCE = re.compile(r"[^.!?…]*[.!?…]+|[^.!?…]+")
_DETECTION = "GigaCheckDetection"

# Enough to try the filter out; the service's own lists are not public.
_PROFANE = frozenset({"дурак", "дура", "идиот", "идиотка", "сволочь", "damn", "idiot"})


async def _check_ai(request: Request, service: Service) -> Response:
    """Answer `POST /ai/check` (reference, section 10.3); the texts of its refusals are not documented."""
    if not service.state.account.pays_as_you_go:
        raise Refusal(403)
    body = read_object(await request.body())
    model = read_model(body, "aicheck")
    text: str = typed(body, "input", str) or ""
    if len(_WORD.findall(text)) < _LEAST_WORDS:
        raise invalid_params(f"input must have at least {_LEAST_WORDS} words")
    if 2 * len(_CYRILLIC.findall(text)) < len(_LETTER.findall(text)):
        raise invalid_params("input must be in Russian")
    sentences = _sentences(text)
    whole = sum(len(sentence) for _, sentence in sentences)
    share = sum(len(sentence) for _, sentence in sentences if _is_made(sentence))
    if model.id == _DETECTION:
        category = "mixed" if 0 < share < whole else "ai" if share else "human"
    else:
        category = "ai" if 2 * share > whole else "human"
    [tokens] = await service.engine.count([text])
    verdict = {
        "category": category,
        "characters": len(text),
        "tokens": tokens,
        "ai_intervals": _intervals(sentences) if category == "mixed" else [],
    }
    return answer(request, verdict)


def _sentences(text: str) -> list[tuple[int, str]]:
    """Return the sentences of a text and where each begins, counted from 0."""
    return [
        (match.start() + len(match.group()) - len(match.group().lstrip()), match.group().strip())
        for match in _SENTENCE.finditer(text)
        if match.group().strip()
    ]


def _is_made(sentence: str) -> bool:
    """Tell whether a sentence counts as a model's: one whose SHA-256 is odd does."""
    return hashlib.sha256(sentence.encode("utf-8", "replace")).digest()[-1] % 2 == 1


def _intervals(sentences: Sequence[tuple[int, str]]) -> list[list[int]]:
    """Return where a model's sentences stand, neighbours together.

    Positions are characters from 1, the last included: so they are in the only example there is.
    """
    intervals: list[list[int]] = []
    joined = False
    for start, sentence in sentences:
        made = _is_made(sentence)
        if made and joined:
            intervals[-1][1] = start + len(sentence)
        elif made:
            intervals.append([start + 1, start + len(sentence)])
        joined = made
    return intervals


async def _check_filter(request: Request, service: Service) -> Response:
    """Answer `POST /filter/check` (reference, section 10.4): profane is what holds one of a few mild words."""
    body = read_object(await request.body())
    read_model(body, "filter")
    messages = [v1_message(one) for one in list_of(body, "messages", dict)]
    if not messages:
        raise invalid_params("messages must not be empty")
    settings = typed(body, "settings", dict) or {}
    for name in ("neuro", "blacklist", "whitelist", "unnormalized_history"):
        typed(settings, name, bool)
    functions = list_of(body, "functions", dict)
    looked_for = settings.get("neuro") is not False or settings.get("blacklist") is not False
    words = {word.lower() for message in messages for word in _WORD.findall(message.content)}
    texts = [message.content for message in messages]
    if functions:
        texts.append(json.dumps(functions, ensure_ascii=False))
    tokens = sum(await service.engine.count(texts))
    verdict: dict[str, Any] = {
        "is_profane": looked_for and not words.isdisjoint(_PROFANE),
        "usage": {"filter_tokens": tokens},
    }
    return answer(request, verdict)


ENDPOINTS: Sequence[tuple[str, str, Endpoint]] = (
    ("POST", "/ai/check", _check_ai),
    ("POST", "/filter/check", _check_filter),
)
