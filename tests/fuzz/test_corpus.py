"""The inputs that were worth keeping, and those of the recordings, once more through every target."""

from __future__ import annotations

import pytest

from tests.fuzz.targets import TARGETS, corpus, seeds

KEPT = [(target, path.name) for target in TARGETS for path in sorted(corpus(target).iterdir())]


@pytest.mark.parametrize(("target", "name"), KEPT)
def test_a_kept_input(target: str, name: str) -> None:
    TARGETS[target]((corpus(target) / name).read_bytes())


@pytest.mark.parametrize("target", TARGETS)
def test_the_recordings(target: str) -> None:
    inputs = list(dict.fromkeys(seeds(target)))
    assert inputs
    for data in inputs:
        TARGETS[target](data)
