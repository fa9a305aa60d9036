"""Find imports of packages that the project does not declare: in its dependencies, or in one of its extras.

A package that comes only because another one needs it may be gone with that one's next release.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

__all__ = ["undeclared_packages"]

HOOKS = "_pyinstaller"
"""Folder of a hook that runs inside PyInstaller only."""


def undeclared_packages(folder: Path, project: dict[str, Any]) -> Iterator[tuple[Path, int, str]]:
    """Yield file, line and text of each import of an undeclared package in a package's folder.

    Args:
        folder: The package's folder.
        project: The table `project` of pyproject.toml.
    """
    extras: dict[str, list[str]] = project.get("optional-dependencies", {})
    declared = {_name(one) for one in sum(extras.values(), [*project.get("dependencies", [])])}
    declared |= {_name(one) for one in project.get("entry-points", {})}  # packages that load our plugins
    distributions = packages_distributions()
    known = {*sys.stdlib_module_names, folder.name}
    for path in sorted(folder.rglob("*.py")):
        if path.parent.name == HOOKS:
            continue
        for line, package in _imported(ast.parse(path.read_bytes(), str(path))):
            # What is not installed is taken to be named as its distribution.
            if package not in known and not declared & {_name(one) for one in distributions.get(package, [package])}:
                yield path, line, f"import of {package}, which pyproject.toml does not declare"


def _name(requirement: str) -> str:
    """Return the name of a distribution in the form in which names are compared."""
    name = re.match(r"[\w.-]+", requirement)
    assert name
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def _imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name.split(".")[0]) for alias in names)
            case ast.ImportFrom(level=0, module=str(module)):
                yield node.lineno, module.split(".")[0]
