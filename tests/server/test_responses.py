"""Responses of the local server when the caller disconnects before their end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from gigachat.server.wire.responses import unless_disconnected


@pytest.mark.parametrize("turns", range(8))
def test_a_caller_who_leaves_as_the_work_ends_leaves_no_noise(turns: int) -> None:
    async def scene() -> list[dict[str, Any]]:
        noise: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: noise.append(context))
        left = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await left.wait()
            return {"type": "http.disconnect"}

        async def work() -> str:
            await asyncio.sleep(0.001)
            left.set()
            for _ in range(turns):
                await asyncio.sleep(0)
            return "done"

        try:
            assert await unless_disconnected(receive, work()) == "done"
        except ClientDisconnect:
            assert turns > 0
        await asyncio.sleep(0.001)
        return noise

    assert asyncio.run(scene()) == []


def test_the_work_is_cancelled_when_its_caller_leaves() -> None:
    cancelled = False

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0.001)
        return {"type": "http.disconnect"}

    async def work() -> None:
        nonlocal cancelled
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled = True
            raise

    with pytest.raises(ClientDisconnect):
        asyncio.run(unless_disconnected(receive, work()))
    assert cancelled
