"""An agent with the tools of MCP servers: python mcp_agent.py "Что нового?" "python server.py" https://host/mcp."""

import sys
from contextlib import ExitStack

from gigachat import GigaChat, McpError, ToolCall
from gigachat.mcp import McpTools


def approve(call: ToolCall) -> bool | str:
    answer = input(f"{call.name}({call.arguments})? [y/n] ")
    return answer == "y" or "пользователь не разрешил этот вызов"


def main(question: str, *servers: str) -> None:
    with GigaChat() as giga, ExitStack() as stack:
        tools = [
            stack.enter_context(McpTools(server, prefix=f"s{number}_", approve=approve))
            for number, server in enumerate(servers, 1)
        ]
        result = giga.chat.run(question, tools=tools)
        for step in result.steps:
            print(f"[{step.call.name} -> {step.content}]")
        print(result.text)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except McpError as error:
        sys.exit(str(error))
