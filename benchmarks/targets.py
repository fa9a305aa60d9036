"""What is wanted, as data: ratios within one run, since absolute times say more of the machine than of the client."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.answers import DIMENSIONS
from benchmarks.scenarios import FAST, OURS, PUBLISHED

Measured = tuple[str, str]  # scenario, system


@dataclass(frozen=True)
class Target:
    """At most so much of what another system needs in the same run.

    Attributes:
        limit: Largest ratio.
        reached: What is compared.
        of: What it is compared with: another measurement or a number.
        floor: What cannot be undercut: the ratio of the bare library, where there is one.
    """

    limit: float
    reached: Measured
    of: Measured | float
    floor: Measured | None = None


def _published(limit: float, scenario: str, system: str = OURS, floor: str | None = None) -> Target:
    return Target(limit, (scenario, system), (scenario, PUBLISHED), (scenario, floor) if floor else None)


TARGETS = (
    _published(0.45, "chat", floor="httpcore2"),
    _published(0.22, "chat", FAST, floor="pyreqwest"),
    _published(0.40, "async-1", floor="httpcore2"),
    _published(0.25, "async-100", floor="httpcore2"),
    _published(0.20, "async-1000", floor="httpcore2"),
    _published(0.08, "async-100", FAST, floor="pyreqwest"),
    *(
        Target(0.35, (scenario, OURS), (scenario, "openai"), (scenario, "httpcore2"))
        for scenario in ("chat", "async-1", "async-10", "async-100", "async-1000")
    ),
    Target(1.25, ("chat", OURS), ("chat", "httpcore2")),
    Target(1.5, ("chat", FAST), ("chat", "pyreqwest")),
    _published(0.60, "stream-v1", floor="httpcore2"),
    _published(0.40, "stream-v2", floor="httpcore2"),
    Target(1.6, ("chunks", "chunks"), ("chunks", "pydantic")),
    _published(0.50, "dripped-50-v1", floor="httpcore2"),
    _published(0.35, "dripped-50-v1", FAST, floor="pyreqwest"),
    _published(0.20, "embeddings-100", floor="httpcore2"),
    _published(0.12, "embed-100", floor="httpcore2"),
    Target(1.1, ("memory-embeddings", OURS), 4.0 * DIMENSIONS * 1000),
    _published(0.15, "import"),
    _published(0.50, "first-client", floor="httpcore2"),
    _published(0.60, "first-answer", floor="httpcore2"),
    _published(0.04, "client-per-message", floor="httpcore2"),
    Target(1.2, ("memory-streams", OURS), ("memory-streams", "httpcore2")),
    Target(1.2, ("burst", OURS), 1.0),
)
