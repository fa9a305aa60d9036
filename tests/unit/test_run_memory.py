"""A long run holds the memory of its transcript, and nothing else."""

from __future__ import annotations

import gc
import json
import logging
import tracemalloc
from collections import deque
from itertools import pairwise
from typing import Any

import pytest

from gigachat import models, tool
from gigachat._engine.transport import Request
from tests.unit.world import COMPLETION, Answer, World

STEPS, QUARTER = 2000, 500


def calling(number: int) -> dict[str, Any]:
    """Return the body of an answer that calls the tool."""
    call = {"name": "read", "arguments": {"page": number}}
    message = {"role": "assistant", "content": "", "function_call": call, "functions_state_id": f"state {number}"}
    return {**COMPLETION, "choices": [{"index": 0, "message": message, "finish_reason": "function_call"}]}


def text_of(page: int) -> str:
    return f"The text of page {page}."


def traced() -> int:
    """Return the bytes that are held."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def transcript(pages: int) -> list[Any]:
    """Return what a run keeps: answers and results."""
    answers = [models.ChatCompletion.model_validate_json(json.dumps(calling(page))) for page in range(pages)]
    results = [
        models.Messages(role=models.MessagesRole.FUNCTION, content=json.dumps(text_of(page))) for page in range(pages)
    ]
    return [answers, results]


@pytest.mark.slow
def test_a_long_run_holds_the_memory_of_its_transcript_only(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "gigachat")  # pytest keeps the records of a test
    world = World("blocking")
    last_request: Any = deque(maxlen=1)
    world.requests = last_request
    held: list[int] = []
    pages = iter(range(1, STEPS + 1))

    def answer(request: Request) -> Answer:
        page = next(pages, None)
        return Answer(COMPLETION if page is None else calling(page))

    @tool
    def read(page: int) -> str:
        if page % QUARTER == 0:
            held.append(traced())
        return text_of(page)

    giga = world.client()
    giga.chat_run("Read the book.", tools=[read])  # builds what is built once
    world.answers = [answer] * (STEPS + 1)
    tracemalloc.start()
    try:
        before = traced()
        kept = transcript(QUARTER)
        of_transcript = traced() - before
        del kept
        result = giga.chat_run("Read the book.", tools=[read], max_steps=STEPS + 1)
        whole = traced() - before
        assert (result.stop, len(result.steps), len(result.messages)) == ("answer", STEPS, 2 + 2 * STEPS)
        del result
        left = traced() - before
    finally:
        tracemalloc.stop()
    growth = [after - earlier for earlier, after in pairwise(held)]
    assert max(growth) < 1.1 * min(growth)
    assert max(growth) < 1.5 * of_transcript
    assert left < 0.1 * whole
