"""The wheel, as it is installed: with its stubs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
NOT_FOR_THE_BUILD = ("docstring_parser", "gigachat", "httpcore2", "httpx2", "pydantic", "pydantic_settings")


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Path], Path]:
    """Build a target of hatchling from a folder where no dependency of the package can be imported."""
    missing = tmp_path_factory.mktemp("missing")
    for name in NOT_FOR_THE_BUILD:
        (missing / f"{name}.py").write_text("raise ImportError(__name__)")

    def built(target: str, source: Path) -> Path:
        folder = tmp_path_factory.mktemp("built")
        command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(folder)]
        subprocess.run(command, cwd=source, env={**os.environ, "PYTHONPATH": str(missing)}, check=True, timeout=300)
        (archive,) = folder.iterdir()
        return archive

    return built


@pytest.fixture(scope="session")
def wheel(build: Callable[[str, Path], Path]) -> Path:
    """Return the wheel."""
    return build("wheel", ROOT)


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the files of the wheel."""
    folder = tmp_path_factory.mktemp("installed")
    with ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder
