"""Several credentials as one: each attempt of a call uses the least busy credential that is not in cooldown.

A refusal of the service begins a cooldown of the credential: after 429 as long as the service asks, after 401, 402 and
403 for minutes. 402 is about a model, 403 about an endpoint. The call uses the next credential. If all are in cooldown,
it waits for the first one, as long as it may wait after 429. Files, threads and batches belong to an account: a call
that names an id uses the credential that returned it. If the id is not known, each credential is asked. None of this is
for a call with an authorization of its caller: it only takes a slot.

It has no lock: operations on its dictionaries are atomic.
"""

from __future__ import annotations

import copy
import logging
import random
from contextlib import suppress
from itertools import count, islice
from typing import TYPE_CHECKING, Any, cast

from gigachat._advice import is_switched_off
from gigachat._engine.account_ids import AccountIds, NotedResponse, names_id, without_ids
from gigachat._engine.attempts import send_with_retries
from gigachat._engine.errors import total_timeout_error
from gigachat._engine.limiter import Slot
from gigachat._engine.requests import build_request, has_authorization
from gigachat._engine.shared_limits import SharedLimiter
from gigachat.exceptions import NotFoundError, QueueTimeoutError, ResponseError

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from gigachat._engine.calls import Call
    from gigachat._engine.observation import CallObservation
    from gigachat._engine.retry import RetryPolicy
    from gigachat._engine.service import Service
    from gigachat._engine.session import Session
    from gigachat._engine.transport import Request, Response, Transport

logger = logging.getLogger("gigachat")

_ALL = "all"  # subject of a cooldown: everything, a model, or a model at an endpoint
_RATE_LIMIT_COOLDOWN, _LONGEST_RATE_LIMIT_COOLDOWN = 0.5, 60.0
_COOLDOWN, _LONGEST_COOLDOWN = 120.0, 600.0
_REMEMBERED_COOLDOWNS = 100


class _Cooldown:
    """A cooldown of a credential; it is kept after its end, until the service answers again."""

    def __init__(self, until: float, seconds: float, error: ResponseError) -> None:
        self.until = until
        self.seconds = seconds
        self.error = error


class Member:
    """A credential of a pool.

    Args:
        name: Its name in messages.
        service: The service with this credential.
    """

    def __init__(self, name: str, service: Service) -> None:
        self.name = name
        self.service = service
        self.calls: dict[int, None] = {}  # in progress or waiting for a slot
        self._cooldowns: dict[Hashable, _Cooldown] = {}

    def ready_in(self, subjects: Sequence[Hashable], now: float) -> float:
        """Return the seconds until a call about these subjects may use it; 0 if it may now."""
        limiter = self.service.limiter
        cooling = limiter.cooling() if isinstance(limiter, SharedLimiter) else 0.0
        return max([cooling, *(cooldown.until - now for cooldown in self._known(subjects)), 0.0])

    def error(self, subjects: Sequence[Hashable], now: float) -> ResponseError | None:
        """Return the error of the cooldown that ends last."""
        present = [cooldown for cooldown in self._known(subjects) if cooldown.until > now]
        return max(present, key=lambda cooldown: cooldown.until).error if present else None

    def refuse(self, subject: Hashable, error: ResponseError, now: float) -> None:
        """Begin a cooldown for a subject, after an error of the service."""
        former = self._cooldowns.get(subject)
        asked = min(error.retry_after, _LONGEST_COOLDOWN)
        if former is not None and former.until > now and asked <= former.until - now:
            return  # of a call that began before the cooldown
        first, longest = (
            (_RATE_LIMIT_COOLDOWN, _LONGEST_RATE_LIMIT_COOLDOWN)
            if error.status_code == 429
            else (_COOLDOWN, _LONGEST_COOLDOWN)
        )
        seconds = first if former is None else min(former.seconds * 2, longest)
        pause = asked or seconds * random.uniform(0.5, 1.0)  # noqa: S311
        for oldest in list(islice(self._cooldowns, max(len(self._cooldowns) - _REMEMBERED_COOLDOWNS, 0))):
            self._cooldowns.pop(oldest, None)
        self._cooldowns[subject] = _Cooldown(now + pause, seconds, copy.copy(error).with_traceback(None))
        logger.warning(
            "credential %s was refused (%d) and is in cooldown for %.1f s", self.name, error.status_code, pause
        )

    def answered(self, subjects: Sequence[Hashable]) -> None:
        """Forget the cooldowns of subjects that the service answers again."""
        if self._cooldowns:
            for subject in subjects:
                self._cooldowns.pop(subject, None)

    def _known(self, subjects: Sequence[Hashable]) -> list[_Cooldown]:
        if not self._cooldowns:
            return []
        return [cooldown for subject in subjects if (cooldown := self._cooldowns.get(subject)) is not None]


