"""The public surface of 0.2.3, name by name: nothing may be missing, and each changed default is a documented decision.

`surface_0_2_3.json` was taken from the published package: per module its classes with their signatures, models with
their fields, exceptions with their bases, enum values, context variables and constants.
"""

from __future__ import annotations

import inspect
import json
from contextvars import ContextVar
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from pydantic import BaseModel

import gigachat

SURFACE: dict[str, Any] = json.loads((Path(__file__).parent / "surface_0_2_3.json").read_bytes())
for _names in SURFACE["modules"].values():
    _names.pop("TYPE_CHECKING", None)  # of `typing`: how a module was written, not what it offers
PAGES = [Path(__file__).parents[2] / "docs" / name for name in ("compatibility.md", "compatibility.ru.md")]

# Changed on purpose; the reasons stand in docs/compatibility.md.
CHANGED_CONSTANTS = {"BASE_URL"}
CHANGED_DEFAULTS = {
    ("Settings", "base_url"),
    ("Settings", "max_retries"),
    ("Settings", "timeout"),
}
# Defaults of 0.2.4a1, which adds nothing to a schema.
DEFAULTS_OF_0_2_4 = {
    ("FunctionParameters", "type_"),
    ("FunctionParametersProperty", "type_"),
    ("FunctionParametersProperty", "description"),
}


def _entries(kind: str) -> list[Any]:
    return [
        pytest.param(module, name, entry, id=f"{module}.{name}")
        for module, names in SURFACE["modules"].items()
        for name, entry in names.items()
        if kind in entry
    ]


def _found(module: str, name: str) -> Any:
    return getattr(import_module(module), name)


@pytest.mark.parametrize("name", SURFACE["exports"])
def test_the_package_exports_it(name: str) -> None:
    assert name in gigachat.__all__
    assert getattr(gigachat, name) is not None


@pytest.mark.parametrize("module", SURFACE["modules"])
def test_every_name_of_a_module_resolves(module: str) -> None:
    imported = import_module(module)
    missing = [name for name in SURFACE["modules"][module] if not hasattr(imported, name)]
    assert not missing


def _accepts(signature: inspect.Signature, old: list[list[Any]]) -> None:
    """Check that a call written for the old signature is a call of the new one."""
    new = list(signature.parameters.values())
    named = {parameter.name: parameter for parameter in new}
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in new)
    positional = [
        parameter.name
        for parameter in new
        if parameter.kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    ]
    known = {name for name, kind, _ in old if not kind.startswith("VAR_")}
    for place, (name, kind, default) in enumerate(old):
        if kind == "VAR_KEYWORD":
            assert takes_any
            continue
        if kind == "VAR_POSITIONAL":
            assert any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in new)
            continue
        if name == "self" and kind == "POSITIONAL_ONLY":
            continue
        assert name in named, f"argument {name} is gone"
        if kind == "POSITIONAL_OR_KEYWORD":
            assert named[name].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD, name
            assert positional.index(name) == place, f"argument {name} has another place"
        if default is not None:
            assert repr(named[name].default) == default, f"argument {name} has another default"
    for parameter in new:
        if parameter.name not in known and parameter.kind not in (
            inspect.Parameter.VAR_KEYWORD,
            inspect.Parameter.VAR_POSITIONAL,
        ):
            assert parameter.default is not inspect.Parameter.empty, f"argument {parameter.name} has to be given now"


@pytest.mark.parametrize(("module", "name", "entry"), _entries("methods"))
def test_a_class_has_its_methods_and_arguments(module: str, name: str, entry: dict[str, Any]) -> None:
    kind = _found(module, name)
    _accepts(inspect.signature(kind.__init__), entry["init"])
    for method, old in entry["methods"].items():
        assert hasattr(kind, method), method
        if old == "attribute":
            continue
        new = getattr(kind, method)
        # The coroutine of 0.2.3 must be one still: callers await it, and packages look.
        assert inspect.iscoroutinefunction(new) is old["coroutine"], method
        _accepts(inspect.signature(new), old["signature"])


