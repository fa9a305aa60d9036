"""Vectors of many texts: slices, halves, order, failures, progress, memory."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import numpy as np
import pytest

from gigachat import GigaChat
from gigachat._engine.transport import Request
from gigachat.exceptions import APIResponseValidationError, RequestEntityTooLargeError, ServerError
from tests.unit.world import Answer, World, error

WIDTH = 4
TOO_LONG = "long"
TOO_LARGE = error(413, "Tokens limit exceeded")


def number_of(text: str) -> float:
    return float(text.rpartition(" ")[2])


def vectors_of(texts: list[str]) -> Answer:
    """Answer with vectors that tell the texts apart, in no order."""
    data = [
        {"object": "embedding", "index": index, "embedding": [number_of(text)] * WIDTH, "usage": {"prompt_tokens": 1}}
        for index, text in enumerate(texts)
    ]
    return Answer({"object": "list", "data": data[::-1], "model": "Embeddings"})


def texts_of(request: Request) -> list[str]:
    texts: list[str] = json.loads(request.content or b"")["input"]
    return texts


def embedder(request: Request) -> Answer:
    texts = texts_of(request)
    return TOO_LARGE if any(text.startswith(TOO_LONG) for text in texts) else vectors_of(texts)


def serve(world: World, answer: Callable[[Request], Answer] = embedder) -> None:
    world.answers.extend([answer] * 200)


def sizes(world: World) -> list[int]:
    return [len(texts_of(request)) for request in world.api_requests]


def numbered(count: int) -> list[str]:
    return [f"text {index}" for index in range(count)]


def client(world: World, **options: Any) -> GigaChat:
    """Return a client that signs in nowhere: blocking requests side by side would wait for it."""
    return world.client(access_token="token", max_retries=0, **options)


def embed(world: World, *arguments: Any, **options: Any) -> Any:
    return world.do(client(world), "embed", *arguments, **options)


def embed_slices(world: World, *arguments: Any, **options: Any) -> list[Any]:
    return world.read(client(world), *arguments, method="embed_slices", **options)


EITHER = pytest.mark.parametrize("method", [embed, embed_slices], ids=["embed", "embed_slices"])


def check(vectors: Any, count: int) -> None:
    assert vectors.dtype == np.float32
    assert vectors.shape == (count, WIDTH)
    assert vectors[:, 0].tolist() == vectors[:, -1].tolist() == [float(index) for index in range(count)]


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("source", [list, iter, tuple])
def test_texts_of_any_iterable_become_rows_in_their_order(world: World, source: Any, concurrency: int) -> None:
    serve(world)
    vectors = embed(world, source(numbered(37)), batch_size=5, concurrency=concurrency)
    check(vectors, 37)
    assert sorted(sizes(world)) == [2, 5, 5, 5, 5, 5, 5, 5]
    vectors[0] = 1  # it may be written to


def test_slices_hold_ninety_texts_or_tokens_of_ninety(world: World) -> None:
    serve(world)
    embed(world, numbered(200))
    assert sizes(world) == [90, 90, 20]
    world.requests.clear()
    embed(world, [f"{'слово ' * 2500}{index}" for index in range(20)])
    assert sizes(world) == [9, 9, 2]


def test_the_model_is_the_one_asked_for(world: World) -> None:
    serve(world)
    embed(world, ["text 0"])
    embed(world, ["text 0"], "EmbeddingsGigaR")
    assert [json.loads(request.content or b"")["model"] for request in world.api_requests] == [
        "Embeddings",
        "EmbeddingsGigaR",
    ]


def test_one_text_is_one_text(world: World) -> None:
    serve(world)
    assert embed(world, "text 7").tolist() == [[7.0] * WIDTH]


@pytest.mark.parametrize(("model", "width"), [(None, 1024), ("EmbeddingsGigaR", 2560), ("New", 0)])
def test_no_texts_are_no_rows(world: World, model: str | None, width: int) -> None:
    vectors = embed(world, iter(()), model)
    assert vectors.shape == (0, width)
    assert vectors.dtype == np.float32
    assert world.requests == []


@pytest.mark.parametrize("texts", [numbered(7), []])
def test_lists_without_numpy(world: World, monkeypatch: pytest.MonkeyPatch, texts: list[str]) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    serve(world)
    rows = [[number_of(text)] * WIDTH for text in texts]
    assert embed(world, texts, batch_size=3) == rows
    assert embed_slices(world, texts, batch_size=3) == [rows[start : start + 3] for start in range(0, len(rows), 3)]


# Slices that are too large.


@pytest.mark.parametrize("limit", [1, 3, 4])
@pytest.mark.parametrize("concurrency", [1, 2])
def test_a_slice_that_is_too_large_is_sent_in_halves(world: World, limit: int, concurrency: int) -> None:
    def answer(request: Request) -> Answer:
        texts = texts_of(request)
        return vectors_of(texts) if len(texts) <= limit else TOO_LARGE

    serve(world, answer)
    check(embed(world, numbered(16), batch_size=8, concurrency=concurrency), 16)


def test_a_text_that_is_too_long_is_named(world: World) -> None:
    serve(world)
    texts = [*numbered(11), f"{TOO_LONG} 11", *numbered(4)]
    with pytest.raises(RequestEntityTooLargeError, match=r"^text 11: 413 .*Tokens limit exceeded.*Split") as caught:
        embed(world, texts, batch_size=4)
    assert caught.value.text_index == 11
    assert sizes(world) == [4, 4, 4, 2, 2, 1, 1]


# Failures.


def failing(request: Request) -> Answer:
    return error(500) if "text 4" in texts_of(request) else vectors_of(texts_of(request))


@pytest.mark.parametrize("concurrency", [1, 2])
def test_the_first_failure_stops_further_slices(world: World, concurrency: int) -> None:
    serve(world, failing)
    with pytest.raises(ServerError):
        embed(world, numbered(40), batch_size=2, concurrency=concurrency)
    assert 3 <= len(world.api_requests) <= 2 + concurrency


def test_a_failure_stops_the_halves_of_another_slice() -> None:
    world = World("blocking")
    failed = threading.Event()

    def answer(request: Request) -> Answer:
        if "text 8" in texts_of(request):
            failed.set()
            return error(500)
        assert failed.wait(10)
        return TOO_LARGE

    serve(world, answer)
    with pytest.raises(ServerError):
        embed(world, numbered(16), batch_size=8, concurrency=2)
    assert len(world.api_requests) <= 3


async def read_later() -> AsyncIterator[str]:
    yield "text"


def broken() -> Iterator[str]:
    yield from numbered(5)
    raise LookupError("no more")


@EITHER
def test_an_exception_of_the_iterable_is_raised(world: World, method: Callable[..., Any]) -> None:
    serve(world)
    with pytest.raises(LookupError, match="no more"):
        method(world, broken(), batch_size=2)


@pytest.mark.parametrize(
    ("texts", "options", "kind", "message"),
    [
        (5, {}, TypeError, "texts are str or an iterable of str, not int"),
        (["a", 5], {}, TypeError, "text 1 must be str, not int"),
        (b"text", {}, TypeError, "texts are str or an iterable of str, not bytes"),
        ({"text": 1}, {}, TypeError, "texts are str or an iterable of str, not dict"),
        (read_later(), {}, TypeError, "texts must be an iterable that is not async: collect it"),
        (["a"], {"batch_size": 0}, ValueError, "batch_size must be 1 or more"),
        (["a"], {"batch_size": 1.5}, TypeError, "batch_size must be a whole number, not float"),
        (["a"], {"batch_size": True}, TypeError, "batch_size must be a whole number, not bool"),
        (["a"], {"concurrency": 0}, ValueError, "concurrency must be 1 or more"),
        (["a"], {"concurrency": "2"}, TypeError, "concurrency must be a whole number, not str"),
    ],
)
@EITHER
def test_what_is_invalid_is_refused_before_a_request(
    world: World,
    method: Callable[..., Any],
    texts: Any,
    options: dict[str, Any],
    kind: type[Exception],
    message: str,
) -> None:
    with pytest.raises(kind, match=message):
        method(world, texts, **options)
    assert world.requests == []


class ToldLater:
    """A callable object whose calls would have to be awaited."""

    async def __call__(self, done: int, total: int | None) -> None:
        """Do nothing."""


@pytest.mark.parametrize(
    ("progress", "message"),
    [
        (3, "progress must be a function, not int"),
        (ToldLater(), "progress must not be a coroutine function"),
        (ToldLater().__call__, "progress must not be a coroutine function"),
    ],
)
def test_progress_that_cannot_be_told_is_refused_before_a_request(world: World, progress: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        embed(world, ["a"], progress=progress)
    assert world.requests == []


@pytest.mark.parametrize("texts", [b"text", {"text": 1}, read_later()])
@pytest.mark.parametrize("method", ["embeddings", "tokens_count"])
def test_what_is_no_list_of_texts_is_refused(world: World, method: str, texts: Any) -> None:
    with pytest.raises(TypeError, match=r"^texts (are|must be) "):
        world.do(client(world), method, texts)
    assert world.requests == []


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        ([[1.0]], "the response has 1 vectors for 2 texts"),
        ([[1.0], [1.0, 2.0]], "the vectors of the responses have different lengths"),
    ],
)
def test_a_response_that_does_not_fit_is_refused(world: World, vectors: list[list[float]], message: str) -> None:
    data = [{"index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    world.answers.append(Answer({"data": data}))
    with pytest.raises(APIResponseValidationError, match=message):
        embed(world, numbered(2))


def test_without_indexes_the_order_is_that_of_the_response(world: World) -> None:
    world.answers.append(Answer({"data": [{"embedding": [2.0]}, {"embedding": [1.0]}]}))
    assert embed(world, numbered(2)).tolist() == [[2.0], [1.0]]


# Requests in progress, and progress.


@pytest.mark.parametrize(("options", "most"), [({}, 1), ({"max_concurrency": 2}, 2)])
def test_the_client_says_how_many_requests_are_in_progress(options: dict[str, Any], most: int) -> None:
    world = World("blocking")
    together = threading.Barrier(most)

    def answer(request: Request) -> Answer:
        together.wait(10)
        return embedder(request)

    serve(world, answer)
    client(world, **options).embed(numbered(8), batch_size=1)
    assert len(world.api_requests) == 8


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("known", [True, False])
def test_progress(world: World, concurrency: int, known: bool) -> None:
    serve(world)
    told: list[tuple[int, int | None]] = []
    texts = numbered(25) if known else iter(numbered(25))
    embed(world, texts, batch_size=10, concurrency=concurrency, progress=lambda *counts: told.append(counts))
    assert len(told) == 3
    assert [total for _, total in told] == [25 if known else None] * 3
    done = [done for done, _ in told]
    assert done == sorted(done)
    assert done[-1] == 25


def test_texts_are_taken_as_they_are_needed(world: World) -> None:
    taken: list[int] = []

    def texts() -> Iterator[str]:
        for index in range(1000):
            taken.append(index)
            yield f"text {index}"

    serve(world, failing)
    with pytest.raises(ServerError):
        embed(world, texts(), batch_size=2, concurrency=2)
    assert len(taken) < 20


@pytest.mark.parametrize("concurrency", [1, 3])
def test_texts_are_taken_in_the_callers_thread(world: World, concurrency: int) -> None:
    threads: list[threading.Thread] = []

    def of_this_thread() -> Iterator[str]:
        for text in numbered(9):
            threads.append(threading.current_thread())
            yield text

    serve(world)
    embed(world, of_this_thread(), batch_size=2, concurrency=concurrency)
    assert set(threads) == {threading.current_thread()}


# Slices as an iterator.


@pytest.mark.parametrize("concurrency", [1, 2, 3])
def test_slices_come_in_the_order_of_the_texts(world: World, concurrency: int) -> None:
    serve(world)
    slices = embed_slices(world, iter(numbered(25)), batch_size=5, concurrency=concurrency)
    assert [vectors.shape for vectors in slices] == [(5, WIDTH)] * 5
    check(np.concatenate(slices), 25)


def test_slices_are_sent_when_they_are_read(world: World) -> None:
    serve(world, failing)
    slices = world.method(client(world), "embed_slices")(numbered(20), batch_size=2)
    assert world.requests == []

    async def read() -> None:
        for start in (0, 2):
            vectors = await anext(slices) if world.mode == "async" else next(slices)
            assert vectors[:, 0].tolist() == [start, start + 1]
            assert len(world.api_requests) == 1 + start // 2
        with pytest.raises(ServerError):
            await anext(slices) if world.mode == "async" else next(slices)
        # After an exception it is at its end.
        assert (await anext(slices, None) if world.mode == "async" else next(slices, None)) is None
        assert len(world.api_requests) == 3

    asyncio.run(read())


# Memory.


@pytest.mark.parametrize("known", [True, False], ids=["list", "generator"])
def test_memory_is_little_more_than_the_result(known: bool) -> None:
    """The peak is that of allocations: pages that `realloc` moves are not counted twice."""
    count, width, size = 2000, 1024, 20
    world = World("blocking")
    item = {"object": "embedding", "index": 0, "embedding": [0.5] * width}
    body = Answer({"data": [item] * size})
    serve(world, lambda _: body)
    giga = client(world)
    giga.embed(["text"] * size)  # loads what is loaded once
    texts = ["text"] * count
    tracemalloc.start()
    try:
        vectors = giga.embed(texts if known else iter(texts), batch_size=size, concurrency=2)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert vectors.shape == (count, width)
    assert vectors.nbytes < peak <= 1.5 * vectors.nbytes
