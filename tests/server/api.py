"""A plain HTTP client of the local server, what it sends, and the refusals that several tests expect."""

from __future__ import annotations

import json
import ssl
import uuid
from typing import Any

import httpx2

from gigachat.server import GigaChatServer

TIMEOUT = httpx2.Timeout(60.0)
USER = {"role": "user", "content": "Hello, world!"}
BODY = {"model": "GigaChat", "messages": [USER]}
WEATHER = {
    "name": "weather",
    "description": "Weather of a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "maximum": 7}},
        "required": ["city"],
    },
}
NAMES_TEXT = (
    "Invalid params: Invalid function names. Only Latin letters (A-Z or a-z), underscore (_), hyphen (-), "
    "dot (.) and digits (not leading) are allowed.: [{}]"
)
CALL = {
    "role": "assistant",
    "content": "",
    "function_call": {"name": "weather", "arguments": {"city": "Псков"}},
}
RESULT = {"role": "function", "name": "weather", "content": '{"t":-3}'}
UNANSWERED = "Invalid params: every assistant function call must have a result in history"
UNASKED = "Invalid params: every assistant function result must have an assistant function call in history"
SYNTAX = "Your request contains invalid JSON syntax."


def http_client(server: GigaChatServer, **options: Any) -> httpx2.Client:
    context = ssl.create_default_context(cafile=server.ca_bundle_file)
    return httpx2.Client(verify=context, base_url=server.base_url, timeout=TIMEOUT, trust_env=False, **options)


def sign_in(http: httpx2.Client, server: GigaChatServer, **changes: Any) -> httpx2.Response:
    headers: dict[str, str | None] = {
        "Authorization": f"Basic {server.credentials}",
        "RqUID": str(uuid.uuid4()),
    }
    headers.update(changes.pop("headers", {}))
    wanted = {"data": {"scope": server.scope}, **changes}
    return http.post(server.auth_url, headers={k: v for k, v in headers.items() if v is not None}, **wanted)


class Api:
    """A signed-in caller and its server."""

    def __init__(self, server: GigaChatServer) -> None:
        self.server = server
        self.http = http_client(server)
        self.sign_in()

    def sign_in(self) -> None:
        token = sign_in(self.http, self.server).raise_for_status().json()["access_token"]
        self.http.headers["Authorization"] = f"Bearer {token}"
        self.server.clear()

    def chat(self, *messages: dict[str, Any], **fields: Any) -> httpx2.Response:
        body = {"model": "GigaChat", "messages": list(messages) or [USER], **fields}
        return self.http.post("/chat/completions", json=body)

    def text(self, *messages: dict[str, Any], **fields: Any) -> str:
        answer = self.chat(*messages, **fields).raise_for_status().json()
        content: str = answer["choices"][0]["message"]["content"]
        return content

    def stream(self, *messages: dict[str, Any], **fields: Any) -> list[Any]:
        answer = self.chat(*messages, stream=True, **fields).raise_for_status()
        return events(answer.content)


def events(body: bytes) -> list[Any]:
    """Return the payloads of a v1 stream, checking the framing byte for byte."""
    assert body.endswith(b"\n\n")
    payloads = []
    for one in body.split(b"\n\n")[:-1]:
        assert one.startswith(b"data: ")
        data = one.removeprefix(b"data: ")
        payloads.append("[DONE]" if data == b"[DONE]" else json.loads(data))
    return payloads
