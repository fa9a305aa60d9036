"""Endpoints read from a class instead of a client: as documentation tools and mocks read them."""

from __future__ import annotations

import inspect
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
