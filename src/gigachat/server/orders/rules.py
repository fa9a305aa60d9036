"""Rules: an answer and the chats it is for. Tests write them in code, the engine `script` reads them from a file."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - models need it
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, PlainValidator, model_validator

from gigachat.server.orders.checks import Order, explained, read_list
from gigachat.server.orders.matching import Condition
from gigachat.server.orders.patterns import Pattern
from gigachat.server.orders.replies import check_order
from gigachat.server.wire.errors import Refusal

if TYPE_CHECKING:
    from pathlib import Path

    from gigachat.server.orders.matching import ReceivedChat


class Rule(Condition):
    """An answer and the chats it is for; see `GigaChatServer.reply`.

    Attributes:
        answer: The text, a dictionary, or the refusal to send instead.
        after: Seconds to wait before answering.
        times: How many chats it answers; any number when None.
    """

    answer: Annotated[str | Mapping[str, Any] | Refusal, PlainValidator(check_order)]
    after: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    times: int | None = 1


# Files


class _When(Order):
    message: str | None = Field(default=None, description="Is contained in the last message, whatever the case.")
    pattern: Annotated[str, AfterValidator(Pattern)] | None = Field(
        default=None, description="Is found in the last message."
    )
    role: str | None = Field(default=None, description="Of the last message: `user`, `function`.")
    function: str | None = Field(default=None, description="Its result came last; or none did, and it is offered.")
    model: str | None = Field(default=None, description="Is asked.")

    def condition(self, chat: ReceivedChat) -> bool:
        content = chat.last_message.content
        pattern: Any = self.pattern  # compiled by its validator
        return (self.message is None or self.message.casefold() in content.casefold()) and (
            pattern is None or pattern.found_in(content)
        )


class _Call(Order):
    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)


class _Failure(Order):
    status: int = Field(ge=400, le=599)
    message: str | None = None


class _FileRule(Order):
    when: _When = Field(default_factory=_When)
    times: int | None = Field(default=None, ge=1, description="How often; always when omitted.")
    reply: str | None = None
    reasoning: str | None = Field(default=None, description="Thoughts sent before the reply.")
    finish_reason: str | None = Field(default=None, description="Instead of the usual one.")
    call: _Call | None = None
    calls: list[_Call] | None = Field(default=None, min_length=1, description="Several calls; v1 gets the first.")
    fail: _Failure | None = None

    @model_validator(mode="after")
    def _one_answer(self) -> _FileRule:
        if sum(answer is not None for answer in (self.reply, self.call, self.calls, self.fail)) != 1:
            raise ValueError("a rule must have exactly one of reply, call, calls and fail")
        if self.fail is not None and (self.reasoning is not None or self.finish_reason is not None):
            raise ValueError("reasoning and finish_reason belong to reply, call and calls, not to fail")
        return self

    def rule(self) -> Rule:
        answer: Refusal | dict[str, Any]
        if self.fail is not None:
            answer = Refusal(self.fail.status, self.fail.message)
        else:
            answer = {
                "content": self.reply or "",
                "reasoning_content": self.reasoning,
                "function_calls": [call.model_dump() for call in self.calls or filter(None, [self.call])],
                "finish_reason": self.finish_reason,
            }
        when = self.when
        return Rule(
            answer=answer,
            when=when.condition,
            role=when.role,
            model=when.model,
            function=when.function,
            times=self.times,
        )


def rules_from_file(path: Path) -> list[Rule]:
    """Return the rules of a YAML or JSON file: a list of objects, see the documentation of `--script`.

    Raises:
        ValueError: It cannot be read; the message names the file and the place.
    """
    rules: list[Rule] = []
    for number, one in enumerate(read_list(path, _FileRule), 1):
        with explained(f"{path}: item {number}"):
            rules.append(one.rule())
    return rules