class PoolSlot(Slot):
    """The place of a call in a pool: the credential that it uses, and its slot there."""

    __slots__ = ("_member", "_slot")

    def __init__(self) -> None:
        self.owner = None
        self.released = self.stream = False
        self._member: Member | None = None
        self._slot: Slot | None = None

    def join(self, member: Member) -> None:
        """Choose a credential."""
        self._member = member
        member.calls[id(self)] = None

    def hold(self, slot: Slot | None) -> None:
        """Keep the slot of the credential."""
        self._slot = slot
        if slot is not None:
            slot.stream = self.stream

    def leave(self) -> None:
        """Release the slot and leave the credential."""
        member, self._member = self._member, None
        slot, self._slot = self._slot, None
        if slot is not None:
            slot.release()
        if member is not None:
            member.calls.pop(id(self), None)

    def release(self) -> None:
        """End the call; a second time does nothing. Never waits, and may be called from a finalizer."""
        self.released = True
        self.leave()

    def __del__(self) -> None:
        self.leave()


class Pool:
    """Sends the calls of a client with several credentials.

    Args:
        members: The credentials.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = members
        self._turns = count()
        self._ids: AccountIds[Member] = AccountIds()

    def slot(self) -> PoolSlot:
        """Return the place of a call that begins."""
        return PoolSlot()

    async def send(
        self,
        session: Session,
        call: Call[Any],
        context: Mapping[str, str],
        v2_url: str,
        model: str | None,
        policy: RetryPolicy,
        deadline: float | None,
        observation: CallObservation | None,
        slot: Slot | None,
    ) -> Response:
        """Send a call with one credential after another, until one is not refused; see `Session.respond`.

        Raises:
            GigaChatException: The request failed. If all cooldowns are too long, it is the error of one credential.
            ValueError: The call names ids of several accounts.
        """
        assert isinstance(slot, PoolSlot)
        transport = session.transport
        subjects = _subjects(session, call, model)
        if has_authorization(session.options, call, context):
            return await self._send_as_caller(
                session, call, context, v2_url, model, policy, deadline, observation, slot, subjects
            )
        waits = _Waits(session, policy, deadline)
        candidates = self._candidates(session, call, context, v2_url, model)
        missing: NotFoundError | None = None
        sent = False
        while True:
            now = transport.now()
            ready = [member for member in candidates if not member.ready_in(subjects, now)]
            if not ready:
                await waits.wait(candidates, subjects, observation if sent else None)
                sent = False
                continue
            member = self._least_busy(ready)
            slot.join(member)
            request, authorize = build_request(member.service, session.options, call, context, v2_url, model)
            request.deadline = deadline
            try:
                slot.hold(await session.take_slot(member.service, deadline))
                if member.ready_in(subjects, transport.now()):
                    slot.leave()  # it was refused while this call waited for its slot
                    continue
                if sent and observation is not None:
                    observation.retrying(0.0)
                sent = True
                response = await send_with_retries(
                    transport,
                    request,
                    policy._replace(
                        on_status_codes=policy.on_status_codes - {429}, refused=member.service.policy.refused
                    ),
                    call.repeatable,
                    member.service.authorization if authorize else None,
                    observation,
                )
            except ResponseError as error:
                slot.leave()
                if not request.sendable_again:
                    raise
                if isinstance(error, NotFoundError) and error.url == request.url:
                    others = [other for other in candidates if other is not member]
                    if not others or not names_id(call.path):
                        raise (missing or error) from None
                    candidates, missing = others, missing or error
                    continue
                subject = _refused_subject(error, request, subjects)
                if subject is None:
                    raise
                member.refuse(subject, error, transport.now())
                waits.note(member, error)
            except BaseException:
                slot.leave()
                raise
            else:
                member.answered(subjects)
                if call.path.endswith("/embeddings"):
                    return response
                return cast("Response", NotedResponse(response, self._ids, member, chat=call.chat))

    async def _send_as_caller(
        self,
        session: Session,
        call: Call[Any],
        context: Mapping[str, str],
        v2_url: str,
        model: str | None,
        policy: RetryPolicy,
        deadline: float | None,
        observation: CallObservation | None,
        slot: PoolSlot,
        subjects: Sequence[Hashable],
    ) -> Response:
        """Send a call with an authorization of its caller: its refusals and ids say nothing about the credentials."""
        now = session.transport.now()
        ready = [member for member in self._members if not member.ready_in(subjects, now)]
        member = self._least_busy(ready or self._members)
        slot.join(member)
        try:
            slot.hold(await session.take_slot(member.service, deadline))
            request, _ = build_request(member.service, session.options, call, context, v2_url, model)
            request.deadline = deadline
            return await send_with_retries(session.transport, request, policy, call.repeatable, observation=observation)
        except BaseException:
            slot.leave()
            raise

    def _candidates(
        self, session: Session, call: Call[Any], context: Mapping[str, str], v2_url: str, model: str | None
    ) -> Sequence[Member]:
        """Return the credentials that may send a call: the one whose ids it names, or all."""
        if not self._ids or len(self._members) == 1:
            return self._members
        request, _ = build_request(session.service, session.options, call, context, v2_url, model)
        owners = self._ids.owners(call.path, request.content or b"")
        if len(owners) > 1:
            names = " and ".join(sorted(owner.name for owner in owners))
            raise ValueError(
                f"the call names ids of several accounts, of the credentials {names}: an account knows only its own "
                "files, threads and batches"
            )
        return owners or self._members

    def _least_busy(self, members: Sequence[Member]) -> Member:
        turn = next(self._turns)
        places = range(len(members))
        return members[min(places, key=lambda place: (len(members[place].calls), (place - turn) % len(members)))]


class _Waits:
    """The waits of one call for credentials in cooldown."""

    def __init__(self, session: Session, policy: RetryPolicy, deadline: float | None) -> None:
        self._transport: Transport = session.transport
        self._policy = policy
        self._deadline = deadline
        self._total = session.service.timeouts.total
        timeouts = session.options.timeouts or session.service.timeouts
        may_wait = policy.max_retries > 0 and 429 in policy.on_status_codes
        longest = (
            policy.rate_limit_timeout if timeouts.queue is None else min(policy.rate_limit_timeout, timeouts.queue)
        )
        self._left = longest if may_wait else 0.0
        self._until = self._transport.now() + policy.timeout
        self._refusals: dict[Member, ResponseError] = {}

    def note(self, member: Member, error: ResponseError) -> None:
        """Keep the error of a credential."""
        self._refusals[member] = error

    async def wait(
        self, members: Sequence[Member], subjects: Sequence[Hashable], observation: CallObservation | None
    ) -> None:
        """Wait until the first cooldown of some credentials has ended.

        Raises:
            ResponseError: It takes too long.
        """
        now = self._transport.now()
        first = min(members, key=lambda member: member.ready_in(subjects, now))
        pause = first.ready_in(subjects, now)
        error = self._refusals.get(first) or first.error(subjects, now)
        left = min(self._left, self._until - now)
        if pause > left:
            if error is not None:
                raise self._failure(error, members, subjects, now)
            raise QueueTimeoutError(
                f"the service has refused all credentials of the pool to other processes; the first one is in "
                f"cooldown for {pause:.1f} s, longer than rate_limit_timeout= or queue_timeout= permit"
            )
        pause = min(pause * random.uniform(1.0, 1.25), max(left, pause))  # noqa: S311
        if self._deadline is not None and now + pause >= self._deadline:
            problem = f"all credentials of the pool are in cooldown, the first one for {pause:.1f} s"
            raise total_timeout_error(self._total, problem)
        self._left -= pause
        if observation is not None:
            observation.retrying(pause)
        await self._transport.sleep(pause)

    def _failure(
        self, error: ResponseError, members: Sequence[Member], subjects: Sequence[Hashable], now: float
    ) -> ResponseError:
        failure = copy.copy(error)
        for member in members:
            reason = self._refusals.get(member) or member.error(subjects, now)
            status = "is not used by any process" if reason is None else f"was refused ({reason.status_code})"
            seconds = member.ready_in(subjects, now)
            failure.add_note(f"credential {member.name} of the pool {status} and is in cooldown for {seconds:.0f} s")
        return failure


def _subjects(session: Session, call: Call[Any], model: str | None) -> tuple[Hashable, ...]:
    """Return what a refusal of a call may be about: everything, its model, its model at its endpoint."""
    body: Any = call.json
    if model is None and body is not None:
        with suppress(AttributeError):
            model = body.get("model") if hasattr(body, "get") else body.model
    model = session.options.body.get("model", model)
    endpoint = without_ids(call.path)
    return _ALL, ("model", str(model)), ("endpoint", call.method, endpoint, str(model))


def _refused_subject(error: ResponseError, request: Request, subjects: Sequence[Hashable]) -> Hashable | None:
    """Return for what the service refuses a credential; None if the error is not about it."""
    everything, model, endpoint = subjects
    if error.url != request.url:  # an error of the sign-in
        return everything if error.status_code in (400, 401, 403, 429) else None
    if error.status_code in (401, 429):
        return everything
    if error.status_code == 402:
        return model
    return endpoint if error.status_code == 403 and not is_switched_off(error) else None
