"""What can go wrong with one request, on order, and the judgement of what came of it.

The server notes what it did with each arrival before it does it; the judge compares this with what the caller got: the
class of the error, whether a repetition was due, whether one was too many. It knows the rules of the client, not its
code.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

from gigachat import (
    APIConnectionError,
    APIResponseValidationError,
    APITimeoutError,
    AuthenticationError,
    ResponseError,
    StreamInterruptedError,
)
from gigachat._engine.errors import error_for_status

HEADER = "X-Soak"
RETRIED = (429, 500, 502, 503, 504)
IMPATIENT = 0.4
"""Seconds a client waits for data where silence was ordered; elsewhere it has a minute."""
LOSSES = (APIConnectionError, APITimeoutError)


@dataclass(frozen=True)
class Fault:
    """What befalls the first `times` arrivals of a request; the next one is served.

    Attributes:
        kind: `none`, `slow`, `drip`, `gzip`: the right answer, in another manner. `status`, `storm` (429), `refused`
            (401 whatever the token), `revoke` (the token of the request no longer holds). `reset`: no answer, the
            connection breaks. `silence`: no answer. `cut`, `stall`: the same in the middle of a good answer.
            `garbage`, `page`: a good status over something else. `event`: a stream brings an error. `unended`: a
            stream ends, cleanly, too early.
        status: Of the answer, or in the event.
        after: Bytes or events before it happens, milliseconds for `slow`.
        how: A connection is closed (`fin`) or reset (`rst`).
        body: Of a refusal: `json`, `page`, `nothing` or `garbage`.
        retry_after: Header of a refusal.
    """

    kind: str = "none"
    times: int = 1
    status: int = 0
    after: int = 0
    how: Literal["fin", "rst"] = "fin"
    body: str = "json"
    retry_after: str | None = None

    def encoded(self, request_id: str, tag: str) -> str:
        """Return the order for a request as the value of its header.

        Args:
            request_id: Of the call; all attempts share it.
            tag: Requests in work are counted under it, if there is one.
        """
        return json.dumps({"id": request_id, "tag": tag, **asdict(self)})


@dataclass(frozen=True)
class Traits:
    """What the rules say of a call.

    Attributes:
        repeatable: It only reads, so that it may be sent again when no answer came.
        sendable_again: Its body can be sent from the beginning.
        streamed: The answer is a stream.
        structured: The answer has a form, so that garbage shows.
        several: It takes several requests.
        v2: It is of API v2, whose address the client still looks for.
    """

    repeatable: bool = False
    sendable_again: bool = True
    streamed: bool = False
    structured: bool = True
    several: bool = False
    v2: bool = False


class Arrival(NamedTuple):
    """A request as the server saw it: `answer` with its status, or the kind of the fault that befell it."""

    kind: str
    status: int
    how: str


@dataclass
class Done:
    """A call that has ended."""

    request_id: str
    client: str
    name: str
    fault: Fault
    traits: Traits
    seconds: float
    max_retries: int
    lossy: bool
    """It went over the bad network."""
    flaky: bool
    """Its client signs in where signing in often fails."""
    error: BaseException | None = None
    given_up: bool = False
    """The caller broke off, cancelled or abandoned it."""
    arrivals: list[Arrival] = field(default_factory=list)

    def __str__(self) -> str:
        got = "given up" if self.given_up else "answer" if self.error is None else repr(self.error)
        what = f"{self.request_id} {self.name} on {self.client!r} {self.fault}"
        return f"{what} {[*map(tuple, self.arrivals)]} -> {got[:300]} in {self.seconds:.2f} s"


_WEIGHTS: Mapping[str, int] = {
    "none": 50,
    "slow": 4,
    "drip": 4,
    "gzip": 4,
    "status": 10,
    "storm": 3,
    "refused": 1,
    "revoke": 3,
    "reset": 6,
    "silence": 2,
    "cut": 6,
    "stall": 2,
    "garbage": 2,
    "page": 2,
    "event": 4,
    "unended": 3,
}
_HARMLESS = {"none": 1}
_STATUSES = (400, 402, 403, 404, 413, 418, 422, 500, 500, 502, 503, 503, 504)


def draw(chance: random.Random, traits: Traits, *, polite: bool) -> Fault:
    """Return a fault for a call.

    Args:
        chance: Draws.
        traits: What kind of call it is: not every fault shows in each.
        polite: Only such as leave no doubt when the request ended.
    """
    weights = dict(_WEIGHTS)
    if not traits.streamed:
        del weights["event"], weights["unended"]
    if not traits.structured:
        del weights["garbage"], weights["page"]
    if polite:
        del weights["silence"], weights["stall"]
    (kind,) = chance.choices(list(weights), list(weights.values()))
    times = chance.choice((1, 1, 1, 2, 3))
    after = int(10 ** chance.uniform(0, 4.3)) - 1
    how: Literal["fin", "rst"] = chance.choice(("fin", "rst"))
    if kind == "storm":
        return Fault("status", times, 429, retry_after=chance.choice((None, "0")))
    if kind == "status":
        status = chance.choice(_STATUSES)
        body = chance.choice(("json", "json", "page", "nothing", "garbage"))
        if traits.v2:
            # A page, or a 404, sends the client to the other address of API v2.
            status, body = 500 if status == 404 else status, "json"
        return Fault(kind, times, status, body=body, retry_after=chance.choice((None, None, "0", "soon", "-1")))
    if kind == "slow":
        return Fault(kind, times, after=chance.randrange(20, 500))
    if kind in ("event", "unended"):
        return Fault(kind, times, status=chance.choice((422, 429, 500, 503)), after=chance.randrange(0, 8))
    if kind == "refused":
        times = 99
    return Fault(kind, times, after=after, how=how)


def judge(done: Done) -> str | None:
    """Return what is wrong with the outcome of a call, None if all is as it should be."""
    problem = _repetitions(done) or (None if done.given_up else _outcome(done))
    return None if problem is None else f"{problem}: {done}"


def _repetitions(done: Done) -> str | None:
    """Judge that no arrival followed where none was due."""
    traits = done.traits
    if traits.several:
        return None
    refusals = 0
    for arrival in done.arrivals[:-1]:
        lost = done.lossy or done.fault.kind in ("silence", "stall") or _lost(arrival)
        if traits.repeatable and lost:
            continue
        if not traits.sendable_again:
            return "a body that can be read once was sent twice"
        if arrival.kind != "answer" or arrival.status not in (*RETRIED, 401):
            return f"sent again after {arrival.kind} {arrival.status}"
        refusals += arrival.status == 401
        if refusals > 1:
            return "sent again after a second 401"
        if arrival.status != 401 and done.max_retries == 0:
            return "sent again although max_retries=0"
    if _failures(done, done.arrivals[:-1]) > done.max_retries:
        return "sent too often"
    return None


def _outcome(done: Done) -> str | None:
    """Judge what the caller got by what the server did last."""
    error = done.error
    last = done.arrivals[-1] if done.arrivals else None
    if error is None:
        if last is None:
            return "an answer without a request"
        good = (last.kind == "answer" and last.status < 300) or last.kind in ("cut", "stall", "event", "unended")
        return None if good else "an answer where there was none"
    if done.flaky and _of_sign_in(error):
        return None
    if (done.lossy or done.fault.kind in ("silence", "stall")) and type(error) in (
        *LOSSES,
        *((StreamInterruptedError,) if done.traits.streamed else ()),
    ):
        return None
    if last is None:
        return "an error without a request"
    if type(error) not in _classes(last, done.traits):
        return f"{type(error).__name__} after {last.kind} {last.status}"
    if isinstance(error, ResponseError) and error.status_code != last.status:
        return f"status {error.status_code} after {last.status}"
    return _too_early(done, last)


def _too_early(done: Done, last: Arrival) -> str | None:
    """Judge that a call was not given up while there was hope."""
    traits = done.traits
    if isinstance(done.error, AuthenticationError):
        renewed = any(arrival.status == 401 for arrival in done.arrivals[:-1])
        # Where good answers are lost, a client cannot know that the token was ever good.
        excused = renewed or done.fault.kind == "refused" or not traits.sendable_again or done.lossy
        return None if excused else "a 401 led to no renewal"
    if done.max_retries == 0 or not traits.sendable_again or traits.several or last.kind == "event":
        return None
    if done.lossy:
        return None  # attempts that never arrived count too
    due = last.status in RETRIED if last.kind == "answer" else traits.repeatable and last.kind in ("reset", "silence")
    if due and (last.status == 429 or _failures(done, done.arrivals[:-1]) < done.max_retries):
        return "given up too early"
    return None


def _failures(done: Done, arrivals: Sequence[Arrival]) -> int:
    """Count the arrivals after which `max_retries` has one less to give."""
    return sum(arrival.kind != "answer" or arrival.status not in (401, 429) for arrival in arrivals)


def _lost(arrival: Arrival) -> bool:
    # A reset throws away what was sent last, perhaps the beginning of the answer.
    return arrival.kind in ("reset", "silence", "gone") or (arrival.kind == "cut" and arrival.how == "rst")


def _classes(last: Arrival, traits: Traits) -> tuple[type[Exception], ...]:
    """Return the errors that may follow what the server did."""
    if last.kind == "answer" or last.kind == "event":
        return (type(error_for_status("", last.status, None, None)),) if last.status >= 400 else ()
    if last.kind in ("garbage", "page"):
        return (APIResponseValidationError,)
    if last.kind == "unended":
        return (StreamInterruptedError,)
    if last.kind == "reset":
        return (APIConnectionError,)
    if last.kind == "cut":
        lost = (APIConnectionError,) if _lost(last) or not traits.streamed else ()
        return (*lost, *((StreamInterruptedError,) if traits.streamed else ()))
    return ()


def _of_sign_in(error: BaseException) -> bool:
    if isinstance(error, ResponseError):
        return error.url.endswith("/oauth")
    if isinstance(error, APIResponseValidationError):
        return "sign-in" in str(error)
    return type(error) in LOSSES


def decoded(header: str) -> tuple[str, str, Fault]:
    """Return id, tag and fault of an order."""
    order: dict[str, Any] = json.loads(header)
    return order.pop("id"), order.pop("tag"), Fault(**order)
