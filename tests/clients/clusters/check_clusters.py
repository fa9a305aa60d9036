"""The recipes for Spark and Dask, run as printed by several worker processes against the local server."""
# mypy: disable-error-code="import-not-found,import-untyped"
# pyright: reportMissingImports=false

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from gigachat.server import GigaChatServer
from tests.docs.pages import python_blocks
from tests.support.programs import environment


def check(page: str, server: GigaChatServer, folder: Path) -> None:
    """Run the program of a recipe: each row is asked once and in the result once, and one is refused."""
    (block,) = python_blocks(f"docs/recipes/{page}.md")
    (folder / "reviews.py").write_text(block.text.replace("/var/tmp/", f"{folder}/"), "utf-8")
    lines = ["id,text", *(f"{number},Отзыв {number}." for number in range(40))]
    (folder / "reviews.csv").write_text("\n".join(lines) + "\n", "utf-8")
    server.reply("хороший", always=True)
    server.fail(400, "no", path="/chat/completions")
    java = {name: value for name, value in os.environ.items() if name == "JAVA_HOME"}
    spark = {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_CONF_DIR": str(folder), "PYSPARK_PYTHON": sys.executable}
    done = subprocess.run(
        [sys.executable, "reviews.py"],
        cwd=folder,
        env={**environment(server), **java, **spark, "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = pq.read_table(folder / "answers").to_pylist()
    assert sorted(row["id"] for row in rows) == list(range(40))
    (refused,) = (row for row in rows if row["error"])
    assert (refused["result"], refused["input_tokens"], refused["cached"]) == (None, None, False)
    answered = [row for row in rows if row is not refused]
    assert {(row["result"], row["error"], row["cached"]) for row in answered} == {("хороший", None, False)}
    assert all(row["input_tokens"] > 0 and row["request_id"] for row in answered)
    chats = [json.loads(request.body) for request in server.requests_to("/chat/completions")]
    asked = Counter(chat["messages"][-1]["content"] for chat in chats)
    assert len(asked) == asked.total() == 40
    assert (folder / "reviews.sqlite").exists()


@pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java 17, which is not installed")
def test_spark(server: GigaChatServer, tmp_path: Path) -> None:
    # A short program ends sooner without the second compiler.
    options = "spark.ui.enabled false\nspark.driver.extraJavaOptions -XX:TieredStopAtLevel=1\n"
    (tmp_path / "spark-defaults.conf").write_text(options, "utf-8")
    check("spark", server, tmp_path)


def test_dask(server: GigaChatServer, tmp_path: Path) -> None:
    check("dask", server, tmp_path)
