"""The life of a connection: opening, calls, closing, and what can go wrong, in every mode."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio

from gigachat import McpError, Tool, ToolError
from gigachat.mcp import McpTools
from tests.mcp.support import (
    OFFICIAL,
    HttpReply,
    call,
    listed,
    named,
    official_over_http,
    opened,
    result_of,
    scripted,
    scripted_over_http,
)
from tests.support.programs import run_program
from tests.support.waiting import PATIENCE, begun, until
from tests.wire.modes import EACH_ASYNC_MODE, MODES, Mode

pytestmark = pytest.mark.slow  # each test starts servers

SECRET = "sesame-4711"
BLOCKING = Mode("blocking")


def program(code: str) -> list[str]:
    """Return the command of a server that is a few lines of Python."""
    return [sys.executable, "-c", code]


def is_running(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def failure_of(mode: Mode, tools: McpTools) -> str:
    """Return the text of the error with which opening fails."""

    async def main() -> None:
        async with opened(mode, tools):
            pass

    with pytest.raises(McpError) as failed:
        mode.run(main)
    assert "\n" not in str(failed.value)
    return str(failed.value)


@pytest.mark.parametrize("shape", ["path", "list", "text"])
def test_a_command_is_a_path_a_list_or_text(shape: str) -> None:
    commands: dict[str, Any] = {
        "path": OFFICIAL,
        "list": [sys.executable, OFFICIAL],
        "text": f'"{sys.executable}" "{OFFICIAL}"',
    }
    with McpTools(commands[shape]) as tools:
        assert named(tools, "add")(a=1) == {"result": 3}


def test_results_of_every_kind(mode: Mode, official: str | Path) -> None:
    async def main() -> list[Any]:
        async with opened(mode, McpTools(official)) as tools:
            return [
                await call(mode, tools, "add", a=1, b=1),
                await call(mode, tools, "lines"),
                await call(mode, tools, "media"),
                await call(mode, tools, "media", structured=True),
            ]

    described = [
        "[image, image/png, 3 bytes]",
        "[audio, audio/wav, 2 bytes]",
        "[resource https://example.com/page: A page]",
        "[resource note:1, text/plain]\nBuy milk",
        "[resource note:2, 4 bytes]",
    ]
    assert mode.run(main) == [
        {"result": 2},
        "one\ntwo",
        "\n".join(["Look:", *described]),
        {"result": {"found": 5}, "content": described},
    ]


def test_environment_and_folder_of_a_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GIGACHAT_CREDENTIALS", SECRET)
    with McpTools(OFFICIAL, env={"PLACE": "Псков"}, cwd=tmp_path) as tools:
        variable = named(tools, "variable")
        assert variable(name="PLACE") == "Псков"
        assert variable(name="GIGACHAT_CREDENTIALS") == "unset"
        assert Path(named(tools, "folder")()) == tmp_path


def test_closing_ends_the_program(mode: Mode) -> None:
    async def main() -> int:
        async with opened(mode, McpTools(OFFICIAL)) as tools:
            pid: int = (await call(mode, tools, "pid"))["result"]
            assert is_running(pid)
            return pid

    assert not is_running(mode.run(main))


# Failures to open


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["no-such-program-4711"], "MCP server no-such-program-4711: there is no such program or folder"),
        ([str(Path(__file__).parent)], "MCP server mcp: Permission denied"),
        (program("print('hello', flush=True)"), r"it has ended, .*; lines of its stdout that are no MCP messages: 1"),
        (
            program(r"raise SystemExit('\x1b[31mno \x07config')"),
            r"it has ended, .*; its last lines on stderr: no config",
        ),
    ],
    ids=["no program", "a folder", "garbage", "ends at once"],
)
def test_a_server_that_does_not_start(mode: Mode, command: list[str], says: str) -> None:
    assert re.search(says, failure_of(mode, McpTools(command)))


@pytest.mark.parametrize(
    "code", ["import time; time.sleep(3600)", "while True: print('noise')"], ids=["silent", "only garbage"]
)
def test_a_server_that_does_not_answer(mode: Mode, tmp_path: Path, code: str) -> None:
    pid = tmp_path / "pid"
    code = f"import os, pathlib; pathlib.Path({str(pid)!r}).write_text(str(os.getpid())); {code}"
    if "while" in code:
        code = code.replace("; while", "\nwhile")
    text = failure_of(mode, McpTools(program(code), startup_timeout=3))
    assert "it did not list its tools within 3 seconds" in text
    assert not is_running(int(pid.read_text()))


def test_the_output_of_a_program_is_not_printed(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(McpError), McpTools(program("import sys; print(1); print(2, file=sys.stderr)")):
        pass
    assert capfd.readouterr() == ("", "")


def test_garbage_before_the_messages_is_skipped() -> None:
    with McpTools(scripted(tools=listed("a"), before="Starting...\n\n{}\n[1]\n")) as tools:
        assert [tool.name for tool in tools] == ["a"]


def test_errors_contain_no_secrets() -> None:
    words = "print('bad key', os.environ['KEY'], *sys.argv[1:], 'Bearer abcdef', file=sys.stderr); sys.exit(1)"
    command = [*program(f"import os, sys; {words}"), "--token", "tok-1234", "--key=key-5678", "db://me:pass99@host/x"]
    tools = McpTools(command, env={"KEY": SECRET})
    text = failure_of(BLOCKING, tools)
    assert "bad key **********" in text
    for secret in (SECRET, "tok-1234", "key-5678", "pass99", "abcdef"):
        assert secret not in text + repr(tools)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--header", "X-Api-Key: abcd-4711"],
        ["-H", "Authorization: Token abcd-4711"],
        ["--header", "Authorization:abcd-4711"],
        ["--header=X: abcd-4711"],
        ["-HX-Api-Key: abcd-4711"],
        ["--http-headers", '{"Authorization": "Token abcd-4711", "X": "efgh-4711"}'],
    ],
)
def test_header_fields_of_a_command_are_secret(arguments: list[str]) -> None:
    words = r"sys.exit(' '.join(re.findall(r'[\w-]*4711', ' '.join(sys.argv[1:]))) + ' end')"
    text = failure_of(BLOCKING, McpTools([*program(f"import re, sys; {words}"), *arguments]))
    assert text.endswith("********** end")
    assert "4711" not in text


@pytest.mark.parametrize("name", ["MCP_HEADERS", "AUTH_HEADER"])
def test_header_fields_of_a_variable_are_secret(name: str) -> None:
    env = {name: "Authorization: Token abcd-4711"}
    text = failure_of(BLOCKING, McpTools(program("raise SystemExit('bad abcd-4711')"), env=env))
    assert text.endswith("; its last lines on stderr: bad **********")


@pytest.mark.parametrize("between", [r"\x1b[0m", r"\x1b[38:5:1m", r"\x07", r"\u200b"])
def test_characters_that_are_not_shown_hide_no_secret(between: str) -> None:
    code = f"import sys; sys.stderr.buffer.write('bad {SECRET[:5]}{between}{SECRET[5:]}'.encode()); sys.exit(1)"
    text = failure_of(BLOCKING, McpTools(program(code), env={"TOKEN": SECRET}))
    assert text.endswith("; its last lines on stderr: bad **********")


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ([SECRET, "x" * 3_985, "\nend\n"], ["end"]),
        (["x\n" * 1_995, "bad ", SECRET, "\nend"], ["x", "bad **********", "end"]),
        (["x" * 3_995, SECRET, "\nend\n"], ["end"]),
        ([SECRET, "x" * 4_000], []),
    ],
    ids=["at the cut", "between two reads", "in a long line", "no whole line"],
)
def test_standard_error_is_masked_line_by_line(
    written: list[str], shown: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "gigachat")
    code = f"import sys; sys.stderr.write({''.join(written)!r}); sys.exit(1)"
    text = failure_of(BLOCKING, McpTools(program(code), env={"TOKEN": SECRET}))
    _, _, said = text.partition("; its last lines on stderr: ")
    logged = [record.getMessage().partition(": ")[2] for record in caplog.records if record.name == "gigachat"]
    for lines in (said.split(" | ") if said else [], logged):
        assert lines[len(lines) - len(shown) :] == shown
        assert not any(SECRET[:4] in line or SECRET[-4:] in line for line in lines)


@pytest.mark.parametrize(
    "failure",
    [
        {"results": {"a": {"isError": True, "content": [{"type": "text", "text": f"bad {SECRET}\nGo"}]}}},
        {"results": {"a": {"isError": True, "content": [], "structuredContent": {"bad": SECRET}}}},
        {"errors": {"a": {"code": -32603, "message": f"bad {SECRET}"}}},
    ],
    ids=["text", "structured content", "JSON-RPC error"],
)
def test_errors_of_tools_contain_no_secrets(failure: dict[str, Any]) -> None:
    with McpTools(scripted(tools=listed("a"), **failure), env={"TOKEN": SECRET}) as tools:
        with pytest.raises(ToolError) as error:
            tools[0]()
    assert "**********" in str(error.value)
    assert SECRET not in str(error.value)
    assert ("\nGo" in str(error.value)) == ("Go" in str(failure))


def test_ordinary_variables_are_shown() -> None:
    env = {
        "LOG_LEVEL": "info",
        "PORT": "8080",
        "DB": "db://me:pass-4711@host/x",
        "GIGACHAT_API_KEY": "key-4711",
        "DB_PASSWORD": "word-4711",
        "Session_Cookie": "first-4711\nsecond-4711",
    }
    shown = f"*map(os.environ.get, {[*env]}), 'information', 'pass-4711'"
    code = f"import os, sys; print({shown}, file=sys.stderr); sys.exit(1)"
    text = failure_of(BLOCKING, McpTools(program(code), env=env))
    assert {"info", "8080", "information"} <= {*text.split()}
    assert "4711" not in text


def test_an_address_without_a_server(mode: Mode) -> None:
    text = failure_of(mode, McpTools("http://me:pw4711@127.0.0.1:9/mcp?key=k4711", headers={"X-Key": SECRET}))
    assert text == "MCP server http://127.0.0.1:9/mcp: All connection attempts failed"


def test_an_address_that_is_no_mcp_server(mode: Mode) -> None:
    with official_over_http() as url:
        text = failure_of(mode, McpTools(url.replace("/mcp", "/other")))
    assert re.search(r"MCP server http://\S+/other: .*; HTTP status 404 Not Found$", text)


def test_a_token_in_headers(mode: Mode) -> None:
    with official_over_http(TOKEN=f"Bearer {SECRET}") as url:
        wrong = McpTools(url, headers={"Authorization": "Bearer wrong4711"})
        text = failure_of(mode, wrong)
        assert text.endswith("; HTTP status 401 Unauthorized: check headers=")
        assert "wrong4711" not in text + repr(wrong)

        async def main() -> Any:
            async with opened(mode, McpTools(url, headers={"Authorization": f"Bearer {SECRET}"})) as tools:
                return await call(mode, tools, "add", a=1)

        assert mode.run(main) == {"result": 3}


# Calls


async def counts(mode: Mode, tools: McpTools) -> tuple[int, int]:
    """Return how many calls of `slow` have begun, and how many of them were cancelled."""
    started, cancelled = json.loads(await call(mode, tools, "seen"))
    return started, cancelled


async def until_one_more_is_cancelled(mode: Mode, tools: McpTools, before: tuple[int, int]) -> None:
    """Wait until the server was told: it is a moment after the caller."""
    end = time.monotonic() + PATIENCE
    while (await counts(mode, tools))[1] != before[1] + 1:
        assert time.monotonic() < end, "the server was not told"


def test_an_overdue_call_is_cancelled(mode: Mode, official: str | Path) -> None:
    async def main() -> None:
        async with opened(mode, McpTools(official, timeout=3)) as tools:
            before = await counts(mode, tools)
            with pytest.raises(ToolError, match=r"^no response within 3 seconds$"):
                await call(mode, tools, "slow")
            await until_one_more_is_cancelled(mode, tools, before)

    mode.run(main)


@pytest.mark.parametrize("mode", EACH_ASYNC_MODE)
def test_a_cancelled_call_is_cancelled_on_the_server(mode: Mode, official: str | Path) -> None:
    async def main() -> None:
        async with opened(mode, McpTools(official)) as tools:
            before = await counts(mode, tools)

            async def begun_then_cancelled(cancel: Callable[[], object]) -> None:
                while (await counts(mode, tools))[0] == before[0]:
                    pass
                cancel()

            if mode.name == "trio":
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(call, mode, tools, "slow")
                    await begun_then_cancelled(nursery.cancel_scope.cancel)
            else:
                task = asyncio.ensure_future(call(mode, tools, "slow"))
                await begun_then_cancelled(task.cancel)
                with pytest.raises(asyncio.CancelledError):
                    await task
            await until_one_more_is_cancelled(mode, tools, before)

    mode.run(main)


QUOTA = {"code": -32000, "message": "quota exceeded"}  # the package mcp has an error of this code


@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_an_error_of_the_server_keeps_the_connection(mode: Mode, transport: str) -> None:
    script: dict[str, Any] = {"tools": listed("a", "b"), "errors": {"a": QUOTA}}

    async def main(server: Any) -> Any:
        async with opened(mode, McpTools(server)) as tools:
            with pytest.raises(ToolError, match=r"^quota exceeded$"):
                await call(mode, tools, "a")
            return await call(mode, tools, "b")

    if transport == "stdio":
        assert mode.run(lambda: main(scripted(**script)))
    else:
        with scripted_over_http(**script) as url:
            assert mode.run(lambda: main(url))


def test_an_error_of_the_server_while_it_opens(mode: Mode) -> None:
    refusal = {"code": -32000, "message": "Bad Request: No valid session ID provided"}
    with scripted_over_http(errors={"tools/list": refusal}, statuses={"tools/list": 400}) as url:
        text = failure_of(mode, McpTools(url))
    assert text == f"MCP server {url}: Bad Request: No valid session ID provided; HTTP status 400 Bad Request"


HTTP_ERROR = "Server returned an error response; HTTP status "
NO_SESSION = '{"jsonrpc": "2.0", "id": null, "error": {"code": -32001, "message": "Session not found"}}'


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (HttpReply(500, body="oops"), f"{HTTP_ERROR}500 Internal Server Error"),
        (HttpReply(500, "application/json", "oops"), f"{HTTP_ERROR}500 Internal Server Error"),
        (HttpReply(502, "text/html"), f"{HTTP_ERROR}502 Bad Gateway"),
        (HttpReply(401, "application/json", '{"error": "x"}'), f"{HTTP_ERROR}401 Unauthorized: check headers="),
        (HttpReply(404), "Not Found; HTTP status 404 Not Found"),
        (HttpReply(404, "application/json", NO_SESSION), "Session not found; HTTP status 404 Not Found"),
        (HttpReply(202), "server answered a request with 202 Accepted"),
        (HttpReply(307, location="http://127.0.0.1:9/x"), "Redirect to http://127.0.0.1:9/x not followed; "),
        (HttpReply(200, "text/html"), "Unexpected content type: text/html"),
        (HttpReply(200, "application/json", "{"), "Failed to parse JSON response: "),
        (HttpReply(200, "text/event-stream"), "SSE stream ended without a response"),
        (HttpReply(200, "text/event-stream", "data: {\n\n"), "Failed to parse SSE message: "),
    ],
    ids=lambda value: f"{value.status} {value.content_type}" if isinstance(value, HttpReply) else "",
)
def test_an_http_error_of_a_call(mode: Mode, reply: HttpReply, says: str) -> None:
    async def main(url: str) -> None:
        tools = McpTools(url)
        async with opened(mode, tools):
            with pytest.raises(McpError) as failed:
                await call(mode, tools, "a")
            assert str(failed.value).startswith(f"MCP server {url}: {says}")
            assert "\n" not in str(failed.value)
            assert await call(mode, tools, "b")  # the next request may succeed
            await tools.aopen() if mode.is_async else tools.open()
            assert await call(mode, tools, "b")
            with pytest.raises(McpError, match="is already open"):
                tools.open()

    with scripted_over_http(tools=listed("a", "b"), replies={"a": reply}) as url:
        mode.run(lambda: main(url))


def test_a_jsonrpc_error_of_a_call_with_an_http_status() -> None:
    refusal = {"code": -32602, "message": "no such city"}
    with scripted_over_http(tools=listed("a"), errors={"a": refusal}, statuses={"a": 400}) as url:
        with McpTools(url) as tools, pytest.raises(ToolError, match=r"^no such city; HTTP status 400 Bad Request$"):
            tools[0]()


def test_the_http_status_of_an_error_is_that_of_its_own_request() -> None:
    half_sent = threading.Barrier(2)
    errors: list[BaseException] = []
    refusal = {"code": -32602, "message": "no such city"}

    def fails(tool: Tool[..., Any]) -> None:
        try:
            tool()
        except BaseException as error:
            errors.append(error)

    with (
        scripted_over_http(
            tools=listed("a", "b"), errors={"a": refusal}, statuses={"b": 500}, held={"a": half_sent}
        ) as url,
        McpTools(url) as tools,
    ):
        thread = begun(lambda: fails(tools[0]))
        half_sent.wait(PATIENCE)
        fails(tools[1])
        half_sent.wait(PATIENCE)
        thread.join(PATIENCE)
    assert [*map(str, errors)] == [
        f"MCP server {url}: {HTTP_ERROR}500 Internal Server Error",
        "no such city",
    ]


def test_calls_in_progress_fail_with_the_server() -> None:
    errors: list[BaseException] = []
    with McpTools(OFFICIAL) as tools:
        slow = named(tools, "slow")

        def waits() -> None:
            try:
                slow()
            except BaseException as error:
                errors.append(error)

        threads = [begun(waits) for _ in range(3)]
        until(lambda: json.loads(named(tools, "seen")())[0] == 3)
        os.kill(named(tools, "pid")()["result"], signal.SIGKILL)
        for thread in threads:
            thread.join(PATIENCE)
    assert [type(error) for error in errors] == [McpError] * 3


def test_calls_in_progress_fail_when_the_connection_is_closed(mode: Mode, official: str | Path) -> None:
    tools = McpTools(official)

    async def main() -> None:
        async with opened(mode, tools):
            before = (await counts(mode, tools))[0]

            def closes() -> None:
                while mode.run(lambda: counts(mode, tools))[0] == before:
                    pass
                tools.close()

            thread = begun(closes)
            with pytest.raises(McpError, match="is closed"):
                await call(mode, tools, "slow")
            thread.join(PATIENCE)

    mode.run(main)


def test_an_http_server_that_is_killed(mode: Mode) -> None:
    async def main() -> list[str]:
        with official_over_http() as url:
            tools = McpTools(url)
            context = opened(mode, tools)
            await context.__aenter__()
            kept = list(tools)
            assert await call(mode, tools, "add", a=1) == {"result": 3}
        texts: list[str] = []
        for _ in range(2):
            with pytest.raises(McpError) as failed:
                await result_of(mode, kept[0], a=1)
            texts.append(str(failed.value))
        await context.__aexit__(None, None, None)
        return texts

    first, second = mode.run(main)
    assert re.fullmatch(r"MCP server http://\S+/mcp: All connection attempts failed", first)
    assert second == first


def test_a_broken_connection_is_opened_again(mode: Mode) -> None:
    tools = McpTools(OFFICIAL)

    async def main() -> Any:
        async with opened(mode, tools):
            with pytest.raises(McpError):
                await call(mode, tools, "die")
            await tools.aopen() if mode.is_async else tools.open()
            return await call(mode, tools, "add", a=1)

    assert mode.run(main) == {"result": 3}


def test_a_call_is_possible_from_other_loops_and_threads(mode: Mode) -> None:
    tools = McpTools(OFFICIAL)

    async def adds() -> Any:
        return await call(mode, tools, "add", a=1)

    async def main() -> list[Any]:
        results: list[Any] = []
        async with opened(mode, tools):
            for other in MODES[1:] if mode.is_async else [mode]:
                begun(lambda: results.append(other.run(adds))).join(PATIENCE)  # noqa: B023 - it is joined
        return results

    results = mode.run(main)
    assert results
    assert all(result == {"result": 3} for result in results)


# Use before, after and beside


def test_tools_are_there_while_the_connection_is_open(mode: Mode) -> None:
    tools = McpTools(scripted(tools=listed("a")))

    def refused() -> None:
        for use in (lambda: len(tools), lambda: list(tools), lambda: tools[0], tools.refresh):
            with pytest.raises(McpError, match="is not open: use its tools inside"):
                use()
        assert repr(tools) == "<McpTools 'python scripted_server.py', closed>".replace(
            "python", Path(sys.executable).name
        )

    async def main() -> Any:
        refused()
        async with opened(mode, tools):
            assert len(tools) == 1
            assert "1 tools" in repr(tools)
            kept = tools[0]
            with pytest.raises(McpError, match="is already open"):
                tools.open()
        refused()
        for _ in range(2):
            await tools.aclose() if mode.is_async else tools.close()
        with pytest.raises(McpError, match="is closed"):
            await result_of(mode, kept)
        async with opened(mode, tools):  # again
            return len(tools)

    assert mode.run(main) == 1


@pytest.mark.parametrize("mode", EACH_ASYNC_MODE)
def test_another_task_or_thread_closes(mode: Mode, official: str | Path) -> None:
    async def main() -> None:
        for blocking in (False, True):
            tools = await McpTools(official).aopen()
            if blocking:
                begun(tools.close).join(PATIENCE)
            elif mode.name == "trio":
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(tools.aclose)
            else:
                await asyncio.create_task(tools.aclose())
            with pytest.raises(McpError, match="is not open"):
                len(tools)

    mode.run(main)


@pytest.mark.parametrize("startup_timeout", [PATIENCE, None])
@pytest.mark.parametrize("mode", EACH_ASYNC_MODE)
def test_cancelling_while_it_opens_stops_the_program(mode: Mode, startup_timeout: float | None, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    code = f"import os, pathlib, sys; pathlib.Path({str(pid)!r}).write_text(str(os.getpid()) + ' '); sys.stdin.read()"
    tools = McpTools(program(code), startup_timeout=startup_timeout)

    async def until_it_runs() -> None:
        while not (pid.exists() and pid.read_text()):
            await (trio.sleep(0.01) if mode.name == "trio" else asyncio.sleep(0.01))

    async def main() -> None:
        if mode.name == "trio":
            async with trio.open_nursery() as nursery:
                nursery.start_soon(tools.aopen)
                await until_it_runs()
                nursery.cancel_scope.cancel()
        else:
            task = asyncio.ensure_future(tools.aopen())
            await until_it_runs()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    mode.run(main)
    until(lambda: not is_running(int(pid.read_text())))
    until(lambda: "gigachat-mcp" not in [thread.name for thread in threading.enumerate()])  # an error of it is shown
    assert "closed" in repr(tools)


# The process


NEVER_CLOSED = f"""
from pathlib import Path
from gigachat.mcp import McpTools
tools = McpTools(Path({str(OFFICIAL)!r})).open()
by_name = {{tool.name: tool for tool in tools}}
print(by_name["pid"]()["result"])
"""
INTERRUPTED = f"""
import json, os, signal, threading
from pathlib import Path
from gigachat.mcp import McpTools
with McpTools(Path({str(OFFICIAL)!r})) as tools:
    by_name = {{tool.name: tool for tool in tools}}
    def interrupts():
        while json.loads(by_name["seen"]()) != [1, 0]:
            pass
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=interrupts).start()
    try:
        by_name["slow"]()
    except KeyboardInterrupt:
        while json.loads(by_name["seen"]()) != [1, 1]:
            pass
    print(by_name["pid"]()["result"])
