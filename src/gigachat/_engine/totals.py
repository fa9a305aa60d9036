"""The usage of each client: its calls and their tokens, summed by model. No answer is kept."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any, TypeAlias

from gigachat._engine.registry import Registry

if TYPE_CHECKING:
    from gigachat.usage import ClientUsage, TokenCounts

    Counts: TypeAlias = tuple[int, int, int]  # the attributes of `TokenCounts`

_MOST_WAITING = 100  # small objects


class UsageTotals:
    """The sums of one client."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin at zero: a forked child process counts its own calls."""
        self._lock = threading.Lock()
        self._sums: dict[str | None, list[int]] = {}  # by model with its version: the attributes of `ModelUsage`
        self._waiting: deque[tuple[str | None, Any]] = deque()  # not added yet: model, and usage as reported

    def count(self, answer: Any) -> None:
        """Count the call of an answer, if it is a completion or embeddings. The answer is not kept."""
        try:
            model, usage = answer.model, answer.usage
        except AttributeError:
            usage = _tokens_of_texts(answer)
            if usage is None:
                return
            model = answer.model
        waiting = self._waiting
        waiting.append((model, usage))
        # A finalizer may count a stream at any point of a program, so it does not wait.
        if len(waiting) >= _MOST_WAITING and self._lock.acquire(blocking=False):
            try:
                self._add()
            finally:
                self._lock.release()

    def snapshot(self) -> ClientUsage:
        """Return the sums."""
        from gigachat.usage import ClientUsage, ModelUsage  # here: few programs ask for them

        models: dict[str, ModelUsage] = {}
        with self._lock:
            self._add()
            for model, sums in self._sums.items():
                name = (model or "").partition(":")[0]
                models[name] = models.get(name, ModelUsage()) + ModelUsage(*sums)
        return ClientUsage(models)

    def _add(self) -> None:
        """Add what waits; the lock is held."""
        while self._waiting:
            model, usage = self._waiting.popleft()
            sums = self._sums.get(model)
            if sums is None:
                sums = self._sums[model] = [0, 0, 0, 0, 0]
            sums[0] += 1
            counts = usage if isinstance(usage, tuple) else _counts(usage)
            if counts is None:
                sums[4] += 1
            else:
                sums[1] += counts[0]
                sums[2] += counts[1]
                sums[3] += counts[2]


def requested_model(body: Any) -> str | None:
    """Return the model that a request names, if it names one."""
    model = body.get("model") if isinstance(body, dict) else getattr(body, "model", None)
    return model if isinstance(model, str) else None


def tokens_of(answer: Any) -> TokenCounts | None:
    """Return the token counts of a completion, a chunk or embeddings; None if there are none."""
    from gigachat.usage import TokenCounts  # here: only observers need it

    usage = getattr(answer, "usage", None)
    counts = _tokens_of_texts(answer) if usage is None else _counts(usage)
    return None if counts is None else TokenCounts(*counts)


def _counts(usage: Any) -> Counts | None:
    """Return the token counts of a usage; None if it reports nothing."""
    try:
        prompt, generated, cached = usage.prompt_tokens, usage.completion_tokens, usage.precached_prompt_tokens
    except AttributeError:
        prompt, generated = getattr(usage, "input_tokens", None), getattr(usage, "output_tokens", None)  # v2
        if prompt is None and generated is None:
            return None
        details = usage.input_tokens_details
        return prompt or 0, generated or 0, (details and details.cached_tokens) or 0
    return (prompt, generated, cached or 0) if prompt or generated or usage.model_fields_set else None


def _tokens_of_texts(answer: Any) -> Counts | None:
    items = getattr(answer, "data", None)
    if not isinstance(items, list) or not items or not hasattr(items[0], "embedding"):
        return None
    return sum(item.usage.prompt_tokens for item in items), 0, 0


client_totals: Registry[UsageTotals] = Registry(UsageTotals, UsageTotals.reset)
