"""Is the client roughly as cheap as it should be? A small part of the benchmarks, with generous limits.

Only ratios of CPU time within one run count, of the best samples, so that a busy machine changes little. `make bench`
measures well; a failure here means that something has become several times dearer.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import pytest
from benchmarks.results import Results
from benchmarks.run import Run, servers
from benchmarks.scenarios import SCENARIOS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")

SYSTEMS = ("ours", "httpcore2", "chunks", "pydantic")
SMALLER: dict[str, dict[str, Any]] = {
    "chat": {"repeats": 50},
    "async-100": {"repeats": 1},
    "stream-v1": {},
    "chunks": {},
    "dripped-50-v1": {"answers": "drip-10-20"},
    "embeddings-100": {"repeats": 1},
    "memory-streams": {"together": 200, "rounds": 1},
}


@pytest.fixture(scope="module")
def results() -> Results:
    measured = Results()
    scenarios = [replace(one, **SMALLER[one.name]) for one in SCENARIOS if one.name in SMALLER]
    with servers(use_nginx=False) as running:
        run = Run(running, dict.fromkeys(SYSTEMS, sys.executable), measured, 60)
        run.round(0, scenarios)
    return measured


def best(results: Results, scenario: str, system: str) -> float:
    return min(sample for samples in results.samples[scenario][system] for sample in samples)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scenario", "system", "of", "limit"),
    [
        ("chat", "ours", "httpcore2", 3),
        ("async-100", "ours", "httpcore2", 3),
        ("stream-v1", "ours", "httpcore2", 4),
        ("chunks", "chunks", "pydantic", 5),
        ("dripped-50-v1", "ours", "httpcore2", 3),
        ("embeddings-100", "ours", "httpcore2", 3),
        ("memory-streams", "ours", "httpcore2", 2),
    ],
)
def test_the_client_is_not_several_times_dearer(
    results: Results, scenario: str, system: str, of: str, limit: float
) -> None:
    assert best(results, scenario, system) < limit * best(results, scenario, of)
