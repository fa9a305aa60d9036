"""The tables in Markdown, in English and Russian: targets, CPU time, memory, the local server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.scenarios import BYTES, SCENARIOS, SECONDS, STARTS, SYSTEMS
from benchmarks.targets import TARGETS, Target

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.results import Results, Spread
    from benchmarks.scenarios import Scenario, Start

EN, RU = 0, 1
ROWS: tuple[Scenario | Start, ...] = (*SCENARIOS, *STARTS)
_TITLES = {scenario.name: scenario.title for scenario in ROWS}
_NOT_MEASURED = ("not measured", "не измерено")
_FLOAT32 = ("float32", "float32")
_MET, _MISSED = ("met", "достигнута"), ("**missed**", "**не достигнута**")
NAMES = {"ours": ("this client", "этот клиент"), "fast": ("`[fast]`", "`[fast]`")}
_IN_MEMORY = {"chunks": "ours", "pydantic": "`validate_json`"}


def name(system: str, language: int) -> str:
    """Return a system as a table shows it."""
    system = _IN_MEMORY.get(system, system)
    return NAMES[system][language] if system in NAMES else system


def targets(results: Results, language: int) -> list[str]:
    """Return a row for each target: what, limit, reached, floor, verdict."""
    head = (
        ("Measured", "Of", "Target", "Reached", "Bare library", ""),
        ("Измерено", "К чему", "Цель", "Получено", "Голая библиотека", ""),
    )[language]
    rows = []
    for target in TARGETS:
        reached, floor = results.reached(target), results.floor(target)
        scenario, system = target.reached
        rows.append(
            (
                f"{_TITLES[scenario][language]}, {name(system, language)}",
                _of(target, language),
                f"{target.limit:g}",
                ratio(reached) if reached else _NOT_MEASURED[language],
                ratio(floor) if floor else "–",
                verdict(target, reached)[language] if reached else "–",
            )
        )
    return _table(head, rows)


def _of(target: Target, language: int) -> str:
    if isinstance(target.of, tuple):
        return name(target.of[1], language)
    return _FLOAT32[language] if target.of > 1 else ("one before", "один до них")[language]


def verdict(target: Target, reached: Spread) -> tuple[str, str]:
    return _MET if reached.median <= target.limit else _MISSED


def times(results: Results, language: int) -> list[str]:
    """Return a row of CPU times for each scenario; a column for each system that took part."""
    return _measured(results, language, SECONDS, ("CPU time", "Процессорное время"))


def memory(results: Results, language: int) -> list[str]:
    """Return a row of bytes for each scenario about memory."""
    return _measured(results, language, BYTES, ("Memory", "Память"))


def _measured(results: Results, language: int, unit: str, head: tuple[str, str]) -> list[str]:
    scenarios = [one for one in ROWS if one.unit == unit and any(results.of((one.name, each)) for each in SYSTEMS)]
    systems = [each for each in SYSTEMS if any(results.of((one.name, each)) for one in scenarios)]
    rows = []
    for scenario in scenarios:
        spreads = [results.of((scenario.name, system)) for system in systems]
        if any(spreads):
            rows.append((scenario.title[language], *(amount(one, unit) if one else "–" for one in spreads)))
    return _table((head[language], *(name(system, language) for system in systems)), rows) if rows else []


def local_server(figures: dict[str, Any], language: int) -> list[str]:
    """Return what `make bench-streams` has measured."""
    head = (
        ("Local server, 200 streams, 50 events a second each", ""),
        ("Локальный сервер, 200 потоков, по 50 событий в секунду", ""),
    )
    rates = figures["rates"]
    rows = (
        (("events lost, doubled or out of order", "события потеряны, повторены или не по порядку"), figures["wrong"]),
        (("events a second of a stream, median", "событий потока в секунду, медиана"), f"{rates[len(rates) // 2]:.1f}"),
        (("events a second of the slowest stream", "событий в секунду у самого медленного потока"), f"{rates[0]:.1f}"),
        (("CPU time of the server in 10 s", "процессорное время сервера за 10 с"), f"{figures['server']:.1f} s"),
        (("memory for each waiting stream", "память на каждый ждущий поток"), f"{figures['memory']:.0f} KiB"),
    )
    return _table(head[language], [(title[language], str(value)) for title, value in rows])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    right = [":---", *("---:" for _ in head[1:])]
    return [f"| {' | '.join(cells)} |".replace("  |", " |") for cells in (head, right, *rows)]


def amount(spread: Spread, unit: str) -> str:
    """Return a median and half the distance between the quartiles, if there was more than one sample."""
    half = (spread.high - spread.low) / 2
    if unit == BYTES:
        size, letters = (1024.0, "KiB") if spread.median < 1 << 20 else (1048576.0, "MiB")
    else:
        size, letters = (1e-6, "µs") if spread.median < 1e-3 else (1e-3, "ms") if spread.median < 1 else (1.0, "s")
    shown = spread.median / size
    digits = 0 if shown >= 100 else 1 if shown >= 10 else 2
    return f"{shown:.{digits}f}{f' ±{half / size:.{digits}f}' if half else ''} {letters}"


def ratio(spread: Spread) -> str:
    if spread.high - spread.low < 0.005:
        return f"{spread.median:.2f}"
    return f"{spread.median:.2f} ({spread.low:.2f}–{spread.high:.2f})"
