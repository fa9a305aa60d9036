"""Endpoints read from a class instead of a client: as documentation tools and mocks read them."""

from __future__ import annotations

import inspect
import pydoc
from importlib import import_module
from typing import Any

import pytest

from gigachat import AsyncGigaChat, GigaChat
from gigachat.api.files import Files


@pytest.mark.parametrize("name", ["chat", "achat"])
def test_the_namespace_of_chats_is_called_like_a_method(name: str) -> None:
    chats = getattr(GigaChat(access_token="t"), name)
    assert list(inspect.signature(chats).parameters) == ["payload", "fields"]
    assert inspect.iscoroutinefunction(type(chats).__call__) is (name == "achat")


@pytest.mark.parametrize("kind", [GigaChat, AsyncGigaChat])
def test_signature_and_docstring_are_those_of_the_method(kind: Any) -> None:
    assert list(inspect.signature(kind.get_file).parameters) == ["self", "file"]
    assert list(inspect.signature(kind.upload_file).parameters) == ["self", "file", "purpose"]
    for method in (kind.get_file, kind.upload_file):
        assert "file" in method.__doc__
    assert inspect.iscoroutinefunction(kind.get_file) is (kind is AsyncGigaChat)


def test_a_method_of_a_class_without_a_mode_has_its_docstring() -> None:
    assert "file" in (Files.get_file.__doc__ or "")


@pytest.mark.parametrize(
    ("name", "purpose"),
    [
        ("chat", "Return the model's answer: "),
        ("achat", "Return the model's answer, awaited: "),
        ("assistants", "Create, list, change and delete assistants."),
        ("a_threads", "Create, read, run and delete threads, awaited."),
    ],
)
def test_the_help_of_a_namespace_begins_with_what_it_does(name: str, purpose: str) -> None:
    lines = pydoc.plain(pydoc.render_doc(getattr(GigaChat(access_token="token"), name))).splitlines()
    assert lines[3].endswith("Namespace(base_client: 'Resource[Any]') -> 'None'")
    assert lines[5].startswith(f" |  {purpose}")


@pytest.mark.parametrize("name", ["assistants", "threads"])
def test_a_namespace_is_of_the_class_of_0_2(name: str) -> None:
    giga, module = GigaChat(access_token="token"), import_module(f"gigachat.{name}")
    assert isinstance(getattr(giga, name), getattr(module, f"{name.title()}SyncClient"))
    assert isinstance(getattr(giga, f"a_{name}"), getattr(module, f"{name.title()}AsyncClient"))
