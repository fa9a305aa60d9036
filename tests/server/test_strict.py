"""The strict mode of the local server: fields the API notes don't list are refused, whatever they are on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from gigachat.server import GigaChatServer
from tests.server.api import WEATHER, Api
from tests.server.test_v2 import FUNCTIONS, call_of, result_of, said
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

USER = {"role": "user", "content": "Привет"}
V1 = {"model": "GigaChat", "messages": [USER]}
V2 = {"model": "GigaChat", "messages": [said("user", "Привет")]}
FUNCTION = {
    **WEATHER,
    "few_shot_examples": [{"request": "?", "params": {"anything": {"goes": 1}}}],
    "return_parameters": {"type": "object", "anything": 1},
}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string", "anything": 1}}, "anything": 1}


@pytest.fixture(scope="module")
def server_options() -> dict[str, Any]:
    return {"tls": False, "strict": True}


def refused(field: str) -> dict[str, Any]:
    return {"status": 422, "message": f"Invalid params: unknown field {field}"}


WHOLE_V1 = {
    "model": "GigaChat",
    "messages": [
        {"role": "system", "content": "s"},
        {
            **USER,
            "attachments": [],
            "id": "1",
            "name": "n",
            "created": 1,
            "reasoning_content": "r",
            "data_for_context": [USER],
        },
        {
            "role": "assistant",
            "content": "",
            "function_call": {"name": "weather", "arguments": {"anything": {"goes": 1}}},
            "functions_state_id": "s",
        },
        {"role": "function", "name": "weather", "content": '{"anything":1}'},
        USER,
    ],
    "functions": [FUNCTION],
    "function_call": {"name": "weather", "partial_arguments": {"anything": 1}},
    "temperature": 1,
    "top_p": 1,
    "max_tokens": 10,
    "repetition_penalty": 1,
    "stream": False,
    "update_interval": 0,
    "response_format": {"type": "json_schema", "schema": SCHEMA, "strict": True},
    "reasoning_effort": "low",
    "profanity_check": True,
    "n": 1,
    "flags": [],
    "storage": {"is_stateful": True, "limit": 9, "metadata": {"anything": 1}},
    "function_ranker": {"enabled": True, "top_n": 1},
    "additional_data": {"anything": {"goes": 1}},
}
WHOLE_V2 = {
    "model": "GigaChat",
    "messages": [
        said("system", "s", message_id="m"),
        said(
            "user", {"text": "t", "inline_data": {"sources": {"1": {"any": 1}}, "images": [{"any": 1}], "widgets": []}}
        ),
        said(
            "assistant",
            {"function_call": {"id": "i", "name": "weather", "arguments": {"anything": {"goes": 1}}}},
            {"tool_execution": {"name": "n", "status": "success", "seconds_left": 1, "censored": False}},
            {"logprobs": [{"chosen": {"any": 1}}]},
            tool_state_id="a",
            tools_state_id="b",
            functions_state_id="c",
        ),
        said("tool", result_of("weather", {"anything": {"goes": 1}})),
        said("user", "t"),
    ],
    "model_options": {
        "temperature": 1,
        "top_p": 1,
        "max_tokens": 10,
        "repetition_penalty": 1,
        "update_interval": 0,
        "unnormalized_history": True,
        "top_logprobs": 1,
        "preset": "p",
        "response_format": {"type": "json_schema", "schema": SCHEMA, "strict": True},
        "reasoning": {"effort": "low"},
    },
    "stream": False,
    "tools": [
        {"functions": {"specifications": [FUNCTION]}},
        {"web_search": {"type": "web_search", "indexes": [], "flags": []}},
        *({name: {}} for name in ("url_content_extraction", "code_interpreter", "image_generate", "memory")),
    ],
    "tool_config": {"mode": "auto", "tool_name": "web_search", "function_name": "f"},
    "disable_filter": False,
    "ranker_options": {"enabled": True, "top_n": 1, "embeddings_model": "e"},
    "user_info": {"timezone": "Europe/Moscow"},
    "tool_state_id": "a",
    "tools_state_id": "b",
    "functions_state_id": "c",
    "storage": {"limit": 9, "metadata": {"anything": 1}},
    "filter_config": {
        "request_content": {"neuro": True, "blacklist": True, "whitelist": True},
        "response_content": {"blacklist": True},
    },
    "flags": [],
    "memory_id": "m",
}


@pytest.mark.parametrize(("path", "body"), [("/v1", WHOLE_V1), ("/v2", WHOLE_V2)], ids=["v1", "v2"])
def test_all_listed_fields_pass(api: Api, path: str, body: dict[str, Any]) -> None:
    answer = api.http.post(f"{api.server.origin}{path}/chat/completions", json=body)
    assert answer.status_code == 200, answer.text


def places(value: Any, path: str = "") -> Iterator[tuple[str, list[Any]]]:
    """Yield the path of every object of a body and the way to it, those inside free places left out."""

    def walk(node: Any, path: str, way: list[Any]) -> Iterator[tuple[str, list[Any]]]:
        if isinstance(node, dict):
            yield path, way
            for name, inner in node.items():
                if name not in FREE:
                    yield from walk(inner, f"{path}.{name}" if path else name, [*way, name])
        elif isinstance(node, list):
            for number, inner in enumerate(node):
                yield from walk(inner, f"{path}[{number}]", [*way, number])

    yield from walk(value, path, [])


# A tool nobody knows has a refusal of its own.
FREE = {
    "arguments",
    "partial_arguments",
    "parameters",
    "return_parameters",
    "params",
    "schema",
    "metadata",
    "additional_data",
    "result",
    "sources",
    "images",
    "widgets",
    "logprobs",
}


def test_every_place_is_looked_at(api: Api) -> None:
    looked_at = 0
    for path, body in (("/v1", WHOLE_V1), ("/v2", WHOLE_V2)):
        for place, way in places(body):
            if path == "/v2" and len(way) == 2 and way[0] == "tools":
                continue
            changed = json.loads(json.dumps(body))
            node = changed
            for step in way:
                node = node[step]
            node["foo"] = None
            answer = api.http.post(f"{api.server.origin}{path}/chat/completions", json=changed)
            assert answer.json() == refused(f"{place}.foo" if place else "foo")
            assert answer.status_code == 422
            looked_at += 1
    assert looked_at > 40


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/embeddings", {"model": "Embeddings", "input": ["a"], "dimensions": 2}, "dimensions"),
        ("/tokens/count", {"model": "GigaChat", "input": ["a"], "text": "a"}, "text"),
        ("/ai/check", {"model": "GigaCheckDetection", "text": "a"}, "text"),
        ("/filter/check", {"model": "GigaFilter", "messages": [{**USER, "foo": 1}]}, "messages[0].foo"),
        ("/filter/check", {"model": "GigaFilter", "messages": [], "settings": {"neural": True}}, "settings.neural"),
        ("/assistants", {"model": "GigaChat", "tools": []}, "tools"),
        ("/assistants/modify", {"assistant_id": "a", "model": "GigaChat"}, "model"),
        ("/assistants/delete", {"id": "a"}, "id"),
        ("/assistants/files/delete", {"assistant_id": "a", "file": "f"}, "file"),
        ("/threads", {"model": "GigaChat"}, "model"),
        ("/threads/retrieve", {"thread_ids": []}, "thread_ids"),
        ("/threads/delete", {"id": "t"}, "id"),
        ("/threads/messages", {"messages": [{**USER, "foo": 1}]}, "messages[0].foo"),
        ("/threads/messages", {"messages": [], "stream": True}, "stream"),
        ("/threads/run", {"thread_id": "t", "model": "GigaChat"}, "model"),
        ("/threads/messages/run", {"messages": [], "storage": {}}, "storage"),
        ("/threads/messages/rerun", {"thread_id": "t", "messages": []}, "messages"),
    ],
)
def test_the_other_bodies(api: Api, path: str, body: dict[str, Any], field: str) -> None:
    answer = api.http.post(path, json=body)
    assert answer.json() == refused(field)


def test_the_form_of_a_deleted_file_is_ignored(api: Api) -> None:
    kept = api.http.post("/files", files={"file": ("a.txt", b"text", "text/plain")}).raise_for_status().json()
    # The published client sends this, and the service ignores it.
    deleted = api.http.post(f"/files/{kept['id']}/delete", files={"file": (None, kept["id"])})
    assert deleted.raise_for_status().json()["deleted"] is True


@pytest.mark.parametrize(
    ("method", "request_", "field"),
    [
        ("chat_completions", {**V1, "messages": [{**USER, "foo": 1}]}, "messages[0].foo"),
        ("embedder", {"model": "Embeddings", "input": ["a"], "foo": 1}, "foo"),
    ],
)
def test_a_line_of_a_batch_is_checked_like_its_request(
    api: Api, method: str, request_: dict[str, Any], field: str
) -> None:
    line = json.dumps({"id": "1", "request": request_}).encode()
    made = api.http.post("/batches", params={"method": method}, content=line).raise_for_status().json()

    def batch() -> dict[str, Any]:
        [found] = api.http.get("/batches", params={"batch_id": made["id"]}).json()["batches"]
        return dict(found)

    until(lambda: batch()["status"] == "completed")
    output = api.http.get(f"/files/{batch()['output_file_id']}/content").text
    assert json.loads(output) == {"id": "1", "error": refused(field)}


def test_authorization_and_syntax_come_before(api: Api) -> None:
    answer = api.http.post("/embeddings", json={"foo": 1}, headers={"Authorization": "Bearer no"})
    assert answer.status_code == 401
    for body in (b"{", b"[]", b"\xff"):
        assert api.http.post("/embeddings", content=body).json()["status"] == 400
    broken = {"Content-Type": "multipart/form-data"}
    assert api.http.post("/files", content=b"--x\r\n", headers=broken).status_code == 400


def test_unknown_tools_keep_their_own_refusal(api: Api) -> None:
    answer = api.http.post(f"{api.server.origin}/v2/chat/completions", json={**V2, "tools": [{"telepathy": {"a": 1}}]})
    assert answer.json() == {"status": 404, "message": "Unknown tool telepathy"}


def test_a_function_round_trip(api: Api) -> None:
    address = f"{api.server.origin}/v2/chat/completions"
    question = said("user", "weather")
    first = api.http.post(address, json={**V2, "messages": [question], "tools": [FUNCTIONS]}).raise_for_status().json()
    [message] = first["messages"]
    assert message["content"][0].keys() == call_of("weather").keys()
    told = [question, message, said("function", result_of("weather", {"t": 1}))]
    api.http.post(address, json={**V2, "messages": told, "tools": [FUNCTIONS]}).raise_for_status()


def test_otherwise_unknown_fields_pass() -> None:
    with GigaChatServer(tls=False) as server:
        api = Api(server)
        try:
            api.http.post("/chat/completions?debug=1", json={**V1, "foo": 1}).raise_for_status()
            answer = api.http.post(f"{server.origin}/v2/chat/completions", json={**V2, "foo": {"bar": 1}})
            answer.raise_for_status()
        finally:
            api.http.close()


VALUES: tuple[Any, ...] = (None, True, 0, -1.5, "x", [], [1], {"a": 1})


def ways(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every value inside a body."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, member in inner:
        yield (*way, step)
        yield from ways(member, (*way, step))


@pytest.mark.slow
@pytest.mark.parametrize(("path", "body"), [("/v1", WHOLE_V1), ("/v2", WHOLE_V2)], ids=["v1", "v2"])
def test_any_value_in_any_place_is_taken_or_refused_in_words(api: Api, path: str, body: dict[str, Any]) -> None:
    heard = set()
    for way in ways(body):
        for value in VALUES:
            changed = json.loads(json.dumps(body))
            node = changed
            for step in way[:-1]:
                node = node[step]
            node[way[-1]] = value
            answer = api.http.post(f"{api.server.origin}{path}/chat/completions", json=changed)
            heard.add(answer.status_code)
            assert answer.status_code in (200, 400, 404, 422), (way, value)
    assert heard == {200, 400, 404, 422}
