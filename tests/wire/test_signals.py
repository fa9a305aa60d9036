"""An exception of a signal's handler, raised anywhere, loses no slot, leaves no lock held and no sign-in under way.

Ctrl-C is one, the soft limit of a worker, the abort of a server. Each storm has a process of its own (`storm`).
"""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

from tests.support.programs import run_program

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no such signals")
LONG = [
    "mock streams",
    "mock sign-ins",
    "network calls",
    "network connects",
    "network streams",
    "network closed streams",
    "network sign-ins",
    "TLS connects",
]
KINDS = ["mock calls", *(pytest.param(kind, marks=pytest.mark.slow) for kind in LONG)]


def report(kind: str, way: str, *options: str) -> dict[str, Any]:
    """Make a storm."""
    done = run_program(["-m", "tests.wire.storm", kind, way, *options])
    assert done.stdout, f"it hangs, or worse: {done.stderr[-3000:]}"
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mock calls", *LONG])
def test_interrupts_at_random_moments_lose_nothing(kind: str) -> None:
    said = report(kind, "alarms", "--most", "2000", "--seconds", "4")
    assert (said["lost"], said["foreign"]) == ({}, {})
    assert said["interrupts"] > 20
    assert said["ignored"] < said["interrupts"]


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupt_at_each_place_loses_nothing(kind: str) -> None:
    """Where there are too many places, at each so-manieth."""
    said = report(kind, "steps", "--seconds", "4")
    assert (said["lost"], said["foreign"]) == ({}, {})
    assert said["interrupts"] > 20


@pytest.mark.slow
@pytest.mark.parametrize("way", ["alarms", "steps"])
@pytest.mark.parametrize("kind", ["mock calls", "mock sign-ins", "network calls", "network sign-ins"])
def test_others_who_call_meanwhile_notice_nothing(kind: str, way: str) -> None:
    """They wait for the slot, the lock and the sign-in of the interrupted call, or it for theirs."""
    said = report(kind, way, "--crowd", "--seconds", "3")
    assert (said["lost"], said["foreign"]) == ({}, {})
    assert said["interrupts"] > 20
