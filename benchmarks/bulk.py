"""Jobs over many rows: `python -m benchmarks.bulk`.

Three measurements, printed as the tables of `docs/bulk.md`:

* Faults: rows through the local server, which refuses, fails and cuts at random. SIGKILL ends the process of the job
  again and again. The output is compared with the server's own count.
* Cost: CPU time of a row against a bare loop of asyncio over httpcore2 that sends the same bodies.
* Memory: the peak of a process after 10,000 rows and at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gigachat.server import ChatRequest, GigaChatServer, Piece
from gigachat.server.engines.echo import Echo

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from starlette.types import Message, Receive, Scope, Send

ROOT = Path(__file__).parent.parent
CEILING = 10  # of a company
CHATS = "/chat/completions"
PROMPT = "Тон отзыва: {text}"
TOKENS = 8
_CONCURRENCY = 10


class Counted(Echo):
    """The echo, which counts the answers in progress."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0

    async def complete(self, request: ChatRequest) -> AsyncGenerator[Piece, None]:
        """Answer."""
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(0.03)
            async for piece in super().complete(request):
                yield piece
        finally:
            self.now -= 1


class CountingServer(GigaChatServer):
    """The local server, which keeps the usage of each answer by the id of its request."""

    def __init__(self) -> None:
        self.engine = Counted()
        self.usage: dict[str, tuple[int, int]] = {}
        self.statuses: dict[int, int] = {}
        super().__init__(tls=False, engine=self.engine, account_kind="corp", seed=1)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].endswith(CHATS):
            await super()._answer(scope, receive, send)
            return
        request_id, body, status = "", bytearray(), 0

        async def sending(message: Message) -> None:
            nonlocal request_id, status
            if message["type"] == "http.response.start":
                status = message["status"]
                request_id = dict(message["headers"]).get(b"x-request-id", b"").decode()
                if request_id:  # else it is for a client that ended in mid-request
                    self.statuses[status] = self.statuses.get(status, 0) + 1
            else:
                body.extend(message.get("body", b""))
            await send(message)

        try:
            await super()._answer(scope, receive, sending)
        finally:
            if status == 200 and request_id:
                self.note(request_id, bytes(body))

    def note(self, request_id: str, body: bytes) -> None:
        """Keep the usage of an answer; of one that was cut, that it was there."""
        try:
            usage = json.loads(body)["usage"]
        except (ValueError, KeyError):
            self.usage[request_id] = (0, 0)
        else:
            self.usage[request_id] = usage["prompt_tokens"], usage["completion_tokens"]


