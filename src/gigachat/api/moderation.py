"""Checks of texts: whether a model wrote them, whether the service filters them (reference, sections 10.3, 10.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigachat import models
from gigachat._engine.calls import Call, post
from gigachat._engine.endpoint import Mode, Resource, endpoint
from gigachat.api.arguments import checked_id, given, messages_of, models_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gigachat.api.arguments import Message
    from gigachat.types import CheckerName


class Moderation(Resource[Mode]):
    """Checks of texts."""

    @endpoint
    def check_ai(self, text: str, model: CheckerName | str) -> Call[models.AICheckResult]:
        """Return who wrote a text: a person or a model (reference, section 10.3).

        Args:
            text: Russian text of at least 20 words.
            model: `GigaCheckClassification`, or `GigaCheckDetection`, which finds the parts written by a model.

        Raises:
            ForbiddenError: The account does not pay as it goes.
        """
        if not isinstance(text, str):
            raise TypeError(f"the text must be str, not {type(text).__name__}")
        if not text.strip():
            raise ValueError("the text is empty")
        body = {"input": text, "model": checked_id(model, "model")}
        return post("/ai/check", body, models.AICheckResult, repeatable=True)

    @endpoint
    def check_filter(
        self,
        messages: Message | Sequence[Message],
        model: str = "GigaFilter",
        settings: Mapping[str, bool] | None = None,
        functions: Sequence[models.Function | Mapping[str, Any]] | None = None,
    ) -> Call[models.FilterCheckResult]:
        """Check whether the service filters a conversation (reference, section 10.4).

        Args:
            messages: A text, or messages of a chat.
            model: Model that judges.
            settings: Which filters judge: `neuro`, `blacklist`, `whitelist`, `unnormalized_history`; all those the
                service has by default if not given.
            functions: Functions the model may call, whose descriptions are judged too.
        """
        body = given(
            model=checked_id(model, "model"),
            messages=messages_of(messages),
            settings=settings,
            functions=None if functions is None else models_of(models.Function, functions, "functions"),
        )
        return post("/filter/check", body, models.FilterCheckResult, repeatable=True)