@pytest.mark.parametrize(("module", "name", "entry"), _entries("fields"))
def test_a_model_has_its_fields(module: str, name: str, entry: dict[str, Any]) -> None:
    model = _found(module, name)
    assert issubclass(model, BaseModel)
    for field, (_, required, alias, default) in entry["fields"].items():
        assert field in model.model_fields, f"field {field} is gone"
        new = model.model_fields[field]
        if alias is not None:
            assert new.alias == alias
        if new.is_required():
            assert required, f"field {field} has to be given now"
        elif not required and (name, field) not in CHANGED_DEFAULTS | DEFAULTS_OF_0_2_4:
            made = new.get_default(call_default_factory=True, validated_data={})
            assert repr(made) == default, f"field {field} has another default"


def test_changed_defaults_are_changed_still() -> None:
    for name, field in CHANGED_DEFAULTS:
        old = SURFACE["modules"]["gigachat.settings"][name]["fields"][field][3]
        assert repr(_found("gigachat.settings", name).model_fields[field].default) != old


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_changed_defaults_are_documented(page: Path) -> None:
    text = page.read_text("utf-8")
    for _, field in CHANGED_DEFAULTS:
        assert f"| `{field}` |" in text


@pytest.mark.parametrize(("module", "name", "entry"), _entries("bases"))
def test_an_exception_is_still_what_it_was(module: str, name: str, entry: dict[str, Any]) -> None:
    kind = _found(module, name)
    assert set(entry["bases"]) <= {base.__name__ for base in kind.__mro__}
    _accepts(inspect.signature(kind.__init__), entry["init"])


@pytest.mark.parametrize(("module", "name", "entry"), _entries("values"))
def test_an_enum_has_its_values(module: str, name: str, entry: dict[str, Any]) -> None:
    kind = _found(module, name)
    assert issubclass(kind, Enum)
    assert {member.name: member.value for member in kind}.items() >= entry["values"].items()


@pytest.mark.parametrize(("module", "name", "entry"), _entries("contextvar"))
def test_a_context_variable_has_its_default(module: str, name: str, entry: dict[str, Any]) -> None:
    variable = _found(module, name)
    assert isinstance(variable, ContextVar)
    assert variable.name == entry["contextvar"]
    assert repr(variable.get()) == entry["default"]


@pytest.mark.parametrize(("module", "name", "entry"), _entries("constant"))
def test_a_constant_has_its_value(module: str, name: str, entry: dict[str, Any]) -> None:
    if name in CHANGED_CONSTANTS:
        assert _found(module, name) != entry["constant"]
        assert all(entry["constant"] in page.read_text("utf-8") for page in PAGES)
    else:
        assert _found(module, name) == entry["constant"]


def test_settings_refuse_unknown_fields_as_before() -> None:
    entry = SURFACE["modules"]["gigachat.settings"]["Settings"]
    assert entry["extra"] == _found("gigachat.settings", "Settings").model_config["extra"]


def test_a_type_alias_is_still_importable() -> None:
    from gigachat.models import JsonSchemaResponseFormat, ResponseFormat

    assert ResponseFormat == JsonSchemaResponseFormat | dict[str, Any]


def test_a_mock_of_the_client_takes_the_arguments_of_the_client() -> None:
    kind = gigachat.GigaChat
    for stand_in in (mock.create_autospec(kind, instance=True), mock.create_autospec(kind)(access_token="t")):
        stand_in.get_model("GigaChat")
        stand_in.embeddings(["x"], model="m")
        stand_in.stream(payload="x")
        stand_in.embeddings.assert_called_once_with(["x"], model="m")
        with pytest.raises(TypeError):
            stand_in.get_model()
        assert isinstance(stand_in.aget_model, mock.AsyncMock)


def test_an_override_in_between_is_kept() -> None:
    class Between(gigachat.GigaChat):
        def get_models(self) -> Any:  # pyright: ignore
            return "mine"

    class Last(Between):
        _mode = gigachat.GigaChat._mode

    assert Last(access_token="t").get_models() == "mine"


def test_what_is_called_shows_its_arguments() -> None:
    giga = gigachat.GigaChat(access_token="t")
    asynchronous = gigachat.AsyncGigaChat(access_token="t")
    for called in (giga.chat, giga.achat, asynchronous.chat, giga.chat.create, giga.stream, giga.achat_parse):
        assert callable(called)
        assert next(iter(inspect.signature(called).parameters)) == "payload"
    assert list(inspect.signature(giga.upload_file).parameters) == ["file", "purpose"]
