"""Are the stubs in each wheel, and nowhere else?"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
STUBS = {f"gigachat/{name}.pyi" for name in ("client", "api/assistants", "api/chat", "api/threads")}


def contents(wheel: Path) -> dict[str, bytes]:
    with ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def stubs(names: Iterable[str]) -> set[str]:
    return {name for name in names if name.endswith(".pyi")}


def test_the_wheel_has_a_stub_of_each_module_with_classes_of_a_mode(wheel: Path) -> None:
    assert stubs(contents(wheel)) == STUBS
    assert [*(ROOT / "src").rglob("*.pyi")] == []


@pytest.mark.slow  # it builds two archives
def test_a_wheel_of_the_source_distribution_is_the_same(
    wheel: Path, build: Callable[[str, Path], Path], tmp_path: Path
) -> None:
    with tarfile.open(build("sdist", ROOT)) as archive:
        assert stubs(archive.getnames()) == set()
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    assert contents(build("wheel", source)) == contents(wheel)


def test_an_editable_installation_has_no_stubs() -> None:
    assert stubs([str(path) for path in metadata.files("gigachat") or ()]) == set()
