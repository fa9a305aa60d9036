"""The leases of this process: one daemon thread asks Redis for them, renews them and gives them back.

The threads and tasks that call the API only wait for a signal, so that no mode of the client does I/O here. What the
thread tells Redis is a state, not a change: each `_Lease` is wanted or held until its slot is released or gone. It may
therefore be told again, after a lost answer as after a restart of Redis. One exchange for each credential tells
all that changed since the last one.

While Redis is away, the process limits itself alone, to its share of the limit. `look` is safe in finalizers: it only
puts a mark into a `SimpleQueue`. Nothing here waits for the thread but `flush`.
"""

from __future__ import annotations

import logging
import queue
import random
import secrets
import threading
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Any
from weakref import ref

from gigachat._engine.shared_limits import SharedLimitsAwayError
from gigachat._engine.signals import Signal
from gigachat._engine.transport import clock
from gigachat._redis.scripts import ALIVE, ASK_AGAIN, ASKS, EXCHANGE, KEYS, LEASE, channel, key

if TYPE_CHECKING:
    from gigachat._engine.limiter import Slot
    from gigachat._redis.connection import Connection

logger = logging.getLogger("gigachat")

_RENEW = LEASE / 3
_RECONNECT = 0.5
_IDLE = 60.0  # seconds without leases after which the thread ends
_REMEMBERED = 1000  # credentials
_FLUSH = 1.0  # longest wait when the interpreter exits


class _Lease:
    """A slot that needs a lease; the thread changes it."""

    __slots__ = ("held", "known", "limit", "member", "offered", "signal", "slot")

    def __init__(self, member: str, slot: ref[Slot], limit: int) -> None:
        self.member = member
        self.slot = slot
        self.limit = limit
        self.signal = Signal()
        self.held = False
        self.known = False  # whether Redis may know it
        self.offered = False  # whether Redis has offered it

    def is_over(self) -> bool:
        """Whether its slot is released or gone."""
        slot = self.slot()
        return slot is None or slot.released


class _Credential:
    """What is known of the leases of one credential."""

    def __init__(self) -> None:
        self.leases: dict[str, _Lease] = {}
        self.due = 0.0  # when everything is told again
        self.life = ""
        self.processes = 0
        self.cool_until = 0.0
        self.cooled = False  # whether Redis must be told of it

    def is_used(self) -> bool:
        """Whether there is something to tell Redis, now or later."""
        return bool(self.leases) or (self.cooled and self.cool_until > clock())


