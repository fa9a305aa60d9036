"""The engine that stands in when there is no model: deterministic, instant, and honest about what it is.

It quotes the question, calls the function the message names, fills arguments and structured answers from
the schema. It must never pretend to have understood anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Any

from gigachat.server.counting import count_tokens, phrases, within
from gigachat.server.engines import ChatRequest, Embedding, FunctionCall, Piece, Stop
from gigachat.server.errors import invalid_params
from gigachat.server.instances import Filler
from gigachat.server.vectors import hashed_vector

if TYPE_CHECKING:
    from gigachat.server.catalogue import Model

_CYRILLIC = re.compile(r"[А-Яа-яЁё]")
_QUOTED_LENGTH = 300
# The embedder has a tokenizer of its own: five more than tokens/count in all recordings (reference, section 8.1).
_EMBEDDER_EXTRA = 5


class Echo:
    """An engine without a model: see the module's first lines."""

    async def complete(self, request: ChatRequest) -> AsyncGenerator[Piece, None]:
        """Yield a function call when one is due, else the echo of the last message in phrases."""
        call = _due_call(request)
        if call is not None:
            yield call
            return
        pieces = phrases(_text(request))
        if request.max_tokens is None:
            for piece in pieces:
                yield piece
            return
        kept, shortened = within(pieces, request.max_tokens)
        for piece in kept:
            yield piece
        if shortened:
            yield Stop("length")

    def embed(self, text: str, model: Model) -> Embedding:
        """Return the hashed vector of a text."""
        return Embedding(hashed_vector(text, model.dimensions), count_tokens(text) + _EMBEDDER_EXTRA)

    def count(self, text: str) -> int:
        """Return the number of tokens by rule of thumb."""
        return count_tokens(text)


def _question(request: ChatRequest) -> str:
    return next((message.content for message in reversed(request.messages) if message.role == "user"), "")


def _due_call(request: ChatRequest) -> FunctionCall | None:
    """Return the call to make: the forced one; after a user's message, the one it names or the first."""
    if not request.functions:
        return None
    question = _question(request)
    if request.forced is not None:
        chosen = next(one for one in request.functions if one["name"] == request.forced)
    elif request.messages[-1].role != "user":
        return None
    else:
        lowered = question.lower()
        named = [one for one in request.functions if str(one["name"]).lower() in lowered]
        chosen = (named or list(request.functions))[0]
    return FunctionCall(str(chosen["name"]), _arguments(chosen, question, request.preset))


def _arguments(function: Mapping[str, Any], question: str, preset: Mapping[str, Any]) -> dict[str, Any]:
    parameters = function.get("parameters")
    built = _instance(parameters, question) if isinstance(parameters, Mapping) and parameters else {}
    return {**(built if isinstance(built, dict) else {}), **preset}


def _instance(schema: Mapping[str, Any], question: str) -> Any:
    try:
        return Filler(schema, question).instance()
    except ValueError as error:
        raise invalid_params(str(error)) from None


def _text(request: ChatRequest) -> str:
    question = _question(request)
    if request.schema is not None:
        built = _instance(request.schema, question)
        if request.model.indent is not None:
            return json.dumps(built, ensure_ascii=False, indent=request.model.indent)
        return json.dumps(built, ensure_ascii=False, separators=(",", ":"))
    last = request.messages[-1]
    said = last.content if last.role == "function" else question
    if len(said) > _QUOTED_LENGTH:
        said = said[:_QUOTED_LENGTH] + "…"
    russian = _CYRILLIC.search(question) is not None
    if last.role == "function":
        name = last.name or "?"
        if russian:
            return f"Это эхо локального сервера GigaChat, модели за ним нет. Функция {name} вернула: {said}"
        return f"This is the echo of the local GigaChat server, not of a model. Function {name} returned: {said}"
    count = len(request.messages)
    if russian:
        return (
            f"Это эхо локального сервера GigaChat: языковой модели за ним нет. Вы написали: «{said}». "
            f"Сообщений в запросе: {count}. Чтобы ответила модель, направьте клиент на сервис GigaChat."
        )
    return (
        f"This is the echo of the local GigaChat server: no model is behind it. You wrote: “{said}”. "
        f"Messages in the request: {count}. For a real answer, point the client at the GigaChat service."
    )
