"""A server of the protocol of 2025, of a few lines, for what the official package does not do.

Its argument is JSON: `tools`, as they are listed; `pages`, tools a page; `before`, text written to stdout first;
`results`, the result by the name of a tool; `errors`, the error by the name of a tool or method; `lists_once`, whether
the second list is an error.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def answer(asked: dict[str, Any], script: dict[str, Any]) -> dict[str, Any]:
    method, params = asked["method"], asked.get("params") or {}
    tools = script.get("tools", [])
    if method in script.get("errors", {}):
        return {"error": script["errors"][method]}
    if method == "initialize":
        about = {"name": "scripted", "version": "1"}
        return {"result": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": about}}
    if method == "tools/list" and script.pop("lists_once", False):
        script["fails"] = True
    elif method == "tools/list" and script.get("fails"):
        return {"error": {"code": -32603, "message": "the list is lost"}}
    if method == "tools/list":
        first, size = int(params.get("cursor") or 0), script.get("pages", 100)
        more = {"nextCursor": str(first + size)} if first + size < len(tools) else {}
        return {"result": {"tools": tools[first : first + size], **more}}
    if method == "tools/call" and params["name"] in script.get("results", {}):
        return {"result": script["results"][params["name"]]}
    if method == "tools/call" and params["name"] in script.get("errors", {}):
        return {"error": script["errors"][params["name"]]}
    if method == "tools/call":
        called = {name: params.get(name) for name in ("name", "arguments")}
        return {"result": {"content": [{"type": "text", "text": json.dumps(called)}]}}
    return {"error": {"code": -32601, "message": f"no method {method}"}}


def main() -> None:
    script = json.loads(sys.argv[1])
    sys.stdout.write(script.get("before", ""))
    for line in sys.stdin:
        asked = json.loads(line)
        if "id" in asked:
            print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], **answer(asked, script)}), flush=True)


if __name__ == "__main__":
    main()
