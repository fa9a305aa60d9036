"""Jobs under faults: refusals, failures and cuts at random, and the process killed in mid-run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from benchmarks.bulk import CEILING, faults

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9 there")


@pytest.mark.costly
@pytest.mark.parametrize(("rows", "kills"), [(150, 1), pytest.param(3000, 5, marks=pytest.mark.slow)])
def test_nothing_is_lost_and_nothing_is_paid_twice(rows: int, kills: int, tmp_path: Path) -> None:
    outcome = faults(rows, kills, tmp_path)
    assert outcome.lines == rows
    assert outcome.once
    assert outcome.ordered
    assert outcome.equal
    assert outcome.most <= CEILING
    assert outcome.undelivered <= outcome.cut + kills * CEILING
