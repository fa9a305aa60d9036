"""What the checks of `make lint` find, planted one by one, and what they let pass."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.lint.declared_packages import undeclared_packages
from tests.lint.plain_words import banned_phrases
from tests.lint.private_names import EXEMPT, private_names


def package(home: Path, **files: str) -> Path:
    """Write a package of modules; `__` in a module's name is the `/` of its path."""
    for name, text in files.items():
        path = home / "gigachat" / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return home / "gigachat"


USES = {
    "attribute": ("import httpx2\nclient = httpx2.Client()\nclient._transport", [(3, "_transport")]),
    "attribute that is set": ("def f(client): client._transport = None", [(1, "_transport")]),
    "attribute of an attribute": ("def f(client): client.pool._connections.clear()", [(1, "_connections")]),
    "mangled": ("def f(client): client.__pool", [(1, "__pool")]),
    "getattr": ('def f(client): getattr(client, "_pool", None)', [(1, "_pool")]),
    "setattr": ('def f(client): setattr(client, "_pool", None)', [(1, "_pool")]),
    "hasattr": ('def f(client): hasattr(client, "_pool")', [(1, "_pool")]),
    "delattr": ('def f(client): delattr(client, "_pool")', [(1, "_pool")]),
    "text": ('from operator import attrgetter\nattrgetter("_pool")', [(2, "_pool")]),
    "module": ("import httpx2._client", [(1, "httpx2._client")]),
    "module of the standard library": ("import _thread", [(1, "_thread")]),
    "name": ("from httpx2 import Client, _client", [(1, "httpx2._client")]),
    "name of a private module": ("from httpx2._client import Client", [(1, "httpx2._client.Client")]),
    "imported by its name": (
        'from importlib import import_module\nimport_module("httpx2._client")',
        [(2, "httpx2._client")],
    ),
    "inherited": (
        """
        import httpx2
        class Client(httpx2.Client):
            def own(self): return self._transport
        """,
        [(4, "_transport")],
    ),
    "a variable of a function is no definition": ("def f(client):\n _pool = 1\n client._pool", [(3, "_pool")]),
    "own name, of a module": ("import httpx2\n_client = httpx2._client", [(2, "_client")]),
    "own name, of a class": (
        "from httpx2 import Client\ndef _make(): Client._make_it()\n_make_it = 1",
        [(2, "_make_it")],
    ),
    "own name, by getattr": ('import httpx2\n_client = getattr(httpx2, "_client")', [(2, "_client")]),
    "own name, of an argument": (
        """
        import httpx2
        class Own:
            def __init__(self): self._pool = 1
        def f(client: httpx2.Client | None): client._pool
        """,
        [(5, "_pool")],
    ),
    "own name, of a variable": (
        """
        from httpx2 import Client
        _pool = 1
        def f(make):
            client: Client = make()
            return client._pool
        """,
        [(6, "_pool")],
    ),
}


@pytest.mark.parametrize("kind", USES)
def test_a_use_of_a_private_name_is_found(tmp_path: Path, kind: str) -> None:
    text, expected = USES[kind]
    found = [*private_names(package(tmp_path, planted=text))]
    planted = tmp_path / "gigachat" / "planted.py"
    assert found == [(planted, line, f"{name} is private to another package") for line, name in expected]


def test_a_name_that_an_unrelated_module_defines_is_not_taken_for_it(tmp_path: Path) -> None:
    folder = package(tmp_path, _transport__port="def f(client): client._pool", server__state="_pool = 1")
    assert [path.stem for path, _, _ in private_names(folder)] == ["port"]


OWN = {
    "class": "class _Own: ...\nvalue = module._Own",
    "method": "class Own:\n def _act(self): ...\ndef f(own): own._act()",
    "attribute of self": "class Own:\n def __init__(self): self._it = 1\ndef f(own): own._it",
    "annotation": "class Own:\n _it: int\ndef f(own): own._it",
    "slot": 'class Own:\n __slots__ = ("_it",)\ndef f(own): own._it',
    "variable": "_it = 1\nvalue = module._it",
    "variable in a branch": "if True:\n _it = 1\nvalue = module._it",
    "name of an import": "import json as _json\nvalue = module._json",
    "by its name": 'class Own:\n _it = 1\ndef f(own): getattr(own, "_it")',
    "argument of an own class": "from gigachat.other import Other\ndef f(other: Other): other._other",
    "argument of any class": "from typing import Any\n_it = 1\ndef f(own: Any): own._it",
    "argument named as a module": "import httpx2\n_it = 1\ndef f(httpx2): httpx2._it",
    "imported": "from gigachat._private import _other",
    "of a module that is imported": "import gigachat.other\ndef f(own): own._other",
    "of a module that one imports": "from gigachat import between\ndef f(own): own._other",
    "dunder": "def f(own): own.__dict__",
    "of enums": "def f(member): member._value_",
    "of named tuples": "def f(pair): pair._replace(a=1)",
    "unused": "for _ in (): ...",
}


@pytest.mark.parametrize("kind", OWN)
def test_an_own_private_name_may_be_used(tmp_path: Path, kind: str) -> None:
    others = {"other": "_other = 1\nclass Other: ...", "between": "from gigachat.other import Other"}
    assert [*private_names(package(tmp_path, planted=OWN[kind], **others))] == []


def test_one_module_may_use_private_names(tmp_path: Path) -> None:
    (name,) = EXEMPT
    folder = package(tmp_path, **{name.removesuffix(".py").replace("/", "__"): "def f(client): client._pool"})
    assert (folder / name).is_file()
    assert [*private_names(folder)] == []


PROJECT: dict[str, Any] = {
    "dependencies": ["httpx2>=2", "Pydantic_Core >= 2", "none-such-on-this-machine"],
    "optional-dependencies": {"server": ["pyyaml>=6; python_version > '3'"], "socks": ["starlette[full]"]},
}


def test_a_package_that_is_not_declared_is_found(tmp_path: Path) -> None:
    text = """
    import os.path, h11
    from gigachat.settings import Settings
    from .settings import Settings
    import httpx2, pydantic_core, yaml, none_such_on_this_machine
    def f():
        from starlette.requests import Request
        from pytest import raises
        import not_installed.either
    """
    folder = package(tmp_path, planted=text)
    assert [*undeclared_packages(folder, PROJECT)] == [
        (folder / "planted.py", line, f"import of {name}, which pyproject.toml does not declare")
        for line, name in ((2, "h11"), (8, "pytest"), (9, "not_installed"))
    ]


def test_a_banned_phrase_is_found_with_its_line(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("A request in progress.\nWhat is at work Goes on, in brackets (surely).\n", "utf-8")
    found = [(number, text.partition(":")[0]) for _, number, text in banned_phrases(page)]
    assert found == [(2, "'at work'"), (2, "'Goes on'"), (2, "'surely'")]
