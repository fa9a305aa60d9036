"""Are the environments of `make test-matrix` those of the interpreters that are found?"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.matrix import environments

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the interpreters here are shell scripts")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the only folder in which interpreters are looked for."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    return tmp_path


def install(folder: Path, name: str, version: str, implementation: str = "CPython") -> Path:
    """Install an interpreter that answers the question for its version."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho {implementation} {version}\n")
    path.chmod(0o755)
    return path


def test_a_free_threaded_python_has_an_environment_beside_the_usual_one(folder: Path) -> None:
    oldest, usual = install(folder, "python3.11", "3.11.7"), install(folder, "python3.13", "3.13.1")
    threaded = install(folder, "python3.13t", "3.13.1t")
    assert environments.environments() == {
        "3.11.7-lowest": oldest,
        "3.11.7-newest": oldest,
        "3.13.1-newest": usual,
        "3.13.1t-newest": threaded,
    }


@pytest.mark.parametrize("name", ["python3.14t", "python3.14-nogil", "python3.14", "python3"])
def test_the_interpreter_says_whether_it_is_free_threaded(folder: Path, name: str) -> None:
    install(folder, "python3.11", "3.11.7")
    threaded = install(folder / "pyenv" / "versions" / "3.14.0t" / "bin", name, "3.14.0t")
    assert environments.environments()["3.14.0t-newest"] == threaded


def test_only_the_unit_suite_runs_there(folder: Path) -> None:
    install(folder, "python3.11", "3.11.7")
    install(folder, "python3.14t", "3.14.0t")
    assert environments.suites("3.14.0t-newest")[-1] == "tests/unit"
    for usual in ("3.11.7-newest", "3.11.7-lowest"):
        assert "tests/server" in environments.suites(usual)
        assert environments.packages(usual, "a.whl") == ["a.whl[test]"]
    assert environments.packages("3.14.0t-newest", "a.whl")[1] == "a.whl"


def test_what_is_not_found_is_told(folder: Path) -> None:
    install(folder, "python3.11", "3.11.7")
    install(folder, "python3.13t", "3.13.1t")
    assert environments.missing() == ["free-threaded CPython 3.14: skipped, no python3.14t in PATH or pyenv"]


@pytest.mark.parametrize(("name", "version"), [("python3.12t", "3.12.0t"), ("python3.15t", "3.15.0t")])
def test_other_free_threaded_versions_are_left_out(folder: Path, name: str, version: str) -> None:
    oldest = install(folder, "python3.11", "3.11.7")
    install(folder, name, version)
    assert set(environments.environments().values()) == {oldest}


def test_other_targets_are_not_given_a_free_threaded_one(folder: Path) -> None:
    install(folder, "python3.11", "3.11.7")
    install(folder, "python3.12t", "3.12.0t")
    usual = install(folder, "python3.13", "3.13.1")
    assert environments.oldest_from("3.12") == usual


def test_this_interpreter_answers_the_question(folder: Path) -> None:
    (folder / "python3").symlink_to(sys.executable)
    (found,) = environments.pythons()
    assert found == "{}.{}.{}".format(*sys.version_info[:3])
