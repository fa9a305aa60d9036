"""The public surface of a client: what code can name in it, and whether the client imported here has it too.

A surface is written as in `surface_0_2_3.json`: per module its classes with their signatures, models with their fields,
exceptions with their bases, enum values, context variables and constants. As a program it prints the surface of the
`gigachat` that it imports, which need not be ours.
"""

from __future__ import annotations

import inspect
import json
import pkgutil
import sys
from collections.abc import Iterator
from contextvars import Context, ContextVar
from enum import Enum
from importlib import import_module
from types import ModuleType
from typing import Any

from pydantic import BaseModel

INTERNAL = {
    *("api", "authentication", "retry"),  # modules of the vendor's client that are no part of its surface
    *("cli", "llm_plugin"),  # the command, and what only the command `llm` can import
}

# Changed on purpose; docs/compatibility.md has the reasons.
CHANGED_CONSTANTS = {"BASE_URL"}
CHANGED_DEFAULTS = {("Settings", "base_url"), ("Settings", "max_retries"), ("Settings", "timeout")}

# Where the defaults of 0.2.3 and 0.2.4a1 differ, the newer one holds.
NEWER_DEFAULTS = {
    ("FunctionParameters", "type_"): "None",
    ("FunctionParametersProperty", "type_"): "None",
    ("FunctionParametersProperty", "description"): "None",
}


def taken() -> dict[str, Any]:
    """Return the surface of the `gigachat` that is imported here, without its internal modules."""
    package = import_module("gigachat")
    names = [module.name for module in pkgutil.walk_packages(package.__path__, "gigachat.", onerror=lambda _: None)]
    kept = [name for name in names if not any(part.startswith("_") or part in INTERNAL for part in name.split("."))]
    modules = {name: _names(import_module(name)) for name in ["gigachat", *kept, "gigachat._types"]}
    return {"exports": sorted(package.__all__), "modules": modules}


def _names(module: ModuleType) -> dict[str, Any]:
    public = [name for name in dir(module) if not name.startswith("_")]
    return {name: entry for name in public if (entry := _entry(getattr(module, name)))}


def _entry(value: Any) -> dict[str, Any] | None:
    if isinstance(value, ContextVar):
        return {"contextvar": value.name, "default": repr(_unset(value))}
    if isinstance(value, str | int):
        return {"constant": value}
    if not isinstance(value, type) or not value.__module__.startswith("gigachat"):
        return None
    if issubclass(value, Enum):
        return {"values": {member.name: member.value for member in value}}
    if issubclass(value, BaseModel):
        return {"extra": value.model_config.get("extra"), "fields": _fields(value)}
    if issubclass(value, BaseException):
        return {"bases": [base.__name__ for base in value.__mro__], "init": _signature(value.__init__)}
    own = [name for kind in value.__mro__ if kind.__module__.startswith("gigachat") for name in vars(kind)]
    methods = {name: _method(value, name) for name in own if not name.startswith("_")}
    return {"init": _signature(value.__init__), "methods": methods}


def _unset(variable: ContextVar[Any]) -> Any:
    """Return the value that a context variable has where nothing has set it."""
    try:
        return Context().run(variable.get)
    except LookupError:
        return None


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    return {
        name: [str(field.annotation), field.is_required(), field.alias, repr(_default(field))]
        for name, field in model.model_fields.items()
    }


def _default(field: Any) -> Any:
    return None if field.is_required() else field.get_default(call_default_factory=True, validated_data={})


def _method(owner: type, name: str) -> dict[str, Any]:
    value = inspect.getattr_static(owner, name)
    if isinstance(value, property) or not callable(getattr(owner, name)):
        return {"property": True}
    return {
        "coroutine": inspect.iscoroutinefunction(getattr(owner, name)),
        "signature": _signature(getattr(owner, name)),
    }


def _signature(function: Any) -> list[list[Any]]:
    empty = inspect.Parameter.empty
    return [
        [parameter.name, parameter.kind.name, None if parameter.default is empty else repr(parameter.default)]
        for parameter in inspect.signature(function).parameters.values()
    ]


