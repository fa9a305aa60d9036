"""The learner of the ceiling, in a simulation without a clock of its own: requests of 0.5 to 1.5 s."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable

import pytest

from gigachat.bulk.concurrency import Learner, Mark

REQUESTS = 3000


def simulate(ceiling: Callable[[float], int], seed: int = 1) -> tuple[float, float, float]:
    """Ask 3,000 requests of an account; return efficiency, share of refusals and seconds.

    Args:
        ceiling: The ceiling of the account at a time.
        seed: Of the durations.
    """
    chance = random.Random(seed)
    learner = Learner()
    now, left, possible = 0.0, REQUESTS, 0.0
    running: list[tuple[float, Mark]] = []
    work = 0.0
    while left or running:
        while left and learner.free:
            mark = learner.start()
            if len(running) >= ceiling(now):
                learner.refuse(mark)  # at once
                continue
            seconds = chance.uniform(0.5, 1.5)
            work += seconds
            left -= 1
            heapq.heappush(running, (now + seconds, mark))
        assert running, "nothing is in progress and nothing may begin"
        end, mark = heapq.heappop(running)
        possible += (end - now) * ceiling(now)
        now = end
        learner.answered(mark)
    return work / possible, learner.refused / REQUESTS, now


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("ceiling", "least"), [(1, 0.95), (3, 0.95), (10, 0.95), (50, 0.90)])
def test_the_ceiling_is_learned(ceiling: int, least: float, seed: int) -> None:
    efficiency, refused, _ = simulate(lambda _: ceiling, seed)
    assert efficiency >= least
    assert refused <= 0.01


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("before", "after"), [(10, 20), (10, 3), (3, 10), (50, 10), (1, 3)])
def test_a_ceiling_that_moves_is_learned_again(before: int, after: int, seed: int) -> None:
    moves = REQUESTS / 2 / before
    efficiency, refused, _ = simulate(lambda now: before if now < moves else after, seed)
    assert efficiency >= (0.90 if before == 50 else 0.95)
    assert refused <= 0.01


def test_a_limit_that_is_not_used_does_not_grow() -> None:
    learner = Learner()
    for _ in range(100):
        learner.answered(learner.start())
    assert learner.limit == 2


def test_a_refusal_when_nothing_else_is_in_progress_leaves_one() -> None:
    learner = Learner()
    learner.refuse(learner.start())
    assert (learner.limit, learner.in_progress, learner.refused) == (1, 0, 1)


def test_a_burst_above_the_ceiling_leaves_the_ceiling() -> None:
    learner = Learner()
    marks = [learner.start()]
    while len(marks) < 16:  # answers that come at once, as of requests of one length
        for mark in marks:
            learner.answered(mark)
        marks = []
        while learner.free:
            marks.append(learner.start())
    for mark in marks[10:]:
        learner.refuse(mark)
    assert learner.limit == 10
