"""How many requests may be in progress: the ceiling of the account, learned from its refusals.

The service counts requests in progress and refuses the next one with 429, so the ceiling is exact. `Learner` decides,
without a clock and without I/O:

* Slow start: the limit is 1 and grows by one with each answer until the first refusal.
* After a refusal the limit is what was in progress without it.
* An unexpected refusal means that the ceiling is lower now: each further one lowers the limit twice as much. After an
  answer, the limit grows again.
* After 16 answers the limit is tried with one more. A refusal doubles the number of answers before the next try, up to
  256: so at most 0.4 % of the requests are tries. After an answer, the limit grows as at the start.

Requests wait at the `Gate`. Only the gate may count refusals: the client must raise a 429 at once.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from typing import NamedTuple

FIRST_TRY = 16
"""Answers between a refusal and the next try."""
LAST_TRY = 256
MOST = 100
"""Most requests in progress if the caller gives no number."""
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0


class Mark(NamedTuple):
    """A request in progress.

    Attributes:
        level: How many were in progress with it when it began.
        refused: How many had been refused by then.
    """

    level: int
    refused: int


class Learner:
    """Counts requests in progress and learns how many may be.

    Args:
        most: Most requests in progress.
        fixed: Whether the limit is `most` from the beginning, lowered by refusals only.

    Attributes:
        limit: How many may be in progress now.
        in_progress: How many are.
        refused: How many were refused in all.
    """

    def __init__(self, most: int = MOST, *, fixed: bool = False) -> None:
        self.most = most
        self.limit = most if fixed else 1
        self.in_progress = 0
        self.refused = 0
        self._growing = not fixed
        self._trying = False
        self._drops = 0
        self._wait = FIRST_TRY
        self._answers = 0

    @property
    def free(self) -> bool:
        """Whether one more may be in progress."""
        return self.in_progress < self.limit

    def start(self) -> Mark:
        """Count a request that begins."""
        self.in_progress += 1
        return Mark(self.in_progress, self.refused)

    def answered(self, mark: Mark) -> None:
        """Count a request that was let in.

        Args:
            mark: What `start` returned for it.
        """
        self.in_progress -= 1
        if mark.refused == self.refused:  # it began after the last refusal
            if self._drops > 1:
                self._growing = True  # the limit may have become too low
            self._drops = 0
            if self._trying and mark.level == self.limit:
                self._trying = False
                self._growing = True
                self._wait = FIRST_TRY
        if self._growing:
            # Only a limit that is used may grow; a source that is slow says nothing about the account.
            self._answers += mark.level > self.limit // 2
            # By one with each answer until the first refusal; later more slowly, so that few are refused.
            if self._answers >= (max(self.limit // 2, 1) if self.refused else 1):
                self._answers = 0
                self.limit = min(self.limit + 1, self.most)
            return
        self._answers += 1
        if self._answers >= self._wait and not self._trying and self.limit < self.most:
            self._trying = True
            self._answers = 0
            self.limit += 1

    def failed(self) -> None:
        """Count a request that ended in another way, which says nothing about the ceiling."""
        self.in_progress -= 1

    def refuse(self, mark: Mark) -> None:
        """Count a request that was refused.

        Args:
            mark: What `start` returned for it.
        """
        self.in_progress -= 1
        expected = self._growing or mark.refused < self.refused  # it began before the refusal that is known already
        self.refused += 1
        room = self.in_progress
        if self._trying:
            self._wait = min(self._wait * 2, LAST_TRY)
        elif not expected:
            room -= 2**self._drops - 1
            self._drops += 1
            self._wait = FIRST_TRY
        self.limit = max(1, min(self.limit, room))
        self._growing = self._trying = False
        self._answers = 0


class Gate:
    """Lets requests of one event loop in, first come first served.

    Args:
        learner: Decides how many.
    """

    def __init__(self, learner: Learner) -> None:
        self.learner = learner
        self._waiters: deque[asyncio.Future[Mark]] = deque()
        self._until = 0.0
        self._pauses = 0
        self._refused_since: float | None = None

    async def enter(self) -> Mark:
        """Wait until one more request may begin; return its mark."""
        learner = self.learner
        if self._waiters or not learner.free or self._until:
            waiter: asyncio.Future[Mark] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                return await waiter
            except asyncio.CancelledError:
                if waiter.done() and not waiter.cancelled():
                    learner.failed()  # it had been let in
                    self._admit()
                elif waiter in self._waiters:
                    self._waiters.remove(waiter)
                raise
        return learner.start()

    def answered(self, mark: Mark) -> None:
        """Count a request that was let in."""
        self._pauses = 0
        self._refused_since = None
        self.learner.answered(mark)
        self._admit()

    def failed(self) -> None:
        """Count a request that ended in another way."""
        self.learner.failed()
        self._admit()

    def refused(self, mark: Mark, retry_after: float = 0.0) -> float:
        """Count a refused request; return for how many seconds nothing but refusals has come.

        Args:
            mark: What `enter` returned for it.
            retry_after: Seconds for which the service asked to wait.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        self.learner.refuse(mark)
        if self._refused_since is None:
            self._refused_since = now
        pause = retry_after
        if self.learner.in_progress == 0:
            # Nothing of ours was in progress: others use the account.
            longest = min(_FIRST_PAUSE * 2.0**self._pauses, _LONGEST_PAUSE)
            self._pauses = min(self._pauses + 1, 16)
            pause = max(pause, random.uniform(longest / 2, longest))  # noqa: S311 - jitter
        if pause and now + pause > self._until:
            self._until = now + pause
            loop.call_at(self._until, self._resume, self._until)
        self._admit()
        return now - self._refused_since

    def _resume(self, until: float) -> None:
        if self._until == until:  # else a later pause has begun
            self._until = 0.0
            self._admit()

    def _admit(self) -> None:
        while self._waiters and self.learner.free and not self._until:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(self.learner.start())
