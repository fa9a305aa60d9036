"""The recipes for other packages: their files are those of `examples/`, or `make test-clients` runs them."""

from __future__ import annotations

import ast
import importlib.util
import re

import pytest
import yaml  # type: ignore[import-untyped]

from gigachat.settings import Settings
from tests.docs.pages import FILES, ROOT, python_blocks, read

DOCKER = ("docs/recipes/docker.md", "docs/recipes/docker.ru.md")


@pytest.mark.parametrize("language", ["", ".ru"])
@pytest.mark.parametrize(("page", "example"), [("fastapi", "sse_endpoint.py"), ("gunicorn", "gunicorn.conf.py")])
def test_the_recipe_is_the_example(page: str, example: str, language: str) -> None:
    (block,) = python_blocks(f"docs/recipes/{page}{language}.md")
    assert block.text == (ROOT / "examples" / example).read_text("utf-8")


@pytest.mark.parametrize(
    ("permitted", "limits", "workers", "each"),
    [(1, False, 1, 1), (10, False, 8, 1), (1, True, 8, 1), (10, True, 8, 10)],
)
def test_workers_that_share_a_limit_may_be_more_than_it(
    permitted: int, limits: bool, workers: int, each: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GIGACHAT_LIMITS", raising=False)
    if limits:
        monkeypatch.setenv("GIGACHAT_LIMITS", "redis://localhost")
    text = (ROOT / "examples/gunicorn.conf.py").read_text("utf-8").replace("PERMITTED = 10", f"PERMITTED = {permitted}")
    configuration: dict[str, object] = {}
    exec(text, configuration)
    assert configuration["workers"] == workers
    assert configuration["raw_env"] == [f"GIGACHAT_MAX_CONCURRENCY={each}"]


@pytest.mark.parametrize("page", FILES)
def test_names_that_the_files_import_from_this_package_exist(page: str) -> None:
    imported = [
        (node.module, alias.name)
        for block in python_blocks(page)
        for node in ast.walk(ast.parse(block.text))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "gigachat"
        for alias in node.names
    ]
    assert imported or any(name in page for name in ("gunicorn", "langchain"))
    for module, name in imported:
        assert hasattr(importlib.import_module(module), name) or importlib.util.find_spec(f"{module}.{name}")


@pytest.mark.parametrize("page", DOCKER)
def test_variables_of_the_containers_are_settings(page: str) -> None:
    blocks = read(page).blocks
    services = [yaml.safe_load(block.text) for block in blocks if block.language == "yaml"]
    variables = {
        name
        for service in services
        for name in (service["services"]["bot"] if "services" in service else service)["environment"]
        if name.startswith("GIGACHAT_")
    }
    known = {f"GIGACHAT_{name.upper()}" for name in Settings.model_fields} | {"GIGACHAT_LOG"}
    assert len(variables) > 3
    assert variables <= known
    (image,) = (block.text for block in blocks if block.language == "dockerfile")
    minimum = re.search(r">=3\.(\d+)", (ROOT / "pyproject.toml").read_text("utf-8"))
    version = re.search(r"FROM python:3\.(\d+)", image)
    assert minimum
    assert version
    assert int(version[1]) >= int(minimum[1])
