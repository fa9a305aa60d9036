"""Runs with the tools of real MCP servers, over both transports, in every mode and version."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gigachat import GigaChat, McpError, ToolError
from gigachat.mcp import McpTools
from gigachat.server import GigaChatServer
from gigachat.tools.runs import ToolCall
from tests.mcp.support import OFFICIAL, HttpReply, listed, opened, scripted, scripted_over_http
from tests.support.fixtures import VERSIONS, Version, each_of
from tests.wire.modes import Giga, Mode

version = each_of(VERSIONS)


async def run(giga: Giga, version: Version, question: str, **options: Any) -> Any:
    result = giga.client.chat_run(question, **options) if version == "v1" else giga.client.chat.run(question, **options)
    return await result if giga.mode.is_async else result


def ran(
    mode: Mode,
    version: Version,
    server: GigaChatServer,
    tools: McpTools,
    given: Callable[[McpTools], Any] = lambda tools: tools,
    **options: Any,
) -> Any:
    """Run with the tools of one server, and return the result."""

    async def whole() -> Any:
        async with mode.giga(**server.client_options) as giga, opened(mode, tools):
            return await run(giga, version, "?", tools=given(tools), **options)

    return mode.run(whole)


def described(server: GigaChatServer, version: Version, at: int = 0) -> dict[str, Any]:
    """Return the descriptions of functions that a chat sent, by name."""
    body = json.loads(server.requests_to("/chat/completions")[at].body)
    if version == "v1":
        functions = body["functions"]
    else:
        functions = [one for tool in body["tools"] for one in tool["functions"]["specifications"]]
    return {function["name"]: function for function in functions}


def test_a_run_calls_the_tools_of_a_server(
    mode: Mode, version: Version, server: GigaChatServer, official: str | Path
) -> None:
    server.reply_call("add", {"a": 1})
    server.reply_call("weather", {"place": {"city": "Псков"}})
    server.reply("Готово.")
    result = ran(mode, version, server, McpTools(official))
    assert result.text == "Готово."
    assert [step.content for step in result.steps] == ['{"result":3}', '{"city":"Псков","temperature":-3.0}']


def beside(number: int) -> int:
    return -number


@pytest.mark.slow
@pytest.mark.parametrize(
    "given",
    [lambda tools: tools, lambda tools: [beside, tools], lambda tools: [*tools, beside], lambda tools: (tools[0:1],)],
    ids=["alone", "beside others", "spread", "slice"],
)
def test_a_run_takes_the_tools_alone_and_beside_others(
    version: Version, server: GigaChatServer, given: Callable[[McpTools], Any]
) -> None:
    server.reply_call("add", {"a": 1})
    server.reply("3")
    result = ran(Mode("blocking"), version, server, McpTools(OFFICIAL), given)
    assert [step.content for step in result.steps] == ['{"result":3}']


@pytest.mark.slow
def test_a_chat_and_a_conversation_take_the_tools(mode: Mode, server: GigaChatServer) -> None:
    async def whole() -> Any:
        async with mode.giga(**server.client_options) as giga, opened(mode, McpTools(OFFICIAL)) as tools:
            await giga.do("chat", "?", functions=tools)
            talk = giga.client.conversation(tools=[tools])
            server.reply_call("add", {"a": 5})
            server.reply("7")
            said = talk.send("?")
            return await said if mode.is_async else said

    assert mode.run(whole).text == "7"
    assert "add" in described(server, "v1", 0)
    assert "add" in described(server, "v1", 1)


SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {"Place": {"type": "object", "properties": {"city": {"type": "string", "minLength": 1}}}},
    "properties": {
        "place": {"$ref": "#/$defs/Place"},
        "mode": {"anyOf": [{"const": "fast"}, {"type": "null"}], "default": None},
        "model_config": {"type": ["integer", "string"], "x-hint": [1, {"a": None}]},
    },
    "required": ["place"],
    "additionalProperties": False,
}


@pytest.mark.slow
def test_the_schema_is_sent_as_the_server_wrote_it(version: Version, server: GigaChatServer) -> None:
    tools = McpTools(scripted(tools=[{"name": "go", "title": "Go there", "inputSchema": SCHEMA}]))
    server.reply_call("go", {"place": {"city": "Псков"}, "model_config": 1, "self": [None]})
    server.reply("ok")
    result = ran(Mode("blocking"), version, server, tools)
    sent = described(server, version)["go"]
    assert sent["parameters"] == SCHEMA
    assert sent["description"] == "Go there"
    arguments = {"place": {"city": "Псков"}, "model_config": 1, "self": [None]}
    assert json.loads(result.steps[0].content)["arguments"] == arguments


@pytest.mark.slow
def test_the_error_of_a_tool_is_told_to_the_model(
    mode: Mode, version: Version, server: GigaChatServer, official: str | Path
) -> None:
    server.reply_call("fail", {"text": "the disk is full"})
    server.reply_call("add", {"a": "many"})
    server.reply("No.")
    failed, wrong = ran(mode, version, server, McpTools(official)).steps
    assert failed.content == '{"error": "the disk is full"}'
    assert "valid integer" in wrong.content
    server.reply_call("fail", {"text": "the disk is full"})
    with pytest.raises(ToolError, match=r"^the disk is full$"):
        ran(mode, version, server, McpTools(official), on_error="raise")


@pytest.mark.slow
def test_calls_of_one_answer_run_side_by_side(mode: Mode, server: GigaChatServer) -> None:
    server.reply_calls(*[("meet", {"count": 5})] * 5)
    server.reply("Met.")
    result = ran(mode, "v2", server, McpTools(OFFICIAL), max_repeats=5)
    assert [step.content for step in result.steps] == ['{"result":"met"}'] * 5


@pytest.mark.slow
def test_a_call_is_approved(mode: Mode, version: Version, server: GigaChatServer) -> None:
    asked: list[str] = []

    def approve(call: ToolCall) -> bool | str:
        asked.append(call.name)
        return call.name == "add" or "not this one"

    server.reply_call("add", {"a": 1})
    server.reply_call("die")
    server.reply("ok")
    result = ran(mode, version, server, McpTools(OFFICIAL, approve=approve))
    assert asked == ["add", "die"]
    assert [step.content for step in result.steps] == ['{"result":3}', '{"error": "not this one"}']
    with pytest.raises(ValueError, match="needs approval: give approve="):
        ran(mode, version, server, McpTools(OFFICIAL, approve=True))


@pytest.mark.slow
def test_a_server_that_dies_is_an_error_of_the_call(mode: Mode, version: Version, server: GigaChatServer) -> None:
    server.reply_call("die")
    server.reply_call("add", {"a": 1})
    server.reply("Broken.")
    died, after = ran(mode, version, server, McpTools(OFFICIAL, env={"SAID": "in /home/me"})).steps
    assert str(died.error).endswith("; its last lines on stderr: in /home/me")
    for step in (died, after):
        assert step.content == '{"error": "the MCP server of the tool has failed"}'  # without paths of this machine
        assert isinstance(step.error, McpError)
        assert "official_server.py: it has ended, or closed the connection" in str(step.error)


@pytest.mark.slow
def test_an_http_error_is_an_error_of_the_call(mode: Mode, version: Version, server: GigaChatServer) -> None:
    server.reply_call("a")
    server.reply_call("b")
    server.reply("Broken.")
    with scripted_over_http(tools=listed("a", "b"), replies={"a": HttpReply(500, body="in /home/me")}) as url:
        failed, after = ran(mode, version, server, McpTools(url)).steps
        server.reply_call("a")
        with pytest.raises(McpError, match=r"HTTP status 500 Internal Server Error$"):
            ran(mode, version, server, McpTools(url), on_error="raise")
    assert failed.content == '{"error": "the MCP server of the tool has failed"}'
    assert isinstance(failed.error, McpError)
    assert json.loads(after.content)["name"] == "b"


@pytest.mark.slow
def test_the_timeout_of_a_run_ends_a_call(mode: Mode, version: Version, server: GigaChatServer) -> None:
    server.reply_call("slow")
    server.reply_call("add", {"a": 1})
    server.reply("ok")
    late, after = ran(mode, version, server, McpTools(OFFICIAL), tool_timeout=0.5).steps
    assert "within 0.5 seconds" in late.content
    assert after.content in ('{"result":3}', late.content)  # on a busy machine


@pytest.mark.slow
def test_names_of_two_servers_get_prefixes(server: GigaChatServer) -> None:
    command = scripted(tools=listed("read"))
    with (
        McpTools(command) as one,
        McpTools(command) as two,
        McpTools(command, prefix="b_") as three,
        GigaChat(**server.client_options) as giga,
    ):
        with pytest.raises(ValueError, match=r"^two tools are called 'read': .*McpTools a prefix=$"):
            giga.chat_run("?", tools=[one, two])
        server.reply_call("b_read", {"x": 1})
        server.reply("ok")
        (step,) = giga.chat_run("?", tools=[one, three]).steps
        assert json.loads(step.content) == {"name": "read", "arguments": {"x": 1}}
