"""The shared limit under thousands of clients: the script of `limits=`, in a real Redis, with simulated clients.

To Redis, each client is a process that behaves as `gigachat._redis.leases`. It asks for a slot, waits for its offer,
keeps the slot for a random time, gives it back and asks again. This process drives all of them, so that the run
measures Redis and not ten thousand interpreters. `python -m benchmarks.shared_limits --clients 10000`; it needs
redis-server.
"""

from __future__ import annotations

import argparse
import heapq
import random
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import redis

from gigachat._redis.scripts import ALIVE, ASK_AGAIN, ASKS, EXCHANGE, KEYS, LEASE, key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CREDENTIAL = "simulated"
MOST_AT_ONCE = 200  # exchanges in one pipeline


class Client:
    """A simulated process with one caller."""

    __slots__ = ("answered", "asked", "dead", "granted", "holding", "member", "number", "serial", "waits")

    def __init__(self, number: int) -> None:
        self.number = number
        self.serial = 0
        self.member = ""
        self.asked = 0.0
        self.holding = False
        self.dead = False
        self.granted = 0
        self.waits: list[float] = []


class Simulation:
    """Clients of one credential.

    Args:
        server: Where Redis is.
        clients: How many.
        limit: Most slots.
        hold: Mean seconds for which a slot is kept.
        seconds: Length of the run.
        killed: Share of the clients that die after a third of it, with their slots.
    """

    def __init__(
        self, server: redis.Redis, clients: int, limit: int, hold: float, seconds: float, killed: float
    ) -> None:
        self._redis = server
        self._script = server.script_load(EXCHANGE)
        self._clients = [Client(number) for number in range(clients)]
        self._limit = limit
        self._hold = hold
        self._seconds = seconds
        self._killed = killed
        self._due: list[tuple[float, int, str]] = []  # when, client, what: ask, look, renew or release
        self._random = random.Random(1)  # the same run again
        self._known = 1
        self.exchanges = 0
        self.held = self.most = 0
        self._use: list[tuple[float, int]] = []

    def run(self) -> None:
        listener: Any = self._redis.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
        listener.psubscribe("gigachat:offers:*")
        began = time.monotonic()
        for client in self._clients:
            self._plan(began + self._random.random(), client, "ask")
        kill_at = began + self._seconds / 3 if self._killed else None
        while (now := time.monotonic()) < began + self._seconds:
            if kill_at is not None and now >= kill_at:
                kill_at = None
                for client in self._random.sample(self._clients, round(len(self._clients) * self._killed)):
                    client.dead = True
                    self.held -= client.holding
            ready: dict[int, str] = {}
            while (message := listener.get_message(timeout=0.0)) is not None:
                number = int(message["channel"].rpartition(":")[2])
                ready.setdefault(number, "look")
                if len(ready) >= MOST_AT_ONCE:
                    break
            while self._due and self._due[0][0] <= now and len(ready) < MOST_AT_ONCE:
                _, number, what = heapq.heappop(self._due)
                if what == "release" or number not in ready:
                    ready[number] = what
            self._exchange([(self._clients[number], what) for number, what in ready.items()])
            self._use.append((time.monotonic() - began, self.held))
            if not ready:
                time.sleep(0.001)
        listener.close()

    def _plan(self, when: float, client: Client, what: str) -> None:
        heapq.heappush(self._due, (when, client.number, what))

    def _exchange(self, steps: Sequence[tuple[Client, str]]) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        sent: list[Client] = []
        names = [key(CREDENTIAL, part) for part in KEYS]
        pause = max(ASK_AGAIN, self._known / ASKS)
        for client, what in steps:
            if client.dead or (what in ("look", "ask") and client.holding):
                continue
            released: list[str] = []
            held: list[str] = []
            wanted: list[str] = []
            if what == "release":
                released, client.holding = [client.member], False
                self.held -= 1
            if what == "renew":
                if not client.holding:
                    continue
                held = [client.member]
                self._plan(time.monotonic() + LEASE / 3, client, "renew")
            elif what in ("ask", "release"):
                client.serial += 1
                client.member = f"{client.number}:{client.serial}:{self._limit}"
                client.asked = time.monotonic()
                wanted = [client.member]
            else:
                wanted = [client.member]
            alive = max(ALIVE, 3 * pause) if wanted else LEASE
            counts = (len(released), len(held), len(wanted))
            arguments = [client.number, round(alive * 1000), "", 0, *counts, *released, *held, *wanted]
            pipeline.evalsha(self._script, len(names), *names, *map(str, arguments))
            sent.append(client)
        now = time.monotonic()
        for client, answer in zip(sent, pipeline.execute(), strict=True):
            self.exchanges += 1
            self._known, again, _, _, *granted = answer
            if client.member in granted and not client.holding:
                client.holding = True
                client.granted += 1
                client.waits.append(time.monotonic() - client.asked)
                self.held += 1
                self.most = max(self.most, self.held)
                self._plan(now + self._random.expovariate(1 / self._hold), client, "release")
                self._plan(now + LEASE / 3, client, "renew")
            elif not client.holding:
                wait = pause * self._random.uniform(0.75, 1.25)
                self._plan(now + (wait if again < 0 else max(min(wait, again / 1000), 0.05)), client, "look")

    def report(self, cpu: float, memory: int) -> str:
        """Return the row of the table."""
        living = [client for client in self._clients if not client.dead]
        waits = [wait for client in living for wait in client.waits]
        grants = sum(client.granted for client in self._clients)
        used = statistics.mean(held for when, held in self._use if when > 3) / self._limit
        stats: Any = self._redis.info("commandstats")
        each = stats["cmdstat_evalsha"]["usec_per_call"]
        cells = [
            f"{len(self._clients):,}",
            f"{self._limit:,}",
            f"{grants / self._seconds:,.0f}",
            f"{self.most:,}",
            f"{used:.0%}",
            f"{statistics.median(waits):.1f}",
            f"{max(waits):.1f}",
            f"{self.exchanges / self._seconds:,.0f}",
            f"{each:.0f}",
            f"{cpu / self._seconds:.0%}",
            f"{memory / 2**20:.1f}",
        ]
        return f"| {' | '.join(cells)} |"


