"""The names of the packages, and what is imported for them."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import gigachat
import gigachat.client
from gigachat import models

FOLDER = Path(str(models.__file__)).parent


def star_imported(module: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(f"from {module} import *", names)
    del names["__builtins__"]
    return names


def test_a_star_import_of_the_package_gives_its_public_names() -> None:
    names = star_imported("gigachat")
    assert set(names) == set(gigachat.__all__)
    assert set(names) <= set(dir(gigachat))


def test_a_star_import_of_the_models_gives_the_names_of_their_modules() -> None:
    names = star_imported("gigachat.models")
    assert sorted(names) == dir(models)
    for name, kind in names.items():
        assert kind is getattr(models, name)
        if isinstance(kind, type):
            assert kind.__name__ == name.removeprefix("Primary")  # the classes of v2 that are named as those of v1


def test_no_two_modules_of_models_have_the_same_name() -> None:
    assert len(dir(models)) == len(set(dir(models)))


def test_every_module_of_models_is_searched_and_known_to_type_checkers() -> None:
    files = {path.stem for path in FOLDER.glob("*.py")} - {"__init__"}
    imported = {
        str(node.module)
        for node in ast.walk(ast.parse((FOLDER / "__init__.py").read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and [name.name for name in node.names] == ["*"]
    }
    assert imported == {f"gigachat.models.{name}" for name in files}
    assert set(vars(models)["_MODULES"]) == files


@pytest.mark.parametrize("module", [gigachat, models, gigachat.client], ids=lambda module: module.__name__)
@pytest.mark.parametrize("name", ["NoSuchName", "_no_such_name", "__wrapped__"])
def test_a_name_that_does_not_exist_is_refused(module: ModuleType, name: str) -> None:
    with pytest.raises(AttributeError, match=f"module '{module.__name__}' has no attribute '{name}'"):
        getattr(module, name)


@cache
def imported(program: str, *options: str) -> frozenset[str]:
    """Return the modules that a program imports in an interpreter of its own, started with these options."""
    program = f"import sys; sys.path.append({str(Path(gigachat.__file__).parents[1])!r})\n{program}"
    program += "\nimport json; print(json.dumps([*sys.modules]))"
    command = [sys.executable, *options, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return frozenset(json.loads(done.stdout))


@pytest.mark.parametrize(
    "program",
    [
        "import gigachat",
        "from gigachat import GigaChatException, custom_headers_cvar",
        "import gigachat; dir(gigachat); assert not hasattr(gigachat, 'NoSuchName')",
        "from gigachat import models",
        "from gigachat import GigaChat",
        "import gigachat.client",
    ],
)
def test_neither_pydantic_nor_the_http_library_is_imported_early(program: str) -> None:
    assert not imported(program) & {"pydantic", "pydantic_core", "httpx2", "httpcore2"}


def test_the_import_of_a_client_loads_few_modules() -> None:
    # Without the modules that an environment loads at each start. As many as before tools and runs.
    assert len(imported("from gigachat import GigaChat", "-S") - imported("", "-S")) <= 108


@pytest.mark.parametrize(
    ("program", "own", "others"),
    [
        ("import gigachat", 7, 30),
        ("from gigachat import GigaChat", 53, 60),
        ("from gigachat import GigaChat; GigaChat(access_token='t')", 85, 310),
        ("from gigachat import AsyncGigaChat; AsyncGigaChat(access_token='t')", 96, 340),
    ],
    ids=["package", "class", "client", "async client"],
)
def test_a_start_loads_few_modules(program: str, own: int, others: int) -> None:
    """A budget of modules, because times differ from run to run; versions of Python and of libraries need some more."""
    without_trio = "sys.modules['trio'] = None  # as where it is not installed\n"
    loaded = imported(without_trio + program) - imported(without_trio)
    ours = {name for name in loaded if name.partition(".")[0] == "gigachat"}
    assert len(ours) <= own, sorted(ours)
    assert len(loaded - ours) <= others, sorted(loaded - ours)


@pytest.mark.parametrize("kind", ["GigaChat", "AsyncGigaChat"])
def test_a_client_needs_no_pydantic_settings(kind: str) -> None:
    program = f"from gigachat import {kind}; {kind}(access_token='t')"
    assert "pydantic_settings" not in imported(program)
    assert "pydantic_settings" in imported(f"{program}\nfrom gigachat.settings import Settings")


@pytest.mark.parametrize(
    "program", ["from gigachat import GigaChat", "from gigachat.cli import program; program.overview()"]
)
def test_jobs_are_loaded_when_they_are_used(program: str) -> None:
    assert not [name for name in imported(program) if name.startswith("gigachat.bulk")]


def test_a_model_of_chats_needs_no_other_module_of_models() -> None:
    loaded = {name for name in imported("from gigachat import Chat") if name.startswith("gigachat.models.")}
    needed = ("answer_files", "base", "chat", "functions", "response_format", "sources")
    assert loaded == {f"gigachat.models.{name}" for name in needed}
    assert imported("from gigachat import Chat") == imported("from gigachat.models import Chat")
    assert imported("from gigachat.models import chat") == imported("import gigachat.models.chat")


@pytest.mark.parametrize("name", ["assistants", "client", "models", "resources", "settings", "threads"])
def test_a_module_needs_no_import_of_its_own(name: str) -> None:
    assert f"gigachat.{name}" not in imported("import gigachat")
    assert f"gigachat.{name}" in imported(f"import gigachat; gigachat.{name}")


@pytest.mark.parametrize(
    ("make", "early"),
    [
        ("from gigachat import AsyncGigaChat; AsyncGigaChat(access_token='t')", True),
        ("from gigachat import GigaChat; GigaChat(access_token='t')", False),
        (
            "import asyncio; from gigachat import GigaChat\n"
            "async def main(): GigaChat(access_token='t')\n"
            "asyncio.run(main())",
            True,
        ),
        ("import asyncio; from gigachat import GigaChat; GigaChat(access_token='t')", False),
    ],
    ids=["async client", "blocking client", "in an event loop", "beside asyncio"],
)
def test_the_first_call_of_an_event_loop_loads_no_model(make: str, early: bool) -> None:
    """It would block the event loop meanwhile."""
    assert ("gigachat.models.chat" in imported(make)) is early
