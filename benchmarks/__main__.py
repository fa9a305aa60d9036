"""The command: `python -m benchmarks` measures, prints the tables, and with `--record` writes them into the pages."""

from __future__ import annotations

import argparse
import datetime
import platform
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks import streams
from benchmarks.record import record, show
from benchmarks.results import Results
from benchmarks.run import Run, interpreters, machine, servers
from benchmarks.scenarios import SCENARIOS, STARTS, SYSTEMS, Scenario, Start

SAVED = Path(__file__).parent.parent / "build" / "benchmarks.json"
LOCAL_SERVER = "local-server"
ROUNDS, MINUTES = 4, 12.0


def main() -> int:
    """Measure, print, and return the exit status."""
    every: list[Scenario | Start] = [*SCENARIOS, *STARTS]
    names = [*(scenario.name for scenario in every), LOCAL_SERVER]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Compare what clients cost.")
    parser.add_argument("--only", default="", help="beginnings of names of scenarios, separated by commas")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="longest time (default: %(default)s)")
    parser.add_argument("--record", action="store_true", help="write docs/performance.md and its picture")
    parser.add_argument("--list", action="store_true", help="print the names of the scenarios")
    options = parser.parse_args()
    if options.list:
        print(*names, sep="\n")
        return 0
    wanted = tuple(part for part in options.only.replace(" ", ",").split(",") if part) or ("",)
    chosen = [scenario for scenario in every if scenario.name.startswith(wanted)]
    if not chosen and not LOCAL_SERVER.startswith(wanted):
        parser.error(f"no scenario begins with {options.only}; the names are: {', '.join(names)}")
    results = Results.load(SAVED)
    with servers() as running:
        print(
            f"Canned answers by {running.name}; {options.rounds} rounds, {options.minutes:g} minutes at most",
            flush=True,
        )
        systems = (*SYSTEMS, "chunks", "pydantic")
        run = Run(running, interpreters(systems), results, options.minutes * 60)
        results.about |= {
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "python": f"{platform.python_implementation()} {platform.python_version()}",
            "machine": processor(),
            "server": running.name,
            **machine(),
        }
        for number in range(options.rounds):
            if run.late:
                print(f"The time is over after {number} rounds", flush=True)
                break
            run.round(number, chosen)
            results.about.setdefault("versions", {}).update(run.versions)
            results.save(SAVED)
    if LOCAL_SERVER.startswith(wanted):
        figures = streams.measure()
        figures.show()
        results.about[LOCAL_SERVER] = asdict(figures)
        results.save(SAVED)
    show(results)
    if options.record:
        record(results)
    return 0


def processor() -> str:
    """Return the name of the processor, without marks."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    name = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
    return " ".join(name.replace("(R)", "").replace("(TM)", "").split())


if __name__ == "__main__":
    sys.exit(main())