@contextmanager
def redis_server() -> Iterator[redis.Redis]:
    """Start a redis-server that keeps nothing, and give a client of it."""
    program = shutil.which("redis-server")
    if program is None:
        raise SystemExit("redis-server is needed: the package redis-server of Debian")
    with socket.socket() as probe, tempfile.TemporaryDirectory() as folder:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        process = subprocess.Popen(
            [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder],
            stdout=subprocess.DEVNULL,
        )
        try:
            with redis.Redis(host="127.0.0.1", port=port, decode_responses=True) as client:
                _wait(client, process)
                yield client
        finally:
            process.kill()
            process.wait()


def _wait(client: redis.Redis, process: subprocess.Popen[bytes]) -> None:
    while True:
        try:
            client.ping()
        except redis.ConnectionError:
            if process.poll() is not None:
                raise SystemExit("redis-server did not start") from None
            time.sleep(0.05)
        else:
            return


HEADER = (
    "| Clients | Limit | Slots given a second | Most at once | Slots in use | Wait, median, s | Longest wait, s "
    "| Exchanges a second | µs an exchange | Core of Redis | Memory, MiB |"
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shared_limits", description=__doc__)
    parser.add_argument("--clients", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--limits", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--hold", type=float, default=2.0, help="mean seconds for which a slot is kept")
    parser.add_argument("--seconds", type=float, default=40.0, help="length of each run")
    parser.add_argument("--killed", type=float, default=0.0, help="share of the clients that die in each run")
    options = parser.parse_args()
    print(HEADER)
    print("|---:" * HEADER.count(" | ") + "|---:|")
    for clients in options.clients:
        for limit in options.limits:
            with redis_server() as server:
                simulation = Simulation(server, clients, limit, options.hold, options.seconds, options.killed)
                before: Any = server.info()
                simulation.run()
                after: Any = server.info()
                cpu = sum(after[name] - before[name] for name in ("used_cpu_user", "used_cpu_sys"))
                print(simulation.report(cpu, after["used_memory"] - before["used_memory"]), flush=True)
                assert simulation.most <= limit


if __name__ == "__main__":
    main()
