"""The run: starts the server and the callers, judges what they got, prints one table; fails at the first violation."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, Self

import httpx2  # noqa: F401 - uploads load it, and what a module makes when it is loaded is no leak

from gigachat import GigaChat
from tests.soak.faults import Arrival, Done, judge
from tests.soak.watch import Noise, Sample, Watch, held
from tests.soak.work import LIMITS, Customer, Facts, Person, act_async, act_blocking, customers

ROOT = Path(__file__).resolve().parents[2]
LONGEST_STEP = 120.0
"""Seconds after which a step is taken to hang: twice the longest wait any client is allowed."""
SAMPLE_EVERY = 1.0
MORE_MEMORY = 32.0
"""MiB by which memory may grow while it should be level: the allocator keeps holes where large bodies were."""
MORE_BLOCKS = 0.2
"""Part by which the blocks in use may grow meanwhile: what leaks is here."""


class ServerProcess:
    """The other side; ends with its standard input."""

    def __init__(self, seed: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.soak.server", seed],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self._lock = threading.Lock()
        self.reach: dict[str, str] = self._line()

    def _line(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("the server broke; its error stands above")
        return json.loads(line)

    def report(self) -> dict[str, Any]:
        """Return what came since the last report."""
        assert self._process.stdin is not None
        with self._lock:
            print("report", file=self._process.stdin, flush=True)
            report: dict[str, Any] = self._line()
            return report

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()


class Book:
    """Counts what was done, and has it judged when the server has told its side."""

    def __init__(self, server: ServerProcess) -> None:
        self.stopping = threading.Event()
        self.calls: Counter[str] = Counter()
        self.checked: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.given_up: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.violations: list[str] = []
        self.recent: deque[str] = deque(maxlen=12)
        self.report: dict[str, Any] = {"open": 0, "accepted": 0, "counts": {}, "peaks": {}, "errors": []}
        self.watch = Watch(LONGEST_STEP, lambda: int(self.report["open"]), self.violate)
        self.judged = 0
        self._server = server
        self._lock = threading.Lock()
        self._fresh: list[Done] = []
        self._waiting: deque[list[Done]] = deque([[], []])
        self._arrivals: dict[str, tuple[int, list[Arrival]]] = {}
        self._round = 0

    def step(self, what: str) -> AbstractContextManager[None]:
        return self.watch.step(what)

    def enter(self, done: Done, answer_checked: bool, problem: str | None) -> None:
        name = done.name
        with self._lock:
            self.calls[name] += 1
            self.checked[name] += answer_checked
            self.given_up[name] += done.given_up
            self.failed[name] += done.error is not None and not done.given_up
            if done.error is not None:
                self.errors[type(done.error).__name__] += 1
            self._fresh.append(done)
            self.recent.append(str(done))
        if problem is not None:
            self.violate(f"wrong answer: {problem}: {done}")

    def violate(self, what: str) -> None:
        """Note that something is not as it should be, and have everybody stop."""
        self.violations.append(what)
        if len(self.violations) == 1:
            print(f"VIOLATION {what}\nlast events:", *self.recent, sep="\n  ", file=sys.stderr, flush=True)
        self.stopping.set()

    def look(self) -> None:
        """Hear the server's side, and judge what ended before the last report but one."""
        with self._lock:
            fresh, self._fresh = self._fresh, []
        self.report = self._server.report()
        self._round += 1
        for request_id, arrivals in self.report["arrivals"].items():
            self._arrivals[request_id] = self._round, [Arrival(*arrival) for arrival in arrivals]
        self._waiting.append(fresh)
        for done in self._waiting.popleft():
            done.arrivals = self._arrivals.pop(done.request_id, (0, []))[1]
            problem = judge(done)
            self.judged += 1
            if problem is not None:
                self.violate(problem)
        for request_id in [one for one, (since, _) in self._arrivals.items() if since < self._round - 600]:
            del self._arrivals[request_id]  # of what came too late to be judged
        for name, most in LIMITS.items():
            if self.report["peaks"].get(name, 0) > most:
                self.violate(f"{self.report['peaks'][name]} requests of {name!r} in work at once")
        for error in self.report["errors"]:
            self.violate(f"the server failed: {error}")

    def settle(self) -> None:
        """Judge all that is left."""
        for _ in range(4):
            self.look()


def in_threads(book: Book, people: list[Person], open_to: list[Customer]) -> list[threading.Thread]:
    """Return threads, each of one who calls in the blocking way until all stop."""

    def work(person: Person) -> None:
        while not book.stopping.is_set():
            act_blocking(person, person.chance.choice(open_to), book)

    return [threading.Thread(target=work, args=(person,), name=person.name) for person in people]


