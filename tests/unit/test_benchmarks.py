"""The benchmarks compare like with like."""

from __future__ import annotations

import json

import httpx2
from benchmarks.measure import ToolRuns, TwoChats

from gigachat import GigaChat
from tests.support.payloads import completion

CALL = {"role": "assistant", "content": "", "function_call": {"name": "add", "arguments": {"a": 1, "b": 2}}}
CALLING = json.dumps({"choices": [{"index": 0, "message": CALL, "finish_reason": "function_call"}]}).encode()


def bodies(kind: type[ToolRuns]) -> list[bytes]:
    """Return the bodies that a program of the benchmarks sends."""
    sent: list[bytes] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        sent.append(request.content)
        return httpx2.Response(200, content=CALLING if len(sent) == 1 else completion("3"))

    program = kind("http://service/api/v1")
    with httpx2.Client(transport=httpx2.MockTransport(answer)) as http:
        program.client = GigaChat(base_url="http://service/api/v1", access_token="t", http_client=http)
        program.run()
    return sent


def test_two_chats_send_the_bodies_of_the_run_that_they_are_compared_with() -> None:
    of_run, of_chats = bodies(ToolRuns), bodies(TwoChats)
    assert of_run == of_chats
    assert [message["role"] for message in json.loads(of_run[-1])["messages"]] == ["user", "assistant", "function"]
