"""The build hook of the wheel: it adds stubs for editors that do not evaluate descriptors, such as those with Jedi.

The stub of a module is the module without the bodies of its functions. In a class of a known mode, such as `GigaChat`,
each endpoint has its type in this mode: `def chat_run(...) -> Result` or `async def chat_run(...) -> Result`.

Only syntax trees are read: the build imports nothing of the package and needs none of its dependencies.
"""

from __future__ import annotations

import ast
import copy
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

Mode: TypeAlias = Literal["Blocking", "Async"]
Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Origin: TypeAlias = tuple[str, str | None]
"""A module, and the name in it; None for the module itself."""

FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
VARIANTS = ("async_variant", "overloaded_async_variant")
STREAMS = {"Blocking": "Stream", "Async": "AsyncStream"}
ITERATORS = {"Blocking": "Iterator", "Async": "AsyncIterator"}
FACTORIES = {"Blocking": "blocking", "Async": "awaited"}
"""Methods that return an object in a mode."""


class StubsHook(BuildHookInterface[Any]):
    """The hook, as hatchling finds it."""

    _folder: TemporaryDirectory[str]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the stubs to the files of the wheel. An editable installation has none: they would hide the source."""
        self._folder = TemporaryDirectory()
        if version == "editable":
            return
        source = Path(self.root, "src")
        for number, (path, text) in enumerate(stubs(source)):
            stub = Path(self._folder.name, f"{number}.pyi")
            stub.write_text(text, "utf-8")
            build_data["force_include"][str(stub)] = path.relative_to(source).with_suffix(".pyi").as_posix()

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the stubs."""
        self._folder.cleanup()


def stubs(source: Path) -> Iterator[tuple[Path, str]]:
    """Yield the paths of the modules that need a stub, and the stubs.

    Args:
        source: Folder of the package.
    """
    package = Package(source)
    for path in sorted(source.rglob("*.py")):
        module = package.module(".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__"))
        if any(mode_of(one) for one in module.defined.values() if isinstance(one, ast.ClassDef)):
            yield path, Stub(package, module).text()


class Module:
    """A module as a type checker reads it.

    Args:
        name: Its name.
        tree: Its syntax tree.

    Attributes:
        name: Its name.
        body: Its statements.
        defined: What it defines, by name.
        imported: What it imports, by the name that it has here.
    """

    def __init__(self, name: str, tree: ast.Module) -> None:
        self.name = name
        self.body = without_runtime(tree.body)
        self.defined = {name: one for one in self.body for name in names_of(one)}
        self.imported: dict[str, Origin] = {}
        for one in self.body:
            if isinstance(one, ast.Import):
                self.imported |= {alias.asname or alias.name: (alias.name, None) for alias in one.names}
            elif isinstance(one, ast.ImportFrom):
                self.imported |= {alias.asname or alias.name: (str(one.module), alias.name) for alias in one.names}

    def origin(self, name: str) -> Origin | None:
        """Return where a name of this module is from; None for a builtin."""
        return (self.name, name) if name in self.defined else self.imported.get(name)


class Package:
    """The modules of a package.

    Args:
        source: Folder of the package.
    """

    def __init__(self, source: Path) -> None:
        self._source = source
        self.module: Callable[[str], Module] = cache(self._read)

    def _read(self, name: str) -> Module:
        path = self._source.joinpath(*name.split("."))
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        return Module(name, ast.parse(file.read_bytes(), str(file)))

    def find(self, module: Module, name: str) -> tuple[Module, ast.stmt | None]:
        """Return the module that defines a name, and the definition; None if it is not of this package."""
        while name not in module.defined:
            home, original = module.imported.get(name, ("", None))
            if original is None or home.split(".")[0] != module.name.split(".")[0] or self._is_module(home, original):
                return module, None
            module, name = self.module(home), original
        return module, module.defined[name]

    def _is_module(self, home: str, name: str) -> bool:
        path = self._source.joinpath(*home.split("."), name)
        return path.is_dir() or path.with_suffix(".py").is_file()

    def classes(self, module: Module, node: ast.ClassDef) -> Iterator[tuple[Module, ast.ClassDef]]:
        """Yield a class and the classes of this package that it inherits from, in the order of the look-up."""
        yield module, node
        for base in node.bases:
            match base.value if isinstance(base, ast.Subscript) else base:
                case ast.Name(name):
                    home, found = self.find(module, name)
                case ast.Attribute(ast.Name(part), name) if part in module.imported:
                    home, found = self.find(self.module(".".join(map(str, module.imported[part]))), name)
                case _:
                    continue
            if isinstance(found, ast.ClassDef):
                yield from self.classes(home, found)

    def members(self, module: Module, node: ast.ClassDef) -> dict[str, tuple[Module, list[ast.stmt]]]:
        """Return the attributes of a class: each with its module and all its definitions, overloads among them."""
        found: dict[str, tuple[Module, list[ast.stmt]]] = {}
        for home, one in self.classes(module, node):
            own: dict[str, list[ast.stmt]] = {}
            for statement in one.body:
                for name in names_of(statement):
                    own.setdefault(name, []).append(statement)
            found = {name: (home, statements) for name, statements in own.items()} | found
        return found


