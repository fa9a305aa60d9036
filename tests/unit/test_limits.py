"""At most so many requests at once per credential: threads and tasks together, first come first served."""

from __future__ import annotations

import asyncio
import base64
import gc
import threading
import uuid
from typing import Any

import pytest

from gigachat import APITimeoutError
from gigachat._engine.limits import Limiter, Permit
from gigachat._transport.httpx import AsyncPort, BlockingPort
from gigachat.settings import Settings
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
    giga._engine.blocking, giga._engine.awaiting = world, world
    world.answers = [Answer(pieces=[FIRST, SECOND, LAST])]
    port = BlockingPort(Settings())
    waiting = {"blocking": port.wait, "async": AsyncPort(Settings()).wait}[world.colour]
    world.wait = waiting  # type: ignore[method-assign]
    if world.colour == "blocking":
        stream = giga.stream("x")
        next(stream)
        with pytest.raises(APITimeoutError, match="itself holds an open stream"):
            giga.chat("x")
        stream.close()
        assert giga.chat("x").choices
        return

    async def main() -> None:
        stream = giga.astream("x")
        await anext(stream)
        with pytest.raises(APITimeoutError, match="itself holds an open stream"):
            await giga.achat("x")
        with pytest.raises(APITimeoutError, match="other requests"):
            await asyncio.create_task(giga.achat("x"))
        await stream.close()
        assert (await giga.achat("x")).choices

    asyncio.run(main())


def test_first_come_first_served_among_threads_and_tasks() -> None:
    limiter = Limiter()
    blocking, awaiting = BlockingPort(Settings()), AsyncPort(Settings())
    order: list[int] = []
    first: Permit = _finish(limiter.acquire(blocking, 1, 60))

    def in_thread(number: int) -> None:
        permit = _finish(limiter.acquire(blocking, 1, 60))
        order.append(number)
        permit.release()

    async def in_task(number: int) -> None:
        permit = await limiter.acquire(awaiting, 1, 60)
        order.append(number)
        permit.release()

    threads = []
    for number in range(6):
        target: Any = in_thread if number % 2 else lambda number=number: asyncio.run(in_task(number))
        thread = threading.Thread(target=target, args=(number,) if number % 2 else ())
        thread.start()
        threads.append(thread)
        _until(lambda expected=number + 1: len(limiter._queue) == expected)
    first.release()
    for thread in threads:
        thread.join(60)
    assert order == list(range(6))
    assert not limiter._held


def test_a_waiter_whose_loop_is_gone_passes_its_permit_on() -> None:
    limiter = Limiter()
    blocking, awaiting = BlockingPort(Settings()), AsyncPort(Settings())
    first: Permit = _finish(limiter.acquire(blocking, 1, 60))
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
    awaiting = AsyncPort(Settings())

    async def main() -> None:
        first = await limiter.acquire(awaiting, 1, 60)
        waiting = [asyncio.create_task(limiter.acquire(awaiting, 1, 60)) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        first.release()  # handed to the second while the first is being cancelled
        await asyncio.sleep(0)
        waiting[1].cancel()
        for outcome in await asyncio.gather(*waiting, return_exceptions=True):
            if isinstance(outcome, Permit):
                outcome.release()
        (await limiter.acquire(awaiting, 1, 1)).release()

    asyncio.run(main())
    assert not limiter._held
    assert not limiter._queue


def test_a_permit_may_come_back_while_the_lock_is_held() -> None:
    limiter = Limiter()
    blocking = BlockingPort(Settings())
    first: Permit = _finish(limiter.acquire(blocking, 1, 60))
    with limiter._lock:
        first.release()  # as a finalizer in the middle of anything would
    _finish(limiter.acquire(blocking, 1, 1)).release()


def test_clients_of_different_limits_share_one_counter() -> None:
    limiter = Limiter()
    blocking = BlockingPort(Settings())
    held = [_finish(limiter.acquire(blocking, 3, 5)) for _ in range(2)]
    with pytest.raises(APITimeoutError, match="max_concurrency=2"):
        _finish(limiter.acquire(blocking, 2, 0.01))
    held.append(_finish(limiter.acquire(blocking, 3, 0.01)))
    for permit in held:
        permit.release()
        permit.release()  # twice is once
    assert not limiter._held


def test_forgotten_streams_give_their_slots_back() -> None:
    world = World("blocking")
    giga = world.client(credentials=key(), max_concurrency=2)
    for _ in range(10):
        world.answers = [Answer(pieces=[FIRST, SECOND])]
        next(giga.stream("x"))
    gc.collect()
    assert giga.chat("x").choices


def _finish(coroutine: Any) -> Any:
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it suspended")


def _until(condition: Any) -> None:
    deadline = threading.Event()
    for _ in range(20000):
        if condition():
            return
        deadline.wait(0.001)
    raise AssertionError("it did not come true")
