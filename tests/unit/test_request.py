"""Requests to addresses that have no method of their own."""

from __future__ import annotations

from typing import Any

import pytest

from gigachat import APIConnectionError, APIResponseValidationError, NotFoundError
from gigachat._engine.transport import Stage
from gigachat.models import Model
from gigachat.models.base import WireModel
from tests.unit.world import Answer, World, error, lost

BASE = "https://gigachat.devices.sberbank.ru/api/v1"


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("/new", f"{BASE}/new"),
        ("new/one", f"{BASE}/new/one"),
        ("/v2/new", "https://gigachat.devices.sberbank.ru/v2/new"),
        (f"{BASE}/new", f"{BASE}/new"),
    ],
)
def test_a_path_is_taken_under_the_base_address(path: str, url: str, world: World) -> None:
    world.do(world.client(), "request", "get", path)
    assert (world.api_requests[0].method, world.api_requests[0].url) == ("GET", url)


def test_everything_given_is_sent_with_the_clients_authorization(world: World) -> None:
    giga = world.client(default_query={"d": "1"}).with_options(extra_body={"b": 2})
    answer = Answer(b'{"made": "\xd0\xb4\xd0\xb0"}', 201, {"X-Request-ID": "id"})
    world.answers = [answer]
    raw = world.do(giga, "request", "POST", "/new", json={"a": "я"}, params={"q": ["1", "2"]}, headers={"X-Own": "yes"})
    (request,) = world.api_requests
    assert request.content == '{"a":"я","b":2}'.encode()
    assert request.query == {"d": "1", "q": ["1", "2"]}
    assert request.headers["X-Own"] == "yes"
    assert request.headers["Authorization"] == "Bearer token-1"
    assert (raw.status_code, raw.headers["x-REQUEST-id"], raw.json(), raw.text) == (
        201,
        "id",
        {"made": "да"},
        '{"made": "да"}',
    )
    assert answer.state == "closed"


def test_bytes_and_models_are_bodies_too(world: World) -> None:
    giga = world.client()
    world.do(giga, "request", "PUT", "/new", content=b"raw")
    world.do(giga, "request", "POST", "/new", json=Model(id="x"))
    assert [request.content for request in world.api_requests] == [
        b"raw",
        Model(id="x").model_dump_json(by_alias=True, exclude_none=True).encode(),
    ]


def test_a_model_taken_out_of_another_is_a_body(world: World) -> None:
    class Part(WireModel):
        size: int

    class Whole(WireModel):
        parts: list[Part]

    parts = Whole.model_validate({"parts": [{"size": 1}]}).parts  # pydantic has not built the inner class yet
    world.do(world.client(), "request", "POST", "/new", json={"parts": parts})
    assert world.api_requests[0].content == b'{"parts":[{"size":1}]}'


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_only_what_reads_is_repeated_after_a_break(method: str, world: World) -> None:
    world.answers = [lost(Stage.WAITING)]
    if method == "GET":
        assert world.do(world.client(), "request", method, "/new").status_code == 200
    else:
        with pytest.raises(APIConnectionError):
            world.do(world.client(), "request", method, "/new")


def test_a_refusal_is_the_error_of_its_status(world: World) -> None:
    world.answers = [error(404, "no such thing")]
    with pytest.raises(NotFoundError, match="no such thing"):
        world.do(world.client(), "request", "GET", "/new")


def test_a_body_that_is_not_json_says_so(world: World) -> None:
    world.answers = [Answer(b"<html>")]
    raw = world.do(world.client(), "request", "GET", "/new")
    with pytest.raises(APIResponseValidationError, match="not JSON"):
        raw.json()


def test_an_authorization_of_the_callers_own_replaces_the_clients(world: World) -> None:
    world.do(world.client(), "request", "GET", "/new", headers={"authorization": "Bearer mine"})
    assert [request.headers.get("authorization") for request in world.requests] == ["Bearer mine"]


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        (("GET", "https://elsewhere.example/x"), {}),
        (("POST", "/x"), {"json": {}, "content": b""}),
        (("POST", "/x"), {"content": "text"}),
        (("POST", None), {}),
        ((None, "/x"), {}),
        (("GET\n", "/x"), {}),
        (("ПОСТ", "/x"), {}),
        (("GET", "/x"), {"headers": {"X-Bad": "a\nb"}}),
    ],
)
def test_what_cannot_be_sent_is_refused_before_any_request(
    arguments: tuple[Any, Any], fields: dict[str, Any], world: World
) -> None:
    with pytest.raises((TypeError, ValueError)):
        world.do(world.client(), "request", *arguments, **fields)
    assert world.api_requests == []
