"""The history of a conversation: its turns, and how it is cut to the window of the model.

A turn begins with a message of the user and has all that followed: answers, calls of functions and their results. Only
whole turns are removed: a result without its call, or a call without its result, is refused by the service. They are
removed in one large step, since each cut at the beginning makes the service's cache of the prompt useless.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pydantic import BaseModel

from gigachat import estimates

MessageT = TypeVar("MessageT", bound=BaseModel)

KEPT = 0.5
"""Share of the window that the history keeps when it is cut."""


@dataclass(slots=True)
class History(Generic[MessageT]):
    """Messages of a conversation.

    Attributes:
        system: The system message; None if there is none.
        messages: The other messages.
        ratio: Tokens that the service counted, for each one estimated.
    """

    system: MessageT | None
    messages: list[MessageT] = field(default_factory=list)
    ratio: float = 1.0

    def all(self) -> list[MessageT]:
        """Return all messages, the system message first."""
        return [*([] if self.system is None else [self.system]), *self.messages]

    def turns(self) -> list[list[MessageT]]:
        """Return the turns. Messages before the first one of the user belong to the first turn."""
        turns: list[list[MessageT]] = []
        for message in self.messages:
            if not turns or (_role(message) == "user" and any(_role(one) == "user" for one in turns[-1])):
                turns.append([])
            turns[-1].append(message)
        return turns

    def tokens(self, messages: list[MessageT]) -> int:
        """Return the estimated tokens of messages, corrected by what the service counted."""
        return round(estimates.tokens(messages) * self.ratio)

    def learn(self, messages: list[MessageT], counted: int) -> None:
        """Correct later estimates by the tokens of a prompt that the service counted."""
        estimated = estimates.tokens(messages)
        if counted > 0 and estimated > 0:
            self.ratio = min(max(counted / estimated, 0.5), 4.0)

    def excess(self, given: list[MessageT], window: int, reserved: int) -> int:
        """Return how many of the oldest turns to remove, so that messages of the caller fit.

        Args:
            given: The messages. The result of a function belongs to the last turn, which then stays.
            window: Size of the model's window in tokens.
            reserved: Tokens kept free for the answer.
        """
        room = window - reserved
        turns = self.turns()
        continued = turns.pop() if turns and is_result(given[0]) else []
        fixed = self.tokens([*([] if self.system is None else [self.system]), *continued, *given])
        sizes = [self.tokens(turn) for turn in turns]
        if fixed + sum(sizes) <= room:
            return 0
        total, kept = fixed, 0
        for size in reversed(sizes):
            if total + size > room * KEPT:
                break
            total, kept = total + size, kept + 1
        return len(sizes) - kept


def is_result(message: BaseModel) -> bool:
    """Return whether a message has the results of functions."""
    return _role(message) in ("function", "tool")


def _role(message: BaseModel) -> str:
    return str(getattr(message, "role", ""))
