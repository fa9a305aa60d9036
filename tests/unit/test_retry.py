"""When an attempt follows a failed one; the bounds that hold for any story are in the property tests."""

from __future__ import annotations

import random
from email.utils import formatdate
from typing import Any

import pytest

from gigachat._engine.errors import error_for_status
from gigachat._engine.retry import Retry, RetryPolicy
from gigachat._headers import Headers
from gigachat.exceptions import (
    APIConnectionError,
    APITimeoutError,
    CertificateError,
    GigaChatException,
    ResponseError,
)

ALL = frozenset((429, 500, 502, 503, 504))
LOST = APIConnectionError("broken")


def policy(**changes: Any) -> RetryPolicy:
    usual: dict[str, Any] = {
        "max_retries": 2,
        "backoff_factor": 0.5,
        "on_status_codes": ALL,
        "timeout": 60.0,
        "rate_limit_timeout": 60.0,
    }
    return RetryPolicy(**{**usual, **changes})


def refused(status: int, wait: str | None = None, date: str | None = None) -> ResponseError:
    headers = {name: value for name, value in (("retry-after", wait), ("date", date)) if value is not None}
    return error_for_status("https://host/", status, b"", Headers(headers))


@pytest.fixture
def longest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pause is as long as it may be."""
    monkeypatch.setattr(random, "uniform", lambda low, high: high)


@pytest.fixture
def shortest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pause is as short as it may be."""
    monkeypatch.setattr(random, "uniform", lambda low, high: low)


def pauses(retry: Retry, error: GigaChatException, times: int) -> list[float | None]:
    """Return the pauses after so many failures, waited for one after the other."""
    now = 0.0
    result = []
    for _ in range(times):
        pause = retry.pause_after(error, now)
        now += pause or 0.0
        result.append(pause)
    return result


@pytest.mark.usefixtures("longest")
@pytest.mark.parametrize("error", [LOST, APITimeoutError("slow"), refused(500), refused(503)])
def test_pauses_double_until_the_retries_are_used_up(error: GigaChatException) -> None:
    assert pauses(Retry(policy(max_retries=4), 0.0), error, 6) == [0.5, 1.0, 2.0, 4.0, None, None]


@pytest.mark.usefixtures("shortest")
def test_jitter_is_full() -> None:
    assert pauses(Retry(policy(), 0.0), LOST, 3) == [0.0, 0.0, None]


@pytest.mark.usefixtures("longest")
def test_one_pause_is_a_minute_at_most() -> None:
    assert pauses(Retry(policy(backoff_factor=50.0, timeout=1000.0), 0.0), LOST, 3) == [50.0, 60.0, None]


@pytest.mark.usefixtures("longest")
def test_429_grows_on_its_own_account() -> None:
    retry = Retry(policy(max_retries=1), 0.0)
    story = [refused(429), refused(429), refused(503), refused(429), refused(503)]
    assert [retry.pause_after(error, 0.0) for error in story] == [0.5, 1.0, 0.5, 2.0, None]


@pytest.mark.usefixtures("longest")
def test_429_waits_until_its_time_is_used_up() -> None:
    retry = Retry(policy(rate_limit_timeout=5.0), 0.0)
    # 0.5 + 1 + 2 leave 1.5 of the 5 seconds.
    assert pauses(retry, refused(429), 6) == [0.5, 1.0, 2.0, 1.5, None, None]


@pytest.mark.usefixtures("longest")
def test_429_pauses_even_where_others_do_not() -> None:
    # A backoff of nothing must not become a hammer.
    retry = Retry(policy(backoff_factor=0.0), 0.0)
    assert pauses(retry, refused(429), 3) == [0.5, 1.0, 2.0]
    assert pauses(Retry(policy(backoff_factor=0.0), 0.0), refused(503), 3) == [0.0, 0.0, None]


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 408, 413, 422, 501, 505, 599])
def test_statuses_outside_the_list_are_not_tried_again(status: int) -> None:
    assert Retry(policy(), 0.0).pause_after(refused(status), 0.0) is None
    assert Retry(policy(on_status_codes=frozenset((status,))), 0.0).pause_after(refused(status), 0.0) is not None


@pytest.mark.parametrize("status", sorted(ALL))
def test_a_list_without_a_status_is_obeyed(status: int) -> None:
    assert Retry(policy(on_status_codes=ALL - {status}), 0.0).pause_after(refused(status), 0.0) is None


def test_an_empty_list_still_repeats_lost_connections() -> None:
    assert Retry(policy(on_status_codes=frozenset()), 0.0).pause_after(LOST, 0.0) is not None


@pytest.mark.parametrize("error", [LOST, refused(429), refused(503), refused(429, "1")])
def test_no_retries_means_none(error: GigaChatException) -> None:
    assert Retry(policy(max_retries=0), 0.0).pause_after(error, 0.0) is None


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("asked", "expected"), [("8", (8.0, 10.0)), ("0.4", (0.4, 0.5)), ("60", (60.0, 60.0))])
def test_retry_after_is_a_floor_with_a_quarter_on_top(
    status: int, asked: str, expected: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for pick in (min, max):
        monkeypatch.setattr(random, "uniform", lambda low, high, pick=pick: pick(low, high))
        found.append(Retry(policy(), 0.0).pause_after(refused(status, asked), 0.0))
    assert tuple(found) == expected


@pytest.mark.usefixtures("shortest")
def test_retry_after_may_be_a_date() -> None:
    error = refused(503, formatdate(1_790_000_020, usegmt=True), formatdate(1_790_000_000, usegmt=True))
    assert Retry(policy(), 0.0).pause_after(error, 0.0) == 20.0


@pytest.mark.parametrize("asked", ["60.5", "3600", "1e999", formatdate(4_000_000_000, usegmt=True)])
@pytest.mark.parametrize("status", [429, 503])
def test_a_wait_of_more_than_a_minute_is_not_begun(status: int, asked: str) -> None:
    patient = policy(timeout=1e6, rate_limit_timeout=1e6)
    assert Retry(patient, 0.0).pause_after(refused(status, asked), 0.0) is None


def test_a_wait_longer_than_what_is_left_is_not_begun() -> None:
    assert Retry(policy(timeout=10.0), 0.0).pause_after(refused(503, "8"), 1.0) is not None
    assert Retry(policy(timeout=10.0), 0.0).pause_after(refused(503, "8"), 3.0) is None
    assert Retry(policy(rate_limit_timeout=5.0), 0.0).pause_after(refused(429, "8"), 0.0) is None


@pytest.mark.usefixtures("longest")
@pytest.mark.parametrize("error", [LOST, refused(429), refused(503)])
def test_no_attempt_starts_after_the_retry_timeout(error: GigaChatException) -> None:
    assert Retry(policy(timeout=10.0), 100.0).pause_after(error, 109.75) == 0.25
    assert Retry(policy(timeout=10.0), 100.0).pause_after(error, 110.0) is None
    assert Retry(policy(timeout=10.0), 100.0).pause_after(error, 500.0) is None


def test_each_call_has_a_budget_of_its_own() -> None:
    shared = policy(max_retries=1)
    assert pauses(Retry(shared, 0.0), LOST, 2)[1] is None
    assert Retry(shared, 0.0).pause_after(LOST, 0.0) is not None


def test_a_refused_certificate_is_a_connection_error_all_the_same() -> None:
    # Whether it may be repeated the engine decides: here only statuses and budgets count.
    assert Retry(policy(), 0.0).pause_after(CertificateError("no"), 0.0) is not None
