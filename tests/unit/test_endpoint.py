"""Endpoints as those see them who look at a class instead of a client."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from gigachat import AsyncGigaChat, GigaChat
from gigachat.api.chat import ChatNamespace
from gigachat.api.files import Files
from tests.unit.world import World


def test_a_method_of_a_class_without_a_mode_is_called_in_the_mode_of_the_client(world: World) -> None:
    method: Any = vars(ChatNamespace)["__call__"]
    giga = world.client()
    if world.colour == "blocking":
        assert method(giga.chat, "x").choices[0].message.content == "Hello."
        assert list(inspect.signature(giga.chat).parameters) == ["payload", "fields"]
    else:
        assert list(inspect.signature(method).parameters) == ["self", "payload", "fields"]


@pytest.mark.parametrize("kind", [Files, GigaChat, AsyncGigaChat])
def test_signature_and_docstring_are_those_of_the_method(kind: Any) -> None:
    assert list(inspect.signature(kind.get_file).parameters) == ["self", "file"]
    assert list(inspect.signature(kind.upload_file).parameters) == ["self", "file", "purpose"]
    for method in (kind.get_file, kind.upload_file):
        assert "file" in method.__doc__
    assert inspect.iscoroutinefunction(kind.get_file) is (kind is AsyncGigaChat)
