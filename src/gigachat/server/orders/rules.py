"""Rules: an answer and the chats it is for. Tests write them in code, the engine `script` reads them from a file."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from gigachat.server.orders.files import read_list
from gigachat.server.orders.matching import fits
from gigachat.server.patterns import Pattern
from gigachat.server.wire.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from gigachat.server.orders.matching import ReceivedChat, When

__all__ = ["Rule", "Rules", "rules_from_file"]


@dataclass(slots=True, eq=False)
class Rule:
    """An answer, and which chats it is for; see `GigaChatServer.reply`.

    Args:
        answer: The text, a dictionary, or the refusal to send instead.
        after: Seconds to wait before answering.
        when: The condition on the whole chat; any chat when None.
        role: Role of the last message.
        model: Model the chat asks for.
        function: Function it is about.
        times: How many chats it answers; any number when None.
    """

    answer: str | Mapping[str, Any] | Refusal
    after: float = 0.0
    when: When | None = None
    role: str | None = None
    model: str | None = None
    function: str | None = None
    times: int | None = 1


class Rules:
    """Rules in the order they are tried. Safe to use from any thread."""

    def __init__(self, rules: list[Rule] | None = None) -> None:
        self._lock = threading.Lock()
        self._rules = list(rules or ())

    def add(self, rule: Rule, *, first: bool = False) -> None:
        """Add a rule behind all others, or before them."""
        with self._lock:
            self._rules.insert(0 if first else len(self._rules), rule)

    def clear(self) -> None:
        """Remove all rules."""
        with self._lock:
            self._rules.clear()

    def __bool__(self) -> bool:
        return bool(self._rules)

    def take(self, chat: ReceivedChat) -> Rule | None:
        """Return the first rule for a chat and count it as used; None when there is none."""
        with self._lock:
            rules = list(self._rules)
        for rule in rules:
            # Not under the lock: a condition written by a test may add rules itself.
            if rule.role in (None, chat.last_message.role) and fits(chat, rule.when, rule.model, rule.function):
                with self._lock:
                    if rule.times is not None and rule in self._rules:
                        rule.times -= 1
                        if rule.times == 0:
                            self._rules.remove(rule)
                return rule
        return None


# Files


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)


class _When(_Strict):
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


class _Call(_Strict):
    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)


class _Failure(_Strict):
    status: int = Field(ge=400, le=599)
    message: str | None = None


class _FileRule(_Strict):
    when: _When = Field(default_factory=_When)
    times: int | None = Field(default=None, ge=1, description="How often; always when omitted.")
    reply: str | None = None
    reasoning: str | None = Field(default=None, description="Thoughts sent before the reply.")
    finish_reason: str | None = Field(default=None, description="Instead of the usual one.")
    call: _Call | None = None
    fail: _Failure | None = None

    @model_validator(mode="after")
    def _one_answer(self) -> _FileRule:
        if sum(answer is not None for answer in (self.reply, self.call, self.fail)) != 1:
            raise ValueError("a rule has one of reply, call and fail")
        return self

    def rule(self) -> Rule:
        answer: Refusal | dict[str, Any]
        if self.fail is not None:
            answer = Refusal(self.fail.status, self.fail.message)
        else:
            answer = {
                "content": self.reply or "",
                "reasoning_content": self.reasoning,
                "function_call": self.call.model_dump() if self.call is not None else None,
                "finish_reason": self.finish_reason,
            }
        when = self.when
        return Rule(answer, 0.0, when.condition, when.role, when.model, when.function, self.times)


def rules_from_file(path: Path) -> list[Rule]:
    """Return the rules of a YAML or JSON file: a list of objects, see the documentation of `--script`.

    Raises:
        ValueError: It cannot be read; the message names the file and the place.
    """
    return [one.rule() for one in read_list(path, _FileRule)]
