"""Do the environments of `make test-matrix` contain the built wheel and the requested dependencies?"""

from __future__ import annotations

import json
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import gigachat
from tests.matrix.environments import bounds

WHEEL = metadata.distribution("gigachat")
NAME = Path(sys.prefix).name
LIBRARIES = {"httpcore2", "httpx2", "pydantic", "pydantic-settings", "starlette", "uvicorn"}


def test_the_wheel_is_what_is_imported(capsys: pytest.CaptureFixture[str]) -> None:
    home = Path(gigachat.__file__).parent
    assert home == Path(sysconfig.get_path("purelib")) / "gigachat"
    assert [one.metadata["Name"] for one in metadata.distributions()].count("gigachat") == 1
    origin = json.loads(WHEEL.read_text("direct_url.json") or "{}")
    assert origin["url"].endswith(f"/gigachat-{gigachat.__version__}-py3-none-any.whl")
    assert "dir_info" not in origin
    installed = {one.metadata["Name"] for one in metadata.distributions()}
    versions = " ".join(f"{name} {metadata.version(name)}" for name in sorted(LIBRARIES & installed))
    with capsys.disabled():
        print(f"CPython {sys.version.split()[0]} runs gigachat {gigachat.__version__} from {home} on {versions}")


def test_its_files_are_those_of_the_source() -> None:
    source = Path(__file__).parents[2] / "src"
    kinds = (".py", ".pem", ".html", ".toml", ".md")
    expected = {path.relative_to(source).as_posix() for path in source.rglob("*") if path.suffix in kinds}
    expected.add("gigachat/py.typed")
    expected |= {f"gigachat/{name}.pyi" for name in ("client", "api/assistants", "api/chat", "api/threads")}
    recorded = {file.as_posix() for file in WHEEL.files or () if file.hash is not None}
    assert {name for name in recorded if name.startswith("gigachat/")} == expected


def test_its_dependencies_are_those_asked_for() -> None:
    assert NAME.endswith(("-newest", "-lowest"))
    for bound in bounds(NAME):
        asked = Requirement(bound)
        if asked.marker is None or asked.marker.evaluate():
            assert asked.specifier.contains(metadata.version(asked.name)), bound
    assert bool(bounds(NAME)) == NAME.endswith("-lowest")