"""
FORKED = f"""
import os, sys
from pathlib import Path
from gigachat.mcp import McpError, McpTools
with McpTools(Path({str(OFFICIAL)!r})) as tools:
    by_name = {{tool.name: tool for tool in tools}}
    child = os.fork()
    if not child:
        try:
            by_name["add"](a=1)
        except McpError as error:
            assert "opened in the parent process" in str(error), error
            tools.close()
            with McpTools(Path({str(OFFICIAL)!r})) as own:
                os._exit(len(own) != len(by_name))
        os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert by_name["add"](a=1) == {{"result": 3}}
    print(by_name["pid"]()["result"])
"""


@pytest.mark.parametrize("source", [NEVER_CLOSED, INTERRUPTED, FORKED], ids=["never closed", "interrupted", "forked"])
def test_a_program_ends_and_its_server_too(source: str) -> None:
    fork_of_threads = "ignore:This process:DeprecationWarning"  # of Python 3.12 and newer
    done = run_program(["-W", fork_of_threads, "-c", source])
    assert (done.returncode, done.stderr) == (0, "")
    until(lambda: not is_running(int(done.stdout)))


def test_the_package_is_imported_when_a_connection_opens() -> None:
    source = "import sys, gigachat.mcp; gigachat.mcp.McpTools('x'); sys.exit('mcp' in sys.modules)"
    done = run_program(["-c", source])
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("hides", ["sys.modules['mcp'] = None", "sys.modules['mcp'] = type(sys)('mcp')"])
def test_without_the_package_the_error_says_what_to_install(hides: str) -> None:
    source = f"import sys; from gigachat.mcp import McpTools; {hides}; McpTools('x').open()"
    done = run_program(["-c", source])
    last = done.stderr.splitlines()[-1]
    assert last.startswith("gigachat.exceptions.ConfigurationError: MCP needs the package mcp, 2.3 or newer")
    assert last.endswith('pip install "mcp>=2.3"')
