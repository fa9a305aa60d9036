"""The table: medians, ratios, and the targets, which are ratios within one run. It measures nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median

PUBLISHED = "0.2.3"
OURS, BARE, JSON, CHATS = "ours", "httpcore2", "json", "two chats"
CLIENTS = (OURS, BARE, PUBLISHED)


@dataclass(frozen=True)
class Target:
    """What is wanted of our client: at most so much of the time of another in the same run.

    Absolute times are no targets: machines of the same kind have been seen at two and a half times the speed.
    """

    limit: float
    of: str = PUBLISHED


@dataclass
class Row:
    """One line: the CPU time of each client for one thing.

    Attributes:
        title: What is measured.
        target: What is wanted, if anything.
        units: How many of the thing one sample holds.
        samples: Seconds, by client.
    """

    title: str
    target: Target | None = None
    units: int = 1
    samples: dict[str, list[float]] = field(default_factory=dict)

    def add(self, client: str, seconds: float) -> None:
        self.samples.setdefault(client, []).append(seconds / self.units)

    def seconds(self, client: str) -> float | None:
        """Return the median of a client's samples."""
        return median(self.samples[client]) if client in self.samples else None

    def ratio(self, client: str) -> float | None:
        """Return our time divided by another client's."""
        ours, theirs = self.seconds(OURS), self.seconds(client)
        return ours / theirs if ours and theirs else None

    def missed(self) -> bool:
        """Whether there is a target and it is not met."""
        if self.target is None:
            return False
        reached = self.ratio(self.target.of)
        return reached is None or reached > self.target.limit


def show(rows: list[Row]) -> None:
    """Print the table."""
    print(_line("CPU time", *CLIENTS, f"ours/{BARE}", f"ours/{PUBLISHED}", "target"))
    for row in rows:
        times = (_time(row.seconds(client)) for client in CLIENTS)
        ratios = (_ratio(row.ratio(client)) for client in (BARE, PUBLISHED))
        verdict = _verdict(row, row.target) if row.target else ""
        print(_line(row.title, *times, *ratios, verdict))


def _verdict(row: Row, target: Target) -> str:
    reached = "" if target.of in CLIENTS else f" ({_ratio(row.ratio(target.of))})"
    return f"at most {target.limit:g} of {target.of}{reached}: {'MISSED' if row.missed() else 'met'}"


def _line(title: str, *cells: str) -> str:
    *numbers, verdict = cells
    return f"{title:<24}{''.join(f'{number:>12}' for number in numbers)}   {verdict}".rstrip()


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds * 1e6:.1f} µs" if seconds < 1e-3 else f"{seconds * 1e3:.1f} ms"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