class RedisLeases:
    """The leases of this process in one Redis."""

    def __init__(self) -> None:
        self._connection: Connection | None = None
        self.reset()

    def bind(self, connection: Connection) -> RedisLeases:
        """Set where Redis is; a second time changes nothing."""
        if self._connection is None:
            self._connection = connection
        return self

    def reset(self) -> None:
        """Forget everything: after a fork, the leases are the parent's, and its thread does not exist."""
        if self._connection is not None:
            self._connection = self._connection.renewed()
        self._lock = threading.Lock()
        self._process = secrets.token_hex(8)
        self._numbers = count()
        self._marks: queue.SimpleQueue[Signal | None] = queue.SimpleQueue()
        self._credentials: dict[str, _Credential] = {}
        self._thread: threading.Thread | None = None
        self._listener: Any = None
        self._away_since: float | None = None
        self._reconnect_at = 0.0
        self._leaving = False

    # For callers.

    def want(self, credential: str, slot: Slot, limit: int) -> Signal:
        """Ask for a lease; the signal is set when the slot may be used."""
        lease = _Lease(f"{self._process}:{next(self._numbers)}:{limit}", ref(slot), limit)
        with self._lock:
            self._credentials.setdefault(credential, _Credential()).leases[lease.member] = lease
            self._start()
        self._marks.put(None)
        return lease.signal

    def cool_down(self, credential: str, seconds: float) -> None:
        """Give no lease of a credential for some seconds, to any process."""
        with self._lock:
            known = self._credentials.setdefault(credential, _Credential())
            known.cool_until = max(known.cool_until, clock() + seconds)
            known.cooled = True
            self._start()
        self._marks.put(None)

    def cooling(self, credential: str) -> float:
        """Return for how many seconds no lease of a credential is given, as far as it is known."""
        known = self._credentials.get(credential)
        return 0.0 if known is None else max(known.cool_until - clock(), 0.0)

    def look(self) -> None:
        """Give back the leases of released slots soon."""
        self._marks.put(None)

    def flush(self) -> None:
        """Give back all leases before the interpreter exits; waits a second at most."""
        if self._thread is not None:
            self._leaving = True
            done = Signal()
            self._marks.put(done)
            done.wait(_FLUSH)
            self._leaving = False  # other functions that run at exit may call the API

    # The thread.

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="gigachat-limits", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        idle_since: float | None = None
        while True:
            waiting = self._drain(self._seconds_to_next(idle_since))
            self._exchange_all()
            for signal in waiting:
                signal.set()
            with self._lock:
                if any(known.is_used() for known in self._credentials.values()):
                    idle_since = None
                    self._forget()
                    continue
                idle_since = clock() if idle_since is None else idle_since
                if clock() - idle_since >= _IDLE:
                    self._disconnect()
                    self._credentials.clear()
                    self._thread = None
                    return

    def _forget(self) -> None:
        """Forget credentials that are not used, if there are many."""
        if len(self._credentials) > _REMEMBERED:
            used = {name: known for name, known in self._credentials.items() if known.is_used()}
            self._credentials = used

    def _seconds_to_next(self, idle_since: float | None) -> float:
        now = clock()
        with self._lock:
            due = [known.due for known in self._credentials.values() if known.is_used()]
        if not due:
            return _IDLE if idle_since is None else max(idle_since + _IDLE - now, 0.0)
        return max((min(due) if self._away_since is None else self._reconnect_at) - now, 0.0)

    def _drain(self, timeout: float) -> list[Signal]:
        """Wait for a mark; return the signals among those that are there."""
        signals: list[Signal] = []
        with suppress(queue.Empty):
            mark = self._marks.get(timeout=timeout) if timeout > 0 else self._marks.get_nowait()
            while True:
                if mark is not None:
                    signals.append(mark)
                mark = self._marks.get_nowait()
        return signals

    def _exchange_all(self) -> None:
        with self._lock:
            credentials = list(self._credentials.items())
        began = clock()
        if self._away_since is None or began >= self._reconnect_at:
            try:
                listens = self._listener is not None and self._listener.is_alive()
                used = [(name, known) for name, known in credentials if known.is_used()]
                if used and not listens:
                    self._connect()
                for name, known in used:
                    self._exchange(name, known)
            except SharedLimitsAwayError as error:
                self._go_away(str(error))
                # An attempt that takes seconds delays the callers, so that it is made less often.
                self._reconnect_at = clock() + max(_RECONNECT, 4 * (clock() - began))
            else:
                if used:
                    self._come_back()
        if self._away_since is not None:
            for _, known in credentials:
                self._limit_alone(known, self._away_since)

    def _exchange(self, name: str, known: _Credential) -> None:
        """Tell Redis what has changed for a credential, or everything if it is time; take the slots that it gives."""
        now = clock()
        all_due = self._away_since is not None or now >= known.due
        with self._lock:
            leases = list(known.leases.values())
        over: list[_Lease] = []
        held: list[_Lease] = []
        wanted: list[_Lease] = []
        for lease in leases:
            if self._leaving or lease.is_over():
                over.append(lease)
            elif all_due or lease.offered or not lease.known:
                (held if lease.held else wanted).append(lease)
        released = [lease for lease in over if lease.known]
        if released or held or wanted or known.cooled:
            self._tell(name, known, released, held, wanted, all_due=all_due)
        elif all_due:
            known.due = now + _RENEW
        with self._lock:
            for lease in over:
                known.leases.pop(lease.member, None)

    def _tell(
        self,
        name: str,
        known: _Credential,
        released: list[_Lease],
        held: list[_Lease],
        wanted: list[_Lease],
        *,
        all_due: bool,
    ) -> None:
        now = clock()
        pause = max(ASK_AGAIN, known.processes / ASKS)
        alive = max(ALIVE, 3 * pause) if _waits(known) else LEASE
        cool_until = known.cool_until
        cool_down = max(cool_until - now, 0.0) if known.cooled else 0.0
        for lease in (*held, *wanted):
            lease.known = True  # even if the answer is lost
            lease.offered = False
        numbers = (round(alive * 1000), known.life, round(cool_down * 1000), len(released), len(held), len(wanted))
        members = [lease.member for lease in (*released, *held, *wanted)]
        assert self._connection is not None
        with self._connection.client() as client:
            script = client.register_script(EXCHANGE)
            answer: Any = script(keys=[key(name, part) for part in KEYS], args=[self._process, *numbers, *members])
            known.processes, again, cool, known.life, *granted = answer
        with self._lock:
            if known.cool_until == cool_until:  # no refusal came since
                known.cool_until, known.cooled = clock() + cool / 1000, False
        for member in granted:  # others that wait, too, and not only those of this exchange
            if member in known.leases:
                self._grant(known.leases[member])
        due = now + _RENEW
        if _waits(known):
            pause *= random.uniform(0.75, 1.25)  # noqa: S311
            due = now + (pause if again < 0 else min(pause, again / 1000))
        # An exchange that does not tell everything renews no lease.
        known.due = due if all_due else min(known.due, due)

    def _grant(self, lease: _Lease) -> None:
        lease.held = True
        if not lease.signal.set():
            slot = lease.slot()
            if slot is not None:
                slot.release()  # the event loop of its caller is closed
            self._marks.put(None)

    def _limit_alone(self, known: _Credential, since: float) -> None:
        """Give slots without Redis: as many as the share of this process."""
        forgotten = clock() >= since + LEASE  # whether Redis has forgotten what it knew
        with self._lock:
            for lease in [*known.leases.values()]:
                if lease.is_over() and (forgotten or not lease.known):
                    del known.leases[lease.member]
            leases = [lease for lease in known.leases.values() if not lease.is_over()]
        holding = sum(lease.held for lease in leases)
        for lease in leases:
            if not lease.held:
                if holding >= max(lease.limit // max(known.processes, 1), 1) or known.cool_until > clock():
                    break
                holding += 1
                self._grant(lease)

    # The connection.

    def _connect(self) -> None:
        """Listen for offers, before any can be made."""
        assert self._connection is not None
        with self._connection.client() as client:
            listener: Any = client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
            listener.subscribe(**{channel(self._process): self._offered})
            listener.get_message(timeout=5.0)  # the confirmation
            self._listener = listener.run_in_thread(sleep_time=5.0, exception_handler=self._lost, daemon=True)

    def _offered(self, message: dict[str, Any]) -> None:
        for known in list(self._credentials.values()):
            lease = known.leases.get(message["data"])
            if lease is not None:
                lease.offered = True
        self._marks.put(None)

    def _lost(self, error: BaseException, listener: Any, thread: Any) -> None:
        """Connect again: the next exchange asks what was offered since."""
        thread.stop()
        if thread is self._listener:
            self._listener = None
        for known in list(self._credentials.values()):
            known.due = 0.0
        self._marks.put(None)

    def _disconnect(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.stop()
        if self._connection is not None:
            self._connection.close()

    def _go_away(self, reason: str) -> None:
        if self._away_since is None:
            self._away_since = clock()
            assert self._connection is not None
            logger.warning(
                "the shared limits at %s cannot be reached (%s): this process limits its own requests until they can",
                self._connection.name,
                reason,
            )
        self._disconnect()

    def _come_back(self) -> None:
        if self._away_since is not None:
            self._away_since = None
            assert self._connection is not None
            logger.warning("the shared limits at %s can be reached again", self._connection.name)


def _waits(known: _Credential) -> bool:
    """Whether a caller waits for a slot."""
    return any(not lease.held for lease in list(known.leases.values()))