def in_loops(book: Book, groups: list[list[Person]], open_to: list[Customer], noise: Noise) -> list[threading.Thread]:
    """Return threads, each of one event loop after another, in which a group calls in the async way."""

    async def work(person: Person, until: float, bound: set[Person]) -> None:
        while not book.stopping.is_set() and time.monotonic() < until:
            customer = person.chance.choice(open_to)
            if customer.polite:
                bound.add(person)
            await act_async(person, customer, book)
            bound.discard(person)

    async def lifetime(group: list[Person], chance: random.Random) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(noise.of_loop)
        book.watch.loops.add(loop)
        seconds = chance.uniform(2, 10)
        bound: set[Person] = set()  # at something that must come to its end
        tasks = {person: asyncio.create_task(work(person, time.monotonic() + seconds, bound)) for person in group}
        try:
            await asyncio.wait(tasks.values(), timeout=seconds)
            if bound:
                await asyncio.wait([tasks[person] for person in bound])
            for task in tasks.values():
                if task.done():
                    task.result()
            # What the others are at is cancelled, when the loop ends.
        finally:
            book.watch.loops.discard(loop)

    def run(group: list[Person]) -> None:
        chance = random.Random(group[0].name)
        while not book.stopping.is_set():
            asyncio.run(lifetime(group, chance))

    return [threading.Thread(target=run, args=(group,), name=f"loop of {group[0].name}") for group in groups]


def all_slots_are_free(open_to: list[Customer]) -> str | None:
    """Have as many streams open as a client's limit permits: a slot that was lost is missed here."""
    for customer in open_to:
        limit = customer.giga._settings.max_concurrency if isinstance(customer.giga, GigaChat) else None
        try:
            with ExitStack() as stack:
                for _ in range(limit or 0):
                    stack.enter_context(customer.giga.stream("x"))
        except Exception as error:
            return f"not all of {limit} slots of {customer.name!r} came back: {error!r}"
    return None


def close_all(open_to: list[Customer]) -> None:
    """Close every client, in every way it has."""

    async def close() -> None:
        for customer in open_to:
            if customer.giga is not None:
                await customer.giga.aclose()

    asyncio.run(close())
    for customer in open_to:
        if isinstance(customer.giga, GigaChat):
            customer.giga.close()
        customer.giga = None
        customer.make = lambda: None


def soak(book: Book, server: ServerProcess, noise: Noise, options: argparse.Namespace) -> tuple[Sample, Sample]:
    """Run everything; return what was open before and after."""
    reach = server.reach
    with GigaChat(
        base_url=f"{reach['origin']}/api/v1",
        auth_url=f"{reach['origin']}/api/v2/oauth",
        credentials=reach["credentials"],
        ca_bundle_file=reach["ca_bundle_file"],
    ) as teacher:
        facts = Facts(teacher)
    del teacher
    before = held()
    book.look()
    start = book.watch.sample()

    with tempfile.TemporaryDirectory() as folder:

        def people(kind: str, count: int) -> list[Person]:
            return [Person(f"{kind}{number}", options.seed, facts, Path(folder)) for number in range(count)]

        both, tasks_only = customers(reach)
        tasks = people("task", options.loops * options.tasks)
        groups = [tasks[number :: options.loops] for number in range(options.loops)]
        callers = [
            *in_threads(book, people("thread", options.threads), both),
            *in_loops(book, groups, both + tasks_only, noise),
        ]
        for caller in callers:
            caller.start()
        until = time.monotonic() + options.minutes * 60
        while not book.stopping.wait(SAMPLE_EVERY) and time.monotonic() < until:
            book.look()
            book.watch.look()
        book.stopping.set()
        with book.watch.step("the end of all callers and their loops"):
            while any(caller.is_alive() for caller in callers):
                book.look()
                book.watch.look()
                time.sleep(0.2)
        problem = all_slots_are_free(both)
        if problem:
            book.violate(problem)
        close_all(both + tasks_only)
    book.settle()
    left = held() - before
    if left:
        book.violate(f"not collected after closing: {dict(left)}")
    end = book.watch.sample()
    for _ in range(100):
        if end.connections <= start.connections and end.descriptors <= start.descriptors:
            break
        time.sleep(0.1)
        book.look()
        end = book.watch.sample()
    return start, end


