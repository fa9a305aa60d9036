"""The public surfaces of 0.2.3 and 0.2.4a1: nothing may be missing, and each changed default is a documented decision.

`surface_0_2_3.json` and `surface_0_2_4a1.json` were taken from the published packages; `surface` says how they are
written.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

import gigachat
from gigachat import settings
from tests.compat.surface import CHANGED_CONSTANTS, CHANGED_DEFAULTS, NEWER_DEFAULTS, compared, compared_name, taken

FOLDER = Path(__file__).parent
SURFACES: dict[str, dict[str, Any]] = {
    file.stem.removeprefix("surface_"): json.loads(file.read_bytes()) for file in FOLDER.glob("surface_*.json")
}
PAGES = [FOLDER.parents[1] / "docs" / name for name in ("compatibility.md", "compatibility.ru.md")]
NAMES = [
    pytest.param(module, name, entry, id=f"{version}-{module}.{name}")
    for version, surface in SURFACES.items()
    for module, names in surface["modules"].items()
    for name, entry in names.items()
    if name != "TYPE_CHECKING"
]


def differences(module: str, name: str, entry: dict[str, Any]) -> list[str]:
    return [f"{place} {difference}" for place, difference in compared_name(module, name, entry) if difference]


@pytest.mark.parametrize("version", SURFACES)
def test_the_package_exports_what_it_did(version: str) -> None:
    for name in SURFACES[version]["exports"]:
        assert name in gigachat.__all__
        assert getattr(gigachat, name) is not None


@pytest.mark.parametrize(("module", "name", "entry"), NAMES)
def test_a_name_is_what_it_was(module: str, name: str, entry: dict[str, Any]) -> None:
    assert differences(module, name, entry) == []


@pytest.mark.parametrize(
    ("module", "name", "entry", "difference"),
    [
        ("gigachat.models", "Chats", {}, "is gone"),
        ("gigachat.models", "Chat", {"fields": {"prompt": ["str", False, None, "None"]}}, "is gone"),
        ("gigachat.models", "Chat", {"fields": {"model": ["str", False, "name", "None"]}}, "has another alias"),
        (
            "gigachat.models",
            "Chat",
            {"fields": {"model": ["str", False, None, "1"]}},
            "instead of 1",
        ),
        ("gigachat.models", "Chat", {"fields": {"messages": ["list", False, None, "[]"]}}, "has to be given now"),
        ("gigachat.models", "MessagesRole", {"values": {"TOOL": "tool"}}, "has other values"),
        (
            "gigachat.context",
            "chat_url_cvar",
            {"contextvar": "chat_url_cvar", "default": "None"},
            "has another default",
        ),
        ("gigachat.context", "chat_url_cvar", {"contextvar": "chat", "default": None}, "has another name"),
        ("gigachat.settings", "SCOPE", {"constant": "GIGACHAT_API_CORP"}, "has another value"),
        ("gigachat.exceptions", "GigaChatException", {"bases": ["OSError"]}, "has other bases"),
        ("gigachat", "GigaChat", {"methods": {"ask": {"property": True}}}, "is gone"),
        ("gigachat", "GigaChat", {"methods": {"get_model": {"coroutine": True, "signature": []}}}, "is a coroutine"),
    ],
)
def test_a_difference_is_found(module: str, name: str, entry: dict[str, Any], difference: str) -> None:
    [found] = differences(module, name, entry)
    assert difference in found


@pytest.mark.parametrize(
    ("signature", "difference"),
    [
        ([["model", "POSITIONAL_OR_KEYWORD", None]], "has the argument model in another place"),
        ([["self", "POSITIONAL_OR_KEYWORD", None]], "wants the argument model now"),
        ([["self", "POSITIONAL_ONLY", None], ["name", "KEYWORD_ONLY", None]], "has no argument name any longer"),
        ([["model", "KEYWORD_ONLY", "'GigaChat'"]], "has another default of the argument model"),
        ([["model", "KEYWORD_ONLY", None], ["options", "VAR_KEYWORD", None]], "takes no *options any longer"),
    ],
)
def test_a_different_call_is_found(signature: list[list[Any]], difference: str) -> None:
    entry = {"methods": {"get_model": {"coroutine": False, "signature": signature}}}
    [found] = differences("gigachat", "GigaChat", entry)
    assert found == f"gigachat.GigaChat.get_model {difference}"


def test_our_own_surface_holds() -> None:
    assert [line for line in compared(taken()) if line[1]] == []


def test_changed_defaults_are_changed_still() -> None:
    for name, field in CHANGED_DEFAULTS:
        old = SURFACES["0_2_3"]["modules"]["gigachat.settings"][name]["fields"][field][3]
        assert repr(getattr(settings, name).model_fields[field].default) != old


def test_newer_defaults_are_those_of_the_newer_surface() -> None:
    older, newer = (SURFACES[version]["modules"]["gigachat.models"] for version in ("0_2_3", "0_2_4a1"))
    differ = {
        (name, field): newer[name]["fields"][field][3]
        for name, entry in older.items()
        for field, (_, _, _, default) in entry.get("fields", {}).items()
        if field in newer[name]["fields"] and newer[name]["fields"][field][3] != default
    }
    assert differ == NEWER_DEFAULTS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_changes_are_documented(page: Path) -> None:
    text = page.read_text("utf-8")
    for name, field in NEWER_DEFAULTS:
        assert f"| `{name}.{field}` |" in text
    for _, field in CHANGED_DEFAULTS:
        assert f"| `{field}` |" in text
    for name in CHANGED_CONSTANTS:
        old = SURFACES["0_2_3"]["modules"]["gigachat.settings"][name]["constant"]
        assert getattr(settings, name) != old
        assert old in text


def test_settings_refuse_unknown_fields_as_before() -> None:
    entry = SURFACES["0_2_3"]["modules"]["gigachat.settings"]["Settings"]
    assert entry["extra"] == settings.Settings.model_config.get("extra")


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
