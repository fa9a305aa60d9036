"""Fallback models: after which failures another model is asked, in which order, and what the caller sees of it."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from gigachat import (
    APIConnectionError,
    AuthenticationError,
    BadRequestError,
    ForbiddenError,
    GenerationError,
    GigaChat,
    GigaChatException,
    NotFoundError,
    PaymentRequiredError,
    RateLimitError,
    ResponseError,
    ServerError,
    StreamInterruptedError,
    TotalTimeoutError,
)
from gigachat._engine.transport import Failure, Request, Stage
from tests.support.payloads import DONE, sse
from tests.unit.test_stream import FIRST, LAST
from tests.unit.world import COMPLETION, Answer, World, error, lost

FALLBACK = ["GigaChat-2-Pro", "GigaChat-2"]
BASE = {"model": "GigaChat-2-Max", "fallback_models": FALLBACK}
NO_MODEL = error(404, "No such model")
OFF = "The model is temporarily unavailable due to technical reasons"
ANSWER_V2 = {
    "model": "GigaChat-2-Pro:2.0.28.2",
    "created_at": 1768996171,
    "messages": [{"role": "assistant", "content": [{"text": "Да."}]}],
    "finish_reason": "stop",
    "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
}
STREAM_V2 = [
    b"event: response.message.delta\n" + sse({"messages": [{"role": "assistant", "content": [{"text": "Да."}]}]}),
    b"event: response.message.done\n" + sse({"finish_reason": "stop", "model": "GigaChat-2-Pro:2.0.28.2"}),
]


class Named(BaseModel):
    name: str


def models(world: World) -> list[str]:
    """Return the models of the requests so far."""
    return [json.loads(request.content or b"")["model"] for request in world.api_requests]


def answered(body: dict[str, Any] = COMPLETION) -> Callable[[Request], Answer]:
    """Answer with the model that was asked, as the service does."""
    return lambda request: Answer({**body, "model": json.loads(request.content or b"")["model"] + ":2.0.28.2"})


@pytest.mark.parametrize(
    "refusal",
    [
        error(402, "Payment Required"),
        error(413, "Payload too large"),
        error(423, "Locked"),
        error(429, "Too many requests"),
        error(429, "Too many requests", retry_after="3600"),
        NO_MODEL,
        error(403, OFF),
        error(500),
        error(502),
        error(503),
        error(504),
        Answer(b"<html>", 503),
    ],
    ids=lambda answer: f"{answer.status_code}",
)
@pytest.mark.parametrize("method", ["chat", "chat.create"])
def test_another_model_is_asked(world: World, refusal: Answer, method: str) -> None:
    giga = world.client(**BASE, max_retries=0)
    world.answers = [refusal, answered(COMPLETION if method == "chat" else ANSWER_V2)]
    assert world.do(giga, method, "x").model == "GigaChat-2-Pro:2.0.28.2"
    assert models(world) == ["GigaChat-2-Max", "GigaChat-2-Pro"]
    first, second = (json.loads(request.content or b"") for request in world.api_requests)
    assert {**first, "model": ""} == {**second, "model": ""}


@pytest.mark.parametrize(
    "refusal",
    [
        error(400, "model"),
        error(401),
        error(403, "Permission denied"),
        error(404, "No such file"),
        error(404, "Unknown tool web_search"),
        error(404, "No such file for model"),
        error(404, "Model context not found"),
        Answer(b"<html>no such model</html>", 404),
        error(408),
        error(422, "Invalid params: the model"),
        error(501),
        error(505),
    ],
    ids=lambda answer: f"{answer.status_code}",
)
def test_no_model_would_answer_it(world: World, refusal: Answer) -> None:
    giga = world.client(**BASE, max_retries=0)
    world.answers = [refusal, refusal]
    with pytest.raises(ResponseError) as raised:
        world.chat(giga, "x")
    assert set(models(world)) == {"GigaChat-2-Max"}
    assert raised.value.status_code == refusal.status_code
    assert not hasattr(raised.value, "__notes__")


def test_it_is_off_unless_asked_for(world: World) -> None:
    giga = world.client(model="GigaChat-2-Max", max_retries=0)
    for refusal in (error(402), NO_MODEL, error(429), error(503)):
        world.answers = [refusal]
        with pytest.raises(ResponseError):
            world.chat(giga, "x")
    assert models(world) == ["GigaChat-2-Max"] * 4


@pytest.mark.parametrize("stage", [Stage.CONNECTING, Stage.WAITING, Stage.READING])
def test_a_lost_connection_is_not_followed_by_a_request_that_may_be_billed(world: World, stage: Stage) -> None:
    giga = world.client(**BASE, max_retries=0)
    world.answers = [lost(stage)]
    with pytest.raises(APIConnectionError):
        world.chat(giga, "x")
    assert models(world) == ["GigaChat-2-Max"]

    world.answers = [error(429), lost(stage)]
    with pytest.raises(APIConnectionError):
        world.chat(giga, "x")
    assert models(world)[1:] == ["GigaChat-2-Max", "GigaChat-2-Pro"]


@pytest.mark.parametrize("stage", [None, Stage.CONNECTING, Stage.WAITING, Stage.READING])
def test_the_error_of_a_fallback_model_has_the_failures_before_it(world: World, stage: Stage | None) -> None:
    giga = world.client(**BASE, max_retries=0)
    world.answers = [error(402, "Payment Required"), NO_MODEL, error(501) if stage is None else lost(stage)]
    with pytest.raises(GigaChatException) as raised:
        world.chat(giga, "x")
    assert models(world) == ["GigaChat-2-Max", *FALLBACK]
    (note,) = raised.value.__notes__
    assert note.startswith("fallback model 'GigaChat-2', after 'GigaChat-2-Max': 402 Payment Required")
    assert "; 'GigaChat-2-Pro': 404 Not Found: No such model" in note
    assert "\n" not in note


def test_the_total_timeout_has_the_failures_before_it(world: World) -> None:
    giga = world.client(**BASE, total_timeout=20, rate_limit_timeout=5)
    world.answers = [error(402), *[error(503)] * 50]
    with pytest.raises(GigaChatException) as raised:
        world.chat(giga.with_options(max_retries=50), "x")
    (note,) = raised.value.__notes__
    assert note.startswith("fallback model 'GigaChat-2-Pro', after 'GigaChat-2-Max': 402")


def test_an_error_that_may_hide_an_answer_ends_it(world: World) -> None:
    giga = world.client(**BASE, retry_on_status_codes=[429, 503], max_retries=1)
    for answers in ([error(504)], [error(503), error(503), error(504)]):
        world.answers = [*answers]
        with pytest.raises(ServerError) as raised:
            world.chat(giga, "x")
        assert raised.value.status_code == 504
        assert not world.answers
    assert models(world) == [*["GigaChat-2-Max"] * 3, "GigaChat-2-Pro"]


def test_a_response_without_text_is_final(world: World) -> None:
    giga = world.client(**BASE)
    world.answers = [Answer({**COMPLETION, "choices": [], "error_details": {"message": "overloaded"}})]
    with pytest.raises(GenerationError):
        world.chat(giga, "x")
    assert models(world) == ["GigaChat-2-Max"]


def test_each_model_is_asked_in_order_and_the_first_error_is_raised(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    giga = world.client(**BASE)
    world.answers = [error(402, "Payment Required"), NO_MODEL, error(422, "Requested model does not support functions")]
    with caplog.at_level(logging.WARNING, "gigachat"), pytest.raises(PaymentRequiredError) as raised:
        world.chat(giga, "Секрет")
    assert models(world) == ["GigaChat-2-Max", *FALLBACK]
    (second, third) = raised.value.__notes__
    assert second.startswith("fallback model 'GigaChat-2-Pro': 404 Not Found: No such model")
    assert third.startswith("fallback model 'GigaChat-2': 422 Unprocessable")
    assert [record.getMessage() for record in caplog.records] == [
        "model GigaChat-2-Max failed (402), asking the fallback model GigaChat-2-Pro",
        "model GigaChat-2-Pro failed (404), asking the fallback model GigaChat-2",
    ]
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__
    for twin in (pickle.loads(pickle.dumps(raised.value)), copy.copy(raised.value)):
        assert twin.__notes__ == raised.value.__notes__


def test_the_next_call_begins_with_its_own_model(world: World) -> None:
    giga = world.client(**BASE)
    world.answers = [error(402), answered(), answered()]
    world.chat(giga, "x")
    assert world.chat(giga, "x").model == "GigaChat-2-Max:2.0.28.2"


def test_5xx_and_429_use_up_their_retries_first(world: World) -> None:
    giga = world.client(**BASE, max_retries=1, rate_limit_timeout=5.0)
    world.answers = [error(503), error(503), error(500), answered()]
    world.chat(giga, "x")
    assert models(world) == ["GigaChat-2-Max", "GigaChat-2-Max", "GigaChat-2-Pro", "GigaChat-2-Pro"]

    del world.requests[:]
    world.sleeps.clear()

    def limited(request: Request) -> Answer:
        refused = b"GigaChat-2-Max" in (request.content or b"")
        world.answers.append(limited)
        return error(429) if refused else answered()(request)

    world.answers = [limited]
    assert world.chat(giga, "x").model == "GigaChat-2-Pro:2.0.28.2"
    assert sum(world.sleeps) == pytest.approx(5.0)
    assert models(world).count("GigaChat-2-Pro") == 1


def test_retries_of_the_view_apply_to_each_model(world: World) -> None:
    giga = world.client(**BASE).with_options(max_retries=0)
    world.answers = [error(503), error(503), error(503)]
    with pytest.raises(ServerError):
        giga.chat("x") if world.mode == "blocking" else world.chat(giga, "x")
    assert models(world) == ["GigaChat-2-Max", *FALLBACK]


# The odd inputs: which models are asked after 402s, of a client, its view and the fields of the call.
ODD: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any], list[str]]] = [
    ({"fallback_models": []}, {}, {}, ["GigaChat"]),
    ({"fallback_models": None}, {}, {}, ["GigaChat"]),
    ({"fallback_models": ""}, {}, {}, ["GigaChat"]),
    ({"fallback_models": " , ,"}, {}, {}, ["GigaChat"]),
    ({"fallback_models": "A"}, {}, {}, ["GigaChat", "A"]),
    ({"fallback_models": "A, B ,'C'"}, {}, {}, ["GigaChat", "A", "B", "C"]),
    ({"fallback_models": '["A", "B"]'}, {}, {}, ["GigaChat", "A", "B"]),
    ({"fallback_models": ("A", " B\n")}, {}, {}, ["GigaChat", "A", "B"]),
    ({"fallback_models": ["A", "A", "B", "A"]}, {}, {}, ["GigaChat", "A", "B"]),
    ({"fallback_models": ["GigaChat", "A"]}, {}, {}, ["GigaChat", "A"]),
    ({"fallback_models": ["GigaChat"]}, {}, {}, ["GigaChat"]),
    ({"fallback_models": ["gigachat"]}, {}, {}, ["GigaChat", "gigachat"]),
    ({"fallback_models": ["A"]}, {}, {"model": "A"}, ["A"]),
    ({"fallback_models": ["A", "B"]}, {}, {"model": "B"}, ["B", "A"]),
    ({"fallback_models": ["A"]}, {}, {"model": "   "}, ["GigaChat", "A"]),
    ({"fallback_models": ["A"], "model": "M"}, {}, {"temperature": 0.5}, ["M", "A"]),
    ({"fallback_models": ["Модель «Ё»", "x" * 500]}, {}, {}, ["GigaChat", "Модель «Ё»", "x" * 500]),
    ({"fallback_models": ["GigaChat:latest"]}, {}, {}, ["GigaChat", "GigaChat:latest"]),
    ({"fallback_models": ["A"]}, {"fallback_models": []}, {}, ["GigaChat"]),
    ({"fallback_models": ["A"]}, {"fallback_models": None}, {}, ["GigaChat", "A"]),
    ({"fallback_models": ["A"]}, {"fallback_models": "B,C"}, {}, ["GigaChat", "B", "C"]),
    ({}, {"fallback_models": ["B"]}, {"model": "M"}, ["M", "B"]),
    ({"fallback_models": ["A"]}, {"extra_body": {"model": "E"}}, {}, ["E", "A"]),
    ({"fallback_models": ["A", "E"]}, {"extra_body": {"model": "E", "flags": ["f"]}}, {"model": "M"}, ["E", "A"]),
    ({"fallback_models": ["A"]}, {}, {"additional_fields": {"new": 1}}, ["GigaChat", "A"]),
    ({"fallback_models": ["A"]}, {}, {"assistant_id": "a1"}, [""]),
    ({"fallback_models": ["A"]}, {}, {"storage": {"thread_id": "t1", "is_stateful": True}}, [""]),
]


@pytest.mark.parametrize(("options", "view", "fields", "asked"), ODD)
@pytest.mark.parametrize("method", ["chat", "chat.create"])
def test_odd_lists(
    world: World,
    method: str,
    options: dict[str, Any],
    view: dict[str, Any],
    fields: dict[str, Any],
    asked: list[str],
) -> None:
    giga = world.client(**options).with_options(**view)
    world.answers = [error(402) for _ in range(5)]
    with pytest.raises(PaymentRequiredError):
        world.do(giga, method, "x", **fields)
    bodies = [json.loads(request.content or b"") for request in world.api_requests]
    assert [body.get("model", "") for body in bodies] == asked
    assert all({**body, "model": ""} == {**bodies[0], "model": ""} for body in bodies)


@pytest.mark.parametrize(
    "bad", [5, object(), {"a": 1}, {"A"}, b"A", [1], [None], ["A", ""], [["A"]], "[1", "[1]", ["A\udcff"], iter(["A"])]
)
def test_with_options_refuses_what_is_no_list_of_models(bad: Any) -> None:
    with GigaChat(access_token="t") as giga, pytest.raises(ValueError, match=r"^fallback_models: ") as raised:
        giga.with_options(fallback_models=bad)
    assert "\n" not in str(raised.value)


def test_the_environment_sets_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIGACHAT_FALLBACK_MODELS", "GigaChat-2-Pro, GigaChat-2")
    giga = world.client()
    assert giga._settings.fallback_models == ("GigaChat-2-Pro", "GigaChat-2")
    world.answers = [error(402), answered()]
    assert world.chat(giga, "x").model == "GigaChat-2-Pro:2.0.28.2"


def test_copies_and_views_keep_it() -> None:
    with GigaChat(access_token="t", fallback_models=["A"]) as giga:
        view = giga.with_options(fallback_models=["B"])
        for client in (pickle.loads(pickle.dumps(giga)), copy.deepcopy(giga)):
            assert client._settings.fallback_models == ("A",)
        for client in (pickle.loads(pickle.dumps(view)), copy.copy(view), view.with_options(timeout=5)):
            assert client._options.fallback_models == ("B",)


def test_the_callers_objects_are_unchanged(world: World) -> None:
    payload = {"messages": [{"role": "user", "content": "x"}], "model": "M"}
    before = copy.deepcopy(payload)
    world.answers = [error(402), answered()]
    world.chat(world.client(**BASE), payload)
    assert payload == before
    assert models(world) == ["M", "GigaChat-2-Pro"]


@pytest.mark.parametrize(
    ("method", "pieces"), [("stream", [FIRST, LAST, DONE]), ("chat.stream", STREAM_V2)], ids=["v1", "v2"]
)
def test_a_stream_falls_back_before_it_begins(world: World, method: str, pieces: list[bytes]) -> None:
    giga = world.client(**BASE)
    world.answers = [error(402), NO_MODEL, Answer(pieces=pieces)]
    assert world.read(giga, "x", method=method)
    assert models(world) == ["GigaChat-2-Max", *FALLBACK]
    assert all(json.loads(request.content or b"")["stream"] is True for request in world.api_requests)
    assert all(request.headers["Accept"] == "text/event-stream" for request in world.api_requests)


@pytest.mark.parametrize("last", [lost(Stage.READING), sse({"status": 503, "message": "no"}), b""])
def test_a_stream_that_has_begun_is_final(world: World, last: bytes | Failure) -> None:
    giga = world.client(**BASE)
    world.answers = [Answer(pieces=[FIRST, last])]
    got: list[Any] = []
    with pytest.raises((StreamInterruptedError, ServerError)):
        world.read(giga, "x", into=got)
    assert len(got) == 1
    assert models(world) == ["GigaChat-2-Max"]


def test_structured_answers_fall_back(world: World) -> None:
    giga = world.client(**BASE)
    body = {"name": "Псков"}
    whole = json.dumps(body, ensure_ascii=False)
    choice = {**COMPLETION["choices"][0], "message": {"role": "assistant", "content": whole}}  # type: ignore[index]
    world.answers = [error(402), answered({**COMPLETION, "choices": [choice]})]
    completion, named = world.do(giga, "chat_parse", "x", into=Named)
    assert (completion.model, named.name) == ("GigaChat-2-Pro:2.0.28.2", "Псков")
    message = {"role": "assistant", "content": [{"text": whole}]}
    world.answers = [error(402), answered({**ANSWER_V2, "messages": [message]})]
    completion, named = world.do(giga, "chat.parse", "x", into=Named)
    assert (completion.model, named.name) == ("GigaChat-2-Pro:2.0.28.2", "Псков")


def test_each_answer_of_a_run_falls_back(world: World) -> None:
    def weather(city: str) -> int:
        """Return the temperature."""
        return -3

    called = {"role": "assistant", "content": "", "function_call": {"name": "weather", "arguments": {"city": "Псков"}}}
    choice = {"message": called, "index": 0, "finish_reason": "function_call"}
    giga = world.client(**BASE)
    world.answers = [error(402), answered({**COMPLETION, "choices": [choice]}), error(402), answered()]
    result = world.do(giga, "chat_run", "x", tools=[weather])
    assert result.completion.model == "GigaChat-2-Pro:2.0.28.2"
    assert models(world) == ["GigaChat-2-Max", "GigaChat-2-Pro"] * 2


def test_a_failed_sign_in_fails_for_every_model(world: World) -> None:
    for refusal, kind in ((error(429), RateLimitError), (error(503), ServerError), (error(401), AuthenticationError)):
        giga = world.client(**BASE, max_retries=0)
        world.sign_ins = [refusal]
        with pytest.raises(kind) as raised:
            world.chat(giga, "x")
        assert "oauth" in raised.value.url
        assert world.api_requests == []

    # The token of the second model is refused, and there is no other.
    giga = world.client(**BASE, max_retries=0)
    world.answers = [error(402), error(401)]
    world.sign_ins = [world.token(), error(400)]
    with pytest.raises(BadRequestError):
        world.chat(giga, "x")
    assert models(world) == ["GigaChat-2-Max", "GigaChat-2-Pro"]


def test_the_total_time_bounds_all_models(world: World) -> None:
    def slow(request: Request) -> Answer:
        world.time += 4
        return error(503)

    giga = world.client(**BASE, max_retries=0, total_timeout=10)
    world.answers = [slow, slow, slow]
    with pytest.raises(TotalTimeoutError):
        world.chat(giga, "x")
    assert models(world) == ["GigaChat-2-Max", *FALLBACK]
    assert {request.deadline for request in world.api_requests} == {1010.0}


def test_other_calls_do_not_fall_back(world: World, tmp_path: Path) -> None:
    giga = world.client(**BASE, max_retries=0)
    (tmp_path / "a.txt").write_text("x")
    calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
        ("embeddings", (["x"],), {}),
        ("tokens_count", (["x"],), {}),
        ("get_models", (), {}),
        ("get_model", ("GigaChat",), {}),
        ("request", ("POST", "/chat/completions"), {"json": {"model": "GigaChat-2-Max", "messages": []}}),
        ("upload_file", (tmp_path / "a.txt",), {}),
        ("check_ai", ("x", "GigaCheckDetection"), {}),
    ]
    for method, arguments, options in calls:
        del world.requests[:]
        world.answers = [error(503)]
        with pytest.raises(ServerError):
            world.do(giga, method, *arguments, **options)
        assert len(world.api_requests) == 1


def test_the_address_of_api_v2_is_still_searched(world: World) -> None:
    giga = world.client(**BASE, base_url="https://host/api/v1")
    page = Answer(b"<html>", 404)
    world.answers = [page, NO_MODEL, page, answered(ANSWER_V2)]
    assert world.do(giga, "chat.create", "x").model == "GigaChat-2-Pro:2.0.28.2"
    assert models(world) == ["GigaChat-2-Max"] * 2 + ["GigaChat-2-Pro"] * 2
    world.answers = [answered(ANSWER_V2)]
    world.do(giga, "chat.create", "x")
    assert world.api_requests[-1].url == "https://host/v2/chat/completions"


def test_a_model_of_another_account_is_passed_over(world: World) -> None:
    giga = world.client(**BASE)
    world.answers = [error(402), error(403, "Permission denied"), answered()]
    assert world.chat(giga, "x").model == "GigaChat-2:2.0.28.2"
    world.answers = [error(403, "Permission denied")]
    with pytest.raises(ForbiddenError):
        world.chat(giga, "x")


def test_a_model_that_does_not_exist_is_still_an_error_of_its_name(world: World) -> None:
    giga = world.client(model="GigaChat-3", fallback_models=["GigaChat-4"])
    world.answers = [NO_MODEL, NO_MODEL]
    with pytest.raises(NotFoundError) as raised:
        world.chat(giga, "x")
    assert len(raised.value.__notes__) == 1