def compared(surface: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Compare each name of a surface with the client imported here.

    Yields:
        The name, and what differs: empty text where nothing does.
    """
    package = import_module("gigachat")
    for name in surface["exports"]:
        yield f"gigachat.{name}", "" if name in package.__all__ and hasattr(package, name) else "is not exported"
    for module, names in surface["modules"].items():
        for name, entry in names.items():
            if name != "TYPE_CHECKING":  # of `typing`: how a module was written, not what it offers
                yield from compared_name(module, name, entry)


def compared_name(module: str, name: str, entry: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Compare one name of a module, as `compared` does."""
    place = f"{module}.{name}"
    try:
        ours = getattr(import_module(module), name)
    except (ImportError, AttributeError):
        yield place, "is gone"
        return
    yield place, _whole(name, ours, entry)
    if "init" in entry:
        yield f"{place}.__init__", _call(inspect.signature(ours.__init__), entry["init"])
    for method, old in entry.get("methods", {}).items():
        yield f"{place}.{method}", _of_class(ours, method, old)
    for field, old in entry.get("fields", {}).items():
        yield f"{place}.{field}", _of_model(ours, name, field, old)


def _whole(name: str, ours: Any, entry: dict[str, Any]) -> str:
    """Say what differs in a name itself, apart from its parts."""
    match entry:
        case {"bases": bases} if not set(bases) <= {base.__name__ for base in ours.__mro__}:
            return "has other bases"
        case {"values": values} if not {member.name: member.value for member in ours}.items() >= values.items():
            return "has other values"
        case {"contextvar": variable} if variable != ours.name:
            return "has another name"
        case {"contextvar": _, "default": str(default)} if repr(_unset(ours)) != default:
            return "has another default"
        case {"constant": value} if value != ours and name not in CHANGED_CONSTANTS:
            return "has another value"
    return ""


def _of_class(ours: type, method: str, old: Any) -> str:
    """Say what differs in a method or an attribute of a class."""
    if not hasattr(ours, method):
        return "is gone"
    if old == "attribute" or "property" in old:
        return ""
    new = getattr(ours, method)
    if inspect.iscoroutinefunction(new) is not old["coroutine"]:  # callers await it, and packages look
        return "is a coroutine function no longer" if old["coroutine"] else "is a coroutine function now"
    return _call(inspect.signature(new), old["signature"])


def _of_model(ours: type[BaseModel], model: str, field: str, old: list[Any]) -> str:
    """Say what differs in a field of a model."""
    _, required, alias, default = old
    default = NEWER_DEFAULTS.get((model, field), default)
    new = ours.model_fields.get(field)
    if new is None:
        return "is gone"
    if alias is not None and new.alias != alias:
        return "has another alias"
    if new.is_required():
        return "" if required else "has to be given now"
    if required or (model, field) in CHANGED_DEFAULTS or repr(_default(new)) == default:
        return ""
    return f"has the default {_default(new)!r} instead of {default}"


def _call(signature: inspect.Signature, old: list[list[Any]]) -> str:
    """Say why a call written for an old signature is no call of the new one."""
    new = signature.parameters
    kinds = {parameter.kind.name for parameter in new.values()}
    positional = [name for name, parameter in new.items() if parameter.kind.name.startswith("POSITIONAL_")]
    for place, (name, kind, default) in enumerate(old):
        if kind.startswith("VAR_"):
            if kind not in kinds:
                return f"takes no *{name} any longer"
        elif name == "self" and kind == "POSITIONAL_ONLY":
            continue
        elif name not in new:
            return f"has no argument {name} any longer"
        elif kind == "POSITIONAL_OR_KEYWORD" and (new[name].kind.name != kind or positional.index(name) != place):
            return f"has the argument {name} in another place"
        elif default is not None and repr(new[name].default) != default:
            return f"has another default of the argument {name}"
    known = {name for name, _, _ in old}
    for name, parameter in new.items():
        if name not in known and not parameter.kind.name.startswith("VAR_") and parameter.default is parameter.empty:
            return f"wants the argument {name} now"
    return ""


if __name__ == "__main__":
    json.dump(taken(), sys.stdout)
