"""Vectors of many texts, the catalogue and estimates over the local server, in all three modes; and the example."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gigachat import RequestEntityTooLargeError, catalogue
from gigachat.server import GigaChatServer
from tests.support.callers import MODES, Caller, Mode, options
from tests.support.fixtures import each_of
from tests.support.programs import environment

EXAMPLE = Path(__file__).parents[2] / "examples" / "rag_folder.py"
TEXTS = [f"Текст номер {number}" for number in range(205)]


mode = each_of(MODES)


@pytest.fixture
def caller(mode: Mode, server: GigaChatServer) -> Iterator[Caller]:
    with Caller(mode, options(server)) as calling:
        yield calling
        assert calling.noise == []


def test_the_vectors_are_those_of_single_requests(server: GigaChatServer, caller: Caller) -> None:
    told: list[Any] = []
    vectors = caller.do("embed", iter(TEXTS), concurrency=3, progress=lambda *counts: told.append(counts))
    assert vectors.shape == (205, 1024)
    assert sorted(len(json.loads(request.body)["input"]) for request in server.requests_to("/embeddings")) == [
        25,
        90,
        90,
    ]
    assert told[-1] == (205, None)
    for index in (0, 89, 90, 204):
        single = caller.do("embeddings", TEXTS[index]).data[0].embedding
        assert vectors[index].tolist() == single  # half precision is exact as float32
    assert caller.do("embed", TEXTS[:2], "EmbeddingsGigaR").shape == (2, 2560)
    slices = caller.read(TEXTS, method="embed_slices", batch_size=50, concurrency=2)
    assert [len(one) for one in slices] == [50, 50, 50, 50, 5]
    assert np.array_equal(np.concatenate(slices), vectors)


def test_a_text_that_is_too_long_is_named(server: GigaChatServer, caller: Caller) -> None:
    texts = [*TEXTS[:100], "слово " * 600, *TEXTS[100:]]
    with pytest.raises(RequestEntityTooLargeError, match=r"^text 100: 413 .*Tokens limit exceeded"):
        caller.do("embed", texts)
    with pytest.raises(RequestEntityTooLargeError, match="text 100: "):
        caller.read(texts, method="embed_slices")


def test_a_failed_slice_is_retried(server: GigaChatServer, caller: Caller) -> None:
    server.fail(503, path="/embeddings", headers={"Retry-After": "0"})
    assert caller.do("embed", TEXTS[:100], concurrency=2).shape == (100, 1024)
    assert len(server.requests_to("/embeddings")) == 3


def test_slots_bound_the_slices(mode: Mode, server: GigaChatServer) -> None:
    with Caller(mode, options(server), max_concurrency=1) as caller:
        assert caller.do("embed", TEXTS, batch_size=20, concurrency=4).shape == (205, 1024)


def test_the_catalogue_knows_the_served_models(caller: Caller) -> None:
    models = caller.do("models_info")
    listed = [model.name for model in models if model.listed]
    assert listed == [model.id_ for model in caller.do("get_models").data]
    assert {model.name for model in models} == set(catalogue.MODELS)
    assert models[0].window == catalogue.window("GigaChat")


def test_completions_calibrate_estimates(caller: Caller) -> None:
    messages = [{"role": "user", "content": "Расскажи длинную сказку о репке. " * 20}]
    completion = caller.chat(messages)
    true = completion.usage.prompt_tokens + completion.usage.precached_prompt_tokens
    before = caller.giga.estimate_tokens(messages)
    assert abs(before.tokens - true) < before.error * true
    for _ in range(20):
        caller.giga.calibrate_tokens(completion, messages)
    after = caller.giga.estimate_tokens(messages)
    assert abs(after.tokens - true) <= abs(before.tokens - true)
    assert after.error < before.error


def test_the_example_answers_from_the_right_text(server: GigaChatServer, tmp_path: Path) -> None:
    (tmp_path / "pskov.txt").write_text("Псков основан в 903 году.\n\nКремль Пскова называется Кром.", "utf-8")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "bread.md").write_text("Хлеб пекут из муки.\n\n\n\nТесто поднимается час.", "utf-8")
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), str(tmp_path), "В каком году основан Псков?"],
        env={"PYTHONUTF8": "1", **environment(server)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.split() == ["4", "of", "4"]
    prompt = json.loads(server.requests_to("/chat/completions")[0].body)["messages"][0]["content"]
    assert prompt.split("\n\n")[1] == "pskov.txt: Псков основан в 903 году."
    assert prompt.count(".txt: ") + prompt.count(".md: ") == 3
    assert done.stdout.strip()
    assert len(EXAMPLE.read_text("utf-8").splitlines()) < 40
