"""`bulk.ray` on a real Ray of several worker processes, one of which is killed."""
# mypy: disable-error-code="import-not-found,import-untyped"
# pyright: reportMissingImports=false

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import ray
import ray.data
from pydantic import BaseModel

from gigachat import bulk
from gigachat.server import GigaChatServer
from tests.docs.pages import python_blocks
from tests.support.waiting import begun, until

CONCURRENCY = 2


@pytest.fixture(scope="session")
def running() -> Iterator[GigaChatServer]:
    """A server, and Ray, whose workers have its key in their environment."""
    with GigaChatServer() as running, pytest.MonkeyPatch.context() as patch:
        for name, value in running.environment.items():
            patch.setenv(name, value)
        ray.init(num_cpus=4, include_dashboard=False, _node_ip_address="127.0.0.1", log_to_driver=False)
        ray.data.DataContext.get_current().enable_progress_bars = False
        yield running
        ray.shutdown()


@pytest.fixture
def server(running: GigaChatServer) -> GigaChatServer:
    running.reset()
    return running


def asked(server: GigaChatServer) -> Counter[str]:
    """Return how often each row was asked."""
    return Counter(json.loads(request.body)["messages"][-1]["content"] for request in server.requests_to("completions"))


def prompts(folder: Path) -> Callable[[dict[str, Any]], str]:
    """Return a prompt that notes the process that asks for each row."""

    def prompt(row: dict[str, Any]) -> str:
        (folder / str(os.getpid())).touch()
        return f"Row {row['id']}."

    return prompt


def test_a_killed_worker_loses_no_row_and_pays_only_what_was_in_progress_twice(
    server: GigaChatServer, tmp_path: Path
) -> None:
    server.reply("Yes.", always=True, after=0.1)
    workers = tmp_path / "workers"
    workers.mkdir()
    answered = bulk.ray(
        ray.data.from_items([{"id": number} for number in range(300)], override_num_blocks=12),
        workers=3,
        batch_size=25,
        prompt=prompts(workers),
        cache=tmp_path / "cache",
        concurrency=CONCURRENCY,
        max_tokens=10,
        budget=bulk.Budget(tokens=100_000),
    )

    def kill() -> None:
        until(lambda: len(asked(server)) > 40 and len(list(workers.iterdir())) > 1)
        os.kill(int(next(workers.iterdir()).name), signal.SIGKILL)

    killer = begun(kill)
    rows = answered.take_all()
    killer.join()
    assert sorted(row["id"] for row in rows) == list(range(300))
    assert {(row["result"], row["error"]) for row in rows} == {("Yes.", None)}
    assert len(list(workers.iterdir())) > 2
    counts = asked(server)
    assert len(counts) == 300
    assert 0 <= counts.total() - 300 <= CONCURRENCY


def test_a_budget_is_that_of_all_workers(server: GigaChatServer) -> None:
    server.reply("Yes.", always=True)
    answered = bulk.ray(
        ray.data.from_items([{"id": number} for number in range(40)], override_num_blocks=4),
        workers=2,
        batch_size=5,
        client=server.client_options,
        prompt="Row {id}.",
        max_tokens=100,
        budget=bulk.Budget(tokens=400),
    ).materialize()
    rows = answered.take_all()
    paid = [row for row in rows if row["error"] is None]
    assert sorted(row["id"] for row in rows) == list(range(40))
    assert {row["error"] for row in rows if row["error"]} == {"the budget is spent"}
    spent = sum(row["input_tokens"] + row["output_tokens"] for row in paid)
    assert 0 < spent <= 400
    assert len(asked(server)) == len(paid)
    types = dict(zip(answered.schema().names, answered.schema().types, strict=True))
    assert types["result"] == pa.string()
    assert types["input_tokens"] == pa.int64()


class Review(BaseModel):
    tone: str
    why: str | None = None


def test_values_of_a_type_and_refusals_are_written(server: GigaChatServer, tmp_path: Path) -> None:
    server.reply('{"tone": "good"}', when="Row 1.", always=True)
    server.reply('{"tone": "bad", "why": "slow"}', when="Row 2.", always=True)
    server.fail(400, "no", path="/chat/completions")
    rows = ray.data.from_items([{"id": number} for number in range(3)], override_num_blocks=3)
    answered = bulk.ray(rows, workers=1, batch_size=1, prompt="Row {id}.", into=Review)
    answered.write_parquet(str(tmp_path))
    written = ray.data.read_parquet(str(tmp_path)).take_all()
    assert sum(row["error"] is not None and row["result"] is None for row in written) == 1
    values = [row["result"] for row in written if row["id"] and row["result"]]
    assert all(value in ({"tone": "good", "why": None}, {"tone": "bad", "why": "slow"}) for value in values)


def test_the_recipe(server: GigaChatServer, tmp_path: Path) -> None:
    (block,) = python_blocks("docs/recipes/ray.md")
    program = block.text
    for name in ("/var/tmp/", "reviews.csv", "answers"):
        assert f'"{name}' in program
        program = program.replace(f'"{name}', f'"{tmp_path}/{name.removeprefix("/var/tmp/")}')
    lines = ["id,text", *(f"{number},Отзыв {number}." for number in range(40))]
    (tmp_path / "reviews.csv").write_text("\n".join(lines) + "\n", "utf-8")
    server.reply("хороший", always=True)
    exec(program, {})
    rows = ray.data.read_parquet(str(tmp_path / "answers")).take_all()
    assert sorted(row["id"] for row in rows) == list(range(40))
    assert {(row["result"], row["error"]) for row in rows} == {("хороший", None)}
    assert (tmp_path / "reviews.sqlite").exists()


@pytest.mark.usefixtures("running")
def test_invalid_arguments_are_refused_before_anything_runs() -> None:
    dataset = ray.data.from_items([{"text": "Да."}])
    with pytest.raises(ValueError, match="workers is a whole number of 1 or more"):
        bulk.ray(dataset, workers=0)
    with pytest.raises(ValueError, match="task is one of chat, embed, tokens"):
        bulk.ray(dataset, task="speak")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="backend='batch' needs no workers"):
        bulk.ray(dataset, backend="batch")
    with pytest.raises(TypeError, match=r"dataset is a ray\.data\.Dataset, not list"):
        bulk.ray([{"text": "Да."}])
