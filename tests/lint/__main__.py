"""Check what linters do not: private names of libraries, packages that are not declared, banned phrases."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

from tests.lint.declared_packages import undeclared_packages
from tests.lint.plain_words import banned_phrases
from tests.lint.private_names import private_names

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "gigachat"

if __name__ == "__main__":
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *SOURCE.rglob("*.md")]
    problems = [
        *private_names(SOURCE),
        *undeclared_packages(SOURCE, project),
        *banned_phrases(*SOURCE.rglob("*.py"), *(page for page in pages if not page.stem.endswith(".ru"))),
    ]
    for path, line, text in problems:
        print(f"{path.relative_to(ROOT)}:{line}: {text}")
    sys.exit(bool(problems))