class Stub:
    """The stub of a module.

    Args:
        package: Its package.
        module: The module.
    """

    def __init__(self, package: Package, module: Module) -> None:
        self._package = package
        self._module = module
        self._names: dict[str, Origin] = dict(module.imported)

    def text(self) -> str:
        """Return the stub."""
        body = [self._statement(one) for one in without_implementations(self._module.body) if is_kept(one)]
        used = {node.id for one in body for node in ast.walk(one) if isinstance(node, ast.Name)}
        imports = [import_of(name, origin) for name, origin in sorted(self._names.items()) if name in used]
        return ast.unparse(ast.fix_missing_locations(ast.Module([*imports, *body], []))) + "\n"

    def _statement(self, node: ast.stmt) -> ast.stmt:
        if isinstance(node, FUNCTION):
            made_function = copy.copy(node)
            made_function.args = self._arguments_of(self._module, node)
            made_function.body = body_of(docstring_of(node))
            return made_function
        if not isinstance(node, ast.ClassDef):
            return node
        body = [self._statement(one) for one in without_implementations(node.body)]
        if mode := mode_of(node):
            made = [*self._in_mode(node, mode)]
            names = {name for one in made for name in names_of(one)}
            body = [*(one for one in body if not names.intersection(names_of(one))), *made]
        made_class = copy.copy(node)
        made_class.body = body or [ast.Pass()]
        return made_class

    def _in_mode(self, node: ast.ClassDef, mode: Mode) -> Iterator[Function]:
        """Yield the methods and namespaces of a class of a mode."""
        for name, (home, statements) in self._package.members(self._module, node).items():
            if not name.startswith("_") or name == "__call__":
                yield from self._member(name, home, node, statements, mode)

    def _member(
        self, name: str, home: Module, owner: ast.ClassDef, statements: list[ast.stmt], mode: Mode
    ) -> Iterator[Function]:
        last = statements[-1]
        if isinstance(last, ast.Assign | ast.AnnAssign):
            match last.value:
                case ast.Name(other):  # another name of a method
                    place, definitions = self._package.members(self._module, owner).get(other, (home, []))
                    if definitions:
                        yield from self._member(name, place, owner, definitions, mode)
                case ast.Call(ast.Name(function), [ast.Attribute(ast.Name(kind), other)]) if function in VARIANTS:
                    place, found = self._package.find(home, kind)
                    assert isinstance(found, ast.ClassDef)
                    place, definitions = self._package.members(place, found)[other]
                    yield from self._member(name, place, found, definitions, "Async")
        elif isinstance(last, FUNCTION):
            decorator = decorator_of(last)
            if decorator.startswith("overloaded_"):
                functions = [one for one in statements[:-1] if isinstance(one, FUNCTION)]
                yield from self._overloads(name, home, functions, docstring_of(last), mode)
            elif decorator == "namespace":
                yield self._namespace(home, last, mode)
            elif returns := self._returns(home, decorator, last, mode):
                awaited = mode == "Async" and decorator in ("endpoint", "procedure")
                yield self._function(name, home, last, returns, awaited=awaited)
            elif not decorator and isinstance(last.returns, ast.Name) and last.returns.id == "Self":
                # Jedi takes `Self` for the class that defines the method.
                yield self._function(name, home, last, self._annotation(home, last.returns))

    def _returns(self, home: Module, decorator: str, function: Function, mode: Mode) -> ast.expr | None:
        """Return what a method returns in a mode; None if it is the same in all."""
        assert function.returns is not None
        match decorator:
            case "procedure":
                return self._annotation(home, function.returns)
            case "endpoint":
                return self._arguments(home, function.returns, "Call")[0]
            case "stream_endpoint":
                stream = self._import(STREAMS[mode], ("gigachat._engine.stream", STREAMS[mode]))
                return ast.Subscript(stream, ast.Tuple(self._arguments(home, function.returns, "StreamCall")))
            case "iterator_procedure":
                iterator = self._import(ITERATORS[mode], ("collections.abc", ITERATORS[mode]))
                return ast.Subscript(iterator, self._arguments(home, function.returns, "NextItems")[0])
            case "mode_endpoint":
                return self._made(home, function.returns, mode)
        return None

    def _arguments(self, home: Module, annotation: ast.expr, kind: str | None = None) -> list[ast.expr]:
        """Return the arguments of a generic type: of `kind`, or of the first that is no alias."""
        home, annotation = self._resolved(home, annotation, kind)
        if not isinstance(annotation, ast.Subscript):
            return []
        inner = annotation.slice
        return [self._annotation(home, one) for one in (inner.elts if isinstance(inner, ast.Tuple) else [inner])]

    def _resolved(self, home: Module, annotation: ast.expr, kind: str | None) -> tuple[Module, ast.expr]:
        """Return what an annotation is an alias of, and the module whose names it uses."""
        while isinstance(annotation, ast.Name) and annotation.id != kind:
            place, found = self._package.find(home, annotation.id)
            if not isinstance(found, ast.AnnAssign) or found.value is None:
                break
            home, annotation = place, found.value
        return home, annotation

    def _made(self, home: Module, annotation: ast.expr, mode: Mode) -> ast.expr:
        """Return what the object of an annotation makes in a mode."""
        place, resolved = self._resolved(home, annotation, None)
        name = resolved.value if isinstance(resolved, ast.Subscript) else resolved
        assert isinstance(name, ast.Name)
        place, node = self._package.find(place, name.id)
        assert isinstance(node, ast.ClassDef)
        method = self._package.members(place, node)[FACTORIES[mode]][1][-1]
        assert isinstance(method, FUNCTION)
        assert method.returns is not None
        generic = [base for base in node.bases if isinstance(base, ast.Subscript)]
        parameters = [one.id for base in generic for one in ast.walk(base.slice) if isinstance(one, ast.Name)]
        values = dict(zip(parameters, self._arguments(home, annotation), strict=True))
        return self._annotation(place, method.returns, values)

    def _namespace(self, home: Module, function: Function, mode: Mode) -> Function:
        """Return a namespace as a property whose type is the class of its mode."""
        assert isinstance(function.returns, ast.Subscript)
        kind, given = function.returns.value, function.returns.slice
        assert isinstance(kind, ast.Name)
        assert isinstance(given, ast.Name)
        place, found = self._package.find(home, kind.id)
        assert isinstance(found, ast.ClassDef)
        base = f"{found.name}[{mode if given.id == 'Mode' else given.id}]"
        for one in place.defined.values():
            if isinstance(one, ast.ClassDef) and base in map(ast.unparse, one.bases):
                returns = self._import(one.name, (place.name, one.name))
                made = self._function(function.name, home, function, returns)
                made.decorator_list = [ast.Name("property")]
                return made
        raise LookupError(f"no class has the base {base}")

    def _overloads(
        self, name: str, home: Module, functions: Iterable[Function], doc: str | None, mode: Mode
    ) -> Iterator[Function]:
        chosen = [one for one in functions if f"Resource[{mode}]" == ast.unparse(one.args.args[0].annotation or one)]
        for function in chosen:
            awaited, returns = False, function.returns
            if isinstance(returns, ast.Subscript) and ast.unparse(returns.value) == "Coroutine":
                assert isinstance(returns.slice, ast.Tuple)
                awaited, returns = True, returns.slice.elts[-1]
            assert returns is not None
            made = self._function(name, home, function, self._annotation(home, returns), doc, awaited=awaited)
            if len(chosen) > 1:
                made.decorator_list = [self._import("overload", ("typing", "overload"))]
            yield made

    def _function(
        self,
        name: str,
        home: Module,
        function: Function,
        returns: ast.expr,
        doc: str | None = None,
        *,
        awaited: bool = False,
    ) -> Function:
        """Return a method of this module, made of one of another module."""
        arguments = self._arguments_of(home, function)
        arguments.args[0].annotation = None
        kind = ast.AsyncFunctionDef if awaited else ast.FunctionDef
        body = body_of(doc or docstring_of(function))
        return kind(name=name, args=arguments, body=body, decorator_list=[], returns=returns)

    def _arguments_of(self, home: Module, function: Function) -> ast.arguments:
        """Return the arguments of a function, without those of the type Never, which exist for clearer errors."""
        arguments: ast.arguments = _Localized(self, home).visit(copy.deepcopy(function.args))
        if is_never(arguments.vararg):
            arguments.vararg = None
        if is_never(arguments.kwarg):
            arguments.kwarg = None
        return arguments

    def _annotation(self, home: Module, annotation: ast.expr, values: Mapping[str, ast.expr] | None = None) -> ast.expr:
        """Return an annotation of another module with the names that it has in this one.

        Args:
            home: The other module.
            annotation: The annotation.
            values: What is written instead of type variables.
        """
        localized: ast.expr = _Localized(self, home, values).visit(copy.deepcopy(annotation))
        return localized

    def name(self, home: Module, name: str) -> ast.expr:
        """Return a name of another module as this module writes it: a constant as its value."""
        _, found = self._package.find(home, name)
        if isinstance(found, ast.Assign) and isinstance(found.value, ast.Constant):
            return found.value
        origin = home.origin(name)
        return ast.Name(name) if origin is None else self._import(name, origin)

    def _import(self, name: str, origin: Origin) -> ast.Name:
        """Return the name that something has in this module, which imports it if needed."""
        if origin[0] == self._module.name and origin[1] is not None:
            return ast.Name(origin[1])
        for known, its_origin in self._names.items():
            if its_origin == origin:
                return ast.Name(known)
        if name in self._names or name in self._module.defined:
            raise ValueError(f"{self._module.name} has two names {name}: import one of them under another name")
        self._names[name] = origin
        return ast.Name(name)