def growth(book: Book, minutes: float) -> tuple[float, float]:
    """Return by how many MiB memory, and by which part the blocks in use, grew from minute 2, or after a third of a
    short run, to the end."""
    begin = min(120.0, minutes * 20.0)
    level = [sample for at, sample in book.watch.samples if at >= begin and sample.tasks] or [book.watch.sample()]
    part = max(1, len(level) // 4)

    def middle(of: Callable[[Sample], float], samples: list[Sample]) -> float:
        return statistics.median(map(of, samples))

    memory = middle(lambda one: one.memory, level[-part:]) - middle(lambda one: one.memory, level[:part])
    return memory, middle(lambda one: one.blocks, level[-part:]) / middle(lambda one: one.blocks, level[:part]) - 1


def show(
    book: Book, noise: Noise, start: Sample, end: Sample, grown: tuple[float, float], seconds: float, seed: str
) -> None:
    """Print the table."""
    print(f"\nSoak of {seconds:.0f} s, seed {seed}: {'FAILED' if book.violations else 'passed'}")
    print(f"CPython {platform.python_version()}, {platform.system()}, {os.cpu_count()} CPUs\n")
    print(f"{'calls':<28}{'made':>9}{'answers right':>15}{'errors':>9}{'given up':>10}")
    for name in (*sorted(book.calls, key=lambda one: -book.calls[one]), ""):
        columns = (book.calls, book.checked, book.failed, book.given_up)
        made, checked, failed, given_up = (column[name] if name else column.total() for column in columns)
        print(f"{name or 'all':<28}{made:>9}{checked:>15}{failed:>9}{given_up:>10}")
    print(f"\n{'errors, each as its fault permits':<47}")
    for kind, count in book.errors.most_common():
        print(f"  {kind:<35}{count:>9}")
    counts = {name: count for name, count in book.report["counts"].items() if count}
    served = counts.pop("none", 0)
    print(f"\n{'requests that came, faults apart':<37}{served:>9}\nfaults")
    for name, count in sorted(counts.items(), key=lambda pair: (" " in pair[0], pair[0])):
        print(f"  {name:<35}{count:>9}")
    print(f"  {'all':<35}{sum(counts.values()):>9}")
    print(f"\n{'open':<28}{'at the start':>15}{'at most':>9}{'at the end':>12}")
    samples = [sample for _, sample in book.watch.samples] or [start]
    rows: dict[str, Callable[[Sample], float]] = {
        "descriptors": lambda one: one.descriptors,
        "threads": lambda one: one.threads,
        "tasks": lambda one: one.tasks,
        "connections at the server": lambda one: one.connections,
        "memory, MiB": lambda one: one.memory,
        "thousand blocks in use": lambda one: one.blocks / 1000,
    }
    for name, of in rows.items():
        print(f"{name:<28}{of(start):>15.0f}{max(map(of, samples)):>9.0f}{of(end):>12.0f}")
    print(f"\nwhile level, memory grew by {grown[0]:.1f} MiB (of {MORE_MEMORY:g} permitted)", end="")
    print(f", blocks in use by {grown[1]:.0%} (of {MORE_BLOCKS:.0%})")
    print(f"connections made: {book.report['accepted']}; longest call: {book.watch.longest:.1f} s")
    print(f"requests in work at once, of {LIMITS}: {book.report['peaks']}")
    print(f"warnings, exceptions never retrieved, errors logged: {noise.counts.total()}", end="")
    print(f" (and {noise.not_ours} of anyio and of ssl themselves)" if noise.not_ours else "")
    print(f"violations: {len(book.violations)}")


def main() -> int:
    """Run, print, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="Random load and random faults.")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (%(default)g)")
    parser.add_argument("--seed", default=str(random.SystemRandom().randrange(10**6)), help="of all that is random")
    parser.add_argument("--threads", type=int, default=8, help="blocking callers (%(default)s)")
    parser.add_argument("--loops", type=int, default=3, help="event loops at once (%(default)s)")
    parser.add_argument("--tasks", type=int, default=6, help="async callers in each (%(default)s)")
    options = parser.parse_args()
    for name in tuple(os.environ):  # no key, no proxy of the user's
        if name.upper().startswith("GIGACHAT_") or name.upper().endswith("_PROXY"):
            del os.environ[name]
    print(f"Soaking for {options.minutes:g} min, seed {options.seed}", flush=True)
    begun = time.monotonic()
    with ServerProcess(options.seed) as server:
        book = Book(server)
        noise = Noise(book.violate)
        noise.listen()
        start, end = soak(book, server, noise, options)
        grown = growth(book, options.minutes)
        if grown[0] > MORE_MEMORY or grown[1] > MORE_BLOCKS:
            book.violate(f"memory grew by {grown[0]:.1f} MiB, blocks in use by {grown[1]:.0%}")
        for name in ("descriptors", "threads", "tasks", "connections"):
            if getattr(end, name) > getattr(start, name):
                book.violate(f"{getattr(end, name)} {name} are left, at the start there were {getattr(start, name)}")
        show(book, noise, start, end, grown, time.monotonic() - begun, options.seed)
    if book.violations:
        print(f"\nRepeat with --seed {options.seed}. Violations:", *book.violations[:10], sep="\n- ")
    return int(bool(book.violations))


if __name__ == "__main__":
    sys.exit(main())
