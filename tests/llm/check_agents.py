"""Does a real model call Python functions in runs, and continue a conversation?"""

from __future__ import annotations

from typing import Any, Literal

import pytest

from gigachat import GigaChat, RunDone, RunText, RunToolResult, tool

COOL: dict[str, Any] = {"temperature": 0.01, "max_tokens": 60}
QUESTION = "What is the weather in Paris today?"


@tool
def weather(city: Literal["Paris", "Rome"]) -> dict[str, object]:
    """Current weather in a city."""
    return {"city": city, "temperature": 21, "sky": "clear"}


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_tool_is_called_and_its_result_answered(giga: GigaChat, version: str) -> None:
    result: Any
    if version == "v1":
        forced = {"name": "weather"}
        result = giga.chat_run(QUESTION, tools=[weather], function_call=forced, max_steps=4, **COOL)
    else:
        result = giga.chat.run(QUESTION, tools=[weather], tool_config="weather", max_steps=4, **COOL)
    assert result.steps[0].call.name == "weather"
    assert result.steps[0].value["temperature"] == 21
    assert len(result.completions) > 1
    assert result.stop in ("answer", "max_steps", "length")
    assert result.usage.total_tokens > 0


def test_a_run_is_streamed(giga: GigaChat) -> None:
    with giga.chat_run_stream(QUESTION, tools=[weather], function_call={"name": "weather"}, max_steps=3, **COOL) as run:
        events = list(run)
    assert any(isinstance(event, RunToolResult) for event in events)
    assert isinstance(events[-1], RunDone)
    result = events[-1].result
    assert "".join(event.text for event in events if isinstance(event, RunText)).endswith(result.text)


def test_a_conversation_is_continued(giga: GigaChat) -> None:
    conversation = giga.conversation(system="Answer in one short sentence.", window=600, **COOL)
    for question in ("What is the largest ocean on Earth?", "Which is the second largest?", "Name a river in Europe."):
        assert conversation.send(question).text
    assert [message.role for message in conversation.messages][:3] == ["system", "user", "assistant"]
    assert conversation.usage.total_tokens > 0
