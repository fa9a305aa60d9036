"""Name the environments of `make test-matrix` and say what each is made of; make none, run nothing in them.

Without an argument: all names, such as `3.12.1-newest` for the newest dependencies on the oldest CPython 3.12 found
here, `3.13.0t-newest` for the free-threaded one, and `3.11.7-lowest` for the lowest dependencies allowed. With a name:
the path of its Python. With a name and `bounds`: constraints for pip. With a name, `packages` and a wheel: what pip
installs. With a name and `suites`: what pytest is to run. With `from` and a version such as `3.12`: the path of
the oldest CPython found here that is not older. With `missing`: a line for each free-threaded CPython that is not here.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
OLDEST = PROJECT["requires-python"].removeprefix(">=")

SUITES = ("unit", "contract", "e2e", "server", "faults", "compat", "property", "mcp")

FREE_THREADED = ("3.13", "3.14")
# What tests/unit imports. The other suites need the local server, and its dependencies are not built for these yet.
UNIT_PACKAGES = ("ipython", "markdown-it-py", "numpy", "packaging", "pandas", "pytest", "starlette", "trio")

# Whether it can make an environment is asked too: some systems leave that out.
QUESTION = """
import ensurepip, platform, sysconfig
threads = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
print(platform.python_implementation(), platform.python_version() + threads)
"""


def numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def minor(version: str) -> str:
    return ".".join(map(str, numbers(version)[:2]))


def is_free_threaded(name: str) -> bool:
    """Whether a version, or an environment of it, has no global lock."""
    return name.partition("-")[0].endswith("t")


def pythons() -> dict[str, Path]:
    """Return each CPython that the project allows, by version: of those in PATH, then of those pyenv has beside it."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    folders = [*map(Path, os.get_exec_path()), *pyenv.glob("versions/*/bin")]
    found: dict[str, Path] = {}
    for path in chain.from_iterable(sorted(folder.glob("python3*")) for folder in folders):
        if not re.fullmatch(r"python3(\.\d+(t|-nogil)?)?", path.name) or not os.access(path, os.X_OK):
            continue
        answer = subprocess.run([path, "-c", QUESTION], capture_output=True, text=True, check=False).stdout
        implementation, _, version = answer.strip().partition(" ")
        if implementation == "CPython" and numbers(version) >= numbers(OLDEST):
            found.setdefault(version, path)
    return dict(sorted(found.items(), key=lambda one: numbers(one[0])))


def environments() -> dict[str, Path]:
    """Return the Python of each environment, by the environment's name."""
    every = pythons()
    found = {version: path for version, path in every.items() if not is_free_threaded(version)}
    oldest = [version for version in found if numbers(version)[:2] == numbers(OLDEST)]
    if not oldest:
        sys.exit(f"Python {OLDEST} is needed: the lowest dependencies are tested on it")
    minors = {tuple(numbers(version)[:2]): version for version in reversed(found)}
    newest = {f"{version}-newest": found[version] for version in reversed(minors.values())}
    threaded = {f"{version}-newest": path for version, path in free_threaded(every).items()}
    return {f"{oldest[-1]}-lowest": found[oldest[-1]], **newest, **threaded}


def free_threaded(found: dict[str, Path]) -> dict[str, Path]:
    """Return the oldest free-threaded Python of each minor version that is tested."""
    chosen: dict[str, str] = {}
    for version in found:
        if is_free_threaded(version) and minor(version) in FREE_THREADED:
            chosen.setdefault(minor(version), version)
    return {version: found[version] for version in chosen.values()}


def missing() -> list[str]:
    """Return a line for each free-threaded Python that is tested where it is found, and is not here."""
    here = set(map(minor, free_threaded(pythons())))
    return [
        f"free-threaded CPython {version}: skipped, no python{version}t in PATH or pyenv"
        for version in FREE_THREADED
        if version not in here
    ]


def packages(name: str, wheel: str) -> list[str]:
    """Return what pip installs into an environment."""
    return ["--only-binary=:all:", wheel, *UNIT_PACKAGES] if is_free_threaded(name) else [f"{wheel}[test]"]


def bounds(name: str) -> list[str]:
    """Return pip's constraints for an environment: none, or what the project asks for in its lowest version.

    pytest is one of them: the newest one warns of the plugins of old dependencies.
    """
    if name.endswith("-newest"):
        return []
    extras = PROJECT["optional-dependencies"]
    runner = [requirement for requirement in extras["test"] if requirement.startswith("pytest>=")]
    asked = [*PROJECT["dependencies"], *extras["server"], *extras["redis"], *runner]
    return ["{}=={}".format(*requirement.split(">=")) for requirement in asked]


def suites(name: str) -> list[str]:
    """Return pytest's arguments: a sample, between the ends of the range only of the suites of the client."""
    if is_free_threaded(name):
        return ["--sample", "--fewer-costly", "tests/unit"]
    names = [name for name in environments() if not is_free_threaded(name)]
    if name in (names[0], names[-1]):
        return ["--sample", "--fewer-costly", *(f"tests/{suite}" for suite in SUITES)]
    return ["--sample", "--fewer-costly", "tests/unit", "tests/contract", "tests/faults"]


def oldest_from(version: str) -> Path:
    """Return the path of the oldest CPython of a version or a newer one."""
    for found, path in pythons().items():
        if numbers(found) >= numbers(version) and not is_free_threaded(found):
            return path
    sys.exit(f"Python {version} or newer is needed")


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            print(*environments())
        case ["from", version]:
            print(oldest_from(version))
        case ["missing"]:
            print("".join(f"{line}\n" for line in missing()), end="")
        case [name]:
            print(environments()[name])
        case [name, "bounds"]:
            print(*bounds(name), sep="\n")
        case [name, "packages", wheel]:
            print(*packages(name, wheel))
        case [name, "suites"]:
            print(*suites(name))
        case _:
            sys.exit(__doc__)
