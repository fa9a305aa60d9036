"""Samples by scenario, system and round; medians, quartiles and ratios. They can be saved and go on later."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.targets import Measured, Target


class Spread(NamedTuple):
    """A median between its quartiles."""

    median: float
    low: float
    high: float


def spread(values: list[float]) -> Spread:
    if len(values) < 2:
        return Spread(values[0], values[0], values[0])
    low, middle, high = quantiles(values, n=4, method="inclusive")
    return Spread(middle, low, high)


@dataclass
class Results:
    """All samples.

    Attributes:
        samples: By scenario and system, the samples of each round.
        about: When and where they were measured, and with which releases.
    """

    samples: dict[str, dict[str, list[list[float]]]] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)

    def start(self, scenario: str) -> None:
        """Forget the samples of an earlier run."""
        self.samples[scenario] = {}

    def add(self, scenario: str, system: str, number: int, sample: float) -> None:
        rounds = self.samples[scenario].setdefault(system, [])
        rounds.extend([] for _ in range(number + 1 - len(rounds)))
        rounds[number].append(sample)

    def of(self, measured: Measured) -> Spread | None:
        rounds = self._rounds(measured)
        return spread([sample for samples in rounds for sample in samples]) if any(rounds) else None

    def ratio(self, measured: Measured, of: Measured | float) -> Spread | None:
        """Return the ratio of what was measured in the same rounds."""
        ours = self._rounds(measured)
        if isinstance(of, tuple):
            pairs = zip(ours, self._rounds(of), strict=False)
            ratios = [median(mine) / median(theirs) for mine, theirs in pairs if mine and theirs]
        else:
            ratios = [median(samples) / of for samples in ours if samples]
        return spread(ratios) if ratios else None

    def reached(self, target: Target) -> Spread | None:
        return self.ratio(target.reached, target.of)

    def floor(self, target: Target) -> Spread | None:
        return self.ratio(target.floor, target.of) if target.floor else None

    def _rounds(self, measured: Measured) -> list[list[float]]:
        scenario, system = measured
        return self.samples.get(scenario, {}).get(system, [])

    @property
    def rounds(self) -> int:
        """Most rounds of a scenario."""
        return max((len(rounds) for systems in self.samples.values() for rounds in systems.values()), default=0)

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"samples": self.samples, "about": self.about}))

    @classmethod
    def load(cls, path: Path) -> Self:
        return cls(**json.loads(path.read_text())) if path.exists() else cls()
