"""The pauses between attempts keep their bounds, whatever fails and however long each attempt takes."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gigachat._engine.errors import error_for_status
from gigachat._engine.retry import Retry, RetryPolicy
from gigachat.exceptions import APIConnectionError, APITimeoutError, GigaChatException

LONGEST = 60.0
STATUSES = (429, 500, 502, 503, 504)

policies = st.builds(
    RetryPolicy,
    max_retries=st.integers(0, 6),
    backoff_factor=st.sampled_from([0.0, 0.01, 0.5, 3.0, 1000.0]),
    on_status_codes=st.frozensets(st.sampled_from((*STATUSES, 400, 404)), max_size=6),
    timeout=st.sampled_from([0.0, 1.0, 60.0, 10_000.0]),
    rate_limit_timeout=st.sampled_from([0.0, 0.7, 60.0, 10_000.0]),
)
no_answers = st.sampled_from([APIConnectionError("broken"), APITimeoutError("slow")])


def answered(status: int, wait: float | None) -> GigaChatException:
    return error_for_status("https://host/", status, b"", {} if wait is None else {"retry-after": str(wait)})


errors = st.one_of(
    no_answers,
    st.builds(
        answered,
        st.sampled_from((*STATUSES, 429, 429, 400, 401, 404)),
        st.one_of(st.none(), st.floats(0.001, 70), st.sampled_from([0.0, 60.0, 60.5, 1e9])),
    ),
)
# What fails, and how long it took to fail.
stories = st.lists(st.tuples(errors, st.sampled_from([0.0, 0.1, 5.0, 100.0])), max_size=30)


@given(policies, stories)
@example(RetryPolicy(2, 0.5, frozenset(STATUSES), 60.0, 60.0), [(answered(429, None), 0.0)] * 30)
@example(RetryPolicy(2, 0.5, frozenset(STATUSES), 60.0, 60.0), [(answered(503, 50.0), 0.0)] * 3)
@example(RetryPolicy(6, 1000.0, frozenset(STATUSES), 10_000.0, 10_000.0), [(answered(503, None), 0.0)] * 9)
def test_a_call_keeps_all_its_limits(policy: RetryPolicy, story: list[tuple[GigaChatException, float]]) -> None:
    started = now = 1000.0
    retry = Retry(policy, started)
    failures = 0
    waited_for_429 = 0.0
    for error, took in story:
        now += took
        pause = retry.pause_after(error, now)
        if pause is None:
            return
        status = getattr(error, "status_code", None)
        asked = getattr(error, "retry_after", 0.0)
        assert 0 <= pause <= LONGEST * 1.25
        assert pause <= LONGEST or asked
        assert policy.max_retries > 0
        assert status is None or status in policy.on_status_codes
        if asked:
            assert asked <= LONGEST
            assert asked <= pause <= asked * 1.25
        now += pause
        assert now <= started + policy.timeout + 1e-6
        if status == 429:
            waited_for_429 += pause
            assert waited_for_429 <= policy.rate_limit_timeout + 1e-6
        else:
            failures += 1
            assert failures <= policy.max_retries
            # Growing pauses, each chosen anew between nothing and its bound.
            assert asked or pause <= policy.backoff_factor * 2 ** (failures - 1)


@given(policies, errors)
def test_without_retries_nothing_is_repeated(policy: RetryPolicy, error: GigaChatException) -> None:
    assert Retry(policy._replace(max_retries=0), 0.0).pause_after(error, 0.0) is None


@given(policies, st.integers(300, 599), st.one_of(st.none(), st.floats(0.1, 50)))
def test_the_list_of_statuses_is_obeyed_exactly(policy: RetryPolicy, status: int, wait: float | None) -> None:
    patient = policy._replace(max_retries=1, timeout=1000.0, rate_limit_timeout=1000.0)
    pause = Retry(patient, 0.0).pause_after(answered(status, wait), 0.0)
    assert (pause is not None) == (status in policy.on_status_codes)


@given(st.sampled_from(STATUSES), st.floats(60.001, 1e12))
def test_who_asks_for_more_than_a_minute_gets_no_second_attempt(status: int, wait: float) -> None:
    policy = RetryPolicy(5, 0.5, frozenset(STATUSES), 1e15, 1e15)
    assert Retry(policy, 0.0).pause_after(answered(status, wait), 0.0) is None


@given(st.integers(1, 5), st.sampled_from([500, 502, 503, 504, None]))
def test_so_many_retries_as_are_permitted(most: int, status: int | None) -> None:
    policy = RetryPolicy(most, 0.0, frozenset(STATUSES), 60.0, 60.0)
    retry = Retry(policy, 0.0)
    error = APIConnectionError("broken") if status is None else answered(status, None)
    pauses = [retry.pause_after(error, 0.0) for _ in range(most + 1)]
    assert pauses == [0.0] * most + [None]


def test_pauses_are_not_all_the_same() -> None:
    policy = RetryPolicy(1, 0.5, frozenset(STATUSES), 60.0, 60.0)
    pauses = {Retry(policy, 0.0).pause_after(answered(503, None), 0.0) for _ in range(50)}
    floors = {Retry(policy, 0.0).pause_after(answered(503, 10.0), 0.0) for _ in range(50)}
    assert len(pauses) > 40
    assert len(floors) > 40


@pytest.mark.parametrize("status", [429, 503])
def test_patience_for_days_is_no_arithmetic_error(status: int) -> None:
    # Batch jobs wait long: the bound that doubles each time must not grow out of a float.
    policy = RetryPolicy(5000, 0.01, frozenset(STATUSES), 1e9, 1e9)
    retry = Retry(policy, 0.0)
    pauses = [retry.pause_after(answered(status, None), 0.0) for _ in range(2000)]
    assert all(pause is not None and pause <= LONGEST for pause in pauses)
