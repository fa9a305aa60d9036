"""Calls into which exceptions are raised from outside, and whether anything is lost by that. A program: see `main`.

It is run in an interpreter of its own, because what is lost is lost for the whole process: a slot, a lock, a sign-in.
After each interrupt a call in the same thread must succeed, and after some of them one in another thread.
"""

from __future__ import annotations

import argparse
import faulthandler
import itertools
import json
import random
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import httpx2

from gigachat import GigaChat
from tests.support.certificates import Authority
from tests.support.payloads import DONE, answer, completion, event, grant, refusal, streamed
from tests.support.servers import Peer, Received
from tests.wire.servers import Server

SOON = 8.0  # seconds in which a call after an interrupt has an answer
FEW = 30  # interrupts that come, however long it takes
HANGS = 40.0  # seconds after which nothing moves any more


class Interrupt(BaseException):
    """What a signal's handler raises."""


# What is done while it storms.


@dataclass
class Scene:
    """A client, and what is done with it.

    Attributes:
        giga: The client.
        work: What is interrupted.
        after: What its user does after an interrupt, before going on.
        before: What is prepared before it is done.
    """

    giga: GigaChat
    work: Callable[[], object]
    after: Callable[[], object] = lambda: None
    before: Callable[[], object] = lambda: None

    def check(self) -> None:
        """Make a call that must succeed."""
        assert self.giga.chat("x").choices[0].message.content == "good"


LIMITS: dict[str, Any] = {"max_concurrency": 1, "queue_timeout": SOON, "retry_timeout": SOON, "timeout": SOON}


class Tokens:
    """Which tokens are good: those that came after the last one that was revoked."""

    def __init__(self) -> None:
        self.granted = 0
        self.revoked = 0

    def grant(self) -> str:
        self.granted += 1
        return f"token-{self.granted}"

    def good(self, authorization: str) -> bool:
        return int(authorization.rpartition("-")[2]) > self.revoked

    def revoke(self) -> None:
        self.revoked = self.granted


def mocked(request: httpx2.Request, tokens: Tokens) -> httpx2.Response:
    """Answer without a network."""
    if request.url.path == "/oauth":
        return httpx2.Response(200, json={"access_token": tokens.grant(), "expires_at": 9_999_999_999_999})
    if tokens.granted and not tokens.good(request.headers["authorization"]):
        return httpx2.Response(401, json={"message": "expired"})
    if b'"stream":true' in request.content:
        body = event("good") + event("", last=True) + DONE
        return httpx2.Response(200, content=body, headers={"content-type": "text/event-stream"})
    return httpx2.Response(200, content=completion("good"))


def served(server: Server, tokens: Tokens, *, keeps: bool) -> None:
    """Have a server answer as the mock does, and keep its connections or not."""
    good = answer("good") if keeps else answer("good", ("Connection", "close"))

    def sign_in(peer: Peer, _: Received) -> None:
        peer.send(grant(tokens.grant(), 1800))

    def act(peer: Peer, request: Received) -> None:
        if tokens.granted and not tokens.good(request.headers["authorization"]):
            peer.send(refusal("expired", status=401))
        elif b'"stream":true' in request.body:
            peer.send(streamed("good", ""))
        else:
            peer.send(good)
            if not keeps:
                peer.cut()

    server.sign_in_for_ever = sign_in
    server.for_ever = act


def scene(kind: str, stack: ExitStack) -> Scene:
    """Set a scene: `mock`, `network` or `TLS`, then `calls`, `connects`, `streams`, `closed streams` or `sign-ins`."""
    place, what = kind.split(maxsplit=1)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    tokens = Tokens()
    if place == "mock":
        client = httpx2.Client(transport=httpx2.MockTransport(lambda request: mocked(request, tokens)))
        options: dict[str, Any] = {
            "base_url": "http://mock/v1",
            "access_token": "ready",
            "http_client": client,
            "max_retries": 0,
        }
        reach = options | {"access_token": None, "credentials": "aWQ6c2VjcmV0", "auth_url": "http://mock/oauth"}
    else:
        tls = Authority.made(folder) if place == "TLS" else None
        server = stack.enter_context(Server(tls=tls, patience=300))
        served(server, tokens, keeps=what != "connects")
        options, reach = server.reach, server.options
    giga = stack.enter_context(GigaChat(**(reach if what == "sign-ins" else options), **LIMITS, max_connections=1))
    if what in ("calls", "connects"):
        return Scene(giga, lambda: giga.chat("x"))
    if what == "sign-ins":
        return Scene(giga, lambda: giga.chat("x"), before=tokens.revoke)
    if what == "streams":
        ways = itertools.cycle([whole, broken_off, entered])
        return Scene(giga, lambda: next(ways)(giga))
    open_ones: list[Any] = []

    def opened() -> None:
        open_ones.clear()
        open_ones.append(giga.stream("x"))
        for _ in open_ones[0]:
            pass

    return Scene(giga, opened, after=lambda: [stream.close() for stream in open_ones])