class _Localized(ast.NodeTransformer):
    def __init__(self, stub: Stub, home: Module, values: Mapping[str, ast.expr] | None = None) -> None:
        self._stub, self._home, self._values = stub, home, values or {}

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._values.get(node.id) or self._stub.name(self._home, node.id)


def without_runtime(body: Iterable[ast.stmt]) -> list[ast.stmt]:
    """Return statements as a type checker reads them: without conditions on `TYPE_CHECKING`, also in classes."""
    kept: list[ast.stmt] = []
    for one in body:
        if isinstance(one, ast.If) and ast.unparse(one.test) in ("TYPE_CHECKING", "not TYPE_CHECKING"):
            kept += without_runtime(one.body if isinstance(one.test, ast.Name) else one.orelse)
            continue
        if isinstance(one, ast.ClassDef):
            one.body = without_runtime(one.body)
        kept.append(one)
    return kept


def without_implementations(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield statements without the implementations of overloads, which a stub must not have."""
    overloaded: set[str] = set()
    for one in body:
        if isinstance(one, FUNCTION):
            if any(ast.unparse(decorator) == "overload" for decorator in one.decorator_list):
                overloaded.add(one.name)
            elif one.name in overloaded:
                continue
        yield one


def is_kept(node: ast.stmt) -> bool:
    """Return whether a stub has a statement of a module: a class, a public function, a type or its `__all__`."""
    names = [*names_of(node)]
    return isinstance(node, ast.ClassDef) or any(not name.startswith("_") or name == "__all__" for name in names)


def names_of(node: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement defines."""
    match node:
        case ast.ClassDef(name) | ast.FunctionDef(name) | ast.AsyncFunctionDef(name):
            yield name
        case ast.AnnAssign(ast.Name(name)):
            yield name
        case ast.Assign(targets):
            yield from (target.id for target in targets if isinstance(target, ast.Name))


def mode_of(node: ast.ClassDef) -> Mode | None:
    """Return the mode that a class sets."""
    for one in node.body:
        match one:
            case ast.Assign([ast.Name("_mode")], ast.Name("Blocking")):
                return "Blocking"
            case ast.Assign([ast.Name("_mode")], ast.Name("Async")):
                return "Async"
    return None


def decorator_of(function: Function) -> str:
    """Return the name of the only decorator of a function; empty if there is none."""
    return ast.unparse(function.decorator_list[0]) if function.decorator_list else ""


def docstring_of(function: Function) -> str | None:
    """Return the docstring of a function as it is written, with its indentation."""
    return ast.get_docstring(function, clean=False)


def body_of(doc: str | None) -> list[ast.stmt]:
    """Return the body of a function in a stub."""
    return [ast.Expr(ast.Constant(doc if doc else ...))]


def is_never(argument: ast.arg | None) -> bool:
    """Return whether no value fits an argument."""
    return argument is not None and argument.annotation is not None and ast.unparse(argument.annotation) == "Never"


def import_of(name: str, origin: Origin) -> ast.stmt:
    """Return the import of a name."""
    module, original = origin
    if original is None:
        return ast.Import([ast.alias(module, None if name == module else name)])
    return ast.ImportFrom(module, [ast.alias(original, None if name == original else name)], 0)
