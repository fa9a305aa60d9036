"""The usage of each client: its calls and their tokens, summed by model. No answer is kept."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from gigachat._engine.registry import Registry
from gigachat.usage import ClientUsage, ModelUsage, TokenCounts

if TYPE_CHECKING:
    from gigachat._engine.calls import Call

_MOST_WAITING = 1000  # counts that are not summed yet


class UsageTotals:
    """The sums of one client.

    Adding takes no lock: a finalizer may do it at any point of a program.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin at zero: a forked child process counts its own calls."""
        self._lock = threading.Lock()
        self._waiting: deque[tuple[str, TokenCounts | None]] = deque()
        self._models: dict[str, ModelUsage] = {}

    def count(self, answer: Any) -> None:
        """Add the call of an answer, if it is a completion or embeddings. The answer is not kept."""
        tokens = tokens_of(answer)
        if tokens is not None or _is_completion(answer):
            self.add(answer.model, tokens)

    def count_stream(self, call: Call[Any], last: Any) -> None:
        """Count the call of a stream.

        Args:
            call: Its request.
            last: Its last chunk, or the last one that reports usage; None if it had no chunk. It is not kept.
        """
        self.add(getattr(last, "model", None) or requested_model(call.json), tokens_of(last))

    def add(self, model: Any, tokens: TokenCounts | None) -> None:
        """Add a call.

        Args:
            model: Model that answered, with or without a version.
            tokens: Its token counts; None if they are unknown.
        """
        name = model.partition(":")[0] if isinstance(model, str) else ""
        self._waiting.append((name, tokens))
        if len(self._waiting) > _MOST_WAITING and self._lock.acquire(blocking=False):
            try:
                self._sum()
            finally:
                self._lock.release()

    def snapshot(self) -> ClientUsage:
        """Return the sums."""
        with self._lock:
            self._sum()
            return ClientUsage(dict(self._models))

    def _sum(self) -> None:
        for _ in range(len(self._waiting)):
            name, tokens = self._waiting.popleft()
            if tokens is None:
                used = ModelUsage(calls=1, unknown=1)
            else:
                used = ModelUsage(1, tokens.input_tokens, tokens.output_tokens, tokens.cached_tokens)
            self._models[name] = self._models.get(name, ModelUsage()) + used


def requested_model(body: Any) -> str | None:
    """Return the model that a request names, if it names one."""
    model = body.get("model") if isinstance(body, dict) else getattr(body, "model", None)
    return model if isinstance(model, str) else None


def tokens_of(answer: Any) -> TokenCounts | None:
    """Return the token counts of a completion, a chunk or embeddings; None if there are none."""
    usage = getattr(answer, "usage", None)
    if usage is None:
        return _tokens_of_texts(answer)
    generated = getattr(usage, "completion_tokens", None)
    if generated is not None:  # v1
        if not usage.model_fields_set:
            return None
        return TokenCounts(usage.prompt_tokens, generated, usage.precached_prompt_tokens or 0)
    prompt = getattr(usage, "input_tokens", None)
    if prompt is None and getattr(usage, "output_tokens", None) is None:
        return None
    details = usage.input_tokens_details
    return TokenCounts(prompt or 0, usage.output_tokens or 0, (details and details.cached_tokens) or 0)


def _is_completion(answer: Any) -> bool:
    fields = getattr(type(answer), "model_fields", ())
    return "usage" in fields and "model" in fields


def _tokens_of_texts(answer: Any) -> TokenCounts | None:
    items = getattr(answer, "data", None)
    if not isinstance(items, list) or not items or not hasattr(items[0], "embedding"):
        return None
    return TokenCounts(sum(item.usage.prompt_tokens for item in items))


client_totals: Registry[UsageTotals] = Registry(UsageTotals, UsageTotals.reset)