@dataclass
class Outcome:
    """What a job under faults left.

    Attributes:
        rows: Rows of the input.
        kills: How often the process was killed.
        lines: Results in the output.
        once: Whether each id is there once, with a value.
        ordered: Whether they are in the order of the rows.
        equal: Whether the usage in the output is the server's, answer for answer.
        undelivered: Answers of the server that are not in the output: cut, or in progress when the process was killed.
        cut: How many of them were cut.
        most: Most answers in progress at the server.
        statuses: How many responses of each status the server sent.
        seconds: Duration.
    """

    rows: int
    kills: int
    lines: int = 0
    once: bool = False
    ordered: bool = False
    equal: bool = False
    undelivered: int = 0
    cut: int = 0
    most: int = 0
    statuses: dict[int, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def whole(self) -> bool:
        """Whether nothing was lost, repeated or miscounted."""
        # A killed process loses at most what it had in progress.
        bound = self.cut + self.kills * CEILING
        return self.once and self.ordered and self.equal and self.most <= CEILING and self.undelivered <= bound


def faults(rows: int, kills: int, folder: Path) -> Outcome:
    """Run a job under faults.

    Args:
        rows: Rows of the input.
        kills: How often its process is killed.
        folder: Where the files go.
    """
    source, out = folder / "in.jsonl", folder / "out.jsonl"
    with source.open("w", encoding="utf-8") as file:
        for number in range(rows):
            file.write(json.dumps({"id": f"r{number}", "text": f"отзыв {number}"}, ensure_ascii=False) + "\n")
    outcome = Outcome(rows, kills)
    began = time.monotonic()
    with CountingServer() as server:
        server.fail(429, probability=0.002, times=None, path=CHATS)
        server.fail(500, probability=0.01, times=None, path=CHATS)
        server.fail(cut_bytes=40, probability=0.01, times=None, path=CHATS)
        command = [
            *(sys.executable, "-m", "gigachat", "bulk", str(source), "-o", str(out), "--prompt", PROMPT, "--ordered"),
            *("--max-tokens", str(TOKENS), "--retries", "20", "--quiet"),
        ]
        for kill in range(kills):
            process = subprocess.Popen(command, env=server.environment, cwd=ROOT, stdout=subprocess.DEVNULL)
            _wait_for_lines(process, out, rows * (kill + 1) // (kills + 1))
            process.send_signal(signal.SIGKILL)
            process.wait()
        subprocess.run(command, env=server.environment, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    outcome.seconds = time.monotonic() - began
    outcome.most, outcome.statuses = server.engine.most, server.statuses
    _compare(outcome, server, out)
    return outcome


def _wait_for_lines(process: subprocess.Popen[bytes], out: Path, lines: int) -> None:
    seen, position = 0, 0
    while seen < lines:
        if process.poll() is not None:
            raise SystemExit(f"the job ended with {process.returncode}")
        time.sleep(0.005)
        if out.exists():
            with out.open("rb") as file:
                file.seek(position)
                piece = file.read()
            position += len(piece)
            seen += piece.count(b"\n")


def _compare(outcome: Outcome, server: CountingServer, out: Path) -> None:
    from gigachat.bulk import read_results

    found = list(read_results(out))
    outcome.lines = len(found)
    expected = [f"r{number}" for number in range(outcome.rows)]
    ids = [one["id"] for one in found]
    outcome.once = sorted(ids) == sorted(expected) and all("result" in one for one in found)
    outcome.ordered = ids == expected
    delivered = {one["request_id"]: (one["usage"]["input_tokens"], one["usage"]["output_tokens"]) for one in found}
    outcome.equal = all(server.usage.get(request) == usage for request, usage in delivered.items())
    lost = [usage for request, usage in server.usage.items() if request not in delivered]
    outcome.undelivered = len(lost)
    outcome.cut = sum(usage == (0, 0) for usage in lost)


def costs(rows: int, address: str) -> tuple[float, float]:
    """Return the CPU microseconds of a row: of a job, and of a bare loop that sends the same bodies."""
    best = {"job": float("inf"), "bare": float("inf")}
    for _ in range(5):
        for kind in best:
            done = _child(kind, rows, address)
            best[kind] = min(best[kind], done["cpu"] / rows * 1e6)
    return best["job"], best["bare"]


def memory(rows: int, address: str) -> tuple[float, float]:
    """Return the peak MiB of a job after 10,000 rows and at the end."""
    done = _child("job", rows, address)
    return done["early"], done["peak"]


def _child(kind: str, rows: int, address: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.bulk", "--child", kind, "--rows", str(rows), "--address", address]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    values: dict[str, float] = json.loads(done.stdout)
    return values


def _peak() -> float:
    """Return the peak MiB of this process. `ru_maxrss` also counts its parent, of which it was a copy before `exec`."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _texts(rows: int) -> Iterator[dict[str, Any]]:
    for number in range(rows):
        yield {"id": f"r{number}", "text": f"отзыв {number}"}


def job(rows: int, address: str) -> dict[str, float]:
    """Run a job in this process, and return its CPU seconds and its peaks of memory."""
    from gigachat import GigaChat, bulk

    early = 0.0

    def look(report: bulk.Report) -> None:
        nonlocal early
        if report.done <= 10_000:
            early = _peak()

    with tempfile.TemporaryDirectory() as folder, GigaChat(base_url=address, access_token="t") as giga:
        bulk.run(_texts(100), Path(folder) / "first.jsonl", giga=giga, prompt=PROMPT, concurrency=_CONCURRENCY)
        began = time.process_time()
        report = bulk.run(
            _texts(rows),
            Path(folder) / "out.jsonl",
            giga=giga,
            prompt=PROMPT,
            concurrency=_CONCURRENCY,
            progress=look,
        )
        assert report.done == rows
        return {"cpu": time.process_time() - began, "early": early, "peak": _peak()}


def bare(rows: int, address: str) -> dict[str, float]:
    """Send the same bodies by httpcore2 alone, write the answers, and return the CPU seconds."""
    import httpcore2

    async def work(pool: Any, texts: Iterator[dict[str, Any]], file: Any) -> None:
        for row in texts:
            body = {"model": "GigaChat", "messages": [{"role": "user", "content": PROMPT.format_map(row)}]}
            response = await pool.request(
                "POST",
                f"{address}{CHATS}",
                headers={"authorization": "Bearer t", "content-type": "application/json"},
                content=json.dumps(body, ensure_ascii=False).encode(),
            )
            answer = json.loads(response.content)
            line = {"id": row["id"], "result": answer["choices"][0]["message"]["content"], "usage": answer["usage"]}
            file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")

    async def loop(count: int, file: Any) -> None:
        texts = _texts(count)
        async with httpcore2.AsyncConnectionPool(max_connections=_CONCURRENCY) as pool:
            await asyncio.gather(*(work(pool, texts, file) for _ in range(_CONCURRENCY)))

    with tempfile.TemporaryFile() as file:
        asyncio.run(loop(100, file))
        began = time.process_time()
        asyncio.run(loop(rows, file))
        return {"cpu": time.process_time() - began, "early": 0.0, "peak": _peak()}


def main() -> int:
    """Measure, print, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bulk", description="Measure jobs over many rows.")
    parser.add_argument("--rows", type=int, default=100_000, help="rows under faults (%(default)s)")
    parser.add_argument("--kills", type=int, default=5, help="how often the job is killed (%(default)s)")
    parser.add_argument("--cost-rows", type=int, default=5_000, help="rows of the measurement of cost (%(default)s)")
    parser.add_argument("--memory-rows", type=int, default=1_000_000, help="rows of that of memory (%(default)s)")
    parser.add_argument("--child", choices=("job", "bare"), help=argparse.SUPPRESS)
    parser.add_argument("--address", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps({"job": job, "bare": bare}[options.child](options.rows, options.address)))
        return 0
    status = 0
    if options.rows:
        with tempfile.TemporaryDirectory() as folder:
            outcome = faults(options.rows, options.kills, Path(folder))
        print(f"\n| under faults | {outcome.rows:,} rows, {outcome.kills} kills |\n|---|---|")
        for name, value in (
            ("results", f"{outcome.lines:,}"),
            ("each id once, with a value", outcome.once),
            ("in order", outcome.ordered),
            ("usage equal to the server's, by request id", outcome.equal),
            ("most in progress at the server", f"{outcome.most} of {CEILING}"),
            ("answers not delivered: cut", outcome.cut),
            ("answers not delivered: in progress at a kill", outcome.undelivered - outcome.cut),
            (
                "responses by status",
                ", ".join(f"{key}: {number:,}" for key, number in sorted(outcome.statuses.items())),
            ),
            ("seconds", f"{outcome.seconds:.0f}"),
        ):
            print(f"| {name} | {value if not isinstance(value, bool) else 'yes' if value else 'NO'} |")
        status |= not outcome.whole
    if options.cost_rows or options.memory_rows:
        from benchmarks.run import servers  # not in the measured processes

        with servers(use_nginx=False) as running:
            address = f"{running.own}/chat/v1"
            if options.cost_rows:
                ours, theirs = costs(options.cost_rows, address)
                print("\n| CPU of a row | job | bare loop | ratio |\n|---|---|---|---|")
                print(f"| {options.cost_rows:,} rows | {ours:.0f} µs | {theirs:.0f} µs | {ours / theirs:.2f} |")
                status |= ours > 1.5 * theirs
            if options.memory_rows:
                early, peak = memory(options.memory_rows, address)
                print("\n| peak of memory | after 10,000 rows | at the end |\n|---|---|---|")
                print(f"| {options.memory_rows:,} rows | {early:.0f} MiB | {peak:.0f} MiB |")
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
