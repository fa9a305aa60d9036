"""The engine `script`: rules with several calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gigachat import GigaChat
from gigachat.server import GigaChatServer
from gigachat.server.engines.script import Scripted
from gigachat.server.orders.rules import rules_from_file


@pytest.mark.parametrize(("version", "called"), [("v1", ["weather"]), ("v2", ["weather", "time"])])
def test_a_rule_may_have_several_calls(tmp_path: Path, version: str, called: list[str]) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("- {calls: [{name: weather, arguments: {city: Псков}}, {name: time}], reasoning: Хм.}", "utf-8")
    with (
        GigaChatServer(tls=False, engine=Scripted(rules_from_file(file))) as server,
        GigaChat(**server.client_options) as giga,
    ):
        answer: Any = giga.chat("?") if version == "v1" else giga.chat.create("?")
        calls = [answer.choices[0].message.function_call] if version == "v1" else answer.function_calls
    assert [call.name for call in calls] == called
    assert calls[0].arguments == {"city": "Псков"}
    assert None not in [call.id for call in calls]
