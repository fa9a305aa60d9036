"""At most so many requests at once per credential: threads and tasks together, first come first served."""

from __future__ import annotations

import asyncio
import base64
import gc
import sys
import threading
import uuid
from functools import partial
from typing import Any
from weakref import ref

import pytest

from gigachat import APITimeoutError
from gigachat._engine import limiter as limiter_module
from gigachat._engine import signals
from gigachat._engine.limiter import Limiter, Slot, _Waiter
from gigachat._engine.session import run
from gigachat._engine.signals import Signal
from gigachat._transport.transport import AsyncTransport, BlockingTransport
from gigachat.settings import Settings
from tests.support.waiting import until
from tests.unit.test_stream import FIRST, LAST, SECOND
from tests.unit.world import Answer, World


def key() -> str:
    """A credential that no other test has used: limits hold for the process."""
    return base64.b64encode(uuid.uuid4().bytes).decode()


def test_requests_in_work_never_exceed_the_limit() -> None:
    world = World("async")
    credentials = key()
    clients = [world.client(credentials=credentials, max_concurrency=3) for _ in range(4)]
    in_work = most = 0

    async def main() -> None:
        nonlocal in_work, most
        send = world.send

        async def counting(request: Any) -> Any:
            nonlocal in_work, most
            if request.sign_in:
                return await send(request)
            in_work += 1
            most = max(most, in_work)
            await asyncio.sleep(0)
            response = await send(request)
            in_work -= 1
            return response

        world.send = counting  # type: ignore[method-assign]
        await asyncio.gather(*(clients[number % 4].achat("x") for number in range(40)))

    asyncio.run(main())
    assert most == 3
    assert len(world.api_requests) == 40


def test_a_stream_keeps_its_slot_and_the_error_names_it(world: World) -> None:
    giga = world.client(credentials=key(), max_concurrency=1, queue_timeout=0.01)
    giga._start(giga._service, world, world)
    world.answers = [Answer(pieces=[FIRST, SECOND, LAST])]
    transport = BlockingTransport(Settings())
    waiting = {"blocking": transport.wait, "async": AsyncTransport(Settings()).wait}[world.mode]
    world.wait, world.now = waiting, transport.now  # type: ignore[method-assign]
    if world.mode == "blocking":
        stream = giga.stream("x")
        next(stream)
        with pytest.raises(APITimeoutError, match="this thread or task holds an open stream itself"):
            giga.chat("x")
        stream.close()
        assert giga.chat("x").choices
        return

    async def main() -> None:
        stream = giga.astream("x")
        await anext(stream)
        with pytest.raises(APITimeoutError, match="this thread or task holds an open stream itself"):
            await giga.achat("x")
        with pytest.raises(APITimeoutError, match="other requests"):
            await asyncio.create_task(giga.achat("x"))
        await stream.close()
        assert (await giga.achat("x")).choices

    asyncio.run(main())


def test_a_stream_closed_while_it_waits_for_its_slot_is_not_sent() -> None:
    giga = World("async").client(credentials=key(), max_concurrency=1)
    world = World("async")
    giga._start(giga._service, world, world)
    world.answers = [Answer(pieces=[FIRST, LAST])]

    async def main() -> None:
        first = giga.astream("x")
        await anext(first)
        second = giga.astream("y")
        reading = asyncio.create_task(anext(second))
        await asyncio.sleep(0)
        await second.close()
        await first.close()
        with pytest.raises(StopAsyncIteration):
            await reading
        await giga.achat("x")  # the slot is free

    asyncio.run(main())
    assert len(world.api_requests) == 2


def test_methods_of_one_object_are_one_credential() -> None:
    class Vault:
        def token(self) -> str:
            return "t"

    vault, other = Vault(), Vault()
    world = World("blocking")
    clients = [world.client(access_token_provider=one.token, max_concurrency=1) for one in (vault, vault, other)]
    limiters = [client._service.limiter for client in clients]
    assert limiters[0] is limiters[1]
    assert limiters[0] is not limiters[2]


