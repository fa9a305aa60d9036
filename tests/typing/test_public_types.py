"""No public name without its type, and type checkers that refuse what is wrong.

The types themselves stand in `public_types.py`, which `make lint` checks; `must_fail/` is kept out of that run and
checked here: the lines that mypy and pyright refuse are just those that say `must fail`. Both are checked here with the
source and with the wheel, whose stubs replace modules of the source.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import Any, get_type_hints

import pytest

import gigachat
from gigachat import AsyncGigaChat, AsyncStream, GigaChat, Stream, exceptions

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TYPES = HERE / "public_types.py"
MUST_FAIL = sorted((HERE / "must_fail").glob("*.py"))
MARK = "# must fail"


def used_names() -> dict[str, set[str]]:
    """Return, for each annotated parameter and `as` name of `public_types.py`, by type, the attributes used of it."""
    used: dict[str, set[str]] = defaultdict(set)
    for function in ast.parse(TYPES.read_text()).body:
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        types = {one.arg: ast.unparse(one.annotation) for one in function.args.args if one.annotation}
        for node in ast.walk(function):
            if isinstance(node, ast.withitem) and isinstance(node.optional_vars, ast.Name):
                # `with giga.stream(...) as opened`
                opened = ast.unparse(node.context_expr)
                if "stream(" in opened:
                    types[node.optional_vars.id] = "Stream"
        for node in ast.walk(function):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in types:
                used[types[node.value.id].partition("[")[0]].add(node.attr)
    return used


def public(kind: type[Any]) -> set[str]:
    """Return the public names of a class."""
    return {name for name in dir(kind) if not name.startswith("_")}


@pytest.mark.parametrize("kind", [GigaChat, AsyncGigaChat, Stream, AsyncStream], ids=lambda kind: kind.__name__)
def test_every_public_method_has_its_type(kind: type[Any]) -> None:
    assert len(public(kind)) > 3
    assert public(kind) - used_names()[kind.__name__] == set()


def test_every_attribute_of_an_error_of_the_service_has_its_type() -> None:
    error = exceptions.ResponseError("https://host/", 500, b"", {})
    names = {name for name in dir(error) if not name.startswith("_")} - public(Exception)
    assert names >= {"status_code", "code", "message", "request_id", "retry_after", "body", "url", "headers", "content"}
    assert names - used_names()["exceptions.ResponseError"] == set()


def test_every_exception_is_named() -> None:
    named = {
        node.attr
        for node in ast.walk(ast.parse(TYPES.read_text()))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "exceptions"
    }
    assert set(exceptions.__all__) - named == set()


def test_options_of_the_clients_have_types() -> None:
    # `from __future__ import annotations` hides a name that does not exist from everything but this.
    import os
    import ssl
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    import httpx2
    from pydantic import SecretStr

    from gigachat import Credential, Observer
    from gigachat.settings import Timeout
    from gigachat.types import ModelName, Scope

    names = {
        "Awaitable": Awaitable,
        "Callable": Callable,
        "Credential": Credential,
        "Mapping": Mapping,
        "ModelName": ModelName,
        "Observer": Observer,
        "PathLike": os.PathLike,
        "Scope": Scope,
        "SecretStr": SecretStr,
        "Sequence": Sequence,
        "Timeout": Timeout,
        "httpx2": httpx2,
        "ssl": ssl,
    }
    hints = get_type_hints(GigaChat.__init__, localns=names)
    assert {"credentials", "timeout", "ssl_context", "http_client", "unknown", "return"} <= set(hints)


def test_the_package_says_that_it_has_types() -> None:
    assert (Path(str(gigachat.__file__)).parent / "py.typed").is_file()


def expected_failures() -> set[tuple[str, int]]:
    return {
        (path.name, number)
        for path in MUST_FAIL
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if MARK in line
    }


def checker(*command: str, package: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": str(package)},
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )


@pytest.fixture(scope="module", params=["source", "wheel"])
def package(request: pytest.FixtureRequest) -> Path:
    """Return the folder of the package: without stubs, and with them."""
    folder: Path = ROOT / "src" if request.param == "source" else request.getfixturevalue("installed")
    return folder


@pytest.mark.slow
def test_mypy_refuses_only_what_is_wrong(package: Path, pytestconfig: pytest.Config) -> None:
    cache = pytestconfig.cache
    assert cache is not None  # it can be switched off, by nobody here
    folder = str(cache.mkdir(f"mypy-{package.name}"))
    # Named on the command line, the files are checked although the settings exclude them.
    files = [*map(str, MUST_FAIL), str(TYPES)]
    result = checker("mypy", "--cache-dir", folder, "--output", "json", *files, package=package)
    problems = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    refused = {(Path(one["file"]).name, one["line"]) for one in problems if one["severity"] == "error"}
    assert refused == expected_failures(), result.stdout + result.stderr
    assert {Path(one["file"]).parent.name for one in problems} == {"must_fail"}


@pytest.mark.slow
def test_pyright_refuses_only_what_is_wrong(package: Path, tmp_path: Path) -> None:
    # It would not check an excluded file even if named: copies, under the project's settings.
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pyright"]
    config = tmp_path / "pyrightconfig.json"
    own = {"include": ["."], "exclude": [], "extraPaths": [str(package)], "venvPath": str(ROOT)}
    config.write_text(json.dumps({**settings, **own}))
    for path in (*MUST_FAIL, TYPES):
        shutil.copy(path, tmp_path)
    result = checker("pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(config), package=package)
    problems = json.loads(result.stdout)["generalDiagnostics"]
    # It counts lines from 0.
    refused = {
        (Path(one["file"]).name, one["range"]["start"]["line"] + 1) for one in problems if one["severity"] == "error"
    }
    assert refused == expected_failures(), result.stdout
