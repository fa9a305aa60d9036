"""Find where a package uses private names of other packages, which may change with any release of those.

The source is read as a syntax tree; types are not known. A private name is taken for the package's own if the module
that uses it defines it, or one that this module imports, directly or not: as a class, a function, a variable of a
module or a class, an attribute of `self`. Even such a name is reported where the object is surely foreign: an imported
module or class, an argument or a variable annotated as one. A text that is a private name counts as its use.

Not found are: a name that the package defines as well, on an object of unknown type; a subclass that sets or overrides
a private attribute of a foreign class; a name put together at run time.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["DOCUMENTED", "EXEMPT", "private_names"]

EXEMPT = frozenset({"_transport/workarounds.py"})
"""The only module that may use them; it gives the reason of each use and the condition for its removal."""
DOCUMENTED = frozenset({"_asdict", "_exit", "_fields", "_make", "_replace"})
"""Public names with an underscore: of named tuples and of `os`."""

_PRIVATE = re.compile(r"_[^_]\w*(?<!_)|__\w*(?<!__)")  # not `_name_` of enums
_BY_NAME = frozenset({"getattr", "setattr", "hasattr", "delattr"})
_NO_TYPES = frozenset({"collections", "typing"})
"""Packages whose names in annotations do not tell the package of an object."""


def private_names(folder: Path) -> Iterator[tuple[Path, int, str]]:
    """Yield file, line and text of each use in a package's folder."""
    trees = {path: ast.parse(path.read_bytes(), str(path)) for path in sorted(folder.rglob("*.py"))}
    modules = {_module(path, folder): tree for path, tree in trees.items()}
    defined = {name: {*_defined(tree)} for name, tree in modules.items()}
    for path, tree in trees.items():
        if path.relative_to(folder).as_posix() in EXEMPT:
            continue
        own = {name for module in _reached(_module(path, folder), modules) for name in defined[module]}
        for line, text in sorted({*_imports(tree, folder.name), *_uses(tree, own, _foreign(tree, folder.name))}):
            yield path, line, text


def _module(path: Path, folder: Path) -> str:
    """Return the dotted name of a file's module."""
    return ".".join(path.relative_to(folder.parent).with_suffix("").parts).removesuffix(".__init__")


def _reached(module: str, modules: dict[str, ast.Module]) -> set[str]:
    """Return a module and all that it imports, directly or not."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        module = waiting.pop()
        if module in modules and module not in found:
            found.add(module)
            # Whether a name is a module or stands in one, is found out by looking it up.
            waiting += [name for _, name in _imported(modules[module])]
            waiting += [name.rpartition(".")[0] for _, name in _imported(modules[module])]
    return found


def _imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and full name of what is imported."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(level=0, module=str(module), names=names):
                yield from ((node.lineno, f"{module}.{alias.name}") for alias in names)
            case ast.Call(
                func=ast.Name(id="import_module") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(module)), *_],
            ):
                yield node.lineno, module


def _defined(tree: ast.AST) -> Iterator[str]:
    """Yield what a module defines for others to use."""
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=name, body=body):
                yield name
                yield from _variables(body)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name, ctx=ast.Store()):
                yield name
            case ast.Module(body=body):
                yield from _variables(body)


def _variables(body: Iterable[ast.AST]) -> Iterator[str]:
    """Yield the variables, slots and other names of imports in the body of a module or a class."""
    for node in body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                pass
            case ast.Name(id=name, ctx=ast.Store()) | ast.alias(asname=str(name)):
                yield name
            case ast.Assign(targets=[ast.Name(id="__slots__")], value=slots):
                yield from (str(one.value) for one in ast.walk(slots) if isinstance(one, ast.Constant))
            case _:
                yield from _variables(ast.iter_child_nodes(node))


def _is_private(name: str) -> bool:
    return bool(_PRIVATE.fullmatch(name)) and name not in DOCUMENTED


def _imports(tree: ast.AST, package: str) -> Iterator[tuple[int, str]]:
    """Yield the imports of private names of other packages."""
    for line, name in _imported(tree):
        first, *_ = parts = name.split(".")
        if first != package and any(map(_is_private, parts)):
            yield line, f"{name} is private to another package"


def _foreign(tree: ast.AST, package: str) -> dict[str, str]:
    """Return the package of each name that a module imports from another."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                found |= {alias.asname or alias.name.split(".")[0]: alias.name.split(".")[0] for alias in names}
            case ast.ImportFrom(level=0, module=str(module), names=names):
                found |= {alias.asname or alias.name: module.split(".")[0] for alias in names}
    return {name: home for name, home in found.items() if home != package}


def _uses(scope: ast.AST, own: set[str], foreign: dict[str, str]) -> Iterator[tuple[int, str]]:
    """Yield the uses of attributes that are private to other packages."""
    for node in ast.iter_child_nodes(scope):
        match node:
            case ast.Attribute(value=value, attr=name) if _is_private(name):
                home = _home(value, foreign)
                if home or name not in own:
                    yield node.lineno, f"{name} is private to another package"
            case ast.Call(func=ast.Name(id=function), args=[value, ast.Constant(value=str(name)), *_]):
                if function in _BY_NAME and _is_private(name) and _home(value, foreign):
                    yield node.lineno, f"{name} is private to another package"
            case ast.Constant(value=str(name)) if _is_private(name) and name not in own:
                if isinstance(scope, ast.JoinedStr):
                    continue  # a part of a text
                yield node.lineno, f"{name} is private to another package"
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from _uses(node, own, _within(node, foreign) if is_function else foreign)


def _home(value: ast.expr, foreign: dict[str, str]) -> str:
    """Return the package that an object surely is of, or nothing."""
    while isinstance(value, ast.Attribute):
        value = value.value
    return foreign.get(value.id, "") if isinstance(value, ast.Name) else ""


def _within(function: ast.AST, foreign: dict[str, str]) -> dict[str, str]:
    """Return the packages of names inside a function, which has arguments and variables of its own."""
    inside = dict(foreign)
    for node in ast.walk(function):
        match node:
            case ast.arg(arg=name, annotation=annotation):
                inside[name] = _of(annotation, foreign)
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation):
                inside[name] = _of(annotation, foreign)
    return inside


def _of(annotation: ast.expr | None, foreign: dict[str, str]) -> str:
    """Return the package of what is annotated so, or nothing."""
    match annotation:
        case ast.BinOp(left=left, right=ast.Constant(value=None)):
            return _of(left, foreign)
        case ast.Name() | ast.Attribute():
            home = _home(annotation, foreign)
            return "" if home in _NO_TYPES else home
    return ""