def test_first_come_first_served_among_threads_and_tasks() -> None:
    limiter = Limiter()
    blocking, awaiting = BlockingTransport(Settings()), AsyncTransport(Settings())
    order: list[int] = []
    first: Slot = _finish(limiter.acquire(blocking, 1, 60))

    def in_thread(number: int) -> None:
        slot = _finish(limiter.acquire(blocking, 1, 60))
        order.append(number)
        slot.release()

    async def in_task(number: int) -> None:
        slot = await limiter.acquire(awaiting, 1, 60)
        order.append(number)
        assert slot is not None
        slot.release()

    threads = []
    for number in range(6):
        target: Any = in_thread if number % 2 else lambda number=number: asyncio.run(in_task(number))
        thread = threading.Thread(target=target, args=(number,) if number % 2 else ())
        thread.start()
        threads.append(thread)
        until(partial(lambda expected: len(limiter._queue) == expected, number + 1))
    first.release()
    for thread in threads:
        thread.join(60)
    assert order == list(range(6))
    assert limiter.taken() == 0


def test_a_waiter_whose_loop_is_gone_passes_its_slot_on() -> None:
    limiter = Limiter()
    blocking, awaiting = BlockingTransport(Settings()), AsyncTransport(Settings())
    first: Slot = _finish(limiter.acquire(blocking, 1, 60))
    loop = asyncio.new_event_loop()
    waiting: Any = loop.create_task(limiter.acquire(awaiting, 1, 60))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    first.release()
    _finish(limiter.acquire(blocking, 1, 1)).release()
    waiting._log_destroy_pending = False  # it is dropped on purpose
    waiting.get_coro().close()