def whole(giga: GigaChat) -> None:
    for _ in giga.stream("x"):
        pass


def broken_off(giga: GigaChat) -> None:
    next(giga.stream("x"))


def entered(giga: GigaChat) -> None:
    with giga.stream("x") as stream:
        for _ in stream:
            break


# How it is interrupted.


class Alarms:
    """Interrupts by a timer's signal, at random moments of the work."""

    def __init__(self, seed: int, longest: float) -> None:
        self._random = random.Random(seed)
        self._longest = longest
        self._armed = False
        signal.signal(signal.SIGALRM, self._interrupt)

    def _interrupt(self, *_: object) -> None:
        self._armed = False
        raise Interrupt

    def strike(self, work: Callable[[], object]) -> bool:
        """Do something again and again until it is interrupted; whether the interrupt came through."""
        moment = self._random.uniform(1e-6, self._longest)
        try:
            self._armed = True
            signal.setitimer(signal.ITIMER_REAL, moment)
            while self._armed:
                work()
        except Interrupt:
            return True
        return False  # somebody ignored it, as the interpreter does in finalizers


PLACES = ("/gigachat/", "/httpcore", "threading.py", "contextlib.py", "ssl.py", "socket.py")
"""Files of which each place is one where an interrupt is tried."""


class Steps:
    """Interrupts at each place where the interpreter looks for signals, one after another.

    That is where a function begins or goes on, where a loop goes back, and behind a call of a function in C.
    """

    def __init__(self, seed: int, places: int) -> None:
        self._stride = max(1, places // 400)
        self._at = 1 + seed % self._stride
        self._count = 0
        self._entered = 0  # functions in Python
        self._last: dict[FrameType, tuple[int | None, int]] = {}
        self.exhausted = False

    @classmethod
    def measured(cls, seed: int, work: Callable[[], object]) -> Steps:
        """Make one that knows how many places there are."""
        counting = cls(seed, 0)
        counting._at = sys.maxsize
        counting._traced(work)
        return cls(seed, counting._count)

    def strike(self, work: Callable[[], object]) -> bool:
        """Do something and interrupt it at the next place; whether the interrupt came through."""
        try:
            self._traced(work)
        except Interrupt:
            return True
        finally:
            self.exhausted = self._count < self._at
            self._at += self._stride
        return False

    def _traced(self, work: Callable[[], object]) -> None:
        self._count = self._entered = 0
        self._last.clear()
        sys.settrace(self._begun)
        try:
            work()
        finally:
            sys.settrace(None)
            self._last.clear()

    def _begun(self, frame: FrameType, what: str, _: object) -> Callable[..., Any] | None:
        self._entered += 1
        if not any(part in frame.f_code.co_filename for part in PLACES):
            return None
        frame.f_trace_lines = False
        frame.f_trace_opcodes = True
        return self._going_on

    def _going_on(self, frame: FrameType, what: str, _: object) -> Callable[..., Any]:
        if what == "opcode":
            before, entered = self._last.get(frame, (None, self._entered))  # None where it has just begun or gone on
            self._last[frame] = frame.f_lasti, self._entered
            if before is None or looks_for_signals(frame.f_code, before, entered == self._entered):
                self._count += 1
                if self._count == self._at:
                    raise Interrupt
        elif what == "return":
            self._last.pop(frame, None)
        return self._going_on


def looks_for_signals(code: CodeType, at: int, in_c: bool) -> bool:
    """Whether the interpreter looks for signals behind an instruction.

    Args:
        code: Where it stands.
        at: Its place.
        in_c: Whether no function in Python has begun by it.
    """
    name = NAMES[code.co_code[at]]
    return name == "JUMP_BACKWARD" or (in_c and name.startswith("CALL") and "INTRINSIC" not in name)


def _names() -> dict[int, str]:
    import opcode

    return dict(enumerate(opcode.opname))


NAMES = _names()


# The storm.


@dataclass
class Report:
    """What came of it.

    Attributes:
        interrupts: How many there were.
        ignored: How many of them nobody saw.
        lost: Calls after an interrupt that did not succeed in time, by what they said.
        foreign: Errors that came in place of an interrupt.
        exhausted: Whether there was no place left to interrupt.
    """

    interrupts: int = 0
    ignored: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    foreign: Counter[str] = field(default_factory=Counter)
    exhausted: bool = False


def storm(found: Scene, interrupts: Alarms | Steps, report: Report, *, most: int, seconds: float) -> None:
    """Interrupt again and again, and look whether anything is lost."""
    end = time.monotonic() + seconds
    while report.interrupts < most and (time.monotonic() < end or report.interrupts < FEW) and report.lost.total() <= 2:
        faulthandler.dump_traceback_later(HANGS, exit=True)
        found.before()
        try:
            came = interrupts.strike(found.work)
        except Exception as error:
            report.foreign[described(error)] += 1
            came = True
        if isinstance(interrupts, Steps) and interrupts.exhausted:
            report.exhausted = True
            break
        report.interrupts += 1
        report.ignored += not came
        try:
            found.after()
        except Exception as error:
            report.foreign[f"after it: {described(error)}"] += 1
        said = checked(found.check)
        if said is None and report.interrupts % 50 == 0:
            said = checked_elsewhere(found.check)
        if said is not None:
            report.lost[said] += 1
    faulthandler.cancel_dump_traceback_later()


def checked(check: Callable[[], None]) -> str | None:
    """What is wrong with a call that must succeed soon."""
    begun = time.monotonic()
    try:
        check()
    except Exception as error:
        return described(error)
    return "it took long" if time.monotonic() - begun > SOON else None


def described(error: Exception) -> str:
    """An error in words, and where it comes from."""
    where = traceback.extract_tb(error.__traceback__)[-3:]
    return f"{type(error).__name__}: {error} (" + ", ".join(f"{f.filename}:{f.lineno} {f.name}" for f in where) + ")"


def checked_elsewhere(check: Callable[[], None]) -> str | None:
    """The same in another thread."""
    said: list[str | None] = ["it hangs"]

    def work() -> None:
        said[0] = checked(check)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(2 * SOON)
    return said[0] and f"in another thread: {said[0]}"


def crowd(found: Scene, report: Report) -> Iterator[None]:
    """Have others call at the same time, from entering to leaving; nobody interrupts them."""
    leaving = threading.Event()

    def work() -> None:
        while not leaving.is_set():
            said = checked(found.check)
            if said is not None:
                report.lost[f"beside it: {said}"] += 1

    threads = [threading.Thread(target=work, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    yield
    leaving.set()
    for thread in threads:
        thread.join(2 * SOON)
        if thread.is_alive():
            report.lost["beside it: it hangs"] += 1


def main() -> None:
    """Make a storm and print a report of it as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind")
    parser.add_argument("way", choices=["alarms", "steps"])
    parser.add_argument("--crowd", action="store_true")
    parser.add_argument("--most", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    sys.unraisablehook = lambda _: None  # an interrupt in a finalizer, which the report counts
    report = Report()
    with ExitStack() as stack:
        found = scene(given.kind, stack)
        taken = []
        for _ in range(20):
            found.check()
            found.before()
            begun = time.perf_counter()
            found.work()
            taken.append(time.perf_counter() - begun)
            found.after()
        if given.way == "alarms":
            interrupts: Alarms | Steps = Alarms(given.seed, max(3e-4, 1.5 * sorted(taken)[10]))
        else:
            found.before()
            interrupts = Steps.measured(given.seed, found.work)
            found.after()
        others = crowd(found, report) if given.crowd else iter([None, None])
        next(others)
        storm(found, interrupts, report, most=given.most, seconds=given.seconds)
        next(others, None)
        print(json.dumps(vars(report)), flush=True)
        if report.lost:  # then it may be that closing waits for ever
            faulthandler.dump_traceback_later(1, exit=True)


if __name__ == "__main__":
    main()
