"""Names of tools, and arguments of `McpTools` that are refused before a server starts."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from gigachat import ConfigurationError, McpError, ToolArgumentsError
from gigachat.mcp import McpTools
from tests.mcp.support import OFFICIAL, call, listed, named, opened, scripted
from tests.support.waiting import until
from tests.wire.modes import Mode

pytestmark = pytest.mark.costly

ODD = listed("files/read", "2fa", "get_weather", "user.find-all")


def names(tools: McpTools) -> list[str]:
    with tools:
        return [tool.name for tool in tools]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["files_read", "_2fa", "get_weather", "user.find-all"]),
        ({"prefix": "my-"}, ["my-files_read", "my-2fa", "my-get_weather", "my-user.find-all"]),
        ({"allow": ["2fa", "files/read"]}, ["files_read", "_2fa"]),
        ({"allow": lambda name: "_" in name}, ["get_weather"]),
        ({"allow": ()}, []),
    ],
    ids=["changed", "prefix", "list", "function", "none"],
)
def test_names_and_choice_of_tools(options: dict[str, Any], expected: list[str]) -> None:
    assert names(McpTools(scripted(tools=ODD), **options)) == expected


@pytest.mark.parametrize(("allow", "warns"), [(None, True), (lambda name: name != "t0", False)], ids=["all", "128"])
def test_a_long_list_of_tools_is_a_warning(caplog: pytest.LogCaptureFixture, allow: Any, warns: bool) -> None:
    many = listed(*(f"t{number}" for number in range(129)))
    assert len(names(McpTools(scripted(tools=many), allow=allow))) == (129 if warns else 128)
    warning = "MCP server python scripted_server.py: all 129 tools are sent with each request: choose"
    said = [record.getMessage().replace(Path(sys.executable).name, "python") for record in caplog.records]
    assert [one.startswith(warning) for one in said if "each request" in one] == [True] * warns


def test_a_changed_name_calls_the_tool_of_the_server() -> None:
    with McpTools(scripted(tools=ODD), prefix="x") as tools:
        assert named(tools, "xfiles_read")(path="a") == '{"name": "files/read", "arguments": {"path": "a"}}'


@pytest.mark.parametrize("value", ["\ud800", object()], ids=["half a surrogate pair", "object"])
def test_an_argument_without_a_json_form_ends_no_connection(official: str | Path, value: object) -> None:
    with McpTools(official) as tools:
        variable = named(tools, "variable")
        with pytest.raises(ToolArgumentsError, match=r"^variable: an argument has no JSON form: "):
            variable(name=value)
        assert variable(name="NOT_THERE") == "unset"


def test_an_argument_may_have_any_name() -> None:
    arguments = {name: name for name in ("self", "name", "arguments", "connection", "with space")}
    with McpTools(scripted(tools=listed("a"))) as tools:
        assert json.loads(tools[0](**arguments)) == {"name": "a", "arguments": arguments}


@pytest.mark.parametrize(
    ("tool", "result", "says"),
    [
        ({"name": "a"}, {}, "its response is invalid: tools[0].inputSchema: is missing"),
        (listed("a")[0], {}, "its response is invalid: content: is missing"),
        ({**listed("a")[0], "outputSchema": {"type": "object"}}, {"content": []}, "did not return structured content"),
    ],
    ids=["tool", "result", "structured content"],
)
def test_an_invalid_response(tool: dict[str, Any], result: dict[str, Any], says: str) -> None:
    with pytest.raises(McpError) as error, McpTools(scripted(tools=[tool], results={"a": result})) as tools:
        tools[0]()
    assert says in str(error.value)


@pytest.mark.parametrize(
    "changes",
    [{"inputSchema": {}}, {"inputSchema": {"type": "string"}}, {"inputSchema": None}, {"description": 5}],
    ids=["empty schema", "type", "no schema", "description"],
)
def test_an_invalid_tool_is_named(changes: dict[str, Any]) -> None:
    tools = [*listed("a"), {"name": "odd", "inputSchema": {"type": "object"}, **changes}]
    with pytest.raises(McpError) as error:
        names(McpTools(scripted(tools=tools)))
    assert ": its response is invalid: tools[1]." in str(error.value)
    assert " (tool 'odd'): report it to the author of the server" in str(error.value)


def test_an_invalid_tool_without_a_name() -> None:
    with pytest.raises(McpError, match=r"tools\[0\].name: is missing: report it to the author of the server"):
        names(McpTools(scripted(tools=[{"inputSchema": {"type": "object"}}])))


def test_a_list_of_several_pages_is_read() -> None:
    many = [f"tool{number}" for number in range(250)]
    assert names(McpTools(scripted(tools=listed(*many), pages=7))) == many


@pytest.mark.parametrize(
    ("tools", "options", "says"),
    [
        (listed("погода"), {}, "would refuse the name 'погода', which has no Latin letters or digits: leave the tool"),
        (listed("a/b", "a:b"), {}, "'a/b' and 'a:b' would both be called 'a_b': leave one of them out by allow="),
        (listed("a", "b", "a"), {}, "two of its tools are called 'a': leave them out by allow="),
        (ODD, {"allow": ["get_wether"]}, "has no tool 'get_wether': did you mean 'get_weather'?"),
        (listed("a"), {"allow": {"xyz"}}, "has no tool 'xyz': its tools are a"),
    ],
)
def test_names_that_cannot_be_used(tools: list[dict[str, Any]], options: dict[str, Any], says: str) -> None:
    refused = McpTools(scripted(tools=tools), **options)
    with pytest.raises(ConfigurationError) as error:
        refused.open()
    assert says in str(error.value)
    assert "closed" in repr(refused)


def test_tools_of_the_same_name_can_be_left_out() -> None:
    assert names(McpTools(scripted(tools=listed("a", "b", "a")), allow=["b"])) == ["b"]


def test_a_list_without_an_end_is_refused() -> None:
    with pytest.raises(McpError, match=r"scripted_server.py: its list of tools has more than 1000 pages"):
        names(McpTools(scripted(tools=listed(*map(str, range(1001))), pages=1)))


def test_refresh_reads_the_list_again(official: str | Path) -> None:
    new = f"new{id(object())}"
    with McpTools(official) as tools:
        named(tools, "another")(name=new)
        tools.refresh()
        assert named(tools, new)() == {"result": ["one", "two"]}


def test_a_list_that_cannot_be_read_again(mode: Mode) -> None:
    async def refresh(tools: McpTools) -> None:
        await tools.arefresh() if mode.is_async else tools.refresh()

    async def main() -> None:
        async with opened(mode, McpTools(scripted(tools=listed("a"), lists_once=True))) as tools:
            with pytest.raises(McpError, match=r"^MCP server \S+ scripted_server.py: the list is lost$"):
                await refresh(tools)
            assert [tool.name for tool in tools] == ["a"]
        async with opened(mode, McpTools(OFFICIAL)) as tools:
            with pytest.raises(McpError):
                await call(mode, tools, "die")
            with pytest.raises(McpError, match="it has ended, or closed the connection"):
                await refresh(tools)

    mode.run(main)


@pytest.mark.parametrize(
    ("server", "options", "says"),
    [
        ("", {}, "the command of an MCP server is a list of texts, the program first"),
        ([], {}, "the command of an MCP server is a list of texts"),
        (["python", 1], {}, "the command of an MCP server is a list of texts"),
        (["a\0b"], {}, "the command of an MCP server is a list of texts"),
        (5, {}, "an MCP server is a command, a script's path or a URL, not int"),
        ('python "x', {}, "No closing quotation"),
        ("ws://host/mcp", {}, "the URL of an MCP server begins with http:// or https://"),
        ("http:///mcp", {}, "the URL of an MCP server has no host"),
        ("http://host:port/mcp", {}, "has an invalid port: percent-encode '/', '?' and '#' in a password"),
        ("http://host:99999/mcp", {}, "has an invalid port"),
        ("https://user:4711s/word@host/mcp", {}, "has an invalid port"),
        ("https://user:4711s?word@host/mcp", {}, "has an invalid port"),
        ("https://user:4711s#word@host/mcp", {}, "has an invalid port"),
        ("https://user:[4711]@host/mcp", {}, "is invalid: percent-encode"),
        ("https://user:4711[@host/mcp", {}, "is invalid: percent-encode"),
        ("https://user:4711\u2100@host/mcp", {}, "is invalid: percent-encode"),
        ("http://host/a b", {}, "contains spaces"),
        ("http://host", {"env": {}}, "env= and cwd= are options of a command"),
        ("http://host", {"headers": {"a b": "c"}}, "'a b' is not a header name"),
        ("http://host", {"headers": {"a": "т4711"}}, "the value of a contains"),
        ("x", {"headers": {}}, "headers= is an option of a URL"),
        ("x", {"env": {"A": 4711}}, "env= is a mapping of texts"),
        ("x", {"env": {"A=B": "4711"}}, "cannot be in an environment"),
        ("x", {"env": ["A"]}, "env must be a mapping"),
        ("x", {"cwd": "/no/such/folder"}, "cwd= is no folder: /no/such/folder"),
        ("x", {"prefix": "мой_"}, "prefix= has Latin letters"),
        ("x", {"prefix": "1"}, "prefix= has Latin letters"),
        ("x", {"allow": "read"}, "allow= is a list of names"),
        ("x", {"approve": "yes"}, "approve= is True, False or a function"),
        ("x", {"timeout": 0}, "timeout= is a positive number of seconds"),
        ("x", {"startup_timeout": True}, "startup_timeout= is a positive number of seconds"),
        ("x", {"timeout": float("nan")}, "timeout= is a positive number of seconds"),
    ],
)
def test_arguments_that_are_refused(server: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        McpTools(server, **options)
    assert says in str(error.value)
    assert "4711" not in str(error.value)
    assert error.value.__context__ is None  # it would have the value


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("gigachat-mcp")]


def test_threads_of_a_closed_connection_end() -> None:
    with McpTools(OFFICIAL):
        assert threads()
    until(lambda: not threads())


def test_an_interrupt_in_allow_closes_the_connection(mode: Mode) -> None:
    class Interrupt(BaseException):
        pass

    def allow(name: str) -> bool:
        raise Interrupt

    async def main() -> None:
        with pytest.raises(Interrupt):
            async with opened(mode, McpTools(OFFICIAL, allow=allow)):
                pass

    mode.run(main)
    until(lambda: not threads())