def test_a_cancelled_waiter_takes_nothing_along() -> None:
    limiter = Limiter()
    awaiting = AsyncTransport(Settings())

    async def main() -> None:
        first = await limiter.acquire(awaiting, 1, 60)
        assert first is not None
        waiting = [asyncio.create_task(limiter.acquire(awaiting, 1, 60)) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        first.release()  # handed to the second while the first is being cancelled
        await asyncio.sleep(0)
        waiting[1].cancel()
        for outcome in await asyncio.gather(*waiting, return_exceptions=True):
            if isinstance(outcome, Slot):
                outcome.release()
        last = await limiter.acquire(awaiting, 1, 1)
        assert last is not None
        last.release()

    asyncio.run(main())
    assert limiter.taken() == 0
    assert not limiter._queue


def test_a_slot_may_come_back_while_the_lock_is_held() -> None:
    limiter = Limiter()
    blocking = BlockingTransport(Settings())
    first: Slot = _finish(limiter.acquire(blocking, 1, 60))
    with limiter._lock:
        first.release()  # as a finalizer in the middle of anything would
    _finish(limiter.acquire(blocking, 1, 1)).release()


def test_a_signal_may_be_set_in_the_middle_of_any_of_its_methods() -> None:
    """As by a finalizer: whoever waits is woken once, and no lock is waited for."""
    woken: list[int] = []

    def wait_and_forget() -> None:
        for number in range(20):
            signal = Signal()
            steps = 0

            def trace(frame: Any, event: str, _: Any, signal: Signal = signal, number: int = number) -> Any:
                nonlocal steps
                if frame.f_code.co_filename == signals.__file__ and frame.f_code.co_name != "set":
                    steps += 1
                    if steps == number:
                        signal.set()
                return trace

            def wake(number: int = number) -> None:
                woken.append(number)

            sys.settrace(trace)
            signal.subscribe(wake)
            signal.unsubscribe(wake)
            sys.settrace(None)
            signal.set()

    thread = threading.Thread(target=wait_and_forget, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert woken
    assert len(woken) == len(set(woken))


def test_an_exception_of_the_first_look_leaves_nobody_in_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor a slot that was given in it, though a traceback is kept."""
    limiter = Limiter()
    look = limiter.look

    def look_and_fail() -> None:
        monkeypatch.undo()
        look()
        raise KeyboardInterrupt

    monkeypatch.setattr(limiter, "look", look_and_fail)
    with pytest.raises(KeyboardInterrupt) as kept:
        try_to_acquire(limiter)
    assert kept.tb is not None
    assert not limiter._queue
    assert limiter.taken() == 0


def test_who_has_a_slot_and_was_not_woken_is_woken_by_the_next_look() -> None:
    """As after an exception of a signal handler between both."""
    limiter = Limiter()
    waiter = _Waiter(1, None)
    waiter.slot = Slot(limiter, None)
    limiter._slots.append(ref(waiter.slot))
    limiter._queue[ref(waiter)] = None
    limiter.look()
    assert waiter.signal.is_set()
    assert not limiter._queue


def test_a_wait_that_takes_longer_than_asked_is_counted_as_long_as_it_took() -> None:
    world = World("async")
    limiter = Limiter()
    held = try_to_acquire(limiter)

    async def wait(signal: Signal, timeout: float | None) -> bool:
        world.time += 4
        return False

    world.wait = wait  # type: ignore[method-assign]
    began = world.time
    assert asyncio.run(limiter.acquire(world, 1, 10)) is None
    assert world.time - began == 12
    assert held is not None


def test_clients_of_different_limits_share_one_counter() -> None:
    limiter = Limiter()
    blocking = BlockingTransport(Settings())
    held = [_finish(limiter.acquire(blocking, 3, 5)) for _ in range(2)]
    assert _finish(limiter.acquire(blocking, 2, 0.01)) is None
    held.append(_finish(limiter.acquire(blocking, 3, 0.01)))
    for slot in held:
        slot.release()
        slot.release()  # twice is once
    assert limiter.taken() == 0


def test_forgotten_streams_give_their_slots_back() -> None:
    world = World("blocking")
    giga = world.client(credentials=key(), max_concurrency=2)
    for _ in range(10):
        world.answers = [Answer(pieces=[FIRST, SECOND])]
        next(giga.stream("x"))
    gc.collect()
    assert giga.chat("x").choices


# Nothing but the references of the callers holds a slot or a place in the queue.


class Waiting:
    """A transport whose waits suspend the coroutine, until it is resumed by hand; time passes in waits only."""

    blocking = False

    def __init__(self) -> None:
        self.pauses: list[float | None] = []
        self.time = 0.0

    def now(self) -> float:
        return self.time

    async def wait(self, signal: Signal, timeout: float | None) -> bool:
        self.pauses.append(timeout)
        self.time += timeout or 0.0
        await asyncio.sleep(0)  # which needs no event loop
        return signal.is_set()


def waiting_for(limiter: Limiter, limit: int = 1, timeout: float = 60) -> Any:
    """A coroutine that waits for a slot."""
    waiting: Any = limiter.acquire(WAITING, limit, timeout)
    waiting.send(None)
    return waiting


def try_to_acquire(limiter: Limiter, limit: int = 1) -> Slot | None:
    """Take a slot if there is one for a new caller at once."""
    return run(limiter.acquire(BlockingTransport(Settings()), limit, 0))


WAITING: Any = Waiting()


def test_a_dropped_slot_is_free() -> None:
    limiter = Limiter()
    slot = try_to_acquire(limiter)
    assert slot is not None
    assert limiter.taken() == 1
    assert try_to_acquire(limiter) is None
    del slot
    assert limiter.taken() == 0
    assert try_to_acquire(limiter) is not None


def test_a_dropped_slot_wakes_who_waits_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limiter_module, "_LOOK_AGAIN", 60.0)
    limiter = Limiter()
    slots = [try_to_acquire(limiter)]
    assert slots[0] is not None
    got: list[Slot | None] = []
    waiter = threading.Thread(target=lambda: got.append(run(limiter.acquire(BlockingTransport(Settings()), 1, 60))))
    waiter.start()
    until(lambda: len(limiter._queue) == 1)
    slots.clear()
    waiter.join(5)
    assert not waiter.is_alive()
    assert got[0] is not None


@pytest.mark.parametrize("how", ["dropped", "released"])
def test_a_slot_whose_end_nobody_was_told_of_is_found_by_the_next_caller(how: str) -> None:
    limiter = Limiter()
    slot = try_to_acquire(limiter)
    assert slot is not None
    if how == "dropped":
        limiter._changing = True  # its finalizer runs while the limiter is being changed, and leaves
        del slot
        limiter._changing = False
    else:
        slot.released = True  # an exception of a signal handler came right behind it
    assert limiter.taken() == 0
    assert try_to_acquire(limiter) is not None


@pytest.mark.parametrize("how", ["dropped", "released"])
def test_a_slot_whose_end_nobody_was_told_of_is_found_by_who_waits_already(how: str) -> None:
    limiter = Limiter()
    slot = try_to_acquire(limiter)
    assert slot is not None
    waiting = waiting_for(limiter)
    if how == "dropped":
        limiter._changing = True
        del slot
        limiter._changing = False
    else:
        slot.released = True
    assert _finish(waiting) is not None


def test_who_waits_looks_once_a_second_and_no_longer_than_told() -> None:
    limiter = Limiter()
    slot = try_to_acquire(limiter)
    transport: Any = Waiting()
    waiting = limiter.acquire(transport, 1, 2.5)
    for _ in range(3):
        waiting.send(None)
    assert _finish(waiting) is None
    assert transport.pauses == [1.0, 1.0, 0.5]
    assert not limiter._queue
    assert slot is not None
    slot.release()
    assert try_to_acquire(limiter) is not None


def test_a_dropped_waiter_leaves_the_queue() -> None:
    limiter = Limiter()
    slot = try_to_acquire(limiter)
    waiting = [waiting_for(limiter), waiting_for(limiter)]
    del waiting[0]
    assert slot is not None
    slot.release()
    assert _finish(waiting[0]) is not None


def test_a_waiter_dropped_with_its_slot_gives_it_back() -> None:
    limiter = Limiter()
    slot = try_to_acquire(limiter)
    assert slot is not None
    waiting = waiting_for(limiter)
    slot.release()
    assert limiter.taken() == 1  # it has one, and does not know yet
    del waiting
    assert limiter.taken() == 0
    assert try_to_acquire(limiter) is not None


def test_a_waiter_that_is_no_longer_there_is_passed_over() -> None:
    limiter = Limiter()
    slot = try_to_acquire(limiter)
    assert slot is not None
    gone = limiter_module._Waiter(1, None)
    limiter._queue[ref(gone)] = None  # an exception of a signal handler came right behind it
    del gone
    waiting = waiting_for(limiter)
    slot.release()
    assert _finish(waiting) is not None
    assert not limiter._queue


@pytest.mark.parametrize("served", [False, True])
def test_a_traceback_that_is_kept_keeps_no_slot(served: bool) -> None:
    limiter = Limiter()
    slot = try_to_acquire(limiter)
    assert slot is not None
    waiting = waiting_for(limiter)
    if served:
        slot.release()
    with pytest.raises(KeyboardInterrupt) as kept:
        waiting.throw(KeyboardInterrupt)
    assert kept.tb is not None
    assert not limiter._queue
    slot.release()
    assert try_to_acquire(limiter) is not None


def test_nobody_overtakes_who_waits() -> None:
    limiter = Limiter()
    held = [try_to_acquire(limiter, 3), try_to_acquire(limiter, 3)]
    waiting = [waiting_for(limiter, 2), waiting_for(limiter, 3), waiting_for(limiter, 2)]
    assert try_to_acquire(limiter, 3) is None  # there is room, but the first in the queue has less
    assert held[0] is not None
    held[0].release()
    slots = [_finish(waiting[0]), _finish(waiting[1])]
    assert limiter.taken() == 3
    slots[0].release()
    with pytest.raises(AssertionError, match="it suspended"):
        _finish(waiting[2])
    slots[1].release()
    assert _finish(waiting[2]) is not None
    assert held[1] is not None


def test_who_leaves_the_queue_lets_the_next_pass() -> None:
    limiter = Limiter()
    held = try_to_acquire(limiter, 2)
    waiting = [waiting_for(limiter, 1), waiting_for(limiter, 2)]
    assert limiter.taken() == 1
    del waiting[0]
    assert _finish(waiting[0]) is not None
    assert held is not None


def test_slots_of_a_closed_loop_go_to_the_next_in_the_queue() -> None:
    limiter = Limiter()
    slot = try_to_acquire(limiter)
    assert slot is not None
    loop = asyncio.new_event_loop()
    gone = [loop.create_task(limiter.acquire(AsyncTransport(Settings()), 1, 60)) for _ in range(3)]
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    waiting = waiting_for(limiter)
    slot.release()
    assert _finish(waiting) is not None
    assert not limiter._queue
    for task in gone:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        coroutine: Any = task.get_coro()
        coroutine.close()


def test_a_child_process_begins_with_all_slots_free() -> None:
    limiter = Limiter()
    slot = try_to_acquire(limiter)
    waiting = waiting_for(limiter)
    limiter.reset()
    assert limiter.taken() == 0
    assert try_to_acquire(limiter) is not None
    assert slot is not None
    slot.release()  # the parent's: of no effect
    assert limiter.taken() == 0
    waiting.close()


def test_a_call_that_is_dropped_frees_its_slot() -> None:
    world = World("async")
    giga = world.client(credentials=key(), max_concurrency=1)
    limiter = giga._service.limiter
    assert limiter is not None
    for begin in (lambda: giga.achat("x"), giga.aget_models):
        call: Any = begin()
        call.send(None)
        assert limiter.taken() == 1
        del call
        assert limiter.taken() == 0


def _finish(coroutine: Any) -> Any:
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it suspended")
