"""The engine that answers from a script: a YAML or JSON file of rules, or the same rules from code.

The first rule that fits the request answers; what fits none is left to another engine. It must not know HTTP: a failure
is a refusal like that of any engine.
"""

from __future__ import annotations

import re  # noqa: TC003 - pydantic reads it
from collections import Counter
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gigachat.server.engine import ChatRequest, Embedding, Engine, FunctionCall, Piece, Reasoning, Stop
from gigachat.server.engines.echo import Echo
from gigachat.server.orders.files import read_list
from gigachat.server.orders.matching import is_about
from gigachat.server.tokens import phrases
from gigachat.server.wire.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from pathlib import Path

    from gigachat.server.catalogue import Model

__all__ = ["Rule", "Scripted", "rules_from_file"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class When(_Strict):
    """What a request must be like; what is omitted may be anything."""

    message: str | None = Field(default=None, description="Is contained in the last message, whatever the case.")
    pattern: re.Pattern[str] | None = Field(default=None, description="Is found in the last message.")
    role: str | None = Field(default=None, description="Of the last message: `user`, `function`.")
    function: str | None = Field(default=None, description="Its result came last; or none did, and it is offered.")
    model: str | None = Field(default=None, description="Is asked.")

    def fits(self, request: ChatRequest) -> bool:
        """Tell whether a request is meant."""
        last = request.messages[-1]
        offered = [str(one["name"]) for one in request.functions]
        return (
            (self.message is None or self.message.casefold() in last.content.casefold())
            and (self.pattern is None or self.pattern.search(last.content) is not None)
            and self.role in (None, last.role)
            and (self.function is None or is_about(self.function, last, offered))
            and self.model in (None, request.model.id)
        )


class Call(_Strict):
    """A function call to answer with."""

    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)


class Failure(_Strict):
    """A refusal to answer with."""

    status: Annotated[int, Field(ge=400, le=599)]
    message: str | None = None


class Rule(_Strict):
    """What to answer and when: a text, a function call, or a failure."""

    when: When = Field(default_factory=When)
    times: Annotated[int, Field(ge=1)] | None = Field(default=None, description="How often; always when omitted.")
    reply: str | None = None
    reasoning: str | None = Field(default=None, description="Thoughts sent before the reply.")
    finish_reason: str | None = Field(default=None, description="Instead of the usual one.")
    call: Call | None = None
    fail: Failure | None = None

    @model_validator(mode="after")
    def _one_answer(self) -> Rule:
        if sum(answer is not None for answer in (self.reply, self.call, self.fail)) != 1:
            raise ValueError("a rule has one of reply, call and fail")
        return self


def rules_from_file(path: Path) -> list[Rule]:
    """Return the rules of a YAML or JSON file: a list of objects with the fields of `Rule`.

    Raises:
        ValueError: It cannot be read; the text names the file and the place.
    """
    return read_list(path, Rule)


class Scripted:
    """An engine that follows rules.

    Args:
        rules: Tried in their order.
        otherwise: Answers what no rule fits, counts and embeds; the echo when None.
    """

    def __init__(self, rules: Sequence[Rule], otherwise: Engine | None = None) -> None:
        self._rules = rules
        self._otherwise = otherwise or Echo()
        self._used: Counter[int] = Counter()

    async def complete(self, request: ChatRequest) -> AsyncGenerator[Piece, None]:
        """Yield the answer of the first rule that fits."""
        rule = self._rule(request)
        if rule is None:
            async with aclosing(self._otherwise.complete(request)) as pieces:
                async for piece in pieces:
                    yield piece
            return
        if rule.fail is not None:
            raise Refusal(rule.fail.status, rule.fail.message)
        for phrase in phrases(rule.reasoning or ""):
            yield Reasoning(phrase)
        if rule.call is not None:
            yield FunctionCall(rule.call.name, rule.call.arguments)
        for phrase in phrases(rule.reply or ""):
            yield phrase
        if rule.finish_reason is not None:
            yield Stop(rule.finish_reason)

    def _rule(self, request: ChatRequest) -> Rule | None:
        for number, rule in enumerate(self._rules):
            if (rule.times is None or self._used[number] < rule.times) and rule.when.fits(request):
                self._used[number] += 1
                return rule
        return None

    async def embed(self, texts: Sequence[str], model: Model) -> Sequence[Embedding]:
        """Return vectors as the other engine makes them."""
        return await self._otherwise.embed(texts, model)

    async def count(self, texts: Sequence[str]) -> Sequence[int]:
        """Return numbers of tokens as the other engine counts them."""
        return await self._otherwise.count(texts)
