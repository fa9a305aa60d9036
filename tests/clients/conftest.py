"""A strict local server behind every check, and proof of what the checks run on."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import pytest

import gigachat
from gigachat.server import GigaChatServer

REPOSITORY = Path(__file__).parents[2]

Mode = Literal["blocking", "async"]


@pytest.fixture(scope="session", autouse=True)
def _our_client() -> None:
    """What is imported is this repository's client, and the registry's is nowhere in the environment."""
    assert Path(gigachat.__file__).parent == REPOSITORY / "src" / "gigachat"
    assert metadata.version("gigachat") == gigachat.__version__
    found = [one for one in metadata.distributions() if one.metadata["Name"] == "gigachat"]
    assert len(found) == 1
    assert not any((Path(place) / "gigachat").is_dir() for place in sys.path if "site-packages" in place)


def asked_for() -> list[str]:
    """Return what the environment that runs this asks for: its path names the folder that says so."""
    folder = Path(__file__).parent / Path(sys.prefix).relative_to(REPOSITORY / ".venv-clients")
    return [line for file in folder.glob("*.txt") for line in file.read_text().splitlines()]


@pytest.fixture
def unchanged() -> Callable[..., None]:
    """Check that a package is the release that its environment asks for, each file of it as it was published."""

    def check(name: str, places: Sequence[str] = sys.path) -> None:
        (found,) = metadata.distributions(name=name, path=[*places])
        assert f"{name}=={found.version}" in asked_for()
        files = [file for file in found.files or () if file.hash is not None]
        assert any(file.suffix == ".py" for file in files)
        for file in files:
            assert file.hash is not None
            digest = hashlib.new(file.hash.mode, Path(file.locate()).read_bytes()).digest()
            assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == file.hash.value, file

    return check


@pytest.fixture(autouse=True)
def _only_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key or a proxy in the developer's environment must not change what a check sees."""
    for name in tuple(os.environ):
        if name.upper().startswith(("GIGACHAT_", "GPT2GIGA_", "OPENAI_", "LITELLM_")) or name.lower().endswith(
            "_proxy"
        ):
            monkeypatch.delenv(name)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, _only_our_environment: None) -> Iterator[GigaChatServer]:
    """A server over TLS that refuses whatever the reference does not list; the environment points at it."""
    with GigaChatServer(strict=True) as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, _only_our_environment: None) -> Iterator[None]:
    """The command `gigachat serve`; the environment is what it prints."""
    command = [sys.executable, "-m", "gigachat", "serve", "--port", "0", "--strict", "--pace", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            while "GIGACHAT_CA_BUNDLE_FILE" not in os.environ:
                line = process.stdout.readline()
                assert line, "the command ended"
                if line.startswith("export "):
                    name, _, value = shlex.split(line)[1].partition("=")
                    monkeypatch.setenv(name, value)
            yield
        finally:
            process.terminate()
            process.communicate(timeout=30)
    assert process.returncode == 0


@pytest.fixture(params=["blocking", "async"])
def mode(request: pytest.FixtureRequest) -> Mode:
    chosen: Mode = request.param
    return chosen


def bounded(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine in an event loop of its own, for a minute at most."""

    async def limited() -> Any:
        async with asyncio.timeout(60):
            return await work

    return asyncio.run(limited())


@pytest.fixture
def call(mode: Mode) -> Callable[..., Any]:
    """Call a method of an object: as it is, or the one with an `a` in front in an event loop of its own."""

    def call(target: Any, method: str, *arguments: Any, **options: Any) -> Any:
        if mode == "blocking":
            return getattr(target, method)(*arguments, **options)

        async def awaited() -> Any:
            return await getattr(target, f"a{method}")(*arguments, **options)

        return bounded(awaited())

    return call


@pytest.fixture
def read(mode: Mode) -> Callable[..., list[Any]]:
    """Read what a method of an object streams, in the same two ways."""

    def read(target: Any, method: str, *arguments: Any, **options: Any) -> list[Any]:
        if mode == "blocking":
            return list(getattr(target, method)(*arguments, **options))

        async def awaited() -> list[Any]:
            items = getattr(target, f"a{method}")(*arguments, **options)
            if asyncio.iscoroutine(items):
                items = await items
            return [item async for item in items]

        items: list[Any] = bounded(awaited())
        return items

    return read
