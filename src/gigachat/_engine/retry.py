"""Whether a failed attempt is followed by another, and after what pause. It does not wait itself.

`attempts` decides whether a request may be sent again at all; then the status must be in the list, and the number of
attempts and the times must permit it. 423 is never retried. 429 does not count against `max_retries`; it has its own
time budget.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple

from gigachat.exceptions import GigaChatException, ModelUnavailableError, ResponseError

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST_PAUSE = 60.0
_RATE_LIMIT_FIRST_PAUSE = 0.5
_MOST_DOUBLINGS = 20


class RetryPolicy(NamedTuple):
    """The settings of retries; times in seconds."""

    max_retries: int
    backoff_factor: float
    on_status_codes: frozenset[int]
    timeout: float
    rate_limit_timeout: float
    refused: Callable[[ResponseError], None] | None = None
    """Told of each error response, before any retry."""


NO_RETRIES = RetryPolicy(0, 0.0, frozenset(), 0.0, 0.0)


class Retry:
    """The retries of one call."""

    __slots__ = ("_failures", "_policy", "_rate_limited", "_rate_limits", "_started")

    def __init__(self, policy: RetryPolicy, started: float) -> None:
        self._policy = policy
        self._started = started
        self._failures = 0
        self._rate_limits = 0
        self._rate_limited = 0.0  # seconds waited for 429 so far

    def pause_after(self, error: GigaChatException, now: float) -> float | None:
        """Return the seconds to wait before the next attempt, None if there must be none."""
        policy = self._policy
        if isinstance(error, ModelUnavailableError):
            return None
        status = error.status_code if isinstance(error, ResponseError) else None
        if policy.max_retries == 0 or (status is not None and status not in policy.on_status_codes):
            return None
        budget = self._started + policy.timeout - now
        if status == 429:
            budget = min(budget, policy.rate_limit_timeout - self._rate_limited)
            longest = max(policy.backoff_factor, _RATE_LIMIT_FIRST_PAUSE) * 2.0 ** min(
                self._rate_limits, _MOST_DOUBLINGS
            )
            self._rate_limits += 1
        else:
            if self._failures == policy.max_retries:
                return None
            longest = policy.backoff_factor * 2.0 ** min(self._failures, _MOST_DOUBLINGS)
            self._failures += 1
        asked = error.retry_after if isinstance(error, ResponseError) else 0.0
        if budget <= 0 or asked > min(budget, _LONGEST_PAUSE):
            return None
        # Jitter, so that clients that failed together do not retry together.
        low, high = (asked, asked * 1.25) if asked else (0.0, min(longest, _LONGEST_PAUSE))
        pause = min(random.uniform(low, high), budget)  # noqa: S311
        if status == 429:
            self._rate_limited += pause
        return pause
